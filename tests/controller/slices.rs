//! What slices carry beside endpoints, and who else writes slices.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::objects::{pod, service, slice};
use crate::place::{Place, eventually};
use crate::text::{self, list};
use crate::world::World;

/// Who writes the slices of Services with a selector: kube-controller-manager or Pointsman.
pub const OURS: &str = "endpointslice-controller.k8s.io";

pub fn labels(world: &World) -> Result<()> {
    let place = Place::create(world, "labels")?;
    let mut object = service("web", &Value::Null);
    // A label of this name on a Service says that it is nobody's to proxy: it is not set here.
    object["metadata"]["labels"] = json!({
        "team": "red", "kubernetes.io/service-name": "other", "endpointslice.kubernetes.io/managed-by": "me",
    });
    place.add("service", object)?;
    place.expect_plan("web", Some(&[]))?;
    let labels =
        || Ok(place.slices("web")?.iter().map(|it| it["metadata"]["labels"].clone()).collect::<Vec<_>>());
    let ours = json!({"kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": OURS});
    let mut expected = ours.clone();
    expected["team"] = "red".into();
    eventually("the labels", &vec![expected.clone()], labels)?;
    let mark = world.mark()?;
    place.patch("service", "web", json!({"metadata": {"labels": {"team": "blue", "tier": "1"}}}))?;
    expected["team"] = "blue".into();
    expected["tier"] = "1".into();
    eventually("the new labels", &vec![expected], labels)?;
    place.expect_writes(mark, &[format!("patch endpointslices {}", place.only_slice("web")?)])?;
    place.patch("service", "web", json!({"metadata": {"labels": null}}))?;
    eventually("no labels but ours", &vec![ours], labels)
}

pub fn trigger_time(world: &World) -> Result<()> {
    let place = Place::create(world, "trigger")?;
    place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[]))?;
    let told = |place: &Place<'_>| -> Result<Vec<String>> {
        let name = "endpoints.kubernetes.io/last-change-trigger-time";
        let of = |slice: &Value| text::text(&slice["metadata"]["annotations"][name]).to_owned();
        Ok(place.slices("web")?.iter().map(of).collect())
    };
    let created = place.get("service", "web")?["metadata"]["creationTimestamp"].clone();
    eventually("the time of the Service", &vec![text::text(&created).to_owned()], || told(&place))?;
    place.pods(&[pod(1).since("2026-02-03T04:05:06Z")])?;
    eventually("the time of the pod's readiness", &vec!["2026-02-03T04:05:06Z".to_owned()], || told(&place))?;
    place.report(&pod(1).not_ready().since("2026-02-03T05:00:00Z"))?;
    eventually("the time of its end", &vec!["2026-02-03T05:00:00Z".to_owned()], || told(&place))?;
    // What no readiness brought about has no time: an old one would count as a late reaction.
    place.end(&[pod(1)])?;
    place.expect_slices("web", &["IPv4 |"])?;
    eventually("no time", &vec![String::new()], || told(&place))
}

pub fn same_name_again(world: &World) -> Result<()> {
    let place = Place::create(world, "again")?;
    place.pods(&[pod(1)])?;
    place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    let name = place.only_slice("web")?;
    let before = place.get("slice", &name)?;
    place.silence()?;
    let mark = world.mark()?;
    place.delete("slice", &name)?;
    place.expect_slices("web", &["IPv4 :8080/TCP | 1:rs"])?;
    let after = place.get("slice", &name)?;
    ensure!(after["metadata"]["uid"] != before["metadata"]["uid"], "it is a new one");
    ensure!(after["endpoints"] == before["endpoints"], "with the same endpoints");
    let writes = place.writes_since(mark)?;
    let of_slices: Vec<&String> = writes.iter().filter(|line| line.contains("endpointslices")).collect();
    ensure!(of_slices == [&format!("create endpointslices {name}")], "{writes:#?}");
    place.expect_plan("web", Some(&[":8080 | 1"]))
}

