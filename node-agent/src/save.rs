//! Keeps the checkpoint: what was committed goes to disk, seldom enough to spare it. A thread of its own, because disks block.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::feed::checkpoint::Checkpoint;
use crate::mailbox::{Mailbox, Wake};
use crate::metrics::Metrics;
use crate::plan::{Plan, Revision, Services, Update};

/// The least time between two writes: what changes meanwhile goes in one.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long after a write that failed it is tried again, if nothing changes before.
const RETRY: Duration = Duration::from_secs(30);

/// Writes what is posted, until the mailbox is closed; then what still waits.
pub fn run(mut checkpoint: Checkpoint, mailbox: &Mailbox, metrics: &Metrics) {
    let mut plan: Option<Plan> = None;
    let mut retry = None;
    loop {
        let (update, last) = match mailbox.wait(retry) {
            Wake::Update(update) => (*update, false),
            Wake::Due => (Update::default(), false),
            Wake::Closed if retry.is_none() => return,
            Wake::Closed => (Update::default(), true),
            Wake::Touched => continue,
        };
        let Some(whole) = absorb(&mut plan, &update) else { continue };
        retry = match checkpoint.write(whole, &update) {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(%error, "the checkpoint is written again later");
                metrics.checkpoint_failed();
                Some(Instant::now() + RETRY)
            }
        };
        if last {
            return;
        }
        mailbox.pause(Instant::now() + INTERVAL);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use pointsman_crds::NodeProxyPlanSpec;

    use super::*;
    use crate::plan::NodePlan;

    #[test]
    fn what_could_not_be_written_is_written_later_though_nothing_changes() {
        let directory = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(directory.path()).unwrap();
        let in_the_way = checkpoint.path().with_extension("draft");
        std::fs::create_dir(&in_the_way).unwrap();
        let (mailbox, metrics) = (Mailbox::default(), Metrics::new(Timestamp::now()));
        let spec = NodeProxyPlanSpec::default();
        let node = NodePlan { name: "node-7".to_owned(), generation: 1, spec, conditions: Vec::new() };
        mailbox.post(Update {
            node: Some(Arc::new(node)),
            services: Services::All(BTreeMap::new()),
            revision: Some(Revision::new("8")),
            ..Update::default()
        });
        let failed = || {
            let text = metrics.text(&crate::report::Report::default(), false);
            text.contains("pointsman_agent_checkpoint_failures_total 1")
        };
        std::thread::scope(|scope| {
            scope.spawn(|| run(checkpoint, &mailbox, &metrics));
            let end = Instant::now() + Duration::from_secs(20);
            while !failed() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::fs::remove_dir(&in_the_way).unwrap();
            mailbox.close();
        });
        assert!(failed());
        let read = Checkpoint::new(directory.path()).unwrap().load().unwrap();
        assert_eq!(read.map(|plan| plan.revision), Some(Revision::new("8")));
    }
}
