//! Tells when somebody else changes our tables: a second socket on nf_tables' notifications. It says that something
//! happened, never what: the answer to each is to read the table back.

use netlink_bindings::nftables::TableAttrs;
use netlink_sys::SocketAddr;
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::TABLE;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, sockopt};
use socket2::{SockFilter, SockRef};

use super::error::Error;
use super::message::{Kind, Message, family_of};
use super::socket::{netfilter, socket_error};

/// `NFNLGRP_NFTABLES`.
const GROUP: u32 = 7;
/// Others' large commits send many notifications; what does not fit is told as [`Touch::Lost`].
const QUEUE: usize = 4 * 1024 * 1024;
/// The longest notification is one message of elements.
const LONGEST: usize = 64 * 1024;

/// What was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Somebody changed this family's table.
    Table(IpFamily),
    /// So much happened that notifications were lost: read everything back.
    Lost,
}

/// The watcher of this network namespace.
#[derive(Debug)]
pub struct Watch {
    socket: netlink_sys::Socket,
    buffer: Vec<u8>,
}

impl Watch {
    /// Begins to watch, in the calling thread's network namespace. What the socket with the netlink port `own` commits
    /// is not told: a load of 10,000 Services sends 60,000 notifications, so the kernel drops them before they are
    /// queued.
    pub fn open(own: u32) -> Result<Self, Error> {
        let failed = |verb| move |source| Error::Socket { verb, source };
        let mut socket = netlink_sys::Socket::new(netfilter()).map_err(failed("open"))?;
        SockRef::from(&socket).attach_filter(&not_from(own)).map_err(failed("filter"))?;
        sockopt::set_socket_recv_buffer_size_force(&socket, QUEUE).map_err(|errno| match errno {
            Errno::PERM => Error::Privilege,
            errno => socket_error("enlarge the receive buffer", errno),
        })?;
        socket.bind(&SocketAddr::new(0, 0)).map_err(failed("bind"))?;
        socket.add_membership(GROUP).map_err(failed("join the notifications"))?;
        Ok(Self { socket, buffer: vec![0; LONGEST] })
    }

    /// Blocks until something is noticed. Notifications of one commit come in a burst: what already waits about the
    /// same table is told once.
    pub fn wait(&mut self) -> Result<Touch, Error> {
        let mut noticed = None;
        loop {
            let flags = if noticed.is_some() { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
            let received = rustix::io::retry_on_intr(|| {
                recv(&self.socket, self.buffer.as_mut_slice(), flags | RecvFlags::TRUNC)
            });
            let touches = match received {
                Ok((kept, sent)) if kept == sent => touches(&self.buffer[..kept]),
                Ok(_) => return Ok(Touch::Lost),
                Err(Errno::NOBUFS) => return Ok(Touch::Lost),
                Err(Errno::AGAIN) => return Ok(noticed.unwrap_or(Touch::Lost)),
                Err(errno) => return Err(socket_error("wait for notifications", errno)),
            };
            for touch in touches {
                noticed =
                    Some(noticed.map_or(touch, |first| if first == touch { first } else { Touch::Lost }));
            }
        }
    }
}

/// The families whose table these notifications are about.
fn touches(bytes: &[u8]) -> Vec<Touch> {
    let mut touches = Vec::new();
    for message in Message::all(bytes) {
        // The first attribute of every kind but the generation's is the table's name.
        let about_a_table = message.is_nf_tables() && message.kind() != Some(Kind::NewGeneration);
        let ours = TableAttrs::new(message.attributes())
            .get_name()
            .is_ok_and(|name| name.to_bytes() == TABLE.as_bytes());
        if let Some(family) = family_of(message.family()).filter(|_| about_a_table && ours) {
            touches.push(Touch::Table(family));
        }
    }
    touches.dedup();
    touches
}

/// A classic BPF program: drop what carries this port in its header (`nlmsg_pid`, byte 12), keep all else.
fn not_from(port: u32) -> [SockFilter; 4] {
    /// `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_RET | BPF_K`.
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // The program loads in network order what netlink writes in host order.
    let port = u32::from_be_bytes(port.to_ne_bytes());
    [
        SockFilter::new(LOAD, 0, 0, 12),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, port),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}
