//! Network namespaces with names: made, entered and removed. It runs `ip` and writes sysctls only inside namespaces of its own.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::{run, run_with_input};

/// The folder in which `ip netns` keeps its names.
const NAMES: &str = "/run/netns";

/// What every name begins with; the pid of its maker follows, so that leftovers can be told from what is in use.
const PREFIX: &str = "pm";

/// A named network namespace, removed on drop.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes a namespace with its loopback up, IPv6 addresses usable at once (no duplicate detection) and no reverse path filter, which
    /// would drop what a test sends on purpose from elsewhere.
    ///
    /// `group` tells the topologies of one process apart.
    pub fn create(group: usize, label: &str) -> Result<Self> {
        let netns = Self { name: format!("{PREFIX}{}-{group}-{label}", std::process::id()) };
        netns.add()?;
        Ok(netns)
    }

    /// Replaces it by a new one of the same name. The old one ends with the last process inside.
    pub fn renew(&self) -> Result<()> {
        remove(&self.name)?;
        self.add()
    }

    fn add(&self) -> Result<()> {
        run(Command::new("ip").args(["netns", "add", &self.name]))?.success()?;
        // Defaults come before any interface: interfaces copy them when they are made.
        for scope in ["all", "default"] {
            self.sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
            self.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
            self.sysctl(&format!("net/ipv6/conf/{scope}/accept_ra"), "0")?;
        }
        self.ip("link set lo up")
    }

    /// The name that `ip netns` knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        Path::new(NAMES).join(&self.name)
    }

    /// A program that will run inside. Not by `ip netns exec`, which mounts another /sys and so loses the control groups.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// Runs a program inside to its end and gives its standard output; an error if it fails.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        let (program, args) = argv.split_first().context("no program named")?;
        run(self.command(program).args(args))?.success()
    }

    /// Runs lines of `ip -batch` inside.
    pub fn ip(&self, batch: &str) -> Result<()> {
        ip_batch(&["-n", &self.name], batch)
    }

    /// Runs `work` inside; see [`enter`].
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        enter(&self.path(), work)
    }

    /// Sets a sysctl inside; `key` is a path below /proc/sys.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(key);
        self.enter(|| std::fs::write(&path, value))?
            .with_context(|| format!("set {key} to {value} in {}", self.name))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // Nobody is left to tell; what stays is found by `remove_leftovers` of the next run.
        let _ = remove(&self.name);
    }
}

/// Runs `work` on a thread inside the namespace that a file stands for: the sockets it makes belong there for life, wherever they are
/// used later, and so does every thread and runtime that it starts.
pub fn enter<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> Result<T> {
    let file = File::open(path).with_context(|| format!("open the namespace {}", path.display()))?;
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .with_context(|| format!("enter the namespace {}", path.display()))?;
            Ok(work())
        });
        inside.join().map_err(|_| anyhow!("the thread inside {} panicked", path.display()))?
    })
}

/// Runs lines of `ip -batch`, with options before it.
pub(crate) fn ip_batch(options: &[&str], batch: &str) -> Result<()> {
    let mut command = Command::new("ip");
    run_with_input(command.args(options).args(["-batch", "-"]), batch)?
        .success()
        .map(drop)
        .with_context(|| format!("in the batch:\n{batch}"))
}

/// Removes the namespaces of harness runs that are dead (killed before they could tidy up), and says how many there were.
pub fn remove_leftovers() -> Result<usize> {
    let Ok(entries) = std::fs::read_dir(NAMES) else { return Ok(0) };
    let mut removed = 0;
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if owner(&name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Another harness that starts at this moment may have been faster.
            removed += usize::from(remove(&name).is_ok());
        }
    }
    Ok(removed)
}

/// The pid in a name of ours.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn remove(name: &str) -> Result<()> {
    run(Command::new("ip").args(["netns", "del", name]))?.success().map(drop)
}
