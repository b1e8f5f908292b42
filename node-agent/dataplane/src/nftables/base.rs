//! The constant part of the table: its chains and rules, and the elements that come from the node's facts. `docs/ruleset.md`
//! draws it and says what is promised to other components.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use pointsman_crds::IpFamily;

use super::expr::Verdict;
use super::schema::{ChainId, SetId};
use super::statement::Statement;
use super::table::{Bytes, Key, address_bytes};
use crate::node::{LocalDetector, NodeFacts, family_of};

/// Every rule of the constant chains, in order.
pub fn rules(node: &NodeFacts, chain: ChainId, family: IpFamily) -> Vec<Vec<Statement>> {
    use Statement::{
        ClearMark, HasMark, In, Masquerade, NewConnection, Reject, ToLocalAddress, Translated, Untranslated,
        VerdictMap,
    };
    let drop = || Statement::Verdict(Verdict::Drop);
    let jump = |chain| Statement::Verdict(Verdict::Jump(chain));
    let mark = node.masquerade_mark;
    let to_node_port = |set| vec![ToLocalAddress, In(SetId::NodePortIps), set];
    let with = |mut rule: Vec<Statement>, last| {
        rule.push(last);
        rule
    };
    match chain {
        ChainId::EndpointsCheck => {
            vec![vec![In(SetId::NoEndpoints), Reject], vec![In(SetId::NoLocalEndpoints), drop()]]
        }
        ChainId::NodePortCheck => vec![
            with(to_node_port(In(SetId::NoEndpointNodePorts)), Reject),
            with(to_node_port(In(SetId::NoLocalEndpointNodePorts)), drop()),
        ],
        ChainId::ClusterIpsCheck => {
            vec![vec![In(SetId::ClusterIps), Reject], vec![In(SetId::ServiceCidrs), drop()]]
        }
        ChainId::ServicesChain => {
            let mut rules: Vec<_> = mark_foreign(node, family).into_iter().collect();
            rules.push(vec![VerdictMap(SetId::Services)]);
            rules.push(to_node_port(VerdictMap(SetId::NodePorts)));
            rules
        }
        ChainId::Masquerading => vec![
            vec![HasMark(mark), ClearMark(mark), Masquerade],
            vec![Translated, In(SetId::Hairpin), Masquerade],
        ],
        // Only what was not translated: an endpoint may have the address and port of another Service's frontend.
        ChainId::FilterInput => vec![
            vec![NewConnection, Untranslated, jump(ChainId::EndpointsCheck)],
            vec![NewConnection, Untranslated, jump(ChainId::NodePortCheck)],
        ],
        ChainId::FilterForward | ChainId::FilterOutput => vec![
            vec![NewConnection, Untranslated, jump(ChainId::EndpointsCheck)],
            vec![NewConnection, Untranslated, jump(ChainId::ClusterIpsCheck)],
        ],
        ChainId::NatPrerouting | ChainId::NatOutput => vec![vec![jump(ChainId::ServicesChain)]],
        ChainId::NatPostrouting => vec![vec![jump(ChainId::Masquerading)]],
        ChainId::Lb(_) | ChainId::MasqLb(_) | ChainId::NodePortLb(_) => Vec::new(),
    }
}

/// Marks what goes to a cluster IP and comes from elsewhere than this node's pods: the endpoint could not answer it directly.
fn mark_foreign(node: &NodeFacts, family: IpFamily) -> Option<Vec<Statement>> {
    let to_cluster_ip = Statement::In(SetId::ClusterIps);
    let set = Statement::SetMark(node.masquerade_mark);
    if node.masquerade_all {
        return Some(vec![to_cluster_ip, set]);
    }
    let foreign = match &node.local {
        LocalDetector::Sources(sources) if !sources.iter().any(|range| family_of(range.addr()) == family) => {
            return None;
        }
        LocalDetector::Sources(_) => Statement::NotIn(SetId::LocalSources),
        LocalDetector::Interface(name) => Statement::NotThrough(name.clone()),
        LocalDetector::InterfacePrefix(prefix) => Statement::NotThroughPrefix(prefix.clone()),
        LocalDetector::None => return None,
    };
    Some(vec![to_cluster_ip, foreign, set])
}

