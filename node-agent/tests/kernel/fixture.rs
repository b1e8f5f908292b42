//! Tables that hold every set, every kind of element and every expression, made by hand from the dataplane's words.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use pointsman_crds::{IpFamily, Protocol};
use pointsman_dataplane::nftables::schema::{ChainId, SetId, revision_key};
use pointsman_dataplane::nftables::statement::{port_field, protocol_field, rule};
use pointsman_dataplane::nftables::table::{Bytes, Data, Key, Rule, Table, Value, address_bytes};
use pointsman_dataplane::nftables::transaction::Transaction;
use pointsman_dataplane::nftables::{base, text};
use pointsman_dataplane::node::{LocalDetector, NodeFacts};

/// Both families.
pub const FAMILIES: [IpFamily; 2] = [IpFamily::IPv4, IpFamily::IPv6];

/// A node that recognises its pods in this way.
pub fn node(local: LocalDetector) -> NodeFacts {
    let ranges = |texts: &[&str]| texts.iter().filter_map(|text| text.parse().ok()).collect();
    NodeFacts {
        name: "node-k".to_owned(),
        zone: None,
        families: FAMILIES.to_vec(),
        local,
        masquerade_mark: 0x4000,
        masquerade_all: false,
        node_port_ranges: ranges(&["0.0.0.0/0", "::/0"]),
        service_cidrs: ranges(&["10.96.0.0/12", "fd00:96::/112"]),
    }
}

/// Every way in which a node recognises its pods.
pub fn nodes() -> Vec<NodeFacts> {
    let ranges = ["10.180.1.0/24", "10.180.7.0/24", "fd00:180:1::/64"];
    let ranges = ranges.iter().filter_map(|text| text.parse().ok()).collect();
    vec![
        node(LocalDetector::Sources(ranges)),
        node(LocalDetector::Interface("cni0".to_owned())),
        node(LocalDetector::InterfacePrefix("veth".to_owned())),
        node(LocalDetector::None),
        NodeFacts { masquerade_all: true, masquerade_mark: 0x8000_0000, ..node(LocalDetector::None) },
    ]
}

/// An address of the family that ends in `last`.
pub fn address(family: IpFamily, last: u32) -> IpAddr {
    match family {
        IpFamily::IPv4 => IpAddr::from((0x0a60_0000 + last).to_be_bytes()),
        IpFamily::IPv6 => IpAddr::from((0xfd00_0096 << 96 | u128::from(last)).to_be_bytes()),
    }
}

/// A key from its parts.
pub fn key(parts: &[&[u8]]) -> Key {
    Key::point(&parts.concat())
}

/// Address, protocol and port.
pub fn frontend(ip: IpAddr, protocol: Protocol, port: u16) -> Bytes {
    let parts: [&[u8]; 3] = [&address_bytes(ip), &protocol_field(protocol), &port_field(port)];
    Bytes::from_slice(&parts.concat())
}

/// A value with a comment.
pub fn value(data: Option<Data>, comment: &str) -> Value {
    Value { data, comment: Some(Arc::from(comment)) }
}

/// An endpoint.
pub fn endpoint(ip: IpAddr, port: u16) -> Data {
    Data::Endpoint(Bytes::from_slice(&[&address_bytes(ip)[..], &port_field(port)].concat()))
}

/// The rules of a chain.
pub fn rules(node: &NodeFacts, chain: ChainId, family: IpFamily) -> Vec<Rule> {
    text::statements(node, chain, family).iter().map(|statements| rule(statements, family)).collect()
}

/// A table of this node with something of everything.
pub fn table(node: &NodeFacts, family: IpFamily) -> Table {
    let mut table = Table::new(family);
    let choosers = [ChainId::Lb(1), ChainId::Lb(3), ChainId::MasqLb(3), ChainId::NodePortLb(2)];
    for chain in ChainId::CONSTANT.into_iter().chain(choosers) {
        table.chains.insert(chain, rules(node, chain, family));
    }
    table.sets = SetId::ALL.into_iter().map(|set| (set, elements(set, family))).collect();
    for (set, keys) in base::ranges(node, family) {
        table.sets.insert(set, keys.into_iter().map(|key| (key, Value::default())).collect());
    }
    table
}

fn elements(set: SetId, family: IpFamily) -> BTreeMap<Key, Value> {
    let web = frontend(address(family, 1), Protocol::Tcp, 443);
    let dns = frontend(address(family, 10), Protocol::Udp, 53);
    let node_port = [protocol_field(Protocol::Sctp), port_field(30080)].concat();
    let pod = endpoint(address(family, 0x1001), 8443);
    let slot = |number: u32| number.to_ne_bytes();
    let itself = address_bytes(address(family, 0x1001));
    let all = match set {
        SetId::ClusterIps => {
            vec![(Key::point(&address_bytes(address(family, 1))), value(None, "default/kubernetes"))]
        }
        SetId::Services => vec![
            (Key::point(&web), value(Some(Data::Goto(ChainId::Lb(1))), "default/kubernetes:https")),
            (Key::point(&dns), Value { data: Some(Data::Goto(ChainId::MasqLb(3))), comment: None }),
        ],
        SetId::Endpoints => vec![
            (key(&[&web, &slot(0)]), value(Some(pod), &"c".repeat(127))),
            (key(&[&dns, &slot(0x0102_0304)]), value(Some(endpoint(address(family, 9), 1)), "a/dns:dns-udp")),
        ],
        SetId::NodePorts => {
            vec![(Key::point(&node_port), value(Some(Data::Goto(ChainId::NodePortLb(2))), "a/b"))]
        }
        SetId::NodePortEndpoints => vec![(key(&[&node_port, &slot(1)]), value(Some(pod), "a/b"))],
        SetId::NoEndpoints | SetId::NoLocalEndpoints => vec![(Key::point(&dns), value(None, "a/none"))],
        SetId::NoEndpointNodePorts | SetId::NoLocalEndpointNodePorts => {
            vec![(Key::point(&node_port), Value::default())]
        }
        SetId::Hairpin => {
            vec![(key(&[&itself, &web]), value(None, "a/b")), (key(&[&itself, &dns]), Value::default())]
        }
        SetId::NodePortIps | SetId::LocalSources | SetId::ServiceCidrs => Vec::new(),
        SetId::Revision => vec![(revision_key(), value(None, "4711"))],
    };
    all.into_iter().collect()
}

/// The transaction that makes a table from nothing.
pub fn creation(table: &Table) -> Transaction {
    let chosen = |chain: &ChainId| !ChainId::CONSTANT.contains(chain);
    Transaction {
        recreate: true,
        new_chains: table.chains.keys().copied().filter(chosen).collect::<BTreeSet<_>>(),
        rules: table.chains.clone(),
        add: table.sets.clone(),
        ..Transaction::default()
    }
}
