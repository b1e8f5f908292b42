//! Stored kinds of another version than the controller's: it writes nothing, says so, and goes on when they are healed.

use std::time::Duration;

use anyhow::{Result, ensure};
use pointsman_tests::command::run;
use pointsman_tests::tools::own_binary;
use serde_json::{Value, json};

use crate::binary::Controller;
use crate::place::Place;
use crate::request::merge;
use crate::text;
use crate::world::World;

pub fn until_healed(world: &World, controller: Controller) -> Result<Controller> {
    controller.stop()?;
    let definition = "crd/serviceproxyplans.pointsman.dev";
    let older = json!({"metadata": {"annotations": {"pointsman.dev/schema-hash": "older"}}});
    world.must(&merge(definition, older))?;
    let place = Place::create(world, "stalled")?;
    let mut controller = Controller::start(world, world.kubeconfig(), &[])?;
    let stalled = is_stalled(&place, &mut controller);
    // Whatever was seen, others need a cluster that is whole.
    let printed =
        run(std::process::Command::new(own_binary("pointsman-controller")?).arg("crds"))?.success()?;
    let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    world.control_plane.kubectl_outcome(world.control_plane.admin(), &args, &printed)?.success()?;
    stalled?;
    controller.wait_for("ok: leading")?;
    place.expect_plan("web", Some(&[]))?;
    Ok(controller)
}

fn is_stalled(place: &Place<'_>, controller: &mut Controller) -> Result<()> {
    let mark = place.world.mark()?;
    let (code, said) = controller.wait_for("is of another version")?;
    ensure!(code == 503, "not ready: {code}");
    for words in ["stalled: ", "serviceproxyplans.pointsman.dev", "older", "pointsman-controller crds"] {
        ensure!(said.contains(words), "{words} in {said:?}");
    }
    place.service("web", &Value::Null)?;
    // Long enough for the Lease to be taken and everything to be listed.
    std::thread::sleep(Duration::from_secs(3));
    let writes: Vec<String> = place.world.writes_since(mark)?.iter().map(text::write).collect();
    ensure!(writes.is_empty(), "{writes:#?}");
    ensure!(controller.ready().is_some_and(|(code, _)| code == 503), "still not ready");
    Ok(())
}
