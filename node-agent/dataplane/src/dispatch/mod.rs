//! What a Service's plan means on one node: which addresses and ports it answers on, and what becomes of a packet there.
//!
//! [`dispatch`] is pure and total: what cannot be programmed is refused with a reason, the rest is dispatched. Every backend
//! compiles this and nothing else; [`Dispatch::decide`] is the oracle that they are tested against.

mod categorize;
mod decide;
mod fold;
mod refuse;
mod service;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use litemap::LiteMap;
use pointsman_crds::conditions::RefusalReason;
use pointsman_crds::{IpFamily, Protocol};

pub use categorize::{Candidate, Categorized, Policies, categorize};
pub use decide::is_local_source;
pub use fold::{Change, Counts, Dispatch};
pub use refuse::address_refusal;
pub use service::dispatch;

use crate::node::family_of;

/// An address and a port that packets can be sent on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.ip, self.port).fmt(f)
    }
}

/// Where a Service listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frontend {
    /// The address.
    pub address: FrontendAddress,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// The address of a frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrontendAddress {
    /// One virtual address.
    Vip(IpAddr),
    /// Every address of the node that node ports answer on.
    Node(IpFamily),
}

impl Frontend {
    /// The frontend's family.
    pub fn family(&self) -> IpFamily {
        match self.address {
            FrontendAddress::Vip(ip) => family_of(ip),
            FrontendAddress::Node(family) => family,
        }
    }
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            FrontendAddress::Vip(ip) => write!(f, "{}/{}", Endpoint { ip, port: self.port }, self.protocol),
            FrontendAddress::Node(family) => {
                write!(f, "node port {}/{} ({family:?})", self.port, self.protocol)
            }
        }
    }
}

/// What kind of address a frontend has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrontendKind {
    /// The Service's cluster IP.
    ClusterIp,
    /// One of its external IPs.
    ExternalIp,
    /// An address of its load balancer.
    LoadBalancer,
    /// A port of the node itself.
    NodePort,
}

/// What becomes of packets to a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They go to one of the endpoints.
    Balance {
        /// At least one, sorted, each once.
        endpoints: Arc<[Endpoint]>,
        /// Whose source is replaced.
        masquerade: Masquerade,
    },
    /// Nobody serves them anywhere.
    Reject,
    /// Nobody on this node serves them, and the policy forbids others.
    Drop,
}

/// Whose source address is replaced by the node's (hairpin traffic's always is).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masquerade {
    /// Everybody's.
    Always,
    /// Everybody's but that of this node's pods.
    Foreign,
}

/// A frontend of a Service and what becomes of its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendDispatch {
    /// What kind of address it is.
    pub kind: FrontendKind,
    /// For people: `namespace/name:port`.
    pub label: Arc<str>,
    /// What becomes of packets.
    pub verdict: Verdict,
}

/// What a Service's plan means on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceDispatch {
    /// Its frontends: few, and ten thousand such maps are held; a B-tree's node would take eleven times what one entry needs.
    pub frontends: LiteMap<Frontend, FrontendDispatch>,
    /// Those of its endpoints that run on this node, for hairpin traffic.
    pub local: BTreeSet<(Endpoint, Protocol)>,
    /// How many distinct endpoints (address, port, protocol) it has.
    pub endpoints: u32,
    /// What is not programmed, and why.
    pub refused: Vec<Refusal>,
}

/// Something in a plan that is not programmed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Why, in one word.
    pub reason: RefusalReason,
    /// What and why, in a sentence.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
