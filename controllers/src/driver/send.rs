//! Sends out batches of writes. What is in them comes from `next`; what becomes of them is for `outcome`.

use std::collections::BTreeSet;
use std::time::Instant;

use pointsman_planner::model::{ServiceKey, Time};

use super::{Driver, Target};
use crate::next::{self, NodeWork, Obstacles, ServiceWork};

/// How many Services and Nodes are written at once.
const IN_FLIGHT: usize = 32;

impl Driver {
    /// Sends out what is missing for those whose turn it is.
    pub(super) fn send_out(&mut self) {
        while self.may_write() && self.running.len() < IN_FLIGHT {
            let Some((target, trigger)) = self.queue.take(Instant::now()) else { return };
            // An API server that drops what it does not know would drop a restriction too, and let everybody in: until a
            // plan that it has mutilated is whole, no other is given to it.
            if !self.altered.is_empty() && !self.altered.contains_key(&target) {
                self.queue.settled(&target);
                self.held.insert(target);
                continue;
            }
            match &target {
                Target::Service(key) => self.send_service(key.clone(), trigger),
                Target::Node(name) => self.send_node(name.clone()),
            }
        }
    }

    fn send_service(&mut self, key: ServiceKey, trigger: Option<Time>) {
        let target = Target::Service(key.clone());
        let writer = self.writer.clone();
        match self.service_work(&key, trigger) {
            ServiceWork::Nothing => {
                self.metrics.synced("success");
                self.settle_service(&key);
            }
            ServiceWork::Slices(work) => {
                self.running.spawn(async move { (target, writer.slices(work).await) });
            }
            ServiceWork::Plans(service, writes) => {
                self.running.spawn(async move { (target, writer.plans(&service, writes).await) });
            }
            ServiceWork::Leftovers { plans, slices } => {
                self.running.spawn(async move { (target, writer.leftovers(&key, plans, slices).await) });
            }
        }
    }

    /// What is missing for a Service, in view of what is known to be in the way.
    pub(super) fn service_work(&self, key: &ServiceKey, trigger: Option<Time>) -> ServiceWork {
        static NONE: Obstacles = Obstacles { taken: BTreeSet::new(), altered: false };
        let obstacles = self.obstacles.get(key).unwrap_or(&NONE);
        next::service_work(&self.index, key, obstacles, trigger)
    }

    fn send_node(&mut self, name: String) {
        let target = Target::Node(name.clone());
        let work = next::node_work(&self.index, &name, &self.settings, self.pulse());
        if matches!(work, NodeWork::Create { .. }) && !self.scope.is_whole() {
            self.queue.settled(&target);
            self.scope.park(name);
            return;
        }
        if matches!(work, NodeWork::Nothing) {
            self.queue.settled(&target);
            self.is_whole(&target);
            return;
        }
        let writer = self.writer.clone();
        self.running.spawn(async move { (target, writer.node(work).await) });
    }
}
