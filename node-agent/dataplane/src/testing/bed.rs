//! A node's whole proxy on a table that is a value: dispatch, image, and what the kernel would hold after each commit.

use std::collections::BTreeMap;

use pointsman_crds::IpFamily;

use super::tables::{Canonical, apply, canonical};
use super::{NodeBuilder, ServiceBuilder, from, is_local, text};
use crate::dispatch::Dispatch;
use crate::nftables::image::Image;
use crate::nftables::interpret::{self, Fate};
use crate::nftables::table::{Observed, Table};
use crate::nftables::transaction::Transaction;
use crate::node::family_of;
use crate::packet::{Origin, Outcome, Packet};
use crate::{NodeFacts, ServiceKey, ServicePlan};

/// A node with both families' tables.
#[derive(Clone, Debug)]
pub struct Bed {
    /// What the plan means.
    pub dispatch: Dispatch,
    /// Each family's image, and the table that the commits made.
    pub families: Vec<(Image, Table)>,
}

impl Bed {
    /// A node that holds these Services, written at once into nothing.
    pub fn new(node: NodeFacts, plans: &[ServicePlan]) -> Self {
        let mut dispatch = Dispatch::new(node);
        for plan in plans {
            dispatch.change(&plan.key, Some(plan));
        }
        let families = [IpFamily::IPv4, IpFamily::IPv6].map(|family| {
            let (image, batch) = Image::adopt(&dispatch, family, None);
            let mut table = Table::new(family);
            commit(&mut table, &batch.chains);
            commit(&mut table, &batch.change);
            (image, table)
        });
        Self { dispatch, families: families.into() }
    }

    /// An image is what the kernel holds once its batches are committed, to the byte.
    fn assert_images_are_true(&self) {
        for (image, table) in &self.families {
            assert_eq!(
                &image.table(self.dispatch.node()),
                table,
                "the image (left) and what the commits made (right)"
            );
        }
    }

    /// The same from descriptions.
    pub fn of(node: NodeBuilder, services: &[ServiceBuilder]) -> Self {
        let plans: Vec<_> = services.iter().map(|service| service.clone().plan()).collect();
        Self::new(node.facts(), &plans)
    }

    /// Changes one Service; gives the tables as packets met them after each commit.
    pub fn change(&mut self, key: &ServiceKey, plan: Option<&ServicePlan>) -> Vec<Table> {
        self.change_all(&BTreeMap::from([(key.clone(), plan.cloned())]))
    }

    /// Changes several Services in one batch; gives the tables as packets met them after each commit.
    pub fn change_all(&mut self, plans: &BTreeMap<ServiceKey, Option<ServicePlan>>) -> Vec<Table> {
        let mut changes = Vec::new();
        for (key, plan) in plans {
            changes.extend(self.dispatch.change(key, plan.as_ref()));
        }
        let mut met = Vec::new();
        for (image, table) in &mut self.families {
            let batch = image.apply(&changes);
            for transaction in [&batch.chains, &batch.change] {
                met.extend(commit(table, transaction));
            }
        }
        self.assert_images_are_true();
        met
    }

    /// Deletes what is stale; gives the tables as packets met them after each commit.
    pub fn settle(&mut self) -> Vec<Table> {
        let mut met = Vec::new();
        for (image, table) in &mut self.families {
            for _ in 0..3 {
                met.extend(commit(table, &image.sweep()));
            }
            assert!(!image.has_stale(), "three sweeps leave nothing stale");
        }
        self.assert_images_are_true();
        met
    }

    /// A start of the agent over the tables as they are; gives how many elements, rules and chains it wrote.
    pub fn restart(&mut self) -> usize {
        let mut written = 0;
        for (image, table) in &mut self.families {
            let observed = Observed { table: table.clone(), foreign: Vec::new() };
            let (adopted, batch) = Image::adopt(&self.dispatch, table.family, Some(&observed));
            for transaction in [&batch.chains, &batch.change] {
                written += transaction.elements() + transaction.rules.len() + transaction.new_chains.len();
                commit(table, transaction);
            }
            *image = adopted;
        }
        self.assert_images_are_true();
        written
    }

    /// What the table of the packet's family makes of it, in a line. No bit of its mark but ours may change, and ours is clear when it leaves.
    pub fn interpret(&self, packet: &Packet) -> Result<String, String> {
        let family = family_of(packet.destination);
        let (_, table) =
            self.families.iter().find(|(_, table)| table.family == family).expect("both families");
        let others = !self.dispatch.node().masquerade_mark;
        let ways = interpret::walk(table, packet, others, &is_local).map_err(|trap| trap.to_string())?;
        for (fate, flight) in ways {
            let leaves = fate == Fate::Passed && !flight.packet.to_local_address;
            if flight.mark & others != others || leaves && flight.mark != others {
                return Err(format!("{fate:?} with mark {:#x}, came with {others:#x}", flight.mark));
            }
        }
        interpret::run(table, packet, &is_local)
            .map(|outcome| text(&outcome))
            .map_err(|trap| trap.to_string())
    }

    /// What the dispatch says becomes of it, in a line. An endpoint on the node's own address keeps the source of what came in: the input hook
    /// replaces none.
    pub fn decide(&self, packet: &Packet) -> String {
        let stays = |ip| packet.origin != Origin::Host && is_local(ip);
        text(&match self.dispatch.decide(packet) {
            Outcome::Forward { endpoints } => Outcome::Forward {
                endpoints: endpoints
                    .into_iter()
                    .map(|(to, replaced)| (to, replaced && !stays(to.ip)))
                    .collect(),
            },
            other => other,
        })
    }

    /// What becomes of a packet, in a line, on which oracle and table must agree.
    pub fn outcome(&self, packet: &Packet) -> String {
        let decided = self.decide(packet);
        let interpreted = self.interpret(packet);
        assert_eq!(
            Ok(&decided),
            interpreted.as_ref(),
            "the oracle (left) and the table (right) differ about {packet:?}"
        );
        decided
    }

    /// Asserts the outcome of each packet: source, destination, expected.
    #[track_caller]
    pub fn check(&self, cases: &[(&str, &str, &str)]) {
        for (source, destination, expected) in cases {
            assert_eq!(
                self.outcome(&from(source).to(destination)),
                *expected,
                "from {source} to {destination}"
            );
        }
    }

    /// Both tables' canonical forms.
    pub fn canonical(&self) -> Vec<Canonical> {
        let form = |(_, table): &(Image, Table)| canonical(table).unwrap_or_else(|error| panic!("{error}"));
        self.families.iter().map(form).collect()
    }

    /// Both images' digests.
    pub fn digests(&self) -> Vec<u64> {
        self.families.iter().map(|(image, _)| image.digest()).collect()
    }
}

/// The table after the commit; nothing is committed, and seen by packets, if there is nothing to write.
fn commit(table: &mut Table, transaction: &Transaction) -> Option<Table> {
    if transaction.is_empty() {
        return None;
    }
    apply(table, transaction).unwrap_or_else(|error| panic!("the kernel refuses: {error}"));
    Some(table.clone())
}
