//! What the loop does with plans, a kernel in memory and a clock that the test holds. Each case says what was written, and that nothing
//! else was.

mod drift;
mod world;

use pointsman_crds::SyncSettings;
use pointsman_dataplane::nftables::schema::SetId;

use super::*;
use crate::plan::Link;
use world::{Agent, Shared, change, meddle, node, revision, service, whole};

#[test]
fn nothing_is_written_before_the_first_whole_plan() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    let report = agent.told(Update { awaited: Some(node(|_| ())), ..Update::default() });
    assert!(
        report.plan.is_some() && report.programmed.is_none(),
        "it can be told that there is no whole plan"
    );
    agent.told(Update { node: Some(node(|_| ())), ..Update::default() });
    agent.told(change("7", "web", Some(service("web", "10.96.0.1", &["10.9.0.1"]).1)));
    assert_eq!((kernel.generation(), kernel.table(IpFamily::IPv4)), (0, None));
    let report = agent.told(whole("8", node(|_| ())));
    assert_eq!((revision(&report), kernel.services()), (Some("8"), 2));
}

#[test]
fn an_agent_that_starts_with_the_same_plan_writes_nothing() {
    let kernel = Shared::default();
    let first = Agent::start(&kernel).told(whole("8", node(|_| ())));
    let before = kernel.generation();
    let mut second = Agent::start(&kernel);
    let report = second.told(whole("9", node(|_| ())));
    assert_eq!(kernel.generation(), before);
    assert_eq!(revision(&report), Some("9"), "all of it is there already");
    let digest = |report: &Report| report.programmed.as_ref().unwrap().digest;
    assert_eq!(digest(&report), digest(&first));
    second.later(100);
    assert_eq!(kernel.generation(), before, "reading back writes nothing");
}

#[test]
fn a_change_is_written_and_its_stale_slots_go_later() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    let slots = || kernel.table(IpFamily::IPv4).unwrap().sets[&SetId::Endpoints].len();
    assert_eq!(slots(), 3);
    let smaller = service("web", "10.96.0.1", &["10.9.0.2"]).1;
    let report = agent.told(change("9", "web", Some(smaller)));
    assert_eq!((revision(&report), slots()), (Some("9"), 3), "packets may still look it up");
    agent.later(3);
    assert_eq!(slots(), 2);
    let report = agent.told(change("10", "web", None));
    assert_eq!((revision(&report), kernel.services()), (Some("10"), 1));
}

#[test]
fn what_the_kernel_refuses_is_retried_and_nothing_is_lost() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    kernel.lock().broken = true;
    let report = agent.told(change("9", "web", None));
    assert_eq!(report.failure.map(|failure| failure.reason), Some(ConditionReason::KernelRefused));
    assert_eq!(report.programmed.unwrap().revision.as_str(), "8", "what is in the kernel");
    let new = service("new", "10.96.0.3", &["10.9.0.4"]).1;
    agent.told(change("10", "new", Some(new)));
    agent.later(30);
    kernel.lock().broken = false;
    let report = agent.later(30);
    assert_eq!((&report.failure, revision(&report), kernel.services()), (&None, Some("10"), 2));
}

#[test]
fn a_difference_that_the_kernel_refuses_for_ever_ends_in_a_table_made_anew() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    kernel.lock().stubborn = true;
    let report = agent.told(change("9", "web", None));
    assert_eq!((report.failure.is_some(), kernel.services()), (true, 2));
    let report = agent.later(2);
    assert_eq!((&report.failure, revision(&report), kernel.services()), (&None, Some("9"), 1));
}

#[test]
fn a_plan_that_forbids_writing_stalls_and_goes_on_later() {
    use ConditionReason::{ModeNotSupported, Paused};
    let cases = [
        (node(|spec| spec.settings.paused = Some(true)), Paused),
        (node(|spec| spec.settings.mode = Some(Mode::Ipvs)), ModeNotSupported),
    ];
    for (forbidding, reason) in cases {
        let kernel = Shared::default();
        let mut agent = Agent::start(&kernel);
        agent.told(whole("8", node(|_| ())));
        let before = kernel.generation();
        agent.told(Update { node: Some(forbidding), ..Update::default() });
        agent.told(change("9", "web", None));
        let report = agent.later(100);
        assert_eq!(report.stalled.map(|stalled| stalled.reason), Some(reason));
        assert_eq!((kernel.generation(), kernel.services()), (before, 2), "{reason}: what is there stays");
        let report = agent.told(Update { node: Some(node(|_| ())), ..Update::default() });
        assert_eq!((&report.stalled, revision(&report), kernel.services()), (&None, Some("9"), 1));
    }
}

#[test]
fn a_table_that_another_agent_owns_is_taken_as_soon_as_that_one_ends() {
    let kernel = Shared::default();
    Agent::start(&kernel).told(whole("8", node(|_| ())));
    let before = kernel.generation();
    kernel.lock().taken = true;
    let mut second = Agent::start(&kernel);
    second.told(whole("8", node(|_| ())));
    second.told(change("9", "web", None));
    let report = second.later(95);
    assert_eq!(report.conflict.map(|conflict| conflict.reason), Some(ConditionReason::TableOwned));
    assert_eq!((report.programmed, kernel.generation()), (None, before));
    assert!(second.lives(), "a restart would not help");
    kernel.lock().taken = false;
    let report = second.later(1);
    assert_eq!((&report.conflict, revision(&report), kernel.services()), (&None, Some("9"), 1));
    assert_eq!(report.drift.repairs, 0, "the plan changed, nobody else wrote");
}

