//! From each of these plans to each other: the commits in between show packets the old verdict or the new one, nothing else, and the end is what a
//! fresh start would have made. One Service changes at a time, all of them at once, and through a restart.
// Not only the tests, what they are built of may panic, too; a table of plans may be long.
#![allow(clippy::unwrap_used, clippy::panic, clippy::too_many_lines)]

use std::collections::{BTreeMap, BTreeSet};

use pointsman_crds::Protocol::{Sctp, Tcp, Udp};
use pointsman_dataplane::nftables::image::Image;
use pointsman_dataplane::nftables::interpret;
use pointsman_dataplane::nftables::schema::SetId;
use pointsman_dataplane::nftables::table::{Key, Table};
use pointsman_dataplane::node::family_of;
use pointsman_dataplane::testing::{Bed, ServiceBuilder, endpoint, from, is_local, node, service};
use pointsman_dataplane::{Outcome, Packet, ServiceKey, ServicePlan};

fn web(endpoints: &[&str]) -> ServiceBuilder {
    let web = service("shop/web")
        .cluster_ip("10.96.0.10")
        .external_ip("198.51.100.50")
        .port(Tcp, 80, 8001)
        .node_port(30080);
    endpoints.iter().fold(web, |web, address| web.endpoint(endpoint(address).on("node-1")))
}

fn dual(v4: &str, v6: &str) -> ServiceBuilder {
    let dual = service("shop/dual")
        .cluster_ip("10.96.0.20")
        .cluster_ip("fd00:96::20")
        .port(Udp, 53, 5300)
        .port(Tcp, 53, 5301);
    dual.endpoint(v4).endpoint(v6)
}

fn many(count: u8) -> ServiceBuilder {
    (1..=count).fold(web(&[]), |web, n| web.endpoint(endpoint(&format!("10.244.2.{n}")).on("node-2")))
}

/// Each plan with its name; the keys of all their Services are few, so that they change into each other.
fn named_plans() -> Vec<(&'static str, Vec<ServicePlan>)> {
    let (a, b, c) = ("10.244.1.1", "10.244.1.2", "10.244.1.3");
    let here = |address: &str| endpoint(address).on("node-1");
    let other = || service("shop/other").cluster_ip("10.96.0.30").port(Tcp, 80, 9000).endpoint("10.244.2.7");
    let plan = |services: Vec<ServiceBuilder>| services.into_iter().map(ServiceBuilder::plan).collect();
    vec![
        ("nothing", plan(vec![])),
        ("one endpoint", plan(vec![web(&[a])])),
        ("another endpoint", plan(vec![web(&[b])])),
        ("three endpoints", plan(vec![web(&[a, b, c]), other()])),
        ("two of the three", plan(vec![web(&[c, a]), other()])),
        ("twelve endpoints", plan(vec![many(12)])),
        ("seven of the twelve", plan(vec![many(7)])),
        ("nobody serves", plan(vec![web(&[]), other()])),
        ("nobody serves here", plan(vec![many(2).internal_local()])),
        (
            "kept on the node",
            plan(vec![web(&[a, b]).endpoint(endpoint("10.244.2.9").on("node-2")).internal_local()]),
        ),
        (
            "another target",
            plan(vec![service("shop/web").cluster_ip("10.96.0.10").port(Tcp, 80, 8443).endpoint(here(a))]),
        ),
        (
            "another port",
            plan(vec![
                service("shop/web")
                    .cluster_ip("10.96.0.10")
                    .port(Tcp, 81, 8001)
                    .node_port(30081)
                    .endpoint(here(a)),
            ]),
        ),
        (
            "another protocol",
            plan(vec![service("shop/web").cluster_ip("10.96.0.10").port(Sctp, 80, 8001).endpoint(here(a))]),
        ),
        (
            "another cluster IP",
            plan(vec![service("shop/web").cluster_ip("10.96.0.11").port(Tcp, 80, 8001).endpoint(here(b))]),
        ),
        ("both families", plan(vec![dual("10.244.1.5", "fd00:244:1::5"), web(&[a])])),
        ("both families, others", plan(vec![dual("10.244.2.5", "fd00:244:2::5")])),
        (
            "two that go away",
            plan(vec![
                ["10.244.1.1", "10.244.1.2"]
                    .iter()
                    .fold(web(&[]), |web, gone| web.endpoint(endpoint(gone).on("node-1").terminating())),
            ]),
        ),
        (
            "a rival owns the address",
            plan(vec![
                web(&[a]),
                service("shop/rival").external_ip("198.51.100.50").port(Tcp, 80, 7000).endpoint("10.244.2.8"),
            ]),
        ),
        (
            "addresses swapped",
            plan(vec![
                service("shop/web").cluster_ip("10.96.0.30").port(Tcp, 80, 8001).endpoint(here(a)),
                service("shop/other")
                    .cluster_ip("10.96.0.10")
                    .port(Tcp, 80, 9000)
                    .endpoint("10.244.2.7")
                    .endpoint(here(b)),
            ]),
        ),
        (
            "the address is an external one",
            plan(vec![
                service("shop/other").external_ip("10.96.0.10").port(Tcp, 80, 9000).endpoint("10.244.2.7"),
            ]),
        ),
    ]
}

