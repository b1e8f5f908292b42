//! The agent's binary in a node's namespace, fed from a plan directory. It starts, asks and ends processes; it programs nothing itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use pointsman_crds::NodeProxyPlanStatus;
use pointsman_tests::netns::Netns;
use pointsman_tests::process::{Launch, Process};
use pointsman_tests::tools::own_binary;

/// How long an agent may take to end or to write what it was told.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An agent, killed on drop.
#[derive(Debug)]
pub struct Agent {
    /// Its process.
    pub process: Process,
    status: PathBuf,
}

impl Agent {
    /// Starts the agent of the node named `node`, by way of `prefix`: a program that starts what follows it, or nothing. Its plan directory
    /// is `folder`/plan, its log and status stand in `folder`; an earlier agent's status is forgotten.
    pub fn start(netns: &Netns, node: &str, folder: &Path, prefix: &[&str]) -> Result<Self> {
        let status = folder.join(format!("{node}-status.json"));
        if status.exists() {
            std::fs::remove_file(&status).context("forget an earlier status")?;
        }
        let binary = own_binary("pointsman-agent")?;
        let mut words: Vec<PathBuf> = prefix.iter().map(PathBuf::from).collect();
        words.push(binary);
        let process = Launch::new(&format!("agent-of-{node}"), &words[0])
            .args(&words[1..])
            .args(["run", "--node-name", node, "--plan-dir"])
            .arg(plan_folder(folder))
            .arg("--status-file")
            .arg(&status)
            .netns(Some(netns))
            .start(folder)?;
        Ok(Self { process, status })
    }

    /// What it says of itself; `None` if it has not said anything yet.
    pub fn status(&self) -> Result<Option<NodeProxyPlanStatus>> {
        match std::fs::read(&self.status) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", self.status.display())),
        }
    }
}

/// A short-lived run of the agent's binary in a namespace.
pub fn once(netns: &Netns, args: &[&str]) -> Result<Command> {
    let mut command = netns.command(own_binary("pointsman-agent")?);
    command.args(args);
    Ok(command)
}

/// The plan directory in a trial's folder.
pub fn plan_folder(folder: &Path) -> PathBuf {
    folder.join("plan")
}
