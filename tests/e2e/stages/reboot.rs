//! A node that loses its power: its containers, its agent and its kernel's state are gone. It comes back, and so do the pods on it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pointsman_tests::wait;

use crate::account::{Account, seconds};
use crate::plans;
use crate::reach;
use crate::world::World;

use super::{none_failed, under_connections};

const LIMIT: Duration = Duration::from_secs(120);

/// The node.
const NODE: usize = 1;
/// The other one.
const OTHER: usize = 0;

/// Plays it.
pub fn play(world: &mut World, account: &mut Account) -> Result<()> {
    let before = world.containers_on(NODE)?;
    let outside_ways = world.ways(&[NODE])?.into_iter().filter(|way| way.from == "outside");
    let to_node: Vec<_> = outside_ways.collect();
    // Of no ways at all both would hold that none answers and that all do.
    ensure!(!to_node.is_empty(), "there is no way from outside to the node");
    world.cluster.switch_off_node(NODE)?;
    let mut answered = vec![];
    for way in &to_node {
        if way.ask("/hostname", Duration::from_millis(300))?.is_ok() {
            answered.push(way.to_string());
        }
    }
    account.claim(answered.is_empty(), "switched off, the node answers at no node port", || {
        answered.join("; ")
    })?;
    let begun = Instant::now();
    world.cluster.switch_on_node(NODE)?;
    let tables = world.cluster.node(NODE).nft(&["list", "tables"])?;
    account.claim(
        !tables.contains("pointsman"),
        "switched on, its kernel knows nothing of Services",
        || tables.clone(),
    )?;

    // While it is away, its endpoints are in the plans until Kubernetes knows better: that is counted, and nobody is blamed.
    let other = world.ways(&[OTHER])?;
    under_connections(account, &other, "while it comes back, from and through the other node", |account| {
        wait::until("the node to answer at its node port", LIMIT, || answers(&to_node))?;
        account.say(&format!("its node port answers {} after the power is back", seconds(begun.elapsed())));
        wait::until("new containers on the node, all Ready", LIMIT, || world.are_restarted(&before))
    })?;
    world.cluster.wait_for_nodes()?;
    account.say(&format!("its {} pods run again after {}", before.len(), seconds(begun.elapsed())));
    let reached = reach::everything(world, LIMIT)?;
    let claim = format!(
        "{} after the power is back {} pods are reached by {} ways",
        seconds(begun.elapsed()),
        reached.pods,
        reached.ways
    );
    account.held(&claim);
    let counts = under_connections(account, &world.all_ways()?, "after that", |_| {
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    })?;
    none_failed(account, "after that", &counts)?;
    forget_half_open(world, account)?;
    plans::are_in_step(world, account)
}

/// A connection that was begun to a pod of the dead node stays in connection tracking for two minutes (nf_conntrack_tcp_timeout_syn_sent).
/// Whoever opens one from the same port meanwhile is led to the dead pod again: the kernel chooses ports anew every ten seconds, so that the
/// stages to come would meet a few. The agent removes no such entries.
fn forget_half_open(world: &World, account: &mut Account) -> Result<()> {
    let mut forgotten = 0;
    for node in world.cluster.nodes() {
        let ended = node.outcome(&["conntrack", "-D", "-p", "tcp", "--state", "SYN_SENT", "-f", "ipv4"])?;
        let ended6 = node.outcome(&["conntrack", "-D", "-p", "tcp", "--state", "SYN_SENT", "-f", "ipv6"])?;
        forgotten += [ended, ended6].iter().map(|ended| ended.stdout.lines().count()).sum::<usize>();
    }
    account.say(&format!(
        "{forgotten} connections that were begun to dead pods are taken out of connection tracking"
    ));
    Ok(())
}

fn answers(ways: &[crate::clients::Way]) -> Result<bool> {
    for way in ways {
        if way.ask("/hostname", Duration::from_millis(300))?.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}
