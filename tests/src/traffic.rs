//! Who answers whom: servers that say their name and the address they saw, and clients that ask. TCP and UDP; both ends live in
//! namespaces that a test has made.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use crate::netns::Netns;

/// What a server sends: its name and the source address that it saw.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    /// The server's name.
    pub name: String,
    /// The client's address as the server saw it.
    pub seen_as: IpAddr,
}

/// How asking ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    /// Somebody answered.
    Answered(Answer),
    /// A reset, or a message that the port cannot be reached: the packet was rejected.
    Refused,
    /// A message that the network or the host cannot be reached.
    Unreachable,
    /// Nothing came: the packet was dropped, or went to a place where nobody listens for it.
    Silence,
}

/// The protocols that the servers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Asked for a page (`GET …`) it answers in HTTP and hangs up; anything else it answers line by line, and stays.
    Tcp,
    /// One datagram for one datagram.
    Udp,
}

/// A server, up until it is dropped.
#[derive(Debug)]
pub struct Server {
    runtime: Option<Runtime>,
}

impl Server {
    /// Listens at every address of a namespace, in both families, at the given ports. It listens when this returns.
    pub fn start(netns: &Netns, name: &str, ports: &[(Transport, u16)]) -> Result<Self> {
        // The runtime's threads are born inside, so all that they open belongs there.
        netns.enter(|| {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            for (transport, port) in ports {
                let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port));
                runtime
                    .block_on(listen(*transport, address, name.to_owned()))
                    .with_context(|| format!("listen at {transport:?} port {port} as {name}"))?;
            }
            Ok(Self { runtime: Some(runtime) })
        })?
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Sends one question from a namespace, from a fresh source port, and waits at most `limit` for the answer.
pub fn ask(netns: &Netns, transport: Transport, target: SocketAddr, limit: Duration) -> Result<Reply> {
    netns.enter(|| ask_from_here(transport, target, limit))?
}

/// The same from wherever the calling thread is: for a client that asks again and again and has entered its namespace once.
pub fn ask_from_here(transport: Transport, target: SocketAddr, limit: Duration) -> Result<Reply> {
    let asked = match transport {
        Transport::Tcp => ask_tcp(target, limit),
        Transport::Udp => ask_udp(target, limit),
    };
    match asked {
        Ok(line) => Ok(Reply::Answered(parse(&line)?)),
        Err(error) => classify(error).with_context(|| format!("ask {target} by {transport:?}")),
    }
}

async fn listen(transport: Transport, address: SocketAddr, name: String) -> std::io::Result<()> {
    match transport {
        Transport::Tcp => {
            let listener = tokio::net::TcpListener::bind(address).await?;
            tokio::spawn(async move {
                while let Ok((stream, peer)) = listener.accept().await {
                    tokio::spawn(converse(stream, line(&name, peer)));
                }
            });
        }
        Transport::Udp => {
            let socket = tokio::net::UdpSocket::bind(address).await?;
            tokio::spawn(async move {
                let mut buffer = [0; 64];
                loop {
                    // An error here is an ICMP message about an earlier answer: the next datagram is none the worse for it.
                    if let Ok((_, peer)) = socket.recv_from(&mut buffer).await {
                        let _ = socket.send_to(line(&name, peer).as_bytes(), peer).await;
                    }
                }
            });
        }
    }
    Ok(())
}

async fn converse(mut stream: tokio::net::TcpStream, line: String) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if buffer.starts_with(b"GET ") {
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", line.len());
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(line.as_bytes()).await?;
            return stream.shutdown().await;
        }
        stream.write_all(line.as_bytes()).await?;
    }
}

fn line(name: &str, peer: SocketAddr) -> String {
    // A socket of both families sees IPv4 clients under mapped addresses.
    format!("{name} {}\n", peer.ip().to_canonical())
}

fn ask_tcp(target: SocketAddr, limit: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"who is there?\n")?;
    read_line(|buffer| stream.read(buffer))
}

fn ask_udp(target: SocketAddr, limit: Duration) -> std::io::Result<String> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(limit))?;
    // Connected, so that a rejection comes back as an error.
    socket.connect(target)?;
    unless_filtered(socket.send(b"who is there?\n"))?;
    read_line(|buffer| socket.recv(buffer))
}

/// A datagram that the sender's own node drops or rejects fails to be sent (EPERM) in both cases; which it was is seen by waiting: a
/// rejection comes as an error like any other.
pub fn unless_filtered(sent: std::io::Result<usize>) -> std::io::Result<()> {
    match sent {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        sent => sent.map(drop),
    }
}

/// An answer is one short line, and comes in one piece.
fn read_line(mut read: impl FnMut(&mut [u8]) -> std::io::Result<usize>) -> std::io::Result<String> {
    let mut buffer = [0; 256];
    let length = read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn parse(line: &str) -> Result<Answer> {
    let (name, address) =
        line.trim_end().rsplit_once(' ').with_context(|| format!("no answer of ours: {line:?}"))?;
    Ok(Answer { name: name.to_owned(), seen_as: address.parse().context("the address that the server saw")? })
}

/// What an error of a client's socket says about how its question ended; any other error is handed back.
pub fn classify(error: std::io::Error) -> Result<Reply> {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Ok(Reply::Refused),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Ok(Reply::Unreachable),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Ok(Reply::Silence),
        _ => Err(error.into()),
    }
}
