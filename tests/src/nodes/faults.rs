//! What may befall a node: power failures, reboots, and a lost API server. The rules of a cut stand on the control plane's side: on the node,
//! where rules are looked at, nothing changes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::command::{run, run_with_input};
use crate::netns::Netns;
use crate::topology::Node;

use super::RealCluster;

/// A cut connection, mended on drop.
#[derive(Debug)]
pub struct ApiCut {
    place: PathBuf,
    table: String,
}

impl RealCluster {
    /// Switches a node off, as a power failure does: all its processes, mounts, rules and links are gone, its disk stays.
    pub fn switch_off_node(&mut self, node: usize) -> Result<()> {
        self.nodes[node].switch_off();
        self.record.update(&self.nodes)?;
        self.topology.renew_node(node)
    }

    /// Switches a node on again. It does not wait.
    pub fn switch_on_node(&mut self, node: usize) -> Result<()> {
        self.nodes[node].switch_on(&self.control_plane, &self.topology.nodes[node])?;
        self.record.update(&self.nodes)
    }

    /// Switches a node off and on again at once. It does not wait: the API server hears of it when its kubelet is back.
    pub fn reboot_node(&mut self, node: usize) -> Result<()> {
        self.switch_off_node(node)?;
        self.switch_on_node(node)
    }

    /// Cuts a node and its pods off the API server, both ways, until the value is dropped. Nothing changes on the node itself.
    pub fn cut_off_api(&self, node: usize) -> Result<ApiCut> {
        ApiCut::make(&self.topology.control_plane, &self.topology.nodes[node])
    }
}

impl ApiCut {
    /// Drops whatever the control plane itself gets from a node or its pods, and what it sends to them. What only crosses the bridge is not
    /// touched.
    fn make(control_plane: &Netns, node: &Node) -> Result<Self> {
        let cut = Self { place: control_plane.path(), table: format!("cut-{}", node.name) };
        let [range4, range6] = node.pod_cidrs();
        // At the bridge: TCP would be told of packets that are dropped before, and try again twice a second instead of ever more seldom.
        let rules = format!(
            "table bridge {0} {{\n  chain input {{\n    type filter hook input priority 0\n\
                 ip saddr {{ {1}, {range4} }} drop\n    ip6 saddr {{ {2}, {range6} }} drop\n  }}\n  \
               chain output {{\n    type filter hook output priority 0\n\
                 ip daddr {{ {1}, {range4} }} drop\n    ip6 daddr {{ {2}, {range6} }} drop\n  }}\n}}\n",
            cut.table, node.v4, node.v6
        );
        run_with_input(cut.nft().args(["-f", "-"]), &rules)?.success()?;
        Ok(cut)
    }

    fn nft(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.place.display())).args(["--", "nft"]);
        command
    }
}

impl Drop for ApiCut {
    fn drop(&mut self) {
        // If the whole control plane is gone, so are the rules.
        let _ = run(self.nft().args(["delete", "table", "bridge", &self.table]));
    }
}
