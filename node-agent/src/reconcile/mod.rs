//! The loop: what changed → dispatch → image → commit → report. It runs in a thread of its own, because the kernel's answers block; it
//! knows no cluster and no file.

mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pointsman_crds::conditions::ConditionReason;
use pointsman_crds::{DriftPolicy, IpFamily, Mode};
use pointsman_dataplane::dispatch::Dispatch;
use pointsman_dataplane::{NodeFacts, ServiceKey};
use tokio::sync::watch;

use crate::health::Health;
use crate::hold::Hold;
use crate::mailbox::{Mailbox, Wake};
use crate::metrics::Metrics;
use crate::nftables::Nftables;
use crate::plan::{NodePlan, Plan, Revision, Services, Update};
use crate::refusals::Refusals;
use crate::report::{Programmed, Report};
use crate::schedule::{Act, Schedule};
use crate::tables::{Tables, Written, squash};

/// How often the kernel is read back when the plan says nothing.
const VERIFY_PERIOD: Duration = Duration::from_secs(30);

/// Changes that wait to be timed, at most.
const MOST_TRIGGERS: usize = 10_000;

/// Whom the reconciler tells.
#[derive(Clone)]
pub struct Outlets {
    /// What is reported.
    pub reports: watch::Sender<Report>,
    /// Whether the node may take traffic.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where committed plans are kept, if anywhere.
    pub checkpoint: Option<Arc<Mailbox>>,
}

/// Brings the kernel to the plan and keeps it there.
pub struct Reconciler<K> {
    tables: Tables<K>,
    outlets: Outlets,
    /// Program beside an active kube-proxy.
    take_over: bool,
    plan: Option<Plan>,
    /// What the plan means on this node; `None` until it is made (again) from all Services.
    dispatch: Option<Dispatch>,
    /// Services that changed since the last fold.
    dirty: BTreeSet<ServiceKey>,
    /// The plan is the checkpoint's.
    saved: bool,
    refusals: Refusals,
    /// What changed since the last checkpoint; everything, before the first one.
    unsaved: Option<Update>,
    triggers: Vec<Timestamp>,
    schedule: Schedule,
    report: Report,
}

impl<K: Nftables> Reconciler<K> {
    /// Nothing is planned yet.
    pub fn new(tables: Tables<K>, outlets: Outlets, take_over: bool) -> Self {
        Self {
            tables,
            outlets,
            take_over,
            plan: None,
            dispatch: None,
            dirty: BTreeSet::new(),
            saved: false,
            refusals: Refusals::default(),
            unsaved: None,
            triggers: Vec::new(),
            schedule: Schedule::new(),
            report: Report::default(),
        }
    }

    /// Reconciles until the mailbox is closed. What is in the kernel then stays.
    pub fn run(mut self, mailbox: &Mailbox) {
        loop {
            match mailbox.wait(self.schedule.due()) {
                Wake::Closed => return,
                Wake::Update(update) => self.absorb(*update, Instant::now()),
                Wake::Touched => self.schedule.touched(Instant::now()),
                Wake::Due => {}
            }
            self.step(Instant::now());
        }
    }

    /// Does what is due.
    pub fn step(&mut self, now: Instant) {
        match self.schedule.next(now) {
            Some(Act::Commit) => self.commit(now),
            Some(Act::Sweep) => self.sweep(now),
            Some(Act::Verify) => self.verify(now),
            None => {}
        }
        self.tell();
    }

