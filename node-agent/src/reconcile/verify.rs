//! What is done between changes: stale slots go, and the kernel is read back. Writes only what the plan already says.

use std::time::Instant;

use jiff::Timestamp;
use pointsman_crds::DriftPolicy;
use pointsman_crds::conditions::ConditionReason;

use super::Reconciler;
use crate::hold::trouble;
use crate::nftables::Nftables;
use crate::report::Trouble;

impl<K: Nftables> Reconciler<K> {
    /// Deletes what became stale.
    pub(super) fn sweep(&mut self, now: Instant) {
        match self.tables.sweep() {
            Ok(written) => self.outlets.metrics.written(written),
            Err(error) => {
                tracing::error!(%error, "stale slots were not deleted; the table is read and written again");
                self.schedule.failed(now);
            }
        }
        if self.tables.has_stale() {
            self.schedule.stale(now);
        }
    }

    /// Reads the kernel back, and repairs or reports what differs.
    pub(super) fn verify(&mut self, now: Instant) {
        if let Err(hold) = self.refuse_rival() {
            return self.held(hold, now);
        }
        let (Some(plan), Some(dispatch)) = (&self.plan, &self.dispatch) else { return };
        self.schedule.verified(now);
        let found = match self.tables.verify(dispatch) {
            Ok(differences) => differences.found,
            Err(error) => {
                self.report.failure = Some(trouble(&error));
                // What cannot be read is not known: no write without another read may say that all is well again.
                self.tables.forget();
                return self.schedule.failed(now);
            }
        };
        if found.is_empty() {
            self.report.drifted = None;
            return;
        }
        let what = found.values().cloned().collect::<Vec<_>>().join("; ");
        let policy = plan.node.drift_policy();
        tracing::warn!(what, ?policy, "the kernel differs from the plan");
        if policy == DriftPolicy::Observe {
            return self.differed(what, policy);
        }
        for family in found.into_keys() {
            match self.tables.adopt(dispatch, family, &plan.revision) {
                Ok((written, _)) => self.outlets.metrics.written(written),
                Err(error) => {
                    let message = format!("{what}; repair failed: {error}");
                    self.report.drifted = Some(Trouble::new(ConditionReason::RepairFailed, message));
                    return self.schedule.failed(now);
                }
            }
        }
        self.differed(what, policy);
        if self.tables.has_stale() {
            self.schedule.stale(now);
        }
    }

    /// Tells what was different, and is not any more unless that may not be repaired.
    pub(super) fn differed(&mut self, what: String, policy: DriftPolicy) {
        if policy == DriftPolicy::Observe {
            self.report.drifted = Some(Trouble::new(ConditionReason::DriftObserved, what));
            return;
        }
        tracing::warn!(what, "the kernel differed from the plan, and is repaired");
        self.report.drifted = None;
        self.report.drift.repairs += 1;
        self.report.drift.last = Some((Timestamp::now(), what));
        self.outlets.metrics.repaired();
    }
}
