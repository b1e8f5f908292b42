//! Stored ServiceProxyPlans, and what a change of one concerns.

use kube::ResourceExt;
use pointsman_crds::names::{ANNOTATION_TRIGGER_TIME, LABEL_SERVICE};
use pointsman_crds::{ServiceProxyPlan, ServiceProxyPlanSpec, ServiceRefusedList};
use pointsman_planner::model::{ServiceKey, Time};
use pointsman_planner::plan::held_by;

use super::version::Versioned;
use super::{Index, Indexed, Item, Key, parse};

/// A ServiceProxyPlan as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPlan {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// The UID of the Service that owns and controls it.
    pub owner: Option<String>,
    /// The Service that its label names.
    pub service: Option<String>,
    /// The oldest change that this version answers to.
    pub trigger: Option<Time>,
    /// Its spec.
    pub spec: ServiceProxyPlanSpec,
    /// What its status says was refused.
    pub refused: Option<ServiceRefusedList>,
}

impl Versioned for StoredPlan {
    fn uid(&self) -> &str {
        &self.uid
    }

    fn resource_version(&self) -> &str {
        &self.resource_version
    }
}

/// The Service that a plan of this name belongs to: a shard's name goes on after a dot.
pub fn service_of(plan: &str) -> &str {
    plan.split('.').next().unwrap_or(plan)
}

impl From<ServiceProxyPlan> for Item<StoredPlan> {
    fn from(plan: ServiceProxyPlan) -> Self {
        let key = parse::key(&plan.metadata);
        let trigger = plan.annotations().get(ANNOTATION_TRIGGER_TIME).and_then(|text| parse::timestamp(text));
        let value = StoredPlan {
            name: key.1.clone(),
            uid: plan.uid().unwrap_or_default(),
            resource_version: plan.resource_version().unwrap_or_default(),
            owner: parse::controller(&plan.metadata, "v1", "Service", service_of(&key.1)),
            service: plan.labels().get(LABEL_SERVICE).cloned(),
            trigger,
            refused: plan.status.and_then(|status| status.refused),
            spec: plan.spec,
        };
        Item { key, value: Some(value) }
    }
}

impl Indexed for StoredPlan {
    const KIND: &'static str = "ServiceProxyPlan";

    fn put(index: &mut Index, item: Item<Self>, listed: bool) {
        let Some(plan) = item.value else { return };
        let held = held_by(&plan.spec);
        let Ok(before) = index.plans.put(&item.key, plan, listed) else { return };
        let same = |before: &StoredPlan, now: &StoredPlan| {
            let parts = |plan: &StoredPlan| (plan.uid.clone(), plan.owner.clone(), plan.service.clone());
            parts(before) == parts(now) && before.spec == now.spec && before.refused == now.refused
        };
        if before.as_ref().zip(index.plans.get(&item.key)).is_some_and(|(before, now)| same(before, now)) {
            return;
        }
        let service = ServiceKey::new(item.key.0.clone(), service_of(&item.key.1));
        if service.name == item.key.1 {
            for other in index.claims.hold(&service, held) {
                index.dirty.service(&other, None);
            }
        }
        index.dirty.service(&service, None);
    }

    fn is_gone(index: &mut Index, item: &Item<Self>) -> bool {
        index.plans.gone(item)
    }

    fn bury(index: &mut Index, key: &Key, uid: &str) {
        index.plans.bury(key, uid);
    }

    fn remove(index: &mut Index, key: &Key) {
        if index.plans.remove(key).is_none() {
            return;
        }
        let service = ServiceKey::new(key.0.clone(), service_of(&key.1));
        if service.name == key.1 {
            for other in index.claims.hold(&service, Default::default()) {
                index.dirty.service(&other, None);
            }
        }
        index.dirty.service(&service, None);
    }

    fn keys(index: &Index) -> Vec<Key> {
        index.plans.keys()
    }
}
