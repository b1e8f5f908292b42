//! Service → model, and what a change of a Service concerns.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{
    Service as KubeService, ServicePort as KubePort, ServiceSpec, ServiceStatus,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use pointsman_crds::conditions::RefusalReason;
use pointsman_crds::names::ANNOTATIONS_TOPOLOGY_MODE;
use pointsman_crds::{IpFamily, ServiceRefused};
use pointsman_planner::model::{Preferred, Service, ServiceKey, ServicePort, TargetPort};
use pointsman_planner::plan::{claims, refused};
use pointsman_planner::slice::family_of;

use super::{Index, Indexed, Item, Key, parse};

/// ClientIP affinity without a timeout lasts this long, as the API server has it.
const AFFINITY_SECONDS: i32 = 10_800;

impl From<KubeService> for Item<Service> {
    fn from(service: KubeService) -> Self {
        let key = parse::key(&service.metadata);
        let mut reader = Reader { from: format!("Service {}/{}", key.0, key.1), notes: Vec::new() };
        let spec = service.spec.unwrap_or_default();
        let cluster_ips = reader.cluster_ips(&spec);
        let ports = spec.ports.iter().flatten().filter_map(|port| reader.port(port)).collect();
        let (source_ranges, source_ranges_unreadable) = reader.source_ranges(&spec);
        let external_local = spec.external_traffic_policy.as_deref() == Some("Local");
        let is_balanced = spec.type_.as_deref() == Some("LoadBalancer");
        let preferred = preferred(&spec, service.metadata.annotations.as_ref());
        let affinity = spec.session_affinity_config.and_then(|config| config.client_ip?.timeout_seconds);
        let mut value = Service {
            key: ServiceKey::new(key.0.clone(), key.1.clone()),
            uid: service.metadata.uid.unwrap_or_default(),
            created: service.metadata.creation_timestamp.as_ref().map(parse::time).unwrap_or_default(),
            deleting: service.metadata.deletion_timestamp.is_some(),
            external_name: spec.type_.as_deref() == Some("ExternalName"),
            labels: service.metadata.labels.unwrap_or_default(),
            selector: spec.selector,
            families: families(spec.ip_families.as_deref(), &cluster_ips),
            headless: matches!(spec.cluster_ip.as_deref(), None | Some("" | "None"))
                && cluster_ips.is_empty(),
            cluster_ips,
            external_ips: reader
                .addresses("external IP", spec.external_ips.iter().flatten().map(String::as_str)),
            load_balancer_ips: reader.ingress(service.status.as_ref()),
            source_ranges,
            source_ranges_unreadable,
            ports,
            internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            external_local,
            health_check_node_port: spec
                .health_check_node_port
                .and_then(parse::port)
                .filter(|_| is_balanced && external_local),
            affinity: (spec.session_affinity.as_deref() == Some("ClientIP"))
                .then(|| u32::try_from(affinity.unwrap_or(AFFINITY_SECONDS)).unwrap_or_default()),
            preferred,
            publish_not_ready: spec.publish_not_ready_addresses.unwrap_or_default(),
            malformed: Vec::new(),
        };
        value.malformed = reader.notes;
        Item { key, value: Some(value) }
    }
}

/// Hints by capacity (KEP-2433), where an annotation asks for them, take precedence; this version writes none.
fn preferred(spec: &ServiceSpec, annotations: Option<&BTreeMap<String, String>>) -> Preferred {
    let mode = ANNOTATIONS_TOPOLOGY_MODE.iter().find_map(|name| annotations?.get(*name));
    match (mode.map(String::as_str), spec.traffic_distribution.as_deref()) {
        (Some("Auto" | "auto"), _) => Preferred::Any,
        (_, Some("PreferClose" | "PreferSameZone")) => Preferred::SameZone,
        (_, Some("PreferSameNode")) => Preferred::SameNode,
        _ => Preferred::Any,
    }
}

/// Reads a Service, and notes what it cannot read.
struct Reader {
    from: String,
    notes: Vec<ServiceRefused>,
}

impl Reader {
    fn malformed(&mut self, what: &str) {
        self.notes.push(refused(what, RefusalReason::Malformed, &self.from));
    }

