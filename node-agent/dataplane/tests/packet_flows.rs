//! What becomes of packets, case by case. Each case is asked twice: the oracle and the interpreted table must both say what stands in its line.
//! An endpoint with `~` before it sees the node's address as the source.

use pointsman_crds::DetectLocalMode::{
    BridgeInterface, ClusterCIDR, InterfaceNamePrefix, NodeCIDR, None as Nobody,
};
use pointsman_crds::NodePortAddressesType::{All, CIDRs, Primary};
use pointsman_crds::Protocol::{Sctp, Tcp, Udp};
use pointsman_crds::{DetectLocalMode, IpFamily};
use pointsman_dataplane::node::LocalDetector;
use pointsman_dataplane::testing::{Bed, ServiceBuilder, endpoint, from, node, service};

/// Listens on everything that a Service can listen on, in both families, for all protocols; each protocol has its own target.
fn everything(name: &str) -> ServiceBuilder {
    let addressed = service(name)
        .cluster_ip("10.96.0.10")
        .cluster_ip("fd00:96::10")
        .external_ip("198.51.100.50")
        .external_ip("2001:db8:51::50")
        .load_balancer("198.51.100.60")
        .load_balancer("2001:db8:51::60");
    let tcp = addressed.port(Tcp, 80, 8001).node_port(30080);
    tcp.port(Udp, 80, 8002).node_port(30080).port(Sctp, 80, 8003).node_port(30080)
}

fn with_both_nodes_endpoints(service: ServiceBuilder) -> ServiceBuilder {
    let v4 =
        service.endpoint(endpoint("10.244.1.7").on("node-1")).endpoint(endpoint("10.244.2.9").on("node-2"));
    v4.endpoint(endpoint("fd00:244:1::7").on("node-1")).endpoint(endpoint("fd00:244:2::9").on("node-2"))
}

