//! What operators do to Pointsman itself while the cluster works: a changed value, a new image, a rollback, restarts. No connection may
//! fail, and those that stand must stand.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pointsman_tests::nodes::NAMESPACE;
use pointsman_tests::wait;
use serde_json::Value;

use crate::account::{Account, seconds};
use crate::faithful::Faithful;
use crate::plans;
use crate::world::World;

use super::{RELEASE, none_failed, under_connections};

/// The values that are changed.
const CHANGED: [(&str, &str); 2] = [("proxy.sync.verifyPeriod", "10s"), ("logLevel", "debug")];

/// What the first of them is without that.
const DEFAULT: &str = "30s";

const LIMIT: Duration = Duration::from_secs(30);

/// The tag that the same image gets as a new one.
const NEW_TAG: &str = "next";

/// Plays it.
pub fn play(world: &World, account: &mut Account) -> Result<()> {
    let faithful = Faithful::start(&world.all_ways()?);
    let first_image = image(world)?;

    act(world, account, "helm upgrade with changed values", || world.cluster.install(&CHANGED).map(drop))?;
    claim_period(world, account, CHANGED[0].1)?;

    let name = first_image.split_once(':').map_or(first_image.as_str(), |(name, _)| name);
    let new_image = format!("{name}:{NEW_TAG}");
    world
        .cluster
        .tag_image(&format!("docker.io/library/{first_image}"), &format!("docker.io/library/{new_image}"))?;
    act(world, account, "helm upgrade to another image", || {
        world.cluster.install(&[&CHANGED[..], &[("image.tag", NEW_TAG)]].concat()).map(drop)
    })?;
    claim_image(world, account, &new_image)?;

    act(world, account, "helm rollback to the first", || {
        let args = ["rollback", RELEASE, "1", "--namespace", NAMESPACE, "--wait", "--timeout=120s"];
        world.cluster.helm(&args).map(drop)
    })?;
    claim_image(world, account, &first_image)?;
    claim_period(world, account, DEFAULT)?;

    act(world, account, "kubectl rollout restart of agents and controllers", || {
        let all = ["daemonset/pointsman-agent", "deployment/pointsman-controller"];
        world.cluster.kubectl(&[&["rollout", "restart", "-n", NAMESPACE], &all[..]].concat())?;
        world.own_rolled_out()
    })?;

    let (connections, answers) = faithful.stop()?;
    let claim =
        format!("{connections} connections that stood all the while got {answers} answers, and none broke");
    account.claim(connections > 0 && answers > 0, &claim, String::new)
}

/// Does one thing under connections, and claims that it replaced all pods of Pointsman and no connection failed.
fn act(world: &World, account: &mut Account, what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = own_pods(world)?;
    let counts = under_connections(account, &world.all_ways()?, what, |_| {
        work()?;
        world.own_rolled_out()
    })?;
    let after = own_pods(world)?;
    let replaced = before.is_disjoint(&after) && after.len() == before.len();
    account.claim(replaced, &format!("{what}: all {} pods of Pointsman are new", after.len()), || {
        format!("{before:?} became {after:?}")
    })?;
    none_failed(account, what, &counts)?;
    plans::are_in_step(world, account)
}

/// The pods of agents and controllers that stay.
fn own_pods(world: &World) -> Result<BTreeSet<String>> {
    let pods = [world.own_pods("agent")?, world.own_pods("controller")?].concat();
    Ok(pods.into_iter().filter(|pod| pod.ready).map(|pod| pod.name).collect())
}

fn image(world: &World) -> Result<String> {
    let pods = world.own_pods("agent")?;
    Ok(pods.first().context("no agent has a pod")?.image.clone())
}

fn claim_image(world: &World, account: &mut Account, image: &str) -> Result<()> {
    let pods = [world.own_pods("agent")?, world.own_pods("controller")?].concat();
    let images: BTreeSet<String> = pods.into_iter().map(|pod| pod.image).collect();
    let all = images.len() == 1 && images.contains(image);
    account.claim(all, &format!("all of them run {image}"), || format!("{images:?}"))
}

/// The controller that leads writes the plans, and it may begin to lead a moment after helm has seen it Ready.
fn claim_period(world: &World, account: &mut Account, period: &str) -> Result<()> {
    let begun = Instant::now();
    let what = format!("each node's plan to say verifyPeriod {period}");
    wait::until(&what, LIMIT, || {
        let plans: Vec<Value> = world.list(&["nodeproxyplans"])?;
        // The default is left out of a plan.
        let says = |plan: &Value| plan["spec"]["sync"]["verifyPeriod"].as_str().unwrap_or(DEFAULT) == period;
        Ok(!plans.is_empty() && plans.iter().all(says))
    })?;
    let took = seconds(begun.elapsed());
    account.held(&format!("each node's plan says verifyPeriod {period}, seen {took} after that"));
    Ok(())
}
