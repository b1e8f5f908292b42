//! What the controller refuses: it is told in the plan's status and by an Event on the Service, and the rest of the Service works.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use crate::binary::Controller;
use crate::objects::slice;
use crate::place::{Place, eventually};
use crate::request::{create, delete, merge};
use crate::text::{list, text};
use crate::world::World;

/// The controller looks at its gauges every five seconds.
const LOOKED_ROUND: Duration = Duration::from_secs(7);

pub fn endpoints(world: &World) -> Result<()> {
    let place = Place::create(world, "refused")?;
    place.service("bare", &json!({"selector": null}))?;
    place.add("slice", slice("good", "bare", &["10.9.0.1"]))?;
    // The API server refuses loopback and link-local addresses by itself; these it lets pass.
    let loopback = slice("loopback", "bare", &["127.0.0.1"]);
    let answer = world.ask(&create("slice@refused", loopback))?;
    ensure!(answer.code == 422, "loopback: {} {}", answer.code, answer.message());
    place.add("slice", slice("bad", "bare", &["10.96.0.77", "239.1.2.3"]))?;
    place.expect_plan("bare", Some(&[":8080 | 10.9.0.1"]))?;
    let from = "EndpointSlice bad";
    let refused = json!({"count": 2, "first": [
        {"what": "endpoint 10.96.0.77", "reason": "EndpointInServiceCidr", "from": from},
        {"what": "endpoint 239.1.2.3", "reason": "EndpointInMulticast", "from": from},
    ]});
    expect_refused(&place, "bare", &refused)?;
    let note = place.event("bare", "EndpointInServiceCidr")?;
    ensure!(note.contains("10.96.0.77") && note.contains(from), "{note}");
    ensure!(place.event("bare", "EndpointInMulticast")?.contains("239.1.2.3"), "the other one");
    place.delete("slice", "bad")?;
    expect_refused(&place, "bare", &Value::Null)?;
    place.silence()?;
    place.expect_plan("bare", Some(&[":8080 | 10.9.0.1"]))
}

pub fn external_ip(world: &World) -> Result<()> {
    let place = Place::create(world, "refused-ip")?;
    place.service("web", &json!({"externalIPs": ["198.51.100.7", "192.0.2.7"]}))?;
    expect_refused(
        &place,
        "web",
        &json!({"count": 1, "first": [
            {"what": "external IP 198.51.100.7", "reason": "ExternalIpNotAllowed", "from": "Service refused-ip/web"},
        ]}),
    )?;
    ensure!(place.plans()?["web"]["spec"]["externalIPs"] == json!(["192.0.2.7"]), "the allowed one is there");
    ensure!(place.event("web", "ExternalIpNotAllowed")?.contains("198.51.100.7"), "the Event names it");
    place.patch("service", "web", json!({"spec": {"externalIPs": ["192.0.2.7"]}}))?;
    expect_refused(&place, "web", &Value::Null)
}

pub fn conflict(world: &World) -> Result<()> {
    let place = Place::create(world, "conflict")?;
    let claims = json!({"externalIPs": ["192.0.2.50"]});
    // By name the younger comes first; creation times are whole seconds.
    place.service("older", &claims)?;
    expect_external(&place, "older", &json!(["192.0.2.50"]))?;
    std::thread::sleep(Duration::from_millis(1100));
    place.service("a-younger", &claims)?;
    expect_refused(
        &place,
        "a-younger",
        &json!({"count": 1, "first": [{
            "what": "address 192.0.2.50, which Service conflict/older holds",
            "reason": "FrontendConflict", "from": "Service conflict/a-younger",
        }]}),
    )?;
    let plan = place.plans()?["a-younger"].clone();
    ensure!(plan["spec"]["externalIPs"].is_null(), "{plan:#}");
    ensure!(list(&plan["spec"]["clusterIPs"]).count() == 1, "the rest works: {plan:#}");
    for (service, other) in [("older", "conflict/a-younger"), ("a-younger", "conflict/older")] {
        let note = place.event(service, "FrontendConflict")?;
        ensure!(note.contains(other), "{service} is told: {note}");
    }
    place.silence()?;
    expect_external(&place, "older", &json!(["192.0.2.50"]))?;
    ensure!(place.plans()?["older"]["status"]["refused"].is_null(), "the older has what it wants");
    place.delete("service", "older")?;
    expect_external(&place, "a-younger", &json!(["192.0.2.50"]))?;
    expect_refused(&place, "a-younger", &Value::Null)
}

