//! An EndpointSlice, ours or another's, and what we write into one. No logic but reading labels.

use std::net::IpAddr;
use std::num::NonZeroU16;

use pointsman_crds::names::{LABEL_SLICE_MANAGED_BY, SLICE_MANAGED_BY};
use pointsman_crds::{IpFamily, Protocol};

use super::{Labels, Time};

/// An EndpointSlice as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// The UID of the Service that owns and controls it.
    pub owner: Option<String>,
    /// It is being deleted.
    pub deleting: bool,
    /// It carries something that we do not write, and would be lost if it were read and written: it needs to be rewritten.
    pub altered: bool,
    /// What it says.
    pub content: SliceContent,
}

/// What stands in an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceContent {
    /// The family of its addresses.
    pub family: IpFamily,
    /// All of its labels.
    pub labels: Labels,
    /// The oldest change that this version answers to.
    pub trigger: Option<Time>,
    /// Its ports.
    pub ports: Vec<SlicePort>,
    /// Its endpoints.
    pub endpoints: Vec<SliceEndpoint>,
}

/// A port of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlicePort {
    /// The name of the Service's port.
    pub name: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The number; without one it is of no use to a proxy.
    pub port: Option<NonZeroU16>,
    /// What is spoken there.
    pub app_protocol: Option<String>,
}

/// An endpoint of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Its address.
    pub address: IpAddr,
    /// It takes new connections.
    pub ready: bool,
    /// It answers, whether or not it is terminating.
    pub serving: bool,
    /// It is going away.
    pub terminating: bool,
    /// The Node that it runs on.
    pub node: Option<String>,
    /// The zone that it runs in.
    pub zone: Option<String>,
    /// Its host name in DNS.
    pub hostname: Option<String>,
    /// The Pod behind it.
    pub target: Option<TargetRef>,
    /// Hint: the zones that should use it.
    pub for_zones: Vec<String>,
    /// Hint: the nodes that should use it.
    pub for_nodes: Vec<String>,
}

/// The Pod behind an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl Slice {
    /// Whether Pointsman writes it.
    pub fn is_ours(&self) -> bool {
        self.content.labels.get(LABEL_SLICE_MANAGED_BY).is_some_and(|by| by == SLICE_MANAGED_BY)
    }

    /// The last part of its name, by which its shard is named.
    pub fn suffix(&self) -> &str {
        self.name.rsplit('-').next().unwrap_or(&self.name)
    }
}
