//! What is needed of a Pod. No logic.

use std::net::IpAddr;
use std::num::NonZeroU16;

use pointsman_crds::Protocol;

use super::{Labels, Time};

/// A Pod that can be an endpoint: it has an address and is not finished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// The Node that it runs on.
    pub node: Option<String>,
    /// Its Ready condition is True.
    pub ready: bool,
    /// When its Ready condition last changed.
    pub ready_changed: Option<Time>,
    /// It is being deleted.
    pub terminating: bool,
    /// Its host name in DNS, if it asks for one.
    pub hostname: Option<String>,
    /// The headless Service under which that host name stands.
    pub subdomain: Option<String>,
    /// Its named ports: of its containers, then of its sidecars (init containers that restart always), in their order.
    pub ports: Vec<ContainerPort>,
}

/// A named port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// Its name.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: NonZeroU16,
}
