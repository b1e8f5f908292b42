//! The time of connect() through each proxy's rules, by the position of the Service, and without any rule: in turns, so that what else
//! the machine does meets all alike.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::dial::dial;
use super::figures::{FirstPacket, Times};
use super::objects::Numbered;
use crate::netns::Netns;

/// Connections to one target in one turn, and turns.
const IN_TURN: usize = 100;
const TURNS: usize = 30;
/// Connections of a turn that only warm the caches.
const WARMING: usize = 10;
/// The processor that clients run on.
const PROCESSOR: usize = 1;

/// Measures from within both namespaces; both rulesets must be in the kernel, and nothing else should run.
pub fn measure(ours: &Netns, theirs: &Netns, services: u32) -> Result<(FirstPacket, FirstPacket)> {
    let middle = services / 2;
    let targets = [
        Numbered(middle).endpoint(),
        Numbered(0).address(),
        Numbered(middle).address(),
        Numbered(services.saturating_sub(1)).address(),
    ];
    let mut samples: [[Vec<Duration>; 4]; 2] = Default::default();
    for turn in 0..TURNS {
        // Who is first changes, so that neither always finds the other's caches.
        for side in [turn % 2, 1 - turn % 2] {
            let netns = if side == 0 { ours } else { theirs };
            let taken = netns.enter(|| take_turn(&targets))??;
            for (all, new) in samples[side].iter_mut().zip(taken) {
                all.extend(new);
            }
        }
    }
    let [ours, theirs] = samples;
    Ok((figures(ours)?, figures(theirs)?))
}

fn figures([direct, first, middle, last]: [Vec<Duration>; 4]) -> Result<FirstPacket> {
    Ok(FirstPacket {
        direct: Times::new(direct)?,
        services: [Times::new(first)?, Times::new(middle)?, Times::new(last)?],
    })
}

fn take_turn(targets: &[SocketAddr; 4]) -> Result<[Vec<Duration>; 4]> {
    let mut processors = CpuSet::new();
    processors.set(PROCESSOR);
    // A machine with one processor has nothing to choose from.
    let _ = sched_setaffinity(None, &processors);
    let mut taken: [Vec<Duration>; 4] = Default::default();
    for number in 0..WARMING + IN_TURN {
        // One to each, and another one first each time: whatever drifts, and whoever finds what cached, meets all alike.
        for place in 0..targets.len() {
            let index = (place + number) % targets.len();
            let target = targets[index];
            let took = dial(target).with_context(|| format!("connect to {target}"))?;
            if number >= WARMING {
                taken[index].push(took);
            }
        }
    }
    Ok(taken)
}