#[test]
fn every_kind_of_frontend_from_every_kind_of_source() {
    let bed = Bed::of(node("node-1"), &[with_both_nodes_endpoints(everything("shop/web"))]);
    // Pods are recognised by the cluster's range, so a pod elsewhere counts as one, too. T stands for the protocol's target.
    let cases = [
        // cluster IP: whoever is no pod is masqueraded
        ("pod 10.244.1.5", "10.96.0.10:80", "10.244.1.7:T 10.244.2.9:T"),
        ("elsewhere 10.244.2.5", "10.96.0.10:80", "10.244.1.7:T 10.244.2.9:T"),
        ("host 10.200.0.11", "10.96.0.10:80", "~10.244.1.7:T ~10.244.2.9:T"),
        ("outside 203.0.113.9", "10.96.0.10:80", "~10.244.1.7:T ~10.244.2.9:T"),
        ("pod fd00:244:1::5", "[fd00:96::10]:80", "[fd00:244:1::7]:T [fd00:244:2::9]:T"),
        ("elsewhere fd00:244:2::5", "[fd00:96::10]:80", "[fd00:244:1::7]:T [fd00:244:2::9]:T"),
        ("host fd00:200::11", "[fd00:96::10]:80", "~[fd00:244:1::7]:T ~[fd00:244:2::9]:T"),
        ("outside 2001:db8::9", "[fd00:96::10]:80", "~[fd00:244:1::7]:T ~[fd00:244:2::9]:T"),
        // external IP: always masqueraded
        ("pod 10.244.1.5", "198.51.100.50:80", "~10.244.1.7:T ~10.244.2.9:T"),
        ("elsewhere 10.244.2.5", "198.51.100.50:80", "~10.244.1.7:T ~10.244.2.9:T"),
        ("host 10.200.0.11", "198.51.100.50:80", "~10.244.1.7:T ~10.244.2.9:T"),
        ("outside 203.0.113.9", "198.51.100.50:80", "~10.244.1.7:T ~10.244.2.9:T"),
        ("pod fd00:244:1::5", "[2001:db8:51::50]:80", "~[fd00:244:1::7]:T ~[fd00:244:2::9]:T"),
        ("outside 2001:db8::9", "[2001:db8:51::50]:80", "~[fd00:244:1::7]:T ~[fd00:244:2::9]:T"),
        // address of a load balancer: the same
        ("pod 10.244.1.5", "198.51.100.60:80", "~10.244.1.7:T ~10.244.2.9:T"),
        ("elsewhere 10.244.2.5", "198.51.100.60:80", "~10.244.1.7:T ~10.244.2.9:T"),
        ("host 10.200.0.11", "198.51.100.60:80", "~10.244.1.7:T ~10.244.2.9:T"),
        ("outside 203.0.113.9", "198.51.100.60:80", "~10.244.1.7:T ~10.244.2.9:T"),
        ("pod fd00:244:1::5", "[2001:db8:51::60]:80", "~[fd00:244:1::7]:T ~[fd00:244:2::9]:T"),
        ("outside 2001:db8::9", "[2001:db8:51::60]:80", "~[fd00:244:1::7]:T ~[fd00:244:2::9]:T"),
        // node port
        ("pod 10.244.1.5", "10.200.0.11:30080", "~10.244.1.7:T ~10.244.2.9:T"),
        ("elsewhere 10.244.2.5", "10.200.0.11:30080", "~10.244.1.7:T ~10.244.2.9:T"),
        ("host 10.200.0.11", "10.200.0.11:30080", "~10.244.1.7:T ~10.244.2.9:T"),
        ("outside 203.0.113.9", "10.200.0.11:30080", "~10.244.1.7:T ~10.244.2.9:T"),
        ("pod fd00:244:1::5", "[fd00:200::11]:30080", "~[fd00:244:1::7]:T ~[fd00:244:2::9]:T"),
        ("outside 2001:db8::9", "[fd00:200::11]:30080", "~[fd00:244:1::7]:T ~[fd00:244:2::9]:T"),
        // none of ours: another node's port, an endpoint itself, the node's own services, the internet
        ("pod 10.244.1.5", "10.200.0.12:30080", "PASS"),
        ("pod 10.244.1.5", "10.244.1.7:T", "PASS"),
        ("outside 203.0.113.9", "10.200.0.11:22", "PASS"),
        ("host 10.200.0.11", "10.200.0.11:22", "PASS"),
        ("pod 10.244.1.5", "203.0.113.9:80", "PASS"),
        ("outside 203.0.113.9", "10.244.1.7:30080", "PASS"),
        ("outside 2001:db8::9", "[fd00:244:1::7]:30080", "PASS"),
    ];
    for (protocol, target) in [("tcp", "8001"), ("udp", "8002"), ("sctp", "8003")] {
        for (source, destination, expected) in cases {
            let destination = format!("{}/{protocol}", destination.replace('T', target));
            bed.check(&[(source, &destination, &expected.replace('T', target))]);
        }
    }
}

#[test]
fn a_service_without_endpoints_rejects() {
    let bed = Bed::of(node("node-1"), &[everything("shop/empty")]);
    for protocol in ["tcp", "udp", "sctp"] {
        for (source, destination) in [
            ("pod 10.244.1.5", "10.96.0.10:80"),
            ("host 10.200.0.11", "10.96.0.10:80"),
            ("outside 203.0.113.9", "10.96.0.10:80"),
            ("pod fd00:244:1::5", "[fd00:96::10]:80"),
            ("pod 10.244.1.5", "198.51.100.50:80"),
            ("outside 2001:db8::9", "[2001:db8:51::50]:80"),
            ("outside 203.0.113.9", "198.51.100.60:80"),
            ("pod 10.244.1.5", "10.200.0.11:30080"),
            ("host 10.200.0.11", "10.200.0.11:30080"),
            ("outside 203.0.113.9", "10.200.0.11:30080"),
            ("outside 2001:db8::9", "[fd00:200::11]:30080"),
        ] {
            bed.check(&[(source, &format!("{destination}/{protocol}"), "REJECT")]);
        }
    }
}

