//! `--endpoint-slices=Consume`: another controller writes the slices, ours only reads them.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::binary::Controller;
use crate::objects::{pod, slice};
use crate::place::Place;
use crate::slices::OURS;
use crate::text;
use crate::world::World;

pub fn only_plans(world: &World, controller: Controller) -> Result<Controller> {
    controller.stop()?;
    let mark = world.mark()?;
    let consumer = Controller::leading(world, &["--endpoint-slices=Consume"])?;
    let place = Place::create(world, "consume")?;
    place.pods(&[pod(1), pod(2)])?;
    place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[]))?;
    place.add("slice", slice("web-others", "web", &["10.1.0.1"]))?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    place.add("slice", slice("web-more", "web", &["10.1.0.2", "10.1.0.1"]))?;
    place.expect_plan("web", Some(&[":8080 | 1 2"]))?;
    let going = json!({"endpoints": [{"addresses": ["10.1.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}}]});
    place.patch("slice", "web-more", going)?;
    place.expect_plan("web", Some(&[":8080 | 1 2t"]))?;
    place.delete("slice", "web-others")?;
    place.expect_plan("web", Some(&[":8080 | 2t"]))?;
    place.service("gone", &Value::Null)?;
    // As kube-controller-manager's: the garbage collector deletes it, which does not run here, and nobody else may.
    let mut theirs = slice("gone-others", "gone", &["10.1.0.1"]);
    theirs["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = OURS.into();
    let uid = place.get("service", "gone")?["metadata"]["uid"].clone();
    theirs["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Service", "name": "gone", "uid": uid, "controller": true}]);
    place.add("slice", theirs)?;
    place.expect_plan("gone", Some(&[":8080 | 1"]))?;
    place.delete("service", "gone")?;
    place.expect_plan("gone", None)?;
    world.canary()?;
    let writes: Vec<String> = world.writes_since(mark)?.iter().map(text::write).collect();
    ensure!(!writes.iter().any(|line| line.contains("endpointslices")), "{writes:#?}");
    ensure!(writes.iter().any(|line| line == "delete serviceproxyplans consume/gone"), "{writes:#?}");
    place.expect_slices("gone", &["IPv4 :8080/TCP | 1:r"])?;
    consumer.stop()?;
    let controller = Controller::leading(world, &[])?;
    place.expect_plan("web", Some(&[":8080 | 1 2"]))?;
    Ok(controller)
}
