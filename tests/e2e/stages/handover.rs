//! The EndpointSlices change hands, from kube-controller-manager to Pointsman and back, as the guide to migration has it: for a while both
//! write. Whoever takes over goes on with the slices that it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pointsman_tests::audit::{Mark, Record};
use pointsman_tests::nodes::Slices;
use pointsman_tests::wait;
use serde_json::Value;

use crate::account::{Account, seconds};
use crate::plans;
use crate::world::World;

use super::{none_failed, under_connections};

const LIMIT: Duration = Duration::from_secs(60);

/// So long nobody writes before it is said that the two writers agree. kube-controller-manager answers a foreign write after a second.
const SILENCE: Duration = Duration::from_secs(5);

/// How many Services are made while both write: both make their first slices at the same time.
const SERVICES: usize = 20;

/// Plays it.
pub fn play(world: &mut World, account: &mut Account) -> Result<()> {
    let first = slices(world)?;
    let counts = under_connections(account, &world.all_ways()?, "handed over and back", |account| {
        taken_over(world, account, &first)?;
        scaled(world, account, "while both write", 4)?;
        made_by_both(world, account)?;
        world.cluster.leave_slices_to(Slices::Manage)?;
        scaled(world, account, "when Pointsman alone writes", 2)?;
        claim_kept(world, account, &first, "Pointsman goes on with the slices that it found")?;
        world.cluster.leave_slices_to(Slices::Consume)?;
        world.cluster.install(&[])?;
        world.own_rolled_out()?;
        scaled(world, account, "when kube-controller-manager alone writes again", 3)?;
        scaled(world, account, "and once more", 2)?;
        claim_kept(world, account, &first, "kube-controller-manager goes on with the slices that it found")
    })?;
    none_failed(account, "handed over and back", &counts)?;
    plans::are_in_step(world, account)
}

/// `Manage`, while kube-controller-manager's controller still runs.
fn taken_over(world: &World, account: &mut Account, first: &BTreeMap<String, String>) -> Result<()> {
    let mark = world.cluster.control_plane().audit().mark()?;
    world.cluster.install(&[("endpointSlices.mode", "Manage")])?;
    world.own_rolled_out()?;
    plans::are_in_step(world, account)?;
    sleep(SILENCE);
    let writes = writes_since(world, mark)?;
    account.claim(writes.is_empty(), "to take over, nobody wrote a slice", || format!("{writes:?}"))?;
    claim_kept(world, account, first, "the slices are those of before")
}

/// Services that come while both write: each may get two slices with the same endpoints, of which one goes again.
fn made_by_both(world: &World, account: &mut Account) -> Result<()> {
    let mark = world.cluster.control_plane().audit().mark()?;
    let service = |n: usize| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: both-{n}, namespace: default}}, \
               spec: {{ipFamilyPolicy: RequireDualStack, trafficDistribution: PreferSameNode, selector: {{app: web}}, \
               ports: [{{port: 80, targetPort: 8080}}]}}}}"
        )
    };
    let begun = Instant::now();
    let services: Vec<String> = (0..SERVICES).map(service).collect();
    world.cluster.apply(&services.join("\n---\n"))?;
    let slices = wait_for_peace(world)?;
    let settled = begun.elapsed().saturating_sub(SILENCE);
    let writes = writes_since(world, mark)?;
    account.say(&format!(
        "{SERVICES} Services made while both write: nobody writes any more after {} writes of slices and {}",
        writes.len(),
        seconds(settled)
    ));
    let of_new: Vec<&Value> = slices
        .iter()
        .filter(|slice| service_of(slice).is_some_and(|name| name.starts_with("both-")))
        .collect();
    let hinted = |endpoint: &Value| endpoint["hints"]["forNodes"][0]["name"] == endpoint["nodeName"];
    let ready = |slice: &&Value| {
        let endpoints = slice["endpoints"].as_array();
        endpoints.is_some_and(|endpoints| endpoints.len() == 4 && endpoints.iter().all(hinted))
    };
    let all = of_new.len() == 2 * SERVICES && of_new.iter().all(ready);
    account.claim(all, "each has one slice per family then, with all endpoints and their hints", || {
        format!(
            "{} slices, {} of them with all endpoints",
            of_new.len(),
            of_new.iter().filter(|it| ready(it)).count()
        )
    })?;
    let names: Vec<String> = (0..SERVICES).map(|n| format!("both-{n}")).collect();
    world.cluster.kubectl(
        &["delete", "service"].into_iter().chain(names.iter().map(String::as_str)).collect::<Vec<_>>(),
    )?;
    Ok(())
}

