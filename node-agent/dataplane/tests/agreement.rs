//! The oracle and the interpreted nftables table agree on every packet, over random nodes and Services: from nothing, after any changes, after a
//! restart. And what a node holds depends on its plan alone, not on the way that led there.

mod generate;

use std::collections::BTreeMap;

use generate::{change, facts, keys, packet};
use pointsman_dataplane::dispatch::{Frontend, FrontendAddress, Verdict};
use pointsman_dataplane::node::family_of;
use pointsman_dataplane::testing::Bed;
use pointsman_dataplane::{NodeFacts, Outcome, Packet, ServiceKey, ServicePlan};
use proptest::prelude::*;

type Change = (ServiceKey, Option<ServicePlan>);

/// What the changes lead to.
fn plans(changes: &[Change]) -> BTreeMap<ServiceKey, ServicePlan> {
    let mut plans = BTreeMap::new();
    for (key, plan) in changes {
        match plan {
            Some(plan) => plans.insert(key.clone(), plan.clone()),
            None => plans.remove(key),
        };
    }
    plans
}

fn fresh(facts: &NodeFacts, changes: &[Change]) -> Bed {
    Bed::new(facts.clone(), &plans(changes).into_values().collect::<Vec<_>>())
}

fn agree(bed: &Bed, packets: &[Packet]) -> Result<(), TestCaseError> {
    for packet in packets.iter().filter(|packet| !goes_to_itself(bed, packet)) {
        let (decided, interpreted) = (bed.decide(packet), bed.interpret(packet));
        prop_assert_eq!(Ok(decided), interpreted, "oracle (left) and table (right) about {:?}", packet);
    }
    Ok(())
}

/// Packets that do not come back to their sender. While a hairpin is stale, one whose address is an endpoint still, but of another node now, is
/// masqueraded without need.
fn elsewhere_bound(bed: &Bed, packets: &[Packet]) -> Vec<Packet> {
    let comes_back = |packet: &&Packet| match bed.dispatch.decide(packet) {
        Outcome::Forward { endpoints } => endpoints.iter().any(|(endpoint, _)| endpoint.ip == packet.source),
        _ => false,
    };
    packets.iter().filter(|packet| !comes_back(packet)).cloned().collect()
}

/// An endpoint may be the very address and port that the packet was sent to. Conntrack calls that untranslated, so the packet meets the checks for
/// frontends that nobody serves. It matters if a node port and an external IP of the node claim one address and port, one of them is served by
/// a process on just that port, and nobody serves the other: the oracle does not model this.
fn goes_to_itself(bed: &Bed, packet: &Packet) -> bool {
    let Outcome::Forward { endpoints } = bed.dispatch.decide(packet) else { return false };
    let addresses =
        [FrontendAddress::Vip(packet.destination), FrontendAddress::Node(family_of(packet.destination))];
    let refused = addresses.into_iter().any(|address| {
        let frontend = Frontend { address, protocol: packet.protocol, port: packet.port };
        let found = bed.dispatch.frontend(&frontend);
        found.is_some_and(|(_, found)| !matches!(found.verdict, Verdict::Balance { .. }))
    });
    let itself = (packet.destination, packet.port);
    refused && endpoints.iter().any(|(endpoint, _)| (endpoint.ip, endpoint.port) == itself)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_made_from_nothing_does_what_the_oracle_says(
        facts in facts(),
        changes in prop::collection::vec(change(), 1..6),
        packets in prop::collection::vec(packet(), 60),
    ) {
        agree(&fresh(&facts, &changes), &packets)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_way_to_a_plan_leads_to_the_same_table(
        facts in facts(),
        steps in prop::collection::vec((prop::collection::vec(change(), 1..4), 0..4_u8), 1..8),
        packets in prop::collection::vec(packet(), 20),
    ) {
        let mut bed = Bed::new(facts.clone(), &[]);
        let mut changes = Vec::new();
        for (batch, then) in steps {
            bed.change_all(&batch.iter().cloned().collect());
            // Of two changes of one Service in a batch the last counts, here as there.
            changes.extend(batch);
            match then {
                0 => drop(bed.settle()),
                1 => drop(bed.restart()),
                _ => {}
            }
            agree(&bed, &elsewhere_bound(&bed, &packets))?;
        }
        bed.settle();
        agree(&bed, &packets)?;
        let fresh = fresh(&facts, &changes);
        prop_assert_eq!(bed.canonical(), fresh.canonical());
        prop_assert_eq!(bed.digests(), fresh.digests());
        prop_assert_eq!(bed.dispatch.counts(), fresh.dispatch.counts());
        prop_assert_eq!(bed.restart(), 0, "a restart with an unchanged plan writes nothing");
        prop_assert_eq!(bed.digests(), fresh.digests());
        bed.settle();
        for key in keys() {
            bed.change(&key, None);
        }
        bed.settle();
        prop_assert_eq!(bed.canonical(), Bed::new(facts, &[]).canonical(), "nothing is left of what went");
    }

    #[test]
    fn a_table_of_another_plan_is_adopted_with_the_difference(
        facts in facts(),
        before in prop::collection::vec(change(), 0..5),
        after in prop::collection::vec(change(), 0..5),
        packets in prop::collection::vec(packet(), 20),
    ) {
        let mut bed = fresh(&facts, &before);
        let wanted = fresh(&facts, &after);
        bed.dispatch = wanted.dispatch.clone();
        bed.restart();
        agree(&bed, &elsewhere_bound(&bed, &packets))?;
        bed.settle();
        agree(&bed, &packets)?;
        prop_assert_eq!(bed.canonical(), wanted.canonical());
        prop_assert_eq!(bed.digests(), wanted.digests());
        prop_assert_eq!(bed.restart(), 0);
    }
}
