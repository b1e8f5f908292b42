//! Traffic that two plans allow loses no packet while the one becomes the other: a crowd of clients at one Service while its plan changes a
//! hundred times, in the agent's order of commits.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pointsman_crds::Protocol::{Tcp, Udp};
use pointsman_dataplane::testing::{ServiceBuilder, endpoint, service};
use pointsman_dataplane::{NodeFacts, ServicePlan};
use pointsman_tests::netns::Netns;
use pointsman_tests::traffic::Transport;

use crate::crowd::{Client, under};
use crate::observe::counters;
use crate::plan::node_spec;
use crate::rig::Rig;
use crate::settings::Setting;
use crate::transitions::changes;
use crate::world::{PODS, Place, World, target_port};

/// What the crowd asks; every plan serves it.
pub const VIPS: [&str; 2] = ["10.96.0.10", "fd00:96::10"];
/// Node ports, of TCP, of UDP and of the flood; every plan serves them too.
pub const NODE_PORTS: [u16; 3] = [30080, 30081, 30082];
/// The floods' own port, at which nobody listens at the endpoints.
pub const FLOOD: (u16, u16) = (9, 9);
/// How long a plan stays.
const PAUSE: Duration = Duration::from_millis(25);
/// The least time between two deletions of what is stale: as in the agent.
const SWEEP_AFTER: Duration = Duration::from_secs(1);

/// Counts what our table lets pass untranslated: it runs between translation and our own checks, which would refuse such packets.
const WITNESS: &str = "table inet witness {
    chain forward { type filter hook forward priority -1; ip daddr 10.96.0.10 counter; ip6 daddr fd00:96::10 counter; }
    chain output { type filter hook output priority -1; ip daddr 10.96.0.10 counter; ip6 daddr fd00:96::10 counter; }
    chain input { type filter hook input priority -1; th dport { 30080, 30081, 30082 } counter; }
}
";

/// From each plan to each other under the crowd.
pub fn nothing_is_lost() -> Result<()> {
    let world = World::create(&[])?;
    let node = &world.topology.nodes[0];
    let spec = node_spec(node, Setting::Usual.settings(""));
    let mut rig = Rig::new(&node.netns, &NodeFacts::new(&node.name, &spec))?;
    // So that a port that comes again is a new connection.
    node.netns.sysctl("net/netfilter/nf_conntrack_udp_timeout", "1")?;
    node.netns.sysctl("net/netfilter/nf_conntrack_udp_timeout_stream", "1")?;
    check_witness(&world)?;
    let plans = plans(&world);
    rig.change(&changes(&[], &plans[0].1))?;
    let (pod, outside) = (world.netns(Place::Pod1b), world.netns(Place::Outside));
    let vip =
        |family: usize, port| -> Result<SocketAddr> { Ok(SocketAddr::new(VIPS[family].parse()?, port)) };
    let at_node = |port| SocketAddr::new(node.v4.into(), port);
    let client = |netns, transport, target| Client { netns, transport, target };
    let clients = [
        client(pod, Transport::Tcp, vip(0, 80)?),
        client(pod, Transport::Udp, vip(1, 53)?),
        client(&node.netns, Transport::Udp, vip(0, 53)?),
        client(outside, Transport::Tcp, at_node(NODE_PORTS[0])),
        client(outside, Transport::Udp, at_node(NODE_PORTS[1])),
    ];
    let mut transitions = 0;
    let sent = under(&clients, &[], || {
        transitions = every_transition(&mut rig, &plans)?;
        Ok(())
    })?;
    let untranslated = witnessed(&node.netns)?;
    println!("{transitions} transitions under {sent:?}, untranslated {untranslated}");
    ensure!(untranslated == 0, "{untranslated} packets met no endpoint, of {sent:?}");
    ensure!(transitions >= 132 && sent.answered > 1000, "too little: {sent:?}");
    Ok(())
}

fn every_transition(rig: &mut Rig, plans: &[(&str, Vec<ServicePlan>)]) -> Result<usize> {
    let mut swept = Instant::now();
    let mut current = 0;
    let mut transitions = 0;
    // Each ordered pair once: for each distance, around the circle until the start is reached again.
    for distance in 1..plans.len() {
        for _ in 0..plans.len() {
            let next = (current + distance) % plans.len();
            let way = || format!("from \"{}\" to \"{}\"", plans[current].0, plans[next].0);
            rig.change(&changes(&plans[current].1, &plans[next].1)).with_context(way)?;
            std::thread::sleep(PAUSE);
            if swept.elapsed() >= SWEEP_AFTER {
                rig.sweep().with_context(way)?;
                swept = Instant::now();
            }
            current = next;
            transitions += 1;
        }
    }
    Ok(transitions)
}

