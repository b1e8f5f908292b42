//! What is needed of a Service. No logic but reading a label.

use std::net::IpAddr;
use std::num::NonZeroU16;

use ipnet::IpNet;
use pointsman_crds::names::LABEL_SERVICE_PROXY_NAME;
use pointsman_crds::{IpFamily, Protocol, ServiceRefused};

use super::{Labels, ServiceKey, Time};

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its namespace and name.
    pub key: ServiceKey,
    /// Its UID.
    pub uid: String,
    /// When it was created.
    pub created: Time,
    /// It is being deleted.
    pub deleting: bool,
    /// It is of type ExternalName: an alias in DNS, without endpoints or addresses.
    pub external_name: bool,
    /// Its labels.
    pub labels: Labels,
    /// Which Pods are its endpoints; `None`: others write its slices.
    pub selector: Option<Labels>,
    /// The families of its slices, in order.
    pub families: Vec<IpFamily>,
    /// It has no cluster IP, on purpose or not yet.
    pub headless: bool,
    /// Its cluster IPs.
    pub cluster_ips: Vec<IpAddr>,
    /// Its external IPs, all that it asks for.
    pub external_ips: Vec<IpAddr>,
    /// The addresses of its load balancer that packets still carry when they reach a node (ipMode VIP, KEP-1860).
    pub load_balancer_ips: Vec<IpAddr>,
    /// Who may come in through the load balancer; everybody when empty.
    pub source_ranges: Vec<IpNet>,
    /// It restricts its load balancer in words that cannot be read: nobody may come in.
    pub source_ranges_unreadable: bool,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// internalTrafficPolicy is Local.
    pub internal_local: bool,
    /// externalTrafficPolicy is Local.
    pub external_local: bool,
    /// The port of its health check; only with type LoadBalancer and externalTrafficPolicy Local.
    pub health_check_node_port: Option<NonZeroU16>,
    /// Client IP affinity, in seconds.
    pub affinity: Option<u32>,
    /// Which endpoints clients shall prefer.
    pub preferred: Preferred,
    /// Pods that are not ready count as ready (publishNotReadyAddresses).
    pub publish_not_ready: bool,
    /// What could not be read.
    pub malformed: Vec<ServiceRefused>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Where the Service's addresses answer.
    pub port: NonZeroU16,
    /// Where the nodes' addresses answer.
    pub node_port: Option<NonZeroU16>,
    /// Where the endpoints answer.
    pub target: TargetPort,
    /// What is spoken there.
    pub app_protocol: Option<String>,
}

/// Which endpoints clients shall prefer: trafficDistribution, told to proxies by hints in slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preferred {
    /// None.
    #[default]
    Any,
    /// Those in the client's zone (KEP-4444).
    SameZone,
    /// Those on the client's node, then those in its zone (KEP-3015).
    SameNode,
}

/// Where an endpoint answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// At this port.
    Number(NonZeroU16),
    /// At the container port of this name, which may be another number in each Pod.
    Name(String),
}

impl Service {
    /// The proxy that shall serve it, if not the default one.
    pub fn proxy_name(&self) -> Option<&str> {
        self.labels.get(LABEL_SERVICE_PROXY_NAME).map(String::as_str)
    }
}
