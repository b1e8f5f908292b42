//! Usable endpoints → groups, in one object or in shards. It knows no Service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pointsman_crds::names::{ENDPOINTS_PER_PLAN, shard_name};
use pointsman_crds::{EndpointGroup, PlanEndpoint, Target};

use super::endpoints::{BySlice, Usable};
use crate::slice::short_hash;

/// The longest name of an object (a DNS subdomain, RFC 1123).
const NAME_LENGTH: usize = 253;

/// The endpoints of a Service, laid out.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// In the Service's own plan.
    Whole(Vec<EndpointGroup>),
    /// In shards, by name.
    Sharded(BTreeMap<String, Vec<EndpointGroup>>),
}

/// Up to 100 endpoints stand in the Service's own plan; above, there is one shard per slice, so that a change of one slice
/// writes one shard. Two slices whose names end alike share a shard.
pub fn lay_out(service: &str, by_slice: BySlice<'_>) -> Layout {
    let total: usize = by_slice.values().map(Vec::len).sum();
    if total <= ENDPOINTS_PER_PLAN {
        return Layout::Whole(group(by_slice.into_values().flatten()));
    }
    let mut shards: BTreeMap<String, Vec<Usable>> = BTreeMap::new();
    for (slice, endpoints) in by_slice {
        shards.entry(name_of(service, slice)).or_default().extend(endpoints);
    }
    Layout::Sharded(
        shards.into_iter().map(|(name, endpoints)| (name, group(endpoints.into_iter()))).collect(),
    )
}

/// Slices that others write may have a last part that fills a whole name: then its hash stands for it.
fn name_of(service: &str, slice: &str) -> String {
    Some(shard_name(service, slice))
        .filter(|name| name.len() <= NAME_LENGTH)
        .unwrap_or_else(|| format!("{service}.{}", short_hash([slice.as_bytes()])))
}

/// How many addresses stand in `groups`.
pub fn distinct_addresses(groups: &[EndpointGroup]) -> u32 {
    let addresses: BTreeSet<IpAddr> =
        groups.iter().flat_map(|group| &group.endpoints).map(|endpoint| endpoint.ip).collect();
    u32::try_from(addresses.len()).unwrap_or(u32::MAX)
}

fn group(endpoints: impl Iterator<Item = Usable>) -> Vec<EndpointGroup> {
    let mut groups: BTreeMap<Vec<Target>, BTreeSet<PlanEndpoint>> = BTreeMap::new();
    for usable in endpoints {
        groups.entry(usable.targets).or_default().insert(usable.endpoint);
    }
    groups
        .into_iter()
        .map(|(targets, endpoints)| EndpointGroup { targets, endpoints: endpoints.into_iter().collect() })
        .collect()
}
