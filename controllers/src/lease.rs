//! Leadership by a Lease: who holds it writes, the others watch and wait. It grants the mandate; it writes nothing else.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;

use crate::mandate::Grantor;

/// How long a Lease that is not renewed is respected, and how long before its end it is renewed.
const DURATION: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(6);
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
    grantor: Grantor,
    mut stop: watch::Receiver<bool>,
) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &candidate.namespace);
    while !*stop.borrow() {
        let started = start(&client, &candidate);
        let manager = tokio::select! {
            manager = started => manager,
            _ = stop.changed() => continue,
            () = grantor.runs_out() => continue,
        };
        match manager {
            Ok(manager) => hold(&manager, &leases, &candidate, &grantor, &mut stop).await,
            Err(error) => {
                tracing::warn!(lease = candidate.name, namespace = candidate.namespace, %error, "the Lease cannot be reached");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(if grantor.is_granted() { PAUSE } else { LOOK }) => {}
            _ = stop.changed() => {}
            () = grantor.runs_out() => {}
        }
    }
    grantor.end();
}

async fn start(client: &Client, candidate: &Candidate) -> Result<LeaseManager, LeaseManagerError> {
    LeaseManagerBuilder::new(client.clone(), &candidate.name)
        .with_namespace(&candidate.namespace)
        .with_identity(&candidate.identity)
        .with_field_manager(&candidate.identity)
        .with_duration(DURATION.as_secs())
        .with_grace(GRACE.as_secs())
        .build()
        .await
}

/// One stretch with one lease manager. It ends with an error, when the Lease falls free (the manager itself would sleep until
/// the end that it once read) or runs out, or with `stop`.
async fn hold(
    manager: &LeaseManager,
    leases: &Api<Lease>,
    candidate: &Candidate,
    grantor: &Grantor,
    stop: &mut watch::Receiver<bool>,
) {
    let mut changed = std::pin::pin!(manager.changed());
    let mut pause = LOOK;
    loop {
        let look = async {
            tokio::time::sleep(pause).await;
            leases.get(&candidate.name).await
        };
        tokio::select! {
            result = &mut changed => match result {
                // Since when we hold it stands in the Lease: it is read at once.
                Ok(true) => {
                    pause = Duration::ZERO;
                    changed.set(manager.changed());
                }
                Ok(false) => {
                    grantor.end();
                    changed.set(manager.changed());
                }
                Err(error) => {
                    tracing::warn!(%error, "the Lease could not be renewed or taken");
                    return;
                }
            },
            lease = look => {
                pause = LOOK;
                match lease.ok().and_then(|lease| lease.spec) {
                    Some(spec) if spec.holder_identity.as_deref() == Some(&candidate.identity) => {
                        grantor.grant(rest(&spec, Timestamp::now()));
                    }
                    Some(spec) if spec.holder_identity.is_none() && !grantor.is_granted() => return,
                    Some(_) if grantor.is_granted() => {
                        tracing::warn!("another replica holds the Lease");
                        grantor.end();
                        return;
                    }
                    Some(_) | None => {}
                }
            }
            () = grantor.runs_out() => return,
            _ = stop.changed() => {
                grantor.end();
                if tokio::time::timeout(RELEASE_LIMIT, manager.release()).await.is_err() {
                    tracing::warn!("the Lease could not be released in time: it runs out by itself");
                }
                return;
            }
        }
    }
}

/// How long a Lease that we hold is still good for, by the clock that wrote its renewal, which is ours. A clock that was set back
/// since then makes it no longer than a fresh one.
fn rest(lease: &LeaseSpec, now: Timestamp) -> Duration {
    let Some(renewed) = &lease.renew_time else { return Duration::ZERO };
    let age = Duration::try_from(now.duration_since(renewed.0)).unwrap_or_default();
    DURATION.saturating_sub(age)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    #[test]
    fn a_lease_is_good_for_ten_seconds_from_its_renewal() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        // The age of the renewal in milliseconds, and what is left.
        let cases = [(0, 10_000), (4_000, 6_000), (9_999, 1), (10_000, 0), (90_000, 0), (-5_000, 10_000)];
        for (age, expected) in cases {
            let renewed = Timestamp::from_millisecond(now.as_millisecond() - age).unwrap();
            let lease = LeaseSpec { renew_time: Some(MicroTime(renewed)), ..LeaseSpec::default() };
            assert_eq!(rest(&lease, now), Duration::from_millis(expected), "renewed {age} ms ago");
        }
        assert_eq!(rest(&LeaseSpec::default(), now), Duration::ZERO, "never renewed");
    }
}
