//! Metrics, in OpenMetrics text. Names of the EndpointSlice controller are kept where the meaning is the same.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read it.
    Get,
    /// Create it.
    Create,
    /// Change it.
    Update,
    /// Change its status.
    Status,
    /// Delete it.
    Delete,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Status => "update the status of",
            Self::Delete => "delete",
        })
    }
}

impl EncodeLabelValue for Operation {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let word = match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Status => "update_status",
            Self::Delete => "delete",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Write {
    /// The kind of the object.
    pub kind: &'static str,
    /// What was done to it.
    pub operation: Operation,
    /// How it ended.
    pub outcome: &'static str,
}

/// A kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    /// Its name.
    pub kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Change {
    operation: Operation,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SyncResult {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Not `node`: Prometheus gives that label to every series, for where its program runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Silent {
    silent_node: String,
}

/// All metrics.
pub struct Metrics {
    writes: Family<Write, Counter>,
    write_seconds: Family<Kind, Histogram, fn() -> Histogram>,
    slice_changes: Family<Change, Counter>,
    syncs: Family<SyncResult, Counter>,
    watch_errors: Family<Kind, Counter>,
    objects: Family<Kind, Gauge>,
    refused: Family<Reason, Gauge>,
    silent_agents: Family<Silent, Gauge>,
    /// Services and Nodes that wait for their turn, for an answer or for their next try.
    pub pending: Gauge,
    /// Services and Nodes whose last write failed, other than by coming too late.
    pub failing: Gauge,
    /// 1 while this replica leads.
    pub leader: Gauge,
    /// Seconds from becoming leader until nothing was left to be written for the first time.
    pub first_pass_seconds: Gauge<f64, AtomicU64>,
    /// Slices of ours.
    pub num_endpoint_slices: Gauge,
    /// Endpoints in slices of ours.
    pub endpoints_desired: Gauge,
}

impl Metrics {
    /// New metrics, and the registry that prints them.
    pub fn new() -> (Self, Registry) {
        let buckets: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let metrics = Self {
            writes: Family::default(),
            write_seconds: Family::new_with_constructor(buckets),
            slice_changes: Family::default(),
            syncs: Family::default(),
            watch_errors: Family::default(),
            objects: Family::default(),
            refused: Family::default(),
            silent_agents: Family::default(),
            pending: Gauge::default(),
            failing: Gauge::default(),
            leader: Gauge::default(),
            first_pass_seconds: Gauge::default(),
            num_endpoint_slices: Gauge::default(),
            endpoints_desired: Gauge::default(),
        };
        let mut registry = Registry::default();
        metrics.register_own(registry.sub_registry_with_prefix("pointsman_controller"));
        metrics.register_slices(registry.sub_registry_with_prefix("endpoint_slice_controller"));
        (metrics, registry)
    }

    fn register_own(&self, own: &mut Registry) {
        own.register("writes", "Writes to the API server", self.writes.clone());
        own.register("write_duration_seconds", "How long a write took", self.write_seconds.clone());
        own.register("watch_errors", "Watches that were interrupted", self.watch_errors.clone());
        own.register("objects", "Objects that are known", self.objects.clone());
        own.register("pending", "Services and Nodes that are not settled", self.pending.clone());
        let failing = "Services and Nodes whose last write failed, other than by coming too late";
        own.register("failing", failing, self.failing.clone());
        let silent = "1 for each node whose agent was heard of once, and not for ten minutes";
        own.register("agent_silent", silent, self.silent_agents.clone());
        own.register("refused", "Entries of Services that are refused now, by reason", self.refused.clone());
        own.register("leader", "1 while this replica leads", self.leader.clone());
        own.register(
            "first_pass_seconds",
            "From becoming leader until nothing was left to be written for the first time",
            self.first_pass_seconds.clone(),
        );
    }

    fn register_slices(&self, slices: &mut Registry) {
        slices.register("changes", "EndpointSlices written", self.slice_changes.clone());
        slices.register("syncs", "Services whose slices were looked at", self.syncs.clone());
        slices.register("num_endpoint_slices", "EndpointSlices of ours", self.num_endpoint_slices.clone());
        slices.register(
            "endpoints_desired",
            "Endpoints in EndpointSlices of ours",
            self.endpoints_desired.clone(),
        );
    }

    /// A write has ended.
    pub fn wrote(&self, write: &Write, took: Duration) {
        self.writes.get_or_create(write).inc();
        self.write_seconds.get_or_create(&Kind { kind: write.kind }).observe(took.as_secs_f64());
        if write.kind == "EndpointSlice" && write.outcome == "success" {
            self.slice_changes.get_or_create(&Change { operation: write.operation }).inc();
        }
    }

    /// A Service was looked at.
    pub fn synced(&self, result: &'static str) {
        self.syncs.get_or_create(&SyncResult { result }).inc();
    }

    /// The watch of `kind` was interrupted.
    pub fn watch_error(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&Kind { kind }).inc();
    }

    /// So many objects of `kind` are known.
    pub fn known(&self, kind: &'static str, count: usize) {
        self.objects.get_or_create(&Kind { kind }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// So many entries are refused for this reason.
    pub fn refused(&self, reason: &'static str, count: u64) {
        self.refused.get_or_create(&Reason { reason }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The agents of these nodes are silent, those of `before` were.
    pub fn silent(&self, before: &BTreeSet<String>, now: &BTreeSet<String>) {
        for node in before.difference(now) {
            self.silent_agents.remove(&Silent { silent_node: node.clone() });
        }
        for node in now {
            self.silent_agents.get_or_create(&Silent { silent_node: node.clone() }).set(1);
        }
    }
}
