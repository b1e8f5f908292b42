//! A real cluster on one machine: etcd, API server, kube-controller-manager, kube-scheduler, and two nodes with kubelet, containerd, CNI and
//! CoreDNS, in namespaces. Nobody proxies Services in it until the caller installs Pointsman (or asks for kube-proxy). It changes nothing
//! outside its own namespaces, folders and control groups, and leaves none of them.
//!
//! ```no_run
//! # use pointsman_tests::nodes::{Options, Proxy, RealCluster, Slices};
//! # fn main() -> anyhow::Result<()> {
//! let mut cluster = RealCluster::up(Options { slices: Slices::Manage, proxy: Proxy::Pointsman })?; // Nodes Ready, no Service works yet
//! cluster.install(&[("proxy.sync.verifyPeriod", "10s")])?; // helm upgrade --install --wait with these values over `base_values`
//! cluster.client_pod("default/client", Some(0))?; // an agnhost pod on the first node, Ready
//! cluster.exec("default/client", &["curl", "-s", "http://web"])?;
//! cluster.node(0).nft(&["list", "table", "ip", "pointsman"])?;
//! cluster.outside().run(&["curl", "-s", "http://10.200.0.11:30080/hostname"])?; // a client that is no part of the cluster
//! let cut = cluster.cut_off_api(0)?; // until `cut` is dropped
//! drop(cut);
//! cluster.reboot_node(0)?; // also switch_off_node, switch_on_node
//! cluster.explained(cluster.kubectl(&["get", "nodes"]))?; // on an error everything that could explain it goes into target/cluster/logs
//! cluster.down()?; // an error names what is left; a drop takes down too, without a word
//! # Ok(())
//! # }
//! ```
//!
//! Addresses are those of [`crate::topology`]. Images come from files: `tests/tools/images pause coredns agnhost`, and
//! `make image` for our own. `tests/tools/build` makes the programs. It needs root and what `scripts/setup cluster` installs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::command::Outcome;
use crate::control_plane::{ControlPlane, Settings};
use crate::netns::Netns;
use crate::privilege::is_root;
use crate::process::Process;
use crate::topology::{CONTROL_PLANE, Topology};

mod cgroups;
mod containerd;
mod controllers;
mod faults;
mod images;
pub mod kept;
mod kubelet;
mod logs;
mod machine;
mod node;
mod pods;
mod record;
mod release;
mod remains;

pub use faults::ApiCut;
pub use images::{AGNHOST, pointsman_image};
pub use node::RealNode;
use record::Forget;
pub use record::{Record, sweep};
pub use release::NAMESPACE;
pub use remains::Remains;

/// What to bring up.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Who writes EndpointSlices.
    pub slices: Slices,
    /// Who proxies Services.
    pub proxy: Proxy,
}

/// Who writes EndpointSlices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slices {
    /// Pointsman: kube-controller-manager runs without its two controllers of slices, and the chart is installed in that mode.
    Manage,
    /// kube-controller-manager.
    Consume,
}

/// Who proxies Services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// Pointsman: its image is on the nodes, and [`RealCluster::install`] installs the chart.
    Pointsman,
    /// kube-proxy in nftables mode, on every node from the start.
    KubeProxy,
    /// Nobody.
    Nothing,
}

/// The cluster. It is taken down on drop.
#[derive(Debug)]
pub struct RealCluster {
    // What needs the API server and the networks ends before them.
    nodes: Vec<RealNode>,
    _scheduler: Process,
    controllers: Process,
    control_plane: ControlPlane,
    topology: Topology,
    options: Options,
    record: Record,
    // Last: while anything is left, the record tells where.
    _forget: Forget,
}

impl RealCluster {
    /// Brings it up and waits until both nodes are Ready. CoreDNS waits for a proxy. What dead runs have left is removed first.
    pub fn up(options: Options) -> Result<Self> {
        ensure!(is_root(), "a cluster is made of namespaces and control groups: run this as root");
        sweep()?;
        let archives = images::archives(options.proxy)?;
        let topology = Topology::create(2)?;
        let place = Some((&topology.control_plane, CONTROL_PLANE.0.into()));
        let settings = Settings { place, kubelets: true, ..Settings::default() };
        let control_plane = ControlPlane::start_with(settings)?;
        let record = Record::write(&topology, &control_plane)?;
        let theirs = options.slices == Slices::Consume || options.proxy == Proxy::KubeProxy;
        let mut cluster = Self {
            nodes: vec![],
            _scheduler: controllers::start_scheduler(&control_plane, &topology.control_plane)?,
            controllers: controllers::start_controllers(&control_plane, &topology.control_plane, theirs)?,
            control_plane,
            topology,
            options,
            _forget: Forget::of(&record),
            record,
        };
        let begun = cluster.begin(&archives);
        cluster.explained(begun)?;
        Ok(cluster)
    }

