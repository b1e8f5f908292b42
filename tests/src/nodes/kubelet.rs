//! A node's kubelet: its configuration, its identity and its start. It is told only what differs on a machine that is no machine.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::kubeconfig::{self, Credentials};
use crate::process::Process;
use crate::tools::Tool;
use crate::topology;

use super::containerd;
use super::machine::Machine;

/// Writes its files into `disk` and starts it. `cgroup` is the group that it keeps its pods in.
pub(super) fn start(
    machine: &Machine,
    node: &topology::Node,
    control_plane: &ControlPlane,
    cgroup: &str,
    disk: &Path,
) -> Result<Process> {
    let certificates = control_plane.certificates();
    let identity = certificates.client(
        &format!("kubelet-{}", node.name),
        &format!("system:node:{}", node.name),
        Some("system:nodes"),
    )?;
    let kubeconfig = disk.join("kubelet.kubeconfig");
    let credentials = Credentials::Certificate(&identity);
    kubeconfig::write(&kubeconfig, control_plane.server(), &certificates.authority, &credentials)?;
    // No name outside the cluster is ever to be asked for: nobody would answer.
    let resolver = disk.join("resolv.conf");
    std::fs::write(&resolver, "").with_context(|| format!("write {}", resolver.display()))?;
    let path = disk.join("kubelet.json");
    let configuration = configuration(cgroup, &certificates.authority, &resolver);
    std::fs::write(&path, configuration.to_string()).with_context(|| format!("write {}", path.display()))?;
    machine
        .launch(&format!("kubelet-{}", node.name), Tool::Kubelet.path()?)
        .arg("--config")
        .arg(&path)
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .args([
            format!("--hostname-override={}", node.name),
            format!("--node-ip={},{}", node.v4, node.v6),
            "--cert-dir=/var/lib/kubelet/pki".into(),
        ])
        .start(control_plane.folder())
}

fn configuration(cgroup: &str, authority: &Path, resolver: &Path) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": { "anonymous": { "enabled": false }, "x509": { "clientCAFile": authority } },
        "containerRuntimeEndpoint": format!("unix://{}", containerd::SOCKET),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        // Machines that build and test still often have version 1.
        "failCgroupV1": false,
        "failSwapOn": false,
        // Its limits would be the machine's, which others use too.
        "enforceNodeAllocatable": [],
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": false,
        "clusterDNS": ["10.96.0.10"],
        "clusterDomain": "cluster.local",
        "resolvConf": resolver,
        // The place of the default is the machine's, not the node's.
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        // Rules of kubelet's own would stand beside those that are looked at.
        "makeIPTablesUtilChains": false,
        "serializeImagePulls": false,
    })
}
