//! A restart with nothing changed: how long until the proxy says that it is in step, what is written to the kernel meanwhile, and what a
//! client notices that never rests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::dial::dial;
use super::figures::Restart;
use super::notices::Notices;
use super::objects::Numbered;
use super::subject::{Subject, memory};
use crate::netns::{Netns, enter};
use crate::process::Process;

/// The client's rest between two connections.
const CLIENT_PAUSE: Duration = Duration::from_millis(1);
/// Between two looks at the proxy's metrics.
const PAUSE: Duration = Duration::from_millis(5);
/// Watched before and after: what a proxy does late counts too. kube-proxy deletes what it finds stale after its first sync, we a second
/// after ours.
const AROUND: Duration = Duration::from_secs(3);
const LIMIT: Duration = Duration::from_secs(400);

/// Stops `old` and starts `subject` in its place; the new process goes on running.
pub fn measure(subject: &Subject<'_>, mut old: Process, services: u32) -> Result<(Process, Restart)> {
    let netns = &subject.node().netns;
    let notices = Notices::listen(netns)?;
    let client = Client::start(netns, services);
    sleep(AROUND);
    old.terminate(Duration::from_secs(30))?;
    let start = Instant::now();
    let mut process = subject.start()?;
    let synced = netns.enter(|| -> Result<Duration> {
        while !Subject::synced() {
            process.still_runs()?;
            ensure!(start.elapsed() < LIMIT, "it is not in step after {LIMIT:?}");
            sleep(PAUSE);
        }
        Ok(start.elapsed())
    })??;
    sleep(AROUND);
    let tally = client.stop()?;
    let restart = Restart {
        synced,
        writes: notices.stop()?,
        connects: tally.connects,
        failed: tally.failed,
        slowest: tally.slowest,
        memory: memory(&process)?,
    };
    Ok((process, restart))
}

#[derive(Debug, Default)]
struct Tally {
    connects: u64,
    failed: u64,
    slowest: Duration,
}

/// A client that connects to one Service after the other.
struct Client {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Tally>>,
}

impl Client {
    fn start(netns: &Netns, services: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (path, stopped) = (netns.path(), Arc::clone(&stop));
        let thread = spawn(move || {
            enter(&path, || {
                let mut tally = Tally::default();
                for number in (0..services).cycle() {
                    if stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    let start = Instant::now();
                    tally.failed += u64::from(dial(Numbered(number).address()).is_err());
                    tally.slowest = tally.slowest.max(start.elapsed());
                    tally.connects += 1;
                    sleep(CLIENT_PAUSE);
                }
                tally
            })
        });
        Self { stop, thread }
    }

    fn stop(self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the client panicked"))?
    }
}
