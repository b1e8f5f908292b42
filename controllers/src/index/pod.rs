//! Pod → model, and what a change of a Pod concerns.

use k8s_openapi::api::core::v1::{Container, Pod as KubePod};
use pointsman_planner::model::{ContainerPort, Pod};

use super::{Index, Indexed, Item, Key, parse};

impl From<KubePod> for Item<Pod> {
    fn from(pod: KubePod) -> Self {
        let key = parse::key(&pod.metadata);
        let spec = pod.spec.unwrap_or_default();
        let status = pod.status.unwrap_or_default();
        let listed = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
        let mut ips: Vec<_> = listed.filter_map(parse::address).collect();
        if ips.is_empty() {
            ips.extend(status.pod_ip.as_deref().and_then(parse::address));
        }
        // A finished Pod and one without an address are no endpoints of anything.
        let finished = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
        if finished || ips.is_empty() {
            return Item { key, value: None };
        }
        let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
        let sidecars =
            spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
        let value = Pod {
            namespace: key.0.clone(),
            name: key.1.clone(),
            uid: pod.metadata.uid.unwrap_or_default(),
            labels: pod.metadata.labels.unwrap_or_default(),
            ips,
            node: spec.node_name.filter(|name| !name.is_empty()),
            ready: ready.is_some_and(|condition| condition.status == "True"),
            ready_changed: ready
                .and_then(|condition| condition.last_transition_time.as_ref())
                .map(parse::time),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            hostname: spec.hostname,
            subdomain: spec.subdomain,
            ports: spec.containers.iter().chain(sidecars).flat_map(named_ports).collect(),
        };
        Item { key, value: Some(value) }
    }
}

fn named_ports(container: &Container) -> impl Iterator<Item = ContainerPort> {
    container.ports.iter().flatten().filter_map(|port| {
        Some(ContainerPort {
            name: port.name.clone()?,
            protocol: parse::protocol(port.protocol.as_deref())?,
            port: parse::port(port.container_port)?,
        })
    })
}

impl Indexed for Pod {
    const KIND: &'static str = "Pod";

    fn put(index: &mut Index, item: Item<Self>, _: bool) {
        let Some(pod) = item.value else { return Self::remove(index, &item.key) };
        if index.pods.get(&item.key) == Some(&pod) {
            return;
        }
        let before = index.pods.insert(&item.key, pod.clone());
        // What moved since the last look is what a rewritten slice answers to.
        let moved = before.as_ref().and_then(|before| before.ready_changed) != pod.ready_changed;
        let trigger = pod.ready_changed.filter(|_| moved);
        let mut services = index.selectors.matching(&pod.namespace, &pod.labels);
        if let Some(before) = before.filter(|before| before.labels != pod.labels) {
            services.append(&mut index.selectors.matching(&before.namespace, &before.labels));
        }
        for service in services {
            index.dirty.service(&service, trigger);
        }
    }

    fn remove(index: &mut Index, key: &Key) {
        if let Some(pod) = index.pods.remove(key) {
            for service in index.selectors.matching(&pod.namespace, &pod.labels) {
                index.dirty.service(&service, None);
            }
        }
    }

    fn keys(index: &Index) -> Vec<Key> {
        index.pods.keys()
    }
}
