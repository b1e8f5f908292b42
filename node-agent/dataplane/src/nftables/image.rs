//! The image of one family's table: what the kernel holds once the batches made here are committed, in that order. A change of
//! a Service costs O(its frontends and changed endpoints).
//!
//! If a commit fails the image is wrong: it is thrown away and made anew from what the kernel is read to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pointsman_crds::IpFamily;

use super::compile::{Balanced, FrontendKey, ServiceElements, compile, slot_key};
use super::digest;
use super::schema::{ChainId, SetId, revision_key};
use super::slots::Slots;
use super::stamp::Stamp;
use super::statement::{chooser, rule};
use super::table::{Data, Key, Rule, Value};
use super::transaction::{Batch, Transaction};
use crate::ServiceKey;
use crate::dispatch::{Change, ServiceDispatch};
use crate::node::NodeFacts;

/// Chains for so few endpoints exist from the start and stay: most Services need no chain of their own making.
pub(super) const SPARE: u16 = 4;

/// A frontend that balances.
#[derive(Clone, Debug, Default)]
pub(super) struct FrontendImage {
    /// The verdict that the kernel holds: its chain and comment. `None`: no verdict, and what slots there are, are stale.
    pub(super) verdict: Option<(ChainId, Option<Arc<str>>)>,
    pub(super) slots: Slots,
}

/// A member of a plain set.
#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    pub(super) wanted: u32,
    pub(super) comment: Option<Arc<str>>,
}

/// What the kernel holds of one family's table.
#[derive(Clone, Debug)]
pub struct Image {
    pub(super) family: IpFamily,
    pub(super) mark: u32,
    pub(super) frontends: BTreeMap<FrontendKey, FrontendImage>,
    pub(super) members: BTreeMap<(SetId, Key), Member>,
    /// Chains that choose, and how many frontends go to each.
    pub(super) choosers: BTreeMap<ChainId, u32>,
    /// What the table says about itself.
    pub(super) stamp: Option<Arc<str>>,
    pub(super) digest: u64,
    /// Frontends with stale slots: since the last sweep, and since before it.
    pub(super) stale: BTreeSet<FrontendKey>,
    ripe: BTreeSet<FrontendKey>,
    /// Hairpin members that nobody wants: since the last sweep, and since before it.
    pub(super) stale_hairpins: BTreeSet<Key>,
    ripe_hairpins: BTreeSet<Key>,
    /// Chains that nobody went to at the last sweep.
    idle: BTreeSet<ChainId>,
}

impl Image {
    pub(super) fn empty(node: &NodeFacts, family: IpFamily) -> Self {
        Self {
            family,
            mark: node.masquerade_mark,
            frontends: BTreeMap::new(),
            members: BTreeMap::new(),
            choosers: BTreeMap::new(),
            stamp: None,
            digest: digest::constants(node, family),
            stale: BTreeSet::new(),
            ripe: BTreeSet::new(),
            stale_hairpins: BTreeSet::new(),
            ripe_hairpins: BTreeSet::new(),
            idle: BTreeSet::new(),
        }
    }

    /// What must be written for these changes. Frontends go before others take their place, members come before they go: what
    /// moves from one Service to another is never away.
    pub fn apply(&mut self, changes: &[Change]) -> Batch {
        let mut batch = Batch::default();
        self.apply_into(changes, &mut batch);
        batch
    }

    pub(super) fn apply_into(&mut self, changes: &[Change], batch: &mut Batch) {
        // A Service may have changed more than once: from what it had first to what it has last.
        let mut merged: BTreeMap<&ServiceKey, (Option<&ServiceDispatch>, Option<&ServiceDispatch>)> =
            BTreeMap::new();
        for Change { service, before, after } in changes {
            merged.entry(service).or_insert((before.as_deref(), None)).1 = after.as_deref();
        }
        let compiled: Vec<(ServiceElements, ServiceElements)> = merged
            .into_values()
            .map(|(before, after)| (compile(before, self.family), compile(after, self.family)))
            .collect();
        for (before, after) in &compiled {
            for key in before.balanced.keys().filter(|key| !after.balanced.contains_key(key)) {
                self.withdraw(key, batch);
            }
        }
        for (before, after) in &compiled {
            for (key, balanced) in &after.balanced {
                if before.balanced.get(key) != Some(balanced) {
                    self.balance(key, balanced, batch);
                }
            }
        }
        for (before, after) in &compiled {
            for (member, comment) in &after.members {
                if before.members.get(member) != Some(comment) {
                    self.hold(member.clone(), comment.clone(), &mut batch.change);
                }
            }
        }
        for (before, after) in &compiled {
            for (member, comment) in &before.members {
                if after.members.get(member) != Some(comment) {
                    self.release(member, &mut batch.change);
                }
            }
        }
    }

