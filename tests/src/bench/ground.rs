//! What both proxies are measured on: one cluster, a node for each, and a place outside where every endpoint answers. It measures
//! nothing.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

use crate::chart::Chart;
use crate::cluster::Cluster;
use crate::control_plane::ControlPlane;
use crate::topology::{CLUSTER_CIDRS, Node, OUTSIDE};

/// The addresses of all endpoints: a part of the pods' range that belongs to no node.
const ENDPOINTS: &str = "10.244.128.0/17";
/// Where endpoints listen.
pub const ENDPOINT_PORT: u16 = 8080;
/// Deep enough that no connection waits for the thread that accepts.
const BACKLOG: i32 = 4096;

/// The cluster, with all endpoints listening.
#[derive(Debug)]
pub struct Ground {
    /// The first node is kube-proxy's, the second ours.
    pub cluster: Cluster,
}

impl Ground {
    /// Builds it. Nobody proxies yet.
    pub fn build() -> Result<Self> {
        let cluster = Cluster::start(2, &Chart::pointsman())?;
        let ground = Self { cluster };
        ground.listen()?;
        let (gateway, _) = OUTSIDE;
        for node in &ground.cluster.topology.nodes {
            // Service addresses nobody translates go there too, and are refused at once: whoever waits for a Service sees in
            // microseconds that it is not there yet.
            node.netns.ip(&format!(
                "route add {ENDPOINTS} via {gateway}\nroute add 10.96.0.0/16 via {gateway}\n"
            ))?;
        }
        Ok(ground)
    }

    /// The API server and how to speak to it.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.cluster.control_plane
    }

    /// kube-proxy's node.
    pub fn their_node(&self) -> &Node {
        &self.cluster.topology.nodes[0]
    }

    /// Our agent's node.
    pub fn our_node(&self) -> &Node {
        &self.cluster.topology.nodes[OUR_NODE]
    }

    /// The flags of our controller: both proxies recognise local traffic in the same way.
    pub fn controller_flags() -> [String; 3] {
        [
            "--endpoint-slices=Consume".to_owned(),
            "--detect-local-mode=ClusterCIDR".to_owned(),
            format!("--cluster-cidrs={}", CLUSTER_CIDRS.join(",")),
        ]
    }

    /// One socket answers for all endpoints: the whole range is local there (AnyIP).
    fn listen(&self) -> Result<()> {
        let place = &self.cluster.topology.outside;
        place.ip(&format!("route add local {ENDPOINTS} dev lo\nroute add local 10.96.0.0/16 dev lo\n"))?;
        let socket = place.enter(|| -> Result<Socket> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, ENDPOINT_PORT)).into())?;
            socket.listen(BACKLOG)?;
            Ok(socket)
        })?;
        let socket = socket.context("listen as all endpoints")?;
        // It ends with the program.
        std::thread::spawn(move || while socket.accept().is_ok() {});
        Ok(())
    }
}

/// Which of the nodes is ours, counted from 0.
pub const OUR_NODE: usize = 1;
