//! What becomes of Services and namespaces that go: nothing of ours stays, and nothing is tried for ever.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::objects::pod;
use crate::place::{Place, eventually};
use crate::request::{delete, get};
use crate::text::list;
use crate::world::World;

/// Each change in a namespace that is being deleted may cost one refused creation: so many happen here, with some room.
const REFUSALS: usize = 16;

pub fn two_services(world: &World) -> Result<()> {
    let place = Place::create(world, "two-gone")?;
    place.pods(&[pod(1)])?;
    for name in ["one", "two", "three"] {
        place.service(name, &Value::Null)?;
        place.expect_plan(name, Some(&[":8080 | 1"]))?;
    }
    let slices = [place.only_slice("one")?, place.only_slice("two")?];
    place.silence()?;
    let mark = world.mark()?;
    place.delete("service", "one")?;
    place.delete("service", "two")?;
    for name in ["one", "two"] {
        place.expect_plan(name, None)?;
        place.expect_slices(name, &[])?;
    }
    let mut writes = place.writes_since(mark)?;
    let mut expected: Vec<String> =
        slices.iter().map(|name| format!("delete endpointslices {name}")).collect();
    expected.extend(["one", "two"].map(|name| format!("delete serviceproxyplans {name}")));
    // Agents drop a Service with its plan: that comes first.
    for (name, slice) in ["one", "two"].iter().zip(&slices) {
        let at = |line: &str| writes.iter().position(|write| write.ends_with(line));
        ensure!(at(&format!("plans {name}")) < at(slice), "{writes:#?}");
    }
    writes.sort();
    expected.sort();
    ensure!(writes == expected, "{writes:#?}");
    place.expect_plan("three", Some(&[":8080 | 1"]))
}

pub fn namespace(world: &World) -> Result<()> {
    let place = Place::create(world, "terminating")?;
    place.pods(&[pod(1)])?;
    place.service("web", &json!({"ipFamilyPolicy": "RequireDualStack"}))?;
    place.service("db", &Value::Null)?;
    place.expect_plan("web", Some(&[":8080 | 1 1v6"]))?;
    place.expect_plan("db", Some(&[":8080 | 1"]))?;
    place.silence()?;
    let mark = world.mark()?;
    let path = "/api/v1/namespaces/terminating";
    world.must(&delete(path))?;
    ensure!(world.must(&get(path))?["status"]["phase"] == "Terminating", "it is being deleted");
    // The namespace controller deletes kind after kind, in no order: first what is made of Services, then what it is made of.
    world.must(&delete("slice@terminating"))?;
    world.forge(&delete("spp@terminating"))?;
    place.silence()?;
    ensure!(place.plans()?.is_empty() && place.slices("web")?.is_empty(), "nothing can be made there");
    // Something else of the same Services changes: still nothing is missing.
    place.patch("service", "web", json!({"metadata": {"labels": {"a": "b"}}}))?;
    place.silence()?;
    // A write that failed would be tried again after 0.2 s, 0.4 s and so on.
    let quiet = world.mark()?;
    std::thread::sleep(Duration::from_secs(3));
    place.expect_writes(quiet, &[])?;
    place.end(&[pod(1)])?;
    for service in ["web", "db"] {
        place.delete("service", service)?;
    }
    let writes = place.writes_since(mark)?;
    let refused = writes.iter().filter(|line| line.ends_with("403")).count();
    let deleted = writes.iter().filter(|line| line.starts_with("delete ")).count();
    ensure!(refused <= REFUSALS && refused + deleted == writes.len(), "{writes:#?}");
    let events = world.must(&get("event@terminating"))?;
    // The API server's own repair of addresses tells of a Service that it has not seen yet.
    let ours = |event: &&Value| event["reportingController"] == "pointsman-controller";
    ensure!(!list(&events["items"]).any(|event| ours(&event)), "nobody is told: {events:#}");
    let mut finalized = world.must(&get(path))?;
    finalized["spec"]["finalizers"] = json!([]);
    let args = ["replace", "--raw", "/api/v1/namespaces/terminating/finalize", "-f", "-"];
    let admin = world.control_plane.admin();
    world.control_plane.kubectl_outcome(admin, &args, &finalized.to_string())?.success()?;
    eventually("the namespace to be gone", &404, || Ok(world.ask(&get(path))?.code))?;
    place.expect_writes(world.mark()?, &[])
}
