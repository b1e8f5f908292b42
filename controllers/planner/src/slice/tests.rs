//! Slices: which Pods, which conditions, how packed. One line a case.

use std::collections::BTreeMap;
use std::sync::Arc;

use pointsman_crds::names::LABEL_HEADLESS;
use pointsman_crds::{IpFamily, Protocol};
use proptest::prelude::*;

use super::{ENDPOINTS_PER_SLICE, SlicePlan, SliceWrite};
use crate::model::{ContainerPort, Pod, Preferred, Service, Slice, SliceEndpoint, TargetPort};
use crate::testing::{acknowledge, labels, number, pod, pods, port, slices_for, stored, web};

/// Creations, updates, deletions.
fn counts(plan: &SlicePlan) -> (usize, usize, usize) {
    let count = |wanted: fn(&SliceWrite) -> bool| plan.writes.iter().filter(|write| wanted(write)).count();
    (
        count(|write| matches!(write, SliceWrite::Create { .. })),
        count(|write| matches!(write, SliceWrite::Update { .. })),
        count(|write| matches!(write, SliceWrite::Delete { .. })),
    )
}

fn lengths(slices: &[Arc<Slice>]) -> Vec<usize> {
    let mut lengths: Vec<usize> = slices.iter().map(|slice| slice.content.endpoints.len()).collect();
    lengths.sort_by(|a, b| b.cmp(a));
    lengths
}

/// Slices of these sizes that hold the first of `pods`, in order.
fn stand(service: &Service, pods: &[Pod], sizes: &[usize]) -> Vec<Arc<Slice>> {
    let mut slices = Vec::new();
    let mut from = 0;
    for (nth, size) in sizes.iter().enumerate() {
        let [SliceWrite::Create { content, .. }] =
            &*slices_for(service, &pods[from..from + size], &[], *size).writes
        else {
            panic!("one slice of {size}")
        };
        slices.push(Arc::new(stored(&format!("web-{nth:05}"), &service.uid, content.clone())));
        from += size;
    }
    slices
}

fn named(service: &mut Service) {
    service.ports = vec![port("http", 80, TargetPort::Name("web".to_owned()))];
}

fn offering(mut pod: Pod, number_of: u16) -> Pod {
    pod.ports =
        vec![ContainerPort { name: "web".to_owned(), protocol: Protocol::Tcp, port: number(number_of) }];
    pod
}

#[test]
fn packing_prefers_few_writes_to_few_slices() {
    let web = web();
    let ten: &[usize] = &[30; 10];
    // What stands, how many Pods there are → creations, updates, deletions, and the lengths after them.
    type Case<'a> = (&'a [usize], usize, (usize, usize, usize), &'a [usize]);
    let cases: &[Case<'_>] = &[
        (&[], 250, (3, 0, 0), &[100, 100, 50]),
        (&[62, 61], 250, (1, 1, 0), &[100, 89, 61]),
        (&[74, 74], 300, (2, 0, 0), &[100, 74, 74, 52]),
        (ten, 300, (0, 0, 0), ten),
        (&[100, 100, 50], 250, (0, 0, 0), &[100, 100, 50]),
        (&[100, 100, 50], 251, (0, 1, 0), &[100, 100, 51]),
        (&[100, 100, 50], 100, (0, 0, 2), &[100]),
        (&[100], 0, (0, 1, 0), &[0]),
        (&[100, 50], 0, (0, 1, 1), &[0]),
        (&[], 0, (1, 0, 0), &[0]),
        (&[99, 40], 140, (0, 1, 0), &[100, 40]),
    ];
    for (standing, count, expected, after) in cases {
        let all = pods(300);
        let existing = stand(&web, &all, standing);
        let plan = slices_for(&web, &all[..*count], &existing, ENDPOINTS_PER_SLICE);
        assert_eq!(counts(&plan), *expected, "{standing:?} with {count}");
        let slices = acknowledge(&web, &existing, plan.writes);
        assert_eq!(lengths(&slices), *after, "{standing:?} with {count}");
        assert!(slices_for(&web, &all[..*count], &slices, ENDPOINTS_PER_SLICE).writes.is_empty());
    }
}