/// Packets to all that any of the plans listens on, and beside it.
fn packets() -> Vec<Packet> {
    let v4 = ["10.96.0.10", "10.96.0.11", "10.96.0.20", "10.96.0.30", "198.51.100.50"];
    let v6 = ["[fd00:96::20]"];
    let to = |sources: &[&str], addresses: &[&str], ports: &[&str]| {
        let mut packets = Vec::new();
        for (source, address, port) in sources
            .iter()
            .flat_map(|s| addresses.iter().flat_map(move |a| ports.iter().map(move |p| (s, a, p))))
        {
            packets.push(from(source).to(&format!("{address}:{port}")));
        }
        packets
    };
    let ports = ["80/tcp", "81/tcp", "80/sctp", "53/udp", "53/tcp"];
    let sources = ["pod 10.244.1.1", "host 10.200.0.11", "outside 203.0.113.9"];
    let node_ports = to(&sources, &["10.200.0.11"], &["30080/tcp", "30081/tcp"]);
    let v6 = to(&["pod fd00:244:1::5", "outside 2001:db8::9"], &v6, &["53/udp", "53/tcp", "80/tcp"]);
    [to(&sources, &v4, &ports), node_ports, v6].concat()
}

fn by_key(plans: &[ServicePlan]) -> BTreeMap<ServiceKey, ServicePlan> {
    plans.iter().map(|plan| (plan.key.clone(), plan.clone())).collect()
}

/// What must be said to come from one plan to the other.
fn changes(old: &[ServicePlan], new: &[ServicePlan]) -> BTreeMap<ServiceKey, Option<ServicePlan>> {
    let (old, new) = (by_key(old), by_key(new));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
    keys.into_iter()
        .filter(|key| old.get(key) != new.get(key))
        .map(|key| (key.clone(), new.get(&key).cloned()))
        .collect()
}

/// A plan, the node that started with it, and what it makes of each packet.
struct Named {
    name: &'static str,
    plans: Vec<ServicePlan>,
    bed: Bed,
    outcomes: Vec<(Packet, Outcome)>,
}

fn named() -> Vec<Named> {
    let packets = packets();
    let named = |(name, plans): (_, Vec<_>)| {
        let bed = bed(&plans);
        let outcome = |packet: &Packet| (packet.clone(), run(of_family(&bed.families, packet), packet, name));
        let outcomes = packets.iter().map(outcome).collect();
        Named { name, plans, bed, outcomes }
    };
    named_plans().into_iter().map(named).collect()
}

fn every_pair(try_one: impl Fn(&str, &Named, &Named)) {
    let plans = named();
    for old in &plans {
        for new in &plans {
            try_one(&format!("from \"{}\" to \"{}\"", old.name, new.name), old, new);
        }
    }
}

fn bed(plans: &[ServicePlan]) -> Bed {
    Bed::new(node("node-1").zone("a").facts(), plans)
}

fn assert_is_fresh(bed: &mut Bed, fresh: &Bed, way: &str) {
    bed.settle();
    assert_eq!(bed.canonical(), fresh.canonical(), "{way}: the table");
    assert_eq!(bed.digests(), fresh.digests(), "{way}: the digest");
    assert_eq!(bed.restart(), 0, "{way}: a restart writes nothing");
    assert_eq!(bed.digests(), fresh.digests(), "{way}: the digest after the restart");
}

fn run(table: &Table, packet: &Packet, way: &str) -> Outcome {
    interpret::run(table, packet, &is_local).unwrap_or_else(|trap| panic!("{way}, {packet:?}: {trap}"))
}

fn of_family<'a>(tables: &'a [(Image, Table)], packet: &Packet) -> &'a Table {
    &tables.iter().find(|(_, table)| table.family == family_of(packet.destination)).unwrap().1
}

