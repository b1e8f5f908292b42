//! Pods × Services → slices and plans, one line a case. Every case has a namespace of its own, and is also held to what is true of every
//! slice and plan: labels, owners, what endpoints refer to.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::privilege::{Needs, trial};
use serde_json::{Value, json};

use crate::objects::{Pod, pod};
use crate::place::Place;
use crate::suite::Suite;
use crate::text::{list, text};
use crate::world::World;

/// What it is about, the Service's spec, the Pods; the slices, and the plan's groups (`None`: no plan).
type Case = (&'static str, Value, Vec<Pod>, &'static [&'static str], Option<&'static [&'static str]>);

/// One trial a line.
pub fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let trial_of = |(number, case): (usize, Case)| {
        let suite = Arc::clone(suite);
        trial(format!("endpoints: {}", case.0), Needs::Nothing, move || {
            suite.beside_others(|world| check(world, number, &case))
        })
    };
    cases().into_iter().enumerate().map(trial_of).collect()
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let named = || json!({"ports": [{"name": "http", "port": 80, "targetPort": "web"}]});
    vec![
        ("no pods: a placeholder", json!({}), vec![], &["IPv4 |"], Some(&[])),
        ("ready or not", json!({}), vec![pod(1), pod(2).not_ready()], &["IPv4 :8080/TCP | 1:rs 2:"], Some(&[":8080 | 1"])),
        ("a pod that leaves still serves", json!({}), vec![pod(1), pod(2).leaving()], &["IPv4 :8080/TCP | 1:rs 2:st"], Some(&[":8080 | 1 2t"])),
        ("a pod that leaves and is not ready", json!({}), vec![pod(1).not_ready().leaving()], &["IPv4 :8080/TCP | 1:t"], Some(&[])),
        ("publishNotReadyAddresses", json!({"publishNotReadyAddresses": true}), vec![pod(1).not_ready(), pod(2).leaving()], &["IPv4 :8080/TCP | 1:r 2:rst"], Some(&[":8080 | 1 2"])),
        ("pods that have ended", json!({}), vec![pod(1).phase("Succeeded"), pod(2).phase("Failed"), pod(3)], &["IPv4 :8080/TCP | 3:rs"], Some(&[":8080 | 3"])),
        ("a pod without an address", json!({}), vec![pod(1).without_address().not_ready()], &["IPv4 |"], Some(&[])),
        ("pods of others", json!({}), vec![pod(1), pod(2).app("other")], &["IPv4 :8080/TCP | 1:rs"], Some(&[":8080 | 1"])),
        ("two families", json!({"ipFamilyPolicy": "RequireDualStack"}), vec![pod(1), pod(2).only_ipv4()], &["IPv4 :8080/TCP | 1:rs 2:rs", "IPv6 :8080/TCP | 1v6:rs"], Some(&[":8080 | 1 2 1v6"])),
        ("two families without pods", json!({"ipFamilyPolicy": "RequireDualStack"}), vec![], &["IPv4 |", "IPv6 |"], Some(&[])),
        ("IPv6 alone", json!({"ipFamilies": ["IPv6"]}), vec![pod(1), pod(2).only_ipv4()], &["IPv6 :8080/TCP | 1v6:rs"], Some(&[":8080 | 1v6"])),
        ("a named port with a number of each pod's own", named(), vec![pod(1), pod(2).port("web", 9090), pod(3)], &["IPv4 http:8080/TCP | 1:rs 3:rs", "IPv4 http:9090/TCP | 2:rs"], Some(&["http:8080 | 1 3", "http:9090 | 2"])),
        ("a named port that a pod lacks", named(), vec![pod(1), pod(2).port("other", 8080)], &["IPv4 http:8080/TCP | 1:rs", "IPv4 | 2:rs"], Some(&["http:8080 | 1"])),
        ("a named port of a sidecar", named(), vec![pod(1).port("other", 1).sidecar("web", 7070)], &["IPv4 http:7070/TCP | 1:rs"], Some(&["http:7070 | 1"])),
        ("a named port of another protocol", json!({"ports": [{"name": "dns", "protocol": "UDP", "port": 53, "targetPort": "web"}]}), vec![pod(1)], &["IPv4 | 1:rs"], Some(&[])),
        ("two ports of two protocols", json!({"ports": [{"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 5353}, {"name": "dns-tcp", "port": 53, "targetPort": 5353}]}), vec![pod(1)], &["IPv4 dns:5353/UDP dns-tcp:5353/TCP | 1:rs"], Some(&["dns:5353 dns-tcp:5353 | 1"])),
        ("near: for the zone", json!({"trafficDistribution": "PreferClose"}), vec![pod(1), pod(2).on("south"), pod(3).not_ready()], &["IPv4 :8080/TCP | 1:rs>a 2:rs>b 3:"], Some(&[":8080 | 1>a 2>b"])),
        ("near: for the node, then the zone", json!({"trafficDistribution": "PreferSameNode"}), vec![pod(1), pod(2).on("south").leaving()], &["IPv4 :8080/TCP | 1:rs>a,north 2:st"], Some(&[":8080 | 1>a,north 2t"])),
        ("no cluster IP", json!({"clusterIP": "None"}), vec![pod(1), pod(2).not_ready()], &["IPv4 :8080/TCP | 1:rs 2:"], None),
        ("no cluster IP and no ports", json!({"clusterIP": "None", "ports": null}), vec![pod(1)], &["IPv4 | 1:rs"], None),
        ("a hostname under this Service and one under another", json!({"clusterIP": "None"}), vec![pod(1).named("db-0", "web"), pod(2).named("db-1", "other")], &["IPv4 :8080/TCP | 1@db-0:rs 2:rs"], None),
        ("a pod on a node that is not there", json!({}), vec![pod(1), pod(2).on("nowhere")], &["IPv4 :8080/TCP | 1:rs"], Some(&[":8080 | 1"])),
        ("a pod on a node that is not there, published all the same", json!({"publishNotReadyAddresses": true}), vec![pod(1), pod(2).on("nowhere")], &["IPv4 :8080/TCP | 1:rs 2:rs"], Some(&[":8080 | 1 2"])),
        ("no selector: nobody's slices", json!({"selector": null}), vec![pod(1)], &[], Some(&[])),
        ("ExternalName", json!({"type": "ExternalName", "externalName": "elsewhere.invalid"}), vec![pod(1)], &[], None),
    ]
}

fn check(world: &World, number: usize, (_, spec, pods, slices, plan): &Case) -> Result<()> {
    let place = Place::create(world, &format!("endpoints-{number}"))?;
    let mark = world.mark()?;
    place.pods(pods)?;
    let service = place.service("web", spec)?;
    // What the controller has seen of this one is what it has seen of that one, which was there before.
    place.service("canary", &json!({"selector": {"app": "nobody"}}))?;
    place.expect_plan("canary", Some(&[]))?;
    place.expect_slices("web", slices)?;
    place.expect_plan("web", *plan)?;
    let writes = place.records_since(mark)?;
    // That it is still so now says that nothing else came after.
    place.expect_slices("web", slices)?;
    place.expect_plan("web", *plan)?;
    let made = |resource: &str| {
        writes.iter().filter(|record| record.verb == "create" && record.resource == resource).count()
    };
    ensure!(made("endpointslices") == slices.len() + 1, "slices made and their canary's: {writes:#?}");
    ensure!(made("serviceproxyplans") == usize::from(plan.is_some()) + 1, "plans made: {writes:#?}");
    ensure!(writes.iter().all(|record| record.code < 300 && record.verb != "delete"), "{writes:#?}");
    for slice in place.slices("web")? {
        slice_is_well_made(&place, &service, &slice).with_context(|| format!("{slice:#}"))?;
    }
    match place.plans()?.get("web") {
        Some(plan) => plan_is_well_made(&service, plan).with_context(|| format!("{plan:#}")),
        None => Ok(()),
    }
}

/// What is true of every slice of ours.
fn slice_is_well_made(place: &Place<'_>, service: &Value, slice: &Value) -> Result<()> {
    is_owned(service, slice)?;
    let headless = service["spec"]["clusterIP"] == "None";
    let mut labels = json!({
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    });
    if headless {
        labels["service.kubernetes.io/headless"] = "".into();
    }
    ensure!(slice["metadata"]["labels"] == labels, "labels");
    let name = text(&slice["metadata"]["name"]);
    ensure!(name.strip_prefix("web-").is_some_and(|suffix| suffix.len() == 5), "name");
    for endpoint in list(&slice["endpoints"]) {
        let target = &endpoint["targetRef"];
        let pod = place.get("pod", text(&target["name"]))?;
        ensure!(target["kind"] == "Pod" && target["namespace"] == place.name.as_str(), "the target's kind");
        ensure!(target["uid"] == pod["metadata"]["uid"], "the target's UID");
        ensure!(list(&pod["status"]["podIPs"]).any(|ip| ip["ip"] == endpoint["addresses"][0]), "address");
        ensure!(endpoint["nodeName"] == pod["spec"]["nodeName"], "node");
        let zone = match endpoint["nodeName"].as_str() {
            Some("north") => json!("a"),
            Some("south") => json!("b"),
            _ => Value::Null,
        };
        ensure!(endpoint["zone"] == zone, "zone");
    }
    Ok(())
}

/// What is true of every plan.
fn plan_is_well_made(service: &Value, plan: &Value) -> Result<()> {
    is_owned(service, plan)?;
    ensure!(plan["metadata"]["labels"] == json!({"pointsman.dev/service": "web"}), "labels");
    let (spec, wanted) = (&plan["spec"], &service["spec"]);
    ensure!(spec["serviceUID"] == service["metadata"]["uid"], "the Service's UID");
    ensure!(spec["clusterIPs"] == wanted["clusterIPs"], "cluster IPs");
    let port = |port: &Value| [port["port"].clone(), port["protocol"].clone(), json!(text(&port["name"]))];
    let ports = |object: &Value| list(&object["ports"]).map(port).collect::<Vec<_>>();
    ensure!(ports(spec) == ports(wanted), "ports");
    ensure!(plan["status"].is_null() || plan["status"] == json!({}), "nothing is refused");
    Ok(())
}

fn is_owned(service: &Value, object: &Value) -> Result<()> {
    let owner = json!([{
        "apiVersion": "v1", "kind": "Service", "name": "web", "uid": service["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    }]);
    ensure!(object["metadata"]["ownerReferences"] == owner, "owner");
    Ok(())
}
