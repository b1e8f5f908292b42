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

/// By `CLOCK_BOOTTIME`, which goes on while the machine is suspended; `Instant` (`CLOCK_MONOTONIC`) does not, and would let a leader
/// that slept for an hour write for some seconds more. A process that is stopped (SIGSTOP, a frozen cgroup) sees both go on. The
/// time of day may be set back, and is no measure.
fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or(Duration::MAX)
}

// === impl Grantor ===

impl Grantor {
    /// From now on for `rest`: takes the place of what was granted before. Nothing is left of it if `rest` is zero.
    pub fn grant(&self, rest: Duration) {
        let end = (!rest.is_zero()).then(|| since_boot().saturating_add(rest));
        if self.0.send_replace(end).is_some() != end.is_some() {
            let leads = end.is_some();
            tracing::info!("{}", if leads { "this replica leads" } else { "this replica no longer leads" });
        }
    }

    /// This replica no longer leads.
    pub fn end(&self) {
        self.grant(Duration::ZERO);
    }

    /// Whether the mandate was granted and not ended since.
    pub fn is_granted(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until the time that was granted is over, and ends the mandate. Never returns for who does not lead.
    pub async fn runs_out(&self) {
        let Some(end) = *self.0.borrow() else { return std::future::pending().await };
        tokio::time::sleep(end.saturating_sub(since_boot())).await;
        tracing::warn!("the Lease ran out without being renewed");
        self.end();
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

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn a_mandate_holds_for_the_time_granted_also_if_nobody_ends_it() {
        let (grantor, mut mandate) = mandate();
        assert!(!mandate.holds() && !mandate.is_granted());
        grantor.grant(LONG);
        assert!(mandate.holds() && mandate.is_granted());
        grantor.grant(SHORT);
        std::thread::sleep(2 * SHORT);
        assert!(!mandate.holds(), "the time is over");
        assert!(mandate.is_granted(), "and nobody has said so yet");
        grantor.grant(LONG);
        assert!(mandate.holds(), "it is extended");
        grantor.end();
        assert!(!mandate.holds() && !mandate.is_granted());
    }

    #[tokio::test]
    async fn a_mandate_that_is_not_extended_runs_out_and_is_told_of() {
        let (grantor, mut mandate) = mandate();
        tokio::time::timeout(SHORT, grantor.runs_out()).await.unwrap_err();
        grantor.grant(SHORT);
        mandate.changed().await;
        assert!(mandate.is_granted());
        grantor.runs_out().await;
        mandate.changed().await;
        assert!(!mandate.is_granted() && !grantor.is_granted());
    }
}
