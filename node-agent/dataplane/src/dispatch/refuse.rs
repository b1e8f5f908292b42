//! What may never be programmed, whoever asks for it. The controller refuses the same; the agent checks again, because it is
//! the one that carries the packets.

use std::net::IpAddr;

use ipnet::IpNet;
use pointsman_crds::conditions::RefusalReason;

use super::Refusal;
use crate::ServiceKey;

/// Why an address can be neither endpoint nor frontend, if it cannot (CVE-2021-25737).
pub fn address_refusal(ip: IpAddr) -> Option<RefusalReason> {
    let (loopback, link_local, multicast, unspecified) = match ip {
        IpAddr::V4(ip) => (
            ip.is_loopback(),
            ip.is_link_local(),
            ip.is_multicast() || ip.is_broadcast(),
            ip.is_unspecified(),
        ),
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => return Some(RefusalReason::EndpointV4Mapped),
        IpAddr::V6(ip) => {
            (ip.is_loopback(), ip.is_unicast_link_local(), ip.is_multicast(), ip.is_unspecified())
        }
    };
    if loopback {
        Some(RefusalReason::EndpointInLoopback)
    } else if link_local {
        Some(RefusalReason::EndpointInLinkLocal)
    } else if multicast {
        Some(RefusalReason::EndpointInMulticast)
    } else if unspecified {
        Some(RefusalReason::EndpointUnspecified)
    } else {
        None
    }
}

/// Why an endpoint is not used, if it is not.
pub(super) fn endpoint_refusal(ip: IpAddr, service_cidrs: &[IpNet]) -> Option<Refusal> {
    let reason = address_refusal(ip).or_else(|| {
        service_cidrs.iter().any(|range| range.contains(&ip)).then_some(RefusalReason::EndpointInServiceCidr)
    })?;
    Some(Refusal::new(reason, format!("endpoint {ip} is not used: {}", reason.meaning())))
}

/// Why a frontend address is not programmed, if it is not.
pub(super) fn frontend_refusal(ip: IpAddr) -> Option<Refusal> {
    address_refusal(ip).map(|_| {
        let reason = RefusalReason::FrontendAddressInvalid;
        Refusal::new(reason, format!("address {ip} is not programmed: {}", reason.meaning()))
    })
}

/// Names stand in comments of rules: whatever is no DNS name is refused whole, never escaped.
pub(super) fn name_refusal(key: &ServiceKey) -> Option<Refusal> {
    let is_name = |text: &str| {
        (1..=253).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
    };
    (!is_name(key.namespace()) || !is_name(key.name())).then(|| {
        Refusal::new(RefusalReason::NameInvalid, "the Service is not programmed: its name is no DNS name")
    })
}

/// The same for a port's name, which may be empty.
pub(super) fn is_port_name(name: &str) -> bool {
    name.len() <= 63 && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}