#[test]
fn the_size_of_a_slice_is_respected() {
    let cases: &[(usize, &[usize])] = &[
        (50, &[50, 50, 50, 50, 50]),
        (80, &[80, 80, 80, 10]),
        (150, &[150, 100]),
        (250, &[250]),
        (500, &[250]),
    ];
    for (max, expected) in cases {
        let slices = acknowledge(&web(), &[], slices_for(&web(), &pods(250), &[], *max).writes);
        assert_eq!(lengths(&slices), *expected, "max {max}");
    }
}

#[test]
fn new_endpoints_go_to_the_fuller_of_the_slices_that_change_anyway() {
    let web = web();
    let mut all = pods(115);
    let existing = stand(&web, &all, &[80, 20]);
    all[3].ready = false;
    all[90].ready = false;
    let plan = slices_for(&web, &all, &existing, ENDPOINTS_PER_SLICE);
    assert_eq!(counts(&plan), (0, 2, 0));
    assert_eq!(lengths(&acknowledge(&web, &existing, plan.writes)), [95, 20]);
}

#[test]
fn another_target_port_repacks_and_recycles() {
    for (standing, expected, after) in
        [(vec![30; 10], (0, 3, 7), vec![100, 100, 100]), (vec![100, 100, 50], (0, 3, 0), vec![100, 100, 50])]
    {
        let mut web = web();
        let all = pods(standing.iter().sum());
        let existing = stand(&web, &all, &standing);
        web.ports[0].target = TargetPort::Number(number(9090));
        let plan = slices_for(&web, &all, &existing, ENDPOINTS_PER_SLICE);
        assert_eq!(counts(&plan), expected, "{standing:?}");
        assert_eq!(lengths(&acknowledge(&web, &existing, plan.writes)), after);
    }
}

#[test]
fn each_number_of_a_named_port_has_its_own_slices() {
    let mut web = web();
    named(&mut web);
    let all: Vec<Pod> = (0..300).map(|n| offering(pod(n), 8080 + (n % 5) as u16)).collect();
    let plan = slices_for(&web, &all, &[], ENDPOINTS_PER_SLICE);
    let slices = acknowledge(&web, &[], plan.writes);
    assert_eq!(lengths(&slices), [60; 5]);
    let numbers: Vec<_> = slices.iter().map(|slice| slice.content.ports[0].port.unwrap().get()).collect();
    assert_eq!(BTreeMap::from_iter(numbers.iter().map(|n| (*n, ()))).len(), 5);
}

#[test]
fn conditions_follow_the_pod() {
    // Ready, terminating, publishNotReadyAddresses → ready, serving, terminating.
    let cases = [
        (true, false, false, (true, true, false)),
        (false, false, false, (false, false, false)),
        (true, true, false, (false, true, true)),
        (false, true, false, (false, false, true)),
        (false, false, true, (true, false, false)),
        (true, true, true, (true, true, true)),
        (false, true, true, (true, false, true)),
    ];
    for (ready, terminating, publish, expected) in cases {
        let service = Service { publish_not_ready: publish, ..web() };
        let pod = Pod { ready, terminating, ..pod(1) };
        let slices = acknowledge(&service, &[], slices_for(&service, &[pod], &[], 100).writes);
        let [endpoint] = &*slices[0].content.endpoints else { panic!("one endpoint") };
        assert_eq!(
            (endpoint.ready, endpoint.serving, endpoint.terminating),
            expected,
            "ready {ready}, terminating {terminating}, publish {publish}"
        );
    }
}

#[test]
fn hints_keep_clients_near_those_who_are_ready() {
    let (a, n) = (["a".to_owned()].to_vec(), ["node-1".to_owned()].to_vec());
    let adrift = Pod { node: None, ..pod(1) };
    let unready = Pod { ready: false, ..pod(1) };
    let leaving = Pod { terminating: true, ..pod(1) };
    let cases = [
        (Preferred::Any, pod(1), (vec![], vec![])),
        (Preferred::SameZone, pod(1), (a.clone(), vec![])),
        (Preferred::SameNode, pod(1), (a, n)),
        (Preferred::SameNode, adrift, (vec![], vec![])),
        (Preferred::SameNode, unready, (vec![], vec![])),
        (Preferred::SameNode, leaving, (vec![], vec![])),
    ];
    for (preferred, pod, expected) in cases {
        let service = Service { preferred, ..web() };
        let pods = [pod];
        let slices = acknowledge(&service, &[], slices_for(&service, &pods, &[], 100).writes);
        let endpoint = &slices[0].content.endpoints[0];
        assert_eq!(
            (&endpoint.for_zones, &endpoint.for_nodes),
            (&expected.0, &expected.1),
            "{preferred:?} {pods:?}"
        );
        // Whoever asks for another distance has its slices rewritten, and nobody else.
        let changes = usize::from(expected != (vec![], vec![]));
        let all = Service { preferred: Preferred::Any, ..web() };
        assert_eq!(counts(&slices_for(&service, &pods, &slices, 100)), (0, 0, 0));
        assert_eq!(counts(&slices_for(&all, &pods, &slices, 100)), (0, changes, 0), "{preferred:?}");
    }
}

