//! Services and nodes in a line each.

use std::num::NonZeroU16;

use ipnet::IpNet;
use pointsman_crds::{
    DetectLocal, DetectLocalMode, EndpointGroup, IpFamily, Masquerade, NodeIdentity, NodePortAddresses,
    NodePortAddressesType, NodeProxyPlanSpec, PlanEndpoint, PlanPort, Protocol, ServiceProxyPlanSpec, Target,
    TrafficPolicy,
};

use super::ip;
use crate::{NodeFacts, ServiceKey, ServicePlan};

/// A Service being described.
#[derive(Clone, Debug)]
pub struct ServiceBuilder {
    key: ServiceKey,
    spec: ServiceProxyPlanSpec,
}

/// The Service `namespace/name`, with nothing yet.
pub fn service(key: &str) -> ServiceBuilder {
    let (namespace, name) = key.split_once('/').expect("namespace/name");
    let spec = ServiceProxyPlanSpec { service_uid: format!("uid-{name}"), ..ServiceProxyPlanSpec::default() };
    ServiceBuilder { key: ServiceKey::new(namespace, name), spec }
}

impl ServiceBuilder {
    /// Listens on this cluster IP.
    pub fn cluster_ip(mut self, address: &str) -> Self {
        self.spec.cluster_ips.push(ip(address));
        self
    }

    /// Listens on this external IP.
    pub fn external_ip(mut self, address: &str) -> Self {
        self.spec.external_ips.push(ip(address));
        self
    }

    /// Listens on this address of a load balancer.
    pub fn load_balancer(mut self, address: &str) -> Self {
        self.spec.load_balancer_ips.push(ip(address));
        self
    }

    /// The port `port/protocol`, served by `target` of the endpoints of the latest group. Ports are named `p<n>`, the only one of a Service `p0`.
    pub fn port(mut self, protocol: Protocol, port: u16, target: u16) -> Self {
        let name = format!("p{}", self.spec.ports.len());
        let number = |port| NonZeroU16::new(port).expect("a port");
        self.spec.ports.push(PlanPort { name: name.clone(), protocol, port: number(port), node_port: None });
        self.group().targets.push(Target { name, port: number(target) });
        self
    }

    /// The latest port is a node port, too.
    pub fn node_port(mut self, port: u16) -> Self {
        self.spec.ports.last_mut().expect("a port").node_port = NonZeroU16::new(port);
        self
    }

    /// The port named `name` is served by `target` in a new group, to which the endpoints that follow belong.
    pub fn other_target(mut self, name: &str, target: u16) -> Self {
        let targets = vec![Target { name: name.to_owned(), port: NonZeroU16::new(target).expect("a port") }];
        self.spec.groups.push(EndpointGroup { targets, endpoints: Vec::new() });
        self
    }

    /// One more endpoint, in the latest group.
    pub fn endpoint(mut self, endpoint: impl Into<EndpointBuilder>) -> Self {
        let endpoint = endpoint.into().0;
        self.group().endpoints.push(endpoint);
        self
    }

    /// `internalTrafficPolicy: Local`.
    pub fn internal_local(mut self) -> Self {
        self.spec.internal_traffic_policy = Some(TrafficPolicy::Local);
        self
    }

    /// `externalTrafficPolicy: Local`.
    pub fn external_local(mut self) -> Self {
        self.spec.external_traffic_policy = Some(TrafficPolicy::Local);
        self
    }

    /// The plan.
    pub fn plan(self) -> ServicePlan {
        ServicePlan { key: self.key, spec: self.spec }
    }

    fn group(&mut self) -> &mut EndpointGroup {
        if self.spec.groups.is_empty() {
            self.spec.groups.push(EndpointGroup::default());
        }
        self.spec.groups.last_mut().expect("just made")
    }
}

/// An endpoint being described.
#[derive(Clone, Debug)]
pub struct EndpointBuilder(PlanEndpoint);

