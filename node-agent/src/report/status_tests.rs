//! What a report reads like in a status: a line a case.

use std::sync::Arc;

use pointsman_crds::NodeProxyPlanSpec;

use super::*;
use crate::plan::{NodePlan, Revision};
use crate::report::{Drift, Refused};

fn healthy() -> Report {
    let plan = NodePlan {
        name: "node-7".to_owned(),
        generation: 12,
        spec: NodeProxyPlanSpec::default(),
        conditions: Vec::new(),
    };
    Report {
        plan: Some(Arc::new(plan)),
        mode: Some(Mode::Nftables),
        programmed: Some(Programmed {
            revision: Revision::new("88412"),
            services: 214,
            frontends: 611,
            endpoints: 1893,
            digest: 0x5f1c,
            last_sync: None,
        }),
        ..Report::default()
    }
}

fn trouble(reason: ConditionReason) -> Option<Trouble> {
    Some(Trouble::new(reason, "why"))
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn conditions_follow_from_what_happened() {
    use ConditionReason as R;
    // Ready (status, reason), Reconciling, Stalled, Programmed, Drifted, Conflict.
    let cases: [(&str, Report, [(&str, R); 6]); 8] = [
        (
            "all is well",
            healthy(),
            [
                ("True", R::Programmed),
                ("False", R::None),
                ("False", R::None),
                ("True", R::Programmed),
                ("False", R::None),
                ("False", R::None),
            ],
        ),
        (
            "the first plan is awaited",
            Report { programmed: None, ..healthy() },
            [
                ("False", R::Starting),
                ("True", R::Starting),
                ("False", R::None),
                ("False", R::Starting),
                ("False", R::None),
                ("False", R::None),
            ],
        ),
        (
            "a change is on its way",
            Report { behind: true, ..healthy() },
            [
                ("True", R::Programmed),
                ("True", R::Applying),
                ("False", R::None),
                ("True", R::Programmed),
                ("False", R::None),
                ("False", R::None),
            ],
        ),
        (
            "the kernel refused",
            Report { failure: trouble(R::KernelRefused), behind: true, ..healthy() },
            [
                ("False", R::KernelRefused),
                ("True", R::KernelRefused),
                ("False", R::None),
                ("False", R::KernelRefused),
                ("False", R::None),
                ("False", R::None),
            ],
        ),
        (
            "another mode is asked for",
            Report { stalled: trouble(R::ModeNotSupported), ..healthy() },
            [
                ("False", R::ModeNotSupported),
                ("False", R::None),
                ("True", R::ModeNotSupported),
                ("True", R::Programmed),
                ("False", R::None),
                ("False", R::None),
            ],
        ),
        (
            "kube-proxy is active",
            Report { conflict: trouble(R::KubeProxyActive), programmed: None, ..healthy() },
            [
                ("False", R::KubeProxyActive),
                ("False", R::None),
                ("False", R::None),
                ("False", R::Starting),
                ("False", R::None),
                ("True", R::KubeProxyActive),
            ],
        ),
        (
            "drift is only observed",
            Report { drifted: trouble(R::DriftObserved), ..healthy() },
            [
                ("False", R::DriftObserved),
                ("False", R::None),
                ("False", R::None),
                ("False", R::DriftObserved),
                ("True", R::DriftObserved),
                ("False", R::None),
            ],
        ),
        (
            "the plan is gone before it was seen",
            Report { programmed: None, link: Link::Gone("no".to_owned()), ..healthy() },
            [
                ("False", R::PlanGone),
                ("True", R::PlanGone),
                ("False", R::None),
                ("False", R::PlanGone),
                ("False", R::None),
                ("False", R::None),
            ],
        ),
    ];
    for (name, report, expected) in cases {
        let status = status(&report, &Agent::default(), &[], time("2026-03-04T05:06:07Z"));
        let types = ["Ready", "Reconciling", "Stalled", "Programmed", "Drifted", "Conflict"];
        for ((condition, kind), (holds, reason)) in status.conditions.iter().zip(types).zip(expected) {
            assert_eq!(condition.type_, kind);
            assert_eq!(
                (condition.status.as_str(), condition.reason.as_str()),
                (holds, reason.as_str()),
                "{name}: {kind}"
            );
            assert_eq!(condition.observed_generation, Some(12));
        }
        assert_eq!(status.conditions.len(), 6, "AgentAlive is the controller's");
    }
}

#[test]
fn a_transition_time_is_that_of_the_last_change_of_status() {
    let (early, late) = (time("2026-03-04T05:06:07Z"), time("2026-03-04T06:00:00Z"));
    let before = status(&healthy(), &Agent::default(), &[], early).conditions;
    let report = Report { failure: trouble(ConditionReason::KernelRefused), ..healthy() };
    for condition in status(&report, &Agent::default(), &before, late).conditions {
        let changed = matches!(condition.type_.as_str(), "Ready" | "Reconciling" | "Programmed");
        let expected = if changed { late } else { early };
        assert_eq!(condition.last_transition_time.0, expected, "{}", condition.type_);
    }
}

#[test]
fn news_are_graded() {
    let (early, late) = (time("2026-03-04T05:06:07Z"), time("2026-03-04T06:00:00Z"));
    let agent = Agent::default();
    let before = status(&healthy(), &agent, &[], early);
    let after = |report: &Report| news(Some(&before), &status(report, &agent, &before.conditions, late));
    assert_eq!(after(&healthy()), None, "only the heartbeat differs");
    let drift = Drift { repairs: 1, last: Some((late, "a chain".to_owned())) };
    assert_eq!(after(&Report { drift, ..healthy() }), Some(News::Detail));
    let refused = Refused { count: 1, first: Vec::new() };
    assert_eq!(after(&Report { refused, ..healthy() }), Some(News::Detail), "a message differs");
    let failure = trouble(ConditionReason::KernelRefused);
    assert_eq!(after(&Report { failure, ..healthy() }), Some(News::Condition));
    assert_eq!(news(None, &before), Some(News::Condition));
}

#[test]
fn sentences_are_cut_to_what_the_schema_allows() {
    let stalled = Some(Trouble::new(ConditionReason::ModeNotSupported, "ß".repeat(3000)));
    let status =
        status(&Report { stalled, ..healthy() }, &Agent::default(), &[], time("2026-03-04T05:06:07Z"));
    assert_eq!(status.conditions[2].message.chars().count(), CONDITION_MESSAGE_LIMIT);
    assert!(status.conditions[2].message.ends_with('…'));
}

#[test]
fn the_summary_says_what_an_operator_looks_for() {
    let cases = [
        (healthy(), "214 services in nftables"),
        (
            Report { refused: Refused { count: 2, first: Vec::new() }, ..healthy() },
            "214 services in nftables, 2 entries refused",
        ),
        (
            Report { link: Link::Away("no route".to_owned()), ..healthy() },
            "214 services in nftables; no newer plan: no route",
        ),
        (Report { link: Link::Checkpoint, ..healthy() }, "214 services in nftables; from the checkpoint"),
    ];
    for (report, expected) in cases {
        let status = status(&report, &Agent::default(), &[], time("2026-03-04T05:06:07Z"));
        assert_eq!(status.conditions[0].message, expected);
    }
}
