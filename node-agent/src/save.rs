//! Keeps the checkpoint: what was committed goes to disk, seldom enough to spare it. A thread of its own, because disks block.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::feed::checkpoint::Checkpoint;
use crate::mailbox::{Mailbox, Wake};
use crate::metrics::Metrics;
use crate::plan::{Plan, Revision, Services, Update};

/// The least time between two writes: what changes meanwhile goes in one.
const INTERVAL: Duration = Duration::from_secs(5);

/// Writes what is posted, until the mailbox is closed; then what still waits.
pub fn run(mut checkpoint: Checkpoint, mailbox: &Mailbox, metrics: &Metrics) {
    let mut plan: Option<Plan> = None;
    loop {
        match mailbox.wait(None) {
            Wake::Update(update) => {
                let Some(whole) = absorb(&mut plan, &update) else { continue };
                if let Err(error) = checkpoint.write(whole, &update) {
                    tracing::warn!(%error, "the checkpoint is written again with the next change");
                    metrics.checkpoint_failed();
                }
                mailbox.pause(Instant::now() + INTERVAL);
            }
            Wake::Closed => return,
            Wake::Touched | Wake::Due => {}
        }
    }
}

/// The whole plan after this update. Before the first whole one there is none.
fn absorb<'a>(plan: &'a mut Option<Plan>, update: &Update) -> Option<&'a Plan> {
    if let (None, Some(node), Services::All(_)) = (&plan, &update.node, &update.services) {
        *plan = Some(Plan { node: node.clone(), services: BTreeMap::new(), revision: Revision::default() });
    }
    let plan = plan.as_mut()?;
    plan.absorb(update.services.clone());
    plan.node = update.node.clone().unwrap_or_else(|| plan.node.clone());
    plan.revision = update.revision.clone().unwrap_or_else(|| plan.revision.clone());
    Some(plan)
}
