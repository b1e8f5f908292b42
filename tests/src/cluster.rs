//! A cluster of namespaces: a topology, a control plane on its bridge, Node objects, the chart's kinds, roles and policies, and the
//! identities of controller and agents. It starts our programs as the chart would, never as the administrator.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::chart::Chart;
use crate::control_plane::{ControlPlane, Settings};
use crate::process::{Launch, Process};
use crate::tools::own_binary;
use crate::topology::{CONTROL_PLANE, Node, Topology};
use crate::workload::{RunningPod, Workload};

/// A cluster without pods.
#[derive(Debug)]
pub struct Cluster {
    // First: the programs must be gone before their namespaces.
    /// Its API server.
    pub control_plane: ControlPlane,
    /// Its network.
    pub topology: Topology,
    namespace: String,
    controller: PathBuf,
    agents: Vec<PathBuf>,
}

impl Cluster {
    /// Makes the network, starts the control plane in it, writes the Node objects, installs the chart, and makes a token for the controller
    /// and one for each agent, bound to its Node.
    pub fn start(nodes: u8, chart: &Chart) -> Result<Self> {
        let topology = Topology::create(nodes)?;
        let place = Some((&topology.control_plane, IpAddr::V4(CONTROL_PLANE.0)));
        let control_plane = ControlPlane::start_with(Settings { place, ..Settings::default() })?;
        for node in &topology.nodes {
            register(&control_plane, node)?;
        }
        chart.install(&control_plane)?;
        let namespace = chart.namespace().to_owned();
        let token = control_plane.create_token(&namespace, "pointsman-controller", None)?;
        let controller = control_plane.kubeconfig_for("controller", &token)?;
        let agents = topology.nodes.iter().map(|node| {
            let token = control_plane.create_token(&namespace, "pointsman-agent", Some(&node.name))?;
            control_plane.kubeconfig_for(&format!("agent-{}", node.name), &token)
        });
        let agents = agents.collect::<Result<Vec<_>>>()?;
        Ok(Self { control_plane, topology, namespace, controller, agents })
    }

    /// Starts a controller in the control plane's namespace. `number` tells several apart: it makes their names, identities and ports.
    pub fn start_controller(&self, number: u16, flags: &[&str]) -> Result<Process> {
        let name = format!("controller-{number}");
        Launch::new(&name, own_binary("pointsman-controller")?)
            .arg("run")
            .arg("--kubeconfig")
            .arg(&self.controller)
            .args(["--identity", &name, "--lease-namespace", &self.namespace])
            .arg(format!("--health-address=127.0.0.1:{}", Self::controller_health_port(number)))
            .arg(format!("--metrics-address=127.0.0.1:{}", 10269 + 10 * number))
            .args(flags.iter().copied())
            .netns(Some(&self.topology.control_plane))
            .start(self.control_plane.folder())
    }

    /// Where a controller says on loopback whether it is ready.
    pub fn controller_health_port(number: u16) -> u16 {
        10268 + 10 * number
    }

    /// Starts the agent of a node (counted from 0) in that node's namespace; its state folder outlives the process.
    pub fn start_agent(&self, node: usize, flags: &[&str]) -> Result<Process> {
        let (place, kubeconfig) = (&self.topology.nodes[node], &self.agents[node]);
        Launch::new(&format!("agent-{}", place.name), own_binary("pointsman-agent")?)
            .args(["run", "--node-name", &place.name, "--kubeconfig"])
            .arg(kubeconfig)
            .arg("--state-dir")
            .arg(self.control_plane.folder().join(format!("state-{}", place.name)))
            .args(flags.iter().copied())
            .netns(Some(&place.netns))
            .start(self.control_plane.folder())
    }

    /// The kubeconfig of the agent of a node (counted from 0).
    pub fn agent_kubeconfig(&self, node: usize) -> &Path {
        &self.agents[node]
    }

    /// Starts a pod on a node (counted from 0), ready at once.
    pub fn start_pod(&mut self, node: usize, workload: Workload) -> Result<RunningPod> {
        workload.start(&self.control_plane, &mut self.topology.nodes[node])
    }

    /// The value of a field of an object, by a JSON pointer; null where there is none.
    pub fn read(&self, kind: &str, name: &str, pointer: &str) -> Result<Value> {
        let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
        let text = self.control_plane.kubectl(&["get", kind, name, "-n", namespace, "-o", "json"])?;
        let object: Value = serde_json::from_str(&text).with_context(|| format!("parse {kind} {name}"))?;
        Ok(object.pointer(pointer).cloned().unwrap_or_default())
    }
}

/// Writes the Node object as its kubelet would: ranges, zone, addresses, ready.
fn register(control_plane: &ControlPlane, node: &Node) -> Result<()> {
    let object = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": node.name, "labels": {
            "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux",
            "topology.kubernetes.io/zone": node.zone(),
        }},
        "spec": { "podCIDR": node.pod_cidrs()[0], "podCIDRs": node.pod_cidrs() },
    });
    control_plane.apply(&object.to_string())?;
    let status = json!({ "status": {
        "addresses": [
            { "type": "InternalIP", "address": node.v4.to_string() },
            { "type": "InternalIP", "address": node.v6.to_string() },
            { "type": "Hostname", "address": node.name },
        ],
        "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
    }});
    let patch = status.to_string();
    let args = ["patch", "node", &node.name, "--subresource=status", "--type=merge", "-p", &patch];
    control_plane.kubectl(&args).map(drop)
}