/// The elements that the node's facts put into the sets of ranges of this family's table.
pub fn ranges(node: &NodeFacts, family: IpFamily) -> BTreeMap<SetId, BTreeSet<Key>> {
    let sources = match &node.local {
        LocalDetector::Sources(sources) => sources.as_slice(),
        LocalDetector::Interface(_) | LocalDetector::InterfacePrefix(_) | LocalDetector::None => &[],
    };
    BTreeMap::from([
        (SetId::NodePortIps, interval_keys(&node.node_port_ranges, family, true)),
        (SetId::LocalSources, interval_keys(sources, family, false)),
        (SetId::ServiceCidrs, interval_keys(&node.service_cidrs, family, false)),
    ])
}

/// Ranges as the kernel keeps them: the first address of each, and the first after it; overlapping and adjacent ones joined.
fn interval_keys(ranges: &[IpNet], family: IpFamily, without_loopback: bool) -> BTreeSet<Key> {
    let mut spans: Vec<(u128, u128)> = ranges
        .iter()
        .filter(|range| family_of(range.network()) == family)
        .map(|range| (number(range.network()), number(range.broadcast())))
        .collect();
    if without_loopback {
        let loopback = match family {
            IpFamily::IPv4 => (0x7f00_0000, 0x7fff_ffff),
            IpFamily::IPv6 => (1, 1),
        };
        spans = spans.into_iter().flat_map(|span| cut(span, loopback)).collect();
    }
    spans.sort_unstable();
    let mut joined: Vec<(u128, u128)> = Vec::new();
    for (first, last) in spans {
        match joined.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    let highest = if family == IpFamily::IPv4 { u128::from(u32::MAX) } else { u128::MAX };
    let mut keys = BTreeSet::new();
    for (first, last) in joined {
        keys.insert(Key::point(&number_bytes(first, family)));
        if last < highest {
            keys.insert(Key::end(&number_bytes(last + 1, family)));
        }
    }
    keys
}

/// `span` without `hole`.
fn cut(span: (u128, u128), hole: (u128, u128)) -> Vec<(u128, u128)> {
    if span.1 < hole.0 || hole.1 < span.0 {
        return vec![span];
    }
    let before = (span.0 < hole.0).then(|| (span.0, hole.0 - 1));
    let after = (hole.1 < span.1).then(|| (hole.1 + 1, span.1));
    before.into_iter().chain(after).collect()
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

fn number_bytes(number: u128, family: IpFamily) -> Bytes {
    match family {
        IpFamily::IPv4 => Bytes::from_slice(&number.to_be_bytes()[12..]),
        IpFamily::IPv6 => Bytes::from_slice(&number.to_be_bytes()),
    }
}

/// The key of a set of addresses.
pub fn address_key(ip: IpAddr) -> Key {
    Key { bytes: address_bytes(ip), interval_end: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ranges: &[&str], family: IpFamily, without_loopback: bool) -> Vec<String> {
        let ranges: Vec<IpNet> = ranges.iter().map(|range| range.parse().unwrap()).collect();
        let print = |key: &Key| {
            let ip = match <[u8; 4]>::try_from(key.bytes.as_slice()) {
                Ok(octets) => IpAddr::from(octets),
                Err(_) => IpAddr::from(<[u8; 16]>::try_from(key.bytes.as_slice()).unwrap()),
            };
            if key.interval_end { format!("-{ip}") } else { ip.to_string() }
        };
        interval_keys(&ranges, family, without_loopback).iter().map(print).collect()
    }

    #[test]
    fn ranges_are_joined_and_never_hold_loopback() {
        let v4 = IpFamily::IPv4;
        assert_eq!(keys(&["10.0.0.0/8"], v4, false), ["10.0.0.0", "-11.0.0.0"]);
        assert_eq!(keys(&["10.1.0.0/16", "10.2.0.0/16"], v4, false), ["10.1.0.0", "-10.3.0.0"]);
        assert_eq!(keys(&["10.0.0.0/8", "10.2.0.0/16"], v4, false), ["10.0.0.0", "-11.0.0.0"]);
        assert_eq!(keys(&["0.0.0.0/0"], v4, true), ["0.0.0.0", "-127.0.0.0", "128.0.0.0"]);
        assert_eq!(keys(&["127.0.0.1/32"], v4, true), [""; 0]);
        assert_eq!(keys(&["10.0.0.0/8", "fd00::/64"], IpFamily::IPv6, false), ["fd00::", "-fd00:0:0:1::"]);
        assert_eq!(keys(&["::/0"], IpFamily::IPv6, true), ["::", "-::1", "::2"]);
    }
}
