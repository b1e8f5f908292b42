//! Tables in memory, with the kernel's semantics as far as a [`Transaction`] can tell: whole or not at all, no element
//! without its set, no verdict without its chain. For tests of what stands above; it says nothing about netlink.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::expr::{Expr, Verdict};
use pointsman_dataplane::nftables::schema::{ChainId, Maps, SetId, TABLE};
use pointsman_dataplane::nftables::table::{Data, Observed, Table};
use pointsman_dataplane::nftables::transaction::Transaction;
use rustix::io::Errno;

use super::{Committed, Error, Nftables, Ownership, TableHead, table_name};

/// A kernel without any table at first.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    tables: Vec<Table>,
    generation: u32,
    /// Whether tables are owned, as `Kernel::open` is told.
    pub owns: bool,
    /// Refuses every commit while it is set.
    pub broken: bool,
    /// Refuses every commit that does not make the table anew while it is set.
    pub stubborn: bool,
    /// Cannot be read whole while it is set.
    pub restless: bool,
    /// Another agent owns the tables while it is set.
    pub taken: bool,
}

impl Fake {
    /// The table, for a test that plays somebody else's hand.
    pub fn table_mut(&mut self, family: IpFamily) -> Option<&mut Table> {
        self.tables.iter_mut().find(|table| table.family == family)
    }

    fn table(&self, family: IpFamily) -> Option<&Table> {
        self.tables.iter().find(|table| table.family == family)
    }
}

impl Nftables for Fake {
    fn own(&mut self, family: IpFamily) -> Result<Ownership, Error> {
        if self.taken {
            return Err(Error::OwnedByAnother { table: table_name(family), port: Some(7) });
        }
        Ok(match self.table(family) {
            None => Ownership::Absent,
            Some(_) if self.owns => Ownership::Ours,
            Some(_) => Ownership::Shared,
        })
    }

    fn observe(&mut self, family: IpFamily) -> Result<Option<Observed>, Error> {
        if self.restless {
            return Err(Error::Restless { table: table_name(family), attempts: 1 });
        }
        Ok(self.table(family).map(|table| Observed { table: table.clone(), foreign: Vec::new() }))
    }

    fn commit(&mut self, family: IpFamily, transaction: &Transaction) -> Result<Committed, Error> {
        let nothing = Committed { duration: Duration::ZERO, bytes: 0 };
        if transaction.is_empty() {
            return Ok(nothing);
        }
        if self.broken || self.stubborn && !transaction.recreate {
            return Err(refused("commit a transaction", Errno::NOMEM));
        }
        let present = self.table(family).cloned();
        let table = applied(present, family, transaction)?;
        self.tables.retain(|table| table.family != family);
        self.tables.push(table);
        self.generation += 1;
        Ok(nothing)
    }

    fn delete(&mut self, family: IpFamily) -> Result<bool, Error> {
        let before = self.tables.len();
        self.tables.retain(|table| table.family != family);
        let deleted = self.tables.len() < before;
        self.generation += u32::from(deleted);
        Ok(deleted)
    }

    fn tables(&mut self) -> Result<Vec<TableHead>, Error> {
        let head = |table: &Table| TableHead {
            family: table.family,
            name: TABLE.to_owned(),
            flags: 0,
            objects: u32::try_from(table.sets.len() + table.chains.len()).unwrap_or(u32::MAX),
            owner: None,
        };
        Ok(self.tables.iter().map(head).collect())
    }

    fn generation(&mut self) -> Result<u32, Error> {
        Ok(self.generation)
    }
}

fn applied(present: Option<Table>, family: IpFamily, transaction: &Transaction) -> Result<Table, Error> {
    let Transaction { recreate, new_chains, rules, delete, add, old_chains } = transaction;
    let mut table = match present {
        _ if *recreate => Table {
            family,
            sets: SetId::ALL.into_iter().map(|set| (set, BTreeMap::new())).collect(),
            chains: ChainId::CONSTANT.into_iter().map(|chain| (chain, Vec::new())).collect(),
        },
        Some(table) => table,
        None => return Err(refused(&format!("find table {}", table_name(family)), Errno::NOENT)),
    };
    for chain in new_chains {
        table.chains.entry(*chain).or_default();
    }
    for (chain, rules) in rules {
        *table.chains.get_mut(chain).ok_or_else(|| absent(&chain.name()))? = rules.clone();
    }
    for (set, keys) in delete {
        let elements = table.sets.get_mut(set).ok_or_else(|| absent(set.schema().name))?;
        for key in keys {
            elements.remove(key).ok_or_else(|| absent(&format!("{key:?}")))?;
        }
    }
    for (set, added) in add {
        let elements = table.sets.get_mut(set).ok_or_else(|| absent(set.schema().name))?;
        for (key, value) in added {
            let wanted = set.schema().maps != Maps::Nothing;
            if matches!(value.data, Some(Data::Foreign)) || value.data.is_some() != wanted {
                return Err(refused(&format!("add {key:?} to {}", set.schema().name), Errno::INVAL));
            }
            match elements.get(key) {
                Some(there) if there.data != value.data => {
                    return Err(refused(&format!("add {key:?} to {}", set.schema().name), Errno::BUSY));
                }
                // As the kernel does: the element stays as it is, its old comment included.
                Some(_) => {}
                None => drop(elements.insert(key.clone(), value.clone())),
            }
        }
    }
    for chain in old_chains {
        table.chains.remove(chain).ok_or_else(|| absent(&chain.name()))?;
    }
    let lost = goals(&table).find(|chain| !table.chains.contains_key(chain));
    match lost {
        Some(chain) => Err(absent(&chain.name())),
        None => Ok(table),
    }
}

/// Every chain that a rule or an element names.
fn goals(table: &Table) -> impl Iterator<Item = ChainId> {
    let of_rules = table.chains.values().flatten().flatten().filter_map(|expression| match expression {
        Expr::Verdict(Verdict::Jump(chain) | Verdict::Goto(chain)) => Some(*chain),
        _ => None,
    });
    let of_elements = table.sets.values().flat_map(BTreeMap::values).filter_map(|value| match value.data {
        Some(Data::Goto(chain)) => Some(chain),
        _ => None,
    });
    of_rules.chain(of_elements)
}

fn absent(what: &str) -> Error {
    refused(&format!("find {what}"), Errno::NOENT)
}

fn refused(verb: &str, errno: Errno) -> Error {
    Error::Refused { verb: verb.to_owned(), detail: None, cause: io::Error::from(errno) }
}
