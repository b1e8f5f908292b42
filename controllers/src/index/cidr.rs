//! ServiceCIDR → the ranges that cluster IPs are allocated from.

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::ServiceCIDR;

use super::{Index, Indexed, Item, Key, parse};

/// The ranges of one ServiceCIDR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRanges(pub Vec<IpNet>);

impl From<ServiceCIDR> for Item<ServiceRanges> {
    fn from(cidr: ServiceCIDR) -> Self {
        let ranges = cidr.spec.as_ref().and_then(|spec| spec.cidrs.as_ref()).into_iter().flatten();
        let ranges = ranges.filter_map(|range| range.parse::<IpNet>().ok().map(|range| range.trunc()));
        Item { key: parse::key(&cidr.metadata), value: Some(ServiceRanges(ranges.collect())) }
    }
}

impl Indexed for ServiceRanges {
    const KIND: &'static str = "ServiceCIDR";

    fn put(index: &mut Index, item: Item<Self>, _: bool) {
        let ranges = item.value.map(|ranges| ranges.0).unwrap_or_default();
        index.cidrs.insert(item.key.1, ranges);
        renew(index);
    }

    fn remove(index: &mut Index, key: &Key) {
        index.cidrs.remove(&key.1);
        renew(index);
    }

    fn keys(index: &Index) -> Vec<Key> {
        index.cidrs.keys().map(|name| (String::new(), name.clone())).collect()
    }
}

/// The ranges concern every Service (no endpoint lies in them) and every Node (it drops what no Service has).
fn renew(index: &mut Index) {
    let mut ranges: Vec<IpNet> = index.cidrs.values().flatten().copied().collect();
    ranges.sort();
    ranges.dedup();
    if ranges != index.policy.service_cidrs {
        index.policy.service_cidrs = ranges;
        index.mark_all_services();
        index.dirty.nodes.extend(index.nodes.keys().cloned());
    }
}
