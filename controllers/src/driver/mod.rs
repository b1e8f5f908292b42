//! The loop: takes steps of the watches and acknowledgements of writes into the index, and sends out the writes that `next`
//! finds missing, at most one batch a Service or Node at a time. It alone owns the index; nothing here waits for a write.

mod gauges;
mod outcome;
mod scope;
mod send;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use pointsman_crds::ProxySettings;
use pointsman_planner::model::{ServiceKey, Time};
use tokio::sync::{Notify, mpsc, watch as channel};
use tokio::task::JoinSet;

use crate::health::Health;
use crate::index::Index;
use crate::mandate::Mandate;
use crate::metrics::Metrics;
use crate::next::{self, Obstacles, Pulse};
use crate::queue::Queue;
use crate::watch::Change;
use crate::write::{Batch, Writer};
use scope::Scope;

/// How many steps of watches are taken before writes are sent out again.
const STEPS: usize = 1024;
/// How often heartbeats and gauges are looked at.
const TICK: Duration = Duration::from_secs(5);
/// How long writes that are under way may take at the end.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A Service's slices and plans.
    Service(ServiceKey),
    /// A Node's plan.
    Node(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(key) => write!(f, "Service {key}"),
            Self::Node(name) => write!(f, "Node {name}"),
        }
    }
}

/// What the driver is connected to.
pub struct Connections {
    /// Steps of the watches.
    pub steps: mpsc::Receiver<Change>,
    /// Whether this replica leads, and until when.
    pub mandate: Mandate,
    /// What is wrong with the stored kinds.
    pub schema: channel::Receiver<Option<String>>,
    /// Asks for another look at the stored kinds.
    pub look_again: Arc<Notify>,
    /// What the driver says of itself.
    pub health: channel::Sender<Health>,
    /// The end.
    pub stop: channel::Receiver<bool>,
}

/// The state of the loop.
pub struct Driver {
    index: Index,
    settings: ProxySettings,
    writer: Writer,
    metrics: Arc<Metrics>,
    connections: Connections,
    queue: Queue<Target>,
    running: JoinSet<(Target, Batch)>,
    scope: Scope,
    waiting_for: BTreeSet<&'static str>,
    obstacles: BTreeMap<ServiceKey, Obstacles>,
    /// Whose plan the API server stored differently from what was written.
    altered: BTreeMap<Target, String>,
    /// Who waits until nobody's is.
    held: BTreeSet<Target>,
    /// Whose agent is silent, as the metrics say.
    silent: BTreeSet<String>,
    leads: bool,
    /// Since when it leads and knows the whole cluster.
    begun: Option<Instant>,
    /// The same by the clock.
    begun_at: Time,
}

impl Driver {
    /// A driver of an empty index, which waits for the first list of all `kinds`.
    pub fn new(
        index: Index,
        settings: ProxySettings,
        writer: Writer,
        metrics: Arc<Metrics>,
        connections: Connections,
        kinds: Vec<&'static str>,
    ) -> Self {
        Self {
            index,
            settings,
            writer,
            metrics,
            connections,
            queue: Queue::default(),
            running: JoinSet::new(),
            scope: Scope::default(),
            waiting_for: kinds.into_iter().collect(),
            obstacles: BTreeMap::new(),
            altered: BTreeMap::new(),
            held: BTreeSet::new(),
            silent: BTreeSet::new(),
            leads: false,
            begun: None,
            begun_at: Time::default(),
        }
    }

