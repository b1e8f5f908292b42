//! The pinned kube-proxy in nftables mode, run in a node's namespace as its own user: what Pointsman is measured against. It is told only
//! what it must be told there.

use anyhow::{Context, Result};
use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::kubeconfig::{self, Credentials};
use crate::process::{Launch, Process};
use crate::tools::Tool;
use crate::topology::{CLUSTER_CIDRS, Node};

/// Starts it on a node. `min_sync_period` is the least time between two of its syncs as a Go duration (`10ms`); `None` leaves its default.
pub fn start(control_plane: &ControlPlane, node: &Node, min_sync_period: Option<&str>) -> Result<Process> {
    let folder = control_plane.folder();
    let kubeconfig = folder.join("kube-proxy.kubeconfig");
    let certificates = control_plane.certificates();
    let credentials = Credentials::Certificate(&certificates.kube_proxy);
    kubeconfig::write(&kubeconfig, control_plane.server(), &certificates.authority, &credentials)?;
    let mut nftables = json!({});
    if let Some(period) = min_sync_period {
        nftables["minSyncPeriod"] = period.into();
    }
    let configuration = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "nftables": nftables,
        "hostnameOverride": node.name,
        "clientConnection": { "kubeconfig": kubeconfig },
        "detectLocalMode": "ClusterCIDR",
        "clusterCIDR": CLUSTER_CIDRS.join(","),
        // Those sysctls cannot be written in a namespace.
        "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
    });
    let path = folder.join(format!("kube-proxy-{}.json", node.name));
    std::fs::write(&path, configuration.to_string()).with_context(|| format!("write {}", path.display()))?;
    Launch::new(&format!("kube-proxy-{}", node.name), Tool::KubeProxy.path()?)
        .arg("--config")
        .arg(path)
        .netns(Some(&node.netns))
        .start(folder)
}