    /// The frontend shall balance among exactly these endpoints.
    pub(super) fn balance(&mut self, key: &FrontendKey, balanced: &Balanced, batch: &mut Batch) {
        let count = u16::try_from(balanced.endpoints.len()).unwrap_or(u16::MAX);
        let chain = key.pair.chain(balanced.masquerade, count);
        self.need(chain, batch);
        let frontend = self.frontends.entry(key.clone()).or_default();
        // A verdict that was read from the kernel and never wanted has no live slots, and counts for nothing yet.
        let counted = frontend.slots.live().next().is_some();
        for endpoint in frontend.slots.live() {
            self.digest = self.digest.wrapping_sub(digest::endpoint(key, endpoint));
        }
        for write in frontend.slots.assign(&balanced.endpoints) {
            let value = Value { data: Some(Data::Endpoint(write.endpoint)), comment: None };
            batch.change.set(key.pair.endpoints(), slot_key(key, write.slot), value, write.replaces);
        }
        for endpoint in &balanced.endpoints {
            self.digest = self.digest.wrapping_add(digest::endpoint(key, endpoint));
        }
        if frontend.slots.has_stale() {
            self.stale.insert(key.clone());
        }
        let verdict = (chain, Some(balanced.comment.clone()));
        let before = frontend.verdict.replace(verdict.clone());
        self.digest = self.digest.wrapping_add(digest::verdict(key, chain));
        if before.as_ref() != Some(&verdict) {
            let value = Value { data: Some(Data::Goto(chain)), comment: verdict.1 };
            batch.change.set(key.pair.verdicts(), Key::point(&key.bytes), value, before.is_some());
        }
        if let Some((old, _)) = before.filter(|_| counted) {
            self.digest = self.digest.wrapping_sub(digest::verdict(key, old));
            self.leave(old);
        }
    }

    /// The frontend balances no more; its slots become stale.
    pub(super) fn withdraw(&mut self, key: &FrontendKey, batch: &mut Batch) {
        let Some(frontend) = self.frontends.get_mut(key) else { return };
        for endpoint in frontend.slots.live() {
            self.digest = self.digest.wrapping_sub(digest::endpoint(key, endpoint));
        }
        frontend.slots.assign(&[]);
        self.stale.insert(key.clone());
        if let Some((chain, _)) = frontend.verdict.take() {
            self.digest = self.digest.wrapping_sub(digest::verdict(key, chain));
            batch.change.unset(key.pair.verdicts(), Key::point(&key.bytes));
            self.leave(chain);
        }
    }

    /// One more frontend goes to this chain; it is made, and what it goes to, if it is not there.
    fn need(&mut self, chain: ChainId, batch: &mut Batch) {
        if !self.choosers.contains_key(&chain) {
            batch.chains.new_chains.insert(chain);
            batch.chains.rules.insert(chain, chooser_rules(chain, self.mark, self.family));
        }
        let count = self.choosers.entry(chain).or_insert(0);
        *count += 1;
        if let (ChainId::MasqLb(n), 1) = (chain, *count) {
            self.need(ChainId::Lb(n), batch);
        }
    }

    fn leave(&mut self, chain: ChainId) {
        let Some(count) = self.choosers.get_mut(&chain) else { return };
        *count = count.saturating_sub(1);
        if let (ChainId::MasqLb(n), 0) = (chain, *count) {
            self.leave(ChainId::Lb(n));
        }
    }

    /// One more wants this member.
    pub(super) fn hold(&mut self, member: (SetId, Key), comment: Option<Arc<str>>, change: &mut Transaction) {
        let (set, key) = member.clone();
        let held = self.members.contains_key(&member);
        let known = self.members.entry(member).or_default();
        known.wanted += 1;
        if known.wanted == 1 {
            self.digest = self.digest.wrapping_add(digest::member(set, &key));
        }
        if !held || known.comment != comment {
            known.comment.clone_from(&comment);
            change.set(set, key, Value { data: None, comment }, held);
        }
    }

