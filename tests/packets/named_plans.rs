//! Plans with names, from each of which the kernel is brought to each other. Few Services under the same names, so that the plans change
//! into each other rather than replace each other. Values only.

use pointsman_crds::Protocol::{self, Sctp, Tcp, Udp};
use pointsman_dataplane::ServicePlan;
use pointsman_dataplane::testing::{ServiceBuilder, endpoint, service};

/// The plans, for a node named `node-1`.
pub fn named_plans() -> Vec<(&'static str, Vec<ServicePlan>)> {
    let (a, b, c) = ("10.244.1.2", "10.244.1.3", "10.244.2.2");
    let (a6, b6) = ("fd00:244:1::2", "fd00:244:1::3");
    let v4 = |endpoints: &[&str]| web(&["10.96.0.10"], endpoints);
    let both = |endpoints: &[&str]| web(&["10.96.0.10", "fd00:96::10"], endpoints);
    let many = |range: std::ops::Range<u8>| {
        range.fold(v4(&[]), |web, n| web.endpoint(endpoint(&format!("10.244.2.{n}")).on("node-2")))
    };
    let dns = |at: &str| dns(&["10.96.0.20", "fd00:96::20"]).endpoint(endpoint(at).on("node-1"));
    vec![
        ("nothing", vec![]),
        ("one endpoint", vec![v4(&[a]).plan()]),
        ("another endpoint", vec![v4(&[b]).plan()]),
        ("three endpoints and another Service", vec![v4(&[a, b, c]).plan(), dns(a).plan()]),
        ("two of the three", vec![v4(&[c, a]).plan(), dns(a).plan()]),
        ("twelve endpoints", vec![many(10..22).plan()]),
        ("seven endpoints, three of the twelve", vec![many(19..26).plan()]),
        ("nobody serves", vec![both(&[]).plan(), dns(a6).plan()]),
        ("nobody serves here", vec![many(10..12).internal_local().plan(), dns(b).plan()]),
        ("both families", vec![both(&[a, b, a6]).plan(), dns(b6).plan()]),
        ("the other family", vec![web(&["fd00:96::10"], &[a6, b6]).plan(), dns(a6).plan()]),
        ("other ports and protocols", vec![other_ports(a).plan(), dns(a).plan()]),
        (
            "going away",
            vec![
                v4(&[])
                    .endpoint(endpoint(a).on("node-1").terminating())
                    .endpoint(endpoint(c).terminating())
                    .plan(),
            ],
        ),
        ("the address is an external one", vec![external("shop/web", "10.96.0.10", c).plan(), dns(a).plan()]),
        (
            "a rival claims the external address",
            vec![v4(&[a]).plan(), external("shop/rival", "198.51.100.50", b).plan()],
        ),
        (
            "two Services swapped their addresses",
            vec![
                service("shop/dns").cluster_ip("10.96.0.10").port(Tcp, 80, 8080).endpoint(b).plan(),
                service("shop/web")
                    .cluster_ip("10.96.0.20")
                    .port(Udp, 53, 5353)
                    .endpoint(a)
                    .endpoint(c)
                    .plan(),
            ],
        ),
    ]
}

fn web(cluster_ips: &[&str], endpoints: &[&str]) -> ServiceBuilder {
    let web = cluster_ips.iter().fold(service("shop/web"), |web, ip| web.cluster_ip(ip));
    let web = web.external_ip("198.51.100.50").port(Tcp, 80, 8080).node_port(30080);
    endpoints.iter().fold(web, |web, address| {
        let node = if address.contains("244.1.") || address.contains("244:1:") { "node-1" } else { "node-2" };
        web.endpoint(endpoint(address).on(node))
    })
}

fn dns(cluster_ips: &[&str]) -> ServiceBuilder {
    let dns = cluster_ips.iter().fold(service("shop/dns"), |dns, ip| dns.cluster_ip(ip));
    dns.port(Udp, 53, 5353).port(Tcp, 53, 5353)
}

fn other_ports(address: &str) -> ServiceBuilder {
    let ports: [(Protocol, u16); 3] = [(Tcp, 81), (Udp, 80), (Sctp, 80)];
    let web = service("shop/web").cluster_ip("10.96.0.10").external_ip("198.51.100.51");
    let web = ports.into_iter().fold(web, |web, (protocol, port)| web.port(protocol, port, 8080));
    web.node_port(30081).endpoint(endpoint(address).on("node-1"))
}

fn external(key: &str, address: &str, at: &str) -> ServiceBuilder {
    service(key).external_ip(address).port(Tcp, 80, 7000).endpoint(endpoint(at).on("node-1"))
}
