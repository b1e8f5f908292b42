//! Trials of topologies, servers and clients.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use pointsman_tests::netns::Netns;
use pointsman_tests::topology::{CONTROL_PLANE, Topology};
use pointsman_tests::traffic::{Reply, Server, Transport, ask};
use pointsman_tests::wait;

const LIMIT: Duration = Duration::from_secs(10);
const PORTS: [(Transport, u16); 2] = [(Transport::Tcp, 8080), (Transport::Udp, 5353)];

/// Dials every place from every place and compares the source address that the other end saw.
pub fn everybody_talks() -> Result<()> {
    let mut topology = Topology::create(2)?;
    let pods = [topology.nodes[0].add_pod()?, topology.nodes[0].add_pod()?, topology.nodes[1].add_pod()?];
    let (first, second) = (&topology.nodes[0], &topology.nodes[1]);
    let mut places: BTreeMap<&str, (&Netns, [IpAddr; 2])> = BTreeMap::new();
    places.insert("node 1", (&first.netns, first.addresses()));
    places.insert("node 2", (&second.netns, second.addresses()));
    for (name, pod) in ["pod 1a", "pod 1b", "pod 2a"].into_iter().zip(&pods) {
        places.insert(name, (&pod.netns, pod.addresses()));
    }
    places
        .insert("control plane", (&topology.control_plane, [CONTROL_PLANE.0.into(), CONTROL_PLANE.1.into()]));
    let servers = places.iter().map(|(name, (netns, _))| Server::start(netns, name, &PORTS));
    let _servers = servers.collect::<Result<Vec<_>>>()?;
    for (from, (source, own)) in &places {
        for (to, (_, addresses)) in &places {
            for (transport, port) in PORTS {
                for (family, address) in addresses.iter().enumerate() {
                    let reply = ask(source, transport, SocketAddr::new(*address, port), LIMIT)?;
                    let Reply::Answered(answer) = &reply else {
                        bail!("{from} to {to} at {address}: {reply:?}")
                    };
                    ensure!(answer.name == **to, "{from} to {to} at {address}: {reply:?}");
                    ensure!(answer.seen_as == own[family], "{from} to {to} at {address}: {reply:?}");
                }
            }
        }
    }
    Ok(())
}

/// Tells a refusal, an unreachable place and silence apart.
pub fn not_answered() -> Result<()> {
    let topology = Topology::create(1)?;
    let (outside, node) = (&topology.outside, &topology.nodes[0]);
    node.netns.run(&["nft", "add table inet t; add chain inet t c { type filter hook input priority 0; }; add rule inet t c th dport 9 drop"])?;
    let short = Duration::from_millis(300);
    let table = [
        (Transport::Tcp, node.addresses()[0], 7, Reply::Refused),
        (Transport::Tcp, node.addresses()[1], 7, Reply::Refused),
        (Transport::Udp, node.addresses()[0], 7, Reply::Refused),
        (Transport::Udp, node.addresses()[1], 7, Reply::Refused),
        (Transport::Tcp, node.addresses()[0], 9, Reply::Silence),
        (Transport::Udp, node.addresses()[1], 9, Reply::Silence),
        (Transport::Tcp, IpAddr::from([10, 96, 0, 1]), 7, Reply::Unreachable),
    ];
    for (transport, address, port, expected) in table {
        let reply = ask(outside, transport, SocketAddr::new(address, port), short)?;
        ensure!(reply == expected, "{transport:?} to {address} port {port}: {reply:?}");
    }
    Ok(())
}

/// Looks for names of namespaces after their owners are gone.
pub fn nothing_is_left() -> Result<()> {
    let mut topology = Topology::create(1)?;
    let pod = topology.nodes[0].add_pod()?;
    let interface = pod.node_interface.clone();
    let all =
        [&topology.control_plane, &topology.outside, &topology.nodes[0].netns, &pod.netns].map(Netns::path);
    ensure!(all.iter().all(|path| path.exists()), "not every namespace has its name");
    drop(pod);
    let node = &topology.nodes[0].netns;
    wait::until("the node's end of the pod's link to go", LIMIT, || {
        Ok(!node.run(&["ip", "-o", "link"])?.contains(&interface))
    })?;
    drop(topology);
    ensure!(!all.iter().any(|path| path.exists()), "a namespace outlived its topology");
    Ok(())
}
