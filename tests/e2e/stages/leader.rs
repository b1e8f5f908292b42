//! The controller's leader is deleted, and then the node of its successor is switched off: the standby takes over, and what is new reaches
//! the nodes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pointsman_tests::nodes::NAMESPACE;
use pointsman_tests::wait;

use crate::account::{Account, seconds};
use crate::clients::{Through, Way};
use crate::plans;
use crate::world::{CLIENTS, World};

use super::{none_failed, under_connections};

const PROMISE: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(120);
const PATIENCE: Duration = Duration::from_millis(300);

/// Plays it.
pub fn play(world: &mut World, account: &mut Account) -> Result<()> {
    pod_deleted(world, account)?;
    plans::are_in_step(world, account)?;
    let node = world.node_of_leader()?;
    node_switched_off(world, account, node)
}

fn pod_deleted(world: &World, account: &mut Account) -> Result<()> {
    let leader = world.leader()?;
    let here = world.node_of_leader()?;
    let counts = under_connections(account, &world.all_ways()?, "the leader's pod deleted", |account| {
        let begun = Instant::now();
        world.cluster.kubectl(&["delete", "pod", "-n", NAMESPACE, &leader, "--wait=false"])?;
        let service = make_service(world, "after-deletion", CLIENTS[1 - here])?;
        let way = Way::new(CLIENTS[here], Through::ClusterIp, &world.client_network(here)?, service);
        claim_reached(account, &way, begun, &format!("{leader}, the leader, is deleted"))?;
        claim_succeeded(world, account, &leader, begun)?;
        world.own_rolled_out()
    })?;
    none_failed(account, "the leader's pod deleted", &counts)
}

fn node_switched_off(world: &mut World, account: &mut Account, node: usize) -> Result<()> {
    let survivor = 1 - node;
    let leader = world.leader()?;
    let before = world.containers_on(node)?;
    // What the survivor carries of pods of its own must not suffer; of pods of the dead node Kubernetes has to hear first.
    let known = make_service(world, "known-before", CLIENTS[survivor])?;
    let place = world.node_network(survivor)?;
    let to_known = Way {
        shared: true,
        ..Way::new(world.cluster.node(survivor).name(), Through::ClusterIp, &place, known)
    };
    wait::until("the Service known-before to answer", LIMIT, || {
        Ok(to_known.ask("/hostname", PATIENCE)?.is_ok())
    })?;
    let counts = under_connections(account, &[to_known], "the leader's node switched off", |account| {
        let begun = Instant::now();
        world.cluster.switch_off_node(node)?;
        let service = make_service(world, "after-power-failure", CLIENTS[survivor])?;
        let way = Way::new(world.cluster.node(survivor).name(), Through::ClusterIp, &place, service);
        claim_reached(
            account,
            &way,
            begun,
            &format!("node {} is switched off with {leader}, the leader", node + 1),
        )?;
        claim_succeeded(world, account, &leader, begun)
    })?;
    plans::show(&world.cluster, account)?;
    none_failed(account, "the leader's node switched off", &counts)?;
    let begun = Instant::now();
    world.cluster.switch_on_node(node)?;
    wait::until("new containers on the node, all Ready", LIMIT, || world.are_restarted(&before))?;
    world.cluster.wait_for_nodes()?;
    account.say(&format!("the node and all pods are back {} after the power is", seconds(begun.elapsed())));
    for service in ["after-deletion", "known-before", "after-power-failure"] {
        world.cluster.kubectl(&["delete", "service", service])?;
    }
    plans::are_in_step(world, account)
}

/// A Service for one client pod, and its IPv4 cluster address.
fn make_service(world: &World, name: &str, client: &str) -> Result<SocketAddr> {
    world.cluster.kubectl(&["create", "service", "clusterip", name, "--tcp=80:8080"])?;
    world.cluster.kubectl(&["set", "selector", "service", name, &format!("app={client}")])?;
    let address = world.cluster_addresses(name)?.first().copied().context("a Service without an address")?;
    Ok(SocketAddr::new(address, 80))
}

fn claim_reached(account: &mut Account, way: &Way, begun: Instant, what: &str) -> Result<()> {
    wait::until("the new Service to answer", LIMIT, || Ok(way.ask("/hostname", PATIENCE)?.is_ok()))?;
    let took = begun.elapsed();
    let claim = format!("{what}: a Service made after that answers {} later", seconds(took));
    account.claim(took <= PROMISE, &claim, || format!("it took {}", seconds(took)))
}

fn claim_succeeded(world: &World, account: &mut Account, before: &str, begun: Instant) -> Result<()> {
    let mut leader = String::new();
    wait::until("another leader", LIMIT, || {
        leader = world.leader()?;
        Ok(!leader.is_empty() && leader != before)
    })?;
    account.held(&format!("{leader} leads, seen {} later", seconds(begun.elapsed())));
    Ok(())
}