pub fn foreign_edit(world: &World) -> Result<()> {
    let place = Place::create(world, "foreign-edit")?;
    place.pods(&[pod(1)])?;
    place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    let name = place.only_slice("web")?;
    let good = place.get("slice", &name)?;
    let edits = [
        json!({"endpoints": []}),
        json!({"endpoints": [{"addresses": ["10.1.0.99"]}]}),
        json!({"ports": [{"name": "", "port": 1, "protocol": "TCP"}]}),
        json!({"metadata": {"labels": {"endpointslice.kubernetes.io/managed-by": OURS, "stray": "yes"}}}),
        json!({"metadata": {"ownerReferences": null}}),
    ];
    for edit in edits {
        place.silence()?;
        let mark = world.mark()?;
        place.patch("slice", &name, edit.clone())?;
        let facts = |slice: &Value| {
            let meta = &slice["metadata"];
            [&slice["endpoints"], &slice["ports"], &meta["labels"], &meta["ownerReferences"]]
                .map(Value::clone)
        };
        eventually(&format!("{edit} to be put right"), &facts(&good), || {
            let found = place.slices("web")?;
            Ok(found.first().map(facts).unwrap_or_default())
        })?;
        let writes = place.writes_since(mark)?;
        ensure!(writes.iter().all(|line| !line.ends_with("409")), "{edit}: {writes:#?}");
    }
    place.expect_plan("web", Some(&[":8080 | 1"]))
}

pub fn another_order(world: &World) -> Result<()> {
    let place = Place::create(world, "another-order")?;
    place.pods(&[pod(1), pod(2)])?;
    place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[":8080 | 1 2"]))?;
    let name = place.only_slice("web")?;
    place.silence()?;
    let mark = world.mark()?;
    // kube-controller-manager's endpoints stand in no order.
    let mut endpoints: Vec<Value> = list(&place.get("slice", &name)?["endpoints"]).cloned().collect();
    endpoints.reverse();
    place.patch("slice", &name, json!({"endpoints": endpoints}))?;
    place.pods(&[pod(3)])?;
    place.expect_slices("web", &["IPv4 :8080/TCP | 1:rs 2:rs 3:rs"])?;
    place.expect_plan("web", Some(&[":8080 | 1 2 3"]))?;
    let writes = place.writes_since(mark)?;
    let of_slices: Vec<&String> = writes.iter().filter(|line| line.contains("endpointslices")).collect();
    ensure!(
        of_slices == [&format!("patch endpointslices {name}")],
        "one write, for the third pod: {writes:#?}"
    );
    Ok(())
}

pub fn headless_label(world: &World) -> Result<()> {
    let place = Place::create(world, "headless")?;
    place.pods(&[pod(1)])?;
    place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    // A cluster IP cannot be taken away, but a Service can go through ExternalName, which has none.
    let away = json!({"spec": {"type": "ExternalName", "externalName": "x.invalid", "clusterIP": null, "clusterIPs": null}});
    place.patch("service", "web", away)?;
    place.expect_plan("web", None)?;
    let back = json!({"spec": {"type": "ClusterIP", "externalName": null, "clusterIP": "None"}});
    place.patch("service", "web", back)?;
    eventually("the headless label", &vec![json!("")], || {
        let label = |slice: &Value| slice["metadata"]["labels"]["service.kubernetes.io/headless"].clone();
        Ok(place.slices("web")?.iter().map(label).collect::<Vec<_>>())
    })?;
    place.silence()?;
    place.expect_plan("web", None)?;
    place.expect_slices("web", &["IPv4 :8080/TCP | 1:rs"])
}

pub fn hand_made(world: &World) -> Result<()> {
    let place = Place::create(world, "hand-made")?;
    let mark = world.mark()?;
    place.service("bare", &json!({"selector": null}))?;
    place.add("slice", slice("by-hand", "bare", &["10.9.0.2", "10.9.0.1"]))?;
    place.expect_plan("bare", Some(&[":8080 | 10.9.0.1 10.9.0.2"]))?;
    let writes = place.writes_since(mark)?;
    ensure!(!writes.iter().any(|line| line.contains("endpointslices")), "{writes:#?}");
    place.delete("slice", "by-hand")?;
    place.expect_plan("bare", Some(&[]))?;

    place.pods(&[pod(1)])?;
    place.add("slice", slice("intruder", "web", &["10.9.0.3"]))?;
    place.service("web", &Value::Null)?;
    let both = ["IPv4 :8080/TCP | 1:rs", "IPv4 :8080/TCP | 10.9.0.3:r"];
    place.expect_slices("web", &both)?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    place.silence()?;
    // It is not ours to delete, and not ours to believe.
    place.expect_slices("web", &both)?;
    place.expect_plan("web", Some(&[":8080 | 1"]))
}
