//! SCTP by hand: INIT and INIT-ACK (RFC 9260) over raw IP sockets, checksum included, because no kernel at hand has SCTP sockets. It
//! knows these two chunks and nothing else of the protocol.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pointsman_tests::netns::Netns;
use pointsman_tests::traffic::unless_filtered;
use socket2::{Domain, Protocol, Socket, Type};

/// The protocol's number in an IP header.
pub const NUMBER: u8 = 132;
/// The chunk that opens an association.
pub const INIT: u8 = 1;
/// The chunk that answers it.
const INIT_ACK: u8 = 2;
/// The parameter of an INIT-ACK that its sender fills as it likes: here stands what a [`Server`] has to say.
const STATE_COOKIE: u16 = 7;
/// How often a server looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// The next client's port: below the range that kernels take theirs from.
static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);

/// Answers every INIT to one port of a namespace with an INIT-ACK whose cookie says its name and the address that it saw.
#[derive(Debug)]
pub struct Server {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// The one chunk of a packet, and how to answer it.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    source: u16,
    destination: u16,
    tag: u32,
    chunk: u8,
    initiate_tag: u32,
    cookie: Vec<u8>,
}

impl Server {
    /// Listens in both families. It listens when this returns.
    pub fn start(netns: &Netns, name: &str, port: u16) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for domain in [Domain::IPV4, Domain::IPV6] {
            let socket = netns.enter(|| raw(domain))??;
            socket.set_read_timeout(Some(LOOK))?;
            let (stop, name) = (stop.clone(), name.to_owned());
            threads.push(std::thread::spawn(move || serve(&socket, &name, port, &stop)));
        }
        Ok(Self { stop, threads })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic there has been printed; here nothing is left to do about it.
            let _ = thread.join();
        }
    }
}

/// Sends an INIT and waits for the INIT-ACK that answers it, from the address and port that were asked. Gives what its cookie says.
/// Called inside the namespace.
pub fn ask(target: SocketAddr, limit: Duration) -> Result<String> {
    let socket = raw(Domain::for_address(target))?;
    // Connected, so that a rejection comes back as an error and nobody else's answers come at all.
    socket.connect(SocketAddr::new(target.ip(), 0))?;
    let port = NEXT_PORT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |port| {
        Some(if port < 32_000 { port + 1 } else { 20_000 })
    });
    let port = port.unwrap_or_default();
    let tag = 0x5000_0000 | u32::from(port);
    let init = Packet {
        source: port,
        destination: target.port(),
        tag: 0,
        chunk: INIT,
        initiate_tag: tag,
        cookie: vec![],
    };
    unless_filtered(socket.send(&init.bytes()))?;
    let start = Instant::now();
    loop {
        let left = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero());
        socket.set_read_timeout(Some(left.ok_or(ErrorKind::TimedOut)?))?;
        let (_, packet) = receive(&socket)?;
        match packet {
            Some(packet) if packet.destination != port => {}
            Some(packet) if (packet.source, packet.tag, packet.chunk) == (target.port(), tag, INIT_ACK) => {
                return String::from_utf8(packet.cookie).map_err(Error::other);
            }
            Some(packet) => return Err(Error::other(format!("no answer to our INIT: {packet:?}"))),
            None => return Err(Error::other("a packet without a valid SCTP checksum")),
        }
    }
}

/// The port to which an IP payload goes and its chunk type, whatever its checksum says.
pub fn glance(payload: &[u8]) -> Option<(u16, u8)> {
    Some((number(payload, 2)?, *payload.get(12)?))
}

/// A raw socket has the methods of a UDP socket: datagrams to and from addresses. The port of an address must be 0.
fn raw(domain: Domain) -> Result<UdpSocket> {
    Ok(Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(NUMBER))))?.into())
}

fn serve(socket: &UdpSocket, name: &str, port: u16, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // An error is the read timeout, or an ICMP message about an earlier answer; a packet that is damaged gets no answer.
        let Ok((peer, Some(packet))) = receive(socket) else { continue };
        if (packet.chunk, packet.destination) != (INIT, port) {
            continue;
        }
        let answer = Packet {
            source: port,
            destination: packet.source,
            tag: packet.initiate_tag,
            chunk: INIT_ACK,
            initiate_tag: 0x6000_0000 | u32::from(packet.source),
            cookie: format!("{name} {peer}").into_bytes(),
        };
        let _ = socket.send_to(&answer.bytes(), (peer, 0));
    }
}

fn receive(socket: &UdpSocket) -> Result<(IpAddr, Option<Packet>)> {
    let mut buffer = [0; 2048];
    let (length, peer) = socket.recv_from(&mut buffer)?;
    // IPv4 raw sockets receive the IP header too, IPv6 ones do not.
    let header = if peer.is_ipv4() { usize::from(buffer[0] & 0xf) * 4 } else { 0 };
    Ok((peer.ip(), Packet::parse(&buffer[header.min(length)..length])))
}

impl Packet {
    /// `None` if it is too short or its checksum is wrong.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut unsigned = bytes.to_vec();
        unsigned.get_mut(8..12)?.fill(0);
        let checksum = <[u8; 4]>::try_from(bytes.get(8..12)?).ok()?;
        if crc32c::crc32c(&unsigned).to_le_bytes() != checksum {
            return None;
        }
        let word = |offset: usize| Some(u32::from_be_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?));
        let has_cookie = number(bytes, 32) == Some(STATE_COOKIE);
        let end = 32 + usize::from(number(bytes, 34).filter(|_| has_cookie).unwrap_or_default());
        Some(Self {
            source: number(bytes, 0)?,
            destination: number(bytes, 2)?,
            tag: word(4)?,
            chunk: *bytes.get(12)?,
            initiate_tag: word(16)?,
            cookie: bytes.get(36..end).unwrap_or_default().to_vec(),
        })
    }

    /// As it goes over the wire: common header, the chunk's fixed part (a window of 64 KiB, one stream each way), and the cookie.
    fn bytes(&self) -> Vec<u8> {
        let mut parameter = Vec::new();
        if !self.cookie.is_empty() {
            let length = u16::try_from(4 + self.cookie.len()).unwrap_or(u16::MAX);
            parameter.extend([STATE_COOKIE.to_be_bytes(), length.to_be_bytes()].concat());
            parameter.extend(&self.cookie);
        }
        let chunk_length = u16::try_from(20 + parameter.len()).unwrap_or(u16::MAX);
        parameter.resize(parameter.len().next_multiple_of(4), 0);
        let mut bytes = [self.source.to_be_bytes(), self.destination.to_be_bytes()].concat();
        bytes.extend(self.tag.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend([self.chunk, 0]);
        bytes.extend(chunk_length.to_be_bytes());
        for word in [self.initiate_tag, 0xffff, 0x0001_0001, 1] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(parameter);
        let checksum = crc32c::crc32c(&bytes);
        // The one number of the protocol that is not in network order (RFC 9260, appendix A).
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

fn number(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

/// Trial: a packet survives its own bytes, and one flipped bit anywhere does not go unseen.
pub fn checksum_is_checked() -> anyhow::Result<()> {
    let packet = Packet {
        source: 1,
        destination: 2,
        tag: 3,
        chunk: INIT_ACK,
        initiate_tag: 4,
        cookie: b"pod-1a 10.0.0.1".to_vec(),
    };
    let bytes = packet.bytes();
    anyhow::ensure!(Packet::parse(&bytes).as_ref() == Some(&packet), "it comes back as another");
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        anyhow::ensure!(Packet::parse(&damaged).is_none(), "bit {bit} flipped, and nobody saw it");
    }
    Ok(())
}
