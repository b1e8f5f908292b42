//! Writes the status: to the API server, or to a file where there is none. Writes nothing else, and only the conditions that are
//! the agent's.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use pointsman_crds::{NodeProxyPlan, NodeProxyPlanStatus, names};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::Report;
use super::limit::{Limit, News};
use super::status::{Agent, news, status};
use crate::chain;
use crate::metrics::Metrics;

/// The API server may take so long; a half-open connection must not hold up a status for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// A start that takes less is not worth a status of its own: it would be written while the API server lists.
const GRACE: Duration = Duration::from_secs(3);

/// Where a status goes.
#[derive(Clone)]
pub enum Sink {
    /// Into the status of this node's plan.
    Api(Client),
    /// Into a file, if one is named; the log has the conditions either way.
    File(Option<PathBuf>),
}

/// Why a status was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or was away.
    #[error("cannot write the status of NodeProxyPlan {node}: {why}")]
    Api {
        /// The node.
        node: String,
        /// Why.
        why: String,
    },
    /// The file.
    #[error("cannot write the status file {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Writes every report that is worth it, until nobody reports any more.
pub async fn run(mut reports: watch::Receiver<Report>, sink: Sink, agent: Agent, metrics: &Metrics) {
    let mut limit: Option<Limit> = None;
    let mut written: Option<NodeProxyPlanStatus> = None;
    let mut logged: Option<NodeProxyPlanStatus> = None;
    let grace = Instant::now() + GRACE;
    let mut held = None;
    loop {
        let due = held.take().or_else(|| limit.as_ref()?.due(Instant::now()));
        tokio::select! {
            changed = reports.changed() => if changed.is_err() { return },
            () = until(due) => {}
        }
        let report = reports.borrow_and_update().clone();
        let Some(plan) = report.plan.clone() else { continue };
        if report.is_starting() && Instant::now() < grace {
            held = Some(grace);
            continue;
        }
        let limit = limit.get_or_insert_with(|| Limit::new(&plan.name));
        limit.set_period(plan.spec.settings.status_period());
        let before =
            written.as_ref().map_or(plan.conditions.as_slice(), |status| status.conditions.as_slice());
        let now = status(&report, &agent, before, Timestamp::now());
        if news(logged.as_ref(), &now) == Some(News::Condition) {
            log(&now);
            logged = Some(now.clone());
        }
        if let Some(news) = news(written.as_ref(), &now) {
            limit.news(news, Instant::now());
        }
        if limit.due(Instant::now()).is_none_or(|due| due > Instant::now()) {
            continue;
        }
        match sink.write(&plan.name, &now).await {
            Ok(()) => {
                metrics.status_written(true);
                limit.written(Instant::now());
                written = Some(now);
            }
            Err(error) => {
                metrics.status_written(false);
                tracing::warn!(%error, "the status is written again later");
                limit.failed(Instant::now());
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn log(status: &NodeProxyPlanStatus) {
    let told =
        status.conditions.iter().filter(|condition| condition.type_ == "Ready" || condition.status == "True");
    let conditions: Vec<String> = told
        .map(|condition| format!("{}={} {}", condition.type_, condition.status, condition.reason))
        .collect();
    let message = status.conditions.first().map(|ready| ready.message.as_str()).unwrap_or_default();
    let programmed = status.programmed.clone().unwrap_or_default();
    tracing::info!(
        conditions = conditions.join(", "),
        revision = programmed.revision,
        digest = programmed.digest,
        "{message}"
    );
}

impl Sink {
    async fn write(&self, node: &str, status: &NodeProxyPlanStatus) -> Result<(), Error> {
        match self {
            Self::Api(client) => {
                let patch = patch(client, node, status);
                let refused = |why: String| Error::Api { node: node.to_owned(), why };
                match tokio::time::timeout(PATIENCE, patch).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(kube::Error::Api(status))) => {
                        Err(refused(format!("{} ({})", status.message, status.code)))
                    }
                    Ok(Err(error)) => Err(refused(chain(&error))),
                    Err(_) => Err(refused(format!("no answer within {} s", PATIENCE.as_secs()))),
                }
            }
            Self::File(None) => Ok(()),
            Self::File(Some(path)) => {
                let failed = |source| Error::File { path: path.clone(), source };
                let draft = path.with_extension("draft");
                let mut text = serde_json::to_vec_pretty(status).map_err(|error| failed(error.into()))?;
                text.push(b'\n');
                let written = std::fs::File::create(&draft).and_then(|mut file| file.write_all(&text));
                written.and_then(|()| std::fs::rename(&draft, path)).map_err(failed)
            }
        }
    }
}

/// Server-side apply owns exactly what it sends: a condition that is not ours is not touched, one that we leave out goes.
async fn patch(client: &Client, node: &str, status: &NodeProxyPlanStatus) -> kube::Result<NodeProxyPlan> {
    let body = json!({
        "apiVersion": NodeProxyPlan::api_version(&()),
        "kind": NodeProxyPlan::kind(&()),
        "metadata": {"name": node},
        "status": status,
    });
    let plans: Api<NodeProxyPlan> = Api::all(client.clone());
    plans.patch_status(node, &PatchParams::apply(names::AGENT).force(), &Patch::Apply(body)).await
}
