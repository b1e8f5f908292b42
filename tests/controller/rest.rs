//! Restarts and successions of controllers, and of the API server: whoever leads finds everything as it should be, and writes nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use pointsman_tests::process::Signal;
use pointsman_tests::wait;
use serde_json::{Value, json};

use crate::binary::Controller;
use crate::objects::{self, pod, slice};
use crate::place::{Place, eventually};
use crate::request::{create, get};
use crate::text;
use crate::world::{LIMIT, World};

/// Services, which need two writes each, and after how many writes the leader is stopped.
const MANY: usize = 300;
const AT_WORK: usize = 100;

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

/// A leader that is stopped past its time and wakes up beside its successor, with news to act upon: it writes nothing.
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
    let writes = place.writes_since(mark)?;
    place.expect_slices("web", &["IPv4 :8080/TCP | 1:rs 2:rs"])?;
    place.expect_plan("web", Some(&[":8080 | 1 2"]))?;
    // One that was refused would be one too many as well: it shows that the late one has tried.
    ensure!(writes.len() == 6, "two new objects, and twice a slice and its plan: {writes:#?}");
    controller.stop()?;
    Ok(standby)
}

/// A leader that is stopped at work: its successor does the rest, and it finds out before it goes on.
pub fn leader_frozen_at_work(world: &World, mut controller: Controller) -> Result<Controller> {
    let place = Place::create(world, "frozen-at-work")?;
    let mut standby = standby(world)?;
    // Work piles up while it is stopped for less than its time.
    controller.signal(Signal::STOP)?;
    let mark = world.mark()?;
    let service = |number| {
        let spec = json!({"selector": {"app": "nobody"}});
        vec![create(&format!("service@{}", place.name), objects::service(&format!("web-{number}"), &spec))]
    };
    world.many((0..MANY).map(service).collect())?;
    controller.signal(Signal::CONT)?;
    wait::until("the leader to be at work", LIMIT, || Ok(world.writes_since(mark)?.len() > AT_WORK))?;
    controller.signal(Signal::STOP)?;
    let done = world.writes_since(mark)?.len();
    ensure!(done < 2 * MANY, "it was at work, not at the end of it: {done} writes");
    standby.wait_for("ok: leading")?;
    eventually("all plans", &MANY, || Ok(place.plans()?.len()))?;
    let of_successor = world.mark()?;
    controller.signal(Signal::CONT)?;
    controller.wait_for("ok: standing by")?;
    // What had left the look at the clock behind, and was not on its way, comes late, and to no avail: a few of the 32 at most. One
    // that goes on sends all 32 at least.
    let late = place.writes_since(of_successor)?;
    ensure!(
        late.len() < 16 && late.iter().all(|line| line.ends_with(" 409")),
        "{} late: {late:#?}",
        late.len()
    );
    let all = place.writes_since(mark)?;
    let accepted = all.iter().filter(|line| !line.ends_with(" 409")).count();
    ensure!(accepted == 2 * MANY, "a slice and a plan for each Service, once: {accepted}");
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
