//! What Pointsman is meant to reach, whether it does, and where it does not, by how much and why. It measures nothing.

use std::fmt::Write;
use std::time::Duration;

use super::figures::{FirstPacket, Memory, Size, Times, human};

/// The number of Services that the targets are meant at.
pub const AT: u32 = 10_000;
const COLD: Duration = Duration::from_secs(1);
const ADDED: Duration = Duration::from_millis(100);
const MEGABYTES: f64 = 60.0;
/// Medians that differ by less are the same on this machine.
const NOISE: f64 = 1.05;

/// A target and what was found.
struct Judged {
    target: String,
    measured: String,
    met: bool,
    /// What a miss comes from, as far as is known.
    why: &'static str,
}

/// The table of all targets.
pub fn of(size: &Size) -> String {
    let mut text = format!("## Targets at {AT} Services\n\n| target | measured | |\n|---|---|---|\n");
    let all = [cold(size), added(size), writes(size), connects(size), memory(size), first_packet(size)];
    for Judged { target, measured, met, why } in all {
        let verdict = if met { "met".to_owned() } else { format!("**missed**: {why}") };
        // Writing to a String does not fail.
        let _ = writeln!(text, "| {target} | {measured} | {verdict} |");
    }
    text.push('\n');
    text
}

fn cold(size: &Size) -> Judged {
    let times = Times::new(size.ours.cold.iter().map(|cold| cold.answered).collect());
    Judged {
        target: format!("cold start ≤ {}", human(COLD)),
        measured: times.as_ref().map_or_else(|_| "nothing".to_owned(), Times::to_string),
        met: times.is_ok_and(|times| times.median() <= COLD),
        why: "three quarters of it are the API server's answer to one list of all plans",
    }
}

fn added(size: &Size) -> Judged {
    let most = size.ours.added.from_write.percentile(99);
    Judged {
        target: format!("added Service p99 ≤ {}", human(ADDED)),
        measured: human(most),
        met: most <= ADDED,
        why: "the two writes of the bench and that of the plan wait for a busy API server",
    }
}

fn writes(size: &Size) -> Judged {
    let restarts = &size.ours.restarts;
    let contents = restarts.iter().map(|restart| restart.writes.contents()).max().unwrap_or(u64::MAX);
    let taken = restarts.iter().map(|restart| restart.writes.transactions).max().unwrap_or(0);
    Judged {
        target: "restart writes no rule and no element".to_owned(),
        measured: format!(
            "{contents} (beside the transactions, {taken} in all, that take the tables' ownership)"
        ),
        met: contents == 0 && restarts.iter().all(|restart| !restart.writes.lost),
        why: "the kernel was not as the last process left it",
    }
}

fn connects(size: &Size) -> Judged {
    let failed: u64 = size.ours.restarts.iter().map(|restart| restart.failed).sum();
    let all: u64 = size.ours.restarts.iter().map(|restart| restart.connects).sum();
    Judged {
        target: "restart fails no connect".to_owned(),
        measured: format!("{failed} of {all}"),
        met: failed == 0,
        why: "packets met a ruleset that was being changed",
    }
}

fn memory(size: &Size) -> Judged {
    let ours = &size.ours;
    let rests =
        ours.restarts.iter().map(|restart| restart.memory).chain([ours.memory_cold, ours.memory_added]);
    let most = Memory::megabytes(rests.map(|memory| memory.resident).max().unwrap_or(u64::MAX));
    let cold = Memory::megabytes(ours.memory_cold.resident);
    Judged {
        target: format!("resident memory ≤ {MEGABYTES} MB, at rest, restarts included"),
        measured: format!("{most:.1} MB ({cold:.1} MB after a cold start)"),
        met: most <= MEGABYTES,
        why: "at a restart the plans are listed beside those of the checkpoint, and the allocator does not give back what lies between",
    }
}

fn first_packet(size: &Size) -> Judged {
    let mean = |packets: &FirstPacket| {
        packets.services.iter().map(|times| times.median().as_secs_f64()).sum::<f64>() / 3.0
    };
    let (ours, theirs) = (mean(&size.ours.first_packet), mean(&size.theirs.first_packet));
    let [us, them] = [ours, theirs].map(|seconds| human(Duration::from_secs_f64(seconds)));
    Judged {
        target: "first packet no slower than kube-proxy's (mean of the three p50, 5 % is noise)".to_owned(),
        measured: format!("{us} against {them}"),
        met: ours <= theirs * NOISE,
        why: "it passes one map more than kube-proxy's",
    }
}
