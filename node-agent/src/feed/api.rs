//! Plans from the API server: this node's own `NodeProxyPlan` first, then the `ServiceProxyPlan`s in its scope, listed consistently
//! and watched. Reads these two kinds and nothing else, and writes nothing.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use pointsman_crds::NodeProxyPlan;
use pointsman_dataplane::{ServiceKey, ServicePlan};
use tokio::time::{Instant, sleep_until};

use super::Feed;
use super::assemble::Assembler;
use super::links::{Links, Source};
use super::record::PlanRecord;
use crate::chain;
use crate::mailbox::Mailbox;
use crate::plan::{Link, NodePlan, Update};

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Plans that are in force already.
pub type Held = BTreeMap<ServiceKey, Arc<ServicePlan>>;

/// The API server.
#[derive(Clone)]
pub struct ApiServer {
    client: Client,
    address: String,
    node: String,
    held: Option<Held>,
}

type Events<K> = Pin<Box<dyn Stream<Item = watcher::Result<Event<K>>> + Send>>;

/// What is known so far.
struct Watched {
    server: ApiServer,
    mailbox: Arc<Mailbox>,
    node: Option<Arc<NodePlan>>,
    /// The node's plan was not told yet.
    node_is_news: bool,
    /// A whole plan was told: from then on nothing less is.
    whole: bool,
    /// The checkpoint's plan is in force, or a whole plan was told.
    serves: bool,
    /// The node's plan was named by the list that is being read.
    node_is_listed: bool,
    services: Option<(Events<PlanRecord>, Assembler)>,
    list_began: Instant,
    links: Links,
    /// What was said last.
    link: Link,
}

impl ApiServer {
    /// The plans of `node`, from the server at `address`. `held` are those that are in force already, from the checkpoint, if there is one.
    pub fn new(client: Client, address: &str, node: &str, held: Option<Held>) -> Self {
        Self { client, address: address.to_owned(), node: node.to_owned(), held }
    }

    fn node_events(&self) -> Events<NodeProxyPlan> {
        let own = watcher::Config::default().fields(&format!("metadata.name={}", self.node));
        watcher(Api::all(self.client.clone()), own).backoff(Pauses::default()).boxed()
    }

    /// Lists with the resourceVersion unset: a consistent read, not older than the node's plan that was read before it. All at once:
    /// an API server answers that from its cache, but takes later pages of a list from etcd once the revision of the first one is
    /// compacted, as it is wherever nothing changes for five minutes (1.37: 0.6 s against 2.5 s for 10,000 plans).
    fn service_events(&self) -> Events<PlanRecord> {
        let all = watcher::Config { page_size: None, ..watcher::Config::default() };
        watcher(Api::all(self.client.clone()), all).backoff(Pauses::default()).boxed()
    }
}

impl Feed for ApiServer {
    async fn run(self, mailbox: Arc<Mailbox>) {
        let mut node_events = self.node_events();
        let mut watched = Watched {
            serves: self.held.is_some(),
            server: self,
            mailbox,
            node: None,
            node_is_news: false,
            whole: false,
            node_is_listed: false,
            services: None,
            list_began: Instant::now(),
            links: Links::default(),
            link: Link::Live,
        };
        loop {
            tokio::select! {
                event = node_events.next() => match event {
                    Some(Ok(event)) => watched.node_event(event),
                    Some(Err(error)) => watched.failed(Source::Node, &error),
                    None => return,
                },
                event = next(&mut watched.services) => match event {
                    Ok(event) => watched.service_event(event),
                    Err(error) => watched.failed(Source::Services, &error),
                },
                () = until(watched.links.quiet_at()) => {
                    watched.links.settle(Instant::now());
                    watched.say();
                }
            }
        }
    }
}

