//! A proxy that is measured: how it is started on its node, when it is in step, and what it takes. Both are asked in the same words.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use super::figures::Memory;
use super::ground::{Ground, OUR_NODE};
use crate::control_plane::ControlPlane;
use crate::kube_proxy;
use crate::process::Process;
use crate::topology::Node;

/// Where both serve their metrics.
const METRICS_PORT: u16 = 10249;
/// When the kernel last held everything, by the name that both give it.
const LAST_SYNC: &str = "kubeproxy_sync_proxy_rules_last_timestamp_seconds";
/// What our agent says while it is not in touch with the API server: then a checkpoint is all that it is in step with.
const NOT_LIVE: &str = "pointsman_agent_plan_source{source=\"live\"} 0";
const METRICS_LIMIT: Duration = Duration::from_secs(5);

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Our agent.
    Pointsman,
    /// The pinned kube-proxy, with its `minSyncPeriod` if it is not the default.
    KubeProxy(Option<&'static str>),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pointsman => "Pointsman",
            Self::KubeProxy(_) => "kube-proxy",
        })
    }
}

/// A proxy on its node.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    ground: &'a Ground,
    which: Which,
}

impl<'a> Subject<'a> {
    /// The proxy on the node that is its own.
    pub fn new(ground: &'a Ground, which: Which) -> Self {
        Self { ground, which }
    }

    /// Which it is.
    pub fn which(&self) -> Which {
        self.which
    }

    /// The same with the shortest `minSyncPeriod` that is measured, where it has one.
    pub fn eager(&self) -> Self {
        match self.which {
            Which::Pointsman => *self,
            Which::KubeProxy(_) => Self { which: Which::KubeProxy(Some("10ms")), ..*self },
        }
    }

    /// Its node.
    pub fn node(&self) -> &'a Node {
        match self.which {
            Which::Pointsman => self.ground.our_node(),
            Which::KubeProxy(_) => self.ground.their_node(),
        }
    }

    /// The API server of both.
    pub fn control_plane(&self) -> &'a ControlPlane {
        self.ground.control_plane()
    }

    /// Starts its process.
    pub fn start(&self) -> Result<Process> {
        match self.which {
            Which::Pointsman => self.ground.cluster.start_agent(OUR_NODE, &[]),
            Which::KubeProxy(period) => kube_proxy::start(self.control_plane(), self.node(), period),
        }
    }

    /// Removes all that an earlier process left on the node: rules, and what it remembers.
    pub fn wipe(&self) -> Result<()> {
        self.node().netns.run(&["nft", "flush", "ruleset"])?;
        let state = self.control_plane().folder().join(format!("state-{}", self.node().name));
        match std::fs::remove_dir_all(&state) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", state.display()))
            }
            _ => Ok(()),
        }
    }

    /// Whether its process says, by its own metric, that the kernel holds everything that the API server has. Asked from a thread inside the node.
    pub fn synced() -> bool {
        // It does not listen at first.
        let Ok(text) = metrics() else { return false };
        if text.contains(NOT_LIVE) {
            return false;
        }
        text.lines().filter(|line| line.starts_with(LAST_SYNC) && !line.contains("IPv6")).any(|line| {
            line.split_whitespace()
                .nth(1)
                .and_then(|value| value.parse::<f64>().ok())
                .is_some_and(|value| value > 0.0)
        })
    }
}

fn metrics() -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, METRICS_PORT))?;
    stream.set_read_timeout(Some(METRICS_LIMIT))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The memory of a process.
pub fn memory(process: &Process) -> Result<Memory> {
    let path = format!("/proc/{}/status", process.pid());
    let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let kibibytes = |name: &str| -> Result<u64> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .with_context(|| format!("{name} in {path}"))?;
        let number = line.split_whitespace().next().context("a number")?;
        Ok(number.parse::<u64>()? * 1024)
    };
    Ok(Memory { resident: kibibytes("VmRSS:")?, peak: kibibytes("VmHWM:")? })
}
