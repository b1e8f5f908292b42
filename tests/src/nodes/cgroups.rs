//! Control groups of one node: made before its kubelet starts, removed after its last process is gone. It touches only the groups that
//! bear its own name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait;

/// Where the machine mounts them.
const ROOT: &str = "/sys/fs/cgroup";

/// A group may be busy for a moment after its last process has ended.
const LIMIT: Duration = Duration::from_secs(10);

/// The groups of one node, one in each hierarchy.
#[derive(Debug)]
pub(super) struct Cgroups {
    name: String,
}

impl Cgroups {
    /// Makes them. `name` is one path component.
    pub(super) fn create(name: &str) -> Result<Self> {
        let cgroups = Self { name: name.to_owned() };
        for hierarchy in hierarchies()? {
            let group = hierarchy.join(name);
            std::fs::create_dir_all(&group).with_context(|| format!("make the group {}", group.display()))?;
            // Version 1 lets no process into a group without processors and memory nodes, and inherits neither.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(value) = std::fs::read(hierarchy.join(file)) {
                    std::fs::write(group.join(file), value)
                        .with_context(|| format!("set {file} of {}", group.display()))?;
                }
            }
        }
        Ok(cgroups)
    }

    /// The path that kubelet is told as its root.
    pub(super) fn path(&self) -> String {
        format!("/{}", self.name)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // Nobody is left to tell; what stays is named by whoever looks for remains.
        let _ = remove(&self.name);
    }
}

/// Removes all groups of a name, with those inside. The processes in them must have ended.
pub(super) fn remove(name: &str) -> Result<()> {
    for group in named(|found| found == name)? {
        wait::until(&format!("the group {} to be empty", group.display()), LIMIT, || {
            Ok(remove_tree(&group).is_ok() || !group.exists())
        })?;
    }
    Ok(())
}

/// The groups at the top of every hierarchy whose name is wanted.
pub(super) fn named(wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for hierarchy in hierarchies()? {
        for group in folders(&hierarchy)? {
            if group.file_name().is_some_and(|name| wanted(&name.to_string_lossy())) {
                found.push(group);
            }
        }
    }
    Ok(found)
}

/// The hierarchies: one of version 2 at the root, or one folder for each of version 1.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = PathBuf::from(ROOT);
    if root.join("cgroup.controllers").exists() {
        return Ok(vec![root]);
    }
    folders(&root)
}

/// The folders inside, links left out: `cpu,cpuacct` is often linked under either name.
fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for entry in std::fs::read_dir(parent).with_context(|| format!("list {}", parent.display()))? {
        let entry = entry?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Only empty groups can be removed, so the innermost go first.
fn remove_tree(group: &Path) -> Result<()> {
    for inner in folders(group)? {
        remove_tree(&inner)?;
    }
    std::fs::remove_dir(group).with_context(|| format!("remove the group {}", group.display()))
}
