//! Clients that never rest: each opens one new TCP connection after the other, asks and hangs up. They count; they do not judge.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::netns::{Netns, enter};
use crate::traffic::{Reply, Transport, ask_from_here};

/// Between two connections of one client: together they stay far from using up the machine.
const PAUSE: Duration = Duration::from_millis(4);
/// After this a connection counts as failed.
const LIMIT: Duration = Duration::from_secs(3);
/// So many failures are remembered word by word.
const REMEMBERED: usize = 5;

/// All clients.
#[derive(Debug)]
pub struct Crowd {
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    clients: Vec<JoinHandle<Result<()>>>,
}

/// What happened since somebody last looked.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Connections that were answered.
    pub answered: u64,
    /// Connections that were not.
    pub failed: u64,
    /// The first failures, in words.
    pub failures: Vec<String>,
    /// How often each server answered.
    pub servers: BTreeMap<String, u64>,
    /// The longest time from dialling to the answer.
    pub slowest: Duration,
}

impl Crowd {
    /// A crowd without clients.
    pub fn new() -> Self {
        Self { stop: Arc::default(), tally: Arc::default(), clients: vec![] }
    }

    /// Adds a client in a namespace, which dials `target` until the crowd disperses. `who` names it in failures.
    pub fn add(&mut self, who: &str, netns: &Netns, target: SocketAddr) {
        let (who, path) = (who.to_owned(), netns.path());
        let (stop, tally) = (Arc::clone(&self.stop), Arc::clone(&self.tally));
        self.clients.push(std::thread::spawn(move || enter(&path, || dial(&who, target, &stop, &tally))));
    }

    /// How many clients there are.
    pub fn size(&self) -> usize {
        self.clients.len()
    }

    /// What happened since this was last asked.
    pub fn take(&self) -> Tally {
        std::mem::take(&mut *lock(&self.tally))
    }

    /// Whether all these servers have answered since somebody last took the tally.
    pub fn has_met(&self, servers: &[&str]) -> bool {
        let tally = lock(&self.tally);
        servers.iter().all(|server| tally.servers.contains_key(*server))
    }

    /// Sends them home; an error if one of them had to give up.
    pub fn disperse(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().map_err(|_| anyhow!("a client panicked"))?.context("a client gave up")?;
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // A story that ends early leaves them to end by themselves, with their next connection.
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Tally {
    /// Who answered, and how often, in one line.
    pub fn shares(&self) -> String {
        let shares: Vec<String> =
            self.servers.iter().map(|(name, count)| format!("{name} {count}")).collect();
        shares.join(", ")
    }

    /// The failures in one line.
    pub fn complaints(&self) -> String {
        format!("{} of {} failed: {}", self.failed, self.failed + self.answered, self.failures.join("; "))
    }
}

fn dial(who: &str, target: SocketAddr, stop: &AtomicBool, tally: &Mutex<Tally>) {
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let reply = ask_from_here(Transport::Tcp, target, LIMIT);
        let took = start.elapsed();
        {
            let mut tally = lock(tally);
            tally.slowest = tally.slowest.max(took);
            if let Ok(Reply::Answered(answer)) = reply {
                tally.answered += 1;
                *tally.servers.entry(answer.name).or_default() += 1;
            } else {
                tally.failed += 1;
                if tally.failures.len() < REMEMBERED {
                    tally.failures.push(format!("{who} to {target} after {took:?}: {reply:?}"));
                }
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
