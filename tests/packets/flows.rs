//! The table of flows: who asks what, under which settings of the node, and what shall come of it. One line is asked by every protocol in
//! both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libtest_mimic::Trial;
use pointsman_crds::Protocol;
use pointsman_tests::privilege::{Needs, trial};

use crate::plan::address;
use crate::services::{PROTOCOLS, node_port, node_ports, port};
use crate::settings::Setting;
use crate::stage::Stage;
use crate::world::{Expect, Place, SECOND_ADDRESS, Seen, World};
use Expect::{Answered, Refused, Silence};
use Place::{Node1, Outside, Pod1a, Pod1b, Pod2a, Pod2b};
use Seen::{Gateway1, Gateway2, Itself, Node2, Stranger};
use Setting::{
    AllAddresses, Bridge, Cidrs, MasqueradeAll, NoDetection, NodeCidr, OtherBit, Prefix, SharedTable, Usual,
};
use To::{Balancer, Cluster, External, Loopback, Near, NodePort, SecondNodePort, WrongPort};

/// What is asked. A number is the end of the Service's addresses, for node ports the first of its three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// A cluster IP.
    Cluster(u8),
    /// An external IP.
    External(u8),
    /// An address of the load balancer.
    Balancer(u8),
    /// A port of a cluster IP at which nobody listens.
    WrongPort(u8),
    /// The cluster IP that the place outside asks as a stranger.
    Near,
    /// A node port, at the first node's own address.
    NodePort(u16),
    /// The same at its second address.
    SecondNodePort(u16),
    /// The same at loopback.
    Loopback(u16),
}

