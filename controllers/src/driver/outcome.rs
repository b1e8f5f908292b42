//! What a batch of writes that has ended means for whom it was made.

use std::time::Instant;

use pointsman_planner::model::ServiceKey;
use tokio::task::JoinError;

use super::{Driver, Target};
use crate::next::ServiceWork;
use crate::write::{Batch, Class, Regarding, WriteError};

/// After how many failures in a row an Event tells of it again.
const EVENT_EVERY: u32 = 10;

impl Driver {
    /// Nothing is missing for a Service, or nothing that could be written.
    pub(super) fn settle_service(&mut self, key: &ServiceKey) {
        let target = Target::Service(key.clone());
        self.queue.settled(&target);
        self.is_whole(&target);
        if self.index.service(key).is_none() {
            self.obstacles.remove(key);
        } else if let Some(obstacles) = self.obstacles.get_mut(key) {
            obstacles.altered = false;
        }
        for node in self.scope.settled(key) {
            self.queue.mark(&Target::Node(node), None);
        }
    }

    pub(super) fn take_ended(&mut self, ended: Result<(Target, Batch), JoinError>) {
        let (target, batch) = match ended {
            Ok(ended) => ended,
            // A write that panicked has lost its key; it is looked at again with the next leader at the latest.
            Err(error) => return tracing::error!(%error, "a write ended abnormally"),
        };
        for ack in batch.acks {
            ack.apply(&mut self.index);
        }
        self.mark_dirty();
        if let (Some(name), Target::Service(key)) = (batch.taken, &target) {
            tracing::warn!(service = %key, slice = name, "the name is taken by somebody else's EndpointSlice");
            self.obstacles.entry(key.clone()).or_default().taken.insert(name);
        }
        match batch.result {
            Ok(()) => self.queue.written(&target),
            Err(error) => self.take_failure(&target, &error),
        }
    }

    fn take_failure(&mut self, target: &Target, error: &WriteError) {
        let class = error.class();
        if let (Class::NamespaceGone, Target::Service(key)) = (class, target) {
            tracing::debug!(service = %key, "the namespace is being deleted: nothing is missing there");
            return self.settle_service(key);
        }
        let failures = self.queue.failed(target, Instant::now(), counts(class));
        if let Target::Service(key) = target {
            let result = if class == Class::Stale { "stale" } else { "error" };
            self.metrics.synced(result);
            if !keeps_nodes_waiting(class, failures) {
                for node in self.scope.settled(key) {
                    self.queue.mark(&Target::Node(node), None);
                }
            }
        }
        if matches!(class, Class::Stale | Class::Absent | Class::Taken) && failures < EVENT_EVERY {
            // What is known was older than what is stored: the watch brings the news, and nobody need hear of it.
            return tracing::debug!(%target, failures, %error, "a write came too late");
        }
        tracing::warn!(%target, failures, %error, "a write failed, and is tried again");
        match target {
            Target::Service(key) if class == Class::Altered && error.is_about_slices() => {
                self.obstacles.entry(key.clone()).or_default().altered = true;
                // The slices wait for their next try; the plans follow at once what is stored.
                if matches!(self.service_work(key, None), ServiceWork::Plans(..)) {
                    self.queue.mark(target, None);
                }
            }
            Target::Service(_) | Target::Node(_) if class == Class::Altered => {
                self.altered.insert(target.clone(), error.to_string());
                self.connections.look_again.notify_one();
            }
            Target::Service(_) | Target::Node(_) => {}
        }
        // An API server that cannot be reached takes no Events either.
        let can_tell = !matches!(error, WriteError::Unreachable { .. });
        if can_tell && (failures == 1 || failures.is_multiple_of(EVENT_EVERY)) {
            self.report(target, error);
        }
    }

    fn report(&self, target: &Target, error: &WriteError) {
        let (regarding, reason) = match target {
            Target::Service(key) => {
                let uid = self.index.service(key).map(|service| service.uid.clone());
                let reason = match error.is_about_slices() {
                    true => "FailedToUpdateEndpointSlices",
                    false => "FailedToUpdateServiceProxyPlan",
                };
                (Regarding::service(key, uid.as_deref()), reason)
            }
            Target::Node(name) => {
                let uid = self.index.nodes().get(name).map(|node| node.uid.clone());
                (Regarding::node(name, uid.as_deref()), "FailedToUpdateNodeProxyPlan")
            }
        };
        self.writer.reporter().warn(regarding, "Write", reason, &error.to_string());
    }
}

/// Whether new Nodes wait for a Service whose writes fail. What the API server will not take (it is invalid, or a quota or a
/// webhook of one namespace is in the way) must not keep the whole cluster waiting for ever.
fn keeps_nodes_waiting(class: Class, failures: u32) -> bool {
    class != Class::Invalid && failures < EVENT_EVERY
}

/// Whether somebody has to be told that writes fail. Where others write as well, writes come too late now and then for ever.
fn counts(class: Class) -> bool {
    class != Class::Stale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_does_not_keep_new_nodes_waiting_for_ever() {
        let cases = [
            (Class::Invalid, 1, false),
            (Class::Failed, 1, true),
            (Class::Failed, EVENT_EVERY - 1, true),
            (Class::Failed, EVENT_EVERY, false),
            (Class::Stale, 1, true),
        ];
        for (class, failures, expected) in cases {
            assert_eq!(keeps_nodes_waiting(class, failures), expected, "{class:?} after {failures}");
        }
    }

    #[test]
    fn a_write_that_comes_too_late_is_no_failing_one() {
        let failing = [Class::Absent, Class::Taken, Class::Invalid, Class::Altered, Class::Failed];
        assert!(failing.into_iter().all(counts));
        assert!(!counts(Class::Stale));
    }
}
