//! Whether the node may take Service traffic, in kube-proxy's words. Holds what the reconciler and the plan say; serves nothing
//! itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pointsman_crds::IpFamily;
use serde::Serialize;

/// A change that is not in the kernel after so long makes the proxy unhealthy (kube-proxy: twice its syncPeriod of 30 s).
const PATIENCE: Duration = Duration::from_secs(60);

/// What is known about the proxy's health.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pending_since: Option<Instant>,
    updated: Option<Timestamp>,
    families: Vec<IpFamily>,
    whole: bool,
    live: bool,
    eligible: bool,
}

/// The body of `/healthz` and `/livez`.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Body {
    last_updated: Timestamp,
    current_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_eligible: Option<bool>,
    healthy: bool,
    status: BTreeMap<String, FamilyBody>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct FamilyBody {
    last_updated: Timestamp,
    healthy: bool,
}

impl Health {
    /// The plan says whether the node stays, and which families it proxies.
    pub fn planned(&self, leaving: bool, families: &[IpFamily]) {
        let mut state = self.lock();
        state.eligible = !leaving;
        state.families = families.to_vec();
    }

    /// A change waits to be written.
    pub fn pending(&self, now: Instant) {
        self.lock().pending_since.get_or_insert(now);
    }

    /// Everything is in the kernel; `live` if the plan's source gave it since the start, and not the checkpoint.
    pub fn synced(&self, now: Timestamp, live: bool) {
        let mut state = self.lock();
        (state.pending_since, state.updated, state.whole) = (None, Some(now), true);
        state.live |= live;
    }

    /// Nothing waits that this agent could write: what is in the kernel is in force as somebody wished.
    pub fn idle(&self) {
        self.lock().pending_since = None;
    }

    /// Whether a whole plan is in the kernel.
    pub fn is_whole(&self) -> bool {
        self.lock().whole
    }

    /// Answers `/readyz`: whether this agent has brought a plan into the kernel that its source gave it. The checkpoint's does not count: an agent that
    /// cannot reach the API server would seem ready, and a rollout would go on to the next node.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn readyz(&self) -> Result<(), &'static str> {
        let state = self.lock();
        match (state.whole, state.live) {
            (_, true) => Ok(()),
            (true, false) => Err(
                "the checkpoint's plan is in the kernel; none has come from the plan's source since the start",
            ),
            (false, false) => Err("the first whole plan is not in the kernel yet"),
        }
    }

    /// Answers `/healthz`: whether load balancers may send traffic here. The node must be known and must not be leaving.
    pub fn healthz(&self, now: Instant, time: Timestamp) -> (bool, Body) {
        let state = self.lock();
        let good = state.is_alive(now) && state.eligible;
        (good, state.body(now, time, good, Some(state.eligible)))
    }

    /// Answers `/livez`: whether the proxy works. Draining a node must not restart it.
    pub fn livez(&self, now: Instant, time: Timestamp) -> (bool, Body) {
        let state = self.lock();
        let good = state.is_alive(now);
        (good, state.body(now, time, good, None))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_alive(&self, now: Instant) -> bool {
        self.pending_since.is_none_or(|since| now.duration_since(since) < PATIENCE)
    }

    fn body(&self, now: Instant, time: Timestamp, good: bool, node_eligible: Option<bool>) -> Body {
        // Clients that know only `lastUpdated` take an old time for a dead proxy.
        let last_updated = if good { time } else { self.updated.unwrap_or(Timestamp::UNIX_EPOCH) };
        let healthy = self.is_alive(now);
        let family = |family: &IpFamily| (format!("{family:?}"), FamilyBody { last_updated, healthy });
        Body {
            last_updated,
            current_time: time,
            node_eligible,
            healthy: good,
            status: self.families.iter().map(family).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_follows_pending_changes_and_the_node() {
        let start = Instant::now();
        let (time, later) = (Timestamp::UNIX_EPOCH, start + Duration::from_secs(61));
        let health = Health::default();
        let answers = |now| (health.healthz(now, time).0, health.livez(now, time).0, health.is_whole());
        assert_eq!(answers(start), (false, true, false), "the node is not known");
        health.planned(false, &[IpFamily::IPv4]);
        health.pending(start);
        assert_eq!(answers(start), (true, true, false));
        health.pending(later);
        assert_eq!(answers(later), (false, false, false), "the oldest change counts");
        health.synced(time, true);
        assert_eq!(answers(later), (true, true, true), "an old sync is healthy while nothing waits");
        health.planned(true, &[IpFamily::IPv4]);
        assert_eq!(answers(later), (false, true, true), "a leaving node lives");
    }

    #[test]
    fn a_node_serves_from_the_checkpoint_and_its_agent_is_not_ready() {
        let (start, time) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let health = Health::default();
        let answers =
            || (health.healthz(start, time).0, health.livez(start, time).0, health.readyz().is_ok());
        health.planned(false, &[IpFamily::IPv4]);
        assert_eq!(answers(), (true, true, false));
        health.synced(time, false);
        assert_eq!(answers(), (true, true, false), "the checkpoint's plan");
        assert!(health.readyz().is_err_and(|why| why.contains("checkpoint")));
        health.synced(time, true);
        assert_eq!(answers(), (true, true, true));
        health.synced(time, false);
        assert_eq!(answers(), (true, true, true), "once is enough");
    }

    #[test]
    fn the_body_is_kube_proxys() {
        let health = Health::default();
        health.planned(false, &[IpFamily::IPv4, IpFamily::IPv6]);
        let time: Timestamp = "2026-03-04T05:06:07Z".parse().unwrap();
        let (_, body) = health.healthz(Instant::now(), time);
        let expected = r#"{"lastUpdated":"2026-03-04T05:06:07Z","currentTime":"2026-03-04T05:06:07Z","nodeEligible":true,"healthy":true,"status":{"IPv4":{"lastUpdated":"2026-03-04T05:06:07Z","healthy":true},"IPv6":{"lastUpdated":"2026-03-04T05:06:07Z","healthy":true}}}"#;
        assert_eq!(serde_json::to_string(&body).unwrap(), expected);
        let (_, body) = health.livez(Instant::now(), time);
        assert!(!serde_json::to_string(&body).unwrap().contains("nodeEligible"));
    }
}
