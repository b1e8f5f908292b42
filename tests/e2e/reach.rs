//! Who reaches whom: every pod by its own addresses, and every pod of the Service `web` by each of the Service's addresses, from every place
//! that should. It asks until it is answered or the time is over.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use crate::clients::{Through, Way};
use crate::pods::PodSeen;
use crate::world::{CLIENTS, POD_PORT, World};

/// One question is given up after this; there is always another one.
const PATIENCE: Duration = Duration::from_millis(700);
const PAUSE: Duration = Duration::from_millis(20);

/// Something that must be reached.
#[derive(Debug)]
struct Goal {
    way: Way,
    page: &'static str,
    /// Those that must answer, each at least once. Empty: any answer will do.
    servers: BTreeSet<String>,
}

impl Display for Goal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<&str> = self.servers.iter().map(String::as_str).collect();
        write!(formatter, "{} ({})", self.way, servers.join(", "))
    }
}

/// What was reached.
#[derive(Debug)]
pub struct Reached {
    /// How many pods.
    pub pods: usize,
    /// How many pairs of a place and an address.
    pub ways: usize,
}

/// Waits until everything is reached that should be; an error names what was not.
pub fn everything(world: &World, limit: Duration) -> Result<Reached> {
    let pods = world.all_pods()?;
    let goals: Vec<Goal> = to_pods(world, &pods)?.into_iter().chain(to_services(world, &pods)?).collect();
    ensure!(!goals.is_empty(), "there is nothing to reach");
    let reached = Reached { pods: pods.len(), ways: goals.len() };
    let deadline = Instant::now() + limit;
    let missed: Vec<String> = std::thread::scope(|scope| {
        let askers: Vec<_> =
            goals.into_iter().map(|goal| scope.spawn(move || pursue(goal, deadline))).collect();
        askers
            .into_iter()
            .map(|asker| asker.join().map_err(|_| anyhow!("an asker panicked")).flatten())
            .filter_map(Result::transpose)
            .collect::<Result<_>>()
    })?;
    ensure!(missed.is_empty(), "not reached within {limit:?}: {}", missed.join("; "));
    Ok(reached)
}

/// Every pod, from the client pods and the nodes.
fn to_pods(world: &World, pods: &[PodSeen]) -> Result<Vec<Goal>> {
    let mut goals = vec![];
    for (node, client) in CLIENTS.into_iter().enumerate() {
        let places = [
            (client, world.client_network(node)?),
            (world.cluster.node(node).name(), world.node_network(node)?),
        ];
        for (from, place) in &places {
            for pod in pods {
                ensure!(!pod.addresses.is_empty(), "{} has no address", pod.name);
                // CoreDNS, the one that is no test image, has another page at the same port.
                let dns = pod.name.starts_with("coredns");
                let servers = if dns { BTreeSet::new() } else { BTreeSet::from([pod.name.clone()]) };
                for address in &pod.addresses {
                    let target = SocketAddr::new(*address, POD_PORT);
                    let way = Way::new(from, Through::PodIp, place, target);
                    let page = if dns { "/health" } else { "/hostname" };
                    goals.push(Goal { way, page, servers: servers.clone() });
                }
            }
        }
    }
    Ok(goals)
}

/// Every pod of `web`, by each address of the Service.
fn to_services(world: &World, pods: &[PodSeen]) -> Result<Vec<Goal>> {
    let names = pods.iter().map(|pod| &pod.name).filter(|name| name.starts_with("web-"));
    let servers: BTreeSet<String> = names.cloned().collect();
    ensure!(!servers.is_empty(), "the Service web has no pods");
    let goal = |way| Goal { way, page: "/hostname", servers: servers.clone() };
    Ok(world.all_ways()?.into_iter().map(goal).collect())
}

/// Asks until all servers have answered; what is left when the time is over comes back in words.
fn pursue(mut goal: Goal, deadline: Instant) -> Result<Option<String>> {
    let mut last = String::from("nothing was asked");
    while Instant::now() < deadline {
        match goal.way.ask(goal.page, PATIENCE)? {
            Ok(_) if goal.servers.is_empty() => return Ok(None),
            Ok(server) => {
                goal.servers.remove(&server);
                if goal.servers.is_empty() {
                    return Ok(None);
                }
                last = format!("{server} answered");
            }
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(PAUSE);
    }
    Ok(Some(format!("{goal}: {last}")))
}
