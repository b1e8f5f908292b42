//! Kubernetes' own controllers and scheduler, beside the API server. Whether the two controllers of EndpointSlices are among them is for
//! the caller to say.

use std::path::PathBuf;

use anyhow::Result;

use crate::control_plane::{ControlPlane, SERVICE_CIDRS};
use crate::kubeconfig::{self, Credentials};
use crate::netns::Netns;
use crate::process::{Launch, Process};
use crate::tools::Tool;
use crate::topology::CLUSTER_CIDRS;

/// Starts kube-controller-manager. Without `slices` nobody but Pointsman writes EndpointSlices.
pub(super) fn start_controllers(
    control_plane: &ControlPlane,
    place: &Netns,
    slices: bool,
) -> Result<Process> {
    let name = "kube-controller-manager";
    let kubeconfig = identity(control_plane, name)?;
    let certificates = control_plane.certificates();
    let controllers =
        if slices { "*" } else { "*,-endpointslice-controller,-endpointslice-mirroring-controller" };
    Launch::new(name, Tool::KubeControllerManager.path()?)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--service-account-private-key-file")
        .arg(&certificates.token_key)
        .arg("--root-ca-file")
        .arg(&certificates.authority)
        .args(["--use-service-account-credentials", "--leader-elect=false", "--bind-address=127.0.0.1"])
        .arg(format!("--controllers={controllers}"))
        .arg(format!("--cluster-cidr={}", CLUSTER_CIDRS.join(",")))
        .arg(format!("--service-cluster-ip-range={}", SERVICE_CIDRS.join(",")))
        // The Node objects come with the ranges that the topology has routes for.
        .arg("--allocate-node-cidrs=false")
        .netns(Some(place))
        .start(control_plane.folder())
}

/// Starts kube-scheduler.
pub(super) fn start_scheduler(control_plane: &ControlPlane, place: &Netns) -> Result<Process> {
    let name = "kube-scheduler";
    let kubeconfig = identity(control_plane, name)?;
    Launch::new(name, Tool::KubeScheduler.path()?)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["--leader-elect=false", "--bind-address=127.0.0.1"])
        .netns(Some(place))
        .start(control_plane.folder())
}

/// A kubeconfig of the user whose role every API server has built in under that name.
fn identity(control_plane: &ControlPlane, name: &str) -> Result<PathBuf> {
    let certificates = control_plane.certificates();
    let pair = certificates.client(name, &format!("system:{name}"), None)?;
    let path = control_plane.folder().join(format!("{name}.kubeconfig"));
    let credentials = Credentials::Certificate(&pair);
    kubeconfig::write(&path, control_plane.server(), &certificates.authority, &credentials)?;
    Ok(path)
}
