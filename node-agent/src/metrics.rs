//! What the agent counts, under kube-proxy's names where the meaning is the same. Gauges are set from the last report when they are
//! read, so that they say what the status says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use pointsman_crds::conditions::ConditionType;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::plan::Link;
use crate::report::Report;
use crate::report::status::{Agent, status};
use crate::tables::Written;

type Labelled<M> = Family<[(&'static str, &'static str); 1], M>;

/// All metrics of the agent.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    started: Timestamp,
    sync_duration: Histogram,
    programming_duration: Histogram,
    last_queued: Gauge<f64, std::sync::atomic::AtomicU64>,
    last_sync: Gauge<f64, std::sync::atomic::AtomicU64>,
    service_changes: Counter,
    sync_failures: Counter,
    healthz: Labelled<Counter>,
    livez: Labelled<Counter>,
    transactions: Counter,
    elements: Counter,
    repairs: Counter,
    status_writes: Labelled<Counter>,
    checkpoint_failures: Counter,
    programmed: Labelled<Gauge>,
    refused: Gauge,
    link: Labelled<Gauge>,
    ready: Gauge,
    condition: Labelled<Gauge>,
}

impl Metrics {
    /// Nothing counted yet. Changes that happened before `started` are not the agent's to be timed.
    pub fn new(started: Timestamp) -> Self {
        let sync_buckets = (0..15).map(|n| 0.001 * f64::from(1 << n));
        let programming_buckets = [0.25, 0.5]
            .into_iter()
            .chain((1..60).map(f64::from))
            .chain((60..120).step_by(5).map(f64::from))
            .chain((120..=300).step_by(30).map(f64::from));
        let mut metrics = Self {
            registry: Registry::default(),
            started,
            sync_duration: Histogram::new(sync_buckets),
            programming_duration: Histogram::new(programming_buckets),
            last_queued: Gauge::default(),
            last_sync: Gauge::default(),
            service_changes: Counter::default(),
            sync_failures: Counter::default(),
            healthz: Family::default(),
            livez: Family::default(),
            transactions: Counter::default(),
            elements: Counter::default(),
            repairs: Counter::default(),
            status_writes: Family::default(),
            checkpoint_failures: Counter::default(),
            programmed: Family::default(),
            refused: Gauge::default(),
            link: Family::default(),
            ready: Gauge::default(),
            condition: Family::default(),
        };
        metrics.register_kube_proxys();
        metrics.register_own();
        metrics
    }

    fn register_kube_proxys(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("kubeproxy");
        let sync = "sync_proxy_rules_duration_seconds";
        registry.register(sync, "Time to write changes to the kernel", self.sync_duration.clone());
        let programming = "network_programming_duration_seconds";
        let help = "Time from a change of a Service or Pod until it is in the kernel";
        registry.register(programming, help, self.programming_duration.clone());
        let queued = "sync_proxy_rules_last_queued_timestamp_seconds";
        registry.register(queued, "When a change was last queued", self.last_queued.clone());
        let last = "sync_proxy_rules_last_timestamp_seconds";
        registry.register(last, "When the kernel last held the whole plan", self.last_sync.clone());
        let changes = "sync_proxy_rules_service_changes";
        registry.register(changes, "Service plans that changed", self.service_changes.clone());
        let failures = "sync_proxy_rules_nftables_sync_failures";
        registry.register(failures, "Writes that failed", self.sync_failures.clone());
        registry.register("proxy_healthz", "Answers of /healthz", self.healthz.clone());
        registry.register("proxy_livez", "Answers of /livez", self.livez.clone());
    }

    fn register_own(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("pointsman_agent");
        registry.register("kernel_transactions", "Transactions committed", self.transactions.clone());
        registry.register("kernel_elements", "Elements written or deleted", self.elements.clone());
        registry.register(
            "drift_repairs",
            "Times the kernel was found different and repaired",
            self.repairs.clone(),
        );
        registry.register("status_writes", "Writes of the status", self.status_writes.clone());
        let failures = "Writes of the checkpoint that failed";
        registry.register("checkpoint_failures", failures, self.checkpoint_failures.clone());
        registry.register("programmed", "What is in the kernel, by kind", self.programmed.clone());
        registry.register("refused", "Entries of plans that are not programmed", self.refused.clone());
        registry.register("plan_source", "1 for where plans come from at the moment", self.link.clone());
        registry.register("ready", "1 once a whole plan is in the kernel", self.ready.clone());
        let condition = "1 where the condition of that type in the status is True";
        registry.register("condition", condition, self.condition.clone());
    }