/// The witness sees what is not translated: shown while no Service is programmed.
pub fn check_witness(world: &World) -> Result<()> {
    let node = world.netns(Place::Node1);
    let load = || node.run(&["nft", WITNESS]).map(drop);
    load()?;
    let pod = world.netns(Place::Pod1b);
    pod.enter(|| std::net::UdpSocket::bind("0.0.0.0:0")?.send_to(b"?", (VIPS[0], 53)))??;
    ensure!(witnessed(node)? == 1, "the witness does not see a packet that nobody translates");
    node.run(&["nft", "delete", "table", "inet", "witness"])?;
    load()
}

/// How many packets the witness saw.
pub fn witnessed(netns: &Netns) -> Result<u64> {
    Ok(counters(netns, &["inet", "witness"])?.iter().sum())
}

/// Plans that serve the crowd, each in another way.
fn plans(world: &World) -> Vec<(&'static str, Vec<ServicePlan>)> {
    let all = ["pod-1a", "pod-1b", "pod-2a", "pod-2b"];
    let web = |pods: &[&str]| at(served(world, "shop/web", pods, &[]), &VIPS);
    let other = |pods: &[&str]| at(served(world, "shop/other", pods, &[]), &VIPS);
    let going = |pod: &str| pod_addresses(world, pod).map(|ip| endpoint(&ip).on("node-2").terminating());
    let aside = at(served(world, "shop/web", &["pod-1a"], &[]), &["10.96.0.11", "fd00:96::11"]);
    let beside =
        |ip, at| service("shop/beside").cluster_ip(ip).port(Tcp, 80, 80).endpoint(endpoint(at)).plan();
    let mut stranger = service("shop/stranger").external_ip(VIPS[0]).external_ip(VIPS[1]);
    stranger =
        stranger.port(Tcp, 80, target_port(Tcp)).port(Udp, 53, target_port(Udp)).port(Udp, FLOOD.0, FLOOD.1);
    for ip in pod_addresses(world, "pod-2b") {
        stranger = stranger.endpoint(endpoint(&ip).on("node-2"));
    }
    vec![
        ("one endpoint", vec![web(&["pod-1a"]).plan()]),
        ("three endpoints", vec![web(&["pod-1a", "pod-2a", "pod-2b"]).plan()]),
        ("another endpoint", vec![web(&["pod-2b"]).plan()]),
        ("eight endpoints", vec![at(served(world, "shop/web", &all, &all), &VIPS).plan()]),
        ("two endpoints", vec![web(&["pod-2a", "pod-1b"]).plan()]),
        ("six endpoints", vec![at(served(world, "shop/web", &all, &all[2..]), &VIPS).plan()]),
        ("only the node's own", vec![web(&all).internal_local().plan()]),
        ("all going away", vec![going("pod-2a").into_iter().fold(web(&[]), ServiceBuilder::endpoint).plan()]),
        ("another Service has it all", vec![other(&["pod-2a", "pod-1a"]).plan()]),
        ("another Service has the address from outside", vec![aside.plan(), stranger.plan()]),
        ("beside a Service of IPv4", vec![web(&["pod-1b"]).plan(), beside("10.96.0.30", "10.244.2.7")]),
        ("beside a Service of IPv6", vec![web(&["pod-2b"]).plan(), beside("fd00:96::30", "fd00:244:2::7")]),
    ]
}

fn at(service: ServiceBuilder, vips: &[&str]) -> ServiceBuilder {
    vips.iter().fold(service, |service, vip| service.cluster_ip(vip))
}

/// A Service with its ports, served by `pods`, and by the second servers of `second`.
fn served(world: &World, key: &str, pods: &[&str], second: &[&str]) -> ServiceBuilder {
    let (tcp, udp) = (target_port(Tcp), target_port(Udp));
    let web =
        service(key).port(Tcp, 80, tcp).node_port(NODE_PORTS[0]).port(Udp, 53, udp).node_port(NODE_PORTS[1]);
    let web = web.port(Udp, FLOOD.0, FLOOD.1).node_port(NODE_PORTS[2]);
    let add = |web: ServiceBuilder, pods: &[&str]| {
        pods.iter().fold(web, |web, pod| {
            let node = if pod.contains('1') { "node-1" } else { "node-2" };
            pod_addresses(world, pod).iter().fold(web, |web, ip| web.endpoint(endpoint(ip).on(node)))
        })
    };
    let web = add(web, pods);
    if second.is_empty() {
        return web;
    }
    let web = add(web.other_target("p0", tcp + 1), second);
    add(web.other_target("p1", udp + 1), second)
}

fn pod_addresses(world: &World, pod: &str) -> [String; 2] {
    let index = PODS.iter().position(|name| *name == pod).unwrap_or_default();
    world.pods[index].addresses().map(|ip| ip.to_string())
}
