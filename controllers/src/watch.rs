//! Watches: kube-runtime's events → steps of the index. Every object is compacted here, before it is kept anywhere.

use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node as KubeNode, Pod as KubePod, Service as KubeService};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use pointsman_crds::{NodeProxyPlan, ServiceProxyPlan};
use pointsman_planner::model::{Node, Pod, Service, Slice};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::index::{Index, Indexed, Item, ServiceRanges, StoredNodePlan, StoredPlan, Watched};
use crate::metrics::Metrics;

/// How many steps may wait for the driver; more, and the watch itself waits.
const BACKLOG: usize = 4096;

/// A step of some watch.
#[derive(Debug)]
pub enum Change {
    /// Of a Service.
    Service(Watched<Service>),
    /// Of a Pod.
    Pod(Watched<Pod>),
    /// Of a Node.
    Node(Watched<Node>),
    /// Of an EndpointSlice.
    Slice(Watched<Slice>),
    /// Of a ServiceCIDR.
    Ranges(Watched<ServiceRanges>),
    /// Of a ServiceProxyPlan.
    Plan(Watched<StoredPlan>),
    /// Of a NodeProxyPlan.
    NodePlan(Watched<StoredNodePlan>),
}

impl Change {
    /// Tells the index. Returns the kind if this completes a list of it.
    pub fn apply(self, index: &mut Index) -> Option<&'static str> {
        match self {
            Self::Service(step) => take(index, step),
            Self::Pod(step) => take(index, step),
            Self::Node(step) => take(index, step),
            Self::Slice(step) => take(index, step),
            Self::Ranges(step) => take(index, step),
            Self::Plan(step) => take(index, step),
            Self::NodePlan(step) => take(index, step),
        }
    }
}

fn take<T: Indexed>(index: &mut Index, step: Watched<T>) -> Option<&'static str> {
    let completed = matches!(step, Watched::End).then_some(T::KIND);
    index.watched(step);
    completed
}

/// Starts the watches. Returns their steps, and the kinds that are watched. Pods concern only who writes slices.
pub fn start(
    client: &Client,
    pods: bool,
    metrics: &Arc<Metrics>,
) -> (mpsc::Receiver<Change>, Vec<&'static str>) {
    let (sink, steps) = mpsc::channel(BACKLOG);
    let mut watches = Watches { client, metrics, sink, kinds: Vec::new() };
    watches.add::<KubeService, Service>(Change::Service);
    watches.add::<KubeNode, Node>(Change::Node);
    watches.add::<EndpointSlice, Slice>(Change::Slice);
    watches.add::<ServiceCIDR, ServiceRanges>(Change::Ranges);
    watches.add::<ServiceProxyPlan, StoredPlan>(Change::Plan);
    watches.add::<NodeProxyPlan, StoredNodePlan>(Change::NodePlan);
    if pods {
        watches.add::<KubePod, Pod>(Change::Pod);
    }
    (steps, watches.kinds)
}

struct Watches<'a> {
    client: &'a Client,
    metrics: &'a Arc<Metrics>,
    sink: mpsc::Sender<Change>,
    kinds: Vec<&'static str>,
}

impl Watches<'_> {
    fn add<K, T>(&mut self, change: fn(Watched<T>) -> Change)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        T: Indexed + Send + 'static,
        Item<T>: From<K>,
    {
        self.kinds.push(T::KIND);
        tokio::spawn(watch::<K, T>(self.client.clone(), Arc::clone(self.metrics), self.sink.clone(), change));
    }
}

async fn watch<K, T>(
    client: Client,
    metrics: Arc<Metrics>,
    sink: mpsc::Sender<Change>,
    change: fn(Watched<T>) -> Change,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    T: Indexed,
    Item<T>: From<K>,
{
    let events = watcher::watcher(Api::<K>::all(client), watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let step = match event {
            Ok(Event::Init) => Watched::Start,
            Ok(Event::InitApply(object)) => Watched::Listed(Item::from(object)),
            Ok(Event::InitDone) => Watched::End,
            Ok(Event::Apply(object)) => Watched::Applied(Item::from(object)),
            Ok(Event::Delete(object)) => Watched::Deleted(Item::from(object)),
            Err(error) => {
                metrics.watch_error(T::KIND);
                tracing::warn!(kind = T::KIND, %error, "the watch was interrupted, and is taken up again");
                continue;
            }
        };
        if sink.send(change(step)).await.is_err() {
            return;
        }
    }
}
