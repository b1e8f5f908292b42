//! More endpoints than one object holds: slices, shards, how few writes a change costs, and in which order they are made.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use pointsman_tests::audit::Record;
use serde_json::{Value, json};

use crate::history::{Moment, PLANS, SLICES, moments};
use crate::objects::{Pod, pod};
use crate::place::{Place, eventually};
use crate::text::{list, text};
use crate::world::World;

/// 250 pods, one that becomes unready, 89 that are left, and 249 again.
pub fn comes_and_goes(world: &World) -> Result<()> {
    let place = Place::create(world, "crowd")?;
    let pods: Vec<Pod> = (1..=250).map(pod).collect();
    place.pods(&pods)?;
    // So that all of them are known when the Service comes.
    place.service("canary", &json!({"clusterIP": "None"}))?;
    eventually("all pods to be known", &250, || {
        slice_sizes(&place, "canary").map(|sizes| sizes.iter().sum())
    })?;
    place.silence()?;
    let mark = world.mark()?;
    place.service("web", &Value::Null)?;
    expect_sizes(&place, &[50, 100, 100])?;
    expect_base(&place, 0, 3)?;
    expect_shards(&place, &[50, 100, 100])?;
    in_order(&place.records_since(mark)?)?;
    place.delete("service", "canary")?;
    place.expect_slices("canary", &[])?;
    place.silence()?;
    one_changes(&place, pods[0].clone())?;
    let mark = world.mark()?;
    place.end(&pods[90..])?;
    expect_shards(&place, &[])?;
    expect_base(&place, 89, 0)?;
    ensure!(place.records_since(mark)?.iter().all(|record| record.code < 300), "nothing is refused");
    place.pods(&pods[90..])?;
    eventually("all to be in shards again", &249, || shard_sizes(&place).map(|sizes| sizes.iter().sum()))?;
    place.silence()?;
    nothing_was_ever_missing(&place)
}

/// One endpoint's change costs one slice and one shard.
fn one_changes(place: &Place<'_>, pod: Pod) -> Result<()> {
    let slices = place.slices("web")?;
    let pod = pod.not_ready();
    let has_it =
        |slice: &&Value| list(&slice["endpoints"]).any(|it| it["targetRef"]["name"] == pod.name().as_str());
    let slice = slices.iter().find(has_it).context("the slice of the pod")?;
    let slice = text(&slice["metadata"]["name"]);
    let shard = format!("web.{}", slice.rsplit('-').next().unwrap_or_default());
    let mark = place.world.mark()?;
    place.report(&pod)?;
    eventually("the shard to lose it", &Some(99), || {
        Ok(place.plans()?.get(&shard).map(|shard| endpoints(&shard["spec"]).len()))
    })?;
    let expected = [format!("patch endpointslices {slice}"), format!("patch serviceproxyplans {shard}")];
    place.expect_writes(mark, &expected)
}

/// A targetPort that becomes another one: three slices are rewritten, none is made and none is deleted.
pub fn another_port(world: &World) -> Result<()> {
    let place = Place::create(world, "crowd-port")?;
    place.pods(&(1..=250).map(pod).collect::<Vec<_>>())?;
    place.service("web", &Value::Null)?;
    expect_sizes(&place, &[50, 100, 100])?;
    expect_shards(&place, &[50, 100, 100])?;
    place.silence()?;
    let names = |slices: &[Value]| -> BTreeSet<String> {
        slices.iter().map(|slice| text(&slice["metadata"]["name"]).to_owned()).collect()
    };
    let before = names(&place.slices("web")?);
    let mark = world.mark()?;
    place.patch("service", "web", json!({"spec": {"ports": [{"port": 80, "targetPort": 9090}]}}))?;
    eventually("all slices to have the new port", &vec![json!(9090); 3], || {
        Ok(place.slices("web")?.iter().map(|slice| slice["ports"][0]["port"].clone()).collect::<Vec<_>>())
    })?;
    let writes = place.records_since(mark)?;
    let slices: Vec<&str> =
        writes.iter().filter(|it| it.resource == "endpointslices").map(|it| it.verb.as_str()).collect();
    ensure!(slices == ["patch"; 3], "{writes:#?}");
    ensure!(names(&place.slices("web")?) == before, "the slices keep their names");
    expect_sizes(&place, &[50, 100, 100])
}

