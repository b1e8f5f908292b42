//! Cold start: from the start of a proxy's process, with everything stored in the API server and nothing in the kernel, until every
//! Service answers.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::dial::{GLANCE, PATIENCE, answers};
use super::figures::Cold;
use super::objects::Numbered;
use super::subject::Subject;
use crate::netns::enter;
use crate::process::Process;

/// Services that are waited for, spread evenly over all: first and last among them.
const SENTINELS: u32 = 64;
/// Between two looks at a Service that does not answer.
const PAUSE: Duration = Duration::from_millis(1);
/// kube-proxy needs about a minute at 10,000 Services on a slow machine.
const LIMIT: Duration = Duration::from_secs(400);

/// Starts the proxy, and tells how long it took; it goes on running.
pub fn measure(subject: &Subject<'_>, services: u32) -> Result<(Process, Cold)> {
    subject.wipe()?;
    let path = subject.node().netns.path();
    let start = Instant::now();
    let mut process = subject.start()?;
    let watcher = std::thread::spawn(move || enter(&path, || watch(start, services))?);
    while !watcher.is_finished() {
        process.still_runs()?;
        sleep(Duration::from_millis(50));
    }
    let cold = watcher.join().map_err(|_| anyhow!("the prober panicked"))??;
    Ok((process, cold))
}

fn watch(start: Instant, services: u32) -> Result<Cold> {
    for sentinel in sentinels(services) {
        wait(start, Numbered(sentinel).address())?;
    }
    let mut answered = start.elapsed();
    for number in 0..services {
        let target = Numbered(number).address();
        if !answers(target, PATIENCE)? {
            // The sentinels were too few to see it: it counts.
            wait(start, target)?;
            answered = start.elapsed();
        }
    }
    Ok(Cold { answered, verified: start.elapsed() })
}

fn wait(start: Instant, target: SocketAddr) -> Result<()> {
    while !answers(target, GLANCE)? {
        ensure!(start.elapsed() < LIMIT, "{target} does not answer after {LIMIT:?}");
        sleep(PAUSE);
    }
    Ok(())
}

fn sentinels(services: u32) -> impl Iterator<Item = u32> {
    let last = services.saturating_sub(1);
    let count = SENTINELS.min(services);
    (0..count).map(move |index| last * index / count.saturating_sub(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_are_among_the_sentinels() {
        for services in [1, 2, 64, 1_000, 10_000] {
            let all: Vec<u32> = sentinels(services).collect();
            assert_eq!((all.first(), all.last()), (Some(&0), Some(&(services - 1))), "{services} Services");
        }
    }
}
