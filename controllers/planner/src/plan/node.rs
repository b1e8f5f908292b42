//! One Node into the spec of its `NodeProxyPlan`. It knows no Services.

use ipnet::IpNet;
use pointsman_crds::{NodeIdentity, NodeProxyPlanSpec, ProxySettings};

use crate::model::Node;

/// How `node` shall proxy: its own facts, the cluster's `service_cidrs` in any order, and `settings`.
pub fn plan_node(node: &Node, service_cidrs: &[IpNet], settings: &ProxySettings) -> NodeProxyPlanSpec {
    let mut cidrs: Vec<IpNet> = service_cidrs.iter().map(IpNet::trunc).collect();
    cidrs.sort();
    cidrs.dedup();
    NodeProxyPlanSpec {
        node: NodeIdentity {
            uid: node.uid.clone(),
            addresses: node.addresses.clone(),
            pod_cidrs: node.pod_cidrs.iter().map(IpNet::trunc).collect(),
            zone: node.zone.clone(),
            leaving: node.leaving,
        },
        service_cidrs: cidrs,
        profile: None,
        settings: settings.clone(),
    }
}
