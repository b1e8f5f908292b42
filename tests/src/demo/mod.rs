//! The story of the product, told by a cluster that runs: real etcd, API server, controllers, agents and kernels. Every sentence that
//! claims something is checked when it is printed. It changes nothing but namespaces and files of its own.

mod chapters;
mod crowd;
mod remains;
mod ruleset;
mod stage;
mod story;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::interrupt::Interrupt;
use crate::privilege::is_root;
use crate::tools::repository;
use remains::Remains;
use stage::Stage;
use story::Story;

/// Plays the demo; with `keep`, leaves the cluster up until it is told to stop. An error is a claim that did not hold.
pub fn play(keep: bool) -> Result<()> {
    ensure!(is_root(), "the demo makes network namespaces: run it as root");
    let mut story = Story::begin(Interrupt::watch()?);
    let mut stage = chapters::cluster::build(&mut story)?;
    if let Err(error) = tell(&mut story, &mut stage) {
        let logs = save_logs(&stage)?;
        bail!("{error:#}\nThe programs' logs and the audit log are in {}", logs.display());
    }
    if keep {
        chapters::farewell::stay(&mut story, &stage)?;
    }
    let remains = Remains::of(&stage);
    drop(stage);
    chapters::farewell::tell(&mut story, &remains)
}

fn tell(story: &mut Story, stage: &mut Stage) -> Result<()> {
    chapters::cluster::tell(story, stage)?;
    chapters::services::tell(story, stage)?;
    let crowd = chapters::scale::tell(story, stage)?;
    chapters::intruder::tell(story, stage, &crowd)?;
    let crowd = chapters::repair::tell(story, stage, crowd)?;
    chapters::failover::tell(story, stage, &crowd)?;
    chapters::outage::tell(story, stage, &crowd)?;
    crowd.disperse()
}

/// Copies the logs out of the folder that goes with the cluster.
fn save_logs(stage: &Stage) -> Result<PathBuf> {
    let folder = repository().join("target/demo-logs");
    // Those of an earlier run would be mistaken for this one's.
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("empty {}", folder.display()));
        }
        _ => std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?,
    }
    for entry in std::fs::read_dir(stage.control_plane().folder()).context("list the logs")? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|end| end == "log")) {
            std::fs::copy(&path, folder.join(name)).with_context(|| format!("save {}", path.display()))?;
        }
    }
    Ok(folder)
}
