//! What came by: an ear in a namespace that hears the first packets of connections on every link of it. It changes nothing.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::net::IpAddr;

use anyhow::{Context, Result};
use pointsman_crds::Protocol;
use pointsman_tests::netns::Netns;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use socket2::{Domain, Socket, Type};

use crate::sctp;

/// `ETH_P_ALL`: packets of every protocol.
const EVERYTHING: u16 = 3;
/// Holds some thousand packets between two looks; beyond it the kernel would forget packets in silence.
const BUFFER: usize = 64 * 1024 * 1024;
/// Kernels take client ports from here upwards: a packet to such a port is an answer.
const CLIENT_PORTS: u16 = 32_768;

/// The first packet of a connection, as it came by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its destination port.
    pub port: u16,
    /// Its TTL or hop limit: 64 at its sender, one less for each router.
    pub hops: u8,
}

/// The ear. What comes by waits in it until it is asked.
#[derive(Debug)]
pub struct Capture {
    socket: Socket,
}

impl Capture {
    /// Listens from now on.
    pub fn start(netns: &Netns) -> Result<Self> {
        let protocol = socket2::Protocol::from(i32::from(EVERYTHING.to_be()));
        let open = || Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol));
        let socket = netns.enter(open)?.with_context(|| format!("listen in {}", netns.name()))?;
        socket.set_nonblocking(true)?;
        set_socket_recv_buffer_size_force(&socket, BUFFER)?;
        Ok(Self { socket })
    }

    /// What came by since the last call: each kind once, however often (a SYN may come twice).
    pub fn take(&self) -> Result<BTreeSet<Sighting>> {
        let mut seen = BTreeSet::new();
        let mut buffer = [0; 256];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(length) => seen.extend(look(&buffer[..length])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(seen),
                Err(error) => return Err(error).context("read what was captured"),
            }
        }
    }
}

/// A packet of IP that opens a connection.
fn look(packet: &[u8]) -> Option<Sighting> {
    let (source, destination, number, hops, payload) = match packet.first()? >> 4 {
        4 => {
            let address = |offset: usize| {
                Some(IpAddr::from(<[u8; 4]>::try_from(packet.get(offset..offset + 4)?).ok()?))
            };
            let payload = packet.get(usize::from(packet[0] & 0xf) * 4..)?;
            (address(12)?, address(16)?, *packet.get(9)?, *packet.get(8)?, payload)
        }
        6 => {
            let address = |offset: usize| {
                Some(IpAddr::from(<[u8; 16]>::try_from(packet.get(offset..offset + 16)?).ok()?))
            };
            (address(8)?, address(24)?, *packet.get(6)?, *packet.get(7)?, packet.get(40..)?)
        }
        _ => return None,
    };
    let port = u16::from_be_bytes(payload.get(2..4)?.try_into().ok()?);
    let (protocol, opens) = match number {
        // SYN without ACK.
        6 => (Protocol::Tcp, payload.get(13)? & 0x12 == 0x02),
        17 => (Protocol::Udp, port < CLIENT_PORTS),
        sctp::NUMBER => (Protocol::Sctp, sctp::glance(payload)?.1 == sctp::INIT),
        _ => return None,
    };
    opens.then_some(Sighting { source, destination, protocol, port, hops })
}
