//! The agent's binary in a node's namespace, fed from a plan directory. It starts, asks and ends processes; it programs nothing itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
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
    /// The file that it writes its status to.
    pub status: PathBuf,
}

impl Agent {
    /// Starts the agent of the node named `node`; its plan directory is `folder`/plan, its log and status stand in `folder`.
    pub fn start(netns: &Netns, node: &str, folder: &Path) -> Result<Self> {
        let status = folder.join(format!("{node}-status.json"));
        let process = Launch::new(&format!("agent-of-{node}"), own_binary("pointsman-agent")?)
            .args(["run", "--node-name", node, "--plan-dir"])
            .arg(plan_folder(folder))
            .arg("--status-file")
            .arg(&status)
            .netns(Some(netns))
            .start(folder)?;
        Ok(Self { process, status })
    }
}

/// The plan directory in a trial's folder.
pub fn plan_folder(folder: &Path) -> PathBuf {
    folder.join("plan")
}
