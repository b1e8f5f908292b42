//! Plans that read as English: a Service's and a node's, as objects for a plan directory and as values for the dataplane. It writes no
//! file and knows no network.

use std::net::IpAddr;
use std::num::NonZeroU16;

use pointsman_crds::{
    EndpointGroup, NodeIdentity, NodeProxyPlan, NodeProxyPlanSpec, PlanEndpoint, PlanPort, Protocol,
    ProxySettings, ServiceProxyPlan, ServiceProxyPlanSpec, Target, TrafficPolicy,
};
use pointsman_dataplane::{ServiceKey, ServicePlan};

/// The ranges that cluster IPs come from.
pub const SERVICE_CIDRS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];

/// A Service's plan in the making.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// `namespace/name`.
    pub key: ServiceKey,
    /// The plan.
    pub spec: ServiceProxyPlanSpec,
}

/// A Service without addresses, ports and endpoints; `key` is `namespace/name`.
pub fn service(key: &str) -> Service {
    let (namespace, name) = key.split_once('/').unwrap_or(("shop", key));
    let spec = ServiceProxyPlanSpec { service_uid: format!("uid-of-{name}"), ..Default::default() };
    Service { key: ServiceKey::new(namespace, name), spec }
}

/// An endpoint on a node.
pub fn endpoint(ip: &str, node: &str) -> PlanEndpoint {
    endpoint_at(address(ip), node)
}

/// The same for an address that is at hand as such.
pub fn endpoint_at(ip: IpAddr, node: &str) -> PlanEndpoint {
    PlanEndpoint {
        ip,
        node: Some(node.to_owned()),
        zone: None,
        for_zones: vec![],
        for_nodes: vec![],
        terminating: false,
    }
}

/// The same endpoint, going away.
pub fn terminating(mut endpoint: PlanEndpoint) -> PlanEndpoint {
    endpoint.terminating = true;
    endpoint
}

/// The same endpoint, hinted at these zones.
pub fn for_zones(mut endpoint: PlanEndpoint, zones: &[&str]) -> PlanEndpoint {
    endpoint.for_zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
    endpoint
}

/// An address that the test's author wrote.
#[expect(clippy::panic, reason = "a slip of the author's, not of the machine's")]
pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
}

impl Service {
    /// Its cluster IPs, at most one a family.
    pub fn cluster_ips(mut self, ips: &[&str]) -> Self {
        self.spec.cluster_ips = ips.iter().map(|ip| address(ip)).collect();
        self
    }

    /// Its external IPs.
    pub fn external_ips(mut self, ips: &[&str]) -> Self {
        self.spec.external_ips = ips.iter().map(|ip| address(ip)).collect();
        self
    }

    /// Its load balancer's addresses.
    pub fn load_balancer_ips(mut self, ips: &[&str]) -> Self {
        self.spec.load_balancer_ips = ips.iter().map(|ip| address(ip)).collect();
        self
    }

    /// One port more, named as its protocol and number.
    pub fn port(mut self, protocol: Protocol, port: u16) -> Self {
        let name = format!("{}-{port}", protocol.to_string().to_lowercase());
        self.spec.ports.push(PlanPort { name, protocol, port: number(port), node_port: None });
        self
    }

    /// One port more, on the nodes' addresses too.
    pub fn node_port(self, protocol: Protocol, port: u16, node_port: u16) -> Self {
        let mut service = self.port(protocol, port);
        if let Some(last) = service.spec.ports.last_mut() {
            last.node_port = Some(number(node_port));
        }
        service
    }

    /// Traffic to its cluster IPs stays on the node.
    pub fn internal_local(mut self) -> Self {
        self.spec.internal_traffic_policy = Some(TrafficPolicy::Local);
        self
    }

    /// Endpoints that serve every port so far, each at the port that `target` says for the protocol.
    pub fn endpoints(
        mut self,
        target: impl Fn(Protocol) -> u16,
        endpoints: impl IntoIterator<Item = PlanEndpoint>,
    ) -> Self {
        let of = |port: &PlanPort| Target { name: port.name.clone(), port: number(target(port.protocol)) };
        let targets = self.spec.ports.iter().map(of).collect();
        self.spec.groups.push(EndpointGroup { targets, endpoints: endpoints.into_iter().collect() });
        self
    }

    /// The object, as a plan directory holds it.
    pub fn object(&self) -> ServiceProxyPlan {
        let mut object = ServiceProxyPlan::new(self.key.name(), self.spec.clone());
        object.metadata.namespace = Some(self.key.namespace().to_owned());
        object
    }

    /// The value, as the dataplane takes it.
    pub fn plan(&self) -> ServicePlan {
        ServicePlan::assemble(self.key.clone(), &self.spec, &[])
    }
}

/// A node's plan: who it is, and how it proxies.
pub fn node_spec(
    addresses: &[IpAddr],
    pod_cidrs: &[String],
    zone: &str,
    settings: ProxySettings,
) -> NodeProxyPlanSpec {
    NodeProxyPlanSpec {
        node: NodeIdentity {
            uid: "uid-of-the-node".to_owned(),
            addresses: addresses.to_vec(),
            pod_cidrs: pod_cidrs.iter().map(|range| net(range)).collect(),
            zone: Some(zone.to_owned()),
            leaving: false,
        },
        service_cidrs: SERVICE_CIDRS.iter().map(|range| net(range)).collect(),
        profile: None,
        settings,
    }
}

/// The object, as a plan directory holds it.
pub fn node_object(name: &str, spec: NodeProxyPlanSpec, generation: i64) -> NodeProxyPlan {
    let mut object = NodeProxyPlan::new(name, spec);
    object.metadata.generation = Some(generation);
    object
}

/// A range that the test's author wrote.
#[expect(clippy::panic, reason = "a slip of the author's, not of the machine's")]
pub fn net(text: &str) -> ipnet::IpNet {
    text.parse().unwrap_or_else(|_| panic!("{text} is no range"))
}

fn number(port: u16) -> NonZeroU16 {
    NonZeroU16::new(port).unwrap_or(NonZeroU16::MAX)
}
