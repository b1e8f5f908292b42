//! Services and Pods that change: what follows, and what stays.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::history::{PLANS, moments};
use crate::objects::pod;
use crate::place::{Place, eventually};
use crate::request::merge;
use crate::text::text;
use crate::world::World;

pub fn made_again(world: &World) -> Result<()> {
    let place = Place::create(world, "made-again")?;
    place.pods(&[pod(1)])?;
    let before = place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    // At once, so that the controller may see the new one before it has dealt with the old one's end.
    place.delete("service", "web")?;
    let after = place.service("web", &json!({"clusterIP": before["spec"]["clusterIP"]}))?;
    let uid = after["metadata"]["uid"].clone();
    ensure!(uid != before["metadata"]["uid"], "it is another one");
    eventually("slices and plan of the new Service", &(vec![uid.clone()], Some(uid)), || {
        let owner = |slice: &Value| slice["metadata"]["ownerReferences"][0]["uid"].clone();
        let slices = place.slices("web")?.iter().map(owner).collect();
        Ok((slices, place.plans()?.get("web").map(|plan| plan["spec"]["serviceUID"].clone())))
    })?;
    place.silence()?;
    place.expect_slices("web", &["IPv4 :8080/TCP | 1:rs"])?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    let plans = place.plans()?;
    ensure!(plans["web"]["spec"]["clusterIPs"] == before["spec"]["clusterIPs"], "with its address");
    Ok(())
}

/// Its first owner is deleted and another Service takes the address at once, while somebody's finalizer still holds the first plan: until
/// that is gone the second goes without.
pub fn address_moves(world: &World) -> Result<()> {
    let place = Place::create(world, "address-moves")?;
    let address = json!({"clusterIP": "10.96.200.200"});
    let held = json!(["10.96.200.200"]);
    let addresses = |name: &str| -> Result<Option<Value>> {
        Ok(place.plans()?.get(name).map(|plan| plan["spec"]["clusterIPs"].clone()))
    };
    place.service("first", &address)?;
    eventually("the first to have the address", &Some(held.clone()), || addresses("first"))?;
    let path = "spp@address-moves/first";
    world.forge(&merge(path, json!({"metadata": {"finalizers": ["example.org/held"]}})))?;
    place.delete("service", "first")?;
    place.service("second", &address)?;
    eventually("the second to have a plan without the address", &Some(Value::Null), || addresses("second"))?;
    ensure!(addresses("first")? == Some(held.clone()), "the first plan is still there");
    world.forge(&merge(path, json!({"metadata": {"finalizers": null}})))?;
    eventually("the second to have the address", &Some(held.clone()), || addresses("second"))?;
    let mut holders = BTreeSet::new();
    for moment in moments(&place, PLANS)? {
        let holds = |plan: &&Value| plan["spec"]["clusterIPs"] == held;
        let now: Vec<&str> =
            moment.values().filter(holds).map(|plan| text(&plan["metadata"]["name"])).collect();
        ensure!(now.len() < 2, "{now:?} hold it at once");
        holders.extend(now.into_iter().map(str::to_owned));
    }
    ensure!(holders.len() == 2, "the history of the plans is told: {holders:?}");
    Ok(())
}

pub fn external_name_and_back(world: &World) -> Result<()> {
    let place = Place::create(world, "external-name")?;
    place.pods(&[pod(1)])?;
    place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    place.silence()?;
    let mark = world.mark()?;
    let away = json!({"spec": {"type": "ExternalName", "externalName": "x.invalid", "clusterIP": null, "clusterIPs": null}});
    place.patch("service", "web", away)?;
    place.expect_plan("web", None)?;
    // Its slices are left as they are, as the EndpointSlice controller leaves them.
    place.expect_writes(mark, &["delete serviceproxyplans web".to_owned()])?;
    place.patch("service", "web", json!({"spec": {"type": "ClusterIP", "externalName": null}}))?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    place.expect_slices("web", &["IPv4 :8080/TCP | 1:rs"])
}

pub fn another_selector(world: &World) -> Result<()> {
    let place = Place::create(world, "selector")?;
    place.pods(&[pod(1), pod(2).app("blue"), pod(3).app("blue")])?;
    place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    let name = place.only_slice("web")?;
    place.silence()?;
    let mark = world.mark()?;
    place.patch("service", "web", json!({"spec": {"selector": {"app": "blue"}}}))?;
    place.expect_plan("web", Some(&[":8080 | 2 3"]))?;
    // One object is rewritten rather than one made and one deleted.
    place.expect_writes(
        mark,
        &[format!("patch endpointslices {name}"), "patch serviceproxyplans web".to_owned()],
    )?;
    let mark = world.mark()?;
    place.patch("service", "web", json!({"spec": {"selector": null}}))?;
    place.service("canary", &Value::Null)?;
    place.expect_plan("canary", Some(&[":8080 | 1"]))?;
    let writes = place.writes_since(mark)?;
    ensure!(writes.iter().all(|line| !line.contains(&name)), "the slice stays as it is: {writes:#?}");
    place.expect_slices("web", &["IPv4 :8080/TCP | 2:rs 3:rs"])?;
    place.expect_plan("web", Some(&[":8080 | 2 3"]))
}

pub fn pod_changes(world: &World) -> Result<()> {
    let place = Place::create(world, "pod-changes")?;
    place.pods(&[pod(1), pod(2)])?;
    place.service("web", &Value::Null)?;
    place.service("blue", &json!({"selector": {"app": "blue"}}))?;
    place.expect_plan("web", Some(&[":8080 | 1 2"]))?;
    place.expect_plan("blue", Some(&[]))?;
    place.patch("pod", "pod-2", json!({"metadata": {"labels": {"app": "blue"}}}))?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    place.expect_plan("blue", Some(&[":8080 | 2"]))?;
    place.silence()?;
    let mark = world.mark()?;
    // What no endpoint shows is nobody's business.
    place.patch("pod", "pod-2", json!({"metadata": {"labels": {"note": "x"}, "annotations": {"a": "b"}}}))?;
    place.patch("service", "blue", json!({"metadata": {"annotations": {"a": "b"}}}))?;
    place.expect_writes(mark, &[])?;
    place.end(&[pod(2)])?;
    place.expect_plan("blue", Some(&[]))?;
    place.expect_slices("blue", &["IPv4 |"])?;
    place.expect_plan("web", Some(&[":8080 | 1"]))
}

pub fn foreign_plan(world: &World) -> Result<()> {
    let place = Place::create(world, "foreign-plan")?;
    place.pods(&[pod(1)])?;
    place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    let good = place.plans()?["web"].clone();
    let edits = [
        json!({"spec": {"clusterIPs": ["10.96.0.10"]}}),
        json!({"spec": {"groups": null}}),
        json!({"spec": {"loadBalancerSourceRanges": ["192.0.2.0/24"]}}),
        json!({"metadata": {"labels": {"pointsman.dev/service": "other"}}}),
        json!({"metadata": {"ownerReferences": null}}),
    ];
    let path = format!("spp@{}/web", place.name);
    for edit in edits {
        place.silence()?;
        let mark = world.mark()?;
        world.forge(&merge(&path, edit.clone()))?;
        let facts = |plan: &Value| {
            [&plan["spec"], &plan["metadata"]["labels"], &plan["metadata"]["ownerReferences"]]
                .map(Value::clone)
        };
        eventually(&format!("{edit} to be put right"), &Some(facts(&good)), || {
            Ok(place.plans()?.get("web").map(facts))
        })?;
        place.expect_writes(mark, &["patch serviceproxyplans web".to_owned()])?;
    }
    Ok(())
}
