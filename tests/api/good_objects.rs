//! What is written comes back: the kinds are taken without a warning, and objects, full and minimal, are stored as they were sent, field
//! by field and typed. The full ones are held to the schema, so that no field is forgotten here.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_crds::{NodeProxyPlanSpec, ProxyProfileSpec, ServiceProxyPlanSpec};
use pointsman_tests::privilege::{Needs, trial};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::request::{create, get};
use crate::samples::{full_node_plan, full_profile, full_service_plan, full_settings, plan};
use crate::suite::{Suite, Who};

/// What is special about an object, and its spec.
type Line = (&'static str, Value);

fn node_plans() -> Vec<Line> {
    let with = |field: &str, value: Value| json!({"node": {"uid": "0a"}, field: value});
    let local =
        |mode: &str, interface: &str| with("detectLocal", json!({"mode": mode, "interface": interface}));
    vec![
        ("with every field", full_node_plan()),
        ("with nothing but its node", json!({"node": {"uid": "0a"}})),
        ("told local by bridge", local("BridgeInterface", "br-1.0@x")),
        ("told local by prefix", local("InterfaceNamePrefix", "cali")),
        ("told local by nothing", with("detectLocal", json!({"mode": "None"}))),
        ("of one family", with("ipFamilies", json!(["IPv6"]))),
        ("with node ports on all addresses", with("nodePortAddresses", json!({"type": "All"}))),
        ("with the last mark bit", with("masquerade", json!({"bit": 31}))),
        ("with the first mark bit", with("masquerade", json!({"bit": 0, "all": false}))),
        ("not paused", with("paused", json!(false))),
        ("with a range of all addresses", with("serviceCIDRs", json!(["0.0.0.0/0", "::/0"]))),
        ("with settings that set nothing", with("sync", json!({}))),
        ("with the shortest status period", with("sync", json!({"statusPeriod": "1s"}))),
        ("with the longest status period", with("sync", json!({"statusPeriod": "240s"}))),
    ]
}

fn service_plans() -> Vec<Line> {
    let with = |field: &str, value: Value| json!({"serviceUID": "7c", field: value});
    let hundred: Vec<Value> = (0..100).map(|n| json!({"ip": format!("10.244.0.{n}")})).collect();
    let shards: Vec<String> = (0..4096).map(|n| format!("web.{n:05}")).collect();
    vec![
        ("with every field but shards", full_service_plan()),
        ("with nothing but its Service", json!({"serviceUID": "7c"})),
        ("with 4096 shards", with("shards", json!(shards))),
        ("with 100 endpoints", with("groups", json!([{"endpoints": hundred}]))),
        ("with a group without endpoints", with("groups", json!([{"endpoints": []}]))),
        ("with IPv6 alone", with("clusterIPs", json!(["fd00:96::10"]))),
        ("with IPv6 first", with("clusterIPs", json!(["fd00:96::10", "10.96.0.10"]))),
        ("with the last port", with("ports", json!([{"protocol": "SCTP", "port": 65535, "nodePort": 1}]))),
        ("with a summary of no endpoints", with("summary", json!({"endpoints": 0}))),
    ]
}

fn profiles() -> Vec<Line> {
    let with = |field: &str, value: Value| {
        let mut spec = json!({"nodeSelector": {}, "settings": {}});
        spec[field] = value;
        spec
    };
    vec![
        ("with every field", full_profile()),
        ("for all nodes", with("settings", json!({}))),
        ("one node at a time", with("rollout", json!({"maxUnavailable": 1}))),
        ("below all others", with("priority", json!(-1_000_000))),
        ("with every setting", with("settings", full_settings())),
        ("for nodes without a label", {
            with("nodeSelector", json!({"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}))
        }),
    ]
}

/// One trial a line.
pub fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let tables = [("npp", node_plans()), ("spp", service_plans()), ("pxp", profiles())];
    let mut trials = vec![];
    for (kind, lines) in tables {
        for (line, (what, spec)) in lines.into_iter().enumerate() {
            let (suite, name) = (Arc::clone(suite), format!("east-good-{line}"));
            let work = move || comes_back(&suite, kind, &name, &spec);
            trials.push(trial(format!("good: {kind} {what}"), Needs::Nothing, work));
        }
    }
    let (kinds, full) = (Arc::clone(suite), Arc::clone(suite));
    trials.push(trial("good: the kinds are taken without a warning", Needs::Nothing, move || taken(&kinds)));
    trials.push(trial("good: the full objects have every field", Needs::Nothing, move || {
        nothing_is_forgotten(&full)
    }));
    trials
}

fn comes_back(suite: &Suite, kind: &str, name: &str, spec: &Value) -> Result<()> {
    let (list, who, long) = match kind {
        "npp" => ("npp", Who::Controller, "NodeProxyPlan"),
        "spp" => ("spp@yard", Who::Controller, "ServiceProxyPlan"),
        _ => ("pxp", Who::Admin, "ProxyProfile"),
    };
    let answer = suite.ask(who, &create(list, plan(long, json!({"name": name}), spec.clone())))?;
    ensure!(answer.code == 201, "{} {}", answer.code, answer.message());
    ensure!(answer.warnings.is_empty(), "warned: {:?}", answer.warnings);
    let stored = suite.must(Who::Admin, &get(&format!("{list}/{name}")))?;
    ensure!(&stored["spec"] == spec, "sent {spec}, came back {}", stored["spec"]);
    match kind {
        "npp" => typed::<NodeProxyPlanSpec>(spec),
        "spp" => typed::<ServiceProxyPlanSpec>(spec),
        _ => typed::<ProxyProfileSpec>(spec),
    }
}

/// What our programs read and write again is what was there: no field is lost, none is added.
fn typed<T: DeserializeOwned + Serialize>(spec: &Value) -> Result<()> {
    let value: T = serde_json::from_value(spec.clone()).context("read it as our type")?;
    let again = serde_json::to_value(value)?;
    ensure!(&again == spec, "read {spec}, would write {again}");
    Ok(())
}

fn taken(suite: &Suite) -> Result<()> {
    ensure!(suite.installed.stderr.is_empty(), "kubectl said: {}", suite.installed.stderr);
    for definition in definitions(suite)? {
        let told = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let told: BTreeSet<String> =
            told.iter().map(|c| format!("{}={}", c["type"], c["status"]).replace('"', "")).collect();
        let expected = ["Established=True", "NamesAccepted=True"].map(str::to_owned);
        ensure!(told == expected.into(), "{}: {told:?}", definition["metadata"]["name"]);
    }
    Ok(())
}

fn nothing_is_forgotten(suite: &Suite) -> Result<()> {
    let shards = json!({"shards": []});
    for definition in definitions(suite)? {
        let (samples, allowed) = match definition["spec"]["names"]["shortNames"][0].as_str() {
            Some("npp") => (vec![full_node_plan()], "spec.detectLocal.interface"),
            Some("spp") => (vec![full_service_plan(), shards.clone()], ""),
            _ => (vec![full_profile()], "spec.settings.detectLocal.interface"),
        };
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut missing = vec![];
        forgotten("spec", schema, &samples.iter().collect::<Vec<_>>(), &mut missing);
        missing.retain(|path| path != allowed);
        ensure!(missing.is_empty(), "no sample has {missing:?}");
    }
    Ok(())
}

fn forgotten(path: &str, schema: &Value, samples: &[&Value], missing: &mut Vec<String>) {
    if samples.is_empty() {
        missing.push(path.to_owned());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let inner: Vec<&Value> = samples.iter().filter_map(|sample| sample.get(name)).collect();
        forgotten(&format!("{path}.{name}"), field, &inner, missing);
    }
    if let Some(items) = schema.get("items") {
        let inner: Vec<&Value> = samples.iter().filter_map(|sample| sample.as_array()).flatten().collect();
        if items.get("properties").is_some() {
            forgotten(&format!("{path}[]"), items, &inner, missing);
        }
    }
}

/// The kinds as the API server stores them.
pub fn definitions(suite: &Suite) -> Result<Vec<Value>> {
    let list = suite.must(Who::Admin, &get("crd"))?;
    let ours = list["items"].as_array().context("a list of kinds")?.clone();
    ensure!(ours.len() == 3, "{} kinds", ours.len());
    Ok(ours)
}
