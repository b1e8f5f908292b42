//! The one topology of the suite: two nodes with two pods each, a place outside, servers everywhere and an ear in every pod. It asks and
//! listens; what the nodes do with packets is programmed by others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pointsman_crds::Protocol;
use pointsman_tests::netns::Netns;
use pointsman_tests::topology::{OUTSIDE, Pod, Topology};
use pointsman_tests::traffic::{self, Reply, Transport};

use crate::capture::Capture;
use crate::client::ask;
use crate::plan::{address, net};
use crate::sctp;

/// Ranges of addresses that Services have in this suite, beside those that cluster IPs come from.
pub const VIP_RANGES: [&str; 6] =
    ["10.96.0.0/16", "fd00:96::/112", "198.51.100.0/24", "fd00:51::/64", "192.0.2.0/24", "fd00:2::/64"];
/// What a pod of a node that is none of ours would have; lives in the place outside, which asks [`STRANGERS_VIPS`] from here.
pub const STRANGER: [&str; 2] = ["10.244.9.9", "fd00:244:9::9"];
/// Cluster IPs that the place outside asks from [`STRANGER`]'s address.
const STRANGERS_VIPS: [&str; 2] = ["10.96.9.0/24", "fd00:96::9:0/112"];
/// Addresses that the first node has beside those of its Node object.
pub const SECOND_ADDRESS: [&str; 2] = ["10.200.1.11", "fd00:201::11"];
/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long silence must last to count. Shorter than the second after which TCP tries again.
const SILENCE: Duration = Duration::from_millis(120);
/// Chosen at random, an endpoint of three is missed so often in a row once in 3 × 10^10 trials.
const MOST_TRIES: usize = 60;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The first pod of the first node.
    Pod1a,
    /// The second pod of the first node.
    Pod1b,
    /// The first pod of the second node.
    Pod2a,
    /// The second pod of the second node.
    Pod2b,
    /// The first node itself.
    Node1,
    /// The place outside; the first node is its way to Services.
    Outside,
}

/// As whom an endpoint sees the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// By its own address.
    Itself,
    /// As the first node, by the address that it has on its pods' links.
    Gateway1,
    /// As the second node, by the same.
    Gateway2,
    /// As the first node.
    Node1,
    /// As the second node.
    Node2,
    /// By a pod's address that is no pod's of ours.
    Stranger,
}

/// What shall come of asking.
#[derive(Clone, Copy, Debug)]
pub enum Expect<'a> {
    /// These answer and nobody else, each at least once, and see the one who asked so.
    Answered(&'a [(&'a str, Seen)]),
    /// Refused at once.
    Refused,
    /// Nothing, and the packet gets nowhere.
    Silence,
}

/// The suite's network. All of it is removed on drop.
#[derive(Debug)]
pub struct World {
    // Servers and ears go before the namespaces that they are in.
    _servers: Vec<traffic::Server>,
    _sctp_servers: Vec<sctp::Server>,
    ears: BTreeMap<&'static str, (Capture, [IpAddr; 2])>,
    wire: Capture,
    /// `pod-1a`, `pod-1b`, `pod-2a` and `pod-2b`.
    pub pods: Vec<Pod>,
    /// The network.
    pub topology: Topology,
}

/// The port at which every endpoint serves a protocol; TCP and UDP at the next one too.
pub fn target_port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => 8080,
        Protocol::Udp => 5353,
        Protocol::Sctp => 9899,
    }
}

/// The names of the pods, in the order of [`World::pods`].
pub const PODS: [&str; 4] = ["pod-1a", "pod-1b", "pod-2a", "pod-2b"];

/// Kernels allow themselves one refusal a second to each sender, and a thousand to all; here they answer every packet.
pub fn refuse_without_limit(netns: &Netns) -> Result<()> {
    // The kinds of messages that are limited: none of IPv4's; of IPv6's, one that does not exist.
    netns.sysctl("net/ipv4/icmp_ratemask", "0")?;
    netns.sysctl("net/ipv6/icmp/ratemask", "0")
}

