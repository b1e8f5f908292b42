//! What is needed of a Node. No logic.

use std::net::IpAddr;

use ipnet::IpNet;

/// A Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The first of its addresses in each family: its InternalIP, or without one its ExternalIP.
    pub addresses: Vec<IpAddr>,
    /// The ranges that its pods get their addresses from.
    pub pod_cidrs: Vec<IpNet>,
    /// Its zone.
    pub zone: Option<String>,
    /// It is being deleted, or drained by the cluster autoscaler (KEP-3836).
    pub leaving: bool,
    /// It runs another system than Linux (its label `kubernetes.io/os`): its pods are endpoints, and nobody of ours proxies on it.
    pub is_foreign: bool,
}
