//! A kernel that is a value: transactions applied as strictly as nf_tables does, and tables compared by meaning.

use std::collections::{BTreeMap, BTreeSet};

use crate::nftables::expr::{Expr, Verdict};
use crate::nftables::schema::{ChainId, Maps, SetId};
use crate::nftables::table::{Bytes, Data, Key, Table, Value};
use crate::nftables::transaction::Transaction;

/// Applies a transaction whole, or says what the kernel would refuse and leaves the table as it was.
pub fn apply(table: &mut Table, transaction: &Transaction) -> Result<(), String> {
    let mut after = table.clone();
    let Transaction { recreate, new_chains, rules, delete, add, old_chains } = transaction;
    if *recreate {
        after.sets = SetId::ALL.into_iter().map(|set| (set, BTreeMap::new())).collect();
        after.chains = ChainId::CONSTANT.into_iter().map(|chain| (chain, Vec::new())).collect();
    }
    for chain in new_chains {
        after.chains.entry(*chain).or_default();
    }
    for (chain, rules) in rules {
        *after.chains.get_mut(chain).ok_or(format!("rules for {}, which is not there", chain.name()))? =
            rules.clone();
    }
    for (set, keys) in delete {
        let elements = after.sets.get_mut(set).ok_or(format!("no set {}", set.schema().name))?;
        for key in keys {
            elements
                .remove(key)
                .ok_or(format!("delete {key:?} of {}: it is not there", set.schema().name))?;
        }
    }
    for (set, added) in add {
        let elements = after.sets.get_mut(set).ok_or(format!("no set {}", set.schema().name))?;
        for (key, value) in added {
            if elements.insert(key.clone(), value.clone()).is_some() {
                return Err(format!("add {key:?} to {}: it is there", set.schema().name));
            }
        }
    }
    for chain in old_chains {
        after.chains.remove(chain).ok_or(format!("delete {}: it is not there", chain.name()))?;
    }
    check(&after)?;
    *table = after;
    Ok(())
}

/// Whether the kernel could hold this.
fn check(table: &Table) -> Result<(), String> {
    let there = |chain: &ChainId, by: &str| match table.chains.contains_key(chain) {
        true => Ok(()),
        false => Err(format!("{by} names {}, which is not there", chain.name())),
    };
    for (chain, rules) in &table.chains {
        for expr in rules.iter().flatten() {
            match expr {
                Expr::Verdict(Verdict::Jump(other) | Verdict::Goto(other)) => there(other, &chain.name())?,
                Expr::Member { set, .. } | Expr::VerdictMap { map: set, .. } | Expr::Map { map: set, .. }
                    if !table.sets.contains_key(set) =>
                {
                    return Err(format!("{} names {}, which is not there", chain.name(), set.schema().name));
                }
                _ => {}
            }
        }
    }
    for (set, elements) in &table.sets {
        let name = set.schema().name;
        for (key, value) in elements {
            if key.bytes.len() != set.key_length(table.family)
                || value.comment.as_ref().is_some_and(|c| c.len() > 127)
            {
                return Err(format!("{key:?} does not fit {name}"));
            }
            match (set.schema().maps, &value.data) {
                (Maps::Nothing, None) | (Maps::Endpoint, Some(Data::Endpoint(_))) => {}
                (Maps::Verdict, Some(Data::Goto(chain))) => there(chain, name)?,
                _ => return Err(format!("{value:?} does not fit {name}")),
            }
        }
        check_ranges(*set, elements)?;
    }
    Ok(())
}

fn check_ranges(set: SetId, elements: &BTreeMap<Key, Value>) -> Result<(), String> {
    let mut inside = false;
    for key in elements.keys() {
        if key.interval_end && !set.schema().interval || set.schema().interval && key.interval_end != inside {
            return Err(format!("{key:?} does not begin or end a range of {}", set.schema().name));
        }
        inside = set.schema().interval && !inside;
    }
    Ok(())
}

/// What a table means to packets: without what is allocation (slots, chains that nobody goes to) or history (the revision).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical {
    /// Every set but the maps of endpoints.
    pub sets: BTreeMap<SetId, BTreeMap<Key, Value>>,
    /// Map of verdicts, frontend → its endpoints.
    pub endpoints: BTreeMap<(SetId, Bytes), BTreeSet<Bytes>>,
    /// Constant chains, and choosers that a verdict leads to.
    pub chains: BTreeMap<ChainId, Vec<Vec<Expr>>>,
}

/// The table's canonical form; an error if a slot is empty that can be chosen, or is there and cannot.
pub fn canonical(table: &Table) -> Result<Canonical, String> {
    let mut endpoints = BTreeMap::new();
    let mut used: BTreeSet<ChainId> = ChainId::CONSTANT.into();
    let mut chosen = 0;
    for (verdicts, map) in [(SetId::Services, SetId::Endpoints), (SetId::NodePorts, SetId::NodePortEndpoints)]
    {
        for (key, value) in table.sets.get(&verdicts).into_iter().flatten() {
            let Some(Data::Goto(chain)) = value.data else { return Err(format!("{key:?} leads nowhere")) };
            let (ChainId::Lb(count) | ChainId::MasqLb(count) | ChainId::NodePortLb(count)) = chain else {
                return Err(format!("{key:?} leads to {}", chain.name()));
            };
            used.insert(chain);
            used.extend(matches!(chain, ChainId::MasqLb(_)).then_some(ChainId::Lb(count)));
            let slots: BTreeSet<Bytes> =
                (0..u32::from(count)).filter_map(|slot| slot_of(table, map, key, slot)).collect();
            if slots.len() != usize::from(count) {
                return Err(format!("{key:?} leads to {} and has {} endpoints", chain.name(), slots.len()));
            }
            chosen += slots.len();
            endpoints.insert((verdicts, key.bytes.clone()), slots);
        }
    }
    let held = |map| table.sets.get(&map).map_or(0, BTreeMap::len);
    let held = held(SetId::Endpoints) + held(SetId::NodePortEndpoints);
    if held != chosen {
        return Err(format!("{held} slots are held, {chosen} can be chosen"));
    }
    let apart = [SetId::Endpoints, SetId::NodePortEndpoints, SetId::Revision];
    let sets =
        table.sets.iter().filter(|(set, _)| !apart.contains(set)).map(|(set, all)| (*set, all.clone()));
    let chains = table.chains.iter().filter(|(chain, _)| used.contains(chain));
    Ok(Canonical {
        sets: sets.collect(),
        endpoints,
        chains: chains.map(|(c, rules)| (*c, rules.clone())).collect(),
    })
}

fn slot_of(table: &Table, map: SetId, frontend: &Key, slot: u32) -> Option<Bytes> {
    let mut bytes = frontend.bytes.clone();
    bytes.extend_from_slice(&slot.to_ne_bytes());
    match &table.sets.get(&map)?.get(&Key::point(&bytes))?.data {
        Some(Data::Endpoint(endpoint)) => Some(endpoint.clone()),
        _ => None,
    }
}
