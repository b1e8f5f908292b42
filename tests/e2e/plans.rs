//! What `kubectl get nodeproxyplans` must say at each stage: that each node's kernel carries every service plan there is. It looks and
//! waits; it writes nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pointsman_crds::NodeProxyPlan;
use pointsman_tests::nodes::{RealCluster, Slices};
use pointsman_tests::wait;
use serde_json::Value;

use crate::account::{Account, seconds};
use crate::world::World;

/// The status is written every ten seconds at most, and a busy machine needs some more.
const LIMIT: Duration = Duration::from_secs(30);

/// Waits until every node says that it carries everything, shows the table, and claims it.
pub fn are_in_step(world: &World, account: &mut Account) -> Result<()> {
    let begun = Instant::now();
    let mut complaints = vec![];
    let waited = wait::until("every node to carry all plans", LIMIT, || {
        complaints = complaints_of(world)?;
        Ok(complaints.is_empty())
    });
    show(&world.cluster, account)?;
    let claim = format!("each node says that it carries every plan ({} later)", seconds(begun.elapsed()));
    account.claim(waited.is_ok(), &claim, || complaints.join("; "))
}

/// Shows the table of the nodes.
pub fn show(cluster: &RealCluster, account: &Account) -> Result<()> {
    account.show("kubectl get nodeproxyplans", &cluster.kubectl(&["get", "nodeproxyplans"])?);
    Ok(())
}

/// Up to where a node's kernel carries the service plans, as its status says.
pub fn revision_of(world: &World, node: usize) -> Result<u64> {
    let name = world.cluster.node(node).name();
    let plan = world.node_plans()?.into_iter().find(|plan| plan.metadata.name.as_deref() == Some(name));
    revision(&plan.with_context(|| format!("{name} has no plan"))?)
}

/// The version of a Service's plan, in namespace `default`.
pub fn version_of(world: &World, service: &str) -> Result<u64> {
    let plan = world.get(&["serviceproxyplan", service])?;
    version(plan["metadata"]["resourceVersion"].as_str())
}

/// Who has written the EndpointSlices of Services, one entry for each writer: their label is the same whoever it was.
pub fn slice_writers(world: &World) -> Result<Vec<String>> {
    let slices: Vec<Value> = world.list(&["endpointslices", "-A", "--show-managed-fields"])?;
    let is_controlled =
        |slice: &&Value| slice["metadata"]["labels"]["kubernetes.io/service-name"] != "kubernetes";
    let entries =
        slices.iter().filter(is_controlled).filter_map(|slice| slice["metadata"]["managedFields"].as_array());
    let writer = |entry: &Value| entry["manager"].as_str().unwrap_or_default().to_owned();
    let mut writers: Vec<String> = entries.flatten().map(writer).collect();
    writers.sort();
    writers.dedup();
    Ok(writers)
}

/// The one who should.
pub fn expected_writer(world: &World) -> &'static str {
    match world.cluster.options().slices {
        Slices::Manage => "pointsman-controller",
        Slices::Consume => "kube-controller-manager",
    }
}

fn complaints_of(world: &World) -> Result<Vec<String>> {
    let mut complaints = vec![];
    let (node_plans, service_plans) = (world.node_plans()?, world.service_plans()?);
    let newest = service_plans.iter().map(|plan| version(plan.metadata.resource_version.as_deref()));
    let newest = newest.collect::<Result<Vec<u64>>>()?.into_iter().max().unwrap_or_default();
    for node in world.cluster.nodes() {
        let of_node = |plan: &&NodeProxyPlan| plan.metadata.name.as_deref() == Some(node.name());
        match node_plans.iter().find(of_node) {
            None => complaints.push(format!("{} has no plan", node.name())),
            Some(plan) => complaints.extend(complaints_about(plan, service_plans.len(), newest)?),
        }
    }
    if node_plans.len() != world.cluster.nodes().len() {
        complaints.push(format!("there are {} plans of nodes", node_plans.len()));
    }
    Ok(complaints)
}

fn complaints_about(plan: &NodeProxyPlan, services: usize, newest: u64) -> Result<Vec<String>> {
    let name = plan.metadata.name.clone().unwrap_or_default();
    let status = plan.status.clone().unwrap_or_default();
    let mut complaints = vec![];
    for (wanted, value) in [
        ("Ready", true),
        ("Programmed", true),
        ("AgentAlive", true),
        ("Stalled", false),
        ("Conflict", false),
        ("Drifted", false),
    ] {
        let found = status.conditions.iter().find(|condition| condition.type_ == wanted);
        let holds = found.is_some_and(|condition| condition.status == "True");
        if holds != value {
            complaints.push(format!("{name}: {wanted} is {found:?}"));
        }
    }
    if status.observed_generation != plan.metadata.generation {
        complaints.push(format!("{name}: its status answers to generation {:?}", status.observed_generation));
    }
    let programmed = status.programmed.clone().unwrap_or_default();
    if usize::try_from(programmed.services)? != services {
        complaints.push(format!("{name}: {} services of {services}", programmed.services));
    }
    if revision(plan)? < newest {
        complaints.push(format!("{name}: its revision {:?} is before {newest}", programmed.revision));
    }
    if let Some(refused) = status.refused.filter(|refused| refused.count > 0) {
        complaints.push(format!("{name}: it refused {refused:?}"));
    }
    Ok(complaints)
}

fn revision(plan: &NodeProxyPlan) -> Result<u64> {
    let programmed = plan.status.as_ref().and_then(|status| status.programmed.as_ref());
    // A node that has programmed nothing has not reached anything.
    programmed.map_or(Ok(0), |programmed| version(Some(&programmed.revision)))
}

/// Versions of one kind can be compared as numbers.
fn version(text: Option<&str>) -> Result<u64> {
    text.unwrap_or_default().parse().with_context(|| format!("read the version {text:?}"))
}
