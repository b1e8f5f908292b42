//! A cluster's network without a cluster: a bridge with the control plane on it, nodes, pods inside nodes, and a place outside. It makes
//! links, addresses, routes and forwarding; it programs no service.
//!
//! ```text
//!   control plane          outside                 10.200.0.1, fd00:200::1 and 10.200.0.200, fd00:200::200
//!        └─── bridge ────────┤
//!        ┌──────┴──────┐                           10.200.0.11, fd00:200::11 and so on
//!      node 1        node 2  …
//!      ┌─┴─┐         ┌─┴─┐                         10.244.<node>.2, fd00:244:<node>::2 and so on
//!     pod pod       pod pod
//! ```

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};

use crate::netns::{Netns, ip_batch, remove_leftovers};

/// The control plane's addresses on the bridge.
pub const CONTROL_PLANE: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(10, 200, 0, 1), Ipv6Addr::new(0xfd00, 0x200, 0, 0, 0, 0, 0, 1));

/// The addresses of the place outside.
pub const OUTSIDE: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(10, 200, 0, 200), Ipv6Addr::new(0xfd00, 0x200, 0, 0, 0, 0, 0, 0x200));

/// The ranges of all pods, as a cluster's configuration names them.
pub const CLUSTER_CIDRS: [&str; 2] = ["10.244.0.0/16", "fd00:244::/32"];

/// More nodes than these would need other addresses.
const MOST_NODES: u8 = 9;

/// One more for each topology of this process, so that several stand side by side.
static GROUPS: AtomicUsize = AtomicUsize::new(0);

/// The whole network. All of it is removed on drop.
#[derive(Debug)]
pub struct Topology {
    /// Holds the bridge; etcd and the API server live here.
    pub control_plane: Netns,
    /// The nodes, the first one being number 1.
    pub nodes: Vec<Node>,
    /// A client that is no part of the cluster. It has no routes to service addresses: a test that wants one adds it.
    pub outside: Netns,
}

/// A node's network.
#[derive(Debug)]
pub struct Node {
    /// The name of its Node object: `node-1` and so on.
    pub name: String,
    /// Its namespace.
    pub netns: Netns,
    /// Its IPv4 address on the bridge.
    pub v4: Ipv4Addr,
    /// Its IPv6 address on the bridge.
    pub v6: Ipv6Addr,
    number: u8,
    group: usize,
    pods_made: u8,
}

/// A pod's network, removed on drop.
#[derive(Debug)]
pub struct Pod {
    /// Its namespace.
    pub netns: Netns,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
    /// The node's end of its link, as `ip link` on the node names it.
    pub node_interface: String,
}

impl Topology {
    /// Makes the control plane, the place outside and `nodes` nodes without pods (at most 9). Dead runs' leftovers are removed first.
    pub fn create(nodes: u8) -> Result<Self> {
        ensure!((1..=MOST_NODES).contains(&nodes), "a topology has 1 to {MOST_NODES} nodes");
        remove_leftovers()?;
        let group = GROUPS.fetch_add(1, Ordering::Relaxed);
        let control_plane = Netns::create(group, "cp")?;
        add_bridge(&control_plane)?;
        let outside = Netns::create(group, "out")?;
        attach(&control_plane, &outside, "outside", OUTSIDE)?;
        let nodes = (1..=nodes)
            .map(|number| Node::create(group, number, &control_plane))
            .collect::<Result<Vec<_>>>()?;
        for node in &nodes {
            node.netns.ip(&node.routes_to_others(&nodes))?;
            control_plane.ip(&node.pod_routes())?;
        }
        Ok(Self { control_plane, nodes, outside })
    }

    /// Replaces the network of a node (counted from 0) by a new one with the same name and addresses, as a reboot does: rules, connections
    /// and all links are gone. Nothing may run in the old one any more.
    pub fn renew_node(&mut self, node: usize) -> Result<()> {
        let renewed = &mut self.nodes[node];
        // The kernel cleans up a namespace some time after it is gone: until then the old link would hold its place on the bridge.
        self.control_plane.ip(&format!("link del {}\n", renewed.port()))?;
        renewed.netns.renew()?;
        let renewed = &self.nodes[node];
        renewed.connect(&self.control_plane)?;
        renewed.netns.ip(&renewed.routes_to_others(&self.nodes))
    }
}

impl Node {
    fn create(group: usize, number: u8, control_plane: &Netns) -> Result<Self> {
        let netns = Netns::create(group, &format!("n{number}"))?;
        let v4 = Ipv4Addr::new(10, 200, 0, 10 + number);
        let v6 = Ipv6Addr::new(0xfd00, 0x200, 0, 0, 0, 0, 0, 0x10 + u16::from(number));
        let node = Self { name: format!("node-{number}"), netns, v4, v6, number, group, pods_made: 0 };
        node.connect(control_plane)?;
        Ok(node)
    }

