//! Trials of child processes. One kills a harness and looks whether its children die with it: for that the suite starts itself once more,
//! as the harness to be killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pointsman_tests::process::{Launch, Process, Signal};
use pointsman_tests::wait;

const LIMIT: Duration = Duration::from_secs(10);

/// Set in the environment of the harness that will be killed, to a folder for its child's log.
const PART: &str = "POINTSMAN_HARNESS_TO_BE_KILLED";

/// Whether this run is that harness.
pub fn is_the_parent_that_dies() -> bool {
    std::env::var_os(PART).is_some()
}

/// Starts a child on a thread that ends at once, prints the child's pid, and waits to be killed.
pub fn start_a_child_and_wait() -> ExitCode {
    let Ok(Ok(child)) = std::thread::spawn(start_child).join() else { return ExitCode::FAILURE };
    println!("{}", child.pid());
    std::thread::sleep(Duration::from_secs(60));
    ExitCode::FAILURE
}

fn start_child() -> Result<Process> {
    let folder = std::env::var_os(PART).context("no folder named")?;
    Launch::new("sleeper", "sleep").arg("60").start(Path::new(&folder))
}

/// Kills the harness that started a child.
pub fn child_dies_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut itself = Command::new(std::env::current_exe()?);
    let mut parent =
        itself.env(PART, folder.path()).stdout(Stdio::piped()).spawn().context("start itself")?;
    let mut line = String::new();
    BufReader::new(parent.stdout.take().context("its output")?).read_line(&mut line)?;
    let child = Path::new("/proc").join(line.trim());
    // The thread that asked for the child is gone by now; the child must not be.
    std::thread::sleep(Duration::from_millis(200));
    let lived = !line.trim().is_empty() && child.join("stat").exists();
    parent.kill()?;
    parent.wait()?;
    ensure!(lived, "the child died with the thread that asked for it");
    wait::until("the child to die", LIMIT, || Ok(!child.join("stat").exists()))
}

/// Stops a child, lets it go on, and ends it.
pub fn signals() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut child = Launch::new("sleeper", "sleep").arg("60").start(folder.path())?;
    let state = |pid: u32| -> Result<String> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(status.lines().find(|line| line.starts_with("State:")).unwrap_or_default().to_owned())
    };
    child.signal(Signal::STOP)?;
    wait::until("it to stop", LIMIT, || Ok(state(child.pid())?.contains("stopped")))?;
    child.signal(Signal::CONT)?;
    wait::until("it to go on", LIMIT, || Ok(!state(child.pid())?.contains("stopped")))?;
    child.still_runs()?;
    let status = child.terminate(LIMIT)?;
    ensure!(!status.success(), "a terminated sleep ended with {status}");
    ensure!(child.still_runs().is_err(), "an ended child is said to run");
    Ok(())
}
