//! The first chapter: a cluster comes up, with nobody but Pointsman to serve its Services.

use anyhow::{Context, Result};

use crate::demo::stage::{NODES, Stage, is_ready};
use crate::demo::story::Story;
use crate::netns::remove_leftovers;

/// Builds the stage.
pub fn build(story: &mut Story) -> Result<Stage> {
    story.chapter("A cluster without kube-proxy")?;
    let leftovers = remove_leftovers()?;
    if leftovers > 0 {
        story.say(&format!("(Removed {leftovers} namespaces that a killed run had left behind.)"));
    }
    story.say("A real etcd and kube-apiserver in a network namespace; a bridge; three nodes, each a namespace on it; pods as");
    story.say("namespaces behind their nodes; and an outside. Helm renders the chart, kubectl applies it: kinds, roles,");
    story.say("admission policies. No kubelet runs here, so the demo starts by itself what Deployment and DaemonSet ask for,");
    story.say("with tokens of the chart's ServiceAccounts; an agent's token is bound to its Node.");
    Stage::build()
}

/// Starts controllers and agents.
pub fn tell(story: &mut Story, stage: &mut Stage) -> Result<()> {
    story.show("kubectl version", &stage.kubectl("version")?);
    story.show("kubectl get nodes -o custom-columns=…", &nodes(stage)?);
    story.say("Two controllers start, one to lead and one to stand by, and an agent on each node. The nodes reach the");
    let server = stage.control_plane().server();
    story.say(&format!(
        "API server at its own address, {server}: no Service works before Pointsman makes it work."
    ));
    stage.start_controller(1)?;
    wait_for_leader(stage, 1)?;
    stage.start_controller(2)?;
    for node in 0..usize::from(NODES) {
        stage.start_agent(node)?;
    }
    stage.wait("three ready nodes", |stage| Ok(ready(stage)? == usize::from(NODES)))?;
    story.show("kubectl get nodeproxyplans", &stage.kubectl("get nodeproxyplans")?);
    let url = "https://10.96.0.1/readyz";
    let code = stage.status_of(&stage.nodes()[0].netns, url)?;
    story.claim(
        code == "401",
        "on node-1 the API server now answers through its own Service, 10.96.0.1 (401: nobody showed a token)",
        || format!("HTTP status {code}"),
    )
}

/// Waits until a controller holds the Lease.
pub fn wait_for_leader(stage: &mut Stage, number: u16) -> Result<()> {
    let name = format!("controller-{number}");
    stage.wait(&format!("{name} to lead"), |stage| Ok(leader(stage)?.as_deref() == Some(&name)))
}

/// Who holds the Lease, if there is one.
fn leader(stage: &Stage) -> Result<Option<String>> {
    let leases = stage.get("leases -n pointsman-system")?;
    let holder = &leases["items"][0]["spec"]["holderIdentity"];
    Ok(holder.as_str().map(str::to_owned))
}

fn ready(stage: &Stage) -> Result<usize> {
    let plans = stage.get("nodeproxyplans")?;
    Ok(plans["items"].as_array().context("a list of plans")?.iter().filter(|plan| is_ready(plan)).count())
}

/// Without the columns that only a kubelet could fill.
fn nodes(stage: &Stage) -> Result<String> {
    let columns = "NAME:.metadata.name,ADDRESSES:.status.addresses[?(@.type==\"InternalIP\")].address,PODS:.spec.podCIDRs";
    stage.kubectl(&format!("get nodes -o custom-columns={columns}"))
}
