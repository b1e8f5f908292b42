//! An agent that may not, or is told nonsense: it says so, and what was in the kernel stays as it was.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pointsman_crds::Protocol::Tcp;
use pointsman_crds::ProxySettings;
use pointsman_dataplane::testing::service;
use pointsman_tests::command::run;
use pointsman_tests::wait;

use crate::agent::{PATIENCE, once};
use crate::solo::{NODE, Solo, condition, is_ready};

/// Starts a program without the capability to change a network.
const UNPRIVILEGED: [&str; 5] = ["setpriv", "--inh-caps", "-net_admin", "--bounding-set", "-net_admin"];

/// Without CAP_NET_ADMIN nothing is written, be there tables or not, and the status says what is missing.
pub fn without_privilege() -> Result<()> {
    let mut solo = Solo::create("unprivileged", ProxySettings::default())?;
    let refused = |solo: &mut Solo| -> Result<()> {
        solo.start(&UNPRIVILEGED)?;
        solo.wait_for_status("the missing privilege to be told", |status| {
            condition(status, "Ready").is_some_and(|(status, reason, message)| {
                status == "False" && reason == "MissingPrivilege" && message.contains("CAP_NET_ADMIN")
            })
        })?;
        solo.stop()
    };
    let generation = solo.eye.generation()?;
    refused(&mut solo)?;
    ensure!(!solo.eye.has_table()?, "a table was made");
    ensure!(solo.eye.generation()? == generation, "something was written");
    solo.start(&[])?;
    solo.wait_for_status("the agent to be ready", is_ready)?;
    solo.stop()?;
    let (listing, neighbour) = (solo.listing()?, solo.neighbour()?);
    let generation = solo.eye.generation()?;
    refused(&mut solo)?;
    solo.ensure_untouched(&listing, &neighbour)?;
    ensure!(solo.eye.generation()? == generation, "something was written");
    Ok(())
}

/// What may stand in a plan directory that is no whole plan, and words of the complaint about it.
#[rustfmt::skip]
const NONSENSE: &[(&str, &str, &str)] = &[
    ("no YAML at all",        "}{ nonsense",                                                        "plan.yaml:1"),
    ("another kind",          "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\n",     "Pod"),
    ("a bad address",         "apiVersion: pointsman.dev/v1alpha1\nkind: ServiceProxyPlan\nmetadata: {name: a, namespace: b}\n\
                               spec: {serviceUID: u, clusterIPs: [300.0.0.1]}\n",                   "plan.yaml:4"),
    ("no node's plan",        "",                                                                   "NodeProxyPlan"),
];

/// Nonsense leaves the last whole plan in force, and the next whole plan is carried out.
pub fn nonsense() -> Result<()> {
    let mut solo = Solo::create("nonsense", ProxySettings::default())?;
    solo.start(&[])?;
    solo.wait_for_status("the agent to be ready", is_ready)?;
    solo.wait_until_held(PATIENCE)?;
    let (listing, neighbour) = (solo.listing()?, solo.neighbour()?);
    let generation = solo.eye.generation()?;
    for (name, text, complaint) in NONSENSE {
        let logged = solo.agent()?.process.log()?.len();
        std::fs::write(solo.plan_file(), text)?;
        wait::until(&format!("a complaint about {name}"), PATIENCE, || {
            Ok(solo.agent()?.process.log()?[logged..].contains(complaint))
        })?;
        solo.ensure_untouched(&listing, &neighbour).context(*name)?;
    }
    std::fs::remove_file(solo.plan_file())?;
    std::thread::sleep(Duration::from_millis(600));
    solo.agent()?;
    solo.ensure_untouched(&listing, &neighbour).context("no file at all")?;
    ensure!(solo.eye.generation()? == generation, "something was written");
    solo.add(service("shop/new").cluster_ip("10.96.0.77").port(Tcp, 80, 80).endpoint("10.244.2.7").plan())?;
    solo.wait_until_held(PATIENCE).context("the next whole plan")?;
    solo.stop()
}

/// Nonsense from the start ends the agent with one sentence that names file and line; nothing is written.
pub fn nonsense_at_start() -> Result<()> {
    let mut solo = Solo::create("nonsense-at-start", ProxySettings::default())?;
    let folder = solo.plan_file();
    let folder = folder.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
    let generation = solo.eye.generation()?;
    for (name, text, complaint) in NONSENSE {
        std::fs::write(solo.plan_file(), text)?;
        for verb in ["run", "render"] {
            let ended = run(&mut once(&solo.netns, &[verb, "--node-name", NODE, "--plan-dir", &folder])?)?;
            ensure!(!ended.status.success(), "{verb}, {name}: it ended well");
            let said = ended.stderr.trim();
            ensure!(said.contains(complaint) && said.lines().count() == 1, "{verb}, {name}: {said}");
        }
    }
    ensure!(solo.eye.generation()? == generation, "something was written");
    Ok(())
}