    fn addresses<'a>(&mut self, what: &str, texts: impl Iterator<Item = &'a str>) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for text in texts {
            match parse::address(text) {
                Some(address) => addresses.push(address),
                None => self.malformed(&format!("{what} {text}")),
            }
        }
        addresses
    }

    fn cluster_ips(&mut self, spec: &ServiceSpec) -> Vec<IpAddr> {
        let listed = spec.cluster_ips.iter().flatten().map(String::as_str);
        let texts: Vec<&str> =
            listed.chain(spec.cluster_ip.as_deref()).filter(|ip| !matches!(*ip, "" | "None")).collect();
        let mut addresses = self.addresses("cluster IP", texts.into_iter());
        let mut seen = std::collections::BTreeSet::new();
        addresses.retain(|address| seen.insert(*address));
        addresses
    }

    fn port(&mut self, port: &KubePort) -> Option<ServicePort> {
        let (Some(number), Some(protocol)) =
            (parse::port(port.port), parse::protocol(port.protocol.as_deref()))
        else {
            self.malformed(&format!("port {}/{}", port.port, port.protocol.as_deref().unwrap_or_default()));
            return None;
        };
        let target = match &port.target_port {
            None => TargetPort::Number(number),
            Some(IntOrString::Int(0)) => TargetPort::Number(number),
            Some(IntOrString::String(name)) if name.is_empty() => TargetPort::Number(number),
            Some(IntOrString::String(name)) => TargetPort::Name(name.clone()),
            Some(IntOrString::Int(target)) => match parse::port(*target) {
                Some(target) => TargetPort::Number(target),
                None => {
                    self.malformed(&format!("target port {target}"));
                    return None;
                }
            },
        };
        Some(ServicePort {
            name: port.name.clone().unwrap_or_default(),
            protocol,
            port: number,
            node_port: port.node_port.and_then(parse::port),
            target,
            app_protocol: port.app_protocol.clone(),
        })
    }

    /// The ranges that can be read, and whether there are some that cannot.
    fn source_ranges(&mut self, spec: &ServiceSpec) -> (Vec<IpNet>, bool) {
        let mut ranges = Vec::new();
        let mut unreadable = false;
        for text in spec.load_balancer_source_ranges.iter().flatten() {
            match text.trim().parse::<IpNet>() {
                Ok(range) => ranges.push(range.trunc()),
                Err(_) => {
                    unreadable = true;
                    self.malformed(&format!("load balancer source range {text}"));
                }
            }
        }
        (ranges, unreadable)
    }

    /// With ipMode Proxy the packets carry the node's address, not this one: nothing to answer on (KEP-1860).
    fn ingress(&mut self, status: Option<&ServiceStatus>) -> Vec<IpAddr> {
        let ingress = status.and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
        let direct = ingress.into_iter().flatten().filter(|point| point.ip_mode.as_deref() != Some("Proxy"));
        let texts: Vec<&str> =
            direct.filter_map(|point| point.ip.as_deref()).filter(|ip| !ip.is_empty()).collect();
        self.addresses("load balancer IP", texts.into_iter())
    }
}

/// The families of a Service's slices. Without any (an API server older than dual stack) those of its cluster IPs, or both.
fn families(named: Option<&[String]>, cluster_ips: &[IpAddr]) -> Vec<IpFamily> {
    let named = named.into_iter().flatten().filter_map(|family| match family.as_str() {
        "IPv4" => Some(IpFamily::IPv4),
        "IPv6" => Some(IpFamily::IPv6),
        _ => None,
    });
    let mut families: Vec<IpFamily> = named.collect();
    if families.is_empty() {
        families.extend(cluster_ips.iter().map(|&ip| family_of(ip)));
    }
    if families.is_empty() {
        families.extend([IpFamily::IPv4, IpFamily::IPv6]);
    }
    families.sort();
    families.dedup();
    families
}

impl Indexed for Service {
    const KIND: &'static str = "Service";

    fn put(index: &mut Index, item: Item<Self>, _: bool) {
        let Some(service) = item.value else { return };
        let before = index.services.get(&service.key).cloned();
        if before.as_deref() == Some(&service) {
            return;
        }
        if let Some(selector) = before.as_ref().and_then(|before| before.selector.as_ref()) {
            index.selectors.remove(&service.key, selector);
        }
        if let Some(selector) = &service.selector {
            index.selectors.insert(&service.key, selector);
        }
        let is_new = before.is_none_or(|before| before.uid != service.uid);
        index.dirty.service(&service.key, Some(service.created).filter(|_| is_new));
        let wanted = claims(&service, &index.policy);
        for other in index.claims.want(&service.key, wanted) {
            index.dirty.service(&other, None);
        }
        index.services.insert(service.key.clone(), Arc::new(service));
    }

    fn remove(index: &mut Index, key: &Key) {
        let key = ServiceKey::new(key.0.clone(), key.1.clone());
        let Some(service) = index.services.remove(&key) else { return };
        if let Some(selector) = &service.selector {
            index.selectors.remove(&key, selector);
        }
        index.dirty.service(&key, None);
        for other in index.claims.want(&key, Default::default()) {
            index.dirty.service(&other, None);
        }
    }

    fn keys(index: &Index) -> Vec<Key> {
        index.services.keys().map(|key| (key.namespace.clone(), key.name.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_service_prefers() {
        let [older, newer] = ANNOTATIONS_TOPOLOGY_MODE;
        type Case<'a> = (Option<&'a str>, &'a [(&'a str, &'a str)], Preferred);
        let cases: [Case<'_>; 9] = [
            (None, &[], Preferred::Any),
            (Some("PreferClose"), &[], Preferred::SameZone),
            (Some("PreferSameZone"), &[], Preferred::SameZone),
            (Some("PreferSameNode"), &[], Preferred::SameNode),
            (Some("PreferLater"), &[], Preferred::Any),
            (Some("PreferClose"), &[(newer, "Auto")], Preferred::Any),
            (Some("PreferClose"), &[(newer, "Disabled")], Preferred::SameZone),
            (Some("PreferClose"), &[(older, "Disabled"), (newer, "Auto")], Preferred::SameZone),
            (Some("PreferClose"), &[(older, "auto"), (newer, "Disabled")], Preferred::Any),
        ];
        for (distribution, annotations, expected) in cases {
            let spec = ServiceSpec {
                traffic_distribution: distribution.map(str::to_owned),
                ..ServiceSpec::default()
            };
            let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let annotations: BTreeMap<String, String> = annotations.iter().map(pair).collect();
            assert_eq!(preferred(&spec, Some(&annotations)), expected, "{distribution:?} {annotations:?}");
        }
    }
}
