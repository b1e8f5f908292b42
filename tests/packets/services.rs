//! The Services of the flow trials, in one plan: every frontend kind, and every way in which a Service can be short of endpoints. All
//! are dual-stack and have one port a protocol.

use pointsman_crds::Protocol;
use pointsman_dataplane::ServicePlan;
use pointsman_dataplane::testing::{EndpointBuilder, ServiceBuilder, endpoint, service};

use crate::world::{PODS, Place, World, target_port};

/// The port of every Service for a protocol.
pub fn port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => 80,
        Protocol::Udp => 53,
        Protocol::Sctp => 3868,
    }
}

/// Every protocol.
pub const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

/// A Service's node port for a protocol: it has three, in order.
pub fn node_port(first: u16, protocol: Protocol) -> u16 {
    first + PROTOCOLS.iter().zip(0..).find(|(known, _)| **known == protocol).map_or(0, |(_, number)| number)
}

/// The first node ports of [`services`] by Service.
pub mod node_ports {
    /// Of `flows/all`.
    pub const ALL: u16 = 30080;
    /// Of `flows/lonely`.
    pub const LONELY: u16 = 30090;
    /// Of `flows/mirror`.
    pub const MIRROR: u16 = 30100;
    /// Of no Service; processes listen there.
    pub const NOBODYS: u16 = 30110;
}

/// The plan of the flow trials.
pub fn services(world: &World) -> Vec<ServicePlan> {
    let pod = |name| pod(world, name);
    let both = || [pod("pod-1a"), pod("pod-2a")].concat();
    let fading = |name| pod(name).into_iter().map(EndpointBuilder::terminating).collect::<Vec<_>>();
    let zoned = |name, zone| pod(name).into_iter().map(|pod| pod.for_zones(&[zone])).collect::<Vec<_>>();
    let host = world.addresses(Place::Node1).map(|ip| endpoint(&ip.to_string()).on("node-1")).to_vec();
    let nowhere = vec![endpoint("127.0.0.1").on("node-1"), endpoint("::1").on("node-1")];
    let near = service("flows/near").cluster_ip("10.96.9.10").cluster_ip("fd00:96::9:10");
    let described = [
        (all(), both()),
        (with_ports(at("flows/lonely", "20"), Some(node_ports::LONELY)), vec![]),
        (with_ports(at("flows/one-node", "30").internal_local(), None), both()),
        (with_ports(at("flows/other-node", "40").internal_local(), None), pod("pod-2a")),
        (with_ports(at("flows/fading", "50"), None), [fading("pod-1a"), fading("pod-2a")].concat()),
        (with_ports(at("flows/half-fading", "51"), None), [fading("pod-1a"), pod("pod-2a")].concat()),
        (with_ports(at("flows/mirror", "60"), Some(node_ports::MIRROR)), pod("pod-1b")),
        (with_ports(at("flows/host", "70"), None), host),
        (
            with_ports(at("flows/zones", "80"), None),
            [zoned("pod-1a", "zone-1"), zoned("pod-2a", "zone-2")].concat(),
        ),
        (with_ports(at("flows/refused", "90"), None), nowhere),
        (with_ports(near, None), pod("pod-1a")),
    ];
    let with_endpoints = |(service, endpoints): (ServiceBuilder, Vec<EndpointBuilder>)| {
        endpoints.into_iter().fold(service, ServiceBuilder::endpoint).plan()
    };
    described.into_iter().map(with_endpoints).collect()
}

/// The plan of the flow trials, but with these pods as the endpoints of `flows/all`.
pub fn services_with(world: &World, pods: &[&str]) -> Vec<ServicePlan> {
    let endpoints = pods.iter().flat_map(|name| pod(world, name));
    let changed = endpoints.fold(all(), ServiceBuilder::endpoint).plan();
    let mut services = services(world);
    services.retain(|service| service.key != changed.key);
    services.push(changed);
    services
}

fn all() -> ServiceBuilder {
    with_ports(at("flows/all", "10"), Some(node_ports::ALL))
}

/// A pod of the world as an endpoint, in both families.
fn pod(world: &World, name: &str) -> Vec<EndpointBuilder> {
    let index = PODS.iter().position(|pod| *pod == name).unwrap_or_default();
    let node = &world.topology.nodes[index / 2].name;
    world.pods[index].addresses().map(|ip| endpoint(&ip.to_string()).on(node)).to_vec()
}

/// A Service whose addresses of every kind end in `number`.
fn at(key: &str, number: &str) -> ServiceBuilder {
    service(key)
        .cluster_ip(&format!("10.96.0.{number}"))
        .cluster_ip(&format!("fd00:96::{number}"))
        .external_ip(&format!("198.51.100.{number}"))
        .external_ip(&format!("fd00:51::{number}"))
        .load_balancer(&format!("192.0.2.{number}"))
        .load_balancer(&format!("fd00:2::{number}"))
}

fn with_ports(service: ServiceBuilder, first_node_port: Option<u16>) -> ServiceBuilder {
    PROTOCOLS.into_iter().fold(service, |service, protocol| {
        let service = service.port(protocol, port(protocol), target_port(protocol));
        match first_node_port {
            Some(first) => service.node_port(node_port(first, protocol)),
            None => service,
        }
    })
}
