//! What is missing for one Node.

use std::sync::Arc;

use pointsman_crds::{NodeProxyPlanSpec, ProxySettings};
use pointsman_planner::model::Time;
use pointsman_planner::plan::{NodePlanInput, plan_node};

use crate::index::{Index, StoredNodePlan};

/// An agent that has not written for this long does not live, in nanoseconds: ten minutes, two heartbeats.
const HEARTBEAT_LIMIT: i64 = 600 * 1_000_000_000;

/// Since when heartbeats are watched, and the time now.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    /// Since when this replica has been in a position to see a heartbeat.
    pub since: Time,
    /// Now.
    pub now: Time,
}

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
    /// The plan of an absent Node, or of one that nobody of ours proxies on.
    Delete {
        /// The plan as it was read.
        stored: Arc<StoredNodePlan>,
    },
}

/// What is missing for the Node `name`.
pub fn node_work(index: &Index, name: &str, settings: &ProxySettings, pulse: Pulse) -> NodeWork {
    let stored = index.node_plan(name);
    let Some(node) = index.nodes().get(name).filter(|node| !node.is_foreign) else {
        return stored.map_or(NodeWork::Nothing, |stored| NodeWork::Delete { stored: Arc::clone(stored) });
    };
    let spec = plan_node(&NodePlanInput {
        node,
        size: index.cluster_size(),
        service_cidrs: &index.policy().service_cidrs,
        settings,
        stored: stored.map(|stored| &stored.spec),
    });
    let Some(stored) = stored.cloned() else {
        return NodeWork::Create { name: name.to_owned(), spec: Box::new(spec) };
    };
    if stored.spec != spec || stored.owner.as_deref() != Some(&node.uid) {
        return NodeWork::Update { stored, spec: Box::new(spec) };
    }
    match is_alive(&stored, pulse) {
        Some(alive) if stored.alive != Some(alive) => NodeWork::Alive { stored, alive },
        Some(_) | None => NodeWork::Nothing,
    }
}

/// The Nodes whose condition AgentAlive is another than the heartbeat says.
pub fn heartbeats_to_tell(index: &Index, pulse: Pulse) -> Vec<String> {
    let outdated =
        |plan: &&Arc<StoredNodePlan>| is_alive(plan, pulse).is_some_and(|alive| plan.alive != Some(alive));
    index.node_plans().filter(outdated).map(|plan| plan.name.clone()).collect()
}

/// Whether the agent lives; `None` while that cannot be told: a new plan waits for its first sign of life, and after an outage
/// of the API server every heartbeat is old, through no fault of the agents.
fn is_alive(plan: &StoredNodePlan, pulse: Pulse) -> Option<bool> {
    let is_recent = |time: Time| pulse.now.0.saturating_sub(time.0) < HEARTBEAT_LIMIT;
    match plan.heartbeat {
        Some(heartbeat) if is_recent(heartbeat) => Some(true),
        None if is_recent(plan.created) => None,
        Some(_) | None if is_recent(pulse.since) => None,
        Some(_) | None => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_called_dead_only_by_who_could_have_seen_it_alive() {
        const MINUTE: i64 = 60 * 1_000_000_000;
        // Minutes since: the heartbeat, the plan's creation, the beginning of the watch.
        let cases = [
            (Some(1), 90, 1, Some(true)),
            (Some(1), 90, 60, Some(true)),
            (Some(11), 90, 60, Some(false)),
            (Some(11), 90, 9, None),
            (None, 5, 60, None),
            (None, 11, 60, Some(false)),
            (None, 11, 5, None),
        ];
        for (heartbeat, created, since, expected) in cases {
            let ago = |minutes: i64| Time((1_000 - minutes) * MINUTE);
            let plan = StoredNodePlan {
                name: String::new(),
                uid: String::new(),
                resource_version: String::new(),
                generation: 1,
                created: ago(created),
                owner: None,
                spec: NodeProxyPlanSpec::default(),
                heartbeat: heartbeat.map(ago),
                alive: None,
            };
            let pulse = Pulse { since: ago(since), now: ago(0) };
            assert_eq!(is_alive(&plan, pulse), expected, "{heartbeat:?} {created} {since}");
        }
    }
}
