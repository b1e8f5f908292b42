//! Why nothing is written to the kernel, sorted by who can help. Says it in the words of conditions; does nothing about it.

use pointsman_crds::Mode;
use pointsman_crds::conditions::ConditionReason;

use crate::chain;
use crate::nftables::Error;
use crate::plan::NodePlan;
use crate::report::Trouble;

/// Why nothing is written.
#[derive(Debug)]
pub enum Hold {
    /// Somebody has to change something; it is not tried again before.
    Stalled(Trouble),
    /// Another proxy or owner is in the way; it is tried again.
    Conflict(Trouble),
    /// The kernel refused; it is tried again.
    Failed(Trouble),
}

impl Hold {
    /// Why this plan forbids to write, if it does.
    pub fn by_plan(plan: &NodePlan) -> Option<Self> {
        let settings = &plan.spec.settings;
        let mode = settings.mode.unwrap_or_default();
        if mode != Mode::Nftables {
            let message = format!("mode {mode:?} is not offered by this agent; what is in the kernel stays");
            Some(Self::Stalled(Trouble::new(ConditionReason::ModeNotSupported, message)))
        } else if settings.paused.unwrap_or(false) {
            let message = "the plan is paused: nothing is written until it is resumed";
            Some(Self::Stalled(Trouble::new(ConditionReason::Paused, message)))
        } else {
            None
        }
    }

    /// kube-proxy's table is in the kernel.
    pub fn by_kube_proxy(table: &str) -> Self {
        let message = format!(
            "kube-proxy's table {table} is in the kernel: stop kube-proxy on this node and remove its rules (kube-proxy --cleanup), \
             or start the agent with --take-over"
        );
        Self::Conflict(Trouble::new(ConditionReason::KubeProxyActive, message))
    }
}

impl From<Error> for Hold {
    fn from(error: Error) -> Self {
        match error {
            Error::OwnedByAnother { .. } => Self::Conflict(trouble(&error)),
            error => Self::Failed(trouble(&error)),
        }
    }
}

/// An error of the kernel in the words of conditions.
pub fn trouble(error: &Error) -> Trouble {
    let reason = match error {
        Error::Privilege => ConditionReason::MissingPrivilege,
        Error::OwnedByAnother { .. } => ConditionReason::TableOwned,
        Error::Unsupported(_) => ConditionReason::KernelLacksFeature,
        Error::Refused { .. } | Error::Restless { .. } | Error::Socket { .. } | Error::Malformed(_) => {
            ConditionReason::KernelRefused
        }
    };
    Trouble::new(reason, chain(error))
}
