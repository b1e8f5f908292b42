//! What the agent says about itself: from what was applied and read back, never from what was wished.

pub mod limit;
pub mod publish;
pub mod status;

use std::sync::Arc;

use jiff::Timestamp;
use pointsman_crds::Mode;
use pointsman_crds::NodeRefused;
use pointsman_crds::conditions::ConditionReason;

use crate::plan::{Link, NodePlan, Revision};

/// Everything that a status is made of, but for the time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The plan that the rest answers to; none was seen yet if absent.
    pub plan: Option<Arc<NodePlan>>,
    /// The mode that is active.
    pub mode: Option<Mode>,
    /// What is in the kernel.
    pub programmed: Option<Programmed>,
    /// Differences that were found and repaired.
    pub drift: Drift,
    /// What is not programmed.
    pub refused: Refused,
    /// Changes wait to be written.
    pub behind: bool,
    /// The last write or read failed; it is retried.
    pub failure: Option<Trouble>,
    /// Nothing goes on without somebody's help.
    pub stalled: Option<Trouble>,
    /// Another proxy or owner is at work.
    pub conflict: Option<Trouble>,
    /// The kernel differs, and is not repaired.
    pub drifted: Option<Trouble>,
    /// Where plans come from.
    pub link: Link,
}

/// What is in the kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Programmed {
    /// How far the plan reaches that is in there.
    pub revision: Revision,
    /// The generation of the node's plan that is in there.
    pub generation: i64,
    /// Services with at least one frontend.
    pub services: u32,
    /// Addresses and ports that answer or reject.
    pub frontends: u32,
    /// Distinct endpoints.
    pub endpoints: u32,
    /// Fingerprint of the kernel's state in canonical form.
    pub digest: u64,
    /// When the kernel was last written, and for how many microseconds; never, if the plan was there already.
    pub last_sync: Option<(Timestamp, u64)>,
}

/// Differences that were found and repaired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// How many times.
    pub repairs: u64,
    /// When last, and what differed.
    pub last: Option<(Timestamp, String)>,
}

/// What is not programmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// How many entries.
    pub count: u32,
    /// The first of them, as many as a status lists.
    pub first: Vec<NodeRefused>,
}

/// Something that an operator should know: one word, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The word.
    pub reason: ConditionReason,
    /// The sentence.
    pub message: String,
}

impl Report {
    /// The first whole plan is on its way, and nothing is in its way. The checkpoint's does not count: it does not know the times at which
    /// conditions last changed, as the plan that the API server has does.
    pub fn is_starting(&self) -> bool {
        if self.link == Link::Checkpoint {
            return true;
        }
        let troubles = [&self.failure, &self.stalled, &self.conflict, &self.drifted];
        self.programmed.is_none() && troubles.into_iter().all(Option::is_none) && self.link == Link::Live
    }
}

impl Trouble {
    /// A trouble.
    pub fn new(reason: ConditionReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
