//! A real etcd and a real kube-apiserver, with real certificates, RBAC, dual-stack service ranges and an audit log. Both can be killed
//! and started again with their state kept. It speaks to no other cluster.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::audit::{Audit, POLICY};
use crate::certificates::Certificates;
use crate::command::{Outcome, run, run_with_input};
use crate::kubeconfig::{self, Credentials};
use crate::netns::{self, Netns};
use crate::process::{Launch, Process};
use crate::tools::Tool;
use crate::wait;

mod launch;

/// The ranges of service addresses.
pub const SERVICE_CIDRS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];

/// A start on a busy machine with two processors takes 3 to 10 seconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Where a control plane listens, and what more it is told.
#[derive(Debug, Default)]
pub struct Settings<'a> {
    /// A namespace and the address in it that nodes reach the API server by; without, both listen on the machine's loopback alone.
    pub place: Option<(&'a Netns, IpAddr)>,
    /// Whether real kubelets and kube-controller-manager will join. Without them no service account comes into being by itself, and pods
    /// are admitted without one.
    pub kubelets: bool,
    /// More flags of kube-apiserver.
    pub apiserver_flags: Vec<String>,
}

/// A running control plane. Everything of it is gone on drop, its folder included.
#[derive(Debug)]
pub struct ControlPlane {
    // Before the folder: fields drop in this order, and the programs must be gone before what they write into.
    apiserver: Mutex<Option<Process>>,
    etcd: Mutex<Option<Process>>,
    launches: Launches,
    netns: Option<PathBuf>,
    server: String,
    certificates: Certificates,
    admin: PathBuf,
    folder: TempDir,
}

#[derive(Debug)]
struct Launches {
    etcd: Launch,
    apiserver: Launch,
}

impl ControlPlane {
    /// Starts both on the machine's loopback, at free ports.
    pub fn start() -> Result<Self> {
        Self::start_with(Settings::default())
    }

