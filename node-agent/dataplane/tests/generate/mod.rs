//! Random nodes, Services and packets from small pools, so that they meet: shared addresses, ports and endpoints are the rule here.
// Not only the tests, what they are built of may panic, too.
#![allow(clippy::unwrap_used)]

use pointsman_crds::{
    DetectLocalMode, EndpointGroup, NodePortAddressesType, PlanEndpoint, PlanPort, Protocol,
    ServiceProxyPlanSpec, Target, TrafficPolicy,
};
use pointsman_dataplane::testing::{from, node};
use pointsman_dataplane::{NodeFacts, Packet, ServiceKey, ServicePlan};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::net::IpAddr;
use std::num::NonZeroU16;

/// Cluster IPs; the last is outside of the service ranges.
const CLUSTER_IPS: [&str; 5] = ["10.96.0.1", "10.96.0.2", "fd00:96::1", "fd00:96::2", "172.20.0.1"];
/// Other addresses that Services listen on: two of the node's own, one of an endpoint, one that is a cluster IP, one that is refused.
const EXTERNAL_IPS: [&str; 7] =
    ["198.51.100.1", "2001:db8:51::1", "10.200.0.11", "192.0.2.11", "10.244.1.1", "10.96.0.2", "127.0.0.1"];
/// Pods, endpoints on the node's own address, and three that are refused.
const ENDPOINTS: [&str; 10] = [
    "10.244.1.1",
    "10.244.1.2",
    "10.244.2.1",
    "10.200.0.11",
    "fd00:244:1::1",
    "fd00:244:2::1",
    "fd00:200::11",
    "127.0.0.1",
    "10.96.0.9",
    "fe80::1",
];
const PORTS: [u16; 3] = [80, 81, 30080];
const NODE_PORTS: [u16; 3] = [30080, 30081, 30082];
/// An endpoint's port may be a number that is a frontend's port elsewhere.
const TARGETS: [u16; 3] = [80, 8080, 30080];
const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
const SOURCES: [&str; 12] = [
    "pod 10.244.1.1",
    "pod 10.244.1.9",
    "bridge 10.244.1.2",
    "elsewhere 10.244.2.1",
    "outside 203.0.113.9",
    "host 10.200.0.11",
    "host 127.0.0.1",
    "pod fd00:244:1::1",
    "bridge fd00:244:1::9",
    "elsewhere fd00:244:2::1",
    "outside 2001:db8::9",
    "host fd00:200::11",
];
/// More destinations: unallocated, loopback, another node, nobody.
const ELSEWHERE: [&str; 7] =
    ["10.96.0.9", "fd00:96::9", "::1", "2001:db8:2::11", "10.200.0.12", "203.0.113.1", "2001:db8::1"];

/// The names that Services can have.
pub fn keys() -> Vec<ServiceKey> {
    ["a", "b", "c", "d"].map(|name| ServiceKey::new("shop", name)).into()
}

/// A node of one of the kinds that decide differently.
pub fn facts() -> impl Strategy<Value = NodeFacts> {
    let local = select(vec![
        (DetectLocalMode::ClusterCIDR, ""),
        (DetectLocalMode::NodeCIDR, ""),
        (DetectLocalMode::BridgeInterface, "cni0"),
        (DetectLocalMode::InterfaceNamePrefix, "veth"),
        (DetectLocalMode::None, ""),
    ]);
    let addresses = select(vec![
        (NodePortAddressesType::Primary, vec![]),
        (NodePortAddressesType::All, vec![]),
        (NodePortAddressesType::CIDRs, vec!["192.0.2.0/24", "::/0"]),
    ]);
    (local, addresses, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |((mode, interface), (kind, cidrs), zone, all)| {
            let node = node("node-1").pods_by(mode, interface).node_ports_on(kind, &cidrs);
            let node = if zone { node.zone("a") } else { node };
            if all { node.masquerades_all() } else { node }.facts()
        },
    )
}

/// A Service's plan, or its absence.
pub fn change() -> impl Strategy<Value = (ServiceKey, Option<ServicePlan>)> {
    (select(keys()), prop::option::weighted(0.8, spec())).prop_map(|(key, spec)| {
        let plan = spec.map(|spec| ServicePlan { key: key.clone(), spec });
        (key, plan)
    })
}

