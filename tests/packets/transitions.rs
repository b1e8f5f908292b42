//! From any state to any state, in the kernel: whatever stood there before, a plan ends in the tables that a fresh start makes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use pointsman_dataplane::ServicePlan;
use pointsman_dataplane::testing::{Canonical, canonical, node};
use pointsman_tests::netns::Netns;

use crate::listing;
use crate::named_plans::named_plans;
use crate::observe;
use crate::plan::FAMILIES;
use crate::rig::{Changes, Rig};

/// A plan, and what a fresh start makes of it.
struct Named {
    name: &'static str,
    services: Vec<ServicePlan>,
    fresh: State,
}

/// What is in the kernel, by our own reading and by nft's.
#[derive(Debug, PartialEq, Eq)]
struct State {
    tables: Vec<Canonical>,
    listings: Vec<String>,
}

/// One Service after the other changes, in one batch, in a running agent.
pub fn by_changes() -> Result<()> {
    every_pair("changes", true, |rig, old, new| rig.change(&changes(&old.services, &new.services)))
}

/// An agent starts over the tables of another plan.
pub fn by_restarts() -> Result<()> {
    every_pair("restarts", false, |rig, _, new| rig.restart(&new.services).map(drop))
}

/// `nft list` costs more than all the rest, so it is asked where `listed` says so.
fn every_pair(label: &str, listed: bool, go: impl Fn(&mut Rig, &Named, &Named) -> Result<()>) -> Result<()> {
    let netns = Netns::create(0, label)?;
    let facts = node("node-1").zone("zone-1").facts();
    let mut rig = Rig::new(&netns, &facts)?;
    let mut plans = Vec::new();
    for (name, services) in named_plans() {
        rig.make_anew(&facts, &services)?;
        plans.push(Named { name, services, fresh: State::read(&netns, &mut rig, true)? });
    }
    let all: BTreeSet<&[String]> = plans.iter().map(|plan| plan.fresh.listings.as_slice()).collect();
    ensure!(all.len() == plans.len(), "two plans make the same tables");
    let mut transitions = 0;
    for old in &plans {
        for new in plans.iter().filter(|new| new.name != old.name) {
            let way = format!("from \"{}\" to \"{}\"", old.name, new.name);
            rig.make_anew(&facts, &old.services)?;
            go(&mut rig, old, new).with_context(|| way.clone())?;
            rig.settle().with_context(|| way.clone())?;
            let state = State::read(&netns, &mut rig, listed).with_context(|| way.clone())?;
            for (seen, expected) in state.listings.iter().zip(&new.fresh.listings) {
                ensure!(seen == expected, "{way}:\n{}", listing::difference(expected, seen));
            }
            ensure!(state.tables == new.fresh.tables, "{way}: {:#?}", state.tables);
            transitions += 1;
        }
    }
    println!("{transitions} transitions between {} plans", plans.len());
    ensure!(transitions >= 132, "only {transitions} transitions");
    Ok(())
}

impl State {
    fn read(netns: &Netns, rig: &mut Rig, listed: bool) -> Result<Self> {
        let tables: Result<_> =
            rig.tables()?.iter().map(|table| canonical(table).map_err(anyhow::Error::msg)).collect();
        let listings = FAMILIES
            .into_iter()
            .filter(|_| listed)
            .map(|family| Ok(listing::canonical(&observe::list(netns, family)?)));
        Ok(Self { tables: tables?, listings: listings.collect::<Result<_>>()? })
    }
}

/// What must be said to come from one plan to another.
pub fn changes(old: &[ServicePlan], new: &[ServicePlan]) -> Changes {
    let by_key = |plans: &[ServicePlan]| -> BTreeMap<_, _> {
        plans.iter().map(|plan| (plan.key.clone(), plan.clone())).collect()
    };
    let (old, mut new) = (by_key(old), by_key(new));
    let mut changes: Changes =
        old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), None)).collect();
    new.retain(|key, plan| old.get(key) != Some(plan));
    changes.extend(new.into_iter().map(|(key, plan)| (key, Some(plan))));
    changes
}
