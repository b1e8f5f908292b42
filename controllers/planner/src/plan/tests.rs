//! Plans of Services and Nodes: what stands in them, what is refused, how they are sharded.

use std::net::IpAddr;
use std::sync::Arc;

use pointsman_crds::names::{
    LABEL_HEADLESS, LABEL_SERVICE_PROXY_NAME, LABEL_SLICE_MANAGED_BY, SLICE_MANAGED_BY,
};
use pointsman_crds::{Protocol, TrafficPolicy};
use proptest::prelude::*;

use super::{PORTS, Part, Policy, ServicePlan, ServicePlanInput, Verdict, plan_service};
use crate::model::{Service, ServiceKey, ServicePort, Slice, TargetPort};
use crate::testing::{foreign, labels, number, port, web};

fn policy() -> Policy {
    Policy {
        allowed_external_ips: vec!["198.51.100.0/24".parse().unwrap()],
        service_cidrs: vec!["10.96.0.0/16".parse().unwrap()],
        manage_slices: false,
    }
}

fn planned(service: &Service, slices: &[Slice]) -> ServicePlan {
    judged(service, slices, &Verdict::default(), &policy())
}

fn judged(service: &Service, slices: &[Slice], verdict: &Verdict, policy: &Policy) -> ServicePlan {
    let slices: Vec<Arc<Slice>> = slices.iter().cloned().map(Arc::new).collect();
    plan_service(&ServicePlanInput { service, slices: &slices, verdict, policy })
}

/// The endpoints as `ip:port…`, a `~` before terminating ones, in the order of the plan.
fn endpoints(plan: &ServicePlan) -> Vec<String> {
    let mut found = Vec::new();
    for spec in plan.base.iter().chain(plan.shards.values()) {
        for group in &spec.groups {
            let ports: Vec<String> = group.targets.iter().map(|t| format!("{}={}", t.name, t.port)).collect();
            for endpoint in &group.endpoints {
                let mark = if endpoint.terminating { "~" } else { "" };
                found.push(format!("{mark}{} {}", endpoint.ip, ports.join(",")));
            }
        }
    }
    found
}