/// A ready endpoint without node, zone and hints.
pub fn endpoint(address: &str) -> EndpointBuilder {
    EndpointBuilder(PlanEndpoint {
        ip: ip(address),
        node: None,
        zone: None,
        for_zones: Vec::new(),
        for_nodes: Vec::new(),
        terminating: false,
    })
}

impl EndpointBuilder {
    /// It runs on this node.
    pub fn on(mut self, node: &str) -> Self {
        self.0.node = Some(node.to_owned());
        self
    }

    /// Hint: for these zones.
    pub fn for_zones(mut self, zones: &[&str]) -> Self {
        self.0.for_zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
        self
    }

    /// Hint: for these nodes.
    pub fn for_nodes(mut self, nodes: &[&str]) -> Self {
        self.0.for_nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        self
    }

    /// It is going away.
    pub fn terminating(mut self) -> Self {
        self.0.terminating = true;
        self
    }
}

impl From<&str> for EndpointBuilder {
    fn from(address: &str) -> Self {
        endpoint(address)
    }
}

/// A node being described.
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    name: String,
    spec: NodeProxyPlanSpec,
}

/// A node at 10.200.0.11 and fd00:200::11, pods in 10.244.1.0/24 and fd00:244:1::/64, that recognises pods by the cluster's ranges 10.244.0.0/16 and
/// fd00:244::/32; cluster IPs come from 10.96.0.0/16 and fd00:96::/112.
pub fn node(name: &str) -> NodeBuilder {
    let node = NodeIdentity {
        uid: format!("uid-{name}"),
        addresses: vec![ip("10.200.0.11"), ip("fd00:200::11")],
        pod_cidrs: ranges(&["10.244.1.0/24", "fd00:244:1::/64"]),
        ..NodeIdentity::default()
    };
    let service_cidrs = ranges(&["10.96.0.0/16", "fd00:96::/112"]);
    let spec = NodeProxyPlanSpec { node, service_cidrs, ..NodeProxyPlanSpec::default() };
    NodeBuilder { name: name.to_owned(), spec }.pods_by(DetectLocalMode::ClusterCIDR, "")
}

impl NodeBuilder {
    /// It is in this zone.
    pub fn zone(mut self, zone: &str) -> Self {
        self.spec.node.zone = Some(zone.to_owned());
        self
    }

    /// It recognises its pods so; `interface` for the modes that ask for one.
    pub fn pods_by(mut self, mode: DetectLocalMode, interface: &str) -> Self {
        let cluster_cidrs = match mode {
            DetectLocalMode::ClusterCIDR => ranges(&["10.244.0.0/16", "fd00:244::/32"]),
            _ => Vec::new(),
        };
        let interface = (!interface.is_empty()).then(|| interface.to_owned());
        self.spec.settings.detect_local = Some(DetectLocal { mode, cluster_cidrs, interface });
        self
    }

    /// It masquerades all traffic to cluster IPs.
    pub fn masquerades_all(mut self) -> Self {
        self.spec.settings.masquerade = Some(Masquerade { all: Some(true), bit: None });
        self
    }

    /// Its mark is this bit.
    pub fn mark_bit(mut self, bit: u8) -> Self {
        self.spec.settings.masquerade = Some(Masquerade { all: None, bit: Some(bit) });
        self
    }

    /// Node ports answer on these of its addresses.
    pub fn node_ports_on(mut self, kind: NodePortAddressesType, cidrs: &[&str]) -> Self {
        self.spec.settings.node_port_addresses = Some(NodePortAddresses { kind, cidrs: ranges(cidrs) });
        self
    }

    /// It proxies this family only.
    pub fn only(mut self, family: IpFamily) -> Self {
        self.spec.settings.ip_families = Some(vec![family]);
        self
    }

    /// Its facts.
    pub fn facts(self) -> NodeFacts {
        NodeFacts::new(&self.name, &self.spec)
    }
}

fn ranges(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|_| panic!("{text} is no range"))).collect()
}
