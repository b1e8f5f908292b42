//! Adoption: from what the kernel was read to hold to what the plan wants, and the difference. The same path serves the first
//! start, every restart, drift and a failed commit.

use std::collections::{BTreeMap, BTreeSet};

use pointsman_crds::IpFamily;

use super::base;
use super::compile::{Pair, slot_key, split_slot};
use super::image::{FrontendImage, Image, Member, SPARE, chooser_rules};
use super::schema::{ChainId, SetId, revision_key};
use super::statement::rule;
use super::table::{Data, Key, Observed, Rule, Table, Value};
use super::transaction::Batch;
use crate::dispatch::Dispatch;
use crate::node::NodeFacts;

/// How many Services are compiled at once.
const PART: usize = 256;

impl Image {
    /// The image of the table that carries `dispatch`, and what must be written to have it, given what is there. An empty batch
    /// means that the kernel holds the plan already. `observed` is `None` if there is no table.
    pub fn adopt(dispatch: &Dispatch, family: IpFamily, observed: Option<&Observed>) -> (Self, Batch) {
        let node = dispatch.node();
        let mut image = Self::empty(node, family);
        let mut batch = Batch::default();
        let usable =
            observed.filter(|observed| observed.foreign.is_empty() && has_every_set(&observed.table));
        match usable {
            Some(observed) => image.take_over(&observed.table, &mut batch),
            None => batch.change.recreate = true,
        }
        image.settle_rules(node, usable.map(|observed| &observed.table), &mut batch);
        for (set, keys) in base::ranges(node, family) {
            for key in keys {
                image.hold((set, key), None, &mut batch.change);
            }
        }
        // In parts: from nothing, no Service takes another's place, and what is compiled need not be held all at once.
        for part in dispatch.all().chunks(PART) {
            image.apply_into(part, &mut batch);
        }
        image.release_unwanted(&mut batch);
        image.rewrite_ranges(usable.map(|observed| &observed.table), &mut batch);
        (image, batch.with_chains_in_place())
    }

    /// Takes note of all that is there, wanted by nobody yet.
    fn take_over(&mut self, table: &Table, batch: &mut Batch) {
        for (set, elements) in &table.sets {
            let pair = Pair::ALL.into_iter().find(|pair| pair.verdicts() == *set || pair.endpoints() == *set);
            for (key, value) in elements {
                match pair {
                    Some(pair) if pair.verdicts() == *set => self.take_verdict(pair, key, value, batch),
                    Some(pair) => self.take_slot(pair, key, value, batch),
                    None if *set == SetId::Revision && *key == revision_key() => {
                        self.stamp.clone_from(&value.comment);
                    }
                    None => {
                        let member = Member { wanted: 0, comment: value.comment.clone() };
                        self.members.insert((*set, key.clone()), member);
                    }
                }
            }
        }
        let choosers = table.chains.keys().filter(|chain| !ChainId::CONSTANT.contains(chain));
        self.choosers.extend(choosers.map(|chain| (*chain, 0)));
    }

    fn take_verdict(&mut self, pair: Pair, key: &Key, value: &Value, batch: &mut Batch) {
        let Some(Data::Goto(chain)) = value.data else {
            batch.change.unset(pair.verdicts(), key.clone());
            return;
        };
        let frontend = super::compile::FrontendKey { pair, bytes: key.bytes.clone() };
        self.frontends.entry(frontend).or_default().verdict = Some((chain, value.comment.clone()));
    }

    fn take_slot(&mut self, pair: Pair, key: &Key, value: &Value, batch: &mut Batch) {
        match (split_slot(pair, key), &value.data) {
            (Some((frontend, slot)), Some(Data::Endpoint(endpoint))) if slot <= usize::from(u16::MAX) => {
                self.stale.insert(frontend.clone());
                self.frontends.entry(frontend).or_default().slots.observe(slot, endpoint.clone());
            }
            _ => batch.change.unset(pair.endpoints(), key.clone()),
        }
    }

