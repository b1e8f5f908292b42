//! Foreign hands on our tables: what they change is repaired within the verify period, or cannot be changed at all. What is theirs is left
//! alone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pointsman_crds::{DriftPolicy, NftablesSettings, ProxySettings, SyncSettings};
use pointsman_tests::command::run;

use crate::agent::PATIENCE;
use crate::solo::{Solo, condition, is_ready};

/// The verify period of these trials.
const PERIOD: Duration = Duration::from_secs(1);
/// A busy machine may take so long in addition.
const GRACE: Duration = Duration::from_secs(4);

/// What foreign hands do, each with a name.
#[rustfmt::skip]
const DEEDS: &[(&str, &str)] = &[
    ("a frontend deleted",         "delete element ip pointsman services { 10.96.0.10 . tcp . 80 }"),
    ("endpoints emptied",          "flush map ip6 pointsman endpoints"),
    ("a frontend redirected",      "delete element ip pointsman services { 10.96.0.10 . tcp . 80 }; \
                                    add element ip pointsman services { 10.96.0.10 . tcp . 80 : goto lb-1 }"),
    ("a member added",             "add element ip pointsman cluster-ips { 10.96.0.99 }"),
    ("a node port opened",         "add element ip pointsman nodeports { tcp . 22 : goto nodeport-lb-1 }"),
    ("a hook's rules flushed",     "flush chain ip pointsman nat-prerouting"),
    ("a rule put before ours",     "insert rule ip6 pointsman filter-forward drop"),
    ("a rule added to a chooser",  "add rule ip pointsman lb-2 accept"),
    ("a chain added",              "add chain ip pointsman intruder"),
    ("a set added",                "add set ip pointsman intruder { type ipv4_addr; }"),
    ("a family's table deleted",   "delete table ip6 pointsman"),
    ("both tables deleted",        "delete table ip pointsman; delete table ip6 pointsman"),
];

fn settings(owner: bool, drift: DriftPolicy) -> ProxySettings {
    let sync =
        SyncSettings { verify_period: Some(PERIOD.into()), drift: Some(drift), ..SyncSettings::default() };
    let nftables = Some(NftablesSettings { table_owner: Some(owner) });
    ProxySettings { nftables, sync: Some(sync), ..ProxySettings::default() }
}

fn started(label: &str, settings: ProxySettings) -> Result<Solo> {
    let mut solo = Solo::create(label, settings)?;
    solo.start(&[])?;
    solo.wait_for_status("the agent to be ready", is_ready)?;
    solo.wait_until_held(PATIENCE)?;
    Ok(solo)
}

/// Without ownership: every deed succeeds, and is undone; it is told, and the neighbour's table is as it was.
pub fn repaired() -> Result<()> {
    let mut solo = started("drift-shared", settings(false, DriftPolicy::Repair))?;
    let neighbour = solo.neighbour()?;
    for (name, deed) in DEEDS {
        solo.netns.run(&["nft", deed]).context(*name)?;
        solo.wait_until_held(PERIOD + GRACE).with_context(|| format!("after {name}"))?;
        ensure!(solo.neighbour()? == neighbour, "after {name}: the neighbour's table changed");
    }
    solo.netns.run(&["nft", "flush", "ruleset"])?;
    solo.wait_until_held(PERIOD + GRACE).context("after the whole ruleset was flushed")?;
    let log = solo.agent()?.process.log()?;
    let told = log.lines().filter(|line| line.contains("the kernel differs from the plan")).count();
    ensure!(told > DEEDS.len() / 2, "only {told} differences were told:\n{log}");
    solo.wait_for_status("the repairs to be told and all to be well", |status| {
        let repairs = status.drift.as_ref().map_or(0, |drift| drift.repairs);
        is_ready(status) && repairs as usize > DEEDS.len() / 2
    })?;
    solo.stop()
}

/// With ownership: every deed is refused, a flush of everything passes our tables by, and nothing is to be repaired.
pub fn prevented() -> Result<()> {
    let mut solo = started("drift-owner", settings(true, DriftPolicy::Repair))?;
    let (listing, neighbour) = (solo.listing()?, solo.neighbour()?);
    for (name, deed) in DEEDS {
        let done = run(solo.netns.command("nft").arg(deed))?;
        ensure!(!done.status.success(), "{name}: it was done");
        ensure!(done.stderr.contains("Operation not permitted"), "{name}: {}", done.stderr);
        solo.ensure_untouched(&listing, &neighbour).context(*name)?;
    }
    solo.netns.run(&["nft", "flush", "ruleset"])?;
    solo.add_neighbour()?;
    solo.ensure_untouched(&listing, &neighbour).context("the whole ruleset flushed")?;
    let generation = solo.eye.generation()?;
    std::thread::sleep(PERIOD * 2);
    ensure!(solo.eye.generation()? == generation, "the agent wrote although nothing was to be repaired");
    solo.stop()
}

/// Deeds that were done while nobody owned the tables are undone by the next agent.
pub fn repaired_at_start() -> Result<()> {
    let mut solo = started("drift-start", settings(true, DriftPolicy::Repair))?;
    let neighbour = solo.neighbour()?;
    for (name, deed) in DEEDS {
        solo.stop()?;
        solo.netns.run(&["nft", deed]).context(*name)?;
        solo.start(&[])?;
        solo.wait_until_held(PATIENCE).with_context(|| format!("after {name}"))?;
        ensure!(solo.neighbour()? == neighbour, "after {name}: the neighbour's table changed");
        solo.wait_for_status("the agent to be ready", is_ready)?;
    }
    solo.stop()
}

/// With `drift: Observe` the deed stays, and is told.
pub fn only_told() -> Result<()> {
    let mut solo = started("drift-observe", settings(false, DriftPolicy::Observe))?;
    let (name, deed) = DEEDS[0];
    solo.netns.run(&["nft", deed]).context(name)?;
    let (listing, neighbour) = (solo.listing()?, solo.neighbour()?);
    solo.wait_for_status("the difference to be told", |status| {
        condition(status, "Drifted")
            .is_some_and(|(status, _, message)| status == "True" && message.contains("services"))
    })?;
    std::thread::sleep(PERIOD * 2);
    solo.ensure_untouched(&listing, &neighbour)?;
    solo.stop()
}