    /// Runs until it is told to stop, and the writes under way have ended.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        while !*self.connections.stop.borrow() {
            self.begin();
            self.send_out();
            self.tell();
            let due = self.queue.next_due().filter(|_| self.may_write());
            let retry = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(step) = self.connections.steps.recv() => self.take_steps(step),
                Some(ended) = self.running.join_next() => self.take_ended(ended),
                () = self.connections.mandate.changed() => self.take_leadership(),
                _ = self.connections.schema.changed() => {}
                _ = self.connections.stop.changed() => {}
                _ = tick.tick() => self.look_round(),
                () = retry => {}
            }
        }
        self.finish().await;
    }

    /// Writes only if it leads, knows the whole cluster, and the stored kinds are right.
    fn may_write(&self) -> bool {
        self.begun.is_some() && self.connections.mandate.holds() && self.connections.schema.borrow().is_none()
    }

    fn take_steps(&mut self, first: Change) {
        let more = std::iter::from_fn(|| self.connections.steps.try_recv().ok()).take(STEPS);
        for step in std::iter::once(first).chain(more) {
            let completed = step.apply(&mut self.index);
            if let Some(kind) = completed.filter(|kind| self.waiting_for.remove(kind)) {
                tracing::info!(kind, waiting_for = ?self.waiting_for, "the first list is complete");
            }
        }
        self.mark_dirty();
    }

    fn mark_dirty(&mut self) {
        let dirty = self.index.take_dirty();
        if self.begun.is_none() {
            return;
        }
        for (key, trigger) in dirty.services {
            self.scope.changed(&self.index, &key);
            self.queue.mark(&Target::Service(key), trigger);
        }
        for name in dirty.nodes {
            self.queue.mark(&Target::Node(name), None);
        }
    }

    fn take_leadership(&mut self) {
        self.leads = self.connections.mandate.is_granted();
        self.metrics.leader.set(i64::from(self.leads));
        if !self.leads {
            self.begun = None;
            self.queue.clear();
            self.scope = Scope::default();
            self.altered.clear();
            self.held.clear();
        }
    }

    /// A new leader that knows the whole cluster looks at everything once. What is as it should be is not written.
    fn begin(&mut self) {
        if !self.leads || !self.waiting_for.is_empty() || self.begun.is_some() {
            return;
        }
        self.begun = Some(Instant::now());
        self.begun_at = now();
        self.index.mark_all();
        let dirty = self.index.take_dirty();
        self.scope.begin(dirty.services.keys());
        for (key, trigger) in dirty.services {
            self.queue.mark(&Target::Service(key), trigger);
        }
        for name in dirty.nodes {
            self.queue.mark(&Target::Node(name), None);
        }
    }

    /// The plan of `target` is stored as it was written.
    fn is_whole(&mut self, target: &Target) {
        if self.altered.remove(target).is_some() && self.altered.is_empty() {
            for held in std::mem::take(&mut self.held) {
                self.queue.mark(&held, None);
            }
        }
    }

    fn pulse(&self) -> Pulse {
        Pulse { since: self.begun_at, now: now() }
    }

    fn look_round(&mut self) {
        if self.begun.is_some() {
            let nodes = next::heartbeats_to_tell(&self.index, self.pulse()).into_iter().map(Target::Node);
            for node in nodes {
                // One that waits after a failure goes on waiting.
                if !self.queue.contains(&node) {
                    self.queue.mark(&node, None);
                }
            }
        }
        self.gauge();
    }

    fn tell(&self) {
        let first = |_: &Instant| self.queue.is_empty() && self.metrics.first_pass_seconds.get() == 0.0;
        if let Some(since) = self.begun.filter(first) {
            let seconds = since.elapsed().as_secs_f64();
            self.metrics.first_pass_seconds.set(seconds);
            tracing::info!(seconds, "everything is as it should be");
        }
        self.metrics.pending.set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
        // What was under way when another took over is tried again by that one: here it would seem to fail for ever.
        let failing = if self.leads { self.queue.failing() } else { 0 };
        self.metrics.failing.set(i64::try_from(failing).unwrap_or(i64::MAX));
        let altered =
            self.altered.iter().map(|(target, problem)| (target.to_string(), problem.clone())).collect();
        self.connections.health.send_replace(Health {
            alive: Instant::now(),
            waiting_for: self.waiting_for.iter().copied().collect(),
            stalled: self.connections.schema.borrow().clone(),
            altered,
            leader: self.leads,
        });
    }

    async fn finish(mut self) {
        let rest = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WRITES, rest).await.is_err() {
            tracing::warn!(
                "writes that were under way are abandoned: the next leader looks at everything anyway"
            );
        }
    }
}

fn now() -> Time {
    Time(i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or_default())
}
