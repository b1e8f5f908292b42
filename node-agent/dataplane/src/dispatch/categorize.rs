//! Which of a port's endpoints this node uses: readiness, topology hints, traffic policies (KEP-1669, KEP-2086, KEP-4444,
//! KEP-3015), as kube-proxy's CategorizeEndpoints decides.

use super::Endpoint;
use crate::NodeFacts;

/// An endpoint of one port, as the plan has it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Address and port.
    pub endpoint: Endpoint,
    /// The node that it runs on.
    pub node: Option<&'a str>,
    /// It is going away: used only while no ready one can be.
    pub terminating: bool,
    /// Zones that should use it.
    pub for_zones: &'a [String],
    /// Nodes that should use it.
    pub for_nodes: &'a [String],
}

/// Which traffic must stay on the node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies {
    /// Traffic to cluster IPs.
    pub internal_local: bool,
    /// Traffic from outside.
    pub external_local: bool,
    /// The Service has an address that outside traffic can reach.
    pub externally_accessible: bool,
}

/// The endpoints of one port for this node. Sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Categorized {
    /// For traffic that may leave the node; `None` if no traffic may.
    pub cluster: Option<Vec<Endpoint>>,
    /// For traffic that may not; `None` if all may.
    pub local: Option<Vec<Endpoint>>,
    /// Somebody serves this port somewhere: with an empty set the packet is dropped rather than rejected.
    pub any: bool,
}

/// How far the topology hints of the ready endpoints reach.
#[derive(Clone, Copy)]
enum Topology {
    Anywhere,
    SameZone,
    SameNode,
}

/// Sorts a port's endpoints into those that cluster-wide and those that node-local traffic uses. `candidates` hold each endpoint
/// once.
pub fn categorize(candidates: &[Candidate<'_>], policies: Policies, node: &NodeFacts) -> Categorized {
    let uses_cluster = !policies.internal_local || policies.externally_accessible;
    let uses_local = policies.internal_local || (policies.external_local && policies.externally_accessible);
    let is_local = |candidate: &&Candidate<'_>| candidate.node == Some(node.name.as_str());
    let cluster = uses_cluster.then(|| {
        let topology = topology(candidates, node);
        let ready = candidates.iter().filter(|candidate| !candidate.terminating);
        let chosen = sorted(ready.filter(|candidate| allowed(candidate, topology, node)));
        if chosen.is_empty() {
            sorted(candidates.iter().filter(|candidate| candidate.terminating))
        } else {
            chosen
        }
    });
    let local = uses_local.then(|| {
        let here = || candidates.iter().filter(is_local);
        let ready = sorted(here().filter(|candidate| !candidate.terminating));
        if ready.is_empty() { sorted(here()) } else { ready }
    });
    Categorized { cluster, local, any: !candidates.is_empty() }
}

fn topology(candidates: &[Candidate<'_>], node: &NodeFacts) -> Topology {
    let ready = || candidates.iter().filter(|candidate| !candidate.terminating);
    let for_this_node = |candidate: &Candidate<'_>| candidate.for_nodes.contains(&node.name);
    let for_this_zone =
        |candidate: &Candidate<'_>| node.zone.as_ref().is_some_and(|zone| candidate.for_zones.contains(zone));
    if ready().all(|candidate| !candidate.for_nodes.is_empty()) && ready().any(for_this_node) {
        Topology::SameNode
    } else if ready().all(|candidate| !candidate.for_zones.is_empty()) && ready().any(for_this_zone) {
        Topology::SameZone
    } else {
        Topology::Anywhere
    }
}

fn allowed(candidate: &Candidate<'_>, topology: Topology, node: &NodeFacts) -> bool {
    match topology {
        Topology::Anywhere => true,
        Topology::SameZone => node.zone.as_ref().is_some_and(|zone| candidate.for_zones.contains(zone)),
        Topology::SameNode => candidate.for_nodes.contains(&node.name),
    }
}

fn sorted<'a>(candidates: impl Iterator<Item = &'a Candidate<'a>>) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = candidates.map(|candidate| candidate.endpoint).collect();
    endpoints.sort_unstable();
    endpoints
}