fn expect_sizes(place: &Place<'_>, expected: &[usize]) -> Result<()> {
    eventually("the sizes of the slices", &expected.to_vec(), || slice_sizes(place, "web"))
}

fn slice_sizes(place: &Place<'_>, service: &str) -> Result<Vec<usize>> {
    let slices = place.slices(service)?;
    let mut sizes: Vec<usize> = slices.iter().map(|slice| list(&slice["endpoints"]).count()).collect();
    sizes.sort_unstable();
    Ok(sizes)
}

fn expect_base(place: &Place<'_>, inside: usize, shards: usize) -> Result<()> {
    eventually("endpoints and shards of the base", &Some((inside, shards)), || {
        let plans = place.plans()?;
        Ok(plans
            .get("web")
            .map(|base| (endpoints(&base["spec"]).len(), list(&base["spec"]["shards"]).count())))
    })
}

fn expect_shards(place: &Place<'_>, expected: &[usize]) -> Result<()> {
    eventually("the sizes of the shards", &expected.to_vec(), || shard_sizes(place))
}

fn shard_sizes(place: &Place<'_>) -> Result<Vec<usize>> {
    let plans = place.plans()?;
    let shards = plans.iter().filter(|(name, _)| name.starts_with("web."));
    let mut sizes: Vec<usize> = shards.map(|(_, shard)| endpoints(&shard["spec"]).len()).collect();
    sizes.sort_unstable();
    Ok(sizes)
}

/// Slices before plans, and shards before the base that names them; each is made once. By the audit log.
fn in_order(writes: &[Record]) -> Result<()> {
    let made: Vec<String> = writes
        .iter()
        .map(|record| match (record.resource.as_str(), record.name.as_str()) {
            ("serviceproxyplans", "web") => format!("{} base", record.verb),
            ("serviceproxyplans", _) => format!("{} shard", record.verb),
            (resource, _) => format!("{} {resource}", record.verb),
        })
        .collect();
    let (slice, shard) = ("create endpointslices", "create shard");
    ensure!(made == [slice, slice, slice, shard, shard, shard, "create base"], "{writes:#?}");
    Ok(())
}

/// From the first whole moment on each pod that stays is in a slice, and in the plan as an agent would read it: a base with every shard that
/// it names, all of the same Service.
fn nothing_was_ever_missing(place: &Place<'_>) -> Result<()> {
    let stay: BTreeSet<String> = (2..=90).map(|number| pod(number).name()).collect();
    let mut seen = 0;
    for mut moment in moments(place, SLICES)? {
        moment.retain(|name, _| name.starts_with("web-"));
        let there = targets(&moment);
        seen += usize::from(there.len() == 250 || seen > 0);
        ensure!(seen == 0 || stay.is_subset(&there), "missing: {:?}", stay.difference(&there));
    }
    ensure!(seen > 2, "the history of the slices is told: {seen}");
    let (mut sharded, mut whole_again) = (0, 0);
    for moment in moments(place, PLANS)? {
        let Some(base) = moment.get("web") else { continue };
        let named: Vec<&str> = list(&base["spec"]["shards"]).map(text).collect();
        for name in &named {
            let shard = moment.get(*name).with_context(|| format!("{name} is named, and is not there"))?;
            ensure!(shard["spec"]["serviceUID"] == base["spec"]["serviceUID"], "of one Service");
        }
        let mut usable = endpoints(&base["spec"]);
        usable.extend(named.iter().flat_map(|name| endpoints(&moment[*name]["spec"])));
        sharded += usize::from(!named.is_empty());
        whole_again += usize::from(named.is_empty() && sharded > 0);
        ensure!(sharded == 0 || usable.len() >= 89, "only {} endpoints in {named:?}", usable.len());
    }
    ensure!(sharded > 0 && whole_again > 0, "the history of the plans is told");
    Ok(())
}

fn targets(moment: &Moment) -> BTreeSet<String> {
    let endpoints = moment.values().flat_map(|slice| list(&slice["endpoints"]));
    endpoints.map(|endpoint| text(&endpoint["targetRef"]["name"]).to_owned()).collect()
}

/// The addresses in a plan's groups.
fn endpoints(spec: &Value) -> BTreeSet<String> {
    let groups = list(&spec["groups"]);
    groups.flat_map(|group| list(&group["endpoints"])).map(|it| text(&it["ip"]).to_owned()).collect()
}