#[test]
fn a_kernel_that_cannot_be_read_back_is_not_said_to_hold_the_plan() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    meddle(&kernel);
    kernel.lock().restless = true;
    for _ in 0..50 {
        let failure = agent.later(31).failure.map(|failure| failure.reason);
        assert_eq!(failure, Some(ConditionReason::KernelRefused));
    }
    kernel.lock().restless = false;
    let report = agent.later(31);
    assert_eq!((&report.failure, kernel.services(), report.drift.repairs), (&None, 2, 1));
}

#[test]
fn a_node_plan_that_waits_for_its_turn_is_not_said_to_be_in_force() {
    let slow = |generation, cidr: &str| {
        let plan = node(|spec| {
            let min_period = Some("1m".parse().unwrap());
            spec.settings.sync = Some(SyncSettings { min_period, ..SyncSettings::default() });
            spec.service_cidrs = vec![cidr.parse().unwrap()];
        });
        Some(Arc::new(NodePlan { generation, ..NodePlan::clone(&plan) }))
    };
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(Update { node: slow(1, "10.96.0.0/16"), ..whole("8", node(|_| ())) });
    let report = agent.told(Update { node: slow(2, "10.97.0.0/16"), ..Update::default() });
    let generation = |report: &Report| report.programmed.as_ref().map(|programmed| programmed.generation);
    assert_eq!((report.behind, generation(&report)), (true, Some(1)));
    let report = agent.later(61);
    assert_eq!((report.behind, generation(&report)), (false, Some(2)));
}

#[test]
fn changes_that_wait_to_be_timed_are_not_kept_without_end() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|spec| spec.settings.paused = Some(true))));
    for _ in 0..3 {
        agent.told(Update { triggers: vec![Timestamp::UNIX_EPOCH; 9_000], ..Update::default() });
    }
    assert_eq!(agent.waiting_triggers(), 10_000);
}

#[test]
fn a_checkpoint_is_used_unless_the_kernel_is_newer() {
    for (in_kernel, in_checkpoint, used) in
        [(None, "8", true), (Some("8"), "8", true), (Some("8"), "9", true), (Some("10"), "9", false)]
    {
        let kernel = Shared::default();
        if let Some(revision) = in_kernel {
            Agent::start(&kernel).told(whole(revision, node(|_| ())));
        }
        let mut agent = Agent::start(&kernel);
        let saved = Services::Saved([service("old", "10.96.0.9", &["10.9.0.9"])].into());
        let report = agent.told(Update {
            services: saved,
            link: Some(Link::Checkpoint),
            ..whole(in_checkpoint, node(|_| ()))
        });
        let name = format!("{in_checkpoint} over {in_kernel:?}");
        assert_eq!(revision(&report), used.then_some(in_checkpoint), "{name}");
        assert_eq!(kernel.services(), if used { 1 } else { 2 }, "{name}");
        assert!(!agent.is_ready(), "{name}: a rollout waits for the plan's source");
        let awaited = node(|spec| spec.settings.ip_families = Some(vec![IpFamily::IPv6]));
        agent.told(Update { awaited: Some(awaited), ..Update::default() });
        assert_eq!(
            kernel.services(),
            if used { 1 } else { 2 },
            "{name}: the new node plan waits for its Services"
        );
        let report = agent.told(whole("11", node(|_| ())));
        assert_eq!(
            (revision(&report), kernel.services()),
            (Some("11"), 2),
            "{name}: the feed's plan replaces it"
        );
        assert!(agent.is_ready(), "{name}");
    }
}

#[test]
fn the_table_of_a_family_that_is_not_proxied_goes() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    assert!(kernel.table(IpFamily::IPv6).is_some());
    let only_four = node(|spec| spec.settings.ip_families = Some(vec![IpFamily::IPv4]));
    agent.told(Update { node: Some(only_four), ..Update::default() });
    assert_eq!((kernel.table(IpFamily::IPv6), kernel.services()), (None, 2));
    let before = kernel.generation();
    agent.later(100);
    assert_eq!(kernel.generation(), before);
}

#[test]
fn what_is_refused_holds_up_nothing_else() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    let bad = service("bad", "127.0.0.1", &["10.9.0.4"]).1;
    let mut update = change("9", "bad", Some(bad));
    update.merge(change("10", "new", Some(service("new", "10.96.0.3", &["10.9.0.4"]).1)));
    update.unreadable = Some([(ServiceKey::new("shop", "odd"), "plan odd: no".to_owned())].into());
    let report = agent.told(update);
    assert_eq!((revision(&report), kernel.services()), (Some("10"), 3));
    let told: Vec<(&str, &str)> = report
        .refused
        .first
        .iter()
        .map(|refused| (refused.service.as_str(), refused.reason.as_str()))
        .collect();
    assert_eq!(told, [("shop/odd", "Malformed"), ("shop/bad", "FrontendAddressInvalid")]);
    assert_eq!(report.refused.count, 2);
    let report = agent.told(change("11", "bad", None));
    assert_eq!(report.refused.count, 1);
}
