//! A report as the status of a `NodeProxyPlan`. The time is an argument.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use pointsman_crds::conditions::{ConditionReason, ConditionType};
use pointsman_crds::names::CONDITION_MESSAGE_LIMIT;
use pointsman_crds::{
    AgentStatus, DriftStatus, Mode, NodeProxyPlanStatus, NodeRefusedList, ProgrammedStatus,
};

use super::limit::News;
use super::{Programmed, Report, Trouble};
use crate::plan::Link;

/// The longest sentence about drift and refusals that the schema allows.
const SENTENCE_LIMIT: usize = 512;

/// What the agent knows about itself and its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// The agent's version.
    pub version: String,
    /// The kernel's release.
    pub kernel: String,
    /// The kernel's boot ID.
    pub boot_id: String,
}

impl Agent {
    /// This process on this node.
    pub fn here() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            boot_id: boot_id.trim().to_owned(),
        }
    }
}

/// The status that says this; transition times are those of `before` where a condition did not change.
pub fn status(report: &Report, agent: &Agent, before: &[Condition], now: Timestamp) -> NodeProxyPlanStatus {
    let generation = report.plan.as_ref().map(|plan| plan.generation);
    NodeProxyPlanStatus {
        observed_generation: generation,
        mode: report.mode,
        programmed: report.programmed.as_ref().map(programmed),
        drift: (report.drift.repairs > 0).then(|| DriftStatus {
            repairs: report.drift.repairs,
            last: report.drift.last.as_ref().map(|(when, _)| Time(*when)),
            what: report.drift.last.as_ref().map(|(_, what)| cut(what, SENTENCE_LIMIT)),
        }),
        refused: (report.refused.count > 0).then(|| NodeRefusedList {
            count: report.refused.count,
            first: report
                .refused
                .first
                .iter()
                .cloned()
                .map(|mut refused| {
                    refused.message = cut(&refused.message, SENTENCE_LIMIT);
                    refused
                })
                .collect(),
        }),
        agent: Some(AgentStatus {
            version: agent.version.clone(),
            kernel: agent.kernel.clone(),
            boot_id: agent.boot_id.clone(),
            heartbeat: Some(Time(now)),
        }),
        conditions: conditions(report)
            .into_iter()
            .map(|(kind, holds, trouble)| condition(kind, holds, &trouble, generation, before, now))
            .collect(),
    }
}

/// Whether a status says something that the one before did not; nothing but the heartbeat is no news.
pub fn news(before: Option<&NodeProxyPlanStatus>, now: &NodeProxyPlanStatus) -> Option<News> {
    let Some(before) = before else { return Some(News::Condition) };
    let words = |status: &NodeProxyPlanStatus| -> Vec<(String, String, String)> {
        let words = |condition: &Condition| {
            (condition.type_.clone(), condition.status.clone(), condition.reason.clone())
        };
        // Changes on their way come and go with every commit: no more than a detail.
        let steady = |condition: &&Condition| condition.type_ != ConditionType::Reconciling.as_str();
        status.conditions.iter().filter(steady).map(words).collect()
    };
    let without_heartbeat = |status: &NodeProxyPlanStatus| {
        let mut status = status.clone();
        status.agent.iter_mut().for_each(|agent| agent.heartbeat = None);
        status
    };
    if words(before) != words(now) || before.observed_generation != now.observed_generation {
        Some(News::Condition)
    } else if without_heartbeat(before) != without_heartbeat(now) {
        Some(News::Detail)
    } else {
        None
    }
}

fn programmed(programmed: &Programmed) -> ProgrammedStatus {
    ProgrammedStatus {
        revision: programmed.revision.as_str().to_owned(),
        services: programmed.services,
        frontends: programmed.frontends,
        endpoints: programmed.endpoints,
        digest: format!("{:016x}", programmed.digest),
        last_sync: programmed.last_sync.map(|(when, _)| Time(when)),
        last_sync_micros: programmed.last_sync.map(|(_, micros)| micros),
    }
}

type Said = (ConditionType, bool, Trouble);