    /// Starts kube-controller-manager anew, with its controllers of slices or without them; [`RealCluster::install`] follows suit.
    pub fn leave_slices_to(&mut self, slices: Slices) -> Result<()> {
        self.options.slices = slices;
        self.controllers.terminate(Duration::from_secs(10))?;
        let theirs = slices == Slices::Consume;
        self.controllers =
            controllers::start_controllers(&self.control_plane, &self.topology.control_plane, theirs)?;
        Ok(())
    }

    /// Takes it down; an error names what could not be removed.
    pub fn down(self) -> Result<()> {
        let remains = Remains::of(&self)?;
        drop(self);
        let found = remains.found()?;
        ensure!(found.is_empty(), "the cluster is down, but there still is: {}", found.join(", "));
        Ok(())
    }

    /// Runs kubectl as the administrator; an error if it fails.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.control_plane.kubectl(args)
    }

    /// Runs kubectl as the administrator, and tells how it ended.
    pub fn kubectl_outcome(&self, args: &[&str]) -> Result<Outcome> {
        self.control_plane.kubectl_outcome(self.control_plane.admin(), args, "")
    }

    /// Applies manifests (YAML or JSON) on the server's side, as the administrator.
    pub fn apply(&self, manifests: &str) -> Result<()> {
        self.control_plane.apply(manifests).map(drop)
    }

    /// Runs helm as the administrator; an error if it fails.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        self.control_plane.helm(args)
    }

    /// The control plane, with its audit log and its folder of logs.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The API server's address, as nodes and pods of the host network reach it.
    pub fn api_address(&self) -> SocketAddr {
        SocketAddr::new(CONTROL_PLANE.0.into(), 6443)
    }

    /// A node, counted from 0.
    pub fn node(&self, node: usize) -> &RealNode {
        &self.nodes[node]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[RealNode] {
        &self.nodes
    }

    /// The network of a client that is no part of the cluster. It has no routes to service or pod addresses: a test that wants one adds it.
    pub fn outside(&self) -> &Netns {
        &self.topology.outside
    }

    /// What `kubectl` runs in; upstream's tests run there too.
    pub fn place_of_control_plane(&self) -> &Netns {
        &self.topology.control_plane
    }

    /// The options that it was brought up with.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Where its processes and files are.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Lets other processes find it, as `make cluster` leaves it.
    pub fn keep(&mut self) -> Result<()> {
        self.record.keep()
    }

    /// Loads the images of an archive on every node that is on.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        self.on_nodes(|node| node.import(archive))
    }

    /// Gives an image one more name on every node that is on. Names are whole: `docker.io/library/pointsman:0.1.0`.
    pub fn tag_image(&self, from: &str, to: &str) -> Result<()> {
        self.on_nodes(|node| node.tag(from, to))
    }

    /// Waits until every node is Ready.
    pub fn wait_for_nodes(&self) -> Result<()> {
        self.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", "nodes", "--all"]).map(drop)
    }

    fn begin(&mut self, archives: &[PathBuf]) -> Result<()> {
        self.start_nodes(archives)?;
        self.apply(include_str!("coredns.yaml"))?;
        self.wait_for_nodes()
    }

    fn start_nodes(&mut self, archives: &[PathBuf]) -> Result<()> {
        let kube_proxy = self.options.proxy == Proxy::KubeProxy;
        for place in &self.topology.nodes {
            self.nodes.push(RealNode::register(&self.control_plane, place, kube_proxy)?);
        }
        let (control_plane, places) = (&self.control_plane, &self.topology.nodes);
        let nodes = self.nodes.iter_mut().zip(places);
        in_parallel(nodes.map(|(node, place)| {
            move || {
                node.switch_on(control_plane, place)?;
                archives.iter().try_for_each(|archive| node.import(archive))
            }
        }))?;
        self.record.update(&self.nodes)
    }

    fn on_nodes(&self, work: impl Fn(&RealNode) -> Result<()> + Sync) -> Result<()> {
        let work = &work;
        in_parallel(self.nodes.iter().filter(|node| node.is_on()).map(|node| move || work(node)))
    }
}

/// Does all at once, and gives the first error.
fn in_parallel<W: FnOnce() -> Result<()> + Send>(works: impl Iterator<Item = W>) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<ScopedJoinHandle<'_, Result<()>>> = works.map(|work| scope.spawn(work)).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|result| result.map_err(|_| anyhow!("a thread panicked")).flatten())
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<Result<()>>()
            .context("work on the nodes")
    })
}
