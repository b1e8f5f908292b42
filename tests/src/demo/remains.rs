//! What must be gone when the demo is over: namespaces, child processes, files. It only looks.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::stage::Stage;

/// The places to look at.
#[derive(Debug)]
pub struct Remains {
    folder: PathBuf,
}

impl Remains {
    /// Those of a cluster that is still up.
    pub fn of(stage: &Stage) -> Self {
        Self { folder: stage.control_plane().folder().to_path_buf() }
    }

    /// Everything that is still there, each named.
    pub fn found(&self) -> Result<Vec<String>> {
        let mut found = vec![];
        if self.folder.exists() {
            found.push(format!("the folder {}", self.folder.display()));
        }
        let own = format!("pm{}-", std::process::id());
        found.extend(entries("/run/netns")?.into_iter().filter(|name| name.starts_with(&own)));
        let parent = std::process::id().to_string();
        for pid in entries("/proc")?.into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        {
            // A process that ends meanwhile is no remains.
            let stat =
                std::fs::read_to_string(Path::new("/proc").join(&pid).join("stat")).unwrap_or_default();
            // The name, in parentheses, may hold anything; state and parent follow it.
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            if rest.split_whitespace().nth(1) == Some(&parent) {
                found.push(format!("the process {pid}"));
            }
        }
        Ok(found)
    }
}

fn entries(folder: &str) -> Result<Vec<String>> {
    let mut names = vec![];
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {folder}"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}
