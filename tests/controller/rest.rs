//! Restarts and successions of controllers, and of the API server: whoever leads finds everything as it should be, and writes nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use pointsman_tests::process::Signal;
use serde_json::{Value, json};

use crate::binary::Controller;
use crate::objects::{pod, slice};
use crate::place::Place;
use crate::request::get;
use crate::text;
use crate::world::World;

pub fn restart(world: &World, controller: Controller) -> Result<Controller> {
    nothing_is_written(world, || {
        controller.stop()?;
        Controller::leading(world, &[])
    })
}

pub fn leader_goes(world: &World, controller: Controller) -> Result<Controller> {
    nothing_is_written(world, || {
        let mut standby = standby(world)?;
        controller.stop()?;
        let since = std::time::Instant::now();
        standby.wait_for("ok: leading")?;
        // A Lease that was given back need not run out, which would take ten seconds.
        ensure!(since.elapsed() < Duration::from_secs(8), "it took {:?}", since.elapsed());
        Ok(standby)
    })
}

pub fn leader_killed(world: &World, controller: Controller) -> Result<Controller> {
    nothing_is_written(world, || {
        let mut standby = standby(world)?;
        controller.kill()?;
        standby.wait_for("ok: leading")?;
        Ok(standby)
    })
}

/// Also who is started while it is away finds its way when it is back.
pub fn apiserver_killed(world: &World, mut controller: Controller) -> Result<Controller> {
    nothing_is_written(world, || {
        world.control_plane.kill_apiserver();
        let mut late = Controller::start(world, world.kubeconfig(), &[])?;
        late.wait_for("is waited for")?;
        world.control_plane.start_apiserver()?;
        controller.wait_for("ok: leading")?;
        late.wait_for("ok: standing by")?;
        late.stop()?;
        Ok(controller)
    })
}

/// A leader that sleeps past its time and wakes up beside its successor: it finds out, and what it writes meanwhile does no harm.
pub fn leader_frozen(world: &World, mut controller: Controller) -> Result<Controller> {
    let place = Place::create(world, "frozen")?;
    place.pods(&[pod(1), pod(2)])?;
    place.service("web", &Value::Null)?;
    place.expect_plan("web", Some(&[":8080 | 1 2"]))?;
    place.silence()?;
    let mut standby = standby(world)?;
    let mark = world.mark()?;
    controller.signal(Signal::STOP)?;
    standby.wait_for("ok: leading")?;
    place.report(&pod(2).not_ready())?;
    place.service("new", &json!({"selector": {"app": "nobody"}}))?;
    place.expect_plan("web", Some(&[":8080 | 1"]))?;
    place.expect_plan("new", Some(&[]))?;
    controller.signal(Signal::CONT)?;
    place.report(&pod(2))?;
    place.expect_plan("web", Some(&[":8080 | 1 2"]))?;
    controller.wait_for("ok: standing by")?;
    let mut writes = place.writes_since(mark)?;
    place.expect_slices("web", &["IPv4 :8080/TCP | 1:rs 2:rs"])?;
    place.expect_plan("web", Some(&[":8080 | 1 2"]))?;
    // Two new objects, and twice a slice and its plan: six. What the late one decided on old versions is refused. It may hear of
    // a plan before it hears of the slice behind it, and then writes that plan once more before its own clock tells it to stop:
    // the successor puts that right, as the expectations above have shown. More than that would be a quarrel.
    writes.retain(|line| !line.ends_with(" 409"));
    ensure!((6..=10).contains(&writes.len()), "six writes, and few beside: {writes:#?}");
    controller.stop()?;
    Ok(standby)
}

fn standby(world: &World) -> Result<Controller> {
    let mut standby = Controller::start(world, world.kubeconfig(), &[])?;
    standby.wait_for("ok: standing by")?;
    Ok(standby)
}

/// Of everything there is something; then `act` gives a leader that shows by a new Service that it works; nothing else was written.
fn nothing_is_written(world: &World, act: impl FnOnce() -> Result<Controller>) -> Result<Controller> {
    some_of_everything(world)?;
    world.silence(|_| true)?;
    let mark = world.mark()?;
    let mut controller = act()?;
    let canary = world.canary()?;
    controller.still_runs()?;
    let all = world.writes_since(mark)?;
    let mut writes: Vec<String> =
        all.iter().filter(|record| record.namespace != canary).map(text::write).collect();
    ensure!(all.len() > writes.len(), "the canary itself is in the log");
    writes.sort();
    ensure!(writes.is_empty(), "{} writes: {writes:#?}", writes.len());
    Ok(controller)
}

/// Services of all sorts, once: what other trials have left behind counts as well.
fn some_of_everything(world: &World) -> Result<()> {
    if world.ask(&get("/api/v1/namespaces/rest"))?.code == 200 {
        return Ok(());
    }
    let place = Place::create(world, "rest")?;
    place.pods(&(1..=120).map(pod).collect::<Vec<_>>())?;
    place.pods(&[pod(200).app("few"), pod(201).app("few").not_ready(), pod(202).app("few").leaving()])?;
    place.service("crowd", &json!({"ipFamilyPolicy": "RequireDualStack"}))?;
    place
        .service("few", &json!({"selector": {"app": "few"}, "externalIPs": ["198.51.100.9", "192.0.2.9"]}))?;
    place.service("headless", &json!({"clusterIP": "None"}))?;
    place.service("elsewhere", &json!({"type": "ExternalName", "externalName": "x.invalid"}))?;
    place.service("nobody", &json!({"selector": {"app": "nobody"}}))?;
    place.service("bare", &json!({"selector": null}))?;
    place.add("slice", slice("by-hand", "bare", &["10.9.0.1", "239.1.1.1"]))?;
    place.expect_plan("few", Some(&[":8080 | 200 202t"]))?;
    place.expect_plan("nobody", Some(&[]))?;
    place.expect_plan("bare", Some(&[":8080 | 10.9.0.1"]))
}
