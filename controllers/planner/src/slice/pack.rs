//! Packing: which endpoint stands in which slice, with few writes rather than few slices. Knows nothing of Pods or names.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Slice, SliceEndpoint};

/// What makes two endpoints the same one: everything else may change while it stays in its slice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointKey {
    address: IpAddr,
    hostname: Option<String>,
    target: Option<(String, String)>,
}

impl From<&SliceEndpoint> for EndpointKey {
    fn from(endpoint: &SliceEndpoint) -> Self {
        Self {
            address: endpoint.address,
            hostname: endpoint.hostname.clone(),
            target: endpoint.target.as_ref().map(|target| (target.namespace.clone(), target.name.clone())),
        }
    }
}

/// Endpoints in their order inside a slice.
pub type Endpoints = BTreeMap<EndpointKey, SliceEndpoint>;

/// What becomes of the slices of one set of ports.
#[derive(Debug, Default)]
pub struct Packed {
    /// How many stay as they are.
    pub unchanged: usize,
    /// What those say from now on that change.
    pub updates: Vec<(Arc<Slice>, Vec<SliceEndpoint>)>,
    /// What new ones say.
    pub creates: Vec<Vec<SliceEndpoint>>,
    /// Those that have nothing left to say.
    pub deletes: Vec<Arc<Slice>>,
}

/// A slice on its way.
struct Slot {
    slice: Arc<Slice>,
    endpoints: Endpoints,
}

/// Distributes `desired` over `existing` slices (in order of name) and new ones, at most `max` in each. Endpoints stay where
/// they are; new ones fill slices that change anyway, the fullest first, then the unchanged slice that comes closest to full,
/// then new slices. Unchanged slices are never rebalanced: a write costs more than a slice that is not full.
pub fn pack(
    existing: &[&Arc<Slice>],
    mut desired: Endpoints,
    max: usize,
    stale: impl Fn(&Slice) -> bool,
) -> Packed {
    let max = max.max(1);
    let mut packed = Packed::default();
    let mut changed: Vec<Slot> = Vec::new();
    let mut unchanged: Vec<Slot> = Vec::new();
    for &slice in existing {
        let endpoints = keep(slice, &mut desired, max);
        let wanted = |stored: &SliceEndpoint| endpoints.get(&EndpointKey::from(stored)) == Some(stored);
        // Their order is not worth a write: kube-controller-manager's slices, in none, are taken over as they are.
        let as_stored =
            endpoints.len() == slice.content.endpoints.len() && slice.content.endpoints.iter().all(wanted);
        let slot = Slot { slice: Arc::clone(slice), endpoints };
        match (as_stored, slot.endpoints.is_empty()) {
            (true, _) if !stale(slice) => unchanged.push(slot),
            (false, true) => packed.deletes.push(slot.slice),
            (true | false, _) => changed.push(slot),
        }
    }
    changed.sort_by_key(|slot| Reverse(slot.endpoints.len()));
    for slot in &mut changed {
        fill(&mut slot.endpoints, &mut desired, max);
    }
    while !desired.is_empty() {
        if let Some(at) = closest_to_full(&unchanged, desired.len(), max) {
            let mut slot = unchanged.remove(at);
            fill(&mut slot.endpoints, &mut desired, max);
            changed.push(slot);
        } else {
            let mut endpoints = Endpoints::new();
            fill(&mut endpoints, &mut desired, max);
            packed.creates.push(endpoints.into_values().collect());
        }
    }
    packed.unchanged = unchanged.len();
    changed.sort_by(|a, b| a.slice.name.cmp(&b.slice.name));
    packed.updates =
        changed.into_iter().map(|slot| (slot.slice, slot.endpoints.into_values().collect())).collect();
    packed
}

/// The endpoints of `slice` that are still desired, as they are desired; they are taken out of `desired`.
fn keep(slice: &Slice, desired: &mut Endpoints, max: usize) -> Endpoints {
    let mut kept = Endpoints::new();
    for endpoint in &slice.content.endpoints {
        if kept.len() < max
            && let Some((key, wanted)) = desired.remove_entry(&EndpointKey::from(endpoint))
        {
            kept.insert(key, wanted);
        }
    }
    kept
}

fn fill(endpoints: &mut Endpoints, desired: &mut Endpoints, max: usize) {
    while endpoints.len() < max
        && let Some((key, endpoint)) = desired.pop_first()
    {
        endpoints.insert(key, endpoint);
    }
}

/// The slice that `remaining` endpoints, all of them, would bring closest to `max`; none if they fit nowhere.
fn closest_to_full(slots: &[Slot], remaining: usize, max: usize) -> Option<usize> {
    if remaining >= max {
        return None;
    }
    slots
        .iter()
        .enumerate()
        .filter(|(_, slot)| slot.endpoints.len() + remaining <= max)
        .min_by_key(|(at, slot)| (max - slot.endpoints.len() - remaining, *at))
        .map(|(at, _)| at)
}
