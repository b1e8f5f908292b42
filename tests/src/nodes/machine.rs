//! One node's machine: process, mount and host name namespaces of its own around the network namespace of the topology, with folders of
//! its own at `/run`, `/var/lib` and `/var/log`. When its first process ends the kernel ends all the others, and their mounts and the pods'
//! networks go with them, however this program itself may end.

use std::ffi::OsStr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, kill_process};

use crate::command::run;
use crate::process::{Launch, Process, Signal};
use crate::tools::Tool;
use crate::topology;
use crate::wait;

const LIMIT: Duration = Duration::from_secs(30);

/// A machine that is on.
#[derive(Debug)]
pub(super) struct Machine {
    /// `unshare`, which ends when the first process has.
    outer: Process,
    /// The first process.
    first: u32,
}

impl Machine {
    /// Switches it on. What it keeps over a reboot is in `disk`; logs go to `logs`.
    pub(super) fn boot(node: &topology::Node, disk: &Path, logs: &Path) -> Result<Self> {
        let outer = Launch::new(&format!("machine-{}", node.name), "unshare")
            .args(["--mount", "--propagation", "private", "--uts", "--pid", "--mount-proc"])
            // Should `unshare` be killed, the kernel kills the first process, and with it all the others.
            .args(["--fork", "--kill-child", "--"])
            .arg(Tool::Pause.path()?)
            .netns(Some(&node.netns))
            .start(logs)?;
        let mut machine = Self { outer, first: 0 };
        machine.first = wait::for_value("the first process of a node", LIMIT, || {
            machine.outer.still_runs()?;
            first_process(machine.outer.pid())
        })?;
        machine.mount(disk)?;
        run(machine.command("hostname").arg(&node.name))?.success()?;
        Ok(machine)
    }

    /// A program that will run inside.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.entry()).arg(program);
        command
    }

    /// A daemon that will run inside. It ends with the value that its start gives.
    pub(super) fn launch(&self, name: &str, program: impl Into<PathBuf>) -> Launch {
        Launch::new(name, "nsenter")
            .args(self.entry())
            // `nsenter` has to stay outside and wait: killed, it must not leave its child behind.
            .args(["setpriv", "--pdeathsig", "KILL", "--"])
            .arg(program.into())
    }

    /// The pid of its first process, as this program sees it.
    pub(super) fn first_process(&self) -> u32 {
        self.first
    }

    /// Waits until somebody listens at a Unix socket inside.
    pub(super) fn wait_for_socket(&self, path: &str, daemon: &mut Process) -> Result<()> {
        let seen_from_here = format!("/proc/{}/root{path}", self.first);
        wait::until(&format!("{path} of {}", self.outer.name()), LIMIT, || {
            daemon.still_runs()?;
            Ok(UnixStream::connect(&seen_from_here).is_ok())
        })
    }

    fn entry(&self) -> Vec<String> {
        let target = self.first.to_string();
        let words = ["--target", &target, "--mount", "--uts", "--net", "--pid", "--"];
        words.map(String::from).to_vec()
    }

    /// Two nodes on one machine must not share what kubelet, containerd, CNI and `hostPath` volumes keep at fixed places.
    fn mount(&self, disk: &Path) -> Result<()> {
        let mount = |args: &[&OsStr]| run(self.command("mount").args(args))?.success().map(drop);
        // One by one: a table for `mount --all` would skip /run where the machine's own is a tmpfs of the same name, as systemd has it.
        mount(&["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"].map(OsStr::new))?;
        for (name, target) in [("lib", "/var/lib"), ("log", "/var/log")] {
            let source = disk.join(name);
            std::fs::create_dir_all(&source).with_context(|| format!("make {}", source.display()))?;
            mount(&[OsStr::new("--bind"), source.as_os_str(), OsStr::new(target)])?;
        }
        Ok(())
    }

    /// Switches it off as a power failure does, and waits until its last process is gone.
    fn power_off(&mut self) -> Result<()> {
        let pid = i32::try_from(self.first).ok().and_then(Pid::from_raw).context("a pid out of range")?;
        if self.outer.ended()?.is_none() {
            kill_process(pid, Signal::KILL).context("kill the first process of a node")?;
        }
        // The kernel reports the end of a first process only after that of all others in its namespace.
        self.outer.wait_for_end(LIMIT).map(drop)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // An error leaves the killing to the end of `outer`; whoever looks for remains will tell.
        let _ = self.power_off();
    }
}

/// The child of `unshare`, once it has become what it was told to be: until then its mounts are not there.
fn first_process(unshare: u32) -> Result<Option<u32>> {
    let children = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"))
        .with_context(|| format!("read the children of {unshare}"))?;
    let Some(child) = children.split_whitespace().next() else { return Ok(None) };
    let name = std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
    let is_first = name.trim_end() == Tool::Pause.name();
    Ok(if is_first { Some(child.parse().context("read a pid")?) } else { None })
}
