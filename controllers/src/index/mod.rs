//! Kubernetes objects → model: the only reader of raw objects. Synchronous, without a client: a whole cluster can be built
//! in a plain test. An event touches only the Services and Nodes that it concerns, and those are what it marks as dirty.

mod cidr;
mod node;
mod node_plan;
mod parse;
mod pod;
mod pods;
mod selectors;
mod service;
mod service_plan;
mod slice;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use pointsman_planner::model::{Node, Pod, Service, ServiceKey, Slice, Time};
use pointsman_planner::plan::{Claims, ClusterSize, Policy, Verdict};

pub use cidr::ServiceRanges;
pub use node_plan::StoredNodePlan;
pub use parse::text as rfc3339;
pub use service_plan::StoredPlan;
pub use slice::{endpoint, port};
pub use version::Item;

/// Namespace and name of an object; the namespace is empty for cluster-scoped ones.
pub type Key = (String, String);

/// One step of a watch of objects of one kind.
#[derive(Debug)]
pub enum Watched<T> {
    /// A list begins: what it does not name is gone.
    Start,
    /// An object of the list.
    Listed(Item<T>),
    /// The list is complete.
    End,
    /// An object was created or changed.
    Applied(Item<T>),
    /// An object was deleted.
    Deleted(Item<T>),
}

/// What there is to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Services that may need another plan, and the oldest change that this answers to.
    pub services: BTreeMap<ServiceKey, Option<Time>>,
    /// Nodes that may need another plan.
    pub nodes: BTreeSet<String>,
}

impl Dirty {
    fn service(&mut self, key: &ServiceKey, trigger: Option<Time>) {
        let known = self.services.entry(key.clone()).or_default();
        *known = match (*known, trigger) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

/// How many slices and endpoints are ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnSlices {
    /// Slices.
    pub stored: i64,
    /// Endpoints in them.
    pub endpoints: i64,
}

/// All that is known of the cluster.
#[derive(Default)]
pub struct Index {
    policy: Policy,
    services: BTreeMap<ServiceKey, Arc<Service>>,
    selectors: selectors::Selectors,
    pods: pods::Pods,
    nodes: BTreeMap<String, Node>,
    slices: version::Written<Slice>,
    slices_of: BTreeMap<ServiceKey, BTreeSet<String>>,
    service_of_slice: BTreeMap<Key, ServiceKey>,
    plans: version::Written<StoredPlan>,
    node_plans: version::Written<StoredNodePlan>,
    cidrs: BTreeMap<String, Vec<IpNet>>,
    claims: Claims,
    dirty: Dirty,
    lists: BTreeMap<&'static str, BTreeSet<Key>>,
}

/// A kind that the index keeps.
pub trait Indexed: Sized {
    /// Its name, for logs and metrics.
    const KIND: &'static str;
    /// An object is there, or (without a value) is there and of no use. `listed`: it comes from a list, and is the truth
    /// even if it seems older than what is known.
    fn put(index: &mut Index, item: Item<Self>, listed: bool);
    /// Whether the deletion of `item`, of which the watch tells, is news.
    fn is_gone(_: &mut Index, _: &Item<Self>) -> bool {
        true
    }
    /// An object is gone.
    fn remove(index: &mut Index, key: &Key);
    /// The object of this key and UID was deleted by us: late news of it are to be ignored.
    fn bury(_: &mut Index, _: &Key, _: &str) {}
    /// The objects that are known.
    fn keys(index: &Index) -> Vec<Key>;
}

impl Index {
    /// An empty index under `policy`; the service CIDRs of the policy are filled in from the cluster.
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Takes one step of a watch.
    pub fn watched<T: Indexed>(&mut self, step: Watched<T>) {
        match step {
            Watched::Start => drop(self.lists.insert(T::KIND, BTreeSet::new())),
            Watched::Listed(item) => {
                if let Some(seen) = self.lists.get_mut(T::KIND) {
                    seen.insert(item.key.clone());
                }
                T::put(self, item, true);
            }
            Watched::End => {
                let seen = self.lists.remove(T::KIND).unwrap_or_default();
                for key in T::keys(self).into_iter().filter(|key| !seen.contains(key)) {
                    T::remove(self, &key);
                }
            }
            Watched::Applied(item) => T::put(self, item, false),
            Watched::Deleted(item) => {
                if T::is_gone(self, &item) {
                    T::remove(self, &item.key);
                }
            }
        }
    }

    /// What became dirty since the last call.
    pub fn take_dirty(&mut self) -> Dirty {
        std::mem::take(&mut self.dirty)
    }

    /// What holds for the whole cluster.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The Service `key`.
    pub fn service(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// Every Service, in order.
    pub fn service_keys(&self) -> impl Iterator<Item = &ServiceKey> {
        self.services.keys()
    }

    /// The Nodes, by name.
    pub fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.nodes
    }

