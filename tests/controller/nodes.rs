//! Nodes and their plans. AgentAlive goes False after ten minutes without a heartbeat: too long to wait for here, so the unit tests of
//! the controller hold it.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use pointsman_tests::audit::Mark;
use serde_json::{Value, json};

use crate::binary::Controller;
use crate::objects::{self, pod};
use crate::place::{Place, eventually};
use crate::request::{create, delete, get, merge};
use crate::text;
use crate::world::World;

pub fn life(world: &World) -> Result<()> {
    let mark = world.mark()?;
    let node = world.add_node("east", "c")?;
    let mut expected = json!({"uid": node["metadata"]["uid"], "addresses": ["10.200.0.11"], "zone": "c"});
    expect_node(world, "east", &expected)?;
    let plan = world.must(&get("npp/east"))?;
    let owner = json!([{
        "apiVersion": "v1", "kind": "Node", "name": "east", "uid": node["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    }]);
    ensure!(plan["metadata"]["ownerReferences"] == owner, "{plan:#}");
    ensure!(plan["spec"]["mode"] == "nftables", "{plan:#}");
    ensure!(plan["spec"]["serviceCIDRs"] == json!(["10.96.0.0/16", "fd00:96::/112"]), "{plan:#}");
    ensure!(writes(world, mark, "east")?[0] == "create nodeproxyplans east", "it is made");
    let changes = [
        (
            "node/east",
            json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "d"}}}),
            "zone",
            json!("d"),
        ),
        (
            "node/east",
            json!({"spec": {"podCIDR": "10.3.0.0/24", "podCIDRs": ["10.3.0.0/24"]}}),
            "podCIDRs",
            json!(["10.3.0.0/24"]),
        ),
        ("node/east/status", objects::node_status("10.200.0.99"), "addresses", json!(["10.200.0.99"])),
        (
            "node/east",
            json!({"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}}),
            "leaving",
            json!(true),
        ),
    ];
    for (path, patch, field, value) in changes {
        let mark = world.mark()?;
        world.must(&merge(path, patch))?;
        expected[field] = value;
        expect_node(world, "east", &expected)?;
        ensure!(writes(world, mark, "east")? == ["patch nodeproxyplans east"], "one write for {field}");
    }
    let mark = world.mark()?;
    let forged = json!({"spec": {"mode": "ipvs", "node": {"zone": "elsewhere"}, "paused": true}});
    world.forge(&merge("npp/east", forged))?;
    let good = world.must(&get("npp/north"))?["spec"]["mode"].clone();
    eventually("a foreign edit to be put right", &(expected.clone(), good, Value::Null), || {
        let spec = world.must(&get("npp/east"))?["spec"].clone();
        Ok((spec["node"].clone(), spec["mode"].clone(), spec["paused"].clone()))
    })?;
    ensure!(writes(world, mark, "east")? == ["patch nodeproxyplans east"], "one write");
    let mark = world.mark()?;
    // What no plan shows.
    world.must(&merge("node/east", json!({"metadata": {"labels": {"pool": "edge"}}})))?;
    ensure!(writes(world, mark, "east")?.is_empty(), "nothing to write");
    world.must(&delete("node/east"))?;
    eventually("the plan to be gone", &404, || Ok(world.ask(&get("npp/east"))?.code))?;
    ensure!(writes(world, mark, "east")? == ["delete nodeproxyplans east"], "one deletion");
    Ok(())
}

/// Nodes come until there are 501, one goes, the controller is another one, and then all go that came.
pub fn crowd(world: &World, controller: Controller) -> Result<Controller> {
    let there = text::list(&world.must(&get("/api/v1/nodes"))?["items"]).count();
    let name = |number: usize| format!("crowd-{number:03}");
    let node = |number| vec![create("node", objects::node(&name(number), "c"))];
    world.many((there..500).map(node).collect())?;
    eventually("500 plans without a period", &vec![Value::Null; 500], || periods(world))?;
    world.silence(|_| true)?;
    let mark = world.mark()?;
    world.many(vec![node(500)])?;
    eventually("501 plans with a period", &vec![json!("60s"); 501], || periods(world))?;
    let written = all_writes(world, mark)?;
    ensure!(written == BTreeMap::from([("create".to_owned(), 1), ("patch".to_owned(), 500)]), "{written:?}");
    let mark = world.mark()?;
    world.must(&delete(&format!("node/{}", name(500))))?;
    eventually("500 plans with a period", &vec![json!("60s"); 500], || periods(world))?;
    controller.stop()?;
    let controller = Controller::leading(world, &[])?;
    let written = all_writes(world, mark)?;
    ensure!(written == BTreeMap::from([("delete".to_owned(), 1)]), "{written:?}");
    world.many((there..500).map(|number| vec![delete(&format!("node/{}", name(number)))]).collect())?;
    eventually("the plans as they were", &vec![Value::Null; there], || periods(world))?;
    Ok(controller)
}

/// The status periods of all Nodes' plans.
fn periods(world: &World) -> Result<Vec<Value>> {
    let plans = world.must(&get("npp"))?;
    Ok(text::list(&plans["items"]).map(|plan| plan["spec"]["sync"]["statusPeriod"].clone()).collect())
}

/// How often which verb was written, once all is written; nothing was refused.
fn all_writes(world: &World, mark: Mark) -> Result<BTreeMap<String, usize>> {
    world.silence(|_| true)?;
    let mut counts = BTreeMap::new();
    for record in world.writes_since(mark)? {
        ensure!(record.resource == "nodeproxyplans" && record.code < 300, "{record:?}");
        *counts.entry(record.verb).or_default() += 1;
    }
    Ok(counts)
}

/// Under the same name, as when a machine is installed anew.
pub fn made_again(world: &World) -> Result<()> {
    let before = world.add_node("again", "c")?;
    eventually("its plan", &200, || Ok(world.ask(&get("npp/again"))?.code))?;
    world.must(&delete("node/again"))?;
    let after = world.add_node("again", "c")?;
    let uid = after["metadata"]["uid"].clone();
    ensure!(uid != before["metadata"]["uid"], "it is another one");
    eventually("the plan of the new Node", &(uid.clone(), uid), || {
        let plan = world.ask(&get("npp/again"))?.body;
        Ok((plan["spec"]["node"]["uid"].clone(), plan["metadata"]["ownerReferences"][0]["uid"].clone()))
    })
}

pub fn endpoints_follow(world: &World) -> Result<()> {
    let place = Place::create(world, "nodes")?;
    place.pods(&[pod(1), pod(2).on("west")])?;
    place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    world.add_node("west", "c")?;
    place.expect_plan("web", Some(&[":8080 | 1 2"]))?;
    expect_zone(&place, "c")?;
    place.silence()?;
    let mark = world.mark()?;
    world.must(&merge("node/west", json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "d"}}})))?;
    expect_zone(&place, "d")?;
    let slice = format!("patch endpointslices {}", place.only_slice("web")?);
    place.expect_writes(mark, &[slice, "patch serviceproxyplans web".to_owned()])?;
    world.must(&delete("node/west"))?;
    place.expect_plan("web", Some(&[":8080 | 1"]))
}

fn expect_zone(place: &Place<'_>, zone: &str) -> Result<()> {
    eventually("the zone in slice and plan", &(json!(zone), json!(zone)), || {
        let slice = place.slices("web")?.first().map(|slice| slice["endpoints"][1]["zone"].clone());
        let plan = place.plans()?["web"]["spec"]["groups"][0]["endpoints"][1]["zone"].clone();
        Ok((slice.unwrap_or_default(), plan))
    })
}

fn expect_node(world: &World, name: &str, expected: &Value) -> Result<()> {
    let path = format!("npp/{name}");
    eventually(&format!("the plan of {name}"), expected, || {
        Ok(world.ask(&get(&path))?.body["spec"]["node"].clone())
    })
}

/// What was written of a Node's plan, once all is written.
fn writes(world: &World, mark: Mark, name: &str) -> Result<Vec<String>> {
    let is_its =
        |record: &pointsman_tests::audit::Record| record.resource == "nodeproxyplans" && record.name == name;
    world.silence(is_its)?;
    Ok(world.writes_since(mark)?.iter().filter(|record| is_its(record)).map(text::write).collect())
}
