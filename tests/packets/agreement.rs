//! The oracle and the kernel's own tables agree: random plans are committed, read back, and packets followed through what was read.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use pointsman_crds::IpFamily;
use pointsman_dataplane::dispatch::FrontendAddress;
use pointsman_dataplane::testing::{Bed, from};
use pointsman_dataplane::{Outcome, Packet, ServicePlan};
use pointsman_tests::netns::Netns;
use proptest::prelude::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::generate::{change, facts, packet};
use crate::plan::address;
use crate::rig::{Changes, Rig};

/// Nodes, each with plans of its own.
const NODES: usize = 30;
/// Batches of changes on each node, the first one on empty tables.
const STEPS: usize = 3;
/// Packets after each batch.
const PACKETS: usize = 120;

/// Where packets to frontends come from: pods of the node, endpoints among them, the node itself, and elsewhere.
const SOURCES: [&str; 8] = [
    "pod 10.244.1.1",
    "bridge 10.244.1.2",
    "host 10.200.0.11",
    "outside 203.0.113.9",
    "pod fd00:244:1::1",
    "elsewhere fd00:244:2::1",
    "host fd00:200::11",
    "outside 2001:db8::9",
];

/// Always the same numbers: a failure comes again.
struct Random(TestRunner);

impl Random {
    fn new() -> Self {
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        Self(TestRunner::new_with_rng(Config::default(), rng))
    }

    fn draw<T: std::fmt::Debug>(&mut self, from: impl Strategy<Value = T>) -> Result<T> {
        let tree = from.new_tree(&mut self.0).map_err(|why| anyhow::anyhow!("no value: {why}"))?;
        Ok(tree.current())
    }
}

/// Commits, reads back and compares, in a namespace of its own.
pub fn oracle_and_kernel() -> Result<()> {
    let netns = Netns::create(0, "agreement")?;
    let mut random = Random::new();
    let mut outcomes = BTreeMap::<&str, usize>::new();
    for number in 0..NODES {
        let node = random.draw(facts())?;
        let mut rig = Rig::new(&netns, &node)?;
        let mut plans: BTreeMap<_, ServicePlan> = BTreeMap::new();
        for step in 0..STEPS {
            let changes: Changes = random.draw(prop::collection::vec(change(), 1..6))?.into_iter().collect();
            for (key, plan) in &changes {
                match plan {
                    Some(plan) => drop(plans.insert(key.clone(), plan.clone())),
                    None => drop(plans.remove(key)),
                }
            }
            rig.change(&changes)?;
            let packets = random.draw(prop::collection::vec(packet(), PACKETS))?;
            let place = format!("node {number}, step {step}");
            // Before what is stale is deleted, and after.
            follow(&rig.bed()?, &packets, false, &mut outcomes).with_context(|| place.clone())?;
            rig.settle()?;
            follow(&rig.bed()?, &packets, true, &mut outcomes).context(place)?;
        }
        let written = rig.restart(&plans.into_values().collect::<Vec<_>>())?;
        ensure!(written == 0, "node {number}: a restart with an unchanged plan wrote {written} transactions");
    }
    println!("packets followed through tables as read from the kernel: {outcomes:?}");
    ensure!(outcomes.len() == 4 && outcomes.values().all(|count| *count > 1000), "too few: {outcomes:?}");
    Ok(())
}

/// From everywhere to whatever a Service listens on: packets at random seldom meet one that has endpoints.
fn to_every_frontend(bed: &Bed) -> Vec<Packet> {
    let services = bed.dispatch.services();
    let frontends = services.flat_map(|(_, service)| service.frontends.keys().copied().collect::<Vec<_>>());
    let mut packets = Vec::new();
    for frontend in frontends {
        let addresses = match frontend.address {
            FrontendAddress::Vip(ip) => vec![ip],
            FrontendAddress::Node(IpFamily::IPv4) => ["10.200.0.11", "192.0.2.11"].map(address).to_vec(),
            FrontendAddress::Node(IpFamily::IPv6) => ["fd00:200::11", "2001:db8:2::11"].map(address).to_vec(),
        };
        let protocol = frontend.protocol.to_string().to_lowercase();
        for address in addresses {
            let target = format!("{}/{protocol}", SocketAddr::new(address, frontend.port));
            let sources = SOURCES.iter().filter(|source| source.contains(':') == address.is_ipv6());
            packets.extend(sources.map(|source| from(source).to(&target)));
        }
    }
    packets
}

/// Follows these packets and those to every frontend.
fn follow(bed: &Bed, packets: &[Packet], settled: bool, outcomes: &mut BTreeMap<&str, usize>) -> Result<()> {
    for packet in packets.iter().cloned().chain(to_every_frontend(bed)) {
        let outcome = bed.dispatch.decide(&packet);
        if goes_to_itself(&outcome, &packet) || !settled && comes_back(&outcome, &packet) {
            continue;
        }
        let (decided, interpreted) = (bed.decide(&packet), bed.interpret(&packet));
        ensure!(
            interpreted.as_ref() == Ok(&decided),
            "{decided} by the oracle, {interpreted:?} by the kernel's table, for {packet:?}"
        );
        *outcomes.entry(name(&outcome)).or_default() += 1;
    }
    Ok(())
}

/// A packet to its own sender. While a hairpin is stale it may be masqueraded without need: its address is an endpoint still, but of another
/// node.
fn comes_back(outcome: &Outcome, packet: &Packet) -> bool {
    let Outcome::Forward { endpoints } = outcome else { return false };
    endpoints.iter().any(|(endpoint, _)| endpoint.ip == packet.source)
}

/// A packet that is already addressed to an endpoint that it may be sent to is not translated, and meets rules that the oracle leaves out.
fn goes_to_itself(outcome: &Outcome, packet: &Packet) -> bool {
    let Outcome::Forward { endpoints } = outcome else { return false };
    endpoints.iter().any(|(endpoint, _)| (endpoint.ip, endpoint.port) == (packet.destination, packet.port))
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Forward { .. } => "forwarded",
        Outcome::Reject => "rejected",
        Outcome::Drop => "dropped",
        Outcome::Pass => "passed",
    }
}
