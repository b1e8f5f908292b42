//! Why: the Service that owns a frontend, the endpoints that were not chosen, the policies that decided, the entries that were
//! refused. Words only; the decision is the dispatch's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pointsman_crds::{PlanEndpoint, PlanPort};
use pointsman_dataplane::dispatch::{
    Dispatch, Endpoint, Frontend, FrontendAddress, FrontendDispatch, FrontendKind, Masquerade, Verdict,
    address_refusal, is_local_source,
};
use pointsman_dataplane::node::family_of;
use pointsman_dataplane::packet::Origin;
use pointsman_dataplane::{Outcome, Packet, ServiceKey, ServicePlan};

use crate::plan::Plan;

/// What reasons are found in.
pub(super) struct Facts<'a> {
    pub(super) plan: &'a Plan,
    pub(super) dispatch: &'a Dispatch,
    pub(super) packet: &'a Packet,
}

impl Facts<'_> {
    /// The frontend that the packet meets: by its address, else as a node port.
    fn frontend(&self) -> Option<(&ServiceKey, &FrontendDispatch)> {
        let Packet { destination, protocol, port, to_local_address, .. } = *self.packet;
        let at = |address| Frontend { address, protocol, port };
        let vip = self.dispatch.frontend(&at(FrontendAddress::Vip(destination)));
        let answers = to_local_address && self.answers_on_node_ports(destination);
        vip.or_else(|| {
            answers
                .then(|| self.dispatch.frontend(&at(FrontendAddress::Node(family_of(destination)))))
                .flatten()
        })
    }

    fn answers_on_node_ports(&self, ip: IpAddr) -> bool {
        !ip.is_loopback() && self.dispatch.node().node_port_ranges.iter().any(|range| range.contains(&ip))
    }

    fn service(&self) -> Option<(&ServicePlan, &PlanPort, &FrontendDispatch)> {
        let (key, frontend) = self.frontend()?;
        let plan = self.plan.services.get(key)?;
        let Packet { protocol, port, .. } = *self.packet;
        let number = |candidate: &PlanPort| match frontend.kind {
            FrontendKind::NodePort => candidate.node_port.map(|port| port.get()),
            FrontendKind::ClusterIp | FrontendKind::ExternalIp | FrontendKind::LoadBalancer => {
                Some(candidate.port.get())
            }
        };
        let found = |candidate: &&PlanPort| candidate.protocol == protocol && number(candidate) == Some(port);
        Some((plan, plan.spec.ports.iter().find(found)?, frontend))
    }

    /// The Service, its port, and what kind of address was asked for.
    pub(super) fn owner(&self) -> Option<String> {
        let (plan, port, frontend) = self.service()?;
        let kind = match frontend.kind {
            FrontendKind::ClusterIp => "its cluster IP",
            FrontendKind::ExternalIp => "an external IP of it",
            FrontendKind::LoadBalancer => "an address of its load balancer",
            FrontendKind::NodePort => "its node port",
        };
        let name = if port.name.is_empty() { String::new() } else { format!(" {}", port.name) };
        Some(format!("{}, port{name} {}/{}, by {kind}", plan.key, port.port, port.protocol))
    }

    /// The endpoints of the port in this family, each once.
    fn endpoints(&self) -> BTreeMap<Endpoint, &PlanEndpoint> {
        let mut endpoints: BTreeMap<Endpoint, &PlanEndpoint> = BTreeMap::new();
        let Some((plan, port, _)) = self.service() else { return endpoints };
        for group in &plan.spec.groups {
            let Some(target) = group.targets.iter().find(|target| target.name == port.name) else { continue };
            let family = family_of(self.packet.destination);
            for entry in group.endpoints.iter().filter(|entry| family_of(entry.ip) == family) {
                let endpoint = Endpoint { ip: entry.ip, port: target.port.get() };
                let known = endpoints.entry(endpoint).or_insert(entry);
                if known.terminating && !entry.terminating {
                    *known = entry;
                }
            }
        }
        endpoints
    }

    /// An endpoint with the place where it runs.
    pub(super) fn describe(&self, endpoint: Endpoint) -> String {
        let endpoints = self.endpoints();
        let Some(entry) = endpoints.get(&endpoint) else { return endpoint.to_string() };
        let here = entry.node.as_deref() == Some(self.plan.node.name.as_str());
        let node = entry
            .node
            .as_deref()
            .map(|node| if here { "on this node".to_owned() } else { format!("on {node}") });
        let zone = entry.zone.as_deref().map(|zone| format!("zone {zone}"));
        let leaving = entry.terminating.then(|| "terminating".to_owned());
        let place: Vec<String> = [node, zone, leaving].into_iter().flatten().collect();
        if place.is_empty() { endpoint.to_string() } else { format!("{endpoint} ({})", place.join(", ")) }
    }

    /// Whether the endpoint sees the sender's address.
    pub(super) fn masquerade(&self, replaced: impl Iterator<Item = bool>) -> String {
        let replaced: BTreeSet<bool> = replaced.collect();
        let node = self.dispatch.node();
        let foreign = !is_local_source(node, self.packet);
        let always = self.frontend().is_some_and(|(_, frontend)| {
            matches!(frontend.verdict, Verdict::Balance { masquerade: Masquerade::Always, .. })
        });
        match (replaced.contains(&true), replaced.contains(&false)) {
            (true, true) => "replaced by the node's only where the sender reaches itself, so that the answer passes the node",
            (true, false) if always => "replaced by the node's, so that the answer comes back through it",
            (true, false) if node.masquerade_all => "replaced by the node's: masquerade.all",
            (true, false) if self.packet.origin == Origin::Host && foreign => {
                "replaced by the node's: the node itself is no local pod"
            }
            (true, false) if foreign => "replaced by the node's: the sender is no pod of this node",
            (true, false) => "replaced by the node's: the sender reaches itself",
            (false, _) => "kept: the sender is a pod of this node",
        }
        .to_owned()
    }

    /// What decided.
    pub(super) fn why(&self, outcome: &Outcome) -> Vec<String> {
        let Some((plan, port, frontend)) = self.service() else { return self.unclaimed(outcome) };
        let internal =
            frontend.kind == FrontendKind::ClusterIp && plan.spec.internal_traffic_policy.is_some();
        let policy = if internal { "internalTrafficPolicy Local" } else { "traffic policy Cluster" };
        match outcome {
            Outcome::Reject => {
                vec![format!("{} has no usable endpoint for port {}/{}", plan.key, port.port, port.protocol)]
            }
            Outcome::Drop => {
                vec![format!("no endpoint runs on {}, and {policy} forbids all others", self.plan.node.name)]
            }
            Outcome::Forward { endpoints } => {
                let count = endpoints.len();
                let all = self.endpoints().len();
                vec![format!(
                    "{policy}; {count} of {all} endpoints of this family {}",
                    if count == 1 { "is used" } else { "are used" }
                )]
            }
            Outcome::Pass => Vec::new(),
        }
    }

    /// Nobody listens there.
    fn unclaimed(&self, outcome: &Outcome) -> Vec<String> {
        let Packet { destination, port, protocol, .. } = *self.packet;
        let node = self.dispatch.node();
        if !node.proxies(family_of(destination)) {
            return vec![format!("{:?} is not proxied on {}", family_of(destination), node.name)];
        }
        let holders = self.plan.services.values().filter(|plan| {
            let spec = &plan.spec;
            let addresses = [&spec.cluster_ips, &spec.external_ips, &spec.load_balancer_ips];
            addresses.into_iter().flatten().any(|ip| *ip == destination)
        });
        let listens = |plan: &ServicePlan| {
            let ports = plan.spec.ports.iter().map(|port| format!("{}/{}", port.port, port.protocol));
            let ports = ports.collect::<Vec<_>>().join(", ");
            format!("{destination} is an address of {}, which listens on {ports}", plan.key)
        };
        let mut lines: Vec<String> = holders.map(|plan| listens(plan)).collect();
        if *outcome == Outcome::Drop && lines.is_empty() {
            lines.push(format!("{destination} lies in a range of cluster IPs, and no Service has it"));
        }
        let asks = |candidate: &PlanPort| {
            candidate.protocol == protocol
                && candidate.node_port.is_some_and(|node_port| node_port.get() == port)
        };
        let node_ports = self.plan.services.values().filter(|plan| plan.spec.ports.iter().any(asks));
        lines.extend(node_ports.map(|plan| {
            format!(
                "{port}/{protocol} is a node port of {}, but {destination} is no address on which {} answers",
                plan.key, node.name
            )
        }));
        if lines.is_empty() {
            lines.push(format!("no Service in this plan listens on {destination}"));
        }
        lines
    }

    /// The endpoints that were not chosen, each with its reason.
    pub(super) fn unused(&self, outcome: &Outcome) -> Vec<String> {
        let chosen: BTreeSet<Endpoint> = match outcome {
            Outcome::Forward { endpoints } => endpoints.iter().map(|(endpoint, _)| *endpoint).collect(),
            Outcome::Reject | Outcome::Drop | Outcome::Pass => BTreeSet::new(),
        };
        let endpoints = self.endpoints();
        let unused = endpoints.iter().filter(|(endpoint, _)| !chosen.contains(endpoint));
        unused
            .map(|(endpoint, entry)| format!("{}: {}", self.describe(*endpoint), self.reason(entry)))
            .collect()
    }

    fn reason(&self, entry: &PlanEndpoint) -> String {
        let node = self.dispatch.node();
        let internal = self.service().is_some_and(|(plan, _, frontend)| {
            frontend.kind == FrontendKind::ClusterIp && plan.spec.internal_traffic_policy.is_some()
        });
        if let Some(reason) = address_refusal(entry.ip) {
            reason.meaning().to_owned()
        } else if node.service_cidrs.iter().any(|range| range.contains(&entry.ip)) {
            "it lies inside a range of cluster IPs".to_owned()
        } else if internal && entry.node.as_deref() != Some(node.name.as_str()) {
            "it runs on another node, and internalTrafficPolicy is Local".to_owned()
        } else if entry.terminating {
            "it is terminating, and others are ready".to_owned()
        } else if !entry.for_nodes.is_empty() && !entry.for_nodes.contains(&node.name) {
            format!("its hint is for {}", entry.for_nodes.join(", "))
        } else if !entry.for_zones.is_empty() {
            let zone = node.zone.as_deref().unwrap_or("none");
            format!("its hint is for zone {}, and this node's zone is {zone}", entry.for_zones.join(", "))
        } else {
            "others are nearer".to_owned()
        }
    }

    /// What was refused of the Services that have this address or port.
    pub(super) fn refused(&self) -> Vec<String> {
        let Packet { destination, port, .. } = *self.packet;
        let concerns = |key: &ServiceKey| {
            self.plan.services.get(key).is_some_and(|plan| {
                let spec = &plan.spec;
                let addresses = [&spec.cluster_ips, &spec.external_ips, &spec.load_balancer_ips];
                addresses.into_iter().flatten().any(|ip| *ip == destination)
                    || spec
                        .ports
                        .iter()
                        .any(|candidate| candidate.node_port.is_some_and(|node_port| node_port.get() == port))
            })
        };
        let owner = self.frontend().map(|(key, _)| key.clone());
        let services = self.dispatch.services().filter(|(key, _)| match &owner {
            Some(owner) => owner == *key,
            None => concerns(key),
        });
        let line = |(key, dispatched): (
            &ServiceKey,
            &std::sync::Arc<pointsman_dataplane::dispatch::ServiceDispatch>,
        )| {
            let of = |message: &str| format!("{key}: {message}");
            dispatched.refused.iter().map(|refusal| of(&refusal.message)).collect::<Vec<_>>()
        };
        services.flat_map(line).collect()
    }
}
