//! One endpoint more, and one more, then from the top to the bottom and back, at full speed under floods: each step up makes chains, each
//! jump down leaves slots behind.
//! In another order of commits than the agent's, some first packets of connections would not be translated.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use pointsman_crds::Protocol::Udp;
use pointsman_dataplane::testing::{ServiceBuilder, endpoint, service};
use pointsman_dataplane::{NodeFacts, ServicePlan};

use crate::crowd::{Flood, under};
use crate::loss::{FLOOD, NODE_PORTS, VIPS, check_witness, witnessed};
use crate::plan::node_spec;
use crate::rig::Rig;
use crate::settings::Setting;
use crate::transitions::changes;
use crate::world::{Place, World, refuse_without_limit};

/// The ladder's ends. At the lower one no chain is there from the start any more.
const RUNGS: std::ops::RangeInclusive<u8> = 5..=120;

/// How often from the top to the bottom and back: nearly every slot of the top is one that the bottom does not choose.
const JUMPS: u16 = 300;

/// Up and down under floods at a cluster IP of each family and at a node port.
pub fn nothing_is_lost() -> Result<()> {
    let world = World::create(&[])?;
    let node = &world.topology.nodes[0];
    let spec = node_spec(node, Setting::Usual.settings(""));
    let mut rig = Rig::new(&node.netns, &NodeFacts::new(&node.name, &spec))?;
    node.netns.sysctl("net/netfilter/nf_conntrack_udp_timeout", "1")?;
    check_witness(&world)?;
    add_endpoints(&world)?;
    let up: Vec<Vec<ServicePlan>> = RUNGS.map(|count| vec![rung(count)]).collect();
    rig.change(&changes(&[], &up[0]))?;
    let vip = |ip: &str| -> Result<SocketAddr> { Ok(SocketAddr::new(ip.parse()?, FLOOD.0)) };
    let (pod, outside) = (world.netns(Place::Pod1b), world.netns(Place::Outside));
    let floods = [
        Flood { netns: pod, target: vip(VIPS[0])? },
        Flood { netns: pod, target: vip(VIPS[1])? },
        Flood { netns: outside, target: SocketAddr::new(node.v4.into(), NODE_PORTS[2]) },
    ];
    let (bottom, top) = (&up[0], &up[up.len() - 1]);
    let sent = under(&[], &floods, || {
        for steps in up.windows(2) {
            rig.change(&changes(&steps[0], &steps[1]))?;
        }
        for _ in 0..JUMPS {
            rig.change(&changes(top, bottom))?;
            rig.change(&changes(bottom, top))?;
        }
        rig.change(&changes(top, bottom))?;
        for _ in 0..2 {
            std::thread::sleep(Duration::from_secs(1));
            rig.sweep()?;
        }
        Ok(())
    })?;
    let untranslated = witnessed(&node.netns)?;
    println!("{} steps and {JUMPS} jumps under {sent:?}, untranslated {untranslated}", RUNGS.len());
    ensure!(untranslated == 0, "{untranslated} packets met no endpoint, of {sent:?}");
    ensure!(sent.flooded > 10_000, "too little: {sent:?}");
    rig.settle()?;
    ensure!(rig.tables()?.iter().all(|table| table.chains.len() < 40), "chains of the ladder are left");
    Ok(())
}

/// Makes one pod have all the endpoints' addresses, and refuse at once whatever comes to them.
fn add_endpoints(world: &World) -> Result<()> {
    let (node, pod) = (&world.topology.nodes[1].netns, &world.pods[3]);
    refuse_without_limit(&pod.netns)?;
    let (range4, range6) = ("10.244.2.128/25", "fd00:244:2::1:0/112");
    pod.netns.ip(&format!("route add local {range4} dev lo\nroute add local {range6} dev lo\n"))?;
    node.ip(&format!("route add {range4} via {}\nroute add {range6} via {}\n", pod.v4, pod.v6))
}

/// A Service with so many endpoints.
fn rung(count: u8) -> ServicePlan {
    let web = VIPS.iter().fold(service("shop/web"), |web, vip| web.cluster_ip(vip));
    let web = web.port(Udp, FLOOD.0, FLOOD.1).node_port(NODE_PORTS[2]);
    let add = |web: ServiceBuilder, n| {
        web.endpoint(endpoint(&format!("10.244.2.{n}"))).endpoint(endpoint(&format!("fd00:244:2::1:{n:x}")))
    };
    (128..128 + count).fold(web, add).plan()
}
