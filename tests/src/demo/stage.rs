//! What the story is played on: the cluster, our programs in it, the pods, and the places that clients stand in. It acts; it claims
//! nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::chart::Chart;
use crate::cluster::Cluster;
use crate::command::run;
use crate::control_plane::ControlPlane;
use crate::netns::Netns;
use crate::process::Process;
use crate::tools::own_binary;
use crate::topology::Node;
use crate::wait;
use crate::workload::{RunningPod, Workload};

/// The nodes, as many as make a change that passes between two of them invisible to the third worth watching.
pub const NODES: u8 = 3;
/// Long enough for an agent that waits to retry, and for a status that may be written once in ten seconds.
pub const LIMIT: Duration = Duration::from_secs(45);

/// The running whole.
#[derive(Debug)]
pub struct Stage {
    // The programs must be gone before the cluster: fields drop in this order.
    controllers: BTreeMap<u16, Process>,
    agents: BTreeMap<usize, Process>,
    pods: BTreeMap<String, RunningPod>,
    cluster: Cluster,
    /// The controller's flags, as the chart's Deployment has them.
    flags: Vec<String>,
}

impl Stage {
    /// Network, control plane, chart and identities; none of our programs yet.
    pub fn build() -> Result<Self> {
        let chart = Chart::pointsman();
        let cluster = Cluster::start(NODES, &chart)?;
        let flags = controller_flags(&cluster, chart.namespace())?;
        // No kubelet runs what they ask for: left there, they would count pods that never come.
        let delete = ["delete", "deployments,daemonsets", "--all", "-n", chart.namespace()];
        cluster.control_plane.kubectl(&delete)?;
        let (controllers, agents, pods) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { controllers, agents, pods, cluster, flags })
    }

    /// The API server and how to speak to it.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.cluster.control_plane
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.cluster.topology.nodes
    }

    /// The namespace of etcd and API server.
    pub fn place_of_control_plane(&self) -> &Netns {
        &self.cluster.topology.control_plane
    }

    /// A place that is no part of the cluster.
    pub fn outside(&self) -> &Netns {
        &self.cluster.topology.outside
    }

    /// The network of a pod that was started.
    pub fn pod(&self, name: &str) -> Result<&Netns> {
        Ok(&self.pods.get(name).with_context(|| format!("no pod {name}"))?.network.netns)
    }

    /// Starts a controller, and waits until it is warm: one that leads or could lead at once.
    pub fn start_controller(&mut self, number: u16) -> Result<()> {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let process = self.cluster.start_controller(number, &flags)?;
        self.controllers.insert(number, process);
        let url = format!("http://127.0.0.1:{}/readyz", Cluster::controller_health_port(number));
        self.wait(&format!("controller-{number} to be ready"), |stage| {
            Ok(stage.status_of(stage.place_of_control_plane(), &url)? == "200")
        })
    }

    /// Kills a controller as a crash would.
    pub fn kill_controller(&mut self, number: u16) -> Result<()> {
        self.controllers.remove(&number).with_context(|| format!("no controller {number}"))?.kill()
    }

    /// Starts the agent of a node, counted from 0.
    pub fn start_agent(&mut self, node: usize) -> Result<()> {
        let process = self.cluster.start_agent(node, &[])?;
        self.agents.insert(node, process);
        Ok(())
    }

    /// Stops the agent of a node as an operator would, and gives the length of its log until then.
    pub fn stop_agent(&mut self, node: usize) -> Result<usize> {
        let agent = self.agents.remove(&node).with_context(|| format!("no agent on node {node}"))?;
        let log = agent.log_path().to_path_buf();
        agent.stop(Duration::from_secs(10))?;
        Ok(std::fs::read(log).context("read the agent's log")?.len())
    }

    /// What the agent of a node has logged after the first `from` bytes.
    pub fn agent_log(&self, node: usize, from: usize) -> Result<String> {
        let log = self.agents.get(&node).with_context(|| format!("no agent on node {node}"))?.log()?;
        Ok(log.get(from..).unwrap_or_default().to_owned())
    }

    /// Starts a pod on a node.
    pub fn start_pod(&mut self, node: usize, workload: Workload) -> Result<()> {
        let pod = self.cluster.start_pod(node, workload)?;
        self.pods.insert(pod.name().to_owned(), pod);
        Ok(())
    }

    /// Deletes a pod's object as `kubectl delete pod` does: it is terminating, and still answers.
    pub fn terminate_pod(&self, name: &str) -> Result<()> {
        self.pods.get(name).with_context(|| format!("no pod {name}"))?.terminate(self.control_plane())
    }

    /// Lets a pod end, with its network, as its kubelet does after the grace period.
    pub fn remove_pod(&mut self, name: &str) -> Result<()> {
        let pod = self.pods.remove(name).with_context(|| format!("no pod {name}"))?;
        pod.remove(&self.cluster.control_plane)
    }

    /// An error with the end of the log of whatever program of ours has ended by itself.
    pub fn all_run(&mut self) -> Result<()> {
        self.controllers.values_mut().chain(self.agents.values_mut()).try_for_each(Process::still_runs)
    }

    /// Runs kubectl as the administrator.
    pub fn kubectl(&self, line: &str) -> Result<String> {
        self.control_plane().kubectl(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// An object or a list, as JSON.
    pub fn get(&self, what: &str) -> Result<Value> {
        serde_json::from_str(&self.kubectl(&format!("get {what} -o json"))?)
            .with_context(|| format!("parse what kubectl printed of {what}"))
    }

    /// Waits until a look at the cluster says true; ends at once with the log of a program of ours that ended.
    pub fn wait(&mut self, what: &str, mut look: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        wait::until(what, LIMIT, || {
            self.all_run()?;
            look(self)
        })
    }

    /// Waits until every node says that it is ready and has in its kernel what the plan of a Service says now.
    pub fn wait_for_nodes(&mut self, plan: &str) -> Result<()> {
        let wanted = number(&self.get(&format!("serviceproxyplan {plan}"))?["metadata"]["resourceVersion"]);
        self.wait(&format!("all nodes to report the revision of {plan}"), |stage| {
            let plans = stage.get("nodeproxyplans")?;
            let nodes = plans["items"].as_array().context("a list of plans")?;
            let arrived =
                |node: &&Value| is_ready(node) && number(&node["status"]["programmed"]["revision"]) >= wanted;
            Ok(nodes.iter().filter(arrived).count() == usize::from(NODES))
        })
    }

    /// What the agent of a node (counted from 0) says about an address, from the API server's plans; the command and what it printed.
    pub fn explain(&self, node: usize, address: &str) -> Result<(String, String)> {
        let place = &self.nodes()[node];
        let mut command = place.netns.command(own_binary("pointsman-agent")?);
        command.args(["explain", address, "--node-name", &place.name, "--kubeconfig"]);
        let printed = run(command.arg(self.cluster.agent_kubeconfig(node)))?.success()?;
        Ok((format!("pointsman-agent explain {address} --node-name {}", place.name), printed))
    }

    /// The HTTP status with which a URL answers in a place; 000 if nobody answers.
    pub fn status_of(&self, place: &Netns, url: &str) -> Result<String> {
        let words = ["-sk", "--max-time", "3", "-w", "%{http_code}", "-o", "/dev/null", url];
        Ok(run(place.command("curl").args(words))?.stdout)
    }

    /// Asks for a page from a place, as a person would; the command and what it printed.
    pub fn curl(&self, place: &Netns, url: &str) -> Result<(String, String)> {
        let args = ["--silent", "--show-error", "--max-time", "3", url];
        let outcome = run(place.command("curl").args(args))?;
        let printed = if outcome.status.success() { outcome.stdout } else { outcome.stderr };
        Ok((format!("curl {url}"), printed.trim().to_owned()))
    }
}

/// The flags with which the chart starts the controller, but for those that say where one of several on one machine listens.
fn controller_flags(cluster: &Cluster, namespace: &str) -> Result<Vec<String>> {
    let name = format!("{namespace}/pointsman-controller");
    let args = cluster.read("deployment", &name, "/spec/template/spec/containers/0/args")?;
    let args: Vec<String> =
        serde_json::from_value(args).context("the arguments in the chart's Deployment")?;
    let own = ["--health-address", "--metrics-address", "--lease-namespace", "--log-format"];
    Ok(args.into_iter().filter(|flag| !own.iter().any(|name| flag.starts_with(name))).collect())
}

/// Whether a node's plan says that the kernel carries it.
pub fn is_ready(plan: &Value) -> bool {
    let conditions = plan["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// A resourceVersion as the number that it is; absent counts as older than all.
fn number(version: &Value) -> u64 {
    version.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}
