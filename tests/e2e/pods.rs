//! Pods as their objects tell, and where their networks are. It only looks.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pointsman_tests::nodes::RealNode;
use serde_json::Value;

/// A pod as its object tells.
#[derive(Debug, Clone)]
pub struct PodSeen {
    /// Its name, which is its host name too.
    pub name: String,
    /// The name of its node.
    pub node: String,
    /// Its addresses, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Whether it is Ready and not about to go.
    pub ready: bool,
    /// The image of its container.
    pub image: String,
    /// Its container: another one after a restart.
    pub container: String,
    /// Whether it uses its node's network.
    pub host_network: bool,
}

impl PodSeen {
    /// Reads the object.
    pub fn read(pod: &Value) -> Self {
        let (spec, status) = (&pod["spec"], &pod["status"]);
        let conditions = status["conditions"].as_array();
        let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            name: text(&pod["metadata"]["name"]),
            node: text(&spec["nodeName"]),
            addresses: addresses(&status["podIPs"], |entry| &entry["ip"]),
            ready: conditions.is_some_and(|list| list.iter().any(ready))
                && pod["metadata"]["deletionTimestamp"].is_null(),
            image: text(&spec["containers"][0]["image"]),
            container: text(&status["containerStatuses"][0]["containerID"]),
            host_network: spec["hostNetwork"] == true,
        }
    }
}

/// The addresses in a list, IPv4 first.
pub fn addresses(list: &Value, address: impl Fn(&Value) -> &Value) -> Vec<IpAddr> {
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts = entries.iter().filter_map(|entry| address(entry).as_str());
    let mut addresses: Vec<IpAddr> = texts.filter_map(|text| text.parse().ok()).collect();
    addresses.sort();
    addresses
}

/// The network of a pod on a node, as a file that can be entered: that of any process there which has the address.
pub fn network_of(node: &RealNode, address: IpAddr) -> Result<PathBuf> {
    let processes = PathBuf::from(format!("/proc/{}/root/proc", node.first_process()?));
    for entry in std::fs::read_dir(&processes).with_context(|| format!("list {}", processes.display()))? {
        let process = entry?.path();
        if has_address(&process, address) {
            return Ok(process.join("ns/net"));
        }
    }
    bail!("no process of {} has the address {address}", node.name())
}

fn has_address(process: &Path, address: IpAddr) -> bool {
    let routes = std::fs::read_to_string(process.join("net/fib_trie")).unwrap_or_default();
    let (leaf, lines) = (format!("|-- {address}"), routes.lines().map(str::trim));
    lines.clone().zip(lines.skip(1)).any(|(line, next)| line == leaf && next == "/32 host LOCAL")
}
