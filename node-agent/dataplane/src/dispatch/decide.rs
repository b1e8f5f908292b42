//! The oracle: what becomes of a packet, from the dispatch alone. Every backend's table, interpreted or in a kernel, must say
//! the same.

use std::net::IpAddr;

use super::{
    Dispatch, Endpoint, Frontend, FrontendAddress, FrontendDispatch, FrontendKind, Masquerade, Verdict,
};
use crate::node::{LocalDetector, NodeFacts, family_of};
use crate::packet::{Origin, Outcome, Packet};

impl Dispatch {
    /// What becomes of a connection's first packet.
    pub fn decide(&self, packet: &Packet) -> Outcome {
        let family = family_of(packet.destination);
        if family_of(packet.source) != family || !self.node().proxies(family) {
            return Outcome::Pass;
        }
        let at = |address| Frontend { address, protocol: packet.protocol, port: packet.port };
        let on_vip = || self.frontend(&at(FrontendAddress::Vip(packet.destination)));
        let on_node = || {
            let answers = packet.to_local_address && answers_on_node_ports(self.node(), packet.destination);
            answers.then(|| self.frontend(&at(FrontendAddress::Node(family)))).flatten()
        };
        // A frontend that nobody serves translates nothing, so it cannot hide a node port on the same address that somebody serves.
        let served = |found: &(_, &FrontendDispatch)| matches!(found.1.verdict, Verdict::Balance { .. });
        let found =
            on_vip().filter(served).or_else(|| on_node().filter(served)).or_else(on_vip).or_else(on_node);
        match found.map(|(_, dispatched)| (&dispatched.verdict, dispatched.kind)) {
            Some((Verdict::Reject, _)) => Outcome::Reject,
            Some((Verdict::Drop, _)) => Outcome::Drop,
            Some((Verdict::Balance { endpoints, masquerade }, kind)) => {
                let replaced = self.is_masqueraded(packet, *masquerade, kind);
                let choice =
                    |endpoint: &Endpoint| (*endpoint, replaced || self.is_hairpin(packet, *endpoint));
                Outcome::Forward { endpoints: endpoints.iter().map(choice).collect() }
            }
            None => self.decide_unclaimed(packet),
        }
    }

    /// Nobody listens there: other ports of cluster IPs are rejected, unallocated cluster IPs dropped. What comes in for the
    /// node itself is none of ours.
    fn decide_unclaimed(&self, packet: &Packet) -> Outcome {
        let leaves_alone = packet.to_local_address && packet.origin != Origin::Host;
        if leaves_alone {
            Outcome::Pass
        } else if self.is_cluster_ip(packet.destination) {
            Outcome::Reject
        } else if self.node().service_cidrs.iter().any(|range| range.contains(&packet.destination)) {
            Outcome::Drop
        } else {
            Outcome::Pass
        }
    }

    fn is_masqueraded(&self, packet: &Packet, masquerade: Masquerade, kind: FrontendKind) -> bool {
        let node = self.node();
        // The mark goes by the address, so another frontend on a cluster IP's address is treated as the cluster IP is.
        let to_cluster_ip = kind == FrontendKind::ClusterIp || self.is_cluster_ip(packet.destination);
        let foreign = node.masquerade_all || !is_local_source(node, packet);
        masquerade == Masquerade::Always || (to_cluster_ip && foreign)
    }

    fn is_cluster_ip(&self, ip: IpAddr) -> bool {
        self.services().any(|(_, dispatched)| {
            dispatched.frontends.iter().any(|(frontend, dispatched)| {
                dispatched.kind == FrontendKind::ClusterIp && frontend.address == FrontendAddress::Vip(ip)
            })
        })
    }

    /// A pod of this node that reaches itself through a Service.
    fn is_hairpin(&self, packet: &Packet, endpoint: Endpoint) -> bool {
        packet.source == endpoint.ip
            && self.services().any(|(_, dispatched)| dispatched.local.contains(&(endpoint, packet.protocol)))
    }
}

/// Whether a packet counts as coming from one of the node's own pods. With no way to tell, all do.
pub fn is_local_source(node: &NodeFacts, packet: &Packet) -> bool {
    let interface = match &packet.origin {
        Origin::Host => "",
        Origin::Interface(name) => name,
    };
    match &node.local {
        LocalDetector::Sources(ranges) => {
            let family = family_of(packet.source);
            let mut ranges = ranges.iter().filter(|range| family_of(range.addr()) == family).peekable();
            ranges.peek().is_none() || ranges.any(|range| range.contains(&packet.source))
        }
        LocalDetector::Interface(name) => interface == name,
        LocalDetector::InterfacePrefix(prefix) => interface.starts_with(prefix.as_str()),
        LocalDetector::None => true,
    }
}

fn answers_on_node_ports(node: &NodeFacts, ip: IpAddr) -> bool {
    !ip.is_loopback() && node.node_port_ranges.iter().any(|range| range.contains(&ip))
}
