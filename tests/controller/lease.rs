//! Holders of the Lease whose clocks are wrong: whether they live is told by whether the Lease changes, not by the times in it.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::binary::Controller;
use crate::request::merge;
use crate::world::World;

const LEASE: &str = "lease@pointsman-system/pointsman-controller";
/// How long a Lease is respected that does not change, and how much later at most its successor leads.
const RESPECT: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_secs(5);

/// A dead holder whose clock was an hour ahead.
pub fn clock_ahead(world: &World, controller: Controller) -> Result<Controller> {
    controller.stop()?;
    renew(world, SignedDuration::from_hours(1))?;
    let since = Instant::now();
    let mut controller = Controller::start(world, world.kubeconfig(), &[])?;
    controller.wait_for("ok: standing by")?;
    is_succeeded(&mut controller, since)?;
    Ok(controller)
}

/// A living holder whose clock is an hour behind is left alone for as long as it renews.
pub fn clock_behind(world: &World, controller: Controller) -> Result<Controller> {
    controller.stop()?;
    let behind = SignedDuration::from_hours(-1);
    renew(world, behind)?;
    let mut controller = Controller::start(world, world.kubeconfig(), &[])?;
    controller.wait_for("ok: standing by")?;
    let start = Instant::now();
    let mut since = start;
    while start.elapsed() < RESPECT + LATE {
        since = Instant::now();
        renew(world, behind)?;
        thread::sleep(Duration::from_secs(2));
        let said = controller.ready();
        ensure!(said.as_ref().is_some_and(|(_, text)| text.contains("ok: standing by")), "{said:?}");
    }
    is_succeeded(&mut controller, since)?;
    Ok(controller)
}

/// After its time, and not before.
fn is_succeeded(controller: &mut Controller, since: Instant) -> Result<()> {
    controller.wait_for("ok: leading")?;
    let after = since.elapsed();
    ensure!((RESPECT..RESPECT + LATE).contains(&after), "{after:?} after the last renewal");
    Ok(())
}

/// Somebody else's name in the Lease, and its time of day.
fn renew(world: &World, ahead: SignedDuration) -> Result<()> {
    let time = format!("{:.6}", Timestamp::now() + ahead);
    let spec = json!({"holderIdentity": "elsewhere", "renewTime": time, "acquireTime": time, "leaseDurationSeconds": 10});
    world.must(&merge(LEASE, json!({"spec": spec})))?;
    Ok(())
}