    /// Rewrites the chains whose rules are not what they should be. Spare chains are made at once, with the table.
    fn settle_rules(&mut self, node: &NodeFacts, there: Option<&Table>, batch: &mut Batch) {
        let spare = (1..=SPARE).flat_map(|n| [ChainId::Lb(n), ChainId::MasqLb(n), ChainId::NodePortLb(n)]);
        let gone_to = self.choosers.keys().filter_map(|chain| match chain {
            ChainId::MasqLb(n) => Some(ChainId::Lb(*n)),
            _ => None,
        });
        for chain in gone_to.chain(spare).collect::<Vec<_>>() {
            self.choosers.entry(chain).or_insert(0);
        }
        let mark = self.mark;
        let choosers = self.choosers.keys().map(|chain| (*chain, chooser_rules(*chain, mark, self.family)));
        let rules: BTreeMap<ChainId, Vec<Rule>> = choosers.chain(constant_rules(node, self.family)).collect();
        for (chain, rules) in rules {
            match there.and_then(|table| table.chains.get(&chain)) {
                Some(known) if *known == rules => {}
                Some(_) => {
                    batch.change.rules.insert(chain, rules);
                }
                None => {
                    batch.chains.new_chains.insert(chain);
                    batch.chains.rules.insert(chain, rules);
                }
            }
        }
    }

    /// Removes what was there and nobody wants, and counts who goes where.
    fn release_unwanted(&mut self, batch: &mut Batch) {
        let unwanted: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| member.wanted == 0)
            .map(|(key, _)| key.clone())
            .collect();
        for member in unwanted {
            self.drop_member(member, &mut batch.change);
        }
        let unwanted: Vec<_> = self
            .frontends
            .iter()
            .filter(|(_, frontend)| frontend.verdict.is_some() && frontend.slots.live().next().is_none())
            .map(|(key, _)| key.clone())
            .collect();
        for key in unwanted {
            if let Some(frontend) = self.frontends.get_mut(&key) {
                frontend.verdict = None;
                batch.change.unset(key.pair.verdicts(), Key::point(&key.bytes));
            }
        }
        let Self { frontends, stale, .. } = self;
        stale.retain(|key| frontends.get(key).is_some_and(|frontend| frontend.slots.has_stale()));
    }

    /// A set of ranges that differs is written whole: the kernel judges every limit by its neighbours, and refuses some that are right only
    /// together with what stays (kernel 6.18: from 10.0.0.0/7 to 9.0.0.0/8 and 11.0.0.0/8 "File exists", for ever).
    fn rewrite_ranges(&self, there: Option<&Table>, batch: &mut Batch) {
        for set in SetId::ALL.into_iter().filter(|set| set.schema().interval) {
            let known = there.and_then(|table| table.sets.get(&set));
            let (add, delete) = (batch.change.add.get(&set), batch.change.delete.get(&set));
            if add.is_none_or(BTreeMap::is_empty) && delete.is_none_or(BTreeSet::is_empty) {
                continue;
            }
            let members = self.members.range((set, Key::first())..).take_while(|((of, _), _)| *of == set);
            let wanted = members.map(|((_, key), _)| (key.clone(), Value::default())).collect();
            batch.change.add.insert(set, wanted);
            batch
                .change
                .delete
                .insert(set, known.into_iter().flat_map(|known| known.keys().cloned()).collect());
        }
    }

    /// The table that the kernel holds once all batches are committed: stale slots and spare chains included.
    pub fn table(&self, node: &NodeFacts) -> Table {
        let mut table = Table::new(self.family);
        table.sets = SetId::ALL.into_iter().map(|set| (set, BTreeMap::new())).collect();
        let mut put =
            |set: SetId, key: Key, value: Value| table.sets.entry(set).or_default().insert(key, value);
        for (key, FrontendImage { verdict, slots }) in &self.frontends {
            for (slot, endpoint) in slots.held() {
                let value = Value { data: Some(Data::Endpoint(endpoint.clone())), comment: None };
                put(key.pair.endpoints(), slot_key(key, slot), value);
            }
            if let Some((chain, comment)) = verdict {
                let value = Value { data: Some(Data::Goto(*chain)), comment: comment.clone() };
                put(key.pair.verdicts(), Key::point(&key.bytes), value);
            }
        }
        for ((set, key), member) in &self.members {
            put(*set, key.clone(), Value { data: None, comment: member.comment.clone() });
        }
        if let Some(stamp) = &self.stamp {
            put(SetId::Revision, revision_key(), Value { data: None, comment: Some(stamp.clone()) });
        }
        let choosers =
            self.choosers.keys().map(|chain| (*chain, chooser_rules(*chain, self.mark, self.family)));
        table.chains = choosers.chain(constant_rules(node, self.family)).collect();
        table
    }
}

fn constant_rules(node: &NodeFacts, family: IpFamily) -> impl Iterator<Item = (ChainId, Vec<Rule>)> {
    ChainId::CONSTANT.into_iter().map(move |chain| {
        let rules =
            base::rules(node, chain, family).iter().map(|statements| rule(statements, family)).collect();
        (chain, rules)
    })
}

fn has_every_set(table: &Table) -> bool {
    SetId::ALL.iter().all(|set| table.sets.contains_key(set))
}