    /// One less wants this member. A hairpin outlives the endpoint for a while: a packet that was sent to the endpoint before the change is
    /// looked up there after it, and unmasqueraded its answer would not come back through the node.
    pub(super) fn release(&mut self, member: &(SetId, Key), change: &mut Transaction) {
        let Some(known) = self.members.get_mut(member) else { return };
        known.wanted = known.wanted.saturating_sub(1);
        if known.wanted == 0 {
            self.digest = self.digest.wrapping_sub(digest::member(member.0, &member.1));
            self.drop_member(member.clone(), change);
        }
    }

    /// Deletes a member that nobody wants, or leaves it to [`Self::sweep`].
    pub(super) fn drop_member(&mut self, member: (SetId, Key), change: &mut Transaction) {
        if member.0 == SetId::Hairpin {
            self.stale_hairpins.insert(member.1);
        } else {
            self.members.remove(&member);
            change.unset(member.0, member.1);
        }
    }

    /// Writes the plan's revision along with a change. A batch that is empty stays empty.
    pub fn stamp(&mut self, revision: &str, batch: &mut Batch) {
        if !batch.change.is_empty() {
            self.restamp(revision, &mut batch.change);
        }
    }

    /// Writes the plan's revision by itself, for a plan that changed without changing anything here.
    pub fn restamp(&mut self, revision: &str, change: &mut Transaction) {
        let stamp: Arc<str> = self.stamp_of(revision).into();
        if self.stamp.as_ref() == Some(&stamp) {
            return;
        }
        let replaces = self.stamp.replace(stamp.clone()).is_some();
        let value = Value { data: None, comment: Some(stamp) };
        change.set(SetId::Revision, revision_key(), value, replaces);
    }

    /// Whether [`Self::sweep`] has something to delete, at the latest at its second call from now.
    pub fn has_stale(&self) -> bool {
        !self.stale.is_empty()
            || !self.ripe.is_empty()
            || !self.stale_hairpins.is_empty()
            || !self.ripe_hairpins.is_empty()
            || self.unused_choosers().next().is_some()
    }

    /// Deletes the slots and hairpins that were stale already at the call before this one, and chains that nobody went to since
    /// then. Call it no more often than once a second: a packet may have read a verdict before a change and look up its slot after it.
    pub fn sweep(&mut self) -> Transaction {
        let mut transaction = Transaction::default();
        let ripe = std::mem::replace(&mut self.ripe, std::mem::take(&mut self.stale));
        for key in ripe.into_iter().filter(|key| !self.ripe.contains(key)) {
            let Some(frontend) = self.frontends.get_mut(&key) else { continue };
            for slot in frontend.slots.sweep() {
                transaction.unset(key.pair.endpoints(), slot_key(&key, slot));
            }
            if frontend.verdict.is_none() {
                self.frontends.remove(&key);
            }
        }
        let ripe = std::mem::replace(&mut self.ripe_hairpins, std::mem::take(&mut self.stale_hairpins));
        for key in ripe.into_iter().filter(|key| !self.ripe_hairpins.contains(key)) {
            let member = (SetId::Hairpin, key);
            if self.members.get(&member).is_some_and(|known| known.wanted == 0) {
                self.members.remove(&member);
                transaction.unset(member.0, member.1);
            }
        }
        let unused: BTreeSet<ChainId> = self.unused_choosers().collect();
        transaction.old_chains = unused.intersection(&self.idle).copied().collect();
        self.choosers.retain(|chain, _| !transaction.old_chains.contains(chain));
        self.idle = unused.difference(&transaction.old_chains).copied().collect();
        transaction
    }

    fn unused_choosers(&self) -> impl Iterator<Item = ChainId> {
        let spare = |chain: ChainId| matches!(chain, ChainId::Lb(n) | ChainId::MasqLb(n) | ChainId::NodePortLb(n) if n <= SPARE);
        self.choosers
            .iter()
            .filter(move |(chain, count)| **count == 0 && !spare(**chain))
            .map(|(chain, _)| *chain)
    }

    /// Fingerprint of what packets meet.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether the table says that it carries the plan of this revision, with what it holds now.
    pub fn is_stamped(&self, revision: &str) -> bool {
        self.stamp.as_deref() == Some(self.stamp_of(revision).as_str())
    }

    fn stamp_of(&self, revision: &str) -> String {
        Stamp::new(revision, self.digest).to_string()
    }
}

/// The rules of a chain that chooses.
pub(super) fn chooser_rules(chain: ChainId, mark: u32, family: IpFamily) -> Vec<Rule> {
    chooser(chain, mark).iter().map(|statements| rule(statements, family)).collect()
}
