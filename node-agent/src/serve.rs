//! The agent's HTTP: health for load balancers and the kubelet, metrics for Prometheus. Answers questions; changes nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use pointsman_crds::Mode;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::health::{Body, Health};
use crate::metrics::Metrics;
use crate::report::Report;

/// How often a port that somebody else holds is tried again: a kube-proxy that is being replaced, or the agent before this one.
const RETRY: Duration = Duration::from_secs(2);

/// What is served.
#[derive(Clone)]
pub struct Answers {
    /// Whether the node may take traffic.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What was reported last.
    pub reports: watch::Receiver<Report>,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct Error {
    address: SocketAddr,
    source: std::io::Error,
}

/// `/healthz`, `/livez`, `/readyz`.
pub fn health(answers: Answers) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(answers)
}

/// `/metrics` and `/proxyMode`, and health too, as kube-proxy's metrics server has it.
pub fn metrics(answers: Answers) -> Router {
    let own = Router::new().route("/metrics", get(scrape)).route("/proxyMode", get(mode));
    own.with_state(answers.clone()).merge(health(answers))
}

/// Serves, for ever. A port that is taken is waited for.
///
/// # Errors
/// Says why the address can never be listened on.
pub async fn serve(address: SocketAddr, routes: Router) -> Result<(), Error> {
    let mut told = false;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(source) if source.kind() == std::io::ErrorKind::AddrInUse => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%address, "the port is taken, is a kube-proxy or another agent running on this node? Trying again");
                }
                tokio::time::sleep(RETRY).await;
            }
            Err(source) => return Err(Error { address, source }),
        }
    };
    axum::serve(listener, routes).await.map_err(|source| Error { address, source })
}

async fn healthz(State(answers): State<Answers>) -> Response {
    let (good, body) = answers.health.healthz(Instant::now(), Timestamp::now());
    answers.metrics.answered(true, good);
    verdict(good, &body)
}

async fn livez(State(answers): State<Answers>) -> Response {
    let (good, body) = answers.health.livez(Instant::now(), Timestamp::now());
    answers.metrics.answered(false, good);
    verdict(good, &body)
}

/// Ready is who has brought a whole plan of its source into the kernel: a rolling update waits for that.
async fn readyz(State(answers): State<Answers>) -> Response {
    match answers.health.readyz() {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn scrape(State(answers): State<Answers>) -> Response {
    let text = answers.metrics.text(&answers.reports.borrow(), answers.health.is_whole());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
}

async fn mode(State(answers): State<Answers>) -> &'static str {
    match answers.reports.borrow().mode {
        Some(Mode::Nftables) => "nftables",
        Some(Mode::Iptables) => "iptables",
        Some(Mode::Ipvs) => "ipvs",
        None => "",
    }
}

fn verdict(good: bool, body: &Body) -> Response {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    match serde_json::to_string(body) {
        Ok(text) => (status, headers, text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
