//! What the figures were taken on: processor, memory, kernel, versions, load and time. It only looks.

use std::process::Command;

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::command::run;
use crate::tools::{Tool, own_binary};

/// The machine and the programs on it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The processor's name, and how many there are.
    pub processors: String,
    /// Memory in gigabytes.
    pub gigabytes: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The line of `nft --version`.
    pub nft: String,
    /// kube-proxy's version, the same as the API server's.
    pub kube_proxy: String,
    /// Our agent's.
    pub agent: String,
    /// When it was looked at.
    pub date: String,
    /// The machine's load in the minute before.
    pub load: f64,
}

impl Machine {
    /// Looks.
    pub fn look() -> Result<Self> {
        let processors = read("/proc/cpuinfo")?;
        let name = field(&processors, "model name").unwrap_or("processor of unknown make").to_owned();
        let count = processors.lines().filter(|line| line.starts_with("processor")).count();
        let memory = read("/proc/meminfo")?;
        let kibibytes =
            field(&memory, "MemTotal").and_then(|text| text.split_whitespace().next()).unwrap_or("0");
        Ok(Self {
            processors: format!("{count} × {name}"),
            gigabytes: kibibytes.parse::<u64>().context("the memory's size")? * 1024 / 1_000_000_000,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            nft: version(&mut Command::new("nft"))?,
            kube_proxy: version(&mut Command::new(Tool::KubeProxy.path()?))?,
            agent: version(&mut Command::new(own_binary("pointsman-agent")?))?,
            date: Timestamp::now().strftime("%F %H:%M UTC").to_string(),
            load: load()?,
        })
    }
}

/// The machine's load in the last minute: how many processes ran or wanted to.
pub fn load() -> Result<f64> {
    let text = read("/proc/loadavg")?;
    text.split_whitespace().next().context("a load")?.parse().context("the machine's load")
}

fn version(command: &mut Command) -> Result<String> {
    Ok(run(command.arg("--version"))?.success()?.trim().to_owned())
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {path}"))
}

/// The value of the first line of that name.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim())
}
