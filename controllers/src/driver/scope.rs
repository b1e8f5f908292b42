//! Whether every Service has its plan, so that a new Node may be given one: an agent takes its Node's plan as the word that
//! the Services' plans are all there.

use std::collections::BTreeSet;

use pointsman_planner::model::ServiceKey;

use crate::index::Index;

/// The Services whose plan is still to come, and the Nodes that wait for them.
#[derive(Debug, Default)]
pub struct Scope {
    open: BTreeSet<ServiceKey>,
    parked: BTreeSet<String>,
}

impl Scope {
    /// All of these Services are to be looked at first.
    pub fn begin<'a>(&mut self, services: impl Iterator<Item = &'a ServiceKey>) {
        self.open.extend(services.cloned());
    }

    /// A Service has changed; if it has no plan yet, it counts.
    pub fn changed(&mut self, index: &Index, key: &ServiceKey) {
        if index.service(key).is_some() && index.plans_of(key).is_empty() {
            self.open.insert(key.clone());
        }
    }

    /// Nothing is missing for this Service, or nothing that could be written. Returns the Nodes that need wait no longer.
    pub fn settled(&mut self, key: &ServiceKey) -> BTreeSet<String> {
        self.open.remove(key);
        if self.open.is_empty() { std::mem::take(&mut self.parked) } else { BTreeSet::new() }
    }

    /// Whether no Service is missing.
    pub fn is_whole(&self) -> bool {
        self.open.is_empty()
    }

    /// The Node waits.
    pub fn park(&mut self, node: String) {
        self.parked.insert(node);
    }
}