/// Settings, who asks, what, and what comes of it.
type Line = (Setting, Place, To, Expect<'static>);

const UNSEEN: Expect<'_> = Answered(&[("pod-1a", Itself), ("pod-2a", Itself)]);
const BY_NODE_1: Expect<'_> = Answered(&[("pod-1a", Gateway1), ("pod-2a", Seen::Node1)]);
const BY_NODE_2: Expect<'_> = Answered(&[("pod-1a", Node2), ("pod-2a", Gateway2)]);
const NOT_PROXIED: Expect<'_> = Answered(&[("node-1", Itself)]);
const NEAR_MASQUERADED: Expect<'_> = Answered(&[("pod-1a", Gateway1)]);
const NEAR_AS_IS: Expect<'_> = Answered(&[("pod-1a", Itself)]);
const HOST: Expect<'_> = Answered(&[("node-1", Itself)]);

const ALL: u16 = node_ports::ALL;
const LONELY: u16 = node_ports::LONELY;
const MIRROR: u16 = node_ports::MIRROR;

#[rustfmt::skip]
const FRONTENDS: &[Line] = &[
    // A pod's packets are met by its own node; a node port, by the node whose address it is.
    (Usual, Pod1b,   Cluster(10),   UNSEEN),
    (Usual, Pod2b,   Cluster(10),   UNSEEN),
    (Usual, Node1,   Cluster(10),   BY_NODE_1),
    (Usual, Outside, Cluster(10),   BY_NODE_1),
    (Usual, Pod1b,   External(10),  BY_NODE_1),
    (Usual, Pod2b,   External(10),  BY_NODE_2),
    (Usual, Node1,   External(10),  BY_NODE_1),
    (Usual, Outside, External(10),  BY_NODE_1),
    (Usual, Pod1b,   Balancer(10),  BY_NODE_1),
    (Usual, Pod2b,   Balancer(10),  BY_NODE_2),
    (Usual, Node1,   Balancer(10),  BY_NODE_1),
    (Usual, Outside, Balancer(10),  BY_NODE_1),
    (Usual, Pod1b,   NodePort(ALL), BY_NODE_1),
    (Usual, Pod2b,   NodePort(ALL), BY_NODE_1),
    (Usual, Node1,   NodePort(ALL), BY_NODE_1),
    (Usual, Outside, NodePort(ALL), BY_NODE_1),
    // An endpoint that asks the Service it belongs to: itself through the node, its fellow as ever.
    (Usual, Pod1a,   Cluster(10),   Answered(&[("pod-1a", Gateway1), ("pod-2a", Itself)])),
    (Usual, Pod2a,   Cluster(10),   Answered(&[("pod-1a", Itself), ("pod-2a", Gateway2)])),
    (Usual, Pod1b,   Cluster(60),   Answered(&[("pod-1b", Gateway1)])),
    (Usual, Pod1b,   NodePort(MIRROR), Answered(&[("pod-1b", Gateway1)])),
    (Usual, Pod1b,   External(60),  Answered(&[("pod-1b", Gateway1)])),
    // An endpoint in the node's own network: what stays on the node keeps its source.
    (Usual, Pod1b,   Cluster(70),   HOST),
    (Usual, Node1,   Cluster(70),   HOST),
    (Usual, Outside, Cluster(70),   HOST),
    (Usual, Pod2b,   Cluster(70),   HOST),
];

#[rustfmt::skip]
const NOBODY: &[Line] = &[
    (Usual, Pod1b,   Cluster(20),      Refused),
    (Usual, Pod2b,   Cluster(20),      Refused),
    (Usual, Node1,   Cluster(20),      Refused),
    (Usual, Outside, Cluster(20),      Refused),
    (Usual, Pod1b,   External(20),     Refused),
    (Usual, Outside, External(20),     Refused),
    (Usual, Node1,   Balancer(20),     Refused),
    (Usual, Outside, Balancer(20),     Refused),
    (Usual, Pod1b,   NodePort(LONELY), Refused),
    (Usual, Pod2b,   NodePort(LONELY), Refused),
    (Usual, Node1,   NodePort(LONELY), Refused),
    (Usual, Outside, NodePort(LONELY), Refused),
    // Its only endpoint is one that may never be programmed.
    (Usual, Pod1b,   Cluster(90),      Refused),
    (Usual, Pod1b,   WrongPort(10),    Refused),
    (Usual, Pod2b,   WrongPort(10),    Refused),
    (Usual, Node1,   WrongPort(10),    Refused),
    (Usual, Outside, WrongPort(10),    Refused),
    // Nobody has this cluster IP.
    (Usual, Pod1b,   Cluster(99),      Silence),
    (Usual, Pod2b,   Cluster(99),      Silence),
    (Usual, Node1,   Cluster(99),      Silence),
    (Usual, Outside, Cluster(99),      Silence),
];

#[rustfmt::skip]
const POLICIES: &[Line] = &[
    (Usual, Pod1b, Cluster(30), Answered(&[("pod-1a", Itself)])),
    (Usual, Node1, Cluster(30), Answered(&[("pod-1a", Gateway1)])),
    (Usual, Pod2b, Cluster(30), Answered(&[("pod-2a", Itself)])),
    (Usual, Pod1b, Cluster(40), Silence),
    (Usual, Node1, Cluster(40), Silence),
    (Usual, Pod2b, Cluster(40), Answered(&[("pod-2a", Itself)])),
    // The policy is about cluster IPs alone.
    (Usual, Pod1b, External(40), Answered(&[("pod-2a", Seen::Node1)])),
    (Usual, Pod1b, Cluster(50), UNSEEN),
    (Usual, Pod1b, Cluster(51), Answered(&[("pod-2a", Itself)])),
    (Usual, Pod1b, Cluster(80), Answered(&[("pod-1a", Itself)])),
    (Usual, Pod2b, Cluster(80), Answered(&[("pod-2a", Itself)])),
];

#[rustfmt::skip]
const SETTINGS: &[Line] = &[
    // A pod's address that comes from elsewhere: of the cluster, but not of this node.
    (Usual,         Outside, Near,                NEAR_STRANGER),
    (NodeCidr,      Outside, Near,                NEAR_MASQUERADED),
    (NodeCidr,      Pod1b,   Cluster(10),         UNSEEN),
    (NodeCidr,      Node1,   Cluster(10),         BY_NODE_1),
    (Bridge,        Pod1b,   Near,                NEAR_AS_IS),
    (Bridge,        Pod1a,   Cluster(60),         Answered(&[("pod-1b", Gateway1)])),
    (Bridge,        Outside, Near,                NEAR_MASQUERADED),
    (Bridge,        Node1,   Near,                NEAR_MASQUERADED),
    (Prefix,        Pod1b,   Near,                NEAR_AS_IS),
    (Prefix,        Pod1a,   Cluster(60),         Answered(&[("pod-1b", Itself)])),
    (Prefix,        Outside, Near,                NEAR_MASQUERADED),
    (Prefix,        Node1,   Near,                NEAR_MASQUERADED),
    (NoDetection,   Pod1b,   Near,                NEAR_AS_IS),
    (NoDetection,   Node1,   Near,                NEAR_AS_IS),
    (NoDetection,   Outside, Near,                NEAR_STRANGER),
    (NoDetection,   Outside, NodePort(ALL),       BY_NODE_1),
    (MasqueradeAll, Pod1b,   Cluster(10),         BY_NODE_1),
    (MasqueradeAll, Pod2b,   Cluster(10),         BY_NODE_2),
    (OtherBit,      Pod1b,   Cluster(10),         UNSEEN),
    (OtherBit,      Outside, Cluster(10),         BY_NODE_1),
    (OtherBit,      Outside, NodePort(ALL),       BY_NODE_1),
    (SharedTable,   Pod1b,   Cluster(10),         UNSEEN),
    (SharedTable,   Outside, NodePort(ALL),       BY_NODE_1),
    (AllAddresses,  Outside, SecondNodePort(ALL), BY_NODE_1),
    (AllAddresses,  Outside, NodePort(ALL),       BY_NODE_1),
    (AllAddresses,  Pod1b,   SecondNodePort(ALL), BY_NODE_1),
    (AllAddresses,  Outside, SecondNodePort(LONELY), Refused),
    (Cidrs,         Outside, SecondNodePort(ALL), BY_NODE_1),
    (Cidrs,         Node1,   SecondNodePort(ALL), BY_NODE_1),
];

/// What processes of the node answer, because it is none of ours. They speak no SCTP there.
#[rustfmt::skip]
const NOT_OURS: &[Line] = &[
    (Usual,        Node1,   Loopback(ALL),                 NOT_PROXIED),
    (Usual,        Outside, NodePort(node_ports::NOBODYS), NOT_PROXIED),
    (AllAddresses, Node1,   Loopback(ALL),                 NOT_PROXIED),
    (AllAddresses, Node1,   Loopback(LONELY),              NOT_PROXIED),
    (Cidrs,        Outside, NodePort(ALL),                 NOT_PROXIED),
];

/// The same, where a process that hears datagrams at every address would answer from another one.
const NOT_OURS_AT_SECOND: Line = (Usual, Outside, SecondNodePort(ALL), NOT_PROXIED);

const NEAR_STRANGER: Expect<'_> = Answered(&[("pod-1a", Stranger)]);

/// A trial for each line, protocol and family, lines of the same settings side by side.
pub fn trials(stage: &Stage) -> Vec<Trial> {
    let tables = [FRONTENDS, NOBODY, POLICIES, SETTINGS].concat();
    let flows = |lines: &[Line], protocols: &'static [Protocol]| -> Vec<(Line, Protocol, bool)> {
        let by_protocol = lines.iter().flat_map(move |line| protocols.iter().map(move |p| (*line, *p)));
        by_protocol.flat_map(|(line, protocol)| [(line, protocol, false), (line, protocol, true)]).collect()
    };
    let mut all = flows(&tables, &PROTOCOLS);
    all.extend(flows(NOT_OURS, &[Protocol::Tcp, Protocol::Udp]));
    all.extend(flows(&[NOT_OURS_AT_SECOND], &[Protocol::Tcp]));
    all.sort_by_key(|((setting, ..), ..)| *setting);
    all.into_iter().map(|(line, protocol, v6)| flow(stage.clone(), line, protocol, v6)).collect()
}

