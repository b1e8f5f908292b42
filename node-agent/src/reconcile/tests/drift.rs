//! What the loop does with what others wrote into its tables. Each case says what was repaired, and what is told of it.

use pointsman_crds::{DriftPolicy, NodeProxyPlanSpec, SyncSettings};
use pointsman_dataplane::nftables::schema::SetId;

use super::super::*;
use super::world::{Agent, Shared, change, meddle, node, revision, service, whole};

#[test]
fn drift_is_repaired_and_told_of() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    meddle(&kernel);
    assert_eq!(kernel.services(), 1);
    let report = agent.later(31);
    assert_eq!(kernel.services(), 2);
    assert_eq!((report.drift.repairs, &report.drifted), (1, &None));
    let (_, what) = report.drift.last.unwrap();
    assert_eq!(what, "ip pointsman: services 1 element missing");
    assert_eq!(agent.later(100).drift.repairs, 1, "once");
}

#[test]
fn what_was_changed_behind_a_stopped_agent_is_repaired_and_told_of() {
    let plain = || whole("8", node(|_| ()));
    let gone = || {
        let mut update = whole("5", node(|_| ()));
        update.merge(change("5", "web", None));
        update
    };
    let ranges = || whole("8", node(|spec| spec.service_cidrs = vec!["10.97.0.0/16".parse().unwrap()]));
    let mark = |spec: &mut NodeProxyPlanSpec| {
        spec.settings.masquerade = Some(pointsman_crds::Masquerade { bit: Some(3), all: None });
    };
    // what happened meanwhile, with which plan the agent comes back, and whether it tells of a repair
    let cases = [
        ("nothing", false, plain(), 2, 0),
        ("somebody else's hand", true, plain(), 2, 1),
        ("the same, and a plan that says the same at another revision", true, whole("9", node(|_| ())), 2, 1),
        ("the newest Service was deleted: its plan's revision is gone with it", false, gone(), 1, 0),
        ("the node's ranges changed", false, ranges(), 2, 0),
        ("the node's mark changed", false, whole("8", node(mark)), 2, 0),
    ];
    for (name, meddled, now, services, repairs) in cases {
        let kernel = Shared::default();
        let mut first = Agent::start(&kernel);
        first.told(whole("8", node(|_| ())));
        if meddled {
            meddle(&kernel);
        }
        let mut second = Agent::start(&kernel);
        let report = second.told(now);
        assert_eq!((kernel.services(), report.drift.repairs), (services, repairs), "{name}");
        let other = node(|spec| spec.service_cidrs = vec!["10.96.0.0/16".parse().unwrap()]);
        let report = second.told(Update { node: Some(other), ..Update::default() });
        let ranges = kernel.table(IpFamily::IPv4).unwrap().sets[&SetId::ServiceCidrs].len();
        assert_eq!((ranges > 0, report.drift.repairs), (true, repairs), "{name}: another plan is no drift");
    }
}

#[test]
fn drift_that_may_not_be_repaired_stays_and_is_told_of_until_it_is_gone() {
    let observe = |spec: &mut NodeProxyPlanSpec| {
        spec.settings.sync =
            Some(SyncSettings { drift: Some(DriftPolicy::Observe), ..SyncSettings::default() });
    };
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(observe)));
    meddle(&kernel);
    for _ in 0..3 {
        let report = agent.later(31);
        assert_eq!(report.drifted.map(|drifted| drifted.reason), Some(ConditionReason::DriftObserved));
        assert_eq!((kernel.services(), report.drift.repairs), (1, 0));
    }
    let new = service("new", "10.96.0.3", &["10.9.0.4"]).1;
    let report = agent.told(change("9", "new", Some(new)));
    assert_eq!((revision(&report), kernel.services()), (Some("9"), 2), "a change is written");
    assert!(report.drifted.is_some(), "and the difference is still there");
}

#[test]
fn drift_that_was_left_is_repaired_and_over_as_soon_as_that_is_allowed() {
    let asks = |drift, range: &str| {
        let node = node(|spec| {
            let verify_period = Some("1h".parse().unwrap());
            spec.settings.sync = Some(SyncSettings { drift, verify_period, ..SyncSettings::default() });
            spec.service_cidrs = vec![range.parse().unwrap()];
        });
        Update { node: Some(node), ..Update::default() }
    };
    let observe = || asks(Some(DriftPolicy::Observe), "10.96.0.0/16");
    // What is asked for after the drift was seen, the repairs that are told of, and whether the drift is over.
    let cases = [
        ("the same", observe(), 0, false),
        ("repair", asks(Some(DriftPolicy::Repair), "10.96.0.0/16"), 1, true),
        ("repair by default", asks(None, "10.96.0.0/16"), 1, true),
        ("repair, and other ranges: no hand is told of", asks(None, "10.97.0.0/16"), 0, true),
        (
            "other ranges alone: the table is read and written whole",
            asks(Some(DriftPolicy::Observe), "10.97.0.0/16"),
            0,
            true,
        ),
    ];
    for (name, next, repairs, over) in cases {
        let kernel = Shared::default();
        let mut agent = Agent::start(&kernel);
        agent.told(Update { node: observe().node, ..whole("8", node(|_| ())) });
        meddle(&kernel);
        let report = agent.later(3601);
        assert_eq!(report.drifted.map(|drifted| drifted.reason), Some(ConditionReason::DriftObserved));
        let report = agent.told(next);
        let expected = (over, repairs, if over { 2 } else { 1 });
        assert_eq!((report.drifted.is_none(), report.drift.repairs, kernel.services()), expected, "{name}");
        assert_eq!(agent.later(3601).drift.repairs, repairs, "{name}: once");
    }
}

#[test]
fn drift_that_may_not_be_repaired_outlives_a_restart() {
    let observe = |range: &str| {
        node(|spec| {
            let drift = Some(DriftPolicy::Observe);
            spec.settings.sync = Some(SyncSettings { drift, ..SyncSettings::default() });
            spec.service_cidrs = vec![range.parse().unwrap()];
        })
    };
    let kernel = Shared::default();
    Agent::start(&kernel).told(whole("8", observe("10.96.0.0/16")));
    meddle(&kernel);
    let before = kernel.generation();
    let mut agent = Agent::start(&kernel);
    for report in [agent.told(whole("8", observe("10.96.0.0/16"))), agent.later(100)] {
        assert_eq!(report.drifted.map(|drifted| drifted.reason), Some(ConditionReason::DriftObserved));
        assert_eq!((kernel.generation(), report.drift.repairs), (before, 0));
    }
    agent.told(Update { node: Some(observe("10.97.0.0/16")), ..Update::default() });
    let report = agent.later(31);
    assert_eq!(
        (kernel.services(), report.drifted, report.drift.repairs),
        (2, None, 0),
        "another plan is written"
    );
}
