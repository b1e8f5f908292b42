//! A node that cannot reach the API server for a minute: it serves what it knows, to new connections too, and catches up afterwards.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pointsman_tests::wait;

use crate::account::{Account, seconds};
use crate::clients::{Through, Way};
use crate::plans;
use crate::world::{CLIENTS, World};

use super::{none_failed, under_connections};

/// How long it is cut off.
const CUT: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_millis(300);

/// The Service that is made meanwhile.
const LATE: &str = "made-meanwhile";

/// Plays it.
pub fn play(world: &World, account: &mut Account) -> Result<()> {
    // That a leader is cut off is another stage's matter.
    let node = 1 - world.node_of_leader()?;
    let name = world.cluster.node(node).name().to_owned();
    account.say(&format!("{name} is cut off; the leader runs on the other node"));
    let counts = under_connections(account, &world.all_ways()?, "cut off and back", |account| {
        let begun = Instant::now();
        let cut = world.cluster.cut_off_api(node)?;
        let service = make_service(world)?;
        let from_other = ways_to(world, 1 - node, service)?;
        let from_cut = ways_to(world, node, service)?;
        wait::until("the new Service to answer on the other node", LIMIT, || from_other.answers())?;
        account.say(&format!(
            "a Service made meanwhile answers on the other node {} after the cut",
            seconds(begun.elapsed())
        ));
        std::thread::sleep(CUT.saturating_sub(begun.elapsed()));
        plans::show(&world.cluster, account)?;
        claim_behind(world, account, node)?;
        account.claim(
            !from_cut.answers()?,
            &format!("after {} {name} knows nothing of it", seconds(begun.elapsed())),
            || "it answers there".into(),
        )?;
        drop(cut);
        let mended = Instant::now();
        wait::until("the new Service to answer on the node that was cut off", LIMIT, || from_cut.answers())?;
        account.held(&format!("{name} has caught up {} after the cut is mended", seconds(mended.elapsed())));
        world.cluster.wait_for_nodes()
    })?;
    none_failed(account, "cut off and back", &counts)?;
    world.cluster.kubectl(&["delete", "service", LATE])?;
    plans::are_in_step(world, account)
}

/// A Service for the same pods, and its IPv4 cluster address.
fn make_service(world: &World) -> Result<SocketAddr> {
    world.cluster.kubectl(&["create", "service", "clusterip", LATE, "--tcp=80:8080"])?;
    world.cluster.kubectl(&["set", "selector", "service", LATE, "app=web"])?;
    let address = world.cluster_addresses(LATE)?.first().copied().context("a Service without an address")?;
    Ok(SocketAddr::new(address, 80))
}

/// From a node's client pod to a Service.
struct Try(Way);

impl Try {
    fn answers(&self) -> Result<bool> {
        Ok(self.0.ask("/hostname", PATIENCE)?.is_ok())
    }
}

fn ways_to(world: &World, node: usize, service: SocketAddr) -> Result<Try> {
    Ok(Try(Way::new(CLIENTS[node], Through::ClusterIp, &world.client_network(node)?, service)))
}

fn claim_behind(world: &World, account: &mut Account, node: usize) -> Result<()> {
    let version = plans::version_of(world, LATE)?;
    let (cut, other) = (plans::revision_of(world, node)?, plans::revision_of(world, 1 - node)?);
    let claim = "its revision in that table is older than the new Service's plan, the other node's is not";
    account.claim(cut < version && other >= version, claim, || {
        format!("{cut} and {other}, the plan is {version}")
    })
}