fn spec() -> impl Strategy<Value = ServiceProxyPlanSpec> {
    let addresses = |pool: &'static [&'static str], most| {
        subsequence(pool, 0..=most).prop_map(|chosen| chosen.into_iter().map(parse).collect::<Vec<_>>())
    };
    let policy = || prop::option::weighted(0.25, Just(TrafficPolicy::Local));
    let ports = prop::collection::vec(
        (select(&PROTOCOLS), select(&PORTS), prop::option::of(select(&NODE_PORTS))),
        1..4,
    );
    (
        addresses(&CLUSTER_IPS, 3),
        addresses(&EXTERNAL_IPS, 2),
        addresses(&EXTERNAL_IPS, 1),
        ports,
        policy(),
        prop::option::weighted(0.1, Just(TrafficPolicy::Local)),
        prop::collection::vec(group(), 0..3),
    )
        .prop_map(|(cluster_ips, external_ips, load_balancer_ips, ports, internal, external, groups)| {
            ServiceProxyPlanSpec {
                service_uid: "uid".to_owned(),
                cluster_ips,
                external_ips,
                load_balancer_ips,
                ports: ports.into_iter().enumerate().map(port).collect(),
                internal_traffic_policy: internal,
                external_traffic_policy: external,
                groups,
                ..ServiceProxyPlanSpec::default()
            }
        })
}

fn port((index, (protocol, port, node_port)): (usize, (Protocol, u16, Option<u16>))) -> PlanPort {
    let number = NonZeroU16::new(port).unwrap();
    PlanPort {
        name: format!("p{index}"),
        protocol,
        port: number,
        node_port: node_port.and_then(NonZeroU16::new),
    }
}

fn group() -> impl Strategy<Value = EndpointGroup> {
    let targets = prop::collection::vec(select(&TARGETS), 1..4).prop_map(|ports| {
        let target = |(index, port): (usize, u16)| Target {
            name: format!("p{index}"),
            port: NonZeroU16::new(port).unwrap(),
        };
        ports.into_iter().enumerate().map(target).collect()
    });
    let endpoints = prop::collection::vec(endpoint(), 0..7);
    (targets, endpoints).prop_map(|(targets, endpoints)| EndpointGroup { targets, endpoints })
}

fn endpoint() -> impl Strategy<Value = PlanEndpoint> {
    let names = |names: &'static [&'static str]| {
        prop_oneof![2 => Just(Vec::new()), 1 => subsequence(names, 1..=2)]
            .prop_map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let node = select(vec![Some("node-1"), Some("node-2"), None]);
    (select(&ENDPOINTS), node, prop::bool::weighted(0.3), names(&["a", "b"]), names(&["node-1", "node-2"]))
        .prop_map(|(ip, node, terminating, for_zones, for_nodes)| PlanEndpoint {
            ip: parse(ip),
            node: node.map(str::to_owned),
            zone: None,
            for_zones,
            for_nodes,
            terminating,
        })
}

/// A packet that may meet a Service of the pools.
pub fn packet() -> impl Strategy<Value = Packet> {
    let addresses: Vec<&str> = [&CLUSTER_IPS[..], &EXTERNAL_IPS, &ENDPOINTS[..7], &ELSEWHERE].concat();
    let ports = vec![80, 81, 8080, 30080, 30081, 30082, 22];
    (
        select(&SOURCES),
        select(addresses),
        select(ports),
        select(vec!["tcp", "udp", "sctp"]),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(source, destination, port, protocol, index)| {
            let is_v6 = destination.contains(':');
            // The source must be of the destination's family: take another one if it is not.
            let fitting: Vec<&str> =
                SOURCES.into_iter().filter(|source| source.contains(':') == is_v6).collect();
            let source =
                if source.contains(':') == is_v6 { source } else { fitting[index.index(fitting.len())] };
            let address = if is_v6 { format!("[{destination}]") } else { destination.to_owned() };
            from(source).to(&format!("{address}:{port}/{protocol}"))
        })
}

fn parse(address: &str) -> IpAddr {
    address.parse().unwrap()
}
