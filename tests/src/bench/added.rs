//! Services added one by one, through the API, to a proxy at rest: from the write to the first connection.

use std::net::SocketAddr;
use std::ops::Range;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use tokio::sync::{mpsc, oneshot};

use super::dial::{GLANCE, answers};
use super::figures::{Added, Times};
use super::objects::Numbered;
use super::subject::Subject;
use crate::netns::enter;

/// Between two looks at the new Service.
const PAUSE: Duration = Duration::from_micros(300);
const LIMIT: Duration = Duration::from_secs(60);

type Question = (SocketAddr, oneshot::Sender<Result<Instant>>);

/// Adds these, and rests between them for `rest`, so that none meets what is left of the one before it.
pub fn measure(subject: &Subject<'_>, numbers: Range<u32>, rest: Duration) -> Result<Added> {
    let (questions, mut asked) = mpsc::unbounded_channel::<Question>();
    let path = subject.node().netns.path();
    let prober = spawn(move || {
        enter(&path, || {
            while let Some((target, answer)) = asked.blocking_recv() {
                // Nobody is there to be told once the writer has failed.
                let _ = answer.send(wait(target));
            }
        })
    });
    let control_plane = subject.control_plane();
    let added = control_plane.with_client(control_plane.admin(), async |client| {
        let (mut from_write, mut from_acknowledgement) = (vec![], vec![]);
        for numbered in numbers.map(Numbered) {
            tokio::time::sleep(rest).await;
            let (answer, answered) = oneshot::channel();
            let start = Instant::now();
            questions.send((numbered.address(), answer)).context("tell the prober")?;
            numbered.create(&client).await?;
            let acknowledged = Instant::now();
            let reached = answered.await.context("the prober is gone")??;
            from_write.push(reached - start);
            from_acknowledgement.push(reached.saturating_duration_since(acknowledged));
        }
        drop(questions);
        Ok(Added {
            from_write: Times::new(from_write)?,
            from_acknowledgement: Times::new(from_acknowledgement)?,
        })
    });
    prober.join().map_err(|_| anyhow!("the prober panicked"))??;
    added
}

fn wait(target: SocketAddr) -> Result<Instant> {
    let start = Instant::now();
    while !answers(target, GLANCE)? {
        ensure!(start.elapsed() < LIMIT, "{target} does not answer after {LIMIT:?}");
        sleep(PAUSE);
    }
    Ok(Instant::now())
}
