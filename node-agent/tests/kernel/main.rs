//! Trials against the real nf_tables, each in namespaces of its own. They need root and `nft`.

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

mod cost;
mod fixture;
mod namespace;
mod owner;
mod ranges;
mod refusal;
mod round_trip;
mod watch;

/// A trial's name and what it does.
type Case = (&'static str, fn() -> Result<()>);

fn main() -> ExitCode {
    let cases =
        [round_trip::CASES, ranges::CASES, refusal::CASES, owner::CASES, watch::CASES, cost::CASES].concat();
    let trials = cases.into_iter().map(|(name, work)| trial(name, work)).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A trial as root; without root it fails in CI, and is told and counted as ignored elsewhere.
fn trial(name: &str, work: fn() -> Result<()>) -> Trial {
    if rustix::process::geteuid().is_root() {
        return Trial::test(name, move || work().map_err(|error| Failed::from(format!("{error:#}"))));
    }
    if std::env::var("CI").is_ok_and(|value| value == "true") {
        return Trial::test(name, || Err(Failed::from("it needs root, and in CI nothing is skipped")));
    }
    eprintln!("skipped: {name} needs root");
    Trial::test(name, || Ok(())).with_ignored_flag(true)
}