#[test]
fn digests_tell_the_plans_apart() {
    let digests: BTreeSet<_> = named_plans().iter().map(|(_, plans)| bed(plans).digests()).collect();
    assert_eq!(digests.len(), named_plans().len());
}

#[test]
fn one_batch_shows_the_old_verdict_and_then_the_new_one() {
    every_pair(|way, old, new| {
        let mut bed = old.bed.clone();
        let mut met = bed.change_all(&changes(&old.plans, &new.plans));
        met.extend(bed.settle());
        for ((packet, old), (_, new)) in old.outcomes.iter().zip(&new.outcomes) {
            let mut is_new = false;
            for table in met.iter().filter(|table| table.family == family_of(packet.destination)) {
                let seen = &run(table, packet, way);
                let expected = seen == new || seen == old && !is_new;
                assert!(expected, "{way}, {packet:?}: {seen:?}, neither {old:?} nor {new:?}");
                is_new |= seen == new && old != new;
            }
            assert_eq!(is_new, old != new, "{way}, {packet:?}: the new verdict is seen");
        }
        assert_is_fresh(&mut bed, &new.bed, way);
    });
}

#[test]
fn a_packet_that_read_its_verdict_before_the_change_finds_an_endpoint_after_it() {
    let choice = |outcome: &Outcome| match outcome {
        Outcome::Forward { endpoints } => endpoints.iter().map(|(endpoint, _)| *endpoint).collect(),
        _ => BTreeSet::new(),
    };
    every_pair(|way, old, new| {
        let mut bed = old.bed.clone();
        bed.change_all(&changes(&old.plans, &new.plans));
        for ((_, before), (_, after)) in old.bed.families.iter().zip(&bed.families) {
            // The verdict maps and chains of before with the endpoint maps of after: what such a packet meets.
            let mut between = before.clone();
            for map in [SetId::Endpoints, SetId::NodePortEndpoints] {
                between.sets.insert(map, after.sets[&map].clone());
            }
            let met = old.outcomes.iter().zip(&new.outcomes);
            for ((packet, old), (_, new)) in
                met.filter(|((packet, _), _)| family_of(packet.destination) == before.family)
            {
                let known: BTreeSet<_> = choice(old).union(&choice(new)).copied().collect();
                let ways = interpret::walk(&between, packet, 0, &is_local);
                for (_, flight) in ways.unwrap_or_else(|trap| panic!("{way}, {packet:?}: {trap}")) {
                    assert!(
                        flight.endpoint.is_none_or(|endpoint| known.contains(&endpoint)),
                        "{way}, {packet:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn a_pod_that_was_sent_to_itself_before_the_change_is_masqueraded_after_it() {
    every_pair(|way, old, new| {
        let mut bed = old.bed.clone();
        bed.change_all(&changes(&old.plans, &new.plans));
        let mut restarted = old.bed.clone();
        restarted.dispatch = new.bed.dispatch.clone();
        restarted.restart();
        for after in [bed, restarted] {
            for ((_, before), (_, after)) in old.bed.families.iter().zip(&after.families) {
                let kept = |key: &Key| after.sets[&SetId::Hairpin].contains_key(key);
                assert!(before.sets[&SetId::Hairpin].keys().all(kept), "{way}: a hairpin went at once");
            }
        }
    });
}

#[test]
fn single_changes_in_either_order_end_in_the_same_table() {
    every_pair(|way, old, new| {
        let changes = changes(&old.plans, &new.plans);
        let mut forward = old.bed.clone();
        changes.iter().for_each(|(key, plan)| drop(forward.change(key, plan.as_ref())));
        assert_is_fresh(&mut forward, &new.bed, way);
        let mut backward = old.bed.clone();
        for (key, plan) in changes.iter().rev() {
            backward.change(key, plan.as_ref());
            backward.settle();
        }
        assert_is_fresh(&mut backward, &new.bed, way);
    });
}

#[test]
fn a_restart_with_another_plan_ends_in_the_same_table() {
    every_pair(|way, old, new| {
        let mut bed = old.bed.clone();
        bed.dispatch = new.bed.dispatch.clone();
        bed.restart();
        for (packet, expected) in &new.outcomes {
            assert_eq!(&run(of_family(&bed.families, packet), packet, way), expected, "{way}, {packet:?}");
        }
        assert_is_fresh(&mut bed, &new.bed, way);
    });
}
