//! One netlink socket to nf_tables: sends, and reads every answer. It knows messages, not what they mean. It blocks;
//! nf_tables works inside `send`, so that all answers to a batch wait when `send` returns.

use std::io;

use netlink_bindings::consts::{NETLINK_NETFILTER, NLM_F_ACK, NLM_F_DUMP};
use netlink_sys::SocketAddr;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

use super::error::Error;
use super::message::{Answer, Kind, Message, request};

/// The kernel makes dump messages of up to 32 KiB, and 64 KiB is the most an attribute can hold.
const RECEIVE: usize = 64 * 1024;
/// Holds the refusals of a batch in which each of some thousand messages is refused.
const RECEIVE_QUEUE: usize = 4 * 1024 * 1024;
/// What the kernel takes away from the send buffer's size for itself, generously.
const SEND_OVERHEAD: usize = 4096;

/// A socket of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Socket {
    inner: netlink_sys::Socket,
    port: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens it. Needs no privilege; what is asked later does.
    pub fn open() -> Result<Self, Error> {
        let failed = |verb| move |source| Error::Socket { verb, source };
        let mut inner =
            netlink_sys::Socket::new(netfilter()).map_err(|source| match source.raw_os_error() {
                Some(errno) if errno == Errno::PROTONOSUPPORT.raw_os_error() => {
                    Error::Unsupported("it has no nfnetlink".to_owned())
                }
                _ => Error::Socket { verb: "open", source },
            })?;
        let port = inner.bind_auto().map_err(failed("bind"))?.port_number();
        // Connected, no other process can send us what looks like the kernel's answer.
        inner.connect(&SocketAddr::new(0, 0)).map_err(failed("connect"))?;
        inner.set_ext_ack(true).map_err(failed("ask for extended acknowledgements"))?;
        inner.set_cap_ack(true).map_err(failed("ask for short acknowledgements"))?;
        // Without CAP_NET_ADMIN the buffer stays at its default, and the first request is refused with a clear sentence.
        let _ = sockopt::set_socket_recv_buffer_size_force(&inner, RECEIVE_QUEUE);
        Ok(Self { inner, port, buffer: vec![0; RECEIVE] })
    }

    /// Its address, by which the kernel names a table's owner and the cause of a notification.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Sends a batch and gives what the kernel refused of it: all is done if that is nothing, else nothing is.
    pub fn batch(&mut self, batch: &[u8]) -> Result<Vec<Answer>, Error> {
        self.send(batch)?;
        let mut acknowledged = false;
        let mut refused = Vec::new();
        loop {
            match self.receive(RecvFlags::DONTWAIT) {
                Ok(length) => {
                    for answer in Message::all(&self.buffer[..length]).filter_map(|message| message.answer())
                    {
                        acknowledged |= answer.errno == 0;
                        refused.extend((answer.errno != 0).then_some(answer));
                    }
                }
                Err(Errno::AGAIN) => break,
                // Only refusals can be so many; the first of them are there.
                Err(Errno::NOBUFS) if !refused.is_empty() => {}
                Err(errno) => return Err(socket_error("receive", errno)),
            }
        }
        if !acknowledged && refused.is_empty() {
            return Err(Error::Malformed("a transaction was neither acknowledged nor refused".to_owned()));
        }
        Ok(refused)
    }

    /// Asks for one thing and gives the answer to `read`, or the errno.
    pub fn get<T>(
        &mut self,
        kind: Kind,
        family: u8,
        attributes: impl FnOnce(&mut Vec<u8>),
        mut read: impl FnMut(&Message<'_>) -> T,
    ) -> Result<Result<T, Answer>, Error> {
        self.send(&request(kind, NLM_F_ACK, family, attributes))?;
        let mut found = None;
        loop {
            let length = self.receive(RecvFlags::empty()).map_err(|errno| socket_error("receive", errno))?;
            for message in Message::all(&self.buffer[..length]) {
                match message.answer() {
                    None => found = Some(read(&message)),
                    Some(answer) if answer.errno != 0 => return Ok(Err(answer)),
                    Some(_) => {
                        return found.map(Ok).ok_or_else(|| Error::Malformed("an empty answer".to_owned()));
                    }
                }
            }
        }
    }

    /// Asks for everything of a kind and gives each message to `read`, as it comes; `false` if the kernel says that it
    /// changed meanwhile.
    pub fn dump(
        &mut self,
        kind: Kind,
        family: u8,
        attributes: impl FnOnce(&mut Vec<u8>),
        mut read: impl FnMut(&Message<'_>),
    ) -> Result<Result<bool, Answer>, Error> {
        self.send(&request(kind, NLM_F_DUMP, family, attributes))?;
        let mut whole = true;
        loop {
            let length = self.receive(RecvFlags::empty()).map_err(|errno| socket_error("receive", errno))?;
            for message in Message::all(&self.buffer[..length]) {
                whole &= !message.is_interrupted();
                match message.answer() {
                    None => read(&message),
                    Some(answer) if answer.errno != 0 => return Ok(Err(answer)),
                    Some(_) => return Ok(Ok(whole)),
                }
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let enough = bytes.len() + SEND_OVERHEAD;
        let size =
            sockopt::socket_send_buffer_size(&self.inner).map_err(|errno| socket_error("measure", errno))?;
        if size < enough {
            // Without CAP_NET_ADMIN there is nothing to send either: the kernel says so below.
            match sockopt::set_socket_send_buffer_size_force(&self.inner, enough) {
                Err(Errno::PERM) => return Err(Error::Privilege),
                result => result.map_err(|errno| socket_error("enlarge the send buffer", errno))?,
            }
        }
        // What an interrupted exchange left behind must not be taken for an answer to this one.
        while matches!(self.receive(RecvFlags::DONTWAIT), Ok(_) | Err(Errno::NOBUFS | Errno::MSGSIZE)) {}
        let sent = rustix::io::retry_on_intr(|| send(&self.inner, bytes, SendFlags::empty()));
        sent.map(drop).map_err(|errno| socket_error("send", errno))
    }

    fn receive(&mut self, flags: RecvFlags) -> Result<usize, Errno> {
        let (kept, sent) = rustix::io::retry_on_intr(|| {
            recv(&self.inner, self.buffer.as_mut_slice(), flags | RecvFlags::TRUNC)
        })?;
        if sent > kept { Err(Errno::MSGSIZE) } else { Ok(kept) }
    }
}

/// The protocol's number as the socket library wants it.
pub fn netfilter() -> isize {
    isize::try_from(NETLINK_NETFILTER).unwrap_or_default()
}

/// An error of the socket itself.
pub fn socket_error(verb: &'static str, errno: Errno) -> Error {
    Error::Socket { verb, source: io::Error::from(errno) }
}