fn flow(stage: Stage, line: Line, protocol: Protocol, v6: bool) -> Trial {
    let (setting, from, to, expect) = line;
    let family = if v6 { "IPv6" } else { "IPv4" };
    trial(format!("flow, {setting:?}: {from:?} to {to:?} by {protocol}, {family}"), Needs::Root, move || {
        stage.with(setting, |world| world.check(from, protocol, to.address(world, protocol, v6), expect))
    })
}

impl To {
    fn address(self, world: &World, protocol: Protocol, v6: bool) -> SocketAddr {
        let vip = |v4: [u8; 3], v6_prefix: u16, number: u8| -> IpAddr {
            // The Services' addresses are written in decimal in both families.
            let tail = u16::from_str_radix(&number.to_string(), 16).unwrap_or_default();
            if v6 {
                Ipv6Addr::new(0xfd00, v6_prefix, 0, 0, 0, 0, 0, tail).into()
            } else {
                Ipv4Addr::new(v4[0], v4[1], v4[2], number).into()
            }
        };
        let family = usize::from(v6);
        let at_node = |ip: IpAddr, first| SocketAddr::new(ip, node_port(first, protocol));
        match self {
            Cluster(number) => SocketAddr::new(vip([10, 96, 0], 0x96, number), port(protocol)),
            External(number) => SocketAddr::new(vip([198, 51, 100], 0x51, number), port(protocol)),
            Balancer(number) => SocketAddr::new(vip([192, 0, 2], 2, number), port(protocol)),
            WrongPort(number) => SocketAddr::new(vip([10, 96, 0], 0x96, number), 4444),
            Near => SocketAddr::new(address(["10.96.9.10", "fd00:96::9:10"][family]), port(protocol)),
            NodePort(first) => at_node(world.addresses(Node1)[family], first),
            SecondNodePort(first) => at_node(address(SECOND_ADDRESS[family]), first),
            Loopback(first) => at_node(address(["127.0.0.1", "::1"][family]), first),
        }
    }
}
