//! Which of a Service's addresses it may answer on. It does not know of other Services: see `conflicts`.

use std::net::IpAddr;

use ipnet::IpNet;
use pointsman_crds::conditions::RefusalReason;
use pointsman_crds::{ServiceProxyPlanSpec, ServiceRefused};

use super::refuse::{can_be_frontend, refused};
use crate::model::Service;

/// The lengths of the lists of a plan, as the schema has them.
const ADDRESSES: usize = 64;
const RANGES: usize = 256;

/// What holds for the whole cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The ranges that external IPs may come from; none when empty (CVE-2020-8554).
    pub allowed_external_ips: Vec<IpNet>,
    /// The ranges that cluster IPs are allocated from.
    pub service_cidrs: Vec<IpNet>,
    /// Slices of Services with a selector are ours to write, and nobody else's are read.
    pub manage_slices: bool,
}

/// Writes the addresses and source ranges of `service` into `spec`, and notes what it may not have.
pub fn write(
    service: &Service,
    policy: &Policy,
    spec: &mut ServiceProxyPlanSpec,
    notes: &mut Vec<ServiceRefused>,
) {
    let from = format!("Service {}", service.key);
    let mut invalid = |what: &str, address: IpAddr| {
        let valid = can_be_frontend(address);
        if !valid {
            notes.push(refused(&format!("{what} {address}"), RefusalReason::FrontendAddressInvalid, &from));
        }
        valid
    };
    // The order of cluster IPs tells the primary family; the other lists have no order of their own.
    spec.cluster_ips = service.cluster_ips.iter().copied().filter(|&ip| invalid("cluster IP", ip)).collect();
    spec.external_ips = sorted(service.external_ips.iter().copied().filter(|&ip| invalid("external IP", ip)));
    spec.load_balancer_ips =
        sorted(service.load_balancer_ips.iter().copied().filter(|&ip| invalid("load balancer IP", ip)));
    spec.external_ips.retain(|ip| {
        let allowed = policy.allowed_external_ips.iter().any(|range| range.contains(ip));
        if !allowed {
            notes.push(refused(&format!("external IP {ip}"), RefusalReason::ExternalIpNotAllowed, &from));
        }
        allowed
    });
    for (what, list) in
        [("external IP", &mut spec.external_ips), ("load balancer IP", &mut spec.load_balancer_ips)]
    {
        let beyond = list.split_off(list.len().min(ADDRESSES));
        notes.extend(
            beyond
                .iter()
                .map(|ip| refused(&format!("{what} {ip}"), RefusalReason::FrontendAddressInvalid, &from)),
        );
    }
    write_source_ranges(service, &from, spec, notes);
}

/// A restriction that cannot be written down whole must not open the door: then the load balancer's addresses go instead.
fn write_source_ranges(
    service: &Service,
    from: &str,
    spec: &mut ServiceProxyPlanSpec,
    notes: &mut Vec<ServiceRefused>,
) {
    let ranges = sorted(service.source_ranges.iter().map(IpNet::trunc));
    if ranges.len() > RANGES {
        let what = format!("load balancer: {} source ranges, and a plan holds {RANGES}", ranges.len());
        notes.push(refused(&what, RefusalReason::PlanInconsistent, from));
        spec.load_balancer_ips.clear();
        return;
    }
    if service.source_ranges_unreadable {
        // Proxies look at one family at a time: ranges of the other family restrict nothing there.
        let restricted = |ip: &IpAddr| ranges.iter().any(|range| range.addr().is_ipv4() == ip.is_ipv4());
        spec.load_balancer_ips.retain(restricted);
    }
    spec.load_balancer_source_ranges = ranges;
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort();
    items.dedup();
    items
}
