//! What expressions can see of a packet, its connection and its way: headers, interface, mark, conntrack.

use std::net::IpAddr;

use pointsman_crds::{IpFamily, Protocol};

use super::super::expr::{CT_STATE_NEW, CT_STATUS_DNAT, CtKey, Header, MetaKey};
use super::super::table::Bytes;
use super::{Flight, Place};
use crate::packet::Origin;

/// `IFNAMSIZ`.
const INTERFACE_NAME_LENGTH: usize = 16;

/// A fact about the packet at this hook.
pub fn meta(key: MetaKey, place: Place, flight: &Flight) -> Bytes {
    match key {
        MetaKey::L4Proto => Bytes::from_slice(&[protocol_number(flight.packet.protocol)]),
        MetaKey::Mark => Bytes::from_slice(&flight.mark.to_ne_bytes()),
        MetaKey::IifName => {
            let name = match (&flight.packet.origin, place) {
                (_, Place::Output | Place::Postrouting) => "",
                (Origin::Host, _) => "lo",
                (Origin::Interface(name), _) => name,
            };
            let mut bytes = Bytes::from_slice(name.as_bytes());
            bytes.resize(INTERFACE_NAME_LENGTH, 0);
            bytes
        }
    }
}

/// Bytes of a header, `None` for those that no rule of ours reads. Addresses are where RFC 791 and RFC 8200 have them, the destination port where
/// all transports have it.
pub fn payload(header: Header, offset: u8, length: u8, flight: &Flight, family: IpFamily) -> Option<Bytes> {
    let address = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => Bytes::from_slice(&ip.octets()),
        IpAddr::V6(ip) => Bytes::from_slice(&ip.octets()),
    };
    match (header, family, offset, length) {
        (Header::Network, IpFamily::IPv4, 12, 4) | (Header::Network, IpFamily::IPv6, 8, 16) => {
            Some(address(flight.packet.source))
        }
        (Header::Network, IpFamily::IPv4, 16, 4) | (Header::Network, IpFamily::IPv6, 24, 16) => {
            Some(address(flight.packet.destination))
        }
        (Header::Transport, _, 2, 2) => Some(Bytes::from_slice(&flight.packet.port.to_be_bytes())),
        _ => None,
    }
}

/// The connection of its first packet: always new; translated or not.
pub fn connection(key: CtKey, flight: &Flight) -> u32 {
    match key {
        CtKey::State => CT_STATE_NEW,
        CtKey::Status if flight.translated => CT_STATUS_DNAT,
        CtKey::Status => 0,
    }
}

/// IANA's numbers, written again here: the interpreter must not share a mistake with the compiler.
fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}
