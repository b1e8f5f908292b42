//! Plans as objects for a plan directory, and what the kernel shall hold for them. It writes one file and reads no kernel.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use pointsman_crds::{
    IpFamily, NodeIdentity, NodeProxyPlan, NodeProxyPlanSpec, ProxySettings, ServiceProxyPlan,
};
use pointsman_dataplane::dispatch::Dispatch;
use pointsman_dataplane::nftables::image::Image;
use pointsman_dataplane::testing::{Canonical, canonical};
use pointsman_dataplane::{NodeFacts, ServicePlan};
use pointsman_tests::topology::Node;
use serde_json::{Value, to_value};

/// The ranges that cluster IPs come from.
pub const SERVICE_CIDRS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];
/// Both families, in the order of every pair of addresses here.
pub const FAMILIES: [IpFamily; 2] = [IpFamily::IPv4, IpFamily::IPv6];

/// An address that the test's author wrote.
#[expect(clippy::panic, reason = "a slip of the author's, not of the machine's")]
pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
}

/// A range that the test's author wrote.
#[expect(clippy::panic, reason = "a slip of the author's, not of the machine's")]
pub fn net(text: &str) -> ipnet::IpNet {
    text.parse().unwrap_or_else(|_| panic!("{text} is no range"))
}

/// A node's plan: who it is, and how it proxies.
pub fn node_spec(node: &Node, settings: ProxySettings) -> NodeProxyPlanSpec {
    NodeProxyPlanSpec {
        node: NodeIdentity {
            uid: format!("uid-of-{}", node.name),
            addresses: node.addresses().to_vec(),
            pod_cidrs: node.pod_cidrs().iter().map(|range| net(range)).collect(),
            zone: Some(node.zone()),
            leaving: false,
        },
        service_cidrs: SERVICE_CIDRS.iter().map(|range| net(range)).collect(),
        profile: None,
        settings,
    }
}

/// Writes a plan directory's only file, at once.
pub fn write(
    directory: &Path,
    nodes: &[(String, NodeProxyPlanSpec)],
    services: &[ServicePlan],
) -> Result<()> {
    let mut objects: Vec<Value> = Vec::new();
    for (name, spec) in nodes {
        objects.push(to_value(NodeProxyPlan::new(name, spec.clone()))?);
    }
    for service in services {
        let mut object = ServiceProxyPlan::new(service.key.name(), service.spec.clone());
        object.metadata.namespace = Some(service.key.namespace().to_owned());
        objects.push(to_value(object)?);
    }
    let text: Vec<String> = objects.iter().map(Value::to_string).collect();
    // Files that begin with a dot are no plans, so half a file is never read.
    let (new, file) = (directory.join(".plan.yaml"), directory.join("plan.yaml"));
    std::fs::write(&new, text.join("\n---\n")).with_context(|| format!("write {}", new.display()))?;
    std::fs::rename(&new, &file).with_context(|| format!("put {} in place", file.display()))
}

/// What a node makes of Services.
pub fn dispatch(node: &NodeFacts, services: &[ServicePlan]) -> Dispatch {
    let mut dispatch = Dispatch::new(node.clone());
    for service in services {
        dispatch.change(&service.key, Some(service));
    }
    dispatch
}

/// The tables that carry a dispatch, made from nothing.
pub fn tables(dispatch: &Dispatch) -> Result<[Canonical; 2]> {
    let [v4, v6] = FAMILIES.map(|family| {
        let (image, _) = Image::adopt(dispatch, family, None);
        canonical(&image.table(dispatch.node())).map_err(anyhow::Error::msg)
    });
    Ok([v4?, v6?])
}
