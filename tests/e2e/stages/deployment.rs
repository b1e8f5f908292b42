//! A Deployment scaled, rolled and drained while clients connect to it without pause. Its pods leave gracefully, so every connection should
//! be answered. kube-proxy is measured by the same.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use pointsman_tests::wait;

use crate::account::Account;
use crate::course::Course;
use crate::figures::Figures;
use crate::plans;
use crate::world::{CLIENTS, WORKLOAD, World};

use super::{Counts, none_failed, under_connections};

const LIMIT: Duration = Duration::from_secs(120);

/// How the clients meet a new pod: so long they are given until each has been chosen by chance.
const MEETING: Duration = Duration::from_secs(3);

/// Plays it.
pub fn play(course: Course, world: &World, account: &mut Account, figures: &mut Figures) -> Result<()> {
    scale(world, 1)?;
    let mut five = BTreeSet::new();
    let counts = during(world, account, "scaled 1→5→2", || {
        scale(world, 5)?;
        five = names(world)?;
        std::thread::sleep(MEETING);
        scale(world, 2)
    })?;
    for (through, count) in &counts {
        let missed: Vec<&String> = five.difference(&count.servers).collect();
        let claim = format!("through {through}, each of the five answered");
        account.claim(five.len() == 5 && missed.is_empty(), &claim, || {
            format!("{missed:?} of {five:?} did not")
        })?;
    }
    judge(course, world, account, figures, "scaled 1→5→2", &counts)?;

    let before = names(world)?;
    let counts = during(world, account, "rolled", || roll(world))?;
    let after = names(world)?;
    account
        .claim(before.is_disjoint(&after), "all pods are new", || format!("{before:?} became {after:?}"))?;
    judge(course, world, account, figures, "rolled", &counts)?;

    let counts = during(world, account, "drained", || drain(world))?;
    judge(course, world, account, figures, "drained", &counts)?;

    // What the proxy itself takes to hear of a pod's end: nothing is promised, for such pods are gone before anybody can know.
    leave_at_once(world)?;
    let act = "rolled, pods leaving at once";
    let counts = during(world, account, act, || roll(world))?;
    keep(course, figures, act, &counts);
    leave_gracefully(world)
}

fn during(
    world: &World,
    account: &mut Account,
    act: &str,
    work: impl FnOnce() -> Result<()>,
) -> Result<Counts> {
    under_connections(account, &world.all_ways()?, act, |_| work())
}

/// Keeps the figures, and claims that they are good. Of kube-proxy nothing is claimed.
fn judge(
    course: Course,
    world: &World,
    account: &mut Account,
    figures: &mut Figures,
    act: &'static str,
    counts: &Counts,
) -> Result<()> {
    keep(course, figures, act, counts);
    if world.has_pointsman() {
        none_failed(account, act, counts)?;
        plans::are_in_step(world, account)?;
    }
    Ok(())
}

fn keep(course: Course, figures: &mut Figures, act: &'static str, counts: &Counts) {
    for (through, count) in counts {
        figures.add(course, act, *through, count.clone());
    }
}

/// Takes away what lets pods answer for a while after they were told to go.
fn leave_at_once(world: &World) -> Result<()> {
    let patch = r#"[{"op": "remove", "path": "/spec/template/spec/containers/0/lifecycle"}]"#;
    world.cluster.kubectl(&["patch", "deployment", "web", "--type=json", "-p", patch])?;
    world.rolled_out("default", "deployment/web")?;
    wait_for_pods(world, 2)
}

fn leave_gracefully(world: &World) -> Result<()> {
    world.cluster.apply(WORKLOAD)?;
    world.rolled_out("default", "deployment/web")?;
    wait_for_pods(world, 2)
}

/// Scales, and waits until as many pods are there as should, and no others.
fn scale(world: &World, replicas: usize) -> Result<()> {
    world.cluster.kubectl(&["scale", "deployment", "web", &format!("--replicas={replicas}")])?;
    world.rolled_out("default", "deployment/web")?;
    wait_for_pods(world, replicas)
}

fn roll(world: &World) -> Result<()> {
    world.cluster.kubectl(&["rollout", "restart", "deployment", "web"])?;
    world.rolled_out("default", "deployment/web")?;
    wait_for_pods(world, 2)
}

/// All pods of one node are evicted but the client; the node stays and goes on forwarding.
fn drain(world: &World) -> Result<()> {
    let node = world.cluster.node(1).name();
    let others = format!("app notin ({})", CLIENTS.join(","));
    world.cluster.kubectl(&[
        "drain",
        node,
        "--ignore-daemonsets",
        "--pod-selector",
        &others,
        "--timeout=120s",
    ])?;
    let left: Vec<String> = world
        .pods("default", "app=web")?
        .into_iter()
        .filter(|pod| pod.node == node)
        .map(|pod| pod.name)
        .collect();
    ensure!(left.is_empty(), "{node} is drained, but {left:?} is there");
    world.rolled_out("default", "deployment/web")?;
    wait_for_pods(world, 2)?;
    world.cluster.kubectl(&["uncordon", node])?;
    if world.has_pointsman() {
        world.own_rolled_out()?;
    }
    world.rolled_out("kube-system", "deployment/coredns")
}

/// Waits until those that leave are gone too: until then they answer whoever still comes.
fn wait_for_pods(world: &World, replicas: usize) -> Result<()> {
    wait::until(&format!("{replicas} pods of web, all Ready"), LIMIT, || {
        let pods = world.pods("default", "app=web")?;
        Ok(pods.len() == replicas && pods.iter().all(|pod| pod.ready))
    })
}

fn names(world: &World) -> Result<BTreeSet<String>> {
    Ok(world.pods("default", "app=web")?.into_iter().map(|pod| pod.name).collect())
}