    /// Makes a new namespace the network of this node.
    fn connect(&self, control_plane: &Netns) -> Result<()> {
        self.netns.sysctl("net/ipv4/ip_forward", "1")?;
        self.netns.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        attach(control_plane, &self.netns, &self.port(), (self.v4, self.v6))?;
        // Service addresses are on no link: a packet to one needs a way out before it can be translated.
        let (gateway4, gateway6) = CONTROL_PLANE;
        self.netns.ip(&format!("route add default via {gateway4}\nroute add ::/0 via {gateway6}\n"))
    }

    /// Its link's end on the bridge.
    fn port(&self) -> String {
        format!("node{}", self.number)
    }

    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// Its zone: every node is in one of its own.
    pub fn zone(&self) -> String {
        format!("zone-{}", self.number)
    }

    /// The ranges that its pods have addresses from, IPv4 first.
    pub fn pod_cidrs(&self) -> [String; 2] {
        [format!("10.244.{}.0/24", self.number), format!("fd00:244:{}::/64", self.number)]
    }

    /// Adds a pod: a routed link without a bridge, so that every packet of it passes the node's hooks, also from pod to pod.
    pub fn add_pod(&mut self) -> Result<Pod> {
        ensure!(self.pods_made < 250, "{} has no more pod addresses", self.name);
        self.pods_made += 1;
        let host = self.pods_made + 1;
        let node_interface = format!("pod{host}");
        let netns = Netns::create(self.group, &format!("n{}-p{host}", self.number))?;
        let v4 = Ipv4Addr::new(10, 244, self.number, host);
        let v6 = Ipv6Addr::new(0xfd00, 0x244, self.number.into(), 0, 0, 0, 0, host.into());
        let gateway4 = Ipv4Addr::new(10, 244, self.number, 1);
        let gateway6 = Ipv6Addr::new(0xfd00, 0x244, self.number.into(), 0, 0, 0, 0, 1);
        link(&self.netns, &node_interface, &netns, "eth0")?;
        // The node speaks to its pods by its own address, as it does to everybody: a pod can tell from it who asked.
        self.netns.ip(&format!(
            "address add {gateway4}/32 dev {node_interface}\naddress add {gateway6}/128 dev {node_interface} nodad\n\
             link set {node_interface} up\nroute add {v4}/32 dev {node_interface} src {}\nroute add {v6}/128 dev {node_interface} src {}\n",
            self.v4, self.v6
        ))?;
        netns.ip(&format!(
            "address add {v4}/32 dev eth0\naddress add {v6}/128 dev eth0 nodad\nlink set eth0 up\n\
             route add {gateway4}/32 dev eth0\nroute add default via {gateway4} dev eth0 src {v4}\n\
             route add {gateway6}/128 dev eth0\nroute add ::/0 via {gateway6} dev eth0 src {v6}\n"
        ))?;
        Ok(Pod { netns, v4, v6, node_interface })
    }

    /// The routes by which it reaches the pods of all other nodes.
    fn routes_to_others(&self, nodes: &[Self]) -> String {
        nodes.iter().filter(|other| other.number != self.number).map(Self::pod_routes).collect()
    }

    /// The routes by which others reach its pods.
    fn pod_routes(&self) -> String {
        let [range4, range6] = self.pod_cidrs();
        format!("route add {range4} via {}\nroute add {range6} via {}\n", self.v4, self.v6)
    }
}

impl Pod {
    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

fn add_bridge(control_plane: &Netns) -> Result<()> {
    let (v4, v6) = CONTROL_PLANE;
    // Multicast snooping would swallow the first neighbour solicitations of IPv6.
    control_plane.ip(&format!(
        "link add br0 type bridge mcast_snooping 0\naddress add {v4}/24 dev br0\naddress add {v6}/64 dev br0 nodad\nlink set br0 up\n"
    ))
}

/// Joins a namespace to the bridge by its `eth0`.
fn attach(control_plane: &Netns, netns: &Netns, port: &str, address: (Ipv4Addr, Ipv6Addr)) -> Result<()> {
    link(control_plane, port, netns, "eth0")?;
    control_plane.ip(&format!("link set {port} master br0 up\n"))?;
    let (v4, v6) = address;
    let mut batch = String::new();
    // A network card keeps its address over a reboot: with another one, the neighbours would send to the old one for half a minute.
    let [a, b, c, d] = v4.octets();
    writeln!(batch, "link set eth0 address 02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")?;
    writeln!(batch, "address add {v4}/24 dev eth0")?;
    writeln!(batch, "address add {v6}/64 dev eth0 nodad")?;
    writeln!(batch, "link set eth0 up")?;
    netns.ip(&batch)
}

/// Makes a veth pair whose ends are born in their namespaces: nothing appears in the machine's own, not even for a moment.
fn link(left: &Netns, left_end: &str, right: &Netns, right_end: &str) -> Result<()> {
    let (left, right) = (left.name(), right.name());
    ip_batch(
        &[],
        &format!("link add {left_end} netns {left} type veth peer name {right_end} netns {right}\n"),
    )
}
