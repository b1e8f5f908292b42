//! What is up, written down: which process holds a cluster, and where its parts are. Another process can use the cluster by it, take it
//! down, and remove what a dead holder has left. It removes only what a record of this source tree names.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::control_plane::ControlPlane;
use crate::netns;
use crate::tools::repository;
use crate::topology::Topology;

use super::{RealNode, cgroups};

mod identity;

use identity::Identity;

/// One cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// The process that holds it: it ends with that process.
    pub holder: Identity,
    /// Whether it is meant for people, and stays up until it is told to go.
    pub kept: bool,
    /// The folder of its logs and files.
    pub folder: PathBuf,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The network namespace in which the API server can be reached.
    pub control_plane: PathBuf,
    /// The network namespace of a client that is no part of the cluster.
    pub outside: PathBuf,
    /// The nodes that are on: each one's name, and its first process.
    pub nodes: Vec<(String, Identity)>,
    /// What the names of its network namespaces and control groups begin with.
    pub prefix: String,
}

impl Record {
    /// Writes the record of a cluster without nodes.
    pub(super) fn write(topology: &Topology, control_plane: &ControlPlane) -> Result<Self> {
        let name = topology.control_plane.name();
        let record = Self {
            holder: Identity::of(std::process::id())?,
            kept: false,
            folder: control_plane.folder().to_path_buf(),
            kubeconfig: control_plane.admin().to_path_buf(),
            control_plane: topology.control_plane.path(),
            outside: topology.outside.path(),
            nodes: vec![],
            prefix: name.strip_suffix("cp").unwrap_or(name).to_owned(),
        };
        record.save()?;
        Ok(record)
    }

    /// Writes down which nodes are on.
    pub(super) fn update(&mut self, nodes: &[RealNode]) -> Result<()> {
        let on = nodes.iter().filter(|node| node.is_on());
        let named = on.map(|node| Ok((node.name().to_owned(), Identity::of(node.first_process()?)?)));
        self.nodes = named.collect::<Result<_>>()?;
        self.save()
    }

    /// Writes down that it stays up for people.
    pub(super) fn keep(&mut self) -> Result<()> {
        self.kept = true;
        self.save()
    }

    /// The cluster that is kept up for people, if there is one.
    pub fn kept() -> Result<Option<Self>> {
        Ok(Self::all(&folder())?.into_iter().find(|record| record.kept && record.holder.is_alive()))
    }

    /// All records in a folder.
    fn all(folder: &Path) -> Result<Vec<Self>> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
            entries => entries.context("list the records of clusters")?,
        };
        let mut records = vec![];
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "json") {
                let text = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
                // One that is not whole belongs to a holder that died while it wrote.
                records.extend(serde_json::from_slice::<Self>(&text).ok());
            }
        }
        Ok(records)
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}cluster.json", self.prefix))
    }

    fn save(&self) -> Result<()> {
        self.save_in(&folder())
    }

    fn save_in(&self, folder: &Path) -> Result<()> {
        let path = self.path(folder);
        std::fs::create_dir_all(folder).context("make the folder for records of clusters")?;
        // Readers see the old one or the new one, never half of it.
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("write {}", new.display()))?;
        std::fs::rename(&new, &path).with_context(|| format!("write {}", path.display()))
    }
}

/// Removes the file of a record when it is dropped. Not the record itself does: others read it, and it must outlive them.
#[derive(Debug)]
pub(super) struct Forget(PathBuf);

impl Forget {
    /// The one for a record.
    pub(super) fn of(record: &Record) -> Self {
        Self(record.path(&folder()))
    }
}

impl Drop for Forget {
    fn drop(&mut self) {
        // What stays is removed by the next sweep.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Removes what dead holders have left: control groups, folders, records, network namespaces. Their processes and mounts have died with
/// them. Says how many clusters that were.
pub fn sweep() -> Result<usize> {
    let swept = sweep_records(&folder())?;
    // Those whose maker's number somebody else has by now stay until that one ends: its own would bear the same name.
    netns::remove_leftovers()?;
    Ok(swept)
}

fn sweep_records(folder: &Path) -> Result<usize> {
    let records = Record::all(folder)?;
    let dead: Vec<Record> = records.into_iter().filter(|record| !record.holder.is_alive()).collect();
    for record in &dead {
        for group in cgroups::named(|name| name.starts_with(&record.prefix))? {
            let name = group.file_name().map(|name| name.to_string_lossy().into_owned());
            cgroups::remove(&name.context("a control group has no name")?)?;
        }
        match std::fs::remove_dir_all(&record.folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", record.folder.display()));
            }
            _ => std::fs::remove_file(record.path(folder)).context("remove the record of a dead cluster")?,
        }
    }
    Ok(dead.len())
}

fn folder() -> PathBuf {
    repository().join("target/cluster")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kept cluster's record in `folder`, whose files are in a folder beside it.
    fn record(folder: &Path, prefix: &str, holder: Identity) -> Record {
        let files = folder.join(format!("{prefix}files"));
        std::fs::create_dir(&files).unwrap();
        let record = Record {
            holder,
            kept: true,
            kubeconfig: files.join("kubeconfig"),
            folder: files,
            control_plane: "/run/netns/cp".into(),
            outside: "/run/netns/out".into(),
            nodes: vec![],
            prefix: prefix.to_owned(),
        };
        record.save_in(folder).unwrap();
        record
    }

    #[test]
    fn a_record_whose_holder_has_given_its_number_to_another_is_swept_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let own = Identity::of(std::process::id()).unwrap();
        // No control group at the top of a hierarchy bears such a name.
        let live = record(folder.path(), "pmtest-live-", own.clone());
        let stale = record(folder.path(), "pmtest-stale-", own.of_another_start());
        assert_eq!(Record::all(folder.path()).unwrap().len(), 2);

        assert_eq!(sweep_records(folder.path()).unwrap(), 1);
        assert!(!stale.folder.exists() && !stale.path(folder.path()).exists());
        assert!(live.folder.exists() && live.path(folder.path()).exists());
        assert_eq!(sweep_records(folder.path()).unwrap(), 0);
    }
}
