//! The cluster of a course and what lives in it: a Deployment with its Services, a client pod on each node, and the places from which
//! clients ask. It looks at objects and finds places; what happens to them is the stages' affair.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result};
use pointsman_crds::{NodeProxyPlan, ServiceProxyPlan};
use pointsman_tests::nodes::{NAMESPACE, Options, Proxy, RealCluster};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clients::{Through, Way};
use crate::pods::{PodSeen, addresses, network_of};

/// The client pods, one on each node.
pub const CLIENTS: [&str; 2] = ["client-1", "client-2"];

/// What lives in the cluster beside them.
pub const WORKLOAD: &str = include_str!("workload.yaml");

/// The node port of the Service `web`.
pub const NODE_PORT: u16 = 30080;

/// The port at which every pod of the test image answers.
pub const POD_PORT: u16 = 8080;

/// A cluster with its workload.
#[derive(Debug)]
pub struct World {
    /// The cluster.
    pub cluster: RealCluster,
    /// Each node's ruleset before anybody proxied.
    pub first_rulesets: Vec<String>,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

impl World {
    /// Brings the cluster up, and what lives in it. With Pointsman, nobody proxies yet.
    pub fn build(options: Options) -> Result<Self> {
        let cluster = RealCluster::up(options)?;
        let first_rulesets =
            cluster.nodes().iter().map(|node| node.nft(&["list", "ruleset"])).collect::<Result<_>>()?;
        cluster.apply(WORKLOAD)?;
        for (node, client) in CLIENTS.iter().enumerate() {
            cluster.client_pod(&format!("default/{client}"), Some(node))?;
        }
        let world = Self { cluster, first_rulesets };
        world.rolled_out("default", "deployment/web")?;
        Ok(world)
    }

    /// Whether Pointsman proxies here.
    pub fn has_pointsman(&self) -> bool {
        self.cluster.options().proxy == Proxy::Pointsman
    }

    /// Waits until a Deployment or DaemonSet is what it should be.
    pub fn rolled_out(&self, namespace: &str, workload: &str) -> Result<()> {
        self.cluster.kubectl(&["rollout", "status", "-n", namespace, workload, "--timeout=120s"]).map(drop)
    }

    /// Waits until both parts of Pointsman are what they should be.
    pub fn own_rolled_out(&self) -> Result<()> {
        self.rolled_out(NAMESPACE, "daemonset/pointsman-agent")?;
        self.rolled_out(NAMESPACE, "deployment/pointsman-controller")
    }

    /// Objects, by the arguments that `kubectl get` would have.
    pub fn list<T: DeserializeOwned>(&self, args: &[&str]) -> Result<Vec<T>> {
        let text = self.cluster.kubectl(&[&["get", "-o", "json"], args].concat())?;
        let items: Items<T> =
            serde_json::from_str(&text).with_context(|| format!("read {}", args.join(" ")))?;
        Ok(items.items)
    }

    /// One object.
    pub fn get(&self, args: &[&str]) -> Result<Value> {
        let text = self.cluster.kubectl(&[&["get", "-o", "json"], args].concat())?;
        serde_json::from_str(&text).with_context(|| format!("read {}", args.join(" ")))
    }

    /// The pods of a namespace that a selector names; an empty one names all.
    pub fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<PodSeen>> {
        let pods: Vec<Value> = self.list(&["pods", "-n", namespace, "-l", selector])?;
        Ok(pods.iter().map(PodSeen::read).collect())
    }

    /// The pods of Pointsman itself: `agent` or `controller`.
    pub fn own_pods(&self, component: &str) -> Result<Vec<PodSeen>> {
        self.pods(NAMESPACE, &format!("app.kubernetes.io/component={component}"))
    }

    /// All pods with a network of their own.
    pub fn all_pods(&self) -> Result<Vec<PodSeen>> {
        let pods: Vec<Value> = self.list(&["pods", "-A"])?;
        Ok(pods.iter().map(PodSeen::read).filter(|pod| !pod.host_network).collect())
    }

    /// The container of every pod on a node, by the pod's name.
    pub fn containers_on(&self, node: usize) -> Result<BTreeMap<String, String>> {
        let name = self.cluster.node(node).name();
        let here = self.everybody()?.into_iter().filter(|pod| pod.node == name);
        Ok(here.map(|pod| (pod.name, pod.container)).collect())
    }

