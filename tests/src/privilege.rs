//! What a trial needs of the machine. Where it is missing, the trial fails in CI and is told and counted as ignored elsewhere; it is
//! never skipped in silence.

use anyhow::Result;
use libtest_mimic::{Failed, Trial};

/// What a trial needs beyond the pinned programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it runs as anybody.
    Nothing,
    /// Root: it makes namespaces and reads rulesets.
    Root,
}

/// A trial that runs `work`, if the machine has what it needs.
pub fn trial(
    name: impl Into<String>,
    needs: Needs,
    work: impl FnOnce() -> Result<()> + Send + 'static,
) -> Trial {
    let name = name.into();
    if needs == Needs::Nothing || is_root() {
        return Trial::test(name, || work().map_err(|error| Failed::from(format!("{error:#}"))));
    }
    if in_ci() {
        return Trial::test(name, || Err(Failed::from("it needs root, and in CI nothing is skipped")));
    }
    eprintln!("skipped: {name} needs root");
    Trial::test(name, || Ok(())).with_ignored_flag(true)
}

/// Whether this program runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this is a CI run, in which whatever is missing is a failure.
fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