    /// Takes in what the feed said. Without a whole plan there is nothing to do.
    pub fn absorb(&mut self, update: Update, now: Instant) {
        let Update { node, awaited, services, revision, unreadable, triggers, link } = update;
        if let Some(link) = link {
            self.report.link = link;
        }
        if let Some(unreadable) = unreadable {
            self.refusals.set_unreadable(unreadable);
        }
        self.saved = match services {
            Services::Saved(_) => true,
            Services::All(_) => false,
            Services::Changed(_) => self.saved,
        };
        let changed = match (&mut self.plan, node, services) {
            (None, Some(node), all @ (Services::All(_) | Services::Saved(_))) => {
                self.plan_node(None, &node);
                let plan = Plan { node, services: BTreeMap::new(), revision: Revision::default() };
                self.plan.insert(plan).absorb(all)
            }
            // Without a whole plan there is something to report, and nothing to write.
            (None, _, _) => {
                self.report.plan = awaited.or_else(|| self.report.plan.take());
                return;
            }
            (Some(plan), node, services) => {
                let changed = plan.absorb(services);
                if let Some(node) = node {
                    let before = std::mem::replace(&mut plan.node, node.clone());
                    self.plan_node(Some(&before), &node);
                    if let Some(unsaved) = &mut self.unsaved {
                        unsaved.node = Some(node);
                    }
                }
                changed
            }
        };
        if let (Some(plan), Some(revision)) = (&mut self.plan, revision) {
            plan.revision = revision;
        }
        self.outlets.metrics.queued(changed.len());
        // While nothing can be written they are of no use but to measure by, and there is no end to them.
        let room = MOST_TRIGGERS.saturating_sub(self.triggers.len());
        self.triggers.extend(triggers.into_iter().take(room));
        self.dirty.extend(changed.keys().cloned());
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.merge(Update { services: Services::Changed(changed), ..Update::default() });
        }
        self.schedule.changed(now);
        self.outlets.health.pending(now);
        self.report.behind = true;
    }

    /// The node's own plan changed: what follows from its facts is made anew.
    fn plan_node(&mut self, before: Option<&NodePlan>, node: &Arc<NodePlan>) {
        let facts = |plan: &NodePlan| NodeFacts::new(&plan.name, &plan.spec);
        if before.is_none_or(|before| facts(before) != facts(node)) {
            self.dispatch = None;
        }
        let sync = node.spec.settings.sync.clone().unwrap_or_default();
        let period = |asked: Option<pointsman_crds::Duration>| asked.map(Duration::from);
        let min_period = period(sync.min_period).unwrap_or_default();
        self.schedule.set_periods(min_period, period(sync.verify_period).unwrap_or(VERIFY_PERIOD));
        self.outlets.health.planned(node.spec.node.leaving, &facts(node).families);
        self.report.plan = Some(node.clone());
    }

    /// Brings everything that changed into the kernel, or says why not. Nothing is lost: what fails is read and written again.
    fn commit(&mut self, now: Instant) {
        let written = self.prepare().and_then(|()| self.write());
        self.report.stalled = None;
        self.report.conflict = None;
        self.report.failure = None;
        match written {
            Ok(written) => self.committed(written, now),
            Err(hold) => self.held(hold, now),
        }
    }

    fn held(&mut self, hold: Hold, now: Instant) {
        match hold {
            Hold::Stalled(trouble) => {
                self.dispatch = None;
                self.schedule.hold();
                self.report.behind = false;
                self.report.stalled = Some(trouble);
                self.outlets.health.idle();
            }
            Hold::Conflict(trouble) => {
                if trouble.reason == ConditionReason::TableOwned {
                    // Usually this agent's predecessor, for a moment: to ask costs nothing, and all is ready for when it is gone.
                    self.schedule.blocked(now);
                } else {
                    self.dispatch = None;
                    self.tables.forget();
                    self.schedule.failed(now);
                }
                self.report.behind = false;
                self.report.conflict = Some(trouble);
                // Somebody else serves: a restart of this agent would help nobody.
                self.outlets.health.idle();
            }
            Hold::Failed(trouble) => {
                tracing::error!(
                    reason = trouble.reason.as_str(),
                    error = trouble.message,
                    "the kernel was not written; it is tried again"
                );
                self.outlets.metrics.failed();
                self.schedule.failed(now);
                self.report.failure = Some(trouble);
            }
        }
    }

    /// What must hold before anything is written.
    fn prepare(&mut self) -> Result<(), Hold> {
        let Some(plan) = &self.plan else { return Ok(()) };
        if let Some(hold) = Hold::by_plan(&plan.node) {
            return Err(hold);
        }
        let settings = &plan.node.spec.settings;
        let own = settings.nftables.as_ref().and_then(|nftables| nftables.table_owner).unwrap_or(true);
        self.tables.open(own)?;
        if self.dispatch.is_none() {
            self.refuse_rival()?;
        }
        self.forget_what_was_left();
        self.refuse_old_checkpoint()
    }

    /// What was left and may be repaired now is repaired with this commit, not at the next read-back, which may be hours away.
    fn forget_what_was_left(&mut self) {
        let policy = self.plan.as_ref().map(|plan| plan.node.drift_policy());
        let drifted = self.report.drifted.as_ref().map(|drifted| drifted.reason);
        if (policy, drifted) == (Some(DriftPolicy::Repair), Some(ConditionReason::DriftObserved)) {
            self.tables.forget();
        }
    }

    /// Two proxies would fight for the same packets.
    fn refuse_rival(&mut self) -> Result<(), Hold> {
        if self.take_over {
            return Ok(());
        }
        self.tables.rival()?.map_or(Ok(()), |table| Err(Hold::by_kube_proxy(&table)))
    }

    /// A checkpoint that is older than what the kernel says of itself is not applied over it.
    fn refuse_old_checkpoint(&mut self) -> Result<(), Hold> {
        let Some(plan) = &self.plan else { return Ok(()) };
        if !self.saved || self.report.programmed.is_some() {
            return Ok(());
        }
        let newer =
            self.tables.revisions()?.into_iter().find(|revision| revision.is_newer_than(&plan.revision));
        if let Some(newer) = newer {
            tracing::warn!(checkpoint = %plan.revision, kernel = %newer, "the checkpoint is older than the kernel's table; waiting for the API server");
            self.plan = None;
            self.outlets.health.idle();
        }
        Ok(())
    }

    /// Folds the changes and writes them, family by family.
    fn write(&mut self) -> Result<Written, Hold> {
        let Some(plan) = &self.plan else { return Ok(Written::default()) };
        let changes = match &mut self.dispatch {
            Some(dispatch) => {
                let dirty = std::mem::take(&mut self.dirty);
                squash(
                    dirty
                        .iter()
                        .flat_map(|key| dispatch.change(key, plan.services.get(key).map(Arc::as_ref))),
                )
            }
            None => {
                self.dirty.clear();
                self.refusals.clear();
                self.tables.forget();
                let mut dispatch = Dispatch::new(NodeFacts::new(&plan.node.name, &plan.node.spec));
                for (key, service) in &plan.services {
                    dispatch.change(key, Some(service));
                }
                self.dispatch.insert(dispatch).all()
            }
        };
        self.refusals.note(&changes);
        let Some(dispatch) = &self.dispatch else { return Ok(Written::default()) };
        let mut written = Written::default();
        let mut failure = None;
        let mut foreign = Vec::new();
        let mut all_read = true;
        let policy = plan.node.drift_policy();
        self.tables.set_policy(policy);
        // One family that fails does not hold up the other.
        for family in [IpFamily::IPv4, IpFamily::IPv6] {
            let done = if !dispatch.node().proxies(family) {
                self.tables.remove(family).map(|_| Written::default())
            } else if self.tables.knows(family) {
                all_read = false;
                self.tables.apply(&changes, family, &plan.revision)
            } else {
                self.tables.adopt(dispatch, family, &plan.revision).map(|(written, changed)| {
                    foreign.extend(changed);
                    written
                })
            };
            match done {
                Ok(done) => written += done,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        self.outlets.metrics.written(written);
        // Every table was read and put right: what was seen before is over, also where it was not somebody else's hand that is told of.
        if all_read && failure.is_none() {
            self.report.drifted = None;
        }
        // What somebody else did to a table before it was adopted.
        if !foreign.is_empty() {
            self.differed(foreign.join("; "), policy);
        }
        failure.map_or(Ok(written), |error| Err(error.into()))
    }

    /// The kernel holds the plan.
    fn committed(&mut self, written: Written, now: Instant) {
        let time = Timestamp::now();
        self.schedule.committed(now);
        self.report.behind = false;
        let (Some(plan), Some(dispatch)) = (&self.plan, &self.dispatch) else { return };
        let counts = dispatch.counts();
        let before = self.report.programmed.as_ref().and_then(|programmed| programmed.last_sync);
        let micros = u64::try_from(written.duration.as_micros()).unwrap_or(u64::MAX);
        let last_sync = if written.transactions > 0 { Some((time, micros)) } else { before };
        self.report.mode = Some(Mode::Nftables);
        self.report.programmed = Some(Programmed {
            revision: plan.revision.clone(),
            generation: plan.node.generation,
            services: counts.services,
            frontends: counts.frontends,
            endpoints: counts.endpoints,
            digest: self.tables.digest(),
            last_sync,
        });
        self.report.refused = self.refusals.list(counts.refused);
        // What may not be repaired is still there.
        self.report.drifted.take_if(|drifted| drifted.reason == ConditionReason::RepairFailed);
        if self.tables.has_stale() {
            self.schedule.stale(now);
        }
        tracing::debug!(took = ?now.elapsed(), kernel = ?written.duration, elements = written.elements, "committed");
        self.outlets.health.synced(time, !self.saved);
        self.outlets.metrics.synced(now.elapsed(), &std::mem::take(&mut self.triggers), time);
        self.save();
    }

    /// Leaves what was committed to the checkpoint; what came from there needs no saving.
    fn save(&mut self) {
        let (Some(checkpoint), Some(plan)) = (&self.outlets.checkpoint, &self.plan) else { return };
        if self.saved {
            return;
        }
        let everything = || Update {
            node: Some(plan.node.clone()),
            services: Services::All(plan.services.clone()),
            ..Update::default()
        };
        let unsaved = self.unsaved.replace(Update::default()).unwrap_or_else(everything);
        checkpoint.post(Update { revision: Some(plan.revision.clone()), ..unsaved });
    }

    fn tell(&self) {
        self.outlets.reports.send_if_modified(|told| {
            let news = *told != self.report;
            if news {
                told.clone_from(&self.report);
            }
            news
        });
    }
}

#[cfg(test)]
mod tests;
