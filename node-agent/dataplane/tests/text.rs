//! The text of a table says what the table holds: its rules are the statements that are printed, its example in the documentation is the real one,
//! and nothing from a plan leaves its quotes.
// Not only the tests, what they are built of may panic, too.
#![allow(clippy::unwrap_used)]

use pointsman_crds::DetectLocalMode::{
    BridgeInterface, ClusterCIDR, InterfaceNamePrefix, NodeCIDR, None as Nobody,
};
use pointsman_crds::IpFamily;
use pointsman_crds::Protocol::{Sctp, Tcp, Udp};
use pointsman_dataplane::nftables::statement::rule;
use pointsman_dataplane::nftables::table::{Key, Value};
use pointsman_dataplane::nftables::{schema::SetId, text};
use pointsman_dataplane::testing::{Bed, NodeBuilder, endpoint, node, service};

/// The node and the Services of the example in the documentation.
fn example() -> Bed {
    let web = service("shop/web")
        .cluster_ip("10.96.0.10")
        .load_balancer("192.0.2.10")
        .port(Tcp, 80, 8080)
        .node_port(30080);
    let web = web.endpoint(endpoint("10.244.1.7").on("node-1")).endpoint(endpoint("10.244.2.9").on("node-2"));
    let dns = service("kube-system/dns").cluster_ip("10.96.0.2").port(Udp, 53, 5353).endpoint("10.244.2.3");
    let empty = service("shop/empty").cluster_ip("10.96.0.30").port(Sctp, 3868, 3868);
    Bed::of(node("node-1"), &[web, dns, empty])
}

fn render(bed: &Bed, family: IpFamily) -> String {
    let (_, table) = bed.families.iter().find(|(_, table)| table.family == family).unwrap();
    text::render(bed.dispatch.node(), table)
}

#[test]
fn the_documentation_shows_what_is_rendered() {
    let documentation = include_str!("../../../docs/ruleset.md");
    let rendered = render(&example(), IpFamily::IPv4);
    assert!(documentation.contains(&rendered), "docs/ruleset.md must contain this listing:\n{rendered}");
}

#[test]
fn every_rule_of_a_table_is_made_of_the_statements_that_are_printed() {
    let nodes: [NodeBuilder; 6] = [
        node("node-1"),
        node("node-1").pods_by(NodeCIDR, ""),
        node("node-1").pods_by(BridgeInterface, "cni0"),
        node("node-1").pods_by(InterfaceNamePrefix, "veth").mark_bit(31),
        node("node-1").pods_by(Nobody, "").mark_bit(0),
        node("node-1").pods_by(ClusterCIDR, "").masquerades_all(),
    ];
    for node in nodes {
        let bed = Bed::of(node, &[]);
        for (_, table) in &bed.families {
            let node = bed.dispatch.node();
            assert!(table.chains.len() > 20, "constant chains and spare ones");
            for (chain, rules) in &table.chains {
                let statements = text::statements(node, *chain, table.family);
                let expected: Vec<_> =
                    statements.iter().map(|statements| rule(statements, table.family)).collect();
                assert_eq!(rules, &expected, "{}", chain.name());
            }
        }
    }
}

#[test]
fn nothing_from_a_plan_leaves_its_quotes() {
    let evil = "x\"; }\nflush ruleset; \\";
    for mode in [BridgeInterface, InterfaceNamePrefix] {
        let bed = Bed::of(node("node-1").pods_by(mode, evil), &[]);
        let mut table = bed.families[0].1.clone();
        let value = Value { data: None, comment: Some(evil.into()) };
        table.sets.get_mut(&SetId::ClusterIps).unwrap().insert(Key::point(&[10, 96, 0, 1]), value);
        let rendered = text::render(bed.dispatch.node(), &table);
        assert_eq!(rendered.matches('"').count(), 4, "one comment and one interface between quotes");
        assert!(rendered.bytes().all(|byte| matches!(byte, b'\n' | b'\t' | b' '..=b'~') && byte != b'\\'));
        assert!(rendered.lines().all(|line| !line.trim_start().starts_with("flush")));
        let quoted = rendered.split('"').skip(1).step_by(2);
        assert_eq!(
            quoted.map(|text| text.trim_end_matches('*')).collect::<Vec<_>>(),
            ["x?; }?flush ruleset; ?", "x?; }?flush rul"]
        );
    }
}

#[test]
fn a_plan_is_rendered_the_same_whatever_led_to_it() {
    let example = example();
    let mut led = Bed::of(
        node("node-1"),
        &[service("shop/old").cluster_ip("10.96.0.99").port(Tcp, 1, 1).endpoint("10.244.1.1")],
    );
    led.change(&pointsman_dataplane::ServiceKey::new("shop", "old"), None);
    led.settle();
    for family in [IpFamily::IPv4, IpFamily::IPv6] {
        assert_eq!(render(&example, family), render(&self::example(), family));
        assert_eq!(render(&led, family), render(&Bed::of(node("node-1"), &[]), family));
    }
}