#[test]
fn an_endpoint_says_where_it_is_and_who() {
    let headless = Service { headless: true, ..web() };
    let named = |subdomain: &str| Pod {
        hostname: Some("zero".to_owned()),
        subdomain: Some(subdomain.to_owned()),
        ..pod(0)
    };
    let endpoint = |pod: Pod| -> SliceEndpoint {
        let slices = acknowledge(&headless, &[], slices_for(&headless, &[pod], &[], 100).writes);
        slices[0].content.endpoints[0].clone()
    };
    let found = endpoint(named("web"));
    assert_eq!((found.node.as_deref(), found.zone.as_deref()), (Some("node-1"), Some("a")));
    assert_eq!(found.target.unwrap().uid, "pod-uid-0");
    assert_eq!(found.hostname.as_deref(), Some("zero"));
    assert_eq!(endpoint(named("other")).hostname, None);
}

#[test]
fn a_pod_on_a_missing_node_waits_for_it() {
    let lost = Pod { node: Some("node-9".to_owned()), ..pod(1) };
    let plan = slices_for(&web(), &[pod(0), lost.clone()], &[], 100);
    assert_eq!(plan.missing_nodes, ["node-9".to_owned()].into());
    assert_eq!(lengths(&acknowledge(&web(), &[], plan.writes)), [1]);
    let publishing = Service { publish_not_ready: true, ..web() };
    let plan = slices_for(&publishing, &[lost], &[], 100);
    assert!(plan.missing_nodes.is_empty());
    assert_eq!(lengths(&acknowledge(&publishing, &[], plan.writes)), [1]);
}

#[test]
fn who_has_no_selector_is_left_alone() {
    for service in [Service { selector: None, ..web() }, Service { external_name: true, ..web() }] {
        let existing = stand(&web(), &pods(1), &[1]);
        assert_eq!(slices_for(&service, &pods(5), &existing, 100), SlicePlan::default());
    }
}

#[test]
fn both_families_have_slices_of_their_own_and_lost_families_lose_them() {
    let dual = Service { families: vec![IpFamily::IPv4, IpFamily::IPv6], ..web() };
    let mut only_v4 = pod(7);
    only_v4.ips.pop();
    let slices = acknowledge(&dual, &[], slices_for(&dual, &[pod(1), only_v4], &[], 100).writes);
    let sizes: Vec<_> = slices.iter().map(|s| (s.content.family, s.content.endpoints.len())).collect();
    assert!(sizes.contains(&(IpFamily::IPv4, 2)) && sizes.contains(&(IpFamily::IPv6, 1)), "{sizes:?}");
    let plan = slices_for(&web(), &[pod(1), pod(7)], &slices, 100);
    assert_eq!(counts(&plan), (0, 0, 1));
}

#[test]
fn labels_are_the_services_and_a_headless_toggle_rewrites_them() {
    let mut service = Service { labels: labels(&[("team", "x"), (LABEL_HEADLESS, "mine")]), ..web() };
    let slices = acknowledge(&service, &[], slices_for(&service, &pods(1), &[], 100).writes);
    assert_eq!(slices[0].content.labels.get("team").map(String::as_str), Some("x"));
    assert!(!slices[0].content.labels.contains_key(LABEL_HEADLESS));
    service.headless = true;
    let plan = slices_for(&service, &pods(1), &slices, 100);
    assert_eq!(counts(&plan), (0, 1, 0));
    let slices = acknowledge(&service, &slices, plan.writes);
    assert_eq!(slices[0].content.labels.get(LABEL_HEADLESS).map(String::as_str), Some(""));
}

