//! Pods as a kubelet would run them: a namespace with a server in it, and a Pod object whose status tells of it. No container is run, and
//! nothing but the pod's own object is written.

use anyhow::Result;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::topology::{Node, Pod};
use crate::traffic::{Server, Transport};

/// What pod to start.
#[derive(Debug, Clone)]
pub struct Workload {
    namespace: String,
    name: String,
    labels: Vec<(String, String)>,
    ports: Vec<(String, Transport, u16)>,
}

/// A pod that answers. Its network goes with this value; its object stays until [`RunningPod::remove`] or [`RunningPod::terminate`].
#[derive(Debug)]
pub struct RunningPod {
    // First: the server must be gone before its namespace.
    server: Option<Server>,
    /// Its network.
    pub network: Pod,
    namespace: String,
    name: String,
    node_address: String,
}

impl Workload {
    /// A pod with a name in a namespace that exists.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into(), labels: vec![], ports: vec![] }
    }

    /// Adds a label.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Adds a port with a name, at which the pod answers with its own name.
    pub fn port(mut self, name: &str, transport: Transport, port: u16) -> Self {
        self.ports.push((name.into(), transport, port));
        self
    }

    /// Starts it on a node, and reports it as ready.
    pub fn start(self, control_plane: &ControlPlane, node: &mut Node) -> Result<RunningPod> {
        let network = node.add_pod()?;
        let ports: Vec<_> = self.ports.iter().map(|(_, transport, port)| (*transport, *port)).collect();
        let server = Server::start(&network.netns, &self.name, &ports)?;
        control_plane.apply(&self.object(&node.name).to_string())?;
        let pod = RunningPod {
            server: Some(server),
            network,
            namespace: self.namespace,
            name: self.name,
            node_address: node.v4.to_string(),
        };
        pod.report(control_plane, true)?;
        Ok(pod)
    }

    fn object(&self, node: &str) -> Value {
        let labels: serde_json::Map<String, Value> =
            self.labels.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let ports: Vec<Value> = self
            .ports
            .iter()
            .map(|(name, transport, port)| {
                let protocol = match transport {
                    Transport::Tcp => "TCP",
                    Transport::Udp => "UDP",
                };
                json!({ "name": name, "containerPort": port, "protocol": protocol })
            })
            .collect();
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": self.name, "namespace": self.namespace, "labels": labels },
            "spec": {
                "nodeName": node,
                "containers": [{ "name": "server", "image": "none.invalid/server", "ports": ports }],
            },
        })
    }
}

impl RunningPod {
    /// The name of its object, and of its server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the status of a running pod that passes its readiness probe, or does not.
    pub fn report(&self, control_plane: &ControlPlane, ready: bool) -> Result<()> {
        let container = json!({
            "name": "server", "ready": ready, "started": true, "restartCount": 0, "state": { "running": {} },
            "image": "none.invalid/server", "imageID": "",
        });
        let ready = if ready { "True" } else { "False" };
        let addresses = self.network.addresses().map(|address| json!({ "ip": address.to_string() }));
        let status = json!({ "status": {
            "phase": "Running",
            "hostIP": self.node_address,
            "podIP": self.network.v4.to_string(),
            "podIPs": addresses,
            "containerStatuses": [container],
            "conditions": [
                { "type": "ContainersReady", "status": ready },
                { "type": "Ready", "status": ready },
            ],
        }});
        let patch = status.to_string();
        self.kubectl(
            control_plane,
            &["patch", "pod", &self.name, "--subresource=status", "--type=merge", "-p", &patch],
        )
    }

    /// Marks it as terminating, as a deletion does while the pod still has its grace period: it goes on answering.
    pub fn terminate(&self, control_plane: &ControlPlane) -> Result<()> {
        self.kubectl(control_plane, &["delete", "pod", &self.name, "--wait=false"])
    }

    /// Removes the object for good, and with this value the network.
    pub fn remove(self, control_plane: &ControlPlane) -> Result<()> {
        self.kubectl(control_plane, &["delete", "pod", &self.name, "--grace-period=0", "--force"])
    }

    /// Stops answering while the network and the object stay, as a crashed program does.
    pub fn crash(&mut self) {
        self.server = None;
    }

    fn kubectl(&self, control_plane: &ControlPlane, args: &[&str]) -> Result<()> {
        let all: Vec<&str> = args.iter().copied().chain(["-n", &self.namespace]).collect();
        control_plane.kubectl(&all).map(drop)
    }
}