impl World {
    /// Makes it. `node_ports` are ports at which processes of the first node listen: whoever reaches one was not proxied.
    pub fn create(node_ports: &[(Transport, u16)]) -> Result<Self> {
        let mut topology = Topology::create(2)?;
        let mut pods = Vec::new();
        for node in &mut topology.nodes {
            pods.push(node.add_pod()?);
            pods.push(node.add_pod()?);
        }
        let (tcp, udp) = (target_port(Protocol::Tcp), target_port(Protocol::Udp));
        let pod_ports = [
            (Transport::Tcp, tcp),
            (Transport::Tcp, tcp + 1),
            (Transport::Udp, udp),
            (Transport::Udp, udp + 1),
        ];
        let mut servers = Vec::new();
        let mut sctp_servers = Vec::new();
        let mut ears = BTreeMap::new();
        for (name, pod) in PODS.into_iter().zip(&pods) {
            servers.push(traffic::Server::start(&pod.netns, name, &pod_ports)?);
            sctp_servers.push(sctp::Server::start(&pod.netns, name, target_port(Protocol::Sctp))?);
            ears.insert(name, (Capture::start(&pod.netns)?, pod.addresses()));
        }
        let node = &topology.nodes[0];
        let ports = [&pod_ports, node_ports].concat();
        servers.push(traffic::Server::start(&node.netns, "node-1", &ports)?);
        sctp_servers.push(sctp::Server::start(&node.netns, "node-1", target_port(Protocol::Sctp))?);
        let wire = Capture::start(&topology.control_plane)?;
        let world = Self { _servers: servers, _sctp_servers: sctp_servers, ears, wire, pods, topology };
        world.add_ways()?;
        Ok(world)
    }

    /// The ways of the place outside to Services, the stranger's address, and the first node's second one.
    fn add_ways(&self) -> Result<()> {
        let [first, second] = self.topology.nodes.as_slice() else { anyhow::bail!("two nodes are needed") };
        let via = |range: &str| if range.contains(':') { first.v6.to_string() } else { first.v4.to_string() };
        // An address of IPv6 can be used at once only if it is not looked for elsewhere first.
        let nodad = |address: &str| if address.contains(':') { " nodad" } else { "" };
        let mut outside = String::new();
        for range in VIP_RANGES {
            outside += &format!("route add {range} via {}\n", via(range));
        }
        for (family, stranger) in STRANGER.iter().enumerate() {
            outside += &format!("address add {stranger} dev lo{}\n", nodad(stranger));
            let range = STRANGERS_VIPS[family];
            outside += &format!("route add {range} via {} src {stranger}\n", via(range));
        }
        // On a link of its own: at eth0 the node would speak by it there, at lo to itself.
        first.netns.ip("link add second type bridge\nlink set second up\n")?;
        for own in SECOND_ADDRESS {
            outside += &format!("route add {own} via {}\n", via(own));
            first.netns.ip(&format!("address add {own} dev second{}\n", nodad(own)))?;
        }
        self.topology.outside.ip(&outside)?;
        for node in [first, second] {
            // A packet that came by eth0 and was not translated would leave there again: the node would tell its sender a shorter way.
            node.netns.sysctl("net/ipv4/conf/all/send_redirects", "0")?;
            node.netns.sysctl("net/ipv4/conf/eth0/send_redirects", "0")?;
            refuse_without_limit(&node.netns)?;
            let [v4, v6] = STRANGER;
            node.netns
                .ip(&format!("route add {v4} via {}\nroute add {v6} via {}\n", OUTSIDE.0, OUTSIDE.1))?;
        }
        Ok(())
    }

    /// The namespace of a place.
    pub fn netns(&self, place: Place) -> &Netns {
        match place {
            Place::Pod1a => &self.pods[0].netns,
            Place::Pod1b => &self.pods[1].netns,
            Place::Pod2a => &self.pods[2].netns,
            Place::Pod2b => &self.pods[3].netns,
            Place::Node1 => &self.topology.nodes[0].netns,
            Place::Outside => &self.topology.outside,
        }
    }

    /// The addresses of a place, IPv4 first.
    pub fn addresses(&self, place: Place) -> [IpAddr; 2] {
        match place {
            Place::Pod1a => self.pods[0].addresses(),
            Place::Pod1b => self.pods[1].addresses(),
            Place::Pod2a => self.pods[2].addresses(),
            Place::Pod2b => self.pods[3].addresses(),
            Place::Node1 => self.topology.nodes[0].addresses(),
            Place::Outside => [OUTSIDE.0.into(), OUTSIDE.1.into()],
        }
    }

