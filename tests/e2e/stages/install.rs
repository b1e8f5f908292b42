//! From nothing to a cluster that works: the chart is installed, and every pod is reached in every way that there is.

use std::time::{Duration, Instant};

use anyhow::Result;
use pointsman_tests::nodes::NAMESPACE;

use crate::account::{Account, seconds};
use crate::plans;
use crate::reach;
use crate::world::World;

use super::RELEASE;

/// What is promised, from `helm install` to the last pod reached.
const PROMISE: Duration = Duration::from_secs(30);
/// So long it is waited, so that a broken promise is told with its figure.
const LIMIT: Duration = Duration::from_secs(120);

/// Plays it.
pub fn play(world: &World, account: &mut Account) -> Result<()> {
    nobody_answers(world, account)?;
    let begun = Instant::now();
    world.cluster.install(&[])?;
    account.say(&format!("helm install --wait took {}", seconds(begun.elapsed())));
    let reached = reach::everything(world, LIMIT)?;
    world.cluster.wait_for_nodes()?;
    let took = begun.elapsed();
    let claim = format!(
        "{} after `helm install` every node is Ready, and {} pods are reached by {} ways: pod IPs, ClusterIPs and NodePorts of both \
         families, from pods, nodes and outside",
        seconds(took),
        reached.pods,
        reached.ways
    );
    account.claim(took <= PROMISE, &claim, || format!("it took {}", seconds(took)))?;
    world.rolled_out("kube-system", "deployment/coredns")?;
    let took = begun.elapsed();
    let claim =
        format!("CoreDNS, which waits for a Service, is Ready {} after `helm install`", seconds(took));
    account.claim(took <= PROMISE, &claim, || format!("it took {}", seconds(took)))?;
    plans::are_in_step(world, account)?;
    let writers = plans::slice_writers(world)?;
    let expected = plans::expected_writer(world);
    account.claim(
        writers == [expected],
        &format!("all EndpointSlices of Services are written by {expected}"),
        || writers.join(", "),
    )?;
    let said = world.cluster.helm(&["test", RELEASE, "--namespace", NAMESPACE, "--logs"])?;
    account.show("helm test pointsman --logs", logs_of(&said));
    Ok(())
}

/// Else what follows would show nothing.
fn nobody_answers(world: &World, account: &mut Account) -> Result<()> {
    let mut answered = vec![];
    for way in world.all_ways()? {
        if way.ask("/hostname", Duration::from_millis(300))?.is_ok() {
            answered.push(way.to_string());
        }
    }
    account.claim(answered.is_empty(), "before it, nobody answers at the Service's addresses", || {
        answered.join("; ")
    })
}

/// What the pod said, without helm's words before it.
fn logs_of(said: &str) -> &str {
    said.split_once("POD LOGS").map_or(said, |(_, logs)| logs.split_once('\n').map_or(logs, |(_, logs)| logs))
}
