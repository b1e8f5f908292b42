//! What becomes of a connection on a node, and why, in words. Asks the dispatch, which is what the kernel is made from; touches no
//! kernel.

mod reasons;

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use pointsman_crds::Protocol;
use pointsman_dataplane::dispatch::{Dispatch, Endpoint, is_local_source};
use pointsman_dataplane::node::{LocalDetector, family_of};
use pointsman_dataplane::packet::Origin;
use pointsman_dataplane::{NodeFacts, Outcome, Packet};

use crate::plan::Plan;

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    ip: IpAddr,
    port: u16,
    protocol: Protocol,
}

/// Where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A pod of the node.
    Pod,
    /// The node itself.
    Node,
    /// Somewhere else.
    Outside,
    /// This address; what it is follows from the node's facts.
    Address(IpAddr),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let address: SocketAddr = address.parse().map_err(|_| {
            "expected IP:PORT/PROTOCOL, such as 10.96.0.10:80/tcp or [fd00:96::10]:53/udp".to_owned()
        })?;
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err("expected tcp, udp or sctp after the slash".to_owned()),
        };
        Ok(Self { ip: address.ip(), port: address.port(), protocol })
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pod" => Ok(Self::Pod),
            "node" => Ok(Self::Node),
            "outside" => Ok(Self::Outside),
            address => {
                let address = address.parse().map(Self::Address);
                address.map_err(|_| "expected pod, node, outside or an IP address".to_owned())
            }
        }
    }
}

/// What becomes of a connection from `source` to `target`.
///
/// # Errors
/// Says why there is no such connection.
pub fn explain(plan: &Plan, dispatch: &Dispatch, target: Target, source: Source) -> Result<String, String> {
    let packet = packet(plan, dispatch.node(), target, source)?;
    let outcome = dispatch.decide(&packet);
    let facts = reasons::Facts { plan, dispatch, packet: &packet };
    let mut lines = vec![("From", sender(dispatch.node(), &packet))];
    lines.extend(facts.owner().into_iter().map(|owner| ("Service", owner)));
    lines.extend(verdict(&facts, &outcome).into_iter().map(|line| ("Verdict", line)));
    if let Outcome::Forward { endpoints } = &outcome {
        let replaced = endpoints.iter().map(|(_, replaced)| *replaced);
        lines.push(("Source", facts.masquerade(replaced)));
    }
    lines.extend(facts.why(&outcome).into_iter().map(|line| ("Why", line)));
    lines.extend(facts.unused(&outcome).into_iter().map(|line| ("Not used", line)));
    lines.extend(facts.refused().into_iter().map(|line| ("Refused", line)));
    let address = SocketAddr::new(target.ip, target.port);
    let mut text = format!("{address}/{} on {}\n", target.protocol, plan.node.name);
    let mut last = "";
    for (title, line) in lines {
        let shown = if title == last { "" } else { title };
        last = title;
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {shown:<9} {line}");
    }
    Ok(text)
}

fn verdict(facts: &reasons::Facts<'_>, outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Forward { endpoints } => {
            let chosen: Vec<Endpoint> = endpoints.iter().map(|(endpoint, _)| *endpoint).collect();
            let share = match chosen.len() {
                1 => "goes to".to_owned(),
                n => format!("goes to one of {n}, each as likely"),
            };
            let described = chosen.iter().map(|endpoint| format!("  {}", facts.describe(*endpoint)));
            std::iter::once(share).chain(described).collect()
        }
        Outcome::Reject => vec!["is rejected: the sender is told at once".to_owned()],
        Outcome::Drop => vec!["is dropped: the sender is told nothing".to_owned()],
        Outcome::Pass => vec!["is left alone: it is none of ours".to_owned()],
    }
}

fn sender(node: &NodeFacts, packet: &Packet) -> String {
    let local = if is_local_source(node, packet) { "" } else { ", no pod of this node" };
    match &packet.origin {
        Origin::Host => format!("{} (the node itself)", packet.source),
        Origin::Interface(_) => {
            let kind = if local.is_empty() { "counts as a pod of this node" } else { "from elsewhere" };
            format!("{} ({kind}{local})", packet.source)
        }
    }
}

fn packet(plan: &Plan, node: &NodeFacts, target: Target, source: Source) -> Result<Packet, String> {
    let spec = &plan.node.spec.node;
    let own = |ip: &IpAddr| spec.addresses.contains(ip) || ip.is_loopback();
    let own_address = spec.addresses.iter().copied().find(|ip| family_of(*ip) == family_of(target.ip));
    let (address, origin) = match source {
        Source::Pod => (pod_address(plan, node, target.ip), pod_interface(node)),
        Source::Node => {
            let missing =
                || format!("{} has no address of that family: give one with --from", plan.node.name);
            (own_address.ok_or_else(missing)?, Origin::Host)
        }
        Source::Outside => (outside_address(target.ip), Origin::Interface(OUTSIDE.to_owned())),
        Source::Address(ip) if own(&ip) => (ip, Origin::Host),
        Source::Address(ip) if in_pods(plan, node, ip) => (ip, pod_interface(node)),
        Source::Address(ip) => (ip, Origin::Interface(OUTSIDE.to_owned())),
    };
    if family_of(address) != family_of(target.ip) {
        return Err(format!("{address} cannot reach {}: they are of different families", target.ip));
    }
    Ok(Packet {
        origin,
        source: address,
        destination: target.ip,
        protocol: target.protocol,
        port: target.port,
        to_local_address: own(&target.ip),
    })
}

/// An interface that no plan takes for a pod's.
const OUTSIDE: &str = "uplink";

fn pod_interface(node: &NodeFacts) -> Origin {
    Origin::Interface(match &node.local {
        LocalDetector::Interface(name) => name.clone(),
        LocalDetector::InterfacePrefix(prefix) => format!("{prefix}0"),
        LocalDetector::Sources(_) | LocalDetector::None => "pod".to_owned(),
    })
}

fn in_pods(plan: &Plan, node: &NodeFacts, ip: IpAddr) -> bool {
    let detected = match &node.local {
        LocalDetector::Sources(ranges) => ranges.as_slice(),
        LocalDetector::Interface(_) | LocalDetector::InterfacePrefix(_) | LocalDetector::None => &[],
    };
    plan.node.spec.node.pod_cidrs.iter().chain(detected).any(|range| range.contains(&ip))
}

/// An address that a pod of the node could have: the last one of its range, which no pod of a small example has.
fn pod_address(plan: &Plan, node: &NodeFacts, target: IpAddr) -> IpAddr {
    let detected = match &node.local {
        LocalDetector::Sources(ranges) => ranges.as_slice(),
        LocalDetector::Interface(_) | LocalDetector::InterfacePrefix(_) | LocalDetector::None => &[],
    };
    let ranges = || plan.node.spec.node.pod_cidrs.iter().chain(detected);
    let range = ranges().find(|range| family_of(range.addr()) == family_of(target));
    range.map_or_else(|| outside_address(target), last_host)
}

fn last_host(range: &IpNet) -> IpAddr {
    match range {
        IpNet::V4(range) => {
            let last = u32::from(range.broadcast());
            IpAddr::V4(if range.prefix_len() < 31 { last - 1 } else { last }.into())
        }
        IpNet::V6(range) => IpAddr::V6((u128::from(range.broadcast())).into()),
    }
}

/// An address that is nobody's: ranges for documentation (RFC 5737, RFC 3849).
fn outside_address(target: IpAddr) -> IpAddr {
    match target {
        IpAddr::V4(_) => IpAddr::from([203, 0, 113, 7]),
        IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7]),
    }
}

#[cfg(test)]
mod tests;