    /// The address by which `place` is seen.
    fn seen_as(&self, seen: Seen, place: Place, target: IpAddr) -> IpAddr {
        let family = usize::from(target.is_ipv6());
        match seen {
            // Whoever asks one of its own addresses does so from that address.
            Seen::Itself if self.own(place).contains(&target) => target,
            Seen::Itself => self.addresses(place)[family],
            Seen::Gateway1 => address(["10.244.1.1", "fd00:244:1::1"][family]),
            Seen::Gateway2 => address(["10.244.2.1", "fd00:244:2::1"][family]),
            Seen::Node1 => self.topology.nodes[0].addresses()[family],
            Seen::Node2 => self.topology.nodes[1].addresses()[family],
            Seen::Stranger => address(STRANGER[family]),
        }
    }

    fn own(&self, place: Place) -> Vec<IpAddr> {
        let further = ["127.0.0.1", "::1"].iter().chain(&SECOND_ADDRESS).map(|ip| address(ip));
        let further = further.filter(|_| place == Place::Node1);
        self.addresses(place).into_iter().chain(further).collect()
    }

    /// Asks as often as it takes, and compares with what shall come of it: who answers, as whom they see the one who asked, and that no
    /// packet comes to anybody else or leaves the node untranslated.
    pub fn check(
        &self,
        place: Place,
        protocol: Protocol,
        target: SocketAddr,
        expect: Expect<'_>,
    ) -> Result<()> {
        self.hear(target.ip())?;
        let said = format!("{place:?} to {target} by {protocol}");
        let expected: BTreeSet<(String, IpAddr)> = match expect {
            Expect::Answered(endpoints) => endpoints
                .iter()
                .map(|(name, seen)| ((*name).to_owned(), self.seen_as(*seen, place, target.ip())))
                .collect(),
            Expect::Refused | Expect::Silence => BTreeSet::new(),
        };
        let limit = if matches!(expect, Expect::Silence) { SILENCE } else { PATIENCE };
        let mut answered = BTreeSet::new();
        for _ in 0..MOST_TRIES {
            let reply = ask(self.netns(place), protocol, target, limit)?;
            match (expect, reply) {
                (Expect::Answered(_), Reply::Answered(answer)) => {
                    let answer = (answer.name, answer.seen_as);
                    ensure!(expected.contains(&answer), "{said}: {answer:?} instead of {expected:?}");
                    answered.insert(answer);
                }
                (Expect::Refused, Reply::Refused) | (Expect::Silence, Reply::Silence) => {}
                (expect, reply) => anyhow::bail!("{said}: {reply:?} instead of {expect:?}"),
            }
            if answered == expected {
                break;
            }
        }
        ensure!(answered == expected, "{said}: only {answered:?} of {expected:?} in {MOST_TRIES} tries");
        let heard = self.hear(target.ip()).with_context(|| said.clone())?;
        // A node hears every packet that passes, so only pods have ears.
        let expected: BTreeSet<_> =
            expected.into_iter().filter(|(name, _)| self.ears.contains_key(name.as_str())).collect();
        ensure!(heard == expected, "{said}: packets came as {heard:?} instead of {expected:?}");
        Ok(())
    }

    /// The endpoints that connections were opened to since the last call, and from where; an error if a packet for `target` went over the
    /// wire untranslated.
    fn hear(&self, target: IpAddr) -> Result<BTreeSet<(String, IpAddr)>> {
        let mut heard = BTreeSet::new();
        for (name, (ear, own)) in &self.ears {
            let came = ear.take()?;
            let here = came.iter().filter(|packet| own.contains(&packet.destination));
            heard.extend(here.map(|packet| ((*name).to_owned(), packet.source)));
        }
        let is_vip = VIP_RANGES.iter().any(|range| net(range).contains(&target));
        let outside = [OUTSIDE.0.into(), OUTSIDE.1.into(), address(STRANGER[0]), address(STRANGER[1])];
        let astray = self.wire.take()?.into_iter().find(|packet| {
            // What the place outside sends to the first node is the question itself; forwarded, it has one hop less.
            let is_question = outside.contains(&packet.source) && packet.hops == 64;
            is_vip && packet.destination == target && !is_question
        });
        ensure!(astray.is_none(), "untranslated on the wire: {astray:?}");
        Ok(heard)
    }
}