/// The agent's conditions. `AgentAlive` is the controller's.
fn conditions(report: &Report) -> Vec<Said> {
    let quiet = || Trouble::new(ConditionReason::None, "");
    let said =
        |kind, trouble: &Option<Trouble>| (kind, trouble.is_some(), trouble.clone().unwrap_or_else(quiet));
    let good = Trouble::new(ConditionReason::Programmed, summary(report));
    let asked = report.plan.as_ref().map(|plan| plan.generation);
    let applying = || Trouble::new(ConditionReason::Applying, "changes are being written");
    let programmed = match (report.failure.as_ref().or(report.drifted.as_ref()), &report.programmed) {
        // What stands in the kernel answers to an older plan of the node: it must not pass for this one.
        (None, Some(programmed)) if report.behind && asked != Some(programmed.generation) => {
            (ConditionType::Programmed, false, applying())
        }
        (Some(trouble), _) => (ConditionType::Programmed, false, trouble.clone()),
        (None, None) => (ConditionType::Programmed, false, waiting(report)),
        (None, Some(_)) => (ConditionType::Programmed, true, good.clone()),
    };
    // What waits for somebody else is not on its way: kstatus reads the two as opposites.
    let reconciling = match &report.failure {
        _ if report.stalled.is_some() => (ConditionType::Reconciling, false, quiet()),
        Some(failure) => (ConditionType::Reconciling, true, failure.clone()),
        None if report.behind => (ConditionType::Reconciling, true, applying()),
        None if report.programmed.is_none() && report.conflict.is_none() => {
            (ConditionType::Reconciling, true, waiting(report))
        }
        None => (ConditionType::Reconciling, false, quiet()),
    };
    // What keeps the plan from being in force, the gravest first. Changes on their way do not: they are a matter of microseconds.
    let obstacle = [&report.conflict, &report.stalled, &report.failure].into_iter().flatten().next().cloned();
    let ready = match obstacle {
        Some(trouble) => (ConditionType::Ready, false, trouble),
        None if !programmed.1 => (ConditionType::Ready, false, programmed.2.clone()),
        None => (ConditionType::Ready, true, good),
    };
    vec![
        ready,
        reconciling,
        said(ConditionType::Stalled, &report.stalled),
        programmed,
        said(ConditionType::Drifted, &report.drifted),
        said(ConditionType::Conflict, &report.conflict),
    ]
}

fn waiting(report: &Report) -> Trouble {
    match &report.link {
        Link::Gone(message) => Trouble::new(ConditionReason::PlanGone, message.clone()),
        Link::Away(message) => Trouble::new(ConditionReason::ApiUnreachable, message.clone()),
        Link::Live | Link::Checkpoint => {
            Trouble::new(ConditionReason::Starting, "the first whole plan is not in the kernel yet")
        }
    }
}

/// What stands in the kernel, in a sentence; with what is known to be missing.
fn summary(report: &Report) -> String {
    let services = report.programmed.as_ref().map_or(0, |programmed| programmed.services);
    let mode = match report.mode.unwrap_or_default() {
        Mode::Nftables => "nftables",
        Mode::Iptables => "iptables",
        Mode::Ipvs => "ipvs",
    };
    let noun = if services == 1 { "service" } else { "services" };
    let refused = match report.refused.count {
        0 => String::new(),
        1 => ", 1 entry refused".to_owned(),
        count => format!(", {count} entries refused"),
    };
    let source = match &report.link {
        Link::Live => String::new(),
        Link::Checkpoint => "; from the checkpoint".to_owned(),
        Link::Away(why) | Link::Gone(why) => format!("; no newer plan: {why}"),
    };
    format!("{services} {noun} in {mode}{refused}{source}")
}

fn condition(
    kind: ConditionType,
    holds: bool,
    trouble: &Trouble,
    generation: Option<i64>,
    before: &[Condition],
    now: Timestamp,
) -> Condition {
    let status = if holds { "True" } else { "False" };
    let known =
        before.iter().find(|condition| condition.type_ == kind.as_str() && condition.status == status);
    Condition {
        type_: kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: trouble.reason.as_str().to_owned(),
        message: cut(&trouble.message, CONDITION_MESSAGE_LIMIT),
        observed_generation: generation,
        last_transition_time: known.map_or(Time(now), |condition| condition.last_transition_time.clone()),
    }
}

/// At most `limit` characters.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
