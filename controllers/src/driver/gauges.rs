//! What the metrics tell of the cluster as the index knows it; a standby tells the same. Reads, and decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use pointsman_crds::ServiceRefusedList;
use pointsman_crds::conditions::RefusalReason;

use super::Driver;

/// The reason of entries that a status counts and no longer lists.
const UNLISTED: &str = "Unlisted";

impl Driver {
    pub(super) fn gauge(&mut self) {
        for (kind, count) in self.index.sizes() {
            self.metrics.known(kind, count);
        }
        // Where no agent was ever heard of, none may be meant to be: the agents' DaemonSet can leave nodes out.
        let fell_silent =
            self.index.node_plans().filter(|plan| plan.alive == Some(false) && plan.heartbeat.is_some());
        let silent: BTreeSet<String> = fell_silent.map(|plan| plan.name.clone()).collect();
        self.metrics.silent(&self.silent, &silent);
        self.silent = silent;
        for (reason, count) in by_reason(self.index.service_plans().filter_map(|plan| plan.refused.as_ref()))
        {
            self.metrics.refused(reason, count);
        }
        let slices = self.index.own_slices();
        self.metrics.num_endpoint_slices.set(slices.stored);
        self.metrics.endpoints_desired.set(slices.endpoints);
    }
}

/// How many entries are refused for each reason, those included that none is refused for.
fn by_reason<'a>(lists: impl Iterator<Item = &'a ServiceRefusedList>) -> BTreeMap<&'static str, u64> {
    let none = RefusalReason::ALL.iter().map(|reason| reason.as_str()).chain([UNLISTED]);
    let mut counts: BTreeMap<&'static str, u64> = none.map(|reason| (reason, 0)).collect();
    for list in lists {
        let mut unlisted = u64::from(list.count);
        for refused in &list.first {
            if let Some(count) = counts.get_mut(refused.reason.as_str()) {
                *count += 1;
                unlisted = unlisted.saturating_sub(1);
            }
        }
        *counts.entry(UNLISTED).or_default() += unlisted;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_crds::ServiceRefused;

    fn list(count: u32, reasons: &[&str]) -> ServiceRefusedList {
        let refused = |reason: &&str| ServiceRefused {
            what: String::new(),
            reason: (*reason).to_owned(),
            from: String::new(),
        };
        ServiceRefusedList { count, first: reasons.iter().map(refused).collect() }
    }

    #[test]
    fn every_refused_entry_counts_once() {
        let conflict = "FrontendConflict";
        let external = "ExternalIpNotAllowed";
        // What statuses say; conflicts, external IPs, entries whose reason is not told.
        let cases: [(&[ServiceRefusedList], [u64; 3]); 5] = [
            (&[], [0, 0, 0]),
            (&[list(1, &[conflict])], [1, 0, 0]),
            (&[list(3, &[conflict, external, external]), list(1, &[conflict])], [2, 2, 0]),
            (&[list(40, &[external; 32])], [0, 32, 8]),
            // Of another version's words nothing is known, and of a count that is too small nothing is made.
            (&[list(2, &["NewWord", conflict]), list(0, &[conflict])], [2, 0, 1]),
        ];
        for (lists, expected) in cases {
            let counts = by_reason(lists.iter());
            assert_eq!([counts[conflict], counts[external], counts[UNLISTED]], expected, "{lists:?}");
            assert_eq!(
                counts.values().sum::<u64>(),
                expected.iter().sum::<u64>(),
                "no other reason: {lists:?}"
            );
            assert_eq!(counts.len(), RefusalReason::ALL.len() + 1, "{lists:?}");
        }
    }
}
