//! Looks at nf_tables in a namespace from outside of any agent: what the tables hold, how often anybody wrote, what `nft` prints. It
//! writes nothing.

use anyhow::{Context, Result};
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::TABLE;
use pointsman_dataplane::nftables::statement::family_name;
use pointsman_dataplane::nftables::table::Table;
use pointsman_dataplane::testing::{Canonical, canonical};
use pointsman_node_agent::nftables::{Kernel, Nftables};
use pointsman_tests::netns::Netns;

use crate::plan::FAMILIES;

/// A look into a namespace.
#[derive(Debug)]
pub struct Eye {
    kernel: Kernel,
}

impl Eye {
    /// Opens it.
    pub fn open(netns: &Netns) -> Result<Self> {
        let kernel = netns.enter(|| Kernel::open(false))?;
        Ok(Self { kernel: kernel.with_context(|| format!("open nf_tables in {}", netns.name()))? })
    }

    /// How many transactions were committed in the namespace, by whomever, since it was made.
    pub fn generation(&mut self) -> Result<u32> {
        self.kernel.generation().context("the ruleset's generation")
    }

    /// Our table of a family; `None` if there is none, or one with something in it that is none of ours.
    pub fn table(&mut self, family: IpFamily) -> Result<Option<Table>> {
        let observed = self.kernel.observe(family).with_context(|| format!("read the {family:?} table"))?;
        Ok(observed.filter(|observed| observed.foreign.is_empty()).map(|observed| observed.table))
    }

    /// Whether both tables are there, mean this, and have nothing else in them.
    pub fn holds(&mut self, expected: &[Canonical; 2]) -> Result<bool> {
        for (family, expected) in FAMILIES.into_iter().zip(expected) {
            let Some(table) = self.table(family)? else { return Ok(false) };
            if canonical(&table).as_ref() != Ok(expected) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether there is a table of our name.
    pub fn has_table(&mut self) -> Result<bool> {
        Ok(self.kernel.tables()?.iter().any(|table| table.name == TABLE))
    }
}

/// `nft list table` of our table; an error if there is none.
pub fn list(netns: &Netns, family: IpFamily) -> Result<String> {
    netns.run(&["nft", "list", "table", family_name(family), TABLE])
}

/// The packet counts of a table's counters, in the order in which they are listed.
pub fn counters(netns: &Netns, table: &[&str]) -> Result<Vec<u64>> {
    let listing = netns.run(&[&["nft", "list", "table"], table].concat())?;
    let counts = listing.split("counter packets ").skip(1);
    counts.map(|rest| Ok(rest.split(' ').next().unwrap_or_default().parse::<u64>()?)).collect()
}