#[test]
fn slices_of_an_earlier_service_are_replaced_and_foreign_ones_untouched() {
    let mut existing = stand(&web(), &pods(1), &[1]);
    existing.push(Arc::new(crate::testing::foreign("web-xyz", &["10.1.1.1"])));
    let again = Service { uid: "another-uid".to_owned(), ..web() };
    let plan = slices_for(&again, &pods(1), &existing, 100);
    assert_eq!(counts(&plan), (1, 0, 1));
    let going = Service { deleting: true, ..again };
    assert_eq!(counts(&slices_for(&going, &pods(1), &existing, 100)), (0, 0, 1));
}

#[test]
fn an_altered_slice_is_restored() {
    let mut existing = stand(&web(), &pods(2), &[2]);
    Arc::make_mut(&mut existing[0]).altered = true;
    assert_eq!(counts(&slices_for(&web(), &pods(2), &existing, 100)), (0, 1, 0));
}

#[test]
fn slices_that_say_the_same_in_another_order_are_taken_over_as_they_are() {
    let web = Service {
        ports: vec![
            port("http", 80, TargetPort::Number(number(8080))),
            port("aux", 81, TargetPort::Number(number(81))),
        ],
        ..web()
    };
    let mut existing = stand(&web, &pods(5), &[3, 2]);
    for slice in &mut existing {
        let content = &mut Arc::make_mut(slice).content;
        content.endpoints.reverse();
        content.ports.reverse();
    }
    assert_eq!(counts(&slices_for(&web, &pods(5), &existing, 100)), (0, 0, 0));
    // What changes is written whole, and in order.
    let plan = slices_for(&web, &pods(6), &existing, 100);
    let [SliceWrite::Update { content, .. }] = &*plan.writes else { panic!("one update: {plan:?}") };
    assert!(content.ports.is_sorted() && content.endpoints.is_sorted_by_key(|endpoint| endpoint.address));
}

#[test]
fn names_are_made_from_the_service_and_are_free() {
    let name = |existing: &[Arc<Slice>]| match &slices_for(&web(), &pods(1), existing, 100).writes[0] {
        SliceWrite::Create { name, .. } => name.clone(),
        other => panic!("{other:?}"),
    };
    let first = name(&[]);
    assert_eq!(first, name(&[]));
    assert!(first.starts_with("web-") && first.len() == "web-".len() + 5, "{first}");
    // A slice of somebody else whose name ends alike would share the shard.
    let suffix = first.rsplit('-').next().unwrap();
    let other = Arc::new(crate::testing::foreign(&format!("by-hand-{suffix}"), &["10.1.1.1"]));
    assert_ne!(first, name(&[other]));
}

/// What the slices say, without regard to how they are packed.
fn said(slices: &[Arc<Slice>]) -> BTreeMap<(u16, String), SliceEndpoint> {
    let mut said = BTreeMap::new();
    for slice in slices {
        for endpoint in &slice.content.endpoints {
            let port = slice.content.ports[0].port.unwrap().get();
            let before = said.insert((port, endpoint.address.to_string()), endpoint.clone());
            assert!(before.is_none(), "{endpoint:?} stands twice");
        }
    }
    said
}

fn some_pods() -> impl Strategy<Value = Vec<Pod>> {
    proptest::collection::btree_map(0usize..60, (any::<bool>(), 0u16..3), 0..60).prop_map(|chosen| {
        let one = |(n, (ready, port)): (usize, (bool, u16))| offering(Pod { ready, ..pod(n) }, 8080 + port);
        chosen.into_iter().map(one).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_overfull_on_any_way(steps in proptest::collection::vec(some_pods(), 1..6), max in 1usize..12) {
        let mut web = web();
        named(&mut web);
        let mut slices = Vec::new();
        for pods in steps {
            let plan = slices_for(&web, &pods, &slices, max);
            let mut backwards = pods.clone();
            backwards.reverse();
            let mut shuffled = slices.clone();
            shuffled.reverse();
            prop_assert_eq!(&plan, &slices_for(&web, &backwards, &shuffled, max));
            slices = acknowledge(&web, &slices, plan.writes);
            let fresh = acknowledge(&web, &[], slices_for(&web, &pods, &[], max).writes);
            prop_assert_eq!(said(&slices), said(&fresh));
            prop_assert!(!slices.is_empty() && lengths(&slices)[0] <= max);
            prop_assert!(slices_for(&web, &pods, &slices, max).writes.is_empty());
        }
    }
}