    /// Changes were queued.
    pub fn queued(&self, services: usize) {
        self.service_changes.inc_by(services as u64);
        self.last_queued.set(seconds());
    }

    /// Changes were written, which took so long.
    pub fn synced(&self, took: Duration, triggers: &[Timestamp], now: Timestamp) {
        self.sync_duration.observe(took.as_secs_f64());
        self.last_sync.set(seconds());
        for trigger in triggers.iter().filter(|trigger| **trigger >= self.started) {
            self.programming_duration.observe(now.duration_since(*trigger).as_secs_f64().max(0.0));
        }
    }

    /// Something was committed to the kernel.
    pub fn written(&self, written: Written) {
        self.transactions.inc_by(u64::from(written.transactions));
        self.elements.inc_by(written.elements as u64);
    }

    /// A write failed.
    pub fn failed(&self) {
        self.sync_failures.inc();
    }

    /// The kernel was found different and repaired.
    pub fn repaired(&self) {
        self.repairs.inc();
    }

    /// A status was written, or was not.
    pub fn status_written(&self, done: bool) {
        self.status_writes.get_or_create(&[("result", if done { "written" } else { "failed" })]).inc();
    }

    /// The checkpoint was not written.
    pub fn checkpoint_failed(&self) {
        self.checkpoint_failures.inc();
    }

    /// `/healthz` (or `/livez`) answered.
    pub fn answered(&self, healthz: bool, good: bool) {
        let family = if healthz { &self.healthz } else { &self.livez };
        family.get_or_create(&[("code", if good { "200" } else { "503" })]).inc();
    }

    /// Everything as text (OpenMetrics).
    pub fn text(&self, report: &Report, ready: bool) -> String {
        if let Some(programmed) = &report.programmed {
            let counts = [
                ("services", programmed.services),
                ("frontends", programmed.frontends),
                ("endpoints", programmed.endpoints),
            ];
            for (kind, count) in counts {
                self.programmed.get_or_create(&[("kind", kind)]).set(i64::from(count));
            }
        }
        for (kind, holds) in conditions(report) {
            self.condition.get_or_create(&[("type", kind)]).set(i64::from(holds));
        }
        self.refused.set(i64::from(report.refused.count));
        self.ready.set(i64::from(ready));
        let now = match report.link {
            Link::Live => "live",
            Link::Checkpoint => "checkpoint",
            Link::Away(_) => "away",
            Link::Gone(_) => "gone",
        };
        for source in ["live", "checkpoint", "away", "gone"] {
            self.link.get_or_create(&[("source", source)]).set(i64::from(source == now));
        }
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// The agent's conditions, as the status tells them.
fn conditions(report: &Report) -> Vec<(&'static str, bool)> {
    let told = status(report, &Agent::default(), &[], Timestamp::UNIX_EPOCH).conditions;
    let find = |kind: &&str| told.iter().find(|condition| condition.type_ == *kind);
    let kinds = ConditionType::ALL.iter().map(|kind| kind.as_str());
    kinds.filter_map(|kind| find(&kind).map(|condition| (kind, condition.status == "True"))).collect()
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_proxys_names_are_kept_and_gauges_follow_the_report() {
        let started: Timestamp = "2026-03-04T05:06:07Z".parse().unwrap();
        let metrics = Metrics::new(started);
        let second = |n: i64| started + jiff::SignedDuration::from_secs(n);
        metrics.synced(Duration::from_millis(3), &[second(-5), second(1)], second(4));
        metrics.answered(true, false);
        let text = metrics.text(&Report { link: Link::Away("x".to_owned()), ..Report::default() }, false);
        for line in [
            "kubeproxy_sync_proxy_rules_duration_seconds_count 1",
            "kubeproxy_network_programming_duration_seconds_count 1",
            "kubeproxy_network_programming_duration_seconds_bucket{le=\"3.0\"} 1",
            "kubeproxy_proxy_healthz_total{code=\"503\"} 1",
            "kubeproxy_sync_proxy_rules_nftables_sync_failures_total 0",
            "pointsman_agent_plan_source{source=\"away\"} 1",
            "pointsman_agent_plan_source{source=\"live\"} 0",
            "pointsman_agent_condition{type=\"Ready\"} 0",
            "pointsman_agent_condition{type=\"Reconciling\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("AgentAlive"), "that one is the controller's to say");
    }
}