#[test]
fn addresses_of_services_answer_on_their_ports_only() {
    let tcp_only =
        service("shop/tcp").cluster_ip("10.96.0.20").cluster_ip("fd00:96::20").external_ip("198.51.100.20");
    let tcp_only =
        tcp_only.port(Tcp, 80, 8001).node_port(30020).endpoint("10.244.1.7").endpoint("fd00:244:1::7");
    let bed = Bed::of(node("node-1"), &[tcp_only]);
    bed.check(&[
        ("pod 10.244.1.5", "10.96.0.20:80/tcp", "10.244.1.7:8001"),
        // another port or protocol of a cluster IP
        ("pod 10.244.1.5", "10.96.0.20:81/tcp", "REJECT"),
        ("pod 10.244.1.5", "10.96.0.20:80/udp", "REJECT"),
        ("pod 10.244.1.5", "10.96.0.20:80/sctp", "REJECT"),
        ("host 10.200.0.11", "10.96.0.20:81/tcp", "REJECT"),
        ("outside 203.0.113.9", "10.96.0.20:81/tcp", "REJECT"),
        ("pod fd00:244:1::5", "[fd00:96::20]:81/tcp", "REJECT"),
        ("host fd00:200::11", "[fd00:96::20]:80/udp", "REJECT"),
        // a cluster IP that nobody has
        ("pod 10.244.1.5", "10.96.0.21:80/tcp", "DROP"),
        ("host 10.200.0.11", "10.96.255.255:80/udp", "DROP"),
        ("outside 203.0.113.9", "10.96.0.0:80/sctp", "DROP"),
        ("pod fd00:244:1::5", "[fd00:96::ffff]:80/tcp", "DROP"),
        // the ranges end where they end
        ("pod 10.244.1.5", "10.95.255.255:80/tcp", "PASS"),
        ("pod 10.244.1.5", "10.97.0.0:80/tcp", "PASS"),
        ("pod fd00:244:1::5", "[fd00:96::1:0]:80/tcp", "PASS"),
        // another port of an external address or a node port's neighbour is not ours
        ("pod 10.244.1.5", "198.51.100.20:81/tcp", "PASS"),
        ("outside 203.0.113.9", "198.51.100.20:80/udp", "PASS"),
        ("outside 203.0.113.9", "10.200.0.11:30021/tcp", "PASS"),
        ("outside 203.0.113.9", "10.200.0.11:30020/udp", "PASS"),
    ]);
}

#[test]
fn a_pod_that_reaches_itself_is_masqueraded() {
    let bed = Bed::of(node("node-1"), &[with_both_nodes_endpoints(everything("shop/web"))]);
    bed.check(&[
        ("pod 10.244.1.7", "10.96.0.10:80/tcp", "~10.244.1.7:8001 10.244.2.9:8001"),
        ("pod 10.244.1.7", "10.96.0.10:80/udp", "~10.244.1.7:8002 10.244.2.9:8002"),
        ("pod 10.244.1.7", "10.96.0.10:80/sctp", "~10.244.1.7:8003 10.244.2.9:8003"),
        ("pod fd00:244:1::7", "[fd00:96::10]:80/tcp", "~[fd00:244:1::7]:8001 [fd00:244:2::9]:8001"),
        ("pod 10.244.1.7", "198.51.100.50:80/tcp", "~10.244.1.7:8001 ~10.244.2.9:8001"),
        // a pod of another node that reaches itself through here: its answer passes its own node, not this one
        ("elsewhere 10.244.2.9", "10.96.0.10:80/tcp", "10.244.1.7:8001 10.244.2.9:8001"),
        // a direct connection to itself is none of ours
        ("pod 10.244.1.7", "10.244.1.7:8001/tcp", "PASS"),
    ]);
}

#[test]
fn an_endpoint_on_the_nodes_own_address_keeps_the_source_of_what_comes_in() {
    let host_network =
        service("kube-system/agent").cluster_ip("10.96.0.30").port(Tcp, 80, 9100).node_port(30030);
    let bed = Bed::of(node("node-1"), &[host_network.endpoint(endpoint("10.200.0.11").on("node-1"))]);
    bed.check(&[
        ("pod 10.244.1.5", "10.96.0.30:80/tcp", "10.200.0.11:9100"),
        ("outside 203.0.113.9", "10.96.0.30:80/tcp", "10.200.0.11:9100"),
        ("outside 203.0.113.9", "10.200.0.11:30030/tcp", "10.200.0.11:9100"),
        ("host 10.200.0.11", "10.96.0.30:80/tcp", "~10.200.0.11:9100"),
    ]);
}