    /// How large the cluster is.
    pub fn cluster_size(&self) -> ClusterSize {
        ClusterSize::of(self.nodes.len())
    }

    /// The Pods that `service` selects.
    pub fn pods_of(&self, service: &Service) -> Vec<&Pod> {
        service
            .selector
            .as_ref()
            .map(|selector| self.pods.matching(&service.key.namespace, selector))
            .unwrap_or_default()
    }

    /// The slices of the Service `key`, whoever writes them.
    pub fn slices_of(&self, key: &ServiceKey) -> Vec<Arc<Slice>> {
        let names = self.slices_of.get(key).into_iter().flatten();
        names.filter_map(|name| self.slices.get(&(key.namespace.clone(), name.clone())).cloned()).collect()
    }

    /// What the Service `key` may not announce because of others.
    pub fn verdict(&self, key: &ServiceKey) -> Verdict {
        self.claims.verdict(key)
    }

    /// The stored plan of the Service `key` and its shards, in order of name: the base comes first.
    pub fn plans_of(&self, key: &ServiceKey) -> Vec<Arc<StoredPlan>> {
        let base = (key.namespace.clone(), key.name.clone());
        let first_shard = (key.namespace.clone(), format!("{}.", key.name));
        let shards = self.plans.from(&first_shard);
        let is_ours =
            |(at, _): &(&Key, &Arc<StoredPlan>)| at.0 == first_shard.0 && at.1.starts_with(&first_shard.1);
        let shards = shards.take_while(is_ours).map(|(_, plan)| Arc::clone(plan));
        self.plans.get(&base).cloned().into_iter().chain(shards).collect()
    }

    /// The stored plan of the Node `name`.
    pub fn node_plan(&self, name: &str) -> Option<&Arc<StoredNodePlan>> {
        self.node_plans.get(&(String::new(), name.to_owned()))
    }

    /// Every stored plan of a Node.
    pub fn node_plans(&self) -> impl Iterator<Item = &Arc<StoredNodePlan>> {
        self.node_plans.iter()
    }

    /// Every stored plan of a Service, shards included.
    pub fn service_plans(&self) -> impl Iterator<Item = &Arc<StoredPlan>> {
        self.plans.iter()
    }

    /// The API server has stored this version of an object that we wrote.
    pub fn acknowledged<T: Indexed>(&mut self, item: Item<T>) {
        T::put(self, item, false);
    }

    /// The API server has deleted, for us, the object of this key and UID.
    pub fn deleted<T: Indexed>(&mut self, key: &Key, uid: &str) {
        T::bury(self, key, uid);
        T::remove(self, key);
    }

    /// How many objects are known, by kind.
    pub fn sizes(&self) -> [(&'static str, usize); 6] {
        [
            (<Service as Indexed>::KIND, self.services.len()),
            (<Pod as Indexed>::KIND, self.pods.len()),
            (<Node as Indexed>::KIND, self.nodes.len()),
            (<Slice as Indexed>::KIND, self.slices.len()),
            (<StoredPlan as Indexed>::KIND, self.plans.len()),
            (<StoredNodePlan as Indexed>::KIND, self.node_plans.len()),
        ]
    }

    /// Marks everything as dirty: every Service and Node that is there or has left something behind.
    pub fn mark_all(&mut self) {
        for service in self.services.values() {
            // Of a Service that was served before nobody knows since when something is missing: its own age would be taken
            // for the delay.
            let is_new = !self.slices_of.contains_key(&service.key);
            self.dirty.service(&service.key, Some(service.created).filter(|_| is_new));
        }
        let plans = self.plans.keys().into_iter();
        let plans =
            plans.map(|(namespace, name)| ServiceKey::new(namespace, service_plan::service_of(&name)));
        for key in plans.chain(self.slices_of.keys().cloned()).collect::<BTreeSet<_>>() {
            self.dirty.service(&key, None);
        }
        self.dirty.nodes.extend(self.nodes.keys().cloned());
        self.dirty.nodes.extend(self.node_plans.iter().map(|plan| plan.name.clone()));
    }

    /// How many slices and endpoints are ours: none where another controller writes them, under the same name.
    pub fn own_slices(&self) -> OwnSlices {
        let mut own = OwnSlices::default();
        let ours = |slice: &&Arc<Slice>| self.policy().manage_slices && slice.is_ours();
        for slice in self.slices.iter().filter(ours) {
            own.stored += 1;
            own.endpoints += i64::try_from(slice.content.endpoints.len()).unwrap_or_default();
        }
        own
    }

    fn mark_all_services(&mut self) {
        for key in self.services.keys() {
            self.dirty.service(key, None);
        }
    }
}

#[cfg(test)]
mod size_tests;
#[cfg(test)]
mod tests;
