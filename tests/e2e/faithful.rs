//! Clients that each open one connection and ask over it again and again: what stands must stand. The first that breaks is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use pointsman_tests::netns::enter;

use crate::clients::{LIMIT, Way};
use crate::page::{ask, open};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(250);

/// Clients that each keep the one connection that they have. Dropped, they end by themselves.
#[derive(Debug)]
pub struct Faithful {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<u64>>>,
}

impl Faithful {
    /// Opens a connection down each way.
    pub fn start(ways: &[Way]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |way: &Way| {
            let (way, stop) = (way.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                enter(&way.place, || keep(&way, &stop))?.with_context(|| format!("the connection from {way}"))
            })
        };
        Self { clients: ways.iter().map(start).collect(), stop }
    }

    /// Hangs up. Says over how many connections how many answers came; an error if one of them broke.
    pub fn stop(mut self) -> Result<(usize, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        let connections = self.clients.len();
        let mut answers = 0;
        for client in self.clients.drain(..) {
            answers += client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        Ok((connections, answers))
    }
}

impl Drop for Faithful {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn keep(way: &Way, stop: &AtomicBool) -> Result<u64> {
    let mut stream = open(way.target, LIMIT)?;
    let mut answers = 0;
    while !stop.load(Ordering::Relaxed) {
        ask(&mut stream, "/hostname").with_context(|| format!("broke after {answers} answers"))?;
        answers += 1;
        std::thread::sleep(PAUSE);
    }
    Ok(answers)
}