fn reasons(plan: &ServicePlan) -> Vec<String> {
    let first = plan.refused.iter().flat_map(|refused| &refused.first);
    first.map(|one| format!("{} {} {}", one.reason, one.what, one.from)).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn with_conditions(mut slice: Slice, ready: bool, serving: bool, terminating: bool) -> Slice {
    for endpoint in &mut slice.content.endpoints {
        (endpoint.ready, endpoint.serving, endpoint.terminating) = (ready, serving, terminating);
    }
    slice
}

#[test]
fn some_services_have_no_plan() {
    let cases = [
        ("headless", Service { headless: true, cluster_ips: Vec::new(), ..web() }),
        ("ExternalName", Service { external_name: true, ..web() }),
        ("no cluster IP yet", Service { cluster_ips: Vec::new(), ..web() }),
        ("labelled headless", Service { labels: labels(&[(LABEL_HEADLESS, "")]), ..web() }),
    ];
    for (name, service) in cases {
        assert_eq!(planned(&service, &[foreign("web-a", &["10.1.0.1"])]), ServicePlan::default(), "{name}");
    }
}

#[test]
fn everything_of_a_service_stands_in_its_plan() {
    let service = Service {
        labels: labels(&[(LABEL_SERVICE_PROXY_NAME, "edge")]),
        cluster_ips: vec![ip("10.96.0.10"), ip("fd00:96::10")],
        external_ips: vec![ip("198.51.100.9"), ip("198.51.100.8")],
        load_balancer_ips: vec![ip("192.0.2.10")],
        source_ranges: vec!["203.0.113.0/24".parse().unwrap()],
        ports: vec![
            ServicePort {
                node_port: Some(number(30443)),
                ..port("https", 443, TargetPort::Number(number(8443)))
            },
            port("http", 80, TargetPort::Number(number(8080))),
        ],
        internal_local: true,
        external_local: true,
        health_check_node_port: Some(number(32100)),
        affinity: Some(10_800),
        ..web()
    };
    let plan = planned(&service, &[foreign("web-a", &["10.1.0.2", "10.1.0.1"])]);
    let spec = plan.base.clone().unwrap();
    assert_eq!(spec.service_uid, "web-uid");
    assert_eq!(spec.proxy_name.as_deref(), Some("edge"));
    assert_eq!(spec.cluster_ips, [ip("10.96.0.10"), ip("fd00:96::10")]);
    assert_eq!(spec.external_ips, [ip("198.51.100.8"), ip("198.51.100.9")]);
    assert_eq!(spec.load_balancer_ips, [ip("192.0.2.10")]);
    assert_eq!(spec.load_balancer_source_ranges.len(), 1);
    assert_eq!(spec.internal_traffic_policy, Some(TrafficPolicy::Local));
    assert_eq!(spec.external_traffic_policy, Some(TrafficPolicy::Local));
    assert_eq!(spec.health_check_node_port, Some(number(32100)));
    assert_eq!(spec.affinity.unwrap().timeout_seconds, 10_800);
    let summary = spec.summary.unwrap();
    assert_eq!((summary.ports.as_str(), summary.endpoints), ("443:30443/TCP,80/TCP", Some(2)));
    assert_eq!(endpoints(&plan), ["10.1.0.1 http=8080", "10.1.0.2 http=8080"]);
    assert_eq!(reasons(&plan), [""; 0]);
}

#[test]
fn only_usable_endpoints_stand_in_a_plan() {
    // Ready, serving, terminating → how it stands there.
    let cases = [
        (true, true, false, Some("10.1.0.1 http=8080")),
        (true, true, true, Some("10.1.0.1 http=8080")),
        (false, true, true, Some("~10.1.0.1 http=8080")),
        (false, true, false, None),
        (false, false, true, None),
        (false, false, false, None),
    ];
    for (ready, serving, terminating, expected) in cases {
        let slice = with_conditions(foreign("web-a", &["10.1.0.1"]), ready, serving, terminating);
        let found = endpoints(&planned(&web(), &[slice]));
        assert_eq!(found, Vec::from_iter(expected), "{ready} {serving} {terminating}");
    }
}

#[test]
fn an_endpoint_in_two_slices_counts_once() {
    let mut low = foreign("web-a", &["10.1.0.1"]);
    low.content.endpoints[0].node = Some("from-a".to_owned());
    let high = foreign("web-b", &["10.1.0.1", "10.1.0.2"]);
    let node = |plan: &ServicePlan| plan.base.as_ref().unwrap().groups[0].endpoints[0].node.clone().unwrap();
    let plan = planned(&web(), &[high.clone(), low.clone()]);
    assert_eq!(endpoints(&plan), ["10.1.0.1 http=8080", "10.1.0.2 http=8080"]);
    assert_eq!(node(&plan), "from-a");
    // One that stays stands for one that goes.
    let plan = planned(&web(), &[high, with_conditions(low, false, true, true)]);
    assert_eq!((endpoints(&plan).len(), node(&plan).as_str()), (2, "node-2"));
}

#[test]
fn ports_in_slices_of_their_own_make_groups_of_their_own() {
    let service = Service {
        ports: vec![
            port("http", 80, TargetPort::Number(number(8080))),
            port("metrics", 9100, TargetPort::Number(number(9100))),
        ],
        ..web()
    };
    let mut metrics = foreign("web-m", &["10.1.0.1", "10.1.0.3"]);
    metrics.content.ports[0].name = "metrics".to_owned();
    metrics.content.ports[0].port = Some(number(9100));
    let mut unknown = foreign("web-u", &["10.1.0.9"]);
    unknown.content.ports[0].name = "unknown".to_owned();
    let plan = planned(&service, &[foreign("web-a", &["10.1.0.1"]), metrics, unknown]);
    assert_eq!(endpoints(&plan), ["10.1.0.1 http=8080", "10.1.0.1 metrics=9100", "10.1.0.3 metrics=9100"]);
    assert_eq!(plan.base.unwrap().summary.unwrap().endpoints, Some(2));
}

#[test]
fn refused_entries_are_left_out_and_told() {
    let service = Service {
        external_ips: vec![ip("198.51.100.8"), ip("203.0.113.1"), ip("127.0.0.1")],
        load_balancer_ips: vec![ip("169.254.1.1")],
        ..web()
    };
    let plan = planned(&service, &[foreign("web-a", &["10.1.0.1", "127.0.0.1", "10.96.3.3"])]);
    assert_eq!(endpoints(&plan), ["10.1.0.1 http=8080"]);
    let spec = plan.base.clone().unwrap();
    assert_eq!((spec.external_ips, spec.load_balancer_ips), (vec![ip("198.51.100.8")], Vec::new()));
    assert_eq!(
        reasons(&plan),
        [
            "EndpointInServiceCidr endpoint 10.96.3.3 EndpointSlice web-a",
            "EndpointInLoopback endpoint 127.0.0.1 EndpointSlice web-a",
            "FrontendAddressInvalid external IP 127.0.0.1 Service shop/web",
            "ExternalIpNotAllowed external IP 203.0.113.1 Service shop/web",
            "FrontendAddressInvalid load balancer IP 169.254.1.1 Service shop/web",
        ]
    );
    let nothing_allowed = judged(&service, &[], &Verdict::default(), &Policy::default());
    assert!(nothing_allowed.base.unwrap().external_ips.is_empty());
}

#[test]
fn a_restriction_that_cannot_be_read_closes_the_door() {
    let service =
        Service { load_balancer_ips: vec![ip("192.0.2.10")], source_ranges_unreadable: true, ..web() };
    let spec = planned(&service, &[]).base.unwrap();
    assert_eq!((spec.load_balancer_ips.len(), spec.cluster_ips.len()), (0, 1));
    // A range of one family restricts nothing in the other.
    let half = Service {
        load_balancer_ips: vec![ip("192.0.2.10"), ip("2001:db8::10")],
        source_ranges: vec!["203.0.113.0/24".parse().unwrap()],
        ..service
    };
    let spec = planned(&half, &[]).base.unwrap();
    assert_eq!((spec.load_balancer_ips, spec.load_balancer_source_ranges.len()), (vec![ip("192.0.2.10")], 1));
}

#[test]
fn more_source_ranges_than_a_plan_holds_close_the_door_and_are_told() {
    for (count, open, told) in [(256u32, 1, 0), (257, 0, 1)] {
        let range = |n: u32| format!("203.{}.{}.0/24", n / 256, n % 256).parse().unwrap();
        let service = Service {
            load_balancer_ips: vec![ip("192.0.2.10")],
            source_ranges: (0..count).map(range).collect(),
            ..web()
        };
        let plan = planned(&service, &[]);
        assert_eq!(reasons(&plan).len(), told, "{count}: {:?}", reasons(&plan));
        let spec = plan.base.unwrap();
        assert_eq!((spec.load_balancer_ips.len(), spec.cluster_ips.len()), (open, 1), "{count}");
    }
}

#[test]
fn a_node_port_that_another_plan_still_holds_is_left_out_alone() {
    let held = |number_of: u16| ServicePort {
        node_port: Some(number(number_of)),
        ..port(&format!("p{number_of}"), number_of, TargetPort::Number(number(80)))
    };
    let service = Service {
        ports: vec![held(30080), held(30081)],
        external_local: true,
        health_check_node_port: Some(number(30090)),
        ..web()
    };
    let waiting = [30080, 30090].map(|port| Part::NodePort(Protocol::Tcp, number(port)));
    let verdict = Verdict { waiting: waiting.into(), ..Verdict::default() };
    let plan = judged(&service, &[], &verdict, &policy());
    assert_eq!(reasons(&plan), [""; 0]);
    let spec = plan.base.unwrap();
    let node_ports: Vec<_> = spec.ports.iter().map(|port| port.node_port.map(u16::from)).collect();
    assert_eq!((node_ports, spec.health_check_node_port), (vec![None, Some(30081)], None));
    assert_eq!(spec.cluster_ips.len(), 1);
}

#[test]
fn ports_beyond_what_a_plan_holds_have_no_targets_either() {
    let all: Vec<ServicePort> =
        (1..=120).map(|n| port(&format!("p{n}"), n, TargetPort::Number(number(8000 + n)))).collect();
    let mut slice = foreign("web-a", &["10.1.0.1"]);
    let of_slice = slice.content.ports[0].clone();
    slice.content.ports = all
        .iter()
        .map(|port| crate::model::SlicePort { name: port.name.clone(), ..of_slice.clone() })
        .collect();
    let plan = planned(&Service { ports: all, ..web() }, &[slice]);
    assert_eq!(plan.refused.as_ref().unwrap().count, 20);
    let spec = plan.base.unwrap();
    assert_eq!((spec.ports.len(), spec.groups[0].targets.len()), (PORTS, PORTS));
}

#[test]
fn lost_and_waiting_addresses_are_left_out_and_only_lost_ones_told() {
    let service =
        Service { load_balancer_ips: vec![ip("192.0.2.10"), ip("192.0.2.11"), ip("192.0.2.12")], ..web() };
    let verdict = Verdict {
        lost: [(Part::Address(ip("192.0.2.10")), ServiceKey::new("shop", "older"))].into(),
        waiting: [Part::Address(ip("192.0.2.11"))].into(),
    };
    let plan = judged(&service, &[], &verdict, &policy());
    assert_eq!(plan.base.clone().unwrap().load_balancer_ips, [ip("192.0.2.12")]);
    assert_eq!(
        reasons(&plan),
        ["FrontendConflict address 192.0.2.10, which Service shop/older holds Service shop/web"]
    );
}

#[test]
fn which_slices_count_depends_on_who_writes_them() {
    let mut ours = foreign("web-ours", &["10.1.0.1"]);
    ours.content.labels.insert(LABEL_SLICE_MANAGED_BY.to_owned(), SLICE_MANAGED_BY.to_owned());
    let others = foreign("web-theirs", &["10.1.0.2"]);
    let mut headless = foreign("web-headless", &["10.1.0.3"]);
    headless.content.labels.insert(LABEL_HEADLESS.to_owned(), String::new());
    let deleted = Slice { deleting: true, ..foreign("web-deleted", &["10.1.0.4"]) };
    let slices = [ours, others, headless, deleted];
    for (manage, selector, expected) in
        [(true, true, 1), (true, false, 2), (false, true, 2), (false, false, 2)]
    {
        let service = Service { selector: web().selector.filter(|_| selector), ..web() };
        let policy = Policy { manage_slices: manage, ..policy() };
        let plan = judged(&service, &slices, &Verdict::default(), &policy);
        assert_eq!(endpoints(&plan).len(), expected, "manage {manage}, selector {selector}");
    }
}

fn many(slice: &str, from: usize, count: usize) -> Slice {
    let addresses: Vec<String> =
        (from..from + count).map(|n| format!("10.2.{}.{}", n / 250, 1 + n % 250)).collect();
    foreign(slice, &addresses.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn above_a_hundred_endpoints_there_is_a_shard_for_each_slice() {
    let plan = planned(&web(), &[many("web-aaaaa", 0, 60), many("web-bbbbb", 60, 40)]);
    assert_eq!((plan.base.unwrap().groups[0].endpoints.len(), plan.shards.len()), (100, 0));

    let slices = [many("web-aaaaa", 0, 60), many("web-bbbbb", 60, 41), foreign("web-empty", &[])];
    let plan = planned(&web(), &slices);
    let base = plan.base.clone().unwrap();
    assert_eq!(base.shards, ["web.aaaaa", "web.bbbbb"]);
    assert_eq!((base.groups.len(), base.summary.unwrap().endpoints), (0, None));
    assert_eq!(plan.shards.keys().collect::<Vec<_>>(), ["web.aaaaa", "web.bbbbb"]);
    for (shard, count) in plan.shards.values().zip([60, 41]) {
        assert_eq!(shard.service_uid, "web-uid");
        assert_eq!(shard.summary.as_ref().unwrap().endpoints, Some(count));
        assert!(shard.ports.is_empty() && shard.cluster_ips.is_empty() && shard.shards.is_empty());
    }
    assert_eq!(endpoints(&plan).len(), 101);
}

#[test]
fn slices_whose_names_end_alike_share_a_shard() {
    let plan = planned(&web(), &[many("web-aaaaa", 0, 60), many("by-hand-aaaaa", 60, 60)]);
    assert_eq!(plan.shards.len(), 1);
    assert_eq!(endpoints(&plan).len(), 120);
}

#[test]
fn a_shard_has_a_name_that_an_object_can_have() {
    let long = |end: char| format!("{}{end}", "a".repeat(252));
    let slices = [many(&long('x'), 0, 60), many(&long('y'), 60, 60)];
    let plan = planned(&web(), &slices);
    assert_eq!((plan.shards.len(), endpoints(&plan).len()), (2, 120));
    assert!(
        plan.shards.keys().all(|name| name.starts_with("web.") && name.len() <= 253),
        "{:?}",
        plan.shards.keys()
    );
    assert_eq!(plan.base, planned(&web(), &slices).base);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_input_gives_equal_bytes_in_any_order(
        chosen in proptest::collection::vec((0usize..5, 0usize..120, any::<[bool; 3]>()), 0..150),
    ) {
        let mut slices: Vec<Slice> = (0..5).map(|n| foreign(&format!("web-{n}"), &[])).collect();
        for (slice, address, [ready, serving, terminating]) in chosen {
            let one = many("x", address, 1);
            let endpoint = with_conditions(one, ready, serving, terminating).content.endpoints[0].clone();
            slices[slice].content.endpoints.push(endpoint);
        }
        let plan = planned(&web(), &slices);
        slices.reverse();
        for slice in &mut slices {
            slice.content.endpoints.reverse();
        }
        let again = planned(&web(), &slices);
        let bytes = |plan: &ServicePlan| serde_json::to_string(&(&plan.base, &plan.shards, &plan.refused)).unwrap();
        prop_assert_eq!(bytes(&plan), bytes(&again));
        let mut found = endpoints(&plan);
        found.sort();
        found.dedup_by_key(|text| text.trim_start_matches('~').to_owned());
        prop_assert_eq!(found.len(), endpoints(&plan).len());
        prop_assert!(plan.base.unwrap().groups.iter().all(|group| group.endpoints.len() <= 100));
    }
}