#[test]
fn a_pod_is_recognised_as_the_plan_says() {
    let web = with_both_nodes_endpoints(everything("shop/web"));
    let kept = "10.244.1.7:8001 10.244.2.9:8001";
    let replaced = "~10.244.1.7:8001 ~10.244.2.9:8001";
    let sources = [
        "pod 10.244.1.5",
        "bridge 10.244.1.5",
        "elsewhere 10.244.2.5",
        "host 10.200.0.11",
        "outside 203.0.113.9",
    ];
    // by which means: what each of these sources gets from a cluster IP
    let cases: [(DetectLocalMode, &str, [&str; 5]); 7] = [
        (ClusterCIDR, "", [kept, kept, kept, replaced, replaced]),
        (NodeCIDR, "", [kept, kept, replaced, replaced, replaced]),
        (BridgeInterface, "cni0", [replaced, kept, replaced, replaced, replaced]),
        (InterfaceNamePrefix, "veth", [kept, replaced, replaced, replaced, replaced]),
        (InterfaceNamePrefix, "veth1", [kept, replaced, replaced, replaced, replaced]),
        (InterfaceNamePrefix, "veth12", [replaced, replaced, replaced, replaced, replaced]),
        (Nobody, "", [kept, kept, kept, kept, kept]),
    ];
    for (mode, interface, expected) in cases {
        let bed = Bed::of(node("node-1").pods_by(mode, interface), std::slice::from_ref(&web));
        for (source, expected) in sources.iter().zip(expected) {
            bed.check(&[(source, "10.96.0.10:80/tcp", expected), (source, "198.51.100.50:80/tcp", replaced)]);
        }
    }
    let everybody = Bed::of(node("node-1").masquerades_all(), std::slice::from_ref(&web));
    for source in sources {
        everybody.check(&[(source, "10.96.0.10:80/tcp", replaced)]);
    }
    for bit in [0, 31] {
        let bed = Bed::of(node("node-1").mark_bit(bit), std::slice::from_ref(&web));
        bed.check(&[(sources[0], "10.96.0.10:80/tcp", kept), (sources[4], "10.96.0.10:80/tcp", replaced)]);
    }
}

#[test]
fn in_a_family_without_a_range_nobody_is_taken_for_foreign() {
    let web = with_both_nodes_endpoints(everything("shop/web")).plan();
    let mut facts = node("node-1").facts();
    facts.local = LocalDetector::Sources(vec!["10.244.0.0/16".parse().unwrap()]);
    let bed = Bed::new(facts, &[web]);
    bed.check(&[
        ("outside 203.0.113.9", "10.96.0.10:80/tcp", "~10.244.1.7:8001 ~10.244.2.9:8001"),
        ("pod fd00:244:1::5", "[fd00:96::10]:80/tcp", "[fd00:244:1::7]:8001 [fd00:244:2::9]:8001"),
        ("outside 2001:db8::9", "[fd00:96::10]:80/tcp", "[fd00:244:1::7]:8001 [fd00:244:2::9]:8001"),
    ]);
}

