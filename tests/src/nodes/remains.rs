//! What must be gone when a cluster is down: processes, mounts, namespaces, control groups, files. It only looks.

use std::fs::{File, read_dir, read_link};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{RealCluster, Record, cgroups};

/// The places to look at.
#[derive(Debug)]
pub struct Remains {
    folder: PathBuf,
    prefix: String,
    namespaces: Vec<Namespace>,
}

/// A process or network namespace.
#[derive(Debug)]
struct Namespace {
    /// What the links in /proc show of it: its kind and its number.
    link: PathBuf,
    /// As long as it is open, no other namespace gets the number.
    _open: File,
}

impl Remains {
    /// Those of a cluster that is still up.
    pub fn of(cluster: &RealCluster) -> Result<Self> {
        Self::of_record(cluster.record())
    }

    /// Those of a cluster that another process holds.
    pub fn of_record(record: &Record) -> Result<Self> {
        let mut namespaces = vec![];
        // A node whose first process has ended has taken its namespaces along.
        for (name, first) in record.nodes.iter().filter(|(_, first)| first.is_alive()) {
            let pid = first.pid();
            for kind in ["pid", "net"] {
                let path = format!("/proc/{pid}/ns/{kind}");
                let open = File::open(&path).with_context(|| format!("look at {name}"))?;
                let link = read_link(&path).with_context(|| format!("look at {name}"))?;
                namespaces.push(Namespace { link, _open: open });
            }
        }
        Ok(Self { folder: record.folder.clone(), prefix: record.prefix.clone(), namespaces })
    }

    /// Everything that is still there, each named.
    pub fn found(&self) -> Result<Vec<String>> {
        let mut found = vec![];
        if self.folder.exists() {
            found.push(format!("the folder {}", self.folder.display()));
        }
        for name in names("/run/netns")?.into_iter().filter(|name| name.starts_with(&self.prefix)) {
            found.push(format!("the network namespace {name}"));
        }
        for group in cgroups::named(|name| name.starts_with(&self.prefix))? {
            found.push(format!("the control group {}", group.display()));
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
        let folder = self.folder.display().to_string();
        for mount in mounts.lines().filter(|line| line.contains(&folder) || line.contains(&self.prefix)) {
            found.push(format!("the mount {mount}"));
        }
        for pid in names("/proc")?.into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            if self.holds(&pid) {
                let command = std::fs::read_to_string(Path::new("/proc").join(&pid).join("comm"));
                found.push(format!("the process {pid} ({})", command.unwrap_or_default().trim_end()));
            }
        }
        Ok(found)
    }

    /// Whether a process is in one of the namespaces, or was started with a file of the cluster. One that ends meanwhile is no remains.
    fn holds(&self, pid: &str) -> bool {
        let process = Path::new("/proc").join(pid);
        let inside = ["pid", "net"].iter().any(|kind| {
            let link = read_link(process.join("ns").join(kind));
            link.is_ok_and(|link| self.namespaces.iter().any(|namespace| namespace.link == link))
        });
        let arguments = std::fs::read(process.join("cmdline")).unwrap_or_default();
        inside || String::from_utf8_lossy(&arguments).contains(&*self.folder.to_string_lossy())
    }
}

fn names(folder: &str) -> Result<Vec<String>> {
    let entries = match read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.with_context(|| format!("list {folder}"))?,
    };
    let mut names = vec![];
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}
