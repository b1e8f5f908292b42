//! Who may take the Lease, judged by what was seen of it and when by our own clock. Pure: it asks nobody, and has no clock.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

/// How long a Lease that is not renewed is respected, in seconds.
pub const LEASE_SECONDS: i32 = 10;

/// What one candidate knows of the Lease.
///
/// Another's Lease is over when it was seen unchanged for as long as it is good for. The times that stand in it are other machines'
/// times of day and decide nothing: a dead holder whose clock was an hour ahead is succeeded like any other, and a living one whose
/// clock is behind is left alone.
pub struct Election {
    identity: String,
    /// What others' Lease looks like, and when that was first seen, as time since boot.
    seen: Option<(LeaseSpec, Duration)>,
}

impl Election {
    /// Nothing was seen yet.
    pub fn new(identity: &str) -> Self {
        Self { identity: identity.to_owned(), seen: None }
    }

    /// Whether we may write ourselves into the Lease, which looked like this a moment before `now`: it does not exist, is free, is
    /// ours, or is over. The write must name the version that was seen: a holder who renews meanwhile keeps it.
    pub fn may_claim(&mut self, lease: Option<&Lease>, now: Duration) -> bool {
        let Some(spec) = lease.and_then(|lease| lease.spec.as_ref()).filter(|spec| !self.is_open(spec))
        else {
            self.seen = None;
            return true;
        };
        match &self.seen {
            Some((seen, since)) if seen == spec => now.saturating_sub(*since) >= good_for(spec),
            _ => {
                self.seen = Some((spec.clone(), now));
                false
            }
        }
    }

    /// The Lease with us in it, renewed at `now`; all that is not about its holder stays as it was. The time is for people to read.
    pub fn claim(&self, lease: Option<Lease>, now: Timestamp) -> Lease {
        let mut lease = lease.unwrap_or_default();
        let mut spec = lease.spec.unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            spec.holder_identity = Some(self.identity.clone());
            spec.acquire_time = Some(MicroTime(now));
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        spec.renew_time = Some(MicroTime(now));
        spec.lease_duration_seconds = Some(LEASE_SECONDS);
        lease.spec = Some(spec);
        lease
    }

    /// The Lease free for anybody; nothing if it is not ours to free.
    pub fn release(&self, mut lease: Lease) -> Option<Lease> {
        let spec =
            lease.spec.take().filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity))?;
        lease.spec = Some(LeaseSpec {
            holder_identity: None,
            acquire_time: None,
            renew_time: None,
            lease_duration_seconds: None,
            ..spec
        });
        Some(lease)
    }

    /// Nobody holds it, or we do.
    fn is_open(&self, spec: &LeaseSpec) -> bool {
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        holder.is_empty() || holder == self.identity
    }
}

