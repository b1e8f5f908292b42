//! What a batch of writes that has ended means for whom it was made.

use std::time::Instant;

use pointsman_planner::model::ServiceKey;
use tokio::task::JoinError;

use super::{Driver, Target};
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
            self.taken.remove(key);
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
            self.taken.entry(key.clone()).or_default().insert(name);
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
        let failures = self.queue.failed(target, Instant::now());
        if let Target::Service(key) = target {
            let result = if class == Class::Stale { "stale" } else { "error" };
            self.metrics.synced(result);
            // What the API server will not take must not keep new Nodes waiting for ever.
            if class == Class::Invalid {
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
        if class == Class::Altered && !error.is_about_slices() {
            self.altered.insert(target.clone(), error.to_string());
            self.connections.look_again.notify_one();
        }
        if failures == 1 || failures.is_multiple_of(EVENT_EVERY) {
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
