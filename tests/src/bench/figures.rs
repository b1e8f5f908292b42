//! What was measured, as values: times with their percentiles, memory, writes. It measures nothing and prints nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};

/// Durations of one kind, in order of length; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Sorts them; an error if there are none.
    pub fn new(mut times: Vec<Duration>) -> Result<Self> {
        times.sort_unstable();
        times.first().context("nothing was measured")?;
        Ok(Self(times))
    }

    /// The least of them that `percent` of all do not exceed (nearest rank).
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).clamp(1, self.0.len());
        self.0[rank - 1]
    }

    /// The middle one.
    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        self.percentile(100)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Times {
    /// The median, and where there are several, the extremes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", human(self.median()))?;
        if self.count() > 1 {
            write!(f, " ({} to {} of {})", human(self.0[0]), human(self.longest()), self.count())?;
        }
        Ok(())
    }
}

/// A duration in the unit that a reader expects, with three digits.
pub fn human(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        0.0..1e3 => format!("{micros:.1} µs"),
        1e3..1e6 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

/// How long a proxy takes from the start of its process until every Service answers.
#[derive(Debug, Clone, Copy)]
pub struct Cold {
    /// Until the last Service answered that was found waiting.
    pub answered: Duration,
    /// Until every Service had been asked once, and had answered.
    pub verified: Duration,
}

/// The times of Services that were added one by one.
#[derive(Debug, Clone)]
pub struct Added {
    /// From just before the first write to the first connection.
    pub from_write: Times,
    /// From the acknowledgement of the last write to the first connection; zero where it was faster.
    pub from_acknowledgement: Times,
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident now (VmRSS).
    pub resident: u64,
    /// Resident at the most (VmHWM).
    pub peak: u64,
}

impl Memory {
    /// In megabytes of 10^6 bytes.
    pub fn megabytes(bytes: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a figure with one decimal")]
        let bytes = bytes as f64;
        bytes / 1e6
    }
}

/// What the kernel told that somebody wrote, by the kind of object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writes {
    /// Transactions.
    pub transactions: u64,
    /// Notices by kind: `table`, `chain`, `rule`, `set`, `element`, `other`.
    pub objects: BTreeMap<&'static str, u64>,
    /// Notices were lost: all figures are lower bounds.
    pub lost: bool,
}

impl Writes {
    /// Everything but tables: what packets could meet.
    pub fn contents(&self) -> u64 {
        self.objects.iter().filter(|(kind, _)| **kind != "table").map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lost {
            f.write_str("at least ")?;
        }
        write!(f, "{} transactions", self.transactions)?;
        for (kind, count) in &self.objects {
            write!(f, ", {count} × {kind}")?;
        }
        Ok(())
    }
}

/// What happened while a proxy was stopped and started with nothing changed.
#[derive(Debug, Clone)]
pub struct Restart {
    /// From the start of the new process until its own metric says that the kernel holds everything.
    pub synced: Duration,
    /// What the kernel told.
    pub writes: Writes,
    /// Connections of a client that did not rest.
    pub connects: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// The longest of them.
    pub slowest: Duration,
    /// The new process at rest.
    pub memory: Memory,
}

/// The times of connect() by what is connected to.
#[derive(Debug, Clone)]
pub struct FirstPacket {
    /// To an endpoint itself.
    pub direct: Times,
    /// To the first, the middle and the last Service.
    pub services: [Times; 3],
}

/// Everything about one proxy at one size.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Cold starts.
    pub cold: Vec<Cold>,
    /// At rest after the cold start.
    pub memory_cold: Memory,
    /// Services added one by one.
    pub added: Added,
    /// At rest after these.
    pub memory_added: Memory,
    /// Restarts with nothing changed.
    pub restarts: Vec<Restart>,
    /// Connections.
    pub first_packet: FirstPacket,
}

/// Everything at one size.
#[derive(Debug, Clone)]
pub struct Size {
    /// So many Services.
    pub services: u32,
    /// How long the bench took to create them.
    pub created: Duration,
    /// From the start of the controller's process until all plans were acknowledged.
    pub planned: Duration,
    /// The controller at rest after that.
    pub controller: Memory,
    /// Pointsman.
    pub ours: Proxy,
    /// kube-proxy.
    pub theirs: Proxy,
    /// Services added to kube-proxy with `minSyncPeriod: 10ms`.
    pub theirs_eager: Added,
}

/// What one kind of change of one endpoint costs.
#[derive(Debug, Clone)]
pub struct Cost {
    /// What changes, in words.
    pub what: &'static str,
    /// From the first byte sent to the kernel's last answer.
    pub kernel: Times,
    /// All of it: from the new plan to the kernel's last answer.
    pub whole: Times,
}

/// What changes of one endpoint cost at a number of frontends.
#[derive(Debug, Clone)]
pub struct Change {
    /// So many frontends, with two endpoints each.
    pub frontends: u32,
    /// By kind of change.
    pub costs: Vec<Cost>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(all: &[u64]) -> Times {
        Times::new(all.iter().map(|millis| Duration::from_millis(*millis)).collect()).unwrap()
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred = millis(&(1..=100).rev().collect::<Vec<_>>());
        let cases = [(1, 1), (50, 50), (99, 99), (100, 100), (0, 1)];
        for (percent, expected) in cases {
            assert_eq!(hundred.percentile(percent), Duration::from_millis(expected), "p{percent}");
        }
        assert_eq!(millis(&[7, 3]).median(), Duration::from_millis(3));
        assert_eq!(millis(&[9]).percentile(99), Duration::from_millis(9));
        assert!(Times::new(vec![]).is_err());
    }

    #[test]
    fn durations_read_in_their_own_unit() {
        let cases =
            [(900, "0.9 µs"), (17_850, "17.9 µs"), (1_350_000, "1.4 ms"), (32_260_000_000, "32.26 s")];
        for (nanos, expected) in cases {
            assert_eq!(human(Duration::from_nanos(nanos)), expected);
        }
    }

    #[test]
    fn taking_the_table_is_no_write_of_contents() {
        let writes = Writes {
            objects: BTreeMap::from([("table", 2), ("element", 3), ("rule", 4)]),
            ..Writes::default()
        };
        assert_eq!(writes.contents(), 7);
    }
}
