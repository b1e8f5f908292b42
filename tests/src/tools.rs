//! Finds the programs that the suites run: the pinned ones of `tests/tools`, and our own. It builds nothing: make does.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A program that `tests/tools` pins and builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The store of the API server.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// The command line of Kubernetes, of the API server's own version.
    Kubectl,
    /// The proxy that the benches compare with.
    KubeProxy,
    /// Renders and installs the chart.
    Helm,
    /// Checks the chart's alerts.
    Promtool,
    /// The controllers of Kubernetes itself: deployments, service accounts and the rest.
    KubeControllerManager,
    /// Gives pods their nodes.
    KubeScheduler,
    /// Runs a node's pods.
    Kubelet,
    /// Holds namespaces open and does nothing: the first process of a node.
    Pause,
    /// Upstream's conformance tests.
    E2eTest,
}

impl Tool {
    /// The file name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::Kubectl => "kubectl",
            Self::KubeProxy => "kube-proxy",
            Self::Helm => "helm",
            Self::Promtool => "promtool",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Pause => "pause",
            Self::E2eTest => "e2e.test",
        }
    }

    /// Where the program stands: in the folder of `KUBEBUILDER_ASSETS`, else where `make tools` puts it.
    pub fn path(self) -> Result<PathBuf> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let folders = assets.into_iter().chain([repository().join("target/tools/bin")]);
        folders.map(|folder| folder.join(self.name())).find(|path| path.is_file()).with_context(|| {
            format!("{0} is not built: run `make tools`, or `tests/tools/build {0}`", self.name())
        })
    }
}

/// The root of the source tree that this harness was built from.
pub fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// One of our own binaries (`pointsman-controller`, `pointsman-agent`): in the folder of `POINTSMAN_PROGRAMS`, else of the same build
/// profile as the running program, so that a release bench never measures a debug agent.
pub fn own_binary(name: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("POINTSMAN_PROGRAMS") {
        Some(folder) => PathBuf::from(folder),
        None => own_folder()?,
    };
    let path = folder.join(name);
    if !path.is_file() {
        bail!("{} is not built: run `make build`", path.display());
    }
    // A program that is started in another folder finds it too.
    path.canonicalize().with_context(|| format!("find {}", path.display()))
}

fn own_folder() -> Result<PathBuf> {
    let running = std::env::current_exe().context("find the running program")?;
    let Some(folder) = running.parent() else { bail!("{} has no folder", running.display()) };
    Ok(folder.parent().filter(|_| folder.ends_with("deps")).unwrap_or(folder).to_owned())
}
