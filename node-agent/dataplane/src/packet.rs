//! The words of every packet test: a new connection's first packet, and what becomes of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pointsman_crds::Protocol;

use crate::dispatch::Endpoint;

/// The first packet of a connection, as the node meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it enters.
    pub origin: Origin,
    /// Its source.
    pub source: IpAddr,
    /// Its destination, of the same family.
    pub destination: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its destination port.
    pub port: u16,
    /// Whether the destination is an address of the node itself (loopback included).
    pub to_local_address: bool,
}

/// Where a packet enters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A process in the node's own namespace sent it: output hook.
    Host,
    /// It came in through this interface: prerouting hook.
    Interface(String),
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes to one of these endpoints, chosen at random with equal weight.
    Forward {
        /// The endpoints, and for each whether the packet's source is replaced by the node's.
        endpoints: BTreeSet<(Endpoint, Masqueraded)>,
    },
    /// The sender is told that nobody listens.
    Reject,
    /// It vanishes.
    Drop,
    /// It is none of ours.
    Pass,
}

/// Whether a packet's source is replaced by the node's own address.
pub type Masqueraded = bool;
