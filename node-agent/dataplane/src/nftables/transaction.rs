//! What is written to the kernel at once, and in which order. Values only; the agent encodes and sends them.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::{ChainId, SetId};
use super::table::{Key, Rule, Value};

/// One netlink transaction: all of it becomes visible to packets at once, or none. Encoded in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Delete the table first, and make it anew with all constant sets and chains.
    pub recreate: bool,
    /// Chains to make, if they are not there.
    pub new_chains: BTreeSet<ChainId>,
    /// Chains whose rules are all replaced by these (chains in `new_chains` included).
    pub rules: BTreeMap<ChainId, Vec<Rule>>,
    /// Elements to delete, before any is added: an element in both is replaced.
    pub delete: BTreeMap<SetId, BTreeSet<Key>>,
    /// Elements to add.
    pub add: BTreeMap<SetId, BTreeMap<Key, Value>>,
    /// Chains to delete that nothing names any more.
    pub old_chains: BTreeSet<ChainId>,
}

impl Transaction {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        let Self { recreate, new_chains, rules, delete, add, old_chains } = self;
        !recreate
            && new_chains.is_empty()
            && rules.is_empty()
            && delete.values().all(BTreeSet::is_empty)
            && add.values().all(BTreeMap::is_empty)
            && old_chains.is_empty()
    }

    /// Number of elements written or deleted.
    pub fn elements(&self) -> usize {
        let deleted: usize = self.delete.values().map(BTreeSet::len).sum();
        deleted + self.add.values().map(BTreeMap::len).sum::<usize>()
    }

    /// Writes an element; `replaces` if the kernel holds its key already.
    pub fn set(&mut self, set: SetId, key: Key, value: Value, replaces: bool) {
        if replaces {
            self.delete.entry(set).or_default().insert(key.clone());
        }
        self.add.entry(set).or_default().insert(key, value);
    }

    /// Deletes an element that the kernel holds, or would hold after what was said before.
    pub fn unset(&mut self, set: SetId, key: Key) {
        let was_to_come = self.add.get_mut(&set).is_some_and(|added| added.remove(&key).is_some());
        if !was_to_come {
            self.delete.entry(set).or_default().insert(key);
        }
    }
}

/// What a change needs, in order. Between the parts packets see whole states only.
///
/// A third part follows at least a second later: [`Image::sweep`](super::image::Image::sweep).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// First, in a transaction of its own: chains that verdicts will name. (In one transaction with the verdict, some packets
    /// meet the verdict before the chain's rule: 2,254 of 3.7 million were not translated, kernel 6.18.)
    pub chains: Transaction,
    /// Then the change itself.
    pub change: Transaction,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.change.is_empty()
    }

    /// A table that is made anew takes its chains along: there is none to put them into before.
    pub(super) fn with_chains_in_place(mut self) -> Self {
        if self.change.recreate {
            self.change.new_chains.append(&mut self.chains.new_chains);
            self.change.rules.append(&mut self.chains.rules);
        }
        self
    }
}
