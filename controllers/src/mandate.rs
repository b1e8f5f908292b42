//! Until when this replica may write. Who campaigns for the Lease grants and extends it, who writes asks right before each
//! request; nothing else is known here.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// The end of the mandate, as time since boot; none while another replica leads.
type End = Option<Duration>;

/// Grants the mandate.
pub struct Grantor(watch::Sender<End>);

/// The mandate, for who acts by it.
#[derive(Clone, Debug)]
pub struct Mandate(watch::Receiver<End>);

/// A mandate that nobody has been granted yet.
pub fn mandate() -> (Grantor, Mandate) {
    let (grantor, mandate) = watch::channel(None);
    (Grantor(grantor), Mandate(mandate))
}

/// The time since boot, by `CLOCK_BOOTTIME`, which goes on while the machine is suspended; `Instant` (`CLOCK_MONOTONIC`) does not, and
/// would let a leader that slept for an hour write for some seconds more. A process that is stopped (SIGSTOP, a frozen cgroup) sees
/// both go on. The time of day may be set back, and is no measure.
pub fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or(Duration::MAX)
}

// === impl Grantor ===

impl Grantor {
    /// Until `end`, as time since boot: takes the place of what was granted before. Nothing is granted if that is over.
    pub fn grant_until(&self, end: Duration) {
        let end = (since_boot() < end).then_some(end);
        if self.0.send_replace(end).is_some() != end.is_some() {
            let leads = end.is_some();
            tracing::info!("{}", if leads { "this replica leads" } else { "this replica no longer leads" });
        }
    }

    /// This replica no longer leads.
    pub fn end(&self) {
        self.grant_until(Duration::ZERO);
    }

    /// Whether the mandate was granted and not ended since.
    pub fn is_granted(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Ends the mandate whenever the time that was granted is over. Never returns.
    pub async fn keep_time(&self) {
        let mut grants = self.0.subscribe();
        loop {
            let end = *grants.borrow_and_update();
            let rest = end.map(|end| end.saturating_sub(since_boot()));
            if rest == Some(Duration::ZERO) {
                tracing::warn!("the Lease could not be renewed in time");
                self.end();
                continue;
            }
            tokio::select! {
                // The sender is ours: there is always one.
                _ = grants.changed() => {}
                () = tokio::time::sleep(rest.unwrap_or_default()), if rest.is_some() => {}
            }
        }
    }
}

// === impl Mandate ===

impl Mandate {
    /// Whether a write may be sent now: between the end of the time that was granted and the moment at which somebody says so,
    /// much may happen in a process that was stopped and goes on.
    pub fn holds(&self) -> bool {
        self.0.borrow().is_some_and(|end| since_boot() < end)
    }

    /// Whether this replica leads, as far as it was told.
    pub fn is_granted(&mut self) -> bool {
        self.0.borrow_and_update().is_some()
    }

    /// Waits until the mandate is granted, extended or ended. Never returns when nobody grants it any more.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn a_mandate_holds_for_the_time_granted_also_if_nobody_ends_it() {
        let (grantor, mut mandate) = mandate();
        assert!(!mandate.holds() && !mandate.is_granted());
        grantor.grant_until(Duration::MAX);
        assert!(mandate.holds() && mandate.is_granted());
        grantor.grant_until(since_boot() + SHORT);
        std::thread::sleep(2 * SHORT);
        assert!(!mandate.holds(), "the time is over");
        assert!(mandate.is_granted(), "and nobody has said so yet");
        grantor.grant_until(Duration::MAX);
        assert!(mandate.holds(), "it is extended");
        grantor.end();
        assert!(!mandate.holds() && !mandate.is_granted());
        grantor.grant_until(since_boot());
        assert!(!mandate.holds() && !mandate.is_granted(), "granted for a time that is over");
    }

    #[tokio::test]
    async fn a_mandate_that_is_not_extended_runs_out_and_is_told_of() {
        let (grantor, mut mandate) = mandate();
        let timekeeper = async { tokio::time::timeout(20 * SHORT, grantor.keep_time()).await.unwrap_err() };
        let work = async {
            tokio::time::sleep(SHORT).await;
            let end = since_boot() + 5 * SHORT;
            grantor.grant_until(since_boot() + SHORT);
            mandate.changed().await;
            grantor.grant_until(end);
            mandate.changed().await;
            assert!(mandate.is_granted(), "it is extended before its end");
            mandate.changed().await;
            assert!(!mandate.is_granted() && !grantor.is_granted());
            assert!(since_boot() >= end, "at its last end, not before");
        };
        tokio::join!(timekeeper, work);
    }
}
