//! Pods → endpoints: which Pods, with which conditions, on which ports. It does not know in which slice they end.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use pointsman_crds::IpFamily;

use super::pack::{EndpointKey, Endpoints};
use super::{SliceInput, family_of};
use crate::model::{
    Labels, Pod, Preferred, Service, ServicePort, SliceEndpoint, SlicePort, TargetPort, TargetRef,
};

/// Whether `selector` matches `labels`: every pair of it is there. An empty selector matches everything.
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// The endpoints of one family, by the set of ports that they answer on.
pub fn desired(
    input: &SliceInput<'_>,
    family: IpFamily,
    missing_nodes: &mut BTreeSet<String>,
) -> BTreeMap<Vec<SlicePort>, Endpoints> {
    let mut groups: BTreeMap<Vec<SlicePort>, Endpoints> = BTreeMap::new();
    for pod in input.pods {
        let Some(&address) = pod.ips.iter().find(|&&address| family_of(address) == family) else { continue };
        let node = pod.node.as_ref().and_then(|name| input.nodes.get(name));
        if let (Some(name), None) = (&pod.node, node)
            && !input.service.publish_not_ready
        {
            missing_nodes.insert(name.clone());
            continue;
        }
        let mut endpoint = SliceEndpoint {
            address,
            ready: input.service.publish_not_ready || (pod.ready && !pod.terminating),
            serving: pod.ready,
            terminating: pod.terminating,
            node: pod.node.clone(),
            zone: node.and_then(|node| node.zone.clone()),
            hostname: hostname(input.service, pod),
            target: Some(TargetRef {
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
                uid: pod.uid.clone(),
            }),
            for_zones: Vec::new(),
            for_nodes: Vec::new(),
        };
        hint(&mut endpoint, input.service.preferred);
        groups.entry(ports(input.service, pod)).or_default().insert(EndpointKey::from(&endpoint), endpoint);
    }
    groups
}

/// Hints that keep clients near. Proxies follow them only where every ready endpoint has one, so an endpoint without a zone or a node takes
/// the whole Service back to all endpoints.
fn hint(endpoint: &mut SliceEndpoint, preferred: Preferred) {
    if endpoint.ready && preferred != Preferred::Any {
        endpoint.for_zones = endpoint.zone.iter().cloned().collect();
    }
    if endpoint.ready && preferred == Preferred::SameNode {
        endpoint.for_nodes = endpoint.node.iter().cloned().collect();
    }
}

/// A Pod has a name of its own in DNS only under the headless Service that it names as its subdomain.
fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let under_this =
        pod.subdomain.as_deref() == Some(&service.key.name) && pod.namespace == service.key.namespace;
    pod.hostname.clone().filter(|name| under_this && !name.is_empty())
}

/// The ports that `pod` offers to `service`, sorted. A named port that the Pod does not have is left out, the others stay.
fn ports(service: &Service, pod: &Pod) -> Vec<SlicePort> {
    let mut ports: Vec<SlicePort> = service
        .ports
        .iter()
        .filter_map(|port| {
            Some(SlicePort {
                name: port.name.clone(),
                protocol: port.protocol,
                port: Some(target(port, pod)?),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    ports.sort();
    ports
}

fn target(port: &ServicePort, pod: &Pod) -> Option<NonZeroU16> {
    match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => {
            let named = |offered: &&_| {
                let offered: &crate::model::ContainerPort = offered;
                offered.name == *name && offered.protocol == port.protocol
            };
            pod.ports.iter().find(named).map(|offered| offered.port)
        }
    }
}
