//! A node of the real cluster: its machine, containerd and kubelet, and kube-proxy where that is compared with. It can be switched off
//! and on, and looked into.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::command::{Outcome, run};
use crate::control_plane::ControlPlane;
use crate::kube_proxy;
use crate::process::Process;
use crate::topology;

use super::cgroups::Cgroups;
use super::machine::Machine;
use super::{containerd, kubelet};

/// One node.
#[derive(Debug)]
pub struct RealNode {
    name: String,
    address: Ipv4Addr,
    cgroup: String,
    disk: PathBuf,
    kube_proxy: bool,
    running: Option<Running>,
}

/// What runs while it is on; it ends from top to bottom.
#[derive(Debug)]
struct Running {
    _kube_proxy: Option<Process>,
    _kubelet: Process,
    _containerd: Process,
    machine: Machine,
    _cgroups: Cgroups,
}

impl RealNode {
    /// Writes its Node object, with its pods' ranges and its zone, and makes a node that is still off.
    pub(super) fn register(
        control_plane: &ControlPlane,
        place: &topology::Node,
        kube_proxy: bool,
    ) -> Result<Self> {
        let object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": place.name, "labels": { "topology.kubernetes.io/zone": place.zone() } },
            "spec": { "podCIDR": place.pod_cidrs()[0], "podCIDRs": place.pod_cidrs() },
        });
        control_plane.apply(&object.to_string())?;
        let disk = control_plane.folder().join(&place.name);
        std::fs::create_dir_all(&disk).with_context(|| format!("make {}", disk.display()))?;
        Ok(Self {
            name: place.name.clone(),
            address: place.v4,
            // Two clusters, and leftovers of a dead run, are told apart as their network namespaces are.
            cgroup: place.netns.name().to_owned(),
            disk,
            kube_proxy,
            running: None,
        })
    }

    /// Its name: `node-1` and so on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its IPv4 address, at which node ports answer.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A program that will run on it: in its network, with its mounts (`/run`, `/var/lib`, `/var/log` are the node's own).
    pub fn command(&self, program: &str) -> Result<Command> {
        Ok(self.machine()?.command(program))
    }

    /// Runs a program on it to its end; an error if it fails.
    pub fn exec(&self, argv: &[&str]) -> Result<String> {
        self.outcome(argv)?.success()
    }

    /// Runs a program on it to its end, and tells how it ended.
    pub fn outcome(&self, argv: &[&str]) -> Result<Outcome> {
        let (program, args) = argv.split_first().context("no program named")?;
        run(self.command(program)?.args(args))
    }

    /// Runs `nft` on it: `node.nft(&["list", "table", "ip", "pointsman"])`.
    pub fn nft(&self, args: &[&str]) -> Result<String> {
        self.exec(&[&["nft"], args].concat())
    }

    /// The pid of its first process, by which `nsenter` finds it.
    pub fn first_process(&self) -> Result<u32> {
        Ok(self.machine()?.first_process())
    }

    /// Whether it is switched on.
    pub fn is_on(&self) -> bool {
        self.running.is_some()
    }

    /// Puts the images of an archive into its containerd.
    pub(super) fn import(&self, archive: &Path) -> Result<()> {
        containerd::import(self.machine()?, archive)
            .with_context(|| format!("load {} on {}", archive.display(), self.name))
    }

    /// Gives an image one more name.
    pub(super) fn tag(&self, from: &str, to: &str) -> Result<()> {
        containerd::tag(self.machine()?, from, to)
    }

    /// Switches it on; it is Ready some seconds later.
    pub(super) fn switch_on(&mut self, control_plane: &ControlPlane, place: &topology::Node) -> Result<()> {
        let cgroups = Cgroups::create(&self.cgroup)?;
        let logs = control_plane.folder();
        let machine = Machine::boot(place, &self.disk, logs)?;
        let containerd = containerd::start(&machine, place, &self.disk, logs)?;
        let kubelet = kubelet::start(&machine, place, control_plane, &cgroups.path(), &self.disk)?;
        let kube_proxy =
            self.kube_proxy.then(|| kube_proxy::start(control_plane, place, None)).transpose()?;
        self.running = Some(Running {
            _kube_proxy: kube_proxy,
            _kubelet: kubelet,
            _containerd: containerd,
            machine,
            _cgroups: cgroups,
        });
        Ok(())
    }

    /// Switches it off as a power failure does. What is on its disk stays.
    pub(super) fn switch_off(&mut self) {
        self.running = None;
    }

    fn machine(&self) -> Result<&Machine> {
        let running = self.running.as_ref().with_context(|| format!("{} is switched off", self.name))?;
        Ok(&running.machine)
    }
}
