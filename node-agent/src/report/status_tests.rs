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
            generation: 12,
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

/// Conditions as text; those that are False for no reason are left out.
fn said(report: &Report) -> String {
    let status = status(report, &Agent::default(), &[], time("2026-03-04T05:06:07Z"));
    let types: Vec<&str> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(
        types,
        ["Ready", "Reconciling", "Stalled", "Programmed", "Drifted", "Conflict"],
        "AgentAlive is not ours"
    );
    let told = status.conditions.iter().filter(|condition| condition.reason != "None");
    told.map(|condition| format!("{}={} {}", condition.type_, condition.status, condition.reason))
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn conditions_follow_from_what_happened() {
    use ConditionReason as R;
    let awaiting = || Report { programmed: None, ..healthy() };
    let done = || healthy().programmed.unwrap();
    let gone = Link::Gone("no".to_owned());
    let cases = [
        (healthy(), "Ready=True Programmed, Programmed=True Programmed"),
        (awaiting(), "Ready=False Starting, Reconciling=True Starting, Programmed=False Starting"),
        (
            Report { behind: true, ..healthy() },
            "Ready=True Programmed, Reconciling=True Applying, Programmed=True Programmed",
        ),
        (
            Report { behind: true, programmed: Some(Programmed { generation: 11, ..done() }), ..healthy() },
            "Ready=False Applying, Reconciling=True Applying, Programmed=False Applying",
        ),
        (
            Report { failure: trouble(R::KernelRefused), behind: true, ..healthy() },
            "Ready=False KernelRefused, Reconciling=True KernelRefused, Programmed=False KernelRefused",
        ),
        (
            Report { stalled: trouble(R::ModeNotSupported), ..healthy() },
            "Ready=False ModeNotSupported, Stalled=True ModeNotSupported, Programmed=True Programmed",
        ),
        (
            Report {
                stalled: trouble(R::ModeNotSupported),
                behind: true,
                failure: trouble(R::KernelRefused),
                ..healthy()
            },
            "Ready=False ModeNotSupported, Stalled=True ModeNotSupported, Programmed=False KernelRefused",
        ),
        (
            Report { conflict: trouble(R::KubeProxyActive), ..awaiting() },
            "Ready=False KubeProxyActive, Programmed=False Starting, Conflict=True KubeProxyActive",
        ),
        (
            Report { drifted: trouble(R::DriftObserved), ..healthy() },
            "Ready=False DriftObserved, Programmed=False DriftObserved, Drifted=True DriftObserved",
        ),
        (
            Report { link: gone, ..awaiting() },
            "Ready=False PlanGone, Reconciling=True PlanGone, Programmed=False PlanGone",
        ),
    ];
    for (report, expected) in cases {
        assert_eq!(said(&report), expected);
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
    assert_eq!(after(&Report { behind: true, ..healthy() }), Some(News::Detail));
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

#[test]
fn a_start_is_over_once_the_feeds_plan_is_in_the_kernel_or_something_is_in_its_way() {
    let none = || Report { programmed: None, ..healthy() };
    let cases = [
        ("nothing yet", none(), true),
        ("the checkpoint's plan", Report { link: Link::Checkpoint, ..healthy() }, true),
        ("the feed's plan", healthy(), false),
        ("the API server is away", Report { link: Link::Away(String::new()), ..healthy() }, false),
        ("a failure", Report { failure: trouble(ConditionReason::KernelRefused), ..none() }, false),
    ];
    for (name, report, expected) in cases {
        assert_eq!(report.is_starting(), expected, "{name}");
    }
}
