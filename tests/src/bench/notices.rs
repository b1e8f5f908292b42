//! The kernel's own notices of changes to nf_tables in a namespace, counted by kind: what was written, whoever says what of it. It
//! only listens.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size_force, set_socket_timeout};
use rustix::net::{RecvFlags, recv};

use super::figures::Writes;
use crate::netns::Netns;

/// `NFNLGRP_NFTABLES` and `NFNL_SUBSYS_NFTABLES` of uapi/linux/netfilter/nfnetlink.h.
const GROUP: u32 = 7;
const SUBSYSTEM: u16 = 10;
/// The notices of a commit all come at its end: a ruleset of kube-proxy for 10,000 Services takes about 100 MB.
const QUEUE: usize = 512 * 1024 * 1024;
/// Longer than any batch of notices.
const BUFFER: usize = 256 * 1024;
/// How often the listener looks whether it is to end, once it hears nothing.
const PAUSE: Duration = Duration::from_millis(100);
/// struct nlmsghdr.
const HEADER: usize = 16;

/// A listener on a thread of its own.
#[derive(Debug)]
pub struct Notices {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Writes>>,
}

impl Notices {
    /// Listens from now on.
    pub fn listen(netns: &Netns) -> Result<Self> {
        let socket = netns.enter(|| -> Result<Socket> {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            set_socket_recv_buffer_size_force(socket.as_fd(), QUEUE)?;
            set_socket_timeout(socket.as_fd(), Timeout::Recv, Some(PAUSE))?;
            socket.bind(&SocketAddr::new(0, 0))?;
            socket.add_membership(GROUP)?;
            Ok(socket)
        })?;
        let socket = socket.context("listen to the kernel's notices")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Ok(Self { stop, thread: spawn(move || count(&socket, &stopped)) })
    }

    /// Ends once nothing more is waiting, and tells what was heard.
    pub fn stop(self) -> Result<Writes> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the listener panicked"))?
    }
}

fn count(socket: &Socket, stop: &AtomicBool) -> Result<Writes> {
    let mut writes = Writes::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        match recv(socket.as_fd(), buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok((length, _)) => note(&buffer[..length], &mut writes),
            Err(Errno::NOBUFS) => writes.lost = true,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if stop.load(Ordering::Relaxed) => return Ok(writes),
            Err(Errno::AGAIN) => {}
            Err(errno) => return Err(errno).context("hear the kernel's notices"),
        }
    }
}

/// Counts the messages of one datagram.
fn note(mut bytes: &[u8], writes: &mut Writes) {
    while let Some((length, kind)) = header(bytes) {
        if kind >> 8 == SUBSYSTEM {
            // enum nf_tables_msg_types of uapi/linux/netfilter/nf_tables.h: NEW, GET and DEL of each kind.
            let object = match kind & 0xff {
                0 | 2 => "table",
                3 | 5 => "chain",
                6 | 8 => "rule",
                9 | 11 => "set",
                12 | 14 => "element",
                15 => {
                    writes.transactions += 1;
                    "transaction"
                }
                _ => "other",
            };
            if object != "transaction" {
                *writes.objects.entry(object).or_default() += 1;
            }
        }
        // Messages begin at multiples of four bytes.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// Length and type of the message that stands first, if one does.
fn header(bytes: &[u8]) -> Option<(usize, u16)> {
    let head = bytes.get(..HEADER)?;
    let length = u32::from_ne_bytes(head.get(..4)?.try_into().ok()?);
    let kind = u16::from_ne_bytes(head.get(4..6)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    (length >= HEADER).then_some((length, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: usize) -> Vec<u8> {
        let length = u32::try_from(HEADER + payload).unwrap();
        let mut bytes = Vec::from(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.resize((HEADER + payload).next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn messages_are_counted_by_what_they_are_about() {
        let ours = SUBSYSTEM << 8;
        let kinds = [ours, ours | 12, ours | 14, ours | 6, ours | 15, ours | 21, (1 << 8) | 12];
        let datagram: Vec<u8> = kinds.into_iter().flat_map(|kind| message(kind, 5)).collect();
        let mut writes = Writes::default();
        note(&datagram, &mut writes);
        note(&datagram[..7], &mut writes);
        assert_eq!(writes.transactions, 1);
        let objects: Vec<_> = writes.objects.into_iter().collect();
        assert_eq!(objects, [("element", 2), ("other", 1), ("rule", 1), ("table", 1)]);
    }
}
