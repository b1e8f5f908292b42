//! Which endpoints a packet may go to on this node: readiness, hints, policies, groups, rival claims. Each case is asked of the oracle and of the
//! interpreted table.

use pointsman_crds::Protocol::{Tcp, Udp};
use pointsman_dataplane::testing::{Bed, ServiceBuilder, endpoint, node, service};

#[test]
fn terminating_endpoints_serve_while_no_other_can() {
    let with = |endpoints: &[(&str, bool)]| {
        let web =
            service("shop/web").cluster_ip("10.96.0.10").external_ip("198.51.100.50").port(Tcp, 80, 8001);
        endpoints.iter().fold(web, |web, (address, terminating)| {
            web.endpoint(if *terminating { endpoint(address).terminating() } else { endpoint(address) })
        })
    };
    for (endpoints, expected) in [
        (&[("10.244.1.1", false), ("10.244.1.2", true)][..], "10.244.1.1:8001"),
        (&[("10.244.1.1", true), ("10.244.1.2", true)], "10.244.1.1:8001 10.244.1.2:8001"),
        (&[("10.244.1.1", true)], "10.244.1.1:8001"),
        (&[("10.244.1.1", true), ("10.244.1.1", false)], "10.244.1.1:8001"),
        (&[], "REJECT"),
    ] {
        let bed = Bed::of(node("node-1"), &[with(endpoints)]);
        bed.check(&[("pod 10.244.1.5", "10.96.0.10:80/tcp", expected)]);
    }
}

/// Address, zones and nodes that it is for.
type Hinted<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

#[test]
fn hints_choose_the_zone_or_the_node_if_all_endpoints_have_them() {
    let hinted = |endpoints: &[Hinted<'_>]| {
        let web = service("shop/web").cluster_ip("10.96.0.10").port(Tcp, 80, 80);
        let one = |web: ServiceBuilder, (address, zones, nodes): &Hinted<'_>| {
            web.endpoint(endpoint(address).for_zones(zones).for_nodes(nodes))
        };
        endpoints.iter().fold(web, one)
    };
    let cases: [(&[Hinted<'_>], &str); 6] = [
        (&[("10.0.0.1", &["a"], &[]), ("10.0.0.2", &["b"], &[])], "10.0.0.1:80"),
        (&[("10.0.0.1", &["a"], &[]), ("10.0.0.2", &[], &[])], "10.0.0.1:80 10.0.0.2:80"),
        (&[("10.0.0.1", &["b"], &[]), ("10.0.0.2", &["c"], &[])], "10.0.0.1:80 10.0.0.2:80"),
        (&[("10.0.0.1", &["a"], &["node-2"]), ("10.0.0.2", &["a"], &["node-1"])], "10.0.0.2:80"),
        (&[("10.0.0.1", &["a"], &["node-2"]), ("10.0.0.2", &["b"], &["node-3"])], "10.0.0.1:80"),
        (&[("10.0.0.1", &["a", "b"], &[]), ("10.0.0.2", &["b", "a"], &[])], "10.0.0.1:80 10.0.0.2:80"),
    ];
    for (endpoints, expected) in cases {
        let bed = Bed::of(node("node-1").zone("a"), &[hinted(endpoints)]);
        bed.check(&[("pod 10.244.1.5", "10.96.0.10:80/tcp", expected)]);
    }
}

#[test]
fn internal_policy_local_keeps_traffic_to_cluster_ips_on_the_node() {
    let local = |name, ip| service(name).cluster_ip(ip).port(Tcp, 80, 8001).internal_local();
    let here = local("shop/here", "10.96.0.1").endpoint(endpoint("10.244.1.7").on("node-1"));
    let here = here.endpoint(endpoint("10.244.2.9").on("node-2")).node_port(30001);
    let away = local("shop/away", "10.96.0.2").endpoint(endpoint("10.244.2.9").on("node-2")).node_port(30002);
    let nowhere = local("shop/nowhere", "10.96.0.3").node_port(30003);
    let dying = local("shop/dying", "10.96.0.4").endpoint(endpoint("10.244.1.8").on("node-1").terminating());
    let dying = dying.endpoint(endpoint("10.244.2.9").on("node-2"));
    let bed = Bed::of(node("node-1"), &[here, away, nowhere, dying]);
    bed.check(&[
        ("pod 10.244.1.5", "10.96.0.1:80/tcp", "10.244.1.7:8001"),
        ("host 10.200.0.11", "10.96.0.1:80/tcp", "~10.244.1.7:8001"),
        ("pod 10.244.1.5", "10.96.0.2:80/tcp", "DROP"),
        ("host 10.200.0.11", "10.96.0.2:80/tcp", "DROP"),
        ("pod 10.244.1.5", "10.96.0.2:81/tcp", "REJECT"),
        ("pod 10.244.1.5", "10.96.0.3:80/tcp", "REJECT"),
        ("pod 10.244.1.5", "10.96.0.4:80/tcp", "10.244.1.8:8001"),
        // the policy says nothing about node ports
        ("outside 203.0.113.9", "10.200.0.11:30001/tcp", "~10.244.1.7:8001 ~10.244.2.9:8001"),
        ("outside 203.0.113.9", "10.200.0.11:30002/tcp", "~10.244.2.9:8001"),
        ("outside 203.0.113.9", "10.200.0.11:30003/tcp", "REJECT"),
    ]);
}

#[test]
fn endpoints_of_two_groups_serve_each_on_its_own_port() {
    let web = service("shop/web")
        .cluster_ip("10.96.0.10")
        .port(Tcp, 80, 8001)
        .port(Udp, 53, 5300)
        .endpoint("10.244.1.7");
    let web = web.other_target("p0", 9001).endpoint("10.244.1.8").endpoint("10.244.1.7");
    let bed = Bed::of(node("node-1"), &[web]);
    bed.check(&[
        ("pod 10.244.1.5", "10.96.0.10:80/tcp", "10.244.1.7:8001 10.244.1.7:9001 10.244.1.8:9001"),
        ("pod 10.244.1.5", "10.96.0.10:53/udp", "10.244.1.7:5300"),
    ]);
}

#[test]
fn of_two_services_on_one_address_one_owns_it() {
    let first = service("shop/a").external_ip("198.51.100.50").port(Tcp, 80, 8001).endpoint("10.244.1.1");
    let second = service("shop/b").external_ip("198.51.100.50").port(Tcp, 80, 8002).endpoint("10.244.1.2");
    let second = second.port(Tcp, 81, 8003);
    let mut bed = Bed::of(node("node-1"), &[second, first.clone()]);
    bed.check(&[
        ("outside 203.0.113.9", "198.51.100.50:80/tcp", "~10.244.1.1:8001"),
        ("outside 203.0.113.9", "198.51.100.50:81/tcp", "~10.244.1.2:8003"),
    ]);
    bed.change(&first.plan().key, None);
    bed.check(&[("outside 203.0.113.9", "198.51.100.50:80/tcp", "~10.244.1.2:8002")]);
}