#[test]
fn node_ports_answer_on_the_addresses_that_the_plan_names() {
    let web = with_both_nodes_endpoints(everything("shop/web"));
    let empty = service("shop/empty")
        .cluster_ip("10.96.0.11")
        .cluster_ip("fd00:96::11")
        .port(Tcp, 80, 80)
        .node_port(30099);
    let (v4, v6) = ("~10.244.1.7:8001 ~10.244.2.9:8001", "~[fd00:244:1::7]:8001 ~[fd00:244:2::9]:8001");
    let addresses = ["10.200.0.11", "192.0.2.11", "127.0.0.1", "[fd00:200::11]", "[2001:db8:2::11]", "[::1]"];
    let cases: [(_, &[&str], [&str; 6]); 6] = [
        (Primary, &[], [v4, "PASS", "PASS", v6, "PASS", "PASS"]),
        (All, &[], [v4, v4, "PASS", v6, v6, "PASS"]),
        (CIDRs, &["192.0.2.0/24"], ["PASS", v4, "PASS", "PASS", "PASS", "PASS"]),
        (CIDRs, &["10.200.0.0/16", "2001:db8:2::/48"], [v4, "PASS", "PASS", "PASS", v6, "PASS"]),
        (CIDRs, &["127.0.0.0/8", "::1/128"], ["PASS"; 6]),
        (CIDRs, &["0.0.0.0/0"], [v4, v4, "PASS", "PASS", "PASS", "PASS"]),
    ];
    for (kind, cidrs, expected) in cases {
        let bed = Bed::of(node("node-1").node_ports_on(kind, cidrs), &[web.clone(), empty.clone()]);
        for (address, expected) in addresses.iter().zip(expected) {
            let (outside, host) = if address.starts_with('[') {
                ("outside 2001:db8::9", "host fd00:200::11")
            } else {
                ("outside 203.0.113.9", "host 10.200.0.11")
            };
            let (served, unserved) = (format!("{address}:30080/tcp"), format!("{address}:30099/tcp"));
            let refused = if expected == "PASS" { "PASS" } else { "REJECT" };
            bed.check(&[(outside, &served, expected), (host, &served, expected)]);
            bed.check(&[(outside, &unserved, refused), (host, &unserved, refused)]);
        }
    }
}

#[test]
fn a_family_that_is_not_proxied_is_left_alone() {
    let bed =
        Bed::of(node("node-1").only(IpFamily::IPv6), &[with_both_nodes_endpoints(everything("shop/web"))]);
    assert_eq!(bed.decide(&from("pod 10.244.1.5").to("10.96.0.10:80/tcp")), "PASS");
    bed.check(&[("pod fd00:244:1::5", "[fd00:96::10]:80/tcp", "[fd00:244:1::7]:8001 [fd00:244:2::9]:8001")]);
}

#[test]
fn an_endpoint_may_have_the_address_and_port_of_a_frontend_that_nobody_serves() {
    // Host-network endpoints share the node's addresses: what was sent to them must not be judged again as if it were sent to a frontend.
    let web = service("shop/web").cluster_ip("10.96.0.10").port(Tcp, 80, 30099).port(Tcp, 81, 8443);
    let web =
        web.endpoint(endpoint("10.200.0.11").on("node-1")).endpoint(endpoint("10.200.0.12").on("node-2"));
    let empty =
        service("shop/empty").cluster_ip("10.96.0.11").external_ip("10.200.0.11").external_ip("10.200.0.12");
    let bed = Bed::of(node("node-1"), &[web, empty.port(Tcp, 8443, 80).node_port(30099)]);
    bed.check(&[
        ("pod 10.244.1.5", "10.96.0.10:80/tcp", "10.200.0.11:30099 10.200.0.12:30099"),
        ("host 10.200.0.11", "10.96.0.10:80/tcp", "~10.200.0.11:30099 ~10.200.0.12:30099"),
        ("pod 10.244.1.5", "10.96.0.10:81/tcp", "10.200.0.11:8443 10.200.0.12:8443"),
        ("outside 203.0.113.9", "10.200.0.11:30099/tcp", "REJECT"),
        ("outside 203.0.113.9", "10.200.0.11:8443/tcp", "REJECT"),
        ("pod 10.244.1.5", "10.200.0.12:8443/tcp", "REJECT"),
    ]);
}

#[test]
fn a_node_port_is_not_hidden_by_an_external_ip_that_nobody_serves() {
    let web = service("shop/web")
        .cluster_ip("10.96.0.10")
        .port(Tcp, 80, 8001)
        .node_port(30080)
        .endpoint("10.244.1.7");
    let empty = service("shop/empty").external_ip("10.200.0.11").port(Tcp, 30080, 80).port(Tcp, 30081, 80);
    let bed = Bed::of(node("node-1"), &[web, empty]);
    bed.check(&[
        ("outside 203.0.113.9", "10.200.0.11:30080/tcp", "~10.244.1.7:8001"),
        ("host 10.200.0.11", "10.200.0.11:30080/tcp", "~10.244.1.7:8001"),
        ("outside 203.0.113.9", "10.200.0.11:30081/tcp", "REJECT"),
    ]);
}