/// The slices, when nobody has written one for a while.
fn wait_for_peace(world: &World) -> Result<Vec<Value>> {
    let begun = Instant::now();
    loop {
        let mark = world.cluster.control_plane().audit().mark()?;
        sleep(SILENCE);
        if writes_since(world, mark)?.is_empty() {
            return world.list(&["endpointslices", "-n", "default"]);
        }
        if begun.elapsed() > LIMIT {
            bail!("the two writers do not come to rest within {LIMIT:?}: {:?}", writes_since(world, mark)?);
        }
    }
}

/// Scales the Deployment, and claims that its slices hold what they should and so do the plans.
fn scaled(world: &World, account: &mut Account, when: &str, replicas: usize) -> Result<()> {
    world.cluster.kubectl(&["scale", "deployment/web", &format!("--replicas={replicas}")])?;
    world.rolled_out("default", "deployment/web")?;
    let mut seen = String::new();
    let what = format!("{when}, the slices to hold the {replicas} pods");
    wait::until(&what, LIMIT, || {
        let pods = world.pods("default", "app=web")?;
        let expected: BTreeSet<String> =
            pods.iter().flat_map(|pod| &pod.addresses).map(ToString::to_string).collect();
        let found = addresses(world)?;
        seen = format!("{found:?}, expected {expected:?}");
        Ok(pods.len() == replicas && found == expected)
    })
    .with_context(|| seen.clone())?;
    account.held(&format!("scaled to {replicas} {when}, the slices hold the {replicas} pods and no other"));
    plans::are_in_step(world, account)
}

/// The addresses in all slices of the Service `web`.
fn addresses(world: &World) -> Result<BTreeSet<String>> {
    let slices: Vec<Value> = world.list(&["endpointslices", "-n", "default"])?;
    let of_web = slices.iter().filter(|slice| service_of(slice) == Some("web"));
    let endpoints = of_web.filter_map(|slice| slice["endpoints"].as_array()).flatten();
    Ok(endpoints.filter_map(|endpoint| endpoint["addresses"][0].as_str()).map(str::to_owned).collect())
}

/// The slices of Services with a selector: their UIDs by their names.
fn slices(world: &World) -> Result<BTreeMap<String, String>> {
    let slices: Vec<Value> = world.list(&["endpointslices", "-A"])?;
    let controlled = slices.iter().filter(|slice| service_of(slice) != Some("kubernetes"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pair = |slice: &Value| (text(&slice["metadata"]["name"]), text(&slice["metadata"]["uid"]));
    let slices: BTreeMap<String, String> = controlled.map(pair).collect();
    ensure!(!slices.is_empty(), "there are no slices");
    Ok(slices)
}

fn claim_kept(
    world: &World,
    account: &mut Account,
    first: &BTreeMap<String, String>,
    claim: &str,
) -> Result<()> {
    let now = slices(world)?;
    account.claim(now == *first, claim, || format!("{first:?} became {now:?}"))
}

fn service_of(slice: &Value) -> Option<&str> {
    slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str()
}

fn writes_since(world: &World, mark: Mark) -> Result<Vec<Record>> {
    let writes = world.cluster.control_plane().audit().writes_since(mark)?;
    Ok(writes.into_iter().filter(|record| record.resource == "endpointslices").collect())
}
