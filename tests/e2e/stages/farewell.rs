//! The end, as operators meet it: uninstalled, Pointsman leaves traffic working; installed again, it takes over what it finds; cleaned up
//! and uninstalled, it leaves nothing.

use std::time::Duration;

use anyhow::{Context, Result};
use pointsman_tests::nodes::NAMESPACE;
use pointsman_tests::wait;

use crate::account::Account;
use crate::faithful::Faithful;
use crate::plans;
use crate::world::World;

use super::{none_failed, under_connections};

const LIMIT: Duration = Duration::from_secs(60);

/// So long traffic goes on without anybody.
const ALONE: Duration = Duration::from_secs(15);

/// Where agents keep the last plan.
const STATE: &str = "/var/lib/pointsman";

/// Plays it.
pub fn play(world: &World, account: &mut Account) -> Result<()> {
    let faithful = Faithful::start(&world.all_ways()?);
    uninstalled(world, account)?;
    let counts = under_connections(account, &world.all_ways()?, "installed again", |_| {
        world.cluster.install(&[]).map(drop)
    })?;
    none_failed(account, "installed again", &counts)?;
    plans::are_in_step(world, account)?;
    let (connections, answers) = faithful.stop()?;
    let claim =
        format!("{connections} connections that stood all the while got {answers} answers, and none broke");
    account.claim(connections > 0 && answers > 0, &claim, String::new)?;
    cleaned_up(world, account)?;
    removed(world, account)
}

fn uninstalled(world: &World, account: &mut Account) -> Result<()> {
    let counts = under_connections(account, &world.all_ways()?, "uninstalled", |_| {
        uninstall(world)?;
        std::thread::sleep(ALONE);
        Ok(())
    })?;
    none_failed(account, "uninstalled", &counts)?;
    plans::show(&world.cluster, account)?;
    let plans = world.node_plans()?.len();
    account.claim(plans == world.cluster.nodes().len(), "the plans are still there", || {
        format!("there are {plans}")
    })
}

/// Uninstalls, and waits for the pods too: helm waits only for what it has made itself.
fn uninstall(world: &World) -> Result<()> {
    world.cluster.uninstall()?;
    wait::until("the pods of Pointsman to be gone", LIMIT, || {
        Ok(world.own_pods("agent")?.is_empty() && world.own_pods("controller")?.is_empty())
    })
}

/// As the chart's page says.
fn cleaned_up(world: &World, account: &mut Account) -> Result<()> {
    world.cluster.install(&[("cleanup.enabled", "true")])?;
    world.rolled_out(NAMESPACE, "daemonset/pointsman-agent")?;
    for (node, first) in world.cluster.nodes().iter().zip(&world.first_rulesets) {
        let rules = node.nft(&["list", "ruleset"])?;
        let claim =
            format!("cleaned up, the rules of {} are those from before the first install", node.name());
        account.claim(rules == *first, &claim, || rules.clone())?;
        let files = node.exec(&["ls", "-A", STATE])?;
        account.claim(files.is_empty(), &format!("and {STATE} is empty there"), || files.clone())?;
    }
    let mut answered = vec![];
    for way in world.all_ways()? {
        if way.ask("/hostname", Duration::from_millis(300))?.is_ok() {
            answered.push(way.to_string());
        }
    }
    account.claim(answered.is_empty(), "nobody answers at the Service's addresses any more", || {
        answered.join("; ")
    })
}

fn removed(world: &World, account: &mut Account) -> Result<()> {
    uninstall(world)?;
    let kinds =
        ["nodeproxyplans.pointsman.dev", "serviceproxyplans.pointsman.dev", "proxyprofiles.pointsman.dev"];
    world.cluster.kubectl(&[&["delete", "crd", "--timeout=60s"], &kinds[..]].concat())?;
    let in_cluster = "customresourcedefinitions,clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings";
    let of_cluster = world.cluster.kubectl(&["get", in_cluster, "-o", "name"])?;
    let ours: Vec<&str> = of_cluster.lines().filter(|name| name.contains("pointsman")).collect();
    account.claim(
        ours.is_empty(),
        "uninstalled, and its kinds deleted, no object of the cluster as a whole is ours",
        || ours.join(", "),
    )?;
    let in_namespace = left_in_namespace(world)?;
    let known = ["lease.coordination.k8s.io/pointsman-controller"];
    account.say(&format!("in its namespace is left: {}", in_namespace.join(", ")));
    account.claim(
        in_namespace.iter().all(|name| known.contains(&name.as_str())),
        "the namespace can go",
        || in_namespace.join(", "),
    )
}

/// What is in the namespace of the release beside what every namespace has.
fn left_in_namespace(world: &World) -> Result<Vec<String>> {
    let kinds = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,leases,poddisruptionbudgets";
    let text = world
        .cluster
        .kubectl(&["get", kinds, "-n", NAMESPACE, "-o", "name"])
        .context("look into the namespace")?;
    let own = ["configmap/kube-root-ca.crt", "serviceaccount/default"];
    Ok(text.lines().filter(|name| !own.contains(name)).map(str::to_owned).collect())
}
