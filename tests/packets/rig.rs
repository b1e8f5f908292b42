//! A node's proxy without an agent: the dataplane's values committed to a real kernel, step by step, in the agent's order. For trials that
//! make hundreds of changes or must see every step.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use pointsman_dataplane::dispatch::{Change, Dispatch};
use pointsman_dataplane::nftables::image::Image;
use pointsman_dataplane::nftables::table::{Observed, Table};
use pointsman_dataplane::nftables::text::render;
use pointsman_dataplane::nftables::transaction::Batch;
use pointsman_dataplane::testing::Bed;
use pointsman_dataplane::{NodeFacts, ServiceKey, ServicePlan};
use pointsman_node_agent::nftables::{Kernel, Nftables};
use pointsman_node_agent::tables::squash;
use pointsman_tests::netns::Netns;

use crate::listing::difference;
use crate::plan::{FAMILIES, dispatch};

/// Services by name; `None` stands for one that goes.
pub type Changes = BTreeMap<ServiceKey, Option<ServicePlan>>;

/// A kernel's tables, and what they are thought to hold.
pub struct Rig {
    kernel: Kernel,
    /// What the plan means.
    pub dispatch: Dispatch,
    images: Vec<Image>,
}

impl Rig {
    /// Owns the tables of a namespace that hold nothing yet.
    pub fn new(netns: &Netns, node: &NodeFacts) -> Result<Self> {
        let kernel = netns.enter(|| Kernel::open(true))?.context("open nf_tables")?;
        let mut rig = Self { kernel, dispatch: Dispatch::new(node.clone()), images: vec![] };
        rig.make_anew(node, &[])?;
        Ok(rig)
    }

    /// Makes both tables anew, for these Services.
    pub fn make_anew(&mut self, node: &NodeFacts, services: &[ServicePlan]) -> Result<()> {
        self.dispatch = dispatch(node, services);
        self.images.clear();
        for family in FAMILIES {
            let (image, batch) = Image::adopt(&self.dispatch, family, None);
            self.images.push(image);
            self.commit(self.images.len() - 1, &batch)?;
        }
        Ok(())
    }

    /// Changes Services in one batch, as the agent does for what came while it was busy.
    pub fn change(&mut self, services: &Changes) -> Result<()> {
        let mut changes: Vec<Change> = Vec::new();
        for (key, plan) in services {
            changes.extend(self.dispatch.change(key, plan.as_ref()));
        }
        let changes = squash(changes);
        for index in 0..self.images.len() {
            let batch = self.images[index].apply(&changes);
            self.commit(index, &batch)?;
        }
        Ok(())
    }

    /// What an agent that starts with these Services does to the tables as they are. Gives the number of transactions.
    pub fn restart(&mut self, services: &[ServicePlan]) -> Result<usize> {
        let node = self.dispatch.node().clone();
        self.dispatch = dispatch(&node, services);
        let mut transactions = 0;
        for (index, table) in self.tables()?.into_iter().enumerate() {
            let observed = Observed { table, foreign: vec![] };
            let (image, batch) = Image::adopt(&self.dispatch, FAMILIES[index], Some(&observed));
            self.images[index] = image;
            transactions += self.commit(index, &batch)?;
        }
        Ok(transactions)
    }

    /// Deletes what waits for its deletion since the last call. No more often than once a second while there is traffic.
    pub fn sweep(&mut self) -> Result<()> {
        for index in 0..self.images.len() {
            let change = self.images[index].sweep();
            self.commit(index, &Batch { change, ..Batch::default() })?;
        }
        Ok(())
    }

    /// Deletes all that waits, where there is no traffic.
    pub fn settle(&mut self) -> Result<()> {
        while self.images.iter().any(Image::has_stale) {
            self.sweep()?;
        }
        Ok(())
    }

    /// What the kernel holds, IPv4 first; an error if it is not exactly what the images say it holds.
    pub fn tables(&mut self) -> Result<Vec<Table>> {
        let mut tables = Vec::new();
        for (family, image) in FAMILIES.into_iter().zip(&self.images) {
            let observed = self.kernel.observe(family)?.with_context(|| format!("no {family:?} table"))?;
            ensure!(observed.foreign.is_empty(), "foreign in the table: {:?}", observed.foreign);
            let node = self.dispatch.node();
            let (seen, expected) = (&observed.table, image.table(node));
            let differ = || difference(&render(node, &expected), &render(node, seen));
            ensure!(*seen == expected, "the {family:?} table is not as written:\n{}", differ());
            tables.push(observed.table);
        }
        Ok(tables)
    }

    /// The dispatch beside the tables as the kernel holds them, to follow packets through them.
    pub fn bed(&mut self) -> Result<Bed> {
        let tables = self.tables()?;
        Ok(Bed {
            dispatch: self.dispatch.clone(),
            families: self.images.iter().cloned().zip(tables).collect(),
        })
    }

    /// Chains in a transaction of their own, then the change. Gives the number of transactions.
    fn commit(&mut self, index: usize, batch: &Batch) -> Result<usize> {
        let mut transactions = 0;
        for transaction in [&batch.chains, &batch.change].into_iter().filter(|part| !part.is_empty()) {
            self.kernel.commit(FAMILIES[index], transaction)?;
            transactions += 1;
        }
        Ok(transactions)
    }
}
