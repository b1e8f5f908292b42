//! The agent's plan: this node's own facts over all Services in its scope, and what a feed says about changes to it. Values
//! only; no I/O.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use pointsman_crds::{DriftPolicy, NodeProxyPlan, NodeProxyPlanSpec};
use pointsman_dataplane::{ServiceKey, ServicePlan};
use serde::{Deserialize, Serialize};

/// How far a plan reaches: the highest resourceVersion that it answers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(String);

/// This node's own plan.
#[derive(Clone, Debug, PartialEq)]
pub struct NodePlan {
    /// The node's name.
    pub name: String,
    /// The generation of the object; 0 when it has none (a file).
    pub generation: i64,
    /// How the node proxies.
    pub spec: NodeProxyPlanSpec,
    /// The conditions that stand in its status: their transition times outlive the agent.
    pub conditions: Vec<Condition>,
}

/// Everything that is to be programmed.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The node.
    pub node: Arc<NodePlan>,
    /// Every Service in its scope.
    pub services: BTreeMap<ServiceKey, Arc<ServicePlan>>,
    /// How far it reaches.
    pub revision: Revision,
}

/// What a feed says about Services.
#[derive(Clone, Debug, PartialEq)]
pub enum Services {
    /// These are all.
    All(BTreeMap<ServiceKey, Arc<ServicePlan>>),
    /// These were all when the checkpoint was written; what the feed says takes their place.
    Saved(BTreeMap<ServiceKey, Arc<ServicePlan>>),
    /// These changed; `None` is gone.
    Changed(BTreeMap<ServiceKey, Option<Arc<ServicePlan>>>),
}

/// Where plans come from at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// From the feed, as they change.
    #[default]
    Live,
    /// From the checkpoint, until the feed has the first whole plan.
    Checkpoint,
    /// The feed cannot be reached: what is in force stays.
    Away(String),
    /// The plan, its kind or the permission to read it is gone: what is in force stays.
    Gone(String),
}

/// What a feed says: a step from one whole plan to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The node's own plan, if it changed.
    pub node: Option<Arc<NodePlan>>,
    /// The node's own plan before there is a whole one with it: for the report alone.
    pub awaited: Option<Arc<NodePlan>>,
    /// Services that changed.
    pub services: Services,
    /// How far the plan reaches now.
    pub revision: Option<Revision>,
    /// Plans that could not be read, with the reason; their last whole state stays. All of them, if any is told of.
    pub unreadable: Option<BTreeMap<ServiceKey, String>>,
    /// When the changes that this answers to happened, for latency metrics.
    pub triggers: Vec<Timestamp>,
    /// Where plans come from, if that changed.
    pub link: Option<Link>,
}

// === impl Revision ===

impl Revision {
    /// A revision as it stands in an object.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this reaches further than `other`. Only numbers can be compared (KEP-5504); anything else does not reach
    /// further, because nothing is known.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        matches!((self.number(), other.number()), (Some(own), Some(other)) if compare(own, other) == Ordering::Greater)
    }

    /// Takes in the revision of an event: the further one of two numbers, the later seen one otherwise.
    pub fn advance(&mut self, seen: &str) {
        let seen = Self::new(seen);
        if !self.is_newer_than(&seen) {
            *self = seen;
        }
    }

    fn number(&self) -> Option<&str> {
        let digits = self.0.as_bytes();
        (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then(|| self.0.trim_start_matches('0'))
    }
}

/// Decimal numbers of any size, without leading zeros.
fn compare(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl NodePlan ===

impl NodePlan {
    /// The part of a `NodeProxyPlan` that the agent answers to.
    pub fn new(object: NodeProxyPlan) -> Self {
        Self {
            name: object.metadata.name.unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or(0),
            spec: object.spec,
            conditions: object.status.map(|status| status.conditions).unwrap_or_default(),
        }
    }

    /// What becomes of differences that somebody else made.
    pub fn drift_policy(&self) -> DriftPolicy {
        self.spec.settings.sync.as_ref().and_then(|sync| sync.drift).unwrap_or_default()
    }

    /// Whether both ask for the same, whatever their status says.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.name == other.name && self.generation == other.generation && self.spec == other.spec
    }
}

// === impl Update ===

impl Default for Update {
    fn default() -> Self {
        Self {
            node: None,
            awaited: None,
            services: Services::Changed(BTreeMap::new()),
            revision: None,
            unreadable: None,
            triggers: Vec::new(),
            link: None,
        }
    }
}

impl Update {
    /// Says only where plans come from.
    pub fn link(link: Link) -> Self {
        Self { link: Some(link), ..Self::default() }
    }

