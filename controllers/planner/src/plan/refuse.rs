//! Which addresses may carry a Service or be an endpoint of one. Pure predicates and the notes that tell of them.

use std::net::IpAddr;

use ipnet::IpNet;
use pointsman_crds::conditions::RefusalReason;
use pointsman_crds::names::REFUSED_LISTED;
use pointsman_crds::{ServiceRefused, ServiceRefusedList};

/// The field lengths of a refused entry, as the schema has them.
const WHAT_LENGTH: usize = 256;
const FROM_LENGTH: usize = 384;

/// The note that `what`, which stands in `from`, is refused.
pub fn refused(what: &str, reason: RefusalReason, from: &str) -> ServiceRefused {
    ServiceRefused {
        what: what.chars().take(WHAT_LENGTH).collect(),
        reason: reason.to_string(),
        from: from.chars().take(FROM_LENGTH).collect(),
    }
}

/// The notes as they stand in a status: sorted, each once, the first of them and their number. `None` if there are none.
pub fn list(mut notes: Vec<ServiceRefused>) -> Option<ServiceRefusedList> {
    notes.sort();
    notes.dedup();
    let count = u32::try_from(notes.len()).unwrap_or(u32::MAX);
    notes.truncate(REFUSED_LISTED);
    (count > 0).then_some(ServiceRefusedList { count, first: notes })
}

/// Why `address` cannot be an endpoint, if it cannot. Somebody who may write slices but not reach a node's loopback or
/// metadata service could otherwise have the proxy do it for him (CVE-2021-25737).
pub fn endpoint(address: IpAddr, service_cidrs: &[IpNet]) -> Option<RefusalReason> {
    if service_cidrs.iter().any(|cidr| cidr.contains(&address)) {
        return Some(RefusalReason::EndpointInServiceCidr);
    }
    special(address)
}

/// Whether `address` can be one that a Service answers on.
pub fn can_be_frontend(address: IpAddr) -> bool {
    special(address).is_none()
}

fn special(address: IpAddr) -> Option<RefusalReason> {
    match address {
        IpAddr::V4(v4) if v4.is_loopback() => Some(RefusalReason::EndpointInLoopback),
        IpAddr::V4(v4) if v4.is_link_local() => Some(RefusalReason::EndpointInLinkLocal),
        IpAddr::V4(v4) if v4.is_multicast() || v4.is_broadcast() => Some(RefusalReason::EndpointInMulticast),
        // All of 0.0.0.0/8 means "this host" (RFC 1122, 3.2.1.3).
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some(RefusalReason::EndpointUnspecified),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some(RefusalReason::EndpointV4Mapped),
        IpAddr::V6(v6) if v6.is_loopback() => Some(RefusalReason::EndpointInLoopback),
        IpAddr::V6(v6) if v6.is_unspecified() => Some(RefusalReason::EndpointUnspecified),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(RefusalReason::EndpointInLinkLocal),
        IpAddr::V6(v6) if v6.is_multicast() => Some(RefusalReason::EndpointInMulticast),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_lead_elsewhere_are_no_endpoints() {
        let cidrs = ["10.96.0.0/16".parse().unwrap(), "fd00:96::/112".parse().unwrap()];
        let cases = [
            ("127.0.0.1", Some(RefusalReason::EndpointInLoopback)),
            ("127.255.255.254", Some(RefusalReason::EndpointInLoopback)),
            ("::1", Some(RefusalReason::EndpointInLoopback)),
            ("169.254.169.254", Some(RefusalReason::EndpointInLinkLocal)),
            ("fe80::1", Some(RefusalReason::EndpointInLinkLocal)),
            ("febf::1", Some(RefusalReason::EndpointInLinkLocal)),
            ("fec0::1", None),
            ("224.0.0.1", Some(RefusalReason::EndpointInMulticast)),
            ("239.255.255.255", Some(RefusalReason::EndpointInMulticast)),
            ("255.255.255.255", Some(RefusalReason::EndpointInMulticast)),
            ("ff02::1", Some(RefusalReason::EndpointInMulticast)),
            ("0.0.0.0", Some(RefusalReason::EndpointUnspecified)),
            ("0.1.2.3", Some(RefusalReason::EndpointUnspecified)),
            ("::", Some(RefusalReason::EndpointUnspecified)),
            ("::ffff:10.0.0.1", Some(RefusalReason::EndpointV4Mapped)),
            ("10.96.255.255", Some(RefusalReason::EndpointInServiceCidr)),
            ("fd00:96::ffff", Some(RefusalReason::EndpointInServiceCidr)),
            ("10.97.0.0", None),
            ("fd00:96::1:0", None),
            ("203.0.113.9", None),
        ];
        for (address, expected) in cases {
            assert_eq!(endpoint(address.parse().unwrap(), &cidrs), expected, "{address}");
        }
    }

    #[test]
    fn a_status_lists_the_first_and_counts_all() {
        let note = |n: u32| {
            refused(&format!("endpoint {n:03}"), RefusalReason::EndpointInLoopback, "EndpointSlice s")
        };
        assert_eq!(list(Vec::new()), None);
        let full = list((0..40).rev().chain([3]).map(note).collect()).unwrap();
        assert_eq!((full.count, full.first.len()), (40, REFUSED_LISTED));
        assert_eq!(full.first[0].what, "endpoint 000");
    }
}
