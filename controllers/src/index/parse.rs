//! Text of Kubernetes objects → parsed values. Nothing here fails: what cannot be read is `None`.

use std::net::IpAddr;
use std::num::NonZeroU16;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time as KubeTime};
use k8s_openapi::jiff::Timestamp;
use pointsman_crds::Protocol;
use pointsman_planner::model::Time;

use super::Key;

/// Namespace and name.
pub fn key(meta: &ObjectMeta) -> Key {
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// A port number.
pub fn port(number: i32) -> Option<NonZeroU16> {
    u16::try_from(number).ok().and_then(NonZeroU16::new)
}

/// A protocol; TCP is the API's default.
pub fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(_) => None,
    }
}

/// An address. Leading zeros in IPv4 are refused: programs differ in whether they mean octal (CVE-2021-29923).
pub fn address(text: &str) -> Option<IpAddr> {
    text.trim().parse().ok()
}

/// A time of an object.
pub fn time(time: &KubeTime) -> Time {
    Time(i64::try_from(time.0.as_nanosecond()).unwrap_or_default())
}

/// A time in text, as RFC 3339.
pub fn timestamp(text: &str) -> Option<Time> {
    let time: Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok().map(Time)
}

/// A time as text: RFC 3339, with as many digits as it needs.
pub fn text(time: Time) -> String {
    Timestamp::from_nanosecond(i128::from(time.0)).map(|time| time.to_string()).unwrap_or_default()
}

/// The UID of the owner that controls the object, if it is of this kind and name.
pub fn controller(meta: &ObjectMeta, api_version: &str, kind: &str, name: &str) -> Option<String> {
    let owners = meta.owner_references.iter().flatten();
    owners
        .filter(|owner| owner.controller == Some(true))
        .find(|owner| owner.api_version == api_version && owner.kind == kind && owner.name == name)
        .map(|owner| owner.uid.clone())
}