/// The next event about Services; never, while they are not watched.
async fn next(services: &mut Option<(Events<PlanRecord>, Assembler)>) -> watcher::Result<Event<PlanRecord>> {
    if let Some((events, _)) = services
        && let Some(event) = events.next().await
    {
        return event;
    }
    std::future::pending().await
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Watched {
    fn node_event(&mut self, event: Event<NodeProxyPlan>) {
        match event {
            Event::Init => self.node_is_listed = false,
            Event::InitApply(plan) => {
                self.node_is_listed = true;
                self.take_node(plan);
            }
            Event::Apply(plan) => self.take_node(plan),
            Event::InitDone if self.node_is_listed => self.recovered(Source::Node),
            Event::InitDone | Event::Delete(_) => {
                let message = format!("there is no NodeProxyPlan {}", self.server.node);
                self.links.gone(Source::Node, message);
                self.say();
            }
        }
    }

    fn take_node(&mut self, plan: NodeProxyPlan) {
        self.recovered(Source::Node);
        let plan = Arc::new(NodePlan::new(plan));
        let scope = |plan: &NodePlan| plan.spec.settings.proxy_name.clone().unwrap_or_default();
        let known = self.node.as_deref();
        if known.is_some_and(|known| known.asks_the_same(&plan)) {
            return;
        }
        // Another scope needs a list that is not older than the plan that asks for it.
        if self.services.is_none() || known.is_none_or(|known| scope(known) != scope(&plan)) {
            let held = self.server.held.take().unwrap_or_default();
            self.services = Some((self.server.service_events(), Assembler::new(&scope(&plan)).beside(held)));
        }
        self.node = Some(plan);
        self.node_is_news = true;
        self.tell();
        if !self.whole {
            // For the status alone: it can say that, and why, there is no whole plan.
            self.mailbox.post(Update { awaited: self.node.clone(), ..Update::default() });
        }
    }

    fn service_event(&mut self, event: Event<PlanRecord>) {
        let Some((_, assembler)) = &mut self.services else { return };
        match event {
            // Said before the API server is asked: it proves nothing.
            Event::Init => {
                self.list_began = Instant::now();
                return assembler.list_begins();
            }
            Event::InitApply(record) => return assembler.apply(record),
            Event::InitDone => {
                assembler.list_ends();
                let took = self.list_began.elapsed();
                tracing::info!(
                    millis = took.as_millis(),
                    services = assembler.len(),
                    "the service plans are listed"
                );
            }
            Event::Apply(record) => assembler.apply(record),
            Event::Delete(record) => assembler.delete(&record),
        }
        self.recovered(Source::Services);
        self.tell();
    }

    /// Tells what is whole.
    fn tell(&mut self) {
        let Some(mut update) = self.services.as_mut().and_then(|(_, assembler)| assembler.take()) else {
            return;
        };
        if std::mem::take(&mut self.node_is_news) {
            update.node.clone_from(&self.node);
        }
        self.whole = true;
        self.serves = true;
        update.link = Some(self.link.clone());
        self.mailbox.post(update);
    }

    fn failed(&mut self, source: Source, error: &watcher::Error) {
        let Some(link) = judge(source.name(), error) else {
            tracing::debug!(%error, what = source.name(), "a watch ended and is begun again");
            return;
        };
        self.links.failed(source, link, Instant::now());
        self.say();
    }

    fn recovered(&mut self, source: Source) {
        self.links.works(source);
        self.say();
    }

    /// Says where plans come from, if that changed.
    fn say(&mut self) {
        let link = self.links.told();
        if self.link == link {
            return;
        }
        match &link {
            Link::Away(why) | Link::Gone(why) => {
                tracing::warn!("{}", complaint(&self.server.address, self.serves, why));
            }
            Link::Live | Link::Checkpoint => tracing::info!("plans come from the API server"),
        }
        self.link = link.clone();
        self.mailbox.post(Update::link(link));
    }
}

/// Why no plans come, and what that means: an agent that has no plan at all leaves its node without new Services.
fn complaint(address: &str, serves: bool, why: &str) -> String {
    if serves {
        format!("no plans come from the API server at {address}; the last whole plan stays in force: {why}")
    } else {
        format!("the API server at {address} is waited for, no plan is there yet: {why}")
    }
}

/// What a failed watch means; nothing, if it only has to be begun again.
fn judge(what: &str, error: &watcher::Error) -> Option<Link> {
    let error = match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => error,
        // It comes again with every attempt: an agent that is older than the object must not seem to carry it.
        watcher::Error::WatchFailed(error @ kube::Error::SerdeError(_)) => error,
        watcher::Error::WatchFailed(_) | watcher::Error::NoResourceVersion => return None,
        watcher::Error::WatchError(status) => return refusal(what, status),
    };
    match error {
        kube::Error::Api(status) => refusal(what, status).or_else(|| {
            Some(Link::Away(format!("cannot read {what}: {} ({})", status.message, status.code)))
        }),
        other => Some(Link::Away(format!("cannot read {what}: {}", chain(other)))),
    }
}

fn refusal(what: &str, status: &kube::core::Status) -> Option<Link> {
    let why = match status.code {
        401 => "the API server does not know this agent's token",
        403 => "the permission is missing",
        404 => "the kind is not installed: install the CRDs",
        _ => return None,
    };
    Some(Link::Gone(format!("cannot read {what}: {why} ({})", status.message)))
}

/// Pauses between attempts: from a fifth of a second, doubled up to the longest, with jitter.
struct Pauses(ExponentialBackoff);

impl Default for Pauses {
    fn default() -> Self {
        let builder = ExponentialBuilder::default().with_min_delay(Duration::from_millis(200));
        Self(builder.with_max_delay(LONGEST_PAUSE).with_jitter().without_max_times().build())
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_without_a_plan_does_not_speak_of_one() {
        let (address, why) = ("https://192.0.2.1:6443/", "cannot read NodeProxyPlan: no route");
        assert_eq!(
            complaint(address, false, why),
            "the API server at https://192.0.2.1:6443/ is waited for, no plan is there yet: cannot read NodeProxyPlan: no route"
        );
        assert_eq!(
            complaint(address, true, why),
            "no plans come from the API server at https://192.0.2.1:6443/; the last whole plan stays in force: cannot read NodeProxyPlan: no route"
        );
    }

    #[test]
    fn an_object_that_cannot_be_read_is_told_and_a_watch_that_ends_is_not() {
        let odd = || serde_json::from_str::<u8>("\"x\"").unwrap_err();
        let status = |code| kube::core::Status { code, ..kube::core::Status::default() }.boxed();
        let cases = [
            (watcher::Error::WatchFailed(kube::Error::SerdeError(odd())), Some(true)),
            (watcher::Error::InitialListFailed(kube::Error::SerdeError(odd())), Some(true)),
            (watcher::Error::WatchFailed(kube::Error::ReadEvents(std::io::Error::other("reset"))), None),
            (watcher::Error::WatchError(status(410)), None),
            (watcher::Error::WatchStartFailed(kube::Error::Api(status(503))), Some(true)),
            (watcher::Error::WatchStartFailed(kube::Error::Api(status(403))), Some(false)),
            (watcher::Error::InitialListFailed(kube::Error::Api(status(404))), Some(false)),
        ];
        for (error, expected) in cases {
            let is_away = judge("NodeProxyPlan", &error).map(|link| matches!(link, Link::Away(_)));
            assert_eq!(is_away, expected, "{error}");
        }
    }
}