    /// Whether the same pods have other containers now, and all are Ready. Nothing less shows that a node is back: until its kubelet speaks,
    /// the API server remembers how everything was.
    pub fn are_restarted(&self, before: &BTreeMap<String, String>) -> Result<bool> {
        let pods = self.everybody()?;
        let is_new = |(name, container): (&String, &String)| {
            pods.iter().any(|pod| pod.name == *name && pod.container != *container && pod.ready)
        };
        Ok(before.iter().all(is_new))
    }

    fn everybody(&self) -> Result<Vec<PodSeen>> {
        Ok([self.all_pods()?, self.own_pods("agent")?, self.own_pods("controller")?].concat())
    }

    /// What every node carries.
    pub fn node_plans(&self) -> Result<Vec<NodeProxyPlan>> {
        self.list(&["nodeproxyplans"])
    }

    /// How every Service is proxied.
    pub fn service_plans(&self) -> Result<Vec<ServiceProxyPlan>> {
        self.list(&["serviceproxyplans", "-A"])
    }

    /// The cluster addresses of a Service in namespace `default`, IPv4 first.
    pub fn cluster_addresses(&self, service: &str) -> Result<Vec<IpAddr>> {
        Ok(addresses(&self.get(&["service", service])?["spec"]["clusterIPs"], |address| address))
    }

    /// The addresses of a node, IPv4 first.
    pub fn node_addresses(&self, node: usize) -> Result<Vec<IpAddr>> {
        let object = self.get(&["node", self.cluster.node(node).name()])?;
        let internal = |entry: &Value| entry["type"] == "InternalIP";
        let list = object["status"]["addresses"].as_array().context("a Node without addresses")?;
        let entries: Vec<Value> = list.iter().filter(|entry| internal(entry)).cloned().collect();
        Ok(addresses(&Value::Array(entries), |entry| &entry["address"]))
    }

    /// The network of the client pod on a node.
    pub fn client_network(&self, node: usize) -> Result<PathBuf> {
        let seen = self.get(&["pod", CLIENTS[node]])?;
        let address = PodSeen::read(&seen).addresses.first().copied().context("a client without address")?;
        network_of(self.cluster.node(node), address)
    }

    /// The network of a node.
    pub fn node_network(&self, node: usize) -> Result<PathBuf> {
        Ok(PathBuf::from(format!("/proc/{}/ns/net", self.cluster.node(node).first_process()?)))
    }

    /// All ways to the Service `web` from and through some nodes: to its cluster addresses from client pods and from the nodes
    /// themselves, to its node port from outside.
    pub fn ways(&self, nodes: &[usize]) -> Result<Vec<Way>> {
        let cluster_addresses = self.cluster_addresses("web")?;
        let mut ways = vec![];
        for node in nodes {
            let name = self.cluster.node(*node).name();
            let (pod, host) = (self.client_network(*node)?, self.node_network(*node)?);
            for address in &cluster_addresses {
                let target = SocketAddr::new(*address, 80);
                ways.push(Way::new(CLIENTS[*node], Through::ClusterIp, &pod, target));
                ways.push(Way { shared: true, ..Way::new(name, Through::ClusterIp, &host, target) });
            }
            for address in self.node_addresses(*node)? {
                let target = SocketAddr::new(address, NODE_PORT);
                ways.push(Way::new("outside", Through::NodePort, &self.cluster.outside().path(), target));
            }
        }
        Ok(ways)
    }

    /// All ways to the Service `web`.
    pub fn all_ways(&self) -> Result<Vec<Way>> {
        self.ways(&[0, 1])
    }

    /// The name of the controller's pod that leads.
    pub fn leader(&self) -> Result<String> {
        let lease = self.get(&["lease", "pointsman-controller", "-n", NAMESPACE])?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        Ok(holder.to_owned())
    }

    /// The node, counted from 0, on which the leader runs.
    pub fn node_of_leader(&self) -> Result<usize> {
        let leader = self.leader()?;
        let pod = self.own_pods("controller")?.into_iter().find(|pod| pod.name == leader);
        let node = pod.with_context(|| format!("the leader {leader:?} has no pod"))?.node;
        self.cluster.nodes().iter().position(|known| known.name() == node).context("a node of that name")
    }
}
