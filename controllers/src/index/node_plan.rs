//! Stored NodeProxyPlans, and what a change of one concerns.

use kube::ResourceExt;
use pointsman_crds::conditions::ConditionType;
use pointsman_crds::{NodeProxyPlan, NodeProxyPlanSpec};
use pointsman_planner::model::Time;

use super::version::Versioned;
use super::{Index, Indexed, Item, Key, parse};

/// A NodeProxyPlan as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredNodePlan {
    /// Its name, which is the Node's.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its generation.
    pub generation: i64,
    /// When it was created.
    pub created: Time,
    /// The UID of the Node that owns and controls it.
    pub owner: Option<String>,
    /// Its spec.
    pub spec: NodeProxyPlanSpec,
    /// When its agent last wrote.
    pub heartbeat: Option<Time>,
    /// Whether the condition AgentAlive is True; `None`: it is not there.
    pub alive: Option<bool>,
}

impl Versioned for StoredNodePlan {
    fn uid(&self) -> &str {
        &self.uid
    }

    fn resource_version(&self) -> &str {
        &self.resource_version
    }
}

impl From<NodeProxyPlan> for Item<StoredNodePlan> {
    fn from(plan: NodeProxyPlan) -> Self {
        let key = parse::key(&plan.metadata);
        let status = plan.status.as_ref();
        let conditions = status.into_iter().flat_map(|status| &status.conditions);
        let alive =
            conditions.clone().find(|condition| condition.type_ == ConditionType::AgentAlive.as_str());
        let heartbeat = status.and_then(|status| status.agent.as_ref()?.heartbeat.as_ref());
        let value = StoredNodePlan {
            name: key.1.clone(),
            uid: plan.uid().unwrap_or_default(),
            resource_version: plan.resource_version().unwrap_or_default(),
            generation: plan.metadata.generation.unwrap_or_default(),
            created: plan.metadata.creation_timestamp.as_ref().map(parse::time).unwrap_or_default(),
            owner: parse::controller(&plan.metadata, "v1", "Node", &key.1),
            heartbeat: heartbeat.map(parse::time),
            alive: alive.map(|condition| condition.status == "True"),
            spec: plan.spec,
        };
        Item { key, value: Some(value) }
    }
}

impl Indexed for StoredNodePlan {
    const KIND: &'static str = "NodeProxyPlan";

    fn put(index: &mut Index, item: Item<Self>, listed: bool) {
        let Some(plan) = item.value else { return };
        let Ok(before) = index.node_plans.put(&item.key, plan, listed) else { return };
        let now = index.node_plans.get(&item.key);
        // An agent writes its status every few minutes: that is none of our business but for the heartbeat.
        let same = |before: &StoredNodePlan, now: &StoredNodePlan| {
            (&before.uid, &before.owner, before.alive) == (&now.uid, &now.owner, now.alive)
                && before.spec == now.spec
        };
        if !before.zip(now).is_some_and(|(before, now)| same(&before, now)) {
            index.dirty.nodes.insert(item.key.1);
        }
    }

    fn is_gone(index: &mut Index, item: &Item<Self>) -> bool {
        index.node_plans.gone(item)
    }

    fn bury(index: &mut Index, key: &Key, uid: &str) {
        index.node_plans.bury(key, uid);
    }

    fn remove(index: &mut Index, key: &Key) {
        if index.node_plans.remove(key).is_some() {
            index.dirty.nodes.insert(key.1.clone());
        }
    }

    fn keys(index: &Index) -> Vec<Key> {
        index.node_plans.keys()
    }
}
