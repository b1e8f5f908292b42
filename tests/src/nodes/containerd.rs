//! A node's containerd: its configuration, its start, and the images that are put into it from files. It knows no registry.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::command::run;
use crate::process::Process;
use crate::topology;

use super::machine::Machine;

/// Where it listens, inside the node.
pub(super) const SOCKET: &str = "/run/containerd/containerd.sock";

/// The image of every pod's first process: `tests/tools/images` makes it under this name.
const SANDBOX_IMAGE: &str = "registry.k8s.io/pause:3.10.2";

/// Writes its configuration into `disk`, starts it, and waits until it listens.
pub(super) fn start(machine: &Machine, node: &topology::Node, disk: &Path, logs: &Path) -> Result<Process> {
    let networks = disk.join("networks");
    std::fs::create_dir_all(&networks).with_context(|| format!("make {}", networks.display()))?;
    write(&networks.join("pods.conflist"), &network(node).to_string())?;
    let path = disk.join("containerd.toml");
    write(&path, &configuration(&networks))?;
    let mut containerd = machine
        .launch(&format!("containerd-{}", node.name), "containerd")
        .arg("--config")
        .arg(&path)
        .start(logs)?;
    machine.wait_for_socket(SOCKET, &mut containerd)?;
    Ok(containerd)
}

/// Puts the images of a docker-archive or OCI archive into it.
pub(super) fn import(machine: &Machine, archive: &Path) -> Result<()> {
    run(machine.command("ctr").args(["--namespace", "k8s.io", "images", "import"]).arg(archive))?
        .success()
        .map(drop)
}

/// Gives an image one more name.
pub(super) fn tag(machine: &Machine, from: &str, to: &str) -> Result<()> {
    run(machine.command("ctr").args(["--namespace", "k8s.io", "images", "tag", "--force", from, to]))?
        .success()
        .map(drop)
}

fn configuration(networks: &Path) -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
address = "{SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{SANDBOX_IMAGE}"
# It cannot lower the score below that of its parent, which is no daemon of the machine.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{}"
"#,
        networks.display()
    )
}

/// A routed link for each pod, with an address of each family, and host ports.
fn network(node: &topology::Node) -> serde_json::Value {
    let ranges = node.pod_cidrs().map(|range| json!([{ "subnet": range }]));
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            { "type": "ptp", "ipam": {
                "type": "host-local",
                "ranges": ranges,
                "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
            } },
            { "type": "portmap", "capabilities": { "portMappings": true }, "snat": true },
        ],
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
