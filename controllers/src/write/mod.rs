//! Our values → the API server: the only code that writes. Every write carries the UID and resourceVersion that it was
//! decided on, and returns what the API server stored. Decides nothing: what to write comes from `next`.

mod error;
mod events;
mod merge;
mod nodes;
mod plans;
mod slices;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service as KubeService;
use kube::api::{Api, DeleteParams, PatchParams, PostParams, Preconditions};
use kube::{Client, Resource};
use pointsman_crds::names;
use pointsman_planner::model::{ServiceKey, Slice};
use serde::de::DeserializeOwned;

use crate::index::{Index, Indexed, Item, Key, StoredNodePlan, StoredPlan};
use crate::mandate::Mandate;
use crate::metrics::{Metrics, Operation, Write};
pub use error::{Class, WriteError};
pub use events::{Regarding, Reporter};

/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// What the API server has acknowledged.
#[derive(Debug)]
pub enum Ack {
    /// A slice is stored.
    Slice(Item<Slice>),
    /// A slice is deleted.
    SliceDeleted(Key, String),
    /// A Service's plan is stored.
    Plan(Item<StoredPlan>),
    /// A Service's plan is deleted.
    PlanDeleted(Key, String),
    /// A Node's plan is stored.
    NodePlan(Item<StoredNodePlan>),
    /// A Node's plan is deleted.
    NodePlanDeleted(Key, String),
}

impl Ack {
    /// Tells the index.
    pub fn apply(self, index: &mut Index) {
        match self {
            Self::Slice(item) => index.acknowledged(item),
            Self::SliceDeleted(key, uid) => index.deleted::<Slice>(&key, &uid),
            Self::Plan(item) => index.acknowledged(item),
            Self::PlanDeleted(key, uid) => index.deleted::<StoredPlan>(&key, &uid),
            Self::NodePlan(item) => index.acknowledged(item),
            Self::NodePlanDeleted(key, uid) => index.deleted::<StoredNodePlan>(&key, &uid),
        }
    }
}

/// How a batch of writes ended.
#[derive(Debug)]
pub struct Batch {
    /// What was acknowledged before it ended, in order.
    pub acks: Vec<Ack>,
    /// The name of a slice that somebody else holds.
    pub taken: Option<String>,
    /// What ended it early, if anything.
    pub result: Result<(), WriteError>,
}

/// Writes.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    mandate: Mandate,
    reporter: Reporter,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// Writes by `client` while `mandate` holds, and counts in `metrics`.
    pub fn new(client: Client, mandate: Mandate, reporter: Reporter, metrics: Arc<Metrics>) -> Self {
        Self { client, mandate, reporter, metrics }
    }

    /// Where Events go.
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// Whether the Service is really gone: asked of the API server itself, before anything is deleted for its absence.
    async fn is_gone(&self, key: &ServiceKey) -> Result<bool, WriteError> {
        let services: Api<KubeService> = Api::namespaced(self.client.clone(), &key.namespace);
        let found = self
            .request(Operation::Get, "Service", &key.to_string(), services.get_metadata_opt(&key.name))
            .await?;
        Ok(found.is_none())
    }

    async fn request<T>(
        &self,
        operation: Operation,
        kind: &'static str,
        name: &str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, WriteError> {
        // A batch may be long, and the process stopped in the midst of it.
        if !self.mandate.holds() {
            return Err(WriteError::NotLeading { operation, kind, name: name.to_owned() });
        }
        let started = Instant::now();
        let result = match tokio::time::timeout(REQUEST_LIMIT, request).await {
            Ok(Ok(stored)) => Ok(stored),
            Ok(Err(source)) => Err(WriteError::api(operation, kind, name, source)),
            Err(_) => {
                Err(WriteError::Timeout { operation, kind, name: name.to_owned(), limit: REQUEST_LIMIT })
            }
        };
        if operation != Operation::Get {
            let outcome = result.as_ref().err().map_or("success", |error| error.class().as_str());
            self.metrics.wrote(&Write { kind, operation, outcome }, started.elapsed());
        }
        result
    }

    /// Deletes the object of this name, UID and version. Gone already is as good.
    async fn delete<K>(
        &self,
        api: &Api<K>,
        kind: &'static str,
        name: &str,
        uid: &str,
        version: &str,
    ) -> Result<(), WriteError>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let preconditions =
            Preconditions { uid: Some(uid.to_owned()), resource_version: Some(version.to_owned()) };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.request(Operation::Delete, kind, name, api.delete(name, &params)).await {
            Err(error) if error.class() == Class::Absent => Ok(()),
            // The object comes back while somebody's finalizer holds it.
            Ok(deleted) => match deleted.left().and_then(|object| object.meta().finalizers.clone()) {
                Some(finalizers) if !finalizers.is_empty() => {
                    Err(WriteError::Held { kind, name: name.to_owned(), finalizers: finalizers.join(", ") })
                }
                Some(_) | None => Ok(()),
            },
            Err(error) => Err(error),
        }
    }
}

fn post() -> PostParams {
    PostParams { field_manager: Some(names::CONTROLLER.to_owned()), ..PostParams::default() }
}

fn patch() -> PatchParams {
    PatchParams { field_manager: Some(names::CONTROLLER.to_owned()), ..PatchParams::default() }
}

/// An object of the API server as an item of the index.
fn item<K, T: Indexed>(object: K) -> Item<T>
where
    Item<T>: From<K>,
{
    Item::from(object)
}
