//! A network namespace of a trial's own. It runs `ip` and `nft`, nothing on the machine's own network.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Tells the namespaces of one process apart.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A named namespace, removed on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// How a program ended.
#[derive(Debug)]
pub struct Outcome {
    /// Whether it exited with 0.
    pub success: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Namespace {
    /// Makes one.
    pub fn create() -> Result<Self> {
        // As the other suites name theirs, so that what a killed run leaves behind is removed by the next one of theirs.
        let name = format!("pm{}-kernel-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let made = finish(Command::new("ip").args(["netns", "add", &name]), "")?;
        ensure!(made.success, "ip netns add: {}", made.stderr);
        Ok(Self { name })
    }

    /// Runs `work` on a thread inside: the sockets that it opens stay inside wherever they are used.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = PathBuf::from("/run/netns").join(&self.name);
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(work())
            });
            inside.join().map_err(|_| anyhow!("the thread inside {} panicked", self.name))?
        })
    }

    /// Runs `nft` inside, whatever comes of it.
    pub fn nft_outcome(&self, arguments: &[&str], input: &str) -> Result<Outcome> {
        finish(Command::new("ip").args(["netns", "exec", &self.name, "nft"]).args(arguments), input)
    }

    /// Runs `nft` inside and gives what it prints; an error if it fails.
    pub fn nft(&self, arguments: &[&str], input: &str) -> Result<String> {
        let outcome = self.nft_outcome(arguments, input)?;
        ensure!(outcome.success, "nft {arguments:?}: {}", outcome.stderr);
        Ok(outcome.stdout)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn finish(command: &mut Command, input: &str) -> Result<Outcome> {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().with_context(|| format!("start {:?}", pipes.get_program()))?;
    let mut stdin = child.stdin.take().context("no pipe")?;
    let output = std::thread::scope(|scope| {
        // Written beside reading: a full pipe must not stop both sides.
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output()
    })?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Outcome { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) })
}
