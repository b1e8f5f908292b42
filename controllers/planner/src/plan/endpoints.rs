//! The slices of one Service → its usable endpoints, each once. It does not know in which object they end.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use pointsman_crds::conditions::RefusalReason;
use pointsman_crds::names::LABEL_HEADLESS;
use pointsman_crds::{IpFamily, PlanEndpoint, ServiceRefused, Target};

use super::addresses::Policy;
use super::{PORTS, refuse};
use crate::model::{Service, Slice, SliceEndpoint};
use crate::slice::family_of;

/// An endpoint and the ports of the Service that it serves, from one slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usable {
    /// The ports, sorted.
    pub targets: Vec<Target>,
    /// The endpoint.
    pub endpoint: PlanEndpoint,
}

/// The usable endpoints, by the slice that they come from. Empty slices do not appear.
pub type BySlice<'a> = BTreeMap<&'a str, Vec<Usable>>;

/// What an endpoint is to a proxy: an address and port behind one port of the Service. Two slices that name the same are one.
type Behind = (Target, IpAddr);

/// Who stands for an endpoint: the `nth` endpoint of the slice `at`, in order of the slices' names.
#[derive(Clone, Copy)]
struct Owner {
    leaving: bool,
    at: usize,
    nth: usize,
}

impl Owner {
    /// One that stays comes before one that leaves, then the lowest slice name. Inside one slice what is said decides, not
    /// the order in which it is said.
    fn comes_before(self, other: Self, slices: &[&Arc<Slice>]) -> bool {
        match (self.leaving, self.at).cmp(&(other.leaving, other.at)) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => {
                let said =
                    |owner: Self| slices.get(owner.at)?.content.endpoints.get(owner.nth).map(plan_endpoint);
                said(self) < said(other)
            }
        }
    }
}

/// Reads the slices that count for `service`.
pub fn usable<'a>(
    service: &Service,
    slices: &'a [Arc<Slice>],
    policy: &Policy,
    notes: &mut Vec<ServiceRefused>,
) -> BySlice<'a> {
    let mut slices: Vec<&Arc<Slice>> = slices.iter().filter(|slice| counts(service, slice, policy)).collect();
    slices.sort_by(|a, b| a.name.cmp(&b.name));
    let mut owners: BTreeMap<Behind, Owner> = BTreeMap::new();
    for (at, slice) in slices.iter().enumerate() {
        let targets = targets(service, slice);
        for (nth, endpoint) in slice.content.endpoints.iter().enumerate() {
            if !serves(endpoint) {
                continue;
            }
            if let Some(reason) = why_not(endpoint, slice.content.family, policy) {
                let from = format!("EndpointSlice {}", slice.name);
                notes.push(refuse::refused(&format!("endpoint {}", endpoint.address), reason, &from));
                continue;
            }
            let candidate = Owner { leaving: !endpoint.ready, at, nth };
            for target in &targets {
                let owner = owners.entry((target.clone(), endpoint.address)).or_insert(candidate);
                if candidate.comes_before(*owner, &slices) {
                    *owner = candidate;
                }
            }
        }
    }
    collect(&slices, owners)
}

/// Whether the proxy reads `slice`. Slices of other managers are not read while ours are written from the selector: two
/// controllers of one mind would only double every change, and two of different minds would never agree.
fn counts(service: &Service, slice: &Slice, policy: &Policy) -> bool {
    let labels = &slice.content.labels;
    !(slice.deleting
        || labels.contains_key(LABEL_HEADLESS)
        || policy.manage_slices && service.selector.is_some() && !slice.is_ours())
}

/// Ready, or still serving while it terminates (KEP-1669).
fn serves(endpoint: &SliceEndpoint) -> bool {
    endpoint.ready || (endpoint.serving && endpoint.terminating)
}

fn why_not(endpoint: &SliceEndpoint, family: IpFamily, policy: &Policy) -> Option<RefusalReason> {
    // An address of the other family can only be the work of something that wrote past the API server's validation.
    if family_of(endpoint.address) != family {
        return Some(RefusalReason::Malformed);
    }
    refuse::endpoint(endpoint.address, &policy.service_cidrs)
}

/// The ports of the Service that `slice` serves, sorted. A port is known by name and protocol.
fn targets(service: &Service, slice: &Slice) -> Vec<Target> {
    let target = |name: &str, port: NonZeroU16| Target { name: name.to_owned(), port };
    let mut targets: Vec<Target> = slice
        .content
        .ports
        .iter()
        .filter(|offered| {
            let mut known = service.ports.iter().take(PORTS);
            known.any(|port| port.name == offered.name && port.protocol == offered.protocol)
        })
        .filter_map(|offered| offered.port.map(|port| target(&offered.name, port)))
        .collect();
    targets.sort();
    targets.dedup();
    targets
}

fn collect<'a>(slices: &[&'a Arc<Slice>], owners: BTreeMap<Behind, Owner>) -> BySlice<'a> {
    // `owners` is ordered by target, so each endpoint's targets arrive sorted.
    let mut owned: BTreeMap<(usize, usize), Vec<Target>> = BTreeMap::new();
    for ((target, _), Owner { at, nth, .. }) in owners {
        owned.entry((at, nth)).or_default().push(target);
    }
    let mut by_slice = BySlice::new();
    for ((at, nth), targets) in owned {
        let (Some(slice), true) = (slices.get(at), !targets.is_empty()) else { continue };
        let Some(endpoint) = slice.content.endpoints.get(nth) else { continue };
        by_slice.entry(&slice.name).or_default().push(Usable { targets, endpoint: plan_endpoint(endpoint) });
    }
    by_slice
}

fn plan_endpoint(endpoint: &SliceEndpoint) -> PlanEndpoint {
    PlanEndpoint {
        ip: endpoint.address,
        node: endpoint.node.clone(),
        zone: endpoint.zone.clone(),
        for_zones: endpoint.for_zones.clone(),
        for_nodes: endpoint.for_nodes.clone(),
        terminating: endpoint.terminating && !endpoint.ready,
    }
}
