//! The Services of the flow trials, in one plan: every frontend kind, and every way in which a Service can be short of endpoints. All
//! are dual-stack and have one port a protocol.

use pointsman_crds::{PlanEndpoint, Protocol};

use crate::plan::{Service, endpoint, endpoint_at, for_zones, service, terminating};
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

/// The first node port of Services: a Service has three, one a protocol, in order.
pub fn node_port(first: u16, protocol: Protocol) -> u16 {
    first + PROTOCOLS.iter().zip(0..).find(|(known, _)| **known == protocol).map_or(0, |(_, number)| number)
}

/// Node ports of [`services`] by Service.
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
pub fn services(world: &World) -> Vec<Service> {
    let pod = |name: &str| -> Vec<PlanEndpoint> {
        let index = PODS.iter().position(|pod| *pod == name).unwrap_or_default();
        let node = if index < 2 { "node-1" } else { "node-2" };
        world.pods[index].addresses().map(|ip| endpoint_at(ip, node)).to_vec()
    };
    let both = || [pod("pod-1a"), pod("pod-2a")].concat();
    let zoned = |name, zone| pod(name).into_iter().map(move |pod| for_zones(pod, &[zone]));
    let node_itself = world.addresses(Place::Node1).map(|ip| endpoint_at(ip, "node-1"));
    vec![
        with_node_ports(at("flows/all", "10"), node_ports::ALL).endpoints(target_port, both()),
        with_node_ports(at("flows/lonely", "20"), node_ports::LONELY),
        at("flows/one-node", "30").internal_local().endpoints(target_port, both()),
        at("flows/other-node", "40").internal_local().endpoints(target_port, pod("pod-2a")),
        at("flows/fading", "50").endpoints(target_port, both().into_iter().map(terminating)),
        at("flows/half-fading", "51")
            .endpoints(target_port, pod("pod-1a").into_iter().map(terminating).chain(pod("pod-2a"))),
        with_node_ports(at("flows/mirror", "60"), node_ports::MIRROR).endpoints(target_port, pod("pod-1b")),
        at("flows/host", "70").endpoints(target_port, node_itself),
        at("flows/zones", "80")
            .endpoints(target_port, zoned("pod-1a", "zone-1").chain(zoned("pod-2a", "zone-2"))),
        at("flows/refused", "90")
            .endpoints(target_port, [endpoint("127.0.0.1", "node-1"), endpoint("::1", "node-1")]),
        service("flows/near")
            .cluster_ips(&["10.96.9.10", "fd00:96::9:10"])
            .port(Protocol::Tcp, port(Protocol::Tcp))
            .port(Protocol::Udp, port(Protocol::Udp))
            .port(Protocol::Sctp, port(Protocol::Sctp))
            .endpoints(target_port, pod("pod-1a")),
    ]
}

/// A Service whose addresses of every kind end in `number`.
fn at(key: &str, number: &str) -> Service {
    let both = |v4: &str, v6: &str| [format!("{v4}.{number}"), format!("{v6}::{number}")];
    let (cluster, external, balancer) =
        (both("10.96.0", "fd00:96"), both("198.51.100", "fd00:51"), both("192.0.2", "fd00:2"));
    PROTOCOLS.iter().fold(
        service(key)
            .cluster_ips(&cluster.each_ref().map(String::as_str))
            .external_ips(&external.each_ref().map(String::as_str))
            .load_balancer_ips(&balancer.each_ref().map(String::as_str)),
        |service, protocol| service.port(*protocol, port(*protocol)),
    )
}

fn with_node_ports(mut service: Service, first: u16) -> Service {
    for plan_port in &mut service.spec.ports {
        plan_port.node_port = std::num::NonZeroU16::new(node_port(first, plan_port.protocol));
    }
    service
}
