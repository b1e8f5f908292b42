//! Clients that never rest: each opens one new TCP connection after the other, asks for a page and hangs up. They count; they do not judge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use pointsman_tests::netns::enter;

use crate::page::ask_once;

/// Between two connections of one client: all together leave the machine time for the cluster.
const PAUSE: Duration = Duration::from_millis(60);
/// After this a connection has failed.
pub const LIMIT: Duration = Duration::from_secs(5);
/// Linux sends a SYN again after one second: whoever waits that long has lost a packet, or the machine was very busy.
const LATE: Duration = Duration::from_millis(950);
/// So many failures are remembered word by word.
const REMEMBERED: usize = 5;

/// By which of a Service's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Through {
    /// None: a pod's own address.
    PodIp,
    /// A cluster address.
    ClusterIp,
    /// A node port.
    NodePort,
}

impl Display for Through {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PodIp => "pod",
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
        })
    }
}

/// From where a client asks, and whom.
#[derive(Debug, Clone)]
pub struct Way {
    /// The place in words.
    pub from: String,
    /// What kind of address that is.
    pub through: Through,
    /// The network namespace of the place.
    pub place: PathBuf,
    /// The address.
    pub target: SocketAddr,
    /// Whether others open connections from that place too, as a node's daemons do.
    pub shared: bool,
}

impl Way {
    /// A way from a place that is the client's alone.
    pub fn new(from: &str, through: Through, place: &Path, target: SocketAddr) -> Self {
        Self { from: from.to_owned(), through, place: place.to_path_buf(), target, shared: false }
    }

    /// Asks once, over a connection of its own, and gives what was answered.
    pub fn ask(&self, page: &str, limit: Duration) -> Result<std::io::Result<String>> {
        enter(&self.place, || ask_once(self.target, page, limit))
    }
}

impl Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {} {}", self.from, self.through, self.target)
    }
}

/// What clients have seen.
#[derive(Debug, Clone, Default)]
pub struct Count {
    /// Connections that were begun.
    pub tried: u64,
    /// Those that brought no whole answer.
    pub failed: u64,
    /// Those that brought one after more than a second.
    pub late: u64,
    /// First packets of connections that had to be sent again, as the kernels of the places counted them; from shared places none.
    pub sent_again: u64,
    /// The longest time from dialling to the answer.
    pub slowest: Duration,
    /// The first failures, in words.
    pub failures: Vec<String>,
    /// Who answered.
    pub servers: BTreeSet<String>,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.failed += other.failed;
        self.late += other.late;
        self.slowest = self.slowest.max(other.slowest);
        self.failures.extend(other.failures);
        self.failures.truncate(REMEMBERED);
        self.servers.extend(other.servers);
    }
}

impl Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tried, failed, late, sent_again, slowest, .. } = self;
        let slowest = slowest.as_millis();
        write!(
            formatter,
            "{tried} connections, {failed} failed, {late} late, {sent_again} SYNs sent again, slowest {slowest} ms"
        )
    }
}

/// Clients at work. Dropped, they end by themselves.
#[derive(Debug)]
pub struct Clients {
    stop: Arc<AtomicBool>,
    begun: Instant,
    ways: Vec<(Through, JoinHandle<Result<Count>>)>,
    resent: BTreeMap<(Through, PathBuf), u64>,
}

impl Clients {
    /// Sends a client down each way.
    pub fn start(ways: &[Way]) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut resent = BTreeMap::new();
        for way in ways.iter().filter(|way| !way.shared) {
            resent.insert((way.through, way.place.clone()), syns_sent_again(&way.place)?);
        }
        let start = |way: &Way| {
            let (way, stop) = (way.clone(), Arc::clone(&stop));
            (way.through, std::thread::spawn(move || enter(&way.place, || dial(&way, &stop))))
        };
        Ok(Self { ways: ways.iter().map(start).collect(), stop, begun: Instant::now(), resent })
    }

    /// How long they have been at work.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Calls them back, and adds up what they have seen.
    pub fn stop(mut self) -> Result<BTreeMap<Through, Count>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut counts: BTreeMap<Through, Count> = BTreeMap::new();
        for (through, client) in self.ways.drain(..) {
            let count = client.join().map_err(|_| anyhow!("a client panicked"))??;
            counts.entry(through).or_default().add(count);
        }
        for ((through, place), before) in &self.resent {
            counts.entry(*through).or_default().sent_again += syns_sent_again(place)?.saturating_sub(*before);
        }
        Ok(counts)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn dial(way: &Way, stop: &AtomicBool) -> Count {
    let (mut count, begun) = (Count::default(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let answer = ask_once(way.target, "/hostname", LIMIT);
        let took = start.elapsed();
        count.tried += 1;
        match answer {
            Ok(server) => {
                count.slowest = count.slowest.max(took);
                count.late += u64::from(took > LATE);
                count.servers.insert(server);
            }
            Err(error) => {
                count.failed += 1;
                if count.failures.len() < REMEMBERED {
                    let at = (start - begun).as_secs_f64();
                    count.failures.push(format!("{way}, dialled at {at:.1} s, after {took:.1?}: {error}"));
                }
            }
        }
        std::thread::sleep(PAUSE);
    }
    count
}

/// How many first packets of connections a network has had to send again since it was made.
fn syns_sent_again(place: &Path) -> Result<u64> {
    // Of the thread that is inside, not of the program.
    let text = enter(place, || std::fs::read_to_string("/proc/thread-self/net/netstat"))??;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = lines.next().zip(lines.next()).context("no counters of TCP")?;
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let (_, value) = pairs.find(|(name, _)| *name == "TCPSynRetrans").context("no counter TCPSynRetrans")?;
    value.parse().context("read the counter TCPSynRetrans")
}
