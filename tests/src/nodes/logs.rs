//! Saves what a cluster has to say for itself before it is taken down: the programs' logs, the pods' logs, and what the API server shows. It
//! writes into one folder below `target`.

use std::fs::{copy, create_dir_all, read_dir, remove_dir_all};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::tools::repository;

use super::RealCluster;

/// What is asked of the API server; our kinds may not be there.
const QUESTIONS: [&[&str]; 3] = [
    &["get", "nodes,pods,services,endpointslices", "-A", "-o", "wide"],
    &["get", "events", "-A", "--sort-by=.lastTimestamp"],
    &["get", "pointsman", "-A", "-o", "yaml"],
];

impl RealCluster {
    /// Hands on what came of some work; an error says too where everything that could explain it was saved.
    pub fn explained<T>(&self, result: Result<T>) -> Result<T> {
        result.or_else(|error| {
            let folder = self.save_logs()?;
            Err(error.context(format!("what the cluster had to say is in {}", folder.display())))
        })
    }

    /// Saves everything into `target/cluster/logs`, in place of what an earlier run has left there, and gives that folder.
    pub fn save_logs(&self) -> Result<PathBuf> {
        let folder = repository().join("target/cluster/logs");
        match remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("empty {}", folder.display()));
            }
            _ => create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?,
        }
        let source = self.control_plane().folder();
        copy_logs(source, &folder, false)?;
        for node in self.nodes() {
            copy_logs(&source.join(node.name()).join("log/pods"), &folder.join(node.name()), true)?;
        }
        let mut shown = String::new();
        for question in QUESTIONS {
            let answer = self.kubectl_outcome(question)?;
            shown.push_str(&format!(
                "# kubectl {}\n{}{}\n",
                question.join(" "),
                answer.stdout,
                answer.stderr
            ));
        }
        std::fs::write(folder.join("objects.txt"), shown).context("save what the API server shows")?;
        Ok(folder)
    }
}

/// Copies all files that end in `.log`; `deep` goes into folders too, as kubelet has one for each pod and container.
fn copy_logs(from: &Path, to: &Path, deep: bool) -> Result<()> {
    let entries = match read_dir(from) {
        // A node on which no pod ever ran.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("list {}", from.display()))?,
    };
    for entry in entries {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).context("list the logs")?;
        if deep && path.is_dir() {
            copy_logs(&path, &to.join(&name), true)?;
        } else if path.extension().is_some_and(|end| end == "log") {
            create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
            match copy(&path, to.join(&name)) {
                // kubelet removes the logs of a pod that is just being deleted.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                copied => copied.map(drop).with_context(|| format!("save {}", path.display()))?,
            }
        }
    }
    Ok(())
}