/// As long as its holder says, who may be of another version than we.
fn good_for(spec: &LeaseSpec) -> Duration {
    let seconds = spec.lease_duration_seconds.unwrap_or(LEASE_SECONDS);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Held by `holder`, renewed at that second of the day.
    fn held(holder: &str, renewed: u32) -> Lease {
        let time =
            format!("2026-03-04T{:02}:{:02}:{:02}.000000Z", renewed / 3600, renewed / 60 % 60, renewed % 60);
        serde_json::from_value(json!({
            "metadata": {"name": "lead", "resourceVersion": "7", "labels": {"a": "b"}},
            "spec": {"holderIdentity": holder, "renewTime": time, "acquireTime": time, "leaseDurationSeconds": 10,
                "leaseTransitions": 4, "strategy": "OldestEmulationVersion"},
        }))
        .unwrap()
    }

    fn altered(mut lease: Lease, alter: impl FnOnce(&mut LeaseSpec)) -> Lease {
        alter(lease.spec.as_mut().unwrap());
        lease
    }

    /// Looks at these leases, each at its millisecond since boot, and says at which it may be claimed.
    fn claims(looks: &[(u64, Option<Lease>)]) -> Vec<u64> {
        let mut election = Election::new("we");
        let mut may =
            |look: &&(u64, Option<Lease>)| election.may_claim(look.1.as_ref(), Duration::from_millis(look.0));
        looks.iter().filter(|look| may(look)).map(|look| look.0).collect()
    }

    #[test]
    fn a_lease_that_nobody_else_holds_is_claimed_at_once() {
        let cases = [
            ("there is none", None),
            ("it is empty", Some(Lease::default())),
            ("it was released", Some(altered(held("x", 0), |spec| spec.holder_identity = None))),
            ("its holder has no name", Some(held("", 0))),
            ("it is ours", Some(held("we", 0))),
        ];
        for (what, lease) in cases {
            assert_eq!(claims(&[(5, lease.clone()), (6, lease)]), [5, 6], "{what}");
        }
    }

    #[test]
    fn another_s_lease_is_over_when_it_was_seen_unchanged_for_its_time_whatever_its_clock_says() {
        // Seconds of the day at which it was last renewed: all the same to us.
        for renewed in [0, 43_200, 86_399] {
            let lease = held("x", renewed);
            let looks = [0, 500, 9_999, 10_000, 10_500].map(|at| (3_000 + at, Some(lease.clone())));
            assert_eq!(claims(&looks), [13_000, 13_500], "renewed at {renewed}");
        }
    }

    #[test]
    fn every_change_begins_its_time_anew() {
        // A clock that stands an hour behind, or goes backwards, is one that goes.
        let renewed = [(0, 50), (8_000, 52), (16_000, 40), (25_999, 40)];
        let looks = renewed.map(|(at, second)| (at, Some(held("x", second))));
        assert_eq!(claims(&looks), [0; 0]);
        let later = [looks.as_slice(), &[(26_000, Some(held("x", 40)))]].concat();
        assert_eq!(claims(&later), [26_000]);
        // Another holder, and one that came back after a free moment.
        assert_eq!(claims(&[(0, Some(held("x", 1))), (10_000, Some(held("y", 1)))]), [0; 0]);
        let gone = [(0, Some(held("x", 1))), (5_000, None), (10_000, Some(held("x", 1)))];
        assert_eq!(claims(&gone), [5_000]);
    }

    #[test]
    fn a_change_that_is_not_its_holder_s_does_not_prolong_it() {
        let mut labelled = held("x", 1);
        labelled.metadata.labels = None;
        labelled.metadata.resource_version = Some("8".to_owned());
        assert_eq!(claims(&[(0, Some(held("x", 1))), (10_000, Some(labelled))]), [10_000]);
    }

    #[test]
    fn a_lease_is_good_for_as_long_as_its_holder_says() {
        // What it says, and for how many milliseconds it is respected.
        for (seconds, expected) in [(Some(15), 15_000), (Some(1), 1_000), (None, 10_000), (Some(-1), 1)] {
            let lease = altered(held("x", 1), |spec| spec.lease_duration_seconds = seconds);
            let looks = [0, expected - 1, expected].map(|at| (at, Some(lease.clone())));
            assert_eq!(claims(&looks).last(), Some(&expected), "{seconds:?}");
            assert!(!claims(&looks[..1]).contains(&0), "{seconds:?}");
        }
    }

    #[test]
    fn a_claim_changes_the_holder_and_a_renewal_its_time_and_nothing_else() {
        let election = Election::new("we");
        let now: Timestamp = "2026-03-04T05:06:07Z".parse().unwrap();
        let at = Some(MicroTime(now));
        let taken = altered(held("x", 1), |spec| {
            spec.holder_identity = Some("we".to_owned());
            (spec.acquire_time, spec.renew_time, spec.lease_transitions) = (at.clone(), at.clone(), Some(5));
        });
        let renewed = altered(held("we", 1), |spec| spec.renew_time = at.clone());
        let first = LeaseSpec {
            holder_identity: Some("we".to_owned()),
            acquire_time: at.clone(),
            renew_time: at,
            lease_duration_seconds: Some(10),
            lease_transitions: Some(1),
            ..LeaseSpec::default()
        };
        assert_eq!(election.claim(Some(held("x", 1)), now), taken);
        assert_eq!(election.claim(Some(held("we", 1)), now), renewed);
        assert_eq!(election.claim(None, now), Lease { spec: Some(first), ..Lease::default() });
    }

    #[test]
    fn a_release_frees_what_is_ours_and_nothing_else() {
        let election = Election::new("we");
        let free = altered(held("we", 1), |spec| {
            (spec.holder_identity, spec.acquire_time, spec.renew_time) = (None, None, None);
            spec.lease_duration_seconds = None;
        });
        assert_eq!(election.release(held("we", 1)), Some(free.clone()));
        assert_eq!(election.release(held("x", 1)), None);
        assert_eq!(election.release(free), None);
        assert_eq!(election.release(Lease::default()), None);
    }
}
