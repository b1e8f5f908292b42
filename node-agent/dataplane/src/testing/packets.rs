//! Packets in a line, and outcomes as one.

use std::net::{IpAddr, SocketAddr};

use pointsman_crds::Protocol;

use super::ip;
use crate::packet::{Origin, Outcome, Packet};

/// The addresses of the node that packets are sent on: the two of its Node object, two more, and loopback.
pub const LOCAL_ADDRESSES: [&str; 6] =
    ["10.200.0.11", "fd00:200::11", "192.0.2.11", "2001:db8:2::11", "127.0.0.1", "::1"];

/// Whether an address is the node's own.
pub fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || LOCAL_ADDRESSES.iter().any(|local| ip(local) == address)
}

/// Where a packet comes from.
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    origin: Origin,
    source: IpAddr,
}

/// A packet from one of: `pod ADDRESS` (of this node, through `veth1`), `elsewhere ADDRESS` or `outside ADDRESS` (through `eth0`), `host ADDRESS`
/// (the node's own process), `bridge ADDRESS` (a pod behind the bridge `cni0`).
pub fn from(place: &str) -> PacketBuilder {
    let (place, address) = place.split_once(' ').unwrap_or_else(|| panic!("{place} names no address"));
    let through = |name: &str| Origin::Interface(name.to_owned());
    let origin = match place {
        "pod" => through("veth1"),
        "bridge" => through("cni0"),
        "elsewhere" | "outside" => through("eth0"),
        "host" => Origin::Host,
        _ => panic!("no packet comes from {place}"),
    };
    PacketBuilder { origin, source: ip(address) }
}

impl PacketBuilder {
    /// Its first packet to `ADDRESS:PORT/PROTOCOL`, an IPv6 address in brackets.
    pub fn to(&self, destination: &str) -> Packet {
        let (socket, protocol) = destination.split_once('/').expect("address:port/protocol");
        let socket: SocketAddr = socket.parse().unwrap_or_else(|_| panic!("{socket} is no address:port"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => panic!("{protocol} is no protocol"),
        };
        Packet {
            origin: self.origin.clone(),
            source: self.source,
            destination: socket.ip(),
            protocol,
            port: socket.port(),
            to_local_address: is_local(socket.ip()),
        }
    }
}

/// An outcome in a line: the endpoints, a masqueraded one with `~` before it, or `REJECT`, `DROP`, `PASS`.
pub fn text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Forward { endpoints } => {
            let one = |(endpoint, masqueraded): &(_, bool)| {
                format!("{}{endpoint}", if *masqueraded { "~" } else { "" })
            };
            endpoints.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        Outcome::Reject => "REJECT".to_owned(),
        Outcome::Drop => "DROP".to_owned(),
        Outcome::Pass => "PASS".to_owned(),
    }
}
