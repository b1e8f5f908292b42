//! Clients that never rest: each opens one connection after the other from its namespace while something is done to the nodes, and every
//! one of them must be answered. They count; they change nothing.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use pointsman_tests::netns::Netns;
use pointsman_tests::traffic::{Reply, Transport, ask_from_here, unless_filtered};
use socket2::{Domain, Protocol, Socket, Type};

/// How long an answer may take on a busy machine. A connection that was lost waits for it in vain, or for TCP's second try.
const PATIENCE: Duration = Duration::from_millis(900);

/// How many packets of a flood are on their way at once: the kernel forgets what a busy processor has not come to after 1000
/// (`net.core.netdev_max_backlog`), whosever it is.
const WAVE: usize = 256;
/// How long a flood waits for what does not come.
const EBB: Duration = Duration::from_millis(20);

/// A client that waits for each answer.
pub struct Client<'a> {
    /// From where.
    pub netns: &'a Netns,
    /// How.
    pub transport: Transport,
    /// What.
    pub target: SocketAddr,
}

/// A client that sends a wave of packets before it looks for what became of them: every packet is a connection's first.
pub struct Flood<'a> {
    /// From where.
    pub netns: &'a Netns,
    /// What, by UDP.
    pub target: SocketAddr,
}

/// How much was sent while the work was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Questions, all of them answered.
    pub answered: u64,
    /// Datagrams of floods.
    pub flooded: u64,
}

/// Runs `work` with all of the crowd at it. An error if a question was not answered, by whom and how.
pub fn under(
    clients: &[Client<'_>],
    floods: &[Flood<'_>],
    work: impl FnOnce() -> Result<()>,
) -> Result<Sent> {
    let stop = AtomicBool::new(false);
    let (stop, panicked) = (&stop, |_| anyhow!("a client panicked"));
    thread::scope(|scope| {
        let clients: Vec<_> = clients
            .iter()
            .map(|client| scope.spawn(move || client.netns.enter(|| client.run(stop))?))
            .collect();
        let floods: Vec<_> =
            floods.iter().map(|flood| scope.spawn(move || flood.netns.enter(|| flood.run(stop))?)).collect();
        let done = work();
        stop.store(true, Ordering::Relaxed);
        let mut sent = Sent::default();
        for client in clients {
            sent.answered += client.join().map_err(panicked)??;
        }
        for flood in floods {
            sent.flooded += flood.join().map_err(panicked)??;
        }
        done.map(|()| sent)
    })
}

impl Client<'_> {
    fn run(&self, stop: &AtomicBool) -> Result<u64> {
        let (mut asked, mut lost) = (0, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            asked += 1;
            let reply = ask_from_here(self.transport, self.target, PATIENCE)?;
            if !matches!(reply, Reply::Answered(_)) {
                lost.push(reply);
            }
        }
        let from = self.netns.name();
        let (count, first) = (lost.len(), lost.first());
        ensure!(
            count == 0,
            "{:?} from {from} to {}: {first:?} and so on, {count} of {asked}",
            self.transport,
            self.target
        );
        ensure!(asked > 0, "nothing was asked from {from}");
        Ok(asked)
    }
}

impl Flood<'_> {
    /// By a raw socket: one call a packet, and any source port.
    fn run(&self, stop: &AtomicBool) -> Result<u64> {
        let raw = Socket::new(Domain::for_address(self.target), Type::RAW, Some(Protocol::UDP))?;
        let raw = UdpSocket::from(raw);
        raw.connect(SocketAddr::new(self.target.ip(), 0))?;
        let mut sent = 0;
        let mut ports = (1024..=u16::MAX).cycle();
        while !stop.load(Ordering::Relaxed) {
            for port in ports.by_ref().take(WAVE) {
                // Source, destination, length, and no checksum: it need not be received, only translated.
                let header = [port, self.target.port(), 9, 0].map(u16::to_be_bytes).concat();
                unless_filtered(raw.send(&[&header[..], b"?"].concat()))?;
                sent += 1;
            }
            // The way is empty when an answer came through it.
            let _ = ask_from_here(Transport::Udp, self.target, EBB)?;
        }
        Ok(sent)
    }
}
