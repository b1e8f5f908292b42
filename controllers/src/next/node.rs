//! What is missing for one Node.

use std::sync::Arc;

use pointsman_crds::{NodeProxyPlanSpec, ProxySettings};
use pointsman_planner::model::Time;
use pointsman_planner::plan::plan_node;

use crate::index::{Index, StoredNodePlan};

/// An agent that has not written for this long does not live, in nanoseconds: ten minutes, two heartbeats.
const HEARTBEAT_LIMIT: i64 = 600 * 1_000_000_000;

/// The next write for one Node.
#[derive(Debug)]
pub enum NodeWork {
    /// Everything is as it should be.
    Nothing,
    /// A plan for a new Node.
    Create {
        /// The Node's name.
        name: String,
        /// The plan.
        spec: Box<NodeProxyPlanSpec>,
    },
    /// Another spec or owner for a plan that is there.
    Update {
        /// The plan as it was read.
        stored: Arc<StoredNodePlan>,
        /// Its spec.
        spec: Box<NodeProxyPlanSpec>,
    },
    /// The condition AgentAlive is another than the heartbeat says.
    Alive {
        /// The plan as it was read.
        stored: Arc<StoredNodePlan>,
        /// Whether the agent lives.
        alive: bool,
    },
    /// The plan of an absent Node.
    Delete {
        /// The plan as it was read.
        stored: Arc<StoredNodePlan>,
    },
}

/// What is missing for the Node `name` at the time `now`.
pub fn node_work(index: &Index, name: &str, settings: &ProxySettings, now: Time) -> NodeWork {
    let stored = index.node_plan(name);
    let Some(node) = index.nodes().get(name) else {
        return stored.map_or(NodeWork::Nothing, |stored| NodeWork::Delete { stored: Arc::clone(stored) });
    };
    let spec = plan_node(node, &index.policy().service_cidrs, settings);
    let Some(stored) = stored.cloned() else {
        return NodeWork::Create { name: name.to_owned(), spec: Box::new(spec) };
    };
    if stored.spec != spec || stored.owner.as_deref() != Some(&node.uid) {
        return NodeWork::Update { stored, spec: Box::new(spec) };
    }
    match is_alive(&stored, now) {
        Some(alive) if stored.alive != Some(alive) => NodeWork::Alive { stored, alive },
        Some(_) | None => NodeWork::Nothing,
    }
}

/// The Nodes whose condition AgentAlive is another than the heartbeat says at the time `now`.
pub fn heartbeats_to_tell(index: &Index, now: Time) -> Vec<String> {
    let outdated =
        |plan: &&Arc<StoredNodePlan>| is_alive(plan, now).is_some_and(|alive| plan.alive != Some(alive));
    index.node_plans().filter(outdated).map(|plan| plan.name.clone()).collect()
}

/// Whether the agent lives; `None` while a new plan waits for its first sign of life.
fn is_alive(plan: &StoredNodePlan, now: Time) -> Option<bool> {
    let is_recent = |time: Time| now.0.saturating_sub(time.0) < HEARTBEAT_LIMIT;
    match plan.heartbeat {
        Some(heartbeat) => Some(is_recent(heartbeat)),
        None if is_recent(plan.created) => None,
        None => Some(false),
    }
}
