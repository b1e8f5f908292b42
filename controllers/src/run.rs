//! `pointsman-controller run`: connects the parts and waits for the end.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch as channel};

use crate::args::RunArgs;
use crate::connect::{self, ConnectError};
use crate::driver::{Connections, Driver};
use crate::health::{self, Health, ListenError};
use crate::index::Index;
use crate::lease::{self, Candidate};
use crate::metrics::Metrics;
use crate::settings::{self, FlagError};
use crate::write::{Reporter, Writer};
use crate::{mandate, schema, telemetry, watch};

/// Why the controller does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The flags contradict one another.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// The log cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] telemetry::TelemetryError),
    /// There is no way to the API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A port cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Signals cannot be received.
    #[error("wait for signals: {0}")]
    Signals(std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// If it cannot start. An API server that is away is waited for, at the start as later.
pub async fn run(args: RunArgs) -> Result<(), RunError> {
    telemetry::init(args.log_format, &args.log_level)?;
    let settings = settings::settings(&args.proxy)?;
    for remark in settings::remarks(&settings) {
        tracing::info!("{remark}");
    }
    let policy = settings::policy(&args.proxy);
    let manage = policy.manage_slices;
    let kubeconfig = args.kubeconfig.as_deref();
    let (client, address) = connect::client(kubeconfig, connect::WATCH_SILENCE).await?;
    let (lease_client, _) = connect::client(kubeconfig, lease::ANSWER_LIMIT).await?;
    let identity = args.identity.unwrap_or_else(own_name);
    let (metrics, registry) = Metrics::new();
    let metrics = Arc::new(metrics);
    let mut signals = Signals::new().map_err(RunError::Signals)?;

    let (stop_driver, stopped_driver) = channel::channel(false);
    let (stop_lease, stopped_lease) = channel::channel(false);
    let (grantor, mandate) = mandate::mandate();
    let (wrong, schema) = channel::channel(Some("the stored kinds have not been looked at yet".to_owned()));
    let (health, healthy) = channel::channel(Health::starting());
    health::serve(args.health_address, args.metrics_address, healthy, registry).await?;
    tokio::select! {
        () = connect::wait(&client, &address, &health) => {}
        () = signals.wait() => return Ok(()),
    }
    let look_again = Arc::new(Notify::new());
    tokio::spawn(schema::watch_stored(client.clone(), Arc::clone(&look_again), wrong));
    let candidate =
        Candidate { namespace: args.lease_namespace, name: args.lease_name, identity: identity.clone() };
    let campaign = tokio::spawn(lease::campaign(lease_client, candidate, grantor, stopped_lease));
    let (steps, kinds) = watch::start(&client, manage, &metrics);
    let reporter = Reporter::new(client.clone(), &identity);
    let writer = Writer::new(client, mandate.clone(), reporter, Arc::clone(&metrics));
    let connections = Connections { steps, mandate, schema, look_again, health, stop: stopped_driver };
    let driver = Driver::new(Index::new(policy), settings, writer, metrics, connections, kinds);
    let driver = tokio::spawn(driver.run());
    tracing::info!(identity, version = env!("CARGO_PKG_VERSION"), "the controller runs");

    signals.wait().await;
    tracing::info!("stopping: no more writes are begun");
    stop_driver.send_replace(true);
    if let Err(error) = driver.await {
        tracing::error!(%error, "the driver ended abnormally");
    }
    // Only now may the next leader begin.
    stop_lease.send_replace(true);
    if let Err(error) = campaign.await {
        tracing::error!(%error, "the campaign for the Lease ended abnormally");
    }
    Ok(())
}

/// The host name tells where, the process ID which one: two on one host never pass for one another.
fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "pointsman" } else { host }, std::process::id())
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