    /// Starts both as told, and waits until the API server is ready.
    pub fn start_with(settings: Settings<'_>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pointsman-control-plane-").tempdir()?;
        let ports = launch::ports(settings.place.is_some())?;
        let address = settings.place.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |(_, address)| address);
        let certificates = Certificates::create(folder.path(), &[address, IpAddr::V4(Ipv4Addr::LOCALHOST)])?;
        let server = format!("https://{}", SocketAddr::new(address, ports.apiserver));
        let admin = folder.path().join("admin.kubeconfig");
        let credentials = Credentials::Certificate(&certificates.admin);
        kubeconfig::write(&admin, &server, &certificates.authority, &credentials)?;
        std::fs::write(folder.path().join("audit-policy.json"), POLICY).context("write the audit policy")?;
        let netns = settings.place.map(|(netns, _)| netns);
        let apiserver = launch::apiserver(folder.path(), &ports, address, &certificates)?
            .args(launch::admission(settings.kubelets, &certificates))
            .args(settings.apiserver_flags);
        let control_plane = Self {
            apiserver: Mutex::new(None),
            etcd: Mutex::new(None),
            launches: Launches {
                etcd: launch::etcd(folder.path(), &ports)?.netns(netns),
                apiserver: apiserver.netns(netns),
            },
            netns: netns.map(Netns::path),
            server,
            certificates,
            admin,
            folder,
        };
        control_plane.start_etcd()?;
        control_plane.start_apiserver()?;
        Ok(control_plane)
    }

    /// Starts etcd, again or for the first time. It does not wait: the API server does.
    pub fn start_etcd(&self) -> Result<()> {
        *lock(&self.etcd) = Some(self.launches.etcd.start(self.folder())?);
        Ok(())
    }

    /// Kills etcd. What was acknowledged stays: the page cache outlives a process.
    pub fn kill_etcd(&self) {
        *lock(&self.etcd) = None;
    }

    /// Starts the API server, again or for the first time, and waits until it says that it is ready.
    pub fn start_apiserver(&self) -> Result<()> {
        *lock(&self.apiserver) = Some(self.launches.apiserver.start(self.folder())?);
        self.wait_until_ready()
    }

    /// Kills the API server, as a crash would.
    pub fn kill_apiserver(&self) {
        *lock(&self.apiserver) = None;
    }

    /// Waits until the API server is ready; an error with the end of a log if one of the two has ended.
    pub fn wait_until_ready(&self) -> Result<()> {
        wait::until("the API server to be ready", START_LIMIT, || {
            for process in [&self.etcd, &self.apiserver] {
                lock(process).as_mut().context("it was killed and not started again")?.still_runs()?;
            }
            Ok(self.kubectl_outcome(&self.admin, &["get", "--raw", "/readyz"], "")?.status.success())
        })
    }

    /// The pid of the API server while it runs, to measure it.
    pub fn apiserver_pid(&self) -> Option<u32> {
        lock(&self.apiserver).as_ref().map(Process::pid)
    }

    /// The URL that clients and nodes use.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// A folder for logs and small files, removed with the control plane.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The administrator's kubeconfig.
    pub fn admin(&self) -> &Path {
        &self.admin
    }

    /// Its certificates and keys.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The audit log.
    pub fn audit(&self) -> Audit {
        Audit::new(self.folder().join("audit.log"))
    }

    /// Runs kubectl as the administrator; an error if it fails.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_outcome(&self.admin, args, "")?.success()
    }

    /// Runs kubectl as whoever `kubeconfig` says, with `input`, and tells how it ended: for what is meant to be refused.
    pub fn kubectl_outcome(&self, kubeconfig: &Path, args: &[&str], input: &str) -> Result<Outcome> {
        run_with_input(self.client_command(Tool::Kubectl, kubeconfig)?.args(args), input)
    }

    /// Applies manifests (YAML or JSON) on the server's side, as the administrator.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        self.kubectl_outcome(&self.admin, &["apply", "--server-side", "-f", "-"], manifests)?.success()
    }

    /// Runs helm as the administrator; an error if it fails.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        run(self.client_command(Tool::Helm, &self.admin)?.args(args))?.success()
    }

    /// A token of a service account that exists; with a node, bound to that Node object and carrying its name as a claim.
    pub fn create_token(&self, namespace: &str, service_account: &str, node: Option<&str>) -> Result<String> {
        let mut args = vec!["create", "token", service_account, "-n", namespace, "--duration", "24h"];
        if let Some(node) = node {
            args.extend(["--bound-object-kind", "Node", "--bound-object-name", node]);
        }
        Ok(self.kubectl(&args)?.trim().to_owned())
    }

    /// Writes a kubeconfig for the bearer of a token, and gives its path.
    pub fn kubeconfig_for(&self, name: &str, token: &str) -> Result<PathBuf> {
        let path = self.folder().join(format!("{name}.kubeconfig"));
        kubeconfig::write(&path, &self.server, &self.certificates.authority, &Credentials::Token(token))?;
        Ok(path)
    }

    /// Runs `work` with a client of whoever `kubeconfig` says, on a runtime of its own that can reach the API server.
    pub fn with_client<T: Send>(
        &self,
        kubeconfig: &Path,
        work: impl AsyncFnOnce(kube::Client) -> Result<T> + Send,
    ) -> Result<T> {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { work(kubeconfig::client(kubeconfig).await?).await })
        };
        match &self.netns {
            Some(path) => netns::enter(path, run)?,
            None => run(),
        }
    }

    /// A kubectl or helm that sees this control plane and no other, from where it can be reached.
    pub fn client_command(&self, tool: Tool, kubeconfig: &Path) -> Result<Command> {
        let program = tool.path()?;
        let mut command = match &self.netns {
            None => Command::new(program),
            Some(path) => {
                let mut nsenter = Command::new("nsenter");
                nsenter.arg(format!("--net={}", path.display())).arg("--").arg(program);
                nsenter
            }
        };
        // Caches are kept by address: another control plane may have had this port, with other kinds.
        command
            .env("KUBECONFIG", kubeconfig)
            .env("KUBECACHEDIR", self.folder().join("cache"))
            .env("HOME", self.folder());
        Ok(command)
    }
}

fn lock(process: &Mutex<Option<Process>>) -> MutexGuard<'_, Option<Process>> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}