    /// Adds a later update to this one.
    pub fn merge(&mut self, later: Self) {
        let Self { node, awaited, services, revision, unreadable, triggers, link } = later;
        self.node = node.or_else(|| self.node.take());
        self.awaited = awaited.or_else(|| self.awaited.take());
        self.revision = revision.or_else(|| self.revision.take());
        self.unreadable = unreadable.or_else(|| self.unreadable.take());
        self.link = link.or_else(|| self.link.take());
        self.triggers.extend(triggers);
        match (&mut self.services, services) {
            (own, all @ Services::All(_)) => *own = all,
            (Services::Changed(own), Services::Changed(changed)) => own.extend(changed),
            (own, saved @ Services::Saved(_)) => *own = saved,
            (Services::All(own) | Services::Saved(own), Services::Changed(changed)) => {
                for (key, plan) in changed {
                    match plan {
                        Some(plan) => drop(own.insert(key, plan)),
                        None => drop(own.remove(&key)),
                    }
                }
            }
        }
    }
}

// === impl Plan ===

impl Plan {
    /// Takes an update in and says which Services changed by it.
    pub fn absorb(&mut self, update: Services) -> BTreeMap<ServiceKey, Option<Arc<ServicePlan>>> {
        let mut changed = match update {
            Services::Changed(changed) => changed,
            Services::All(all) | Services::Saved(all) => {
                let gone = self.services.keys().filter(|key| !all.contains_key(*key));
                let gone: Vec<_> = gone.map(|key| (key.clone(), None)).collect();
                all.into_iter().map(|(key, plan)| (key, Some(plan))).chain(gone).collect()
            }
        };
        changed.retain(|key, plan| self.services.get(key) != plan.as_ref());
        for (key, plan) in &changed {
            match plan {
                Some(plan) => drop(self.services.insert(key.clone(), plan.clone())),
                None => drop(self.services.remove(key)),
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use pointsman_crds::ServiceProxyPlanSpec;

    use super::*;

    fn plan(name: &str, uid: &str) -> (ServiceKey, Arc<ServicePlan>) {
        let key = ServiceKey::new("shop", name);
        let spec = ServiceProxyPlanSpec { service_uid: uid.to_owned(), ..Default::default() };
        (key.clone(), Arc::new(ServicePlan { key, spec }))
    }

    #[test]
    fn revisions_compare_as_numbers_and_only_as_numbers() {
        let cases = [
            ("9", "10", false),
            ("10", "9", true),
            ("10", "10", false),
            ("340282366920938463463374607431768211456", "99", true),
            ("007", "6", true),
            ("dir-9", "8", false),
            ("9", "dir-8", false),
            ("", "8", false),
            ("9", "", false),
        ];
        for (own, other, newer) in cases {
            assert_eq!(Revision::new(own).is_newer_than(&Revision::new(other)), newer, "{own} over {other}");
        }
        let mut revision = Revision::new("88");
        revision.advance("87");
        assert_eq!(revision.as_str(), "88");
        revision.advance("100");
        assert_eq!(revision.as_str(), "100");
    }

    #[test]
    fn merged_updates_do_what_both_do_in_turn() {
        let (web, web_one) = plan("web", "one");
        let (_, web_two) = plan("web", "two");
        let (dns, dns_one) = plan("dns", "one");
        let mut merged = Update {
            services: Services::All([(web.clone(), web_one), (dns.clone(), dns_one)].into()),
            revision: Some(Revision::new("5")),
            ..Update::default()
        };
        let changes = [(web.clone(), Some(web_two.clone())), (dns, None)];
        merged.merge(Update { services: Services::Changed(changes.into()), ..Update::default() });
        assert_eq!(merged.services, Services::All([(web, web_two)].into()));
        assert_eq!(merged.revision, Some(Revision::new("5")), "what the later one does not say stays");

        merged.merge(Update { services: Services::All(BTreeMap::new()), ..Update::default() });
        assert_eq!(merged.services, Services::All(BTreeMap::new()));
    }

    #[test]
    fn a_whole_list_removes_what_it_does_not_name_and_repeats_nothing() {
        let (web, web_plan) = plan("web", "one");
        let (dns, dns_plan) = plan("dns", "one");
        let node = Arc::new(NodePlan {
            name: "node-7".to_owned(),
            generation: 3,
            spec: NodeProxyPlanSpec::default(),
            conditions: Vec::new(),
        });
        let services = [(web.clone(), web_plan.clone()), (dns.clone(), dns_plan)].into();
        let mut plan = Plan { node, services, revision: Revision::default() };
        let all: BTreeMap<_, _> = [(web, web_plan)].into();
        assert_eq!(plan.absorb(Services::All(all.clone())), [(dns, None)].into());
        assert_eq!(plan.services, all);
        assert_eq!(plan.absorb(Services::All(all)), BTreeMap::new());
    }
}