/// What is refused now is counted by reason, by whoever leads; what no longer is refused no longer counts.
pub fn counted(world: &World, controller: Controller) -> Result<Controller> {
    let count = |controller: &Controller, reason: &str| {
        controller.metric(&format!("pointsman_controller_refused{{reason=\"{reason}\"}}"))
    };
    let counts = |controller: &Controller| {
        Ok([
            count(controller, "ExternalIpNotAllowed"),
            count(controller, "FrontendConflict"),
            count(controller, "Unlisted"),
        ])
    };
    // Other trials may have left something, and only just now.
    std::thread::sleep(LOOKED_ROUND);
    let [Some(external), Some(conflict), Some(unlisted)] = counts(&controller)? else {
        bail!("nothing is counted")
    };
    let before = [external, conflict, unlisted];
    let and = |more: [i64; 3]| [0, 1, 2].map(|place| Some(before[place] + more[place]));
    let place = Place::create(world, "counted")?;
    let foreign: Vec<String> = (0..40).map(|number| format!("198.51.100.{}", 100 + number)).collect();
    place.service("many", &json!({"externalIPs": foreign}))?;
    place.service("few", &json!({"externalIPs": ["198.51.100.7", "192.0.2.60"]}))?;
    eventually("all that is refused to count", &and([33, 0, 8]), || counts(&controller))?;
    controller.stop()?;
    let controller = Controller::leading(world, &[])?;
    eventually("its successor to say the same", &and([33, 0, 8]), || counts(&controller))?;
    place.delete("service", "many")?;
    eventually("what is gone not to count", &and([1, 0, 0]), || counts(&controller))?;
    place.patch("service", "few", json!({"spec": {"externalIPs": null}}))?;
    eventually("nothing of these to count", &and([0, 0, 0]), || counts(&controller))?;
    Ok(controller)
}

/// The API server takes no slice here for a while: it is told, tried again with longer and longer pauses, and made good at last. A quota
/// stands for whatever refuses.
pub fn by_apiserver(world: &World) -> Result<()> {
    let place = Place::create(world, "denied")?;
    let none = json!({"count/endpointslices.discovery.k8s.io": "0"});
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": none},
    });
    let quotas = "/api/v1/namespaces/denied/resourcequotas";
    world.must(&create(quotas, quota))?;
    let status = json!({"status": {"hard": none, "used": none}});
    world.must(&merge(&format!("{quotas}/none/status"), status))?;
    let mark = world.mark()?;
    place.service("web", &Value::Null)?;
    let note = place.event("web", "FailedToUpdateEndpointSlices")?;
    ensure!(note.contains("exceeded quota"), "the Event says why: {note}");
    std::thread::sleep(Duration::from_secs(3));
    let refused =
        world.writes_since(mark)?.iter().filter(|it| it.namespace == "denied" && it.code == 403).count();
    // At once, and 0.2 s, 0.6 s, 1.4 s and 3 s later.
    ensure!((3..=6).contains(&refused), "{refused} tries in 3 s");
    ensure!(place.plans()?.is_empty(), "no plan without slices");
    world.must(&delete(&format!("{quotas}/none")))?;
    place.expect_slices("web", &["IPv4 |"])?;
    place.expect_plan("web", Some(&[]))
}

fn expect_refused(place: &Place<'_>, service: &str, expected: &Value) -> Result<()> {
    eventually(&format!("what is refused of {service}"), &Some(expected.clone()), || {
        Ok(place.plans()?.get(service).map(|plan| plan["status"]["refused"].clone()))
    })
}

fn expect_external(place: &Place<'_>, service: &str, expected: &Value) -> Result<()> {
    eventually(&format!("the external IPs of {}", text(&json!(service))), &Some(expected.clone()), || {
        Ok(place.plans()?.get(service).map(|plan| plan["spec"]["externalIPs"].clone()))
    })
}
