//! Pods → endpoints → packed slices of one Service. It decides which EndpointSlices are created, changed and deleted; it
//! touches only slices that name the cluster's EndpointSlice controller as their manager, whoever has written them.

mod endpoints;
mod labels;
mod naming;
mod pack;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use pointsman_crds::IpFamily;

use crate::model::{Labels, Node, Pod, Service, Slice, SliceContent, SliceEndpoint, SlicePort, Time};
pub use endpoints::selects;
pub(crate) use naming::short_hash;

/// How many endpoints a slice holds at most.
pub const ENDPOINTS_PER_SLICE: usize = 100;

/// What the slices of one Service are made from.
pub struct SliceInput<'a> {
    /// The Service.
    pub service: &'a Service,
    /// The Pods that its selector matches, in any order.
    pub pods: &'a [&'a Pod],
    /// The Nodes that those Pods run on, by name; a Pod on a Node that is not here waits for it.
    pub nodes: &'a BTreeMap<String, Node>,
    /// Every slice of the Service, ours and others', in any order.
    pub existing: &'a [Arc<Slice>],
    /// Names that are taken in the namespace by slices of other Services.
    pub taken: &'a BTreeSet<String>,
    /// The oldest change that this plan answers to.
    pub trigger: Option<Time>,
    /// How many endpoints a slice holds at most.
    pub max: usize,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SliceWrite {
    /// A new slice of this name.
    Create {
        /// Its name.
        name: String,
        /// What it says.
        content: SliceContent,
    },
    /// Another content for a slice that is there.
    Update {
        /// The slice as it was read.
        stored: Arc<Slice>,
        /// What it shall say.
        content: SliceContent,
    },
    /// A slice that is not needed.
    Delete {
        /// The slice as it was read.
        stored: Arc<Slice>,
    },
}

/// The writes that are missing, in the order in which they must be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlicePlan {
    /// Creations, then updates, then deletions: an endpoint that moves is never missing in between.
    pub writes: Vec<SliceWrite>,
    /// Nodes that Pods name and that do not exist (yet): their Pods are left out.
    pub missing_nodes: BTreeSet<String>,
}

/// Plans the slices of one Service. A Service without a selector, and an ExternalName, is left alone: its slices are others'.
pub fn plan(input: &SliceInput<'_>) -> SlicePlan {
    let mut plan = SlicePlan::default();
    if input.service.selector.is_none() || input.service.external_name {
        return plan;
    }
    let mut ours: Vec<&Arc<Slice>> =
        input.existing.iter().filter(|slice| slice.is_ours() && !slice.deleting).collect();
    ours.sort_by(|a, b| a.name.cmp(&b.name));
    // A slice of an earlier Service of the same name would be garbage-collected with it: it is replaced, never updated.
    let (owned, orphaned): (Vec<_>, Vec<_>) =
        ours.into_iter().partition(|slice| slice.owner.as_ref() == Some(&input.service.uid));
    let labels = labels::of_slices(input.service);
    let mut creates = Vec::new();
    let mut updates = Vec::new();
    let mut deletes: Vec<Arc<Slice>> = orphaned.into_iter().cloned().collect();
    for &family in &input.service.families {
        let existing: Vec<_> = owned.iter().copied().filter(|slice| slice.content.family == family).collect();
        let desired = endpoints::desired(input, family, &mut plan.missing_nodes);
        let mut changes = family_changes(input, family, &labels, &existing, desired);
        recycle(&mut changes);
        creates.append(&mut changes.creates);
        updates.append(&mut changes.updates);
        deletes.append(&mut changes.deletes);
    }
    deletes
        .extend(owned.into_iter().filter(|s| !input.service.families.contains(&s.content.family)).cloned());
    // The API server refuses new dependents of a Service that is being deleted only later, when they would be left behind.
    if !input.service.deleting {
        plan.writes.extend(name_creates(input, creates));
    }
    plan.writes.extend(updates.into_iter().map(|(stored, content)| SliceWrite::Update { stored, content }));
    plan.writes.extend(deletes.into_iter().map(|stored| SliceWrite::Delete { stored }));
    plan
}

/// What is missing for one family.
#[derive(Default)]
struct Changes {
    creates: Vec<SliceContent>,
    updates: Vec<(Arc<Slice>, SliceContent)>,
    deletes: Vec<Arc<Slice>>,
}

fn family_changes(
    input: &SliceInput<'_>,
    family: IpFamily,
    labels: &Labels,
    existing: &[&Arc<Slice>],
    mut desired: BTreeMap<Vec<SlicePort>, pack::Endpoints>,
) -> Changes {
    let content = |ports: &[SlicePort], endpoints: Vec<SliceEndpoint>| SliceContent {
        family,
        labels: labels.clone(),
        trigger: input.trigger,
        ports: ports.to_vec(),
        endpoints,
    };
    let mut groups: BTreeMap<Vec<SlicePort>, Vec<&Arc<Slice>>> = BTreeMap::new();
    for slice in existing {
        let mut ports = slice.content.ports.clone();
        ports.sort();
        groups.entry(ports).or_default().push(slice);
    }
    let mut changes = Changes::default();
    let mut kept = 0;
    for (ports, slices) in &groups {
        let Some(endpoints) = desired.remove(ports) else {
            changes.deletes.extend(slices.iter().copied().cloned());
            continue;
        };
        let stale = |slice: &Slice| slice.altered || slice.content.labels != *labels;
        let packed = pack::pack(slices, endpoints, input.max, stale);
        kept += packed.unchanged;
        changes.creates.extend(packed.creates.into_iter().map(|endpoints| content(ports, endpoints)));
        changes
            .updates
            .extend(packed.updates.into_iter().map(|(s, endpoints)| (s, content(ports, endpoints))));
        changes.deletes.extend(packed.deletes);
    }
    for (ports, endpoints) in desired {
        let packed = pack::pack(&[], endpoints, input.max, |_| false);
        changes.creates.extend(packed.creates.into_iter().map(|endpoints| content(&ports, endpoints)));
    }
    if kept + changes.creates.len() + changes.updates.len() == 0 {
        place_hold(&mut changes, content(&[], Vec::new()));
    }
    changes
}

/// A Service always has a slice per family, if need be one without ports and endpoints: consumers learn from it that the
/// Service has been looked at and has none.
fn place_hold(changes: &mut Changes, placeholder: SliceContent) {
    let is_placeholder = |slice: &Arc<Slice>| {
        !slice.altered
            && slice.content.ports.is_empty()
            && slice.content.endpoints.is_empty()
            && slice.content.labels == placeholder.labels
    };
    match changes.deletes.iter().position(is_placeholder) {
        Some(at) => drop(changes.deletes.remove(at)),
        None => changes.creates.push(placeholder),
    }
}

/// Turns a creation and a deletion into one update: half the writes and half the watch events.
fn recycle(changes: &mut Changes) {
    let pairs = changes.creates.len().min(changes.deletes.len());
    let contents = changes.creates.drain(..pairs);
    let slices = changes.deletes.drain(..pairs);
    changes.updates.extend(slices.zip(contents));
}

fn name_creates(input: &SliceInput<'_>, creates: Vec<SliceContent>) -> Vec<SliceWrite> {
    let mut names = naming::Names::new(input);
    creates
        .into_iter()
        .map(|content| SliceWrite::Create { name: names.next(content.family, &content.ports), content })
        .collect()
}

/// The family of an address.
pub fn family_of(address: IpAddr) -> IpFamily {
    if address.is_ipv4() { IpFamily::IPv4 } else { IpFamily::IPv6 }
}

#[cfg(test)]
mod tests;
