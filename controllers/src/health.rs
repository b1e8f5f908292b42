//! `/healthz`, `/readyz` and `/metrics`. Tells what the driver last said of itself; asks nobody.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A driver that has not come round for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// What the driver says of itself.
#[derive(Clone, Debug)]
pub struct Health {
    /// When the driver last came round.
    pub alive: Instant,
    /// The kinds whose first list is still to come.
    pub waiting_for: Vec<&'static str>,
    /// Why nothing is written, if so: the API server has not answered yet, or the stored kinds are not those of this version.
    pub stalled: Option<String>,
    /// Objects that the API server stored differently from what was written.
    pub altered: BTreeMap<String, String>,
    /// Whether this replica leads.
    pub leader: bool,
}

impl Health {
    /// Of a controller that has just begun.
    pub fn starting() -> Self {
        Self {
            alive: Instant::now(),
            waiting_for: Vec::new(),
            stalled: Some("starting".to_owned()),
            altered: BTreeMap::new(),
            leader: false,
        }
    }

    /// What `/readyz` answers: `Ok` with what it does, or `Err` with what it lacks. A standby is ready: it watches.
    pub fn ready(&self) -> Result<&'static str, String> {
        if let Some(problem) = &self.stalled {
            return Err(format!("stalled: {problem}"));
        }
        if let Some(problem) = self.altered.values().next() {
            return Err(format!("stalled: {problem}"));
        }
        if !self.waiting_for.is_empty() {
            return Err(format!("waiting for the first list of {}", self.waiting_for.join(", ")));
        }
        Ok(if self.leader { "ok: leading" } else { "ok: standing by" })
    }
}

/// Why a port does not answer.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address} for {what}")]
pub struct ListenError {
    address: SocketAddr,
    what: &'static str,
    source: std::io::Error,
}

/// Answers `/healthz` and `/readyz` on `health_address` and `/metrics` on `metrics_address`, in the background.
///
/// # Errors
/// If an address cannot be listened on.
pub async fn serve(
    health_address: SocketAddr,
    metrics_address: SocketAddr,
    health: watch::Receiver<Health>,
    registry: Registry,
) -> Result<(), ListenError> {
    let probes =
        Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(health);
    let metrics = Router::new().route("/metrics", get(metrics)).with_state(Arc::new(registry));
    if health_address == metrics_address {
        return listen(health_address, "health and metrics", probes.merge(metrics)).await;
    }
    listen(health_address, "health", probes).await?;
    listen(metrics_address, "metrics", metrics).await
}

async fn listen(address: SocketAddr, what: &'static str, router: Router) -> Result<(), ListenError> {
    let listener =
        TcpListener::bind(address).await.map_err(|source| ListenError { address, what, source })?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%address, what, %error, "the server has ended");
        }
    });
    Ok(())
}

async fn healthz(State(health): State<watch::Receiver<Health>>) -> (StatusCode, String) {
    let age = health.borrow().alive.elapsed();
    match age < STUCK_AFTER {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("stuck for {} s\n", age.as_secs())),
    }
}

async fn readyz(State(health): State<watch::Receiver<Health>>) -> (StatusCode, String) {
    match health.borrow().ready() {
        Ok(doing) => (StatusCode::OK, format!("{doing}\n")),
        Err(lack) => (StatusCode::SERVICE_UNAVAILABLE, format!("{lack}\n")),
    }
}

async fn metrics(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => {
            let kind = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
            (StatusCode::OK, kind, text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
