//! Leadership by a Lease: who holds it writes, the others watch and wait. It tells by a channel; it writes nothing else.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a Lease that is not renewed is respected, in seconds, and how long before its end it is renewed.
const DURATION: u64 = 10;
const GRACE: u64 = 6;
/// How often the Lease is looked at: so soon a standby sees that the leader has let go.
const LOOK: Duration = Duration::from_millis(500);
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long releasing may take at the end.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// Where the Lease is, and who we are in it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Our name.
    pub identity: String,
}

/// Campaigns until `stop`; then lets go of the Lease, so that the next leader need not wait for its end.
pub async fn campaign(
    client: Client,
    candidate: Candidate,
    leads: watch::Sender<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &candidate.namespace);
    let mut term = Term { leads, until: None };
    while !*stop.borrow() {
        let started = start(&client, &candidate);
        let manager = tokio::select! {
            manager = started => manager,
            _ = stop.changed() => continue,
            () = term.ends() => continue,
        };
        match manager {
            Ok(manager) => hold(&manager, &leases, &candidate, &mut term, &mut stop).await,
            Err(error) => {
                tracing::warn!(lease = candidate.name, namespace = candidate.namespace, %error, "the Lease cannot be reached");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(if term.is_over() { LOOK } else { PAUSE }) => {}
            _ = stop.changed() => {}
            () = term.ends() => {}
        }
    }
    term.leads.send_replace(false);
}

async fn start(client: &Client, candidate: &Candidate) -> Result<LeaseManager, LeaseManagerError> {
    LeaseManagerBuilder::new(client.clone(), &candidate.name)
        .with_namespace(&candidate.namespace)
        .with_identity(&candidate.identity)
        .with_field_manager(&candidate.identity)
        .with_duration(DURATION)
        .with_grace(GRACE)
        .build()
        .await
}

/// One stretch with one lease manager. It ends with an error, when the Lease falls free (the manager itself would sleep until
/// the end that it once read) or runs out, or with `stop`.
async fn hold(
    manager: &LeaseManager,
    leases: &Api<Lease>,
    candidate: &Candidate,
    term: &mut Term,
    stop: &mut watch::Receiver<bool>,
) {
    let mut changed = std::pin::pin!(manager.changed());
    loop {
        let look = async {
            tokio::time::sleep(LOOK).await;
            leases.get(&candidate.name).await
        };
        tokio::select! {
            result = &mut changed => match result {
                Ok(leads) => {
                    term.now(leads);
                    changed.set(manager.changed());
                }
                Err(error) => {
                    tracing::warn!(%error, "the Lease could not be renewed or taken");
                    return;
                }
            },
            lease = look => match lease.ok().and_then(|lease| lease.spec) {
                Some(spec) if spec.holder_identity.as_deref() == Some(&candidate.identity) => term.renewed(spec.renew_time.map(|time| time.0)),
                Some(spec) if spec.holder_identity.is_none() && !term.leads() => return,
                Some(_) if term.leads() => {
                    tracing::warn!("another replica holds the Lease");
                    term.now(false);
                    return;
                }
                Some(_) | None => {}
            },
            () = term.ends() => return,
            _ = stop.changed() => {
                term.now(false);
                if tokio::time::timeout(RELEASE_LIMIT, manager.release()).await.is_err() {
                    tracing::warn!("the Lease could not be released in time: it runs out by itself");
                }
                return;
            }
        }
    }
}

/// How long we may call ourselves leader. The manager keeps quiet about a Lease that it cannot renew: the clock decides.
struct Term {
    leads: watch::Sender<bool>,
    until: Option<Instant>,
}

impl Term {
    fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    fn is_over(&self) -> bool {
        self.until.is_none()
    }

    fn now(&mut self, leads: bool) {
        self.until = leads.then(|| Instant::now() + Duration::from_secs(DURATION));
        if self.leads.send_replace(leads) != leads {
            tracing::info!("{}", if leads { "this replica leads" } else { "this replica no longer leads" });
        }
    }

    /// The Lease says that we renewed it then, by our own clock.
    fn renewed(&mut self, at: Option<k8s_openapi::jiff::Timestamp>) {
        let (true, Some(at)) = (self.leads(), at) else { return };
        let age = k8s_openapi::jiff::Timestamp::now().duration_since(at);
        let age = Duration::try_from(age).unwrap_or_default();
        self.until = Some(Instant::now() + Duration::from_secs(DURATION).saturating_sub(age));
    }

    /// Waits until the term is over, and steps down. Never returns for who does not lead.
    async fn ends(&mut self) {
        let Some(until) = self.until else { return std::future::pending().await };
        tokio::time::sleep_until(until).await;
        tracing::warn!("the Lease ran out without being renewed");
        self.now(false);
    }
}
