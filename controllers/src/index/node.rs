//! Node → model, and what a change of a Node concerns.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node as KubeNode;
use pointsman_crds::names::{LABEL_OS, LABEL_ZONE, TAINT_TO_BE_DELETED};
use pointsman_planner::model::Node;
use pointsman_planner::plan::ClusterSize;

use super::{Index, Indexed, Item, Key, parse};

impl From<KubeNode> for Item<Node> {
    fn from(node: KubeNode) -> Self {
        let key = parse::key(&node.metadata);
        let spec = node.spec.unwrap_or_default();
        let status = node.status.unwrap_or_default();
        let mut addresses: Vec<IpAddr> = Vec::new();
        let of_type = |wanted: &'static str| {
            status.addresses.iter().flatten().filter(move |address| address.type_ == wanted)
        };
        // Some clouds know a node by its external address alone; kube-proxy takes that one then, too.
        for address in of_type("InternalIP").chain(of_type("ExternalIP")) {
            if let Some(address) = parse::address(&address.address)
                && addresses.iter().all(|known| known.is_ipv4() != address.is_ipv4())
            {
                addresses.push(address);
            }
        }
        let cidrs = spec.pod_cidrs.filter(|cidrs| !cidrs.is_empty()).or(spec.pod_cidr.map(|cidr| vec![cidr]));
        let label = |name| node.metadata.labels.as_ref().and_then(|labels| labels.get(name));
        let (zone, os) = (label(LABEL_ZONE), label(LABEL_OS));
        let tainted = spec.taints.iter().flatten().any(|taint| taint.key == TAINT_TO_BE_DELETED);
        let value = Node {
            name: key.1.clone(),
            uid: node.metadata.uid.unwrap_or_default(),
            addresses,
            pod_cidrs: cidrs.iter().flatten().filter_map(|cidr| cidr.parse::<IpNet>().ok()).collect(),
            zone: zone.filter(|zone| !zone.is_empty()).cloned(),
            leaving: tainted || node.metadata.deletion_timestamp.is_some(),
            is_foreign: os.is_some_and(|os| os != "linux"),
        };
        Item { key, value: Some(value) }
    }
}

impl Indexed for Node {
    const KIND: &'static str = "Node";

    fn put(index: &mut Index, item: Item<Self>, _: bool) {
        let Some(node) = item.value else { return };
        let before = index.nodes.get(&node.name);
        if before == Some(&node) {
            return;
        }
        // Only whether it exists, and its zone, stand in endpoints.
        let concerns_endpoints = before.is_none_or(|before| before.zone != node.zone);
        let name = node.name.clone();
        let size = index.cluster_size();
        index.nodes.insert(name.clone(), node);
        concern_all(index, size);
        concern(index, name, concerns_endpoints);
    }

    fn remove(index: &mut Index, key: &Key) {
        let size = index.cluster_size();
        if index.nodes.remove(&key.1).is_some() {
            concern_all(index, size);
            concern(index, key.1.clone(), true);
        }
    }

    fn keys(index: &Index) -> Vec<Key> {
        index.nodes.keys().map(|name| (String::new(), name.clone())).collect()
    }
}

/// A cluster that was of another size before concerns every Node.
fn concern_all(index: &mut Index, before: ClusterSize) {
    if index.cluster_size() != before {
        index.dirty.nodes.extend(index.nodes.keys().cloned());
    }
}

fn concern(index: &mut Index, name: String, endpoints: bool) {
    if endpoints {
        for pod in index.pods.on_node(&name) {
            for service in index.selectors.matching(&pod.namespace, &pod.labels) {
                index.dirty.service(&service, None);
            }
        }
    }
    index.dirty.nodes.insert(name);
}
