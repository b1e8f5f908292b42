//! The node's state as the fold over its Services, and who owns a frontend that several of them claim. A change costs
//! O(that Service's frontends).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pointsman_crds::conditions::RefusalReason;
use smallvec::SmallVec;

use super::{Frontend, FrontendDispatch, Refusal, ServiceDispatch, dispatch};
use crate::{NodeFacts, ServiceKey, ServicePlan};

/// All Services of a node, dispatched.
#[derive(Clone, Debug)]
pub struct Dispatch {
    node: NodeFacts,
    services: BTreeMap<ServiceKey, Entry>,
    /// Who claims a frontend, in order; the first owns it. Almost always one.
    claims: BTreeMap<Frontend, SmallVec<[ServiceKey; 1]>>,
    counts: Counts,
}

/// A Service: what it asks for, and what it gets.
#[derive(Clone, Debug)]
struct Entry {
    claimed: Arc<ServiceDispatch>,
    granted: Arc<ServiceDispatch>,
}

/// What a change of the plan changed for one Service.
#[derive(Clone, Debug)]
pub struct Change {
    /// The Service.
    pub service: ServiceKey,
    /// What it had.
    pub before: Option<Arc<ServiceDispatch>>,
    /// What it has now.
    pub after: Option<Arc<ServiceDispatch>>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Services with at least one frontend.
    pub services: u32,
    /// Frontends.
    pub frontends: u32,
    /// Distinct endpoints, summed over Services.
    pub endpoints: u32,
    /// Entries that were refused.
    pub refused: u32,
}

impl Dispatch {
    /// A node without Services.
    pub fn new(node: NodeFacts) -> Self {
        Self { node, services: BTreeMap::new(), claims: BTreeMap::new(), counts: Counts::default() }
    }

    /// The node's facts.
    pub fn node(&self) -> &NodeFacts {
        &self.node
    }

    /// Takes a Service's new plan, or its deletion, and tells what changed: for it, and for others with whom it shares a claim.
    pub fn change(&mut self, key: &ServiceKey, plan: Option<&ServicePlan>) -> Vec<Change> {
        let claimed = plan.map(|plan| Arc::new(dispatch(plan, &self.node)));
        let old = self.services.get(key).map(|entry| entry.claimed.clone());
        let mut affected = BTreeSet::from([key.clone()]);
        for frontend in old.iter().flat_map(|old| old.frontends.keys()) {
            if !claimed.as_ref().is_some_and(|new| new.frontends.contains_key(frontend)) {
                self.withdraw(key, frontend, &mut affected);
            }
        }
        for frontend in claimed.iter().flat_map(|new| new.frontends.keys()) {
            self.claim(key, *frontend, &mut affected);
        }
        affected
            .into_iter()
            .filter_map(|service| {
                let claimed = if service == *key {
                    claimed.clone()
                } else {
                    self.services.get(&service).map(|e| e.claimed.clone())
                };
                self.grant(service, claimed)
            })
            .collect()
    }

    fn withdraw(&mut self, key: &ServiceKey, frontend: &Frontend, affected: &mut BTreeSet<ServiceKey>) {
        let Some(claimants) = self.claims.get_mut(frontend) else { return };
        claimants.retain(|claimant| claimant != key);
        if claimants.is_empty() {
            self.claims.remove(frontend);
        } else {
            affected.extend(claimants.iter().cloned());
        }
    }

    fn claim(&mut self, key: &ServiceKey, frontend: Frontend, affected: &mut BTreeSet<ServiceKey>) {
        let claimants = self.claims.entry(frontend).or_default();
        if let Err(place) = claimants.binary_search(key) {
            claimants.insert(place, key.clone());
            if claimants.len() > 1 {
                affected.extend(claimants.iter().cloned());
            }
        }
    }

    /// Gives a Service those of its frontends that it owns.
    fn grant(&mut self, service: ServiceKey, claimed: Option<Arc<ServiceDispatch>>) -> Option<Change> {
        let before = self.services.get(&service).map(|entry| entry.granted.clone());
        let after = claimed.as_ref().map(|claimed| self.granted(&service, claimed));
        match (&after, claimed) {
            (Some(granted), Some(claimed)) => {
                self.services.insert(service.clone(), Entry { claimed, granted: granted.clone() });
            }
            _ => {
                self.services.remove(&service);
            }
        }
        self.counts = self.counts.moved(before.as_deref(), after.as_deref());
        (before != after).then_some(Change { service, before, after })
    }

    fn granted(&self, service: &ServiceKey, claimed: &Arc<ServiceDispatch>) -> Arc<ServiceDispatch> {
        let owner = |frontend: &Frontend| self.claims.get(frontend).and_then(|claimants| claimants.first());
        let lost: Vec<(Frontend, &ServiceKey)> = claimed
            .frontends
            .keys()
            .filter_map(|frontend| {
                owner(frontend).filter(|owner| *owner != service).map(|owner| (*frontend, owner))
            })
            .collect();
        if lost.is_empty() {
            return claimed.clone();
        }
        let mut granted = ServiceDispatch::clone(claimed);
        for (frontend, owner) in lost {
            granted.frontends.remove(&frontend);
            let message = format!("{frontend} is not programmed: it belongs to {owner}");
            granted.refused.push(Refusal::new(RefusalReason::FrontendConflict, message));
        }
        Arc::new(granted)
    }

    /// What the Services have, in order of their names.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceKey, &Arc<ServiceDispatch>)> {
        self.services.iter().map(|(key, entry)| (key, &entry.granted))
    }

    /// Every Service as a change from nothing.
    pub fn all(&self) -> Vec<Change> {
        self.services()
            .map(|(key, granted)| Change { service: key.clone(), before: None, after: Some(granted.clone()) })
            .collect()
    }

    /// Who owns a frontend, and what becomes of its packets.
    pub fn frontend(&self, frontend: &Frontend) -> Option<(&ServiceKey, &FrontendDispatch)> {
        let owner = self.claims.get(frontend)?.first()?;
        let dispatched = self.services.get(owner)?.granted.frontends.get(frontend)?;
        Some((owner, dispatched))
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

impl Counts {
    fn moved(self, before: Option<&ServiceDispatch>, after: Option<&ServiceDispatch>) -> Self {
        let of = |dispatch: Option<&ServiceDispatch>| {
            let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
            dispatch.map_or(Self::default(), |dispatch| Self {
                services: u32::from(!dispatch.frontends.is_empty()),
                frontends: count(dispatch.frontends.len()),
                endpoints: dispatch.endpoints,
                refused: count(dispatch.refused.len()),
            })
        };
        let (old, new) = (of(before), of(after));
        let moved = |now: u32, old: u32, new: u32| now.saturating_sub(old).saturating_add(new);
        Self {
            services: moved(self.services, old.services, new.services),
            frontends: moved(self.frontends, old.frontends, new.frontends),
            endpoints: moved(self.endpoints, old.endpoints, new.endpoints),
            refused: moved(self.refused, old.refused, new.refused),
        }
    }
}
