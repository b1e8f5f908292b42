//! Leadership by a Lease: who holds it writes, the others watch and wait. It grants the mandate; it writes nothing but the Lease.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use pointsman_crds::names;
use tokio::sync::watch;

use crate::election::{Election, LEASE_SECONDS};
use crate::mandate::{Grantor, since_boot};
use crate::reason;

/// For how long we lead from the moment at which a claim was sent. A successor sees the claim later than that, and waits for the whole
/// Lease from then on: the margin is the time that what we sent last has to arrive.
const MANDATE: Duration = Duration::from_secs(LEASE_SECONDS as u64).saturating_sub(MARGIN);
const MARGIN: Duration = Duration::from_secs(2);
/// How often the holder renews the Lease.
const RENEWAL: Duration = Duration::from_secs(2);
/// How often the others look at it, and how long after a failure it is tried again: so soon a standby sees that the leader has let go.
/// There is no jitter: of two who claim the same version the API server lets one through.
const LOOK: Duration = Duration::from_millis(500);
/// How long an answer about the Lease may take. A request that was lost with the network would else be sent again ever more seldom, and
/// a standby learn of a free Lease a minute after the network is back. A leader can lose one and renew in time by the next.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// How long releasing may take at the end: a look and a write.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

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

/// Campaigns until `stop`, with a client that keeps to [`ANSWER_LIMIT`]; then lets go of the Lease, so that the next leader need not wait
/// for its end.
pub async fn campaign(
    client: Client,
    candidate: Candidate,
    grantor: Grantor,
    mut stop: watch::Receiver<bool>,
) {
    let mut campaign = Campaign {
        leases: Api::namespaced(client, &candidate.namespace),
        election: Election::new(&candidate.identity),
        candidate,
        held: None,
    };
    tokio::select! {
        () = campaign.go_on(&grantor) => {}
        () = grantor.keep_time() => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    grantor.end();
    match tokio::time::timeout(RELEASE_LIMIT, campaign.release()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!("the Lease could not be released, it runs out by itself: {}", reason::of(&error))
        }
        Err(_) => tracing::warn!("the Lease could not be released in time, it runs out by itself"),
    }
}

struct Campaign {
    leases: Api<Lease>,
    election: Election,
    candidate: Candidate,
    /// As we wrote it last, if that was acknowledged and nobody is known to have changed it.
    held: Option<Lease>,
}

impl Campaign {
    /// One turn after the other. Never returns.
    async fn go_on(&mut self, grantor: &Grantor) {
        let mut told = String::new();
        loop {
            let pause = match self.turn(grantor).await {
                Ok(pause) => {
                    told.clear();
                    pause
                }
                Err(error) => {
                    let problem = reason::of(&error);
                    if problem != told {
                        let Candidate { name, namespace, .. } = &self.candidate;
                        tracing::warn!(
                            lease = name,
                            namespace,
                            problem,
                            "the Lease can be neither read nor written"
                        );
                        told = problem;
                    }
                    LOOK
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks at the Lease, and claims or renews it if we may. Gives the time until the next turn.
    async fn turn(&mut self, grantor: &Grantor) -> Result<Duration, kube::Error> {
        let lease = match self.held.take() {
            // Nothing is asked before a renewal: it names the version that we wrote.
            Some(held) => Some(held),
            None => self.leases.get_opt(&self.candidate.name).await?,
        };
        if !self.election.may_claim(lease.as_ref(), since_boot()) {
            if grantor.is_granted() {
                tracing::warn!("another replica holds the Lease");
                grantor.end();
            }
            return Ok(LOOK);
        }
        let sent = since_boot();
        match self.claim(lease).await {
            Ok(held) => {
                self.held = Some(held);
                grantor.grant_until(sent.saturating_add(MANDATE));
                Ok(RENEWAL.saturating_sub(since_boot().saturating_sub(sent)))
            }
            // Somebody was faster, which the next look shows.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(LOOK),
            Err(error) => Err(error),
        }
    }

    /// The claim names the UID and the version that were seen, or is the creation of a Lease that was not there.
    async fn claim(&self, lease: Option<Lease>) -> Result<Lease, kube::Error> {
        let exists = lease.is_some();
        let mut claim = self.election.claim(lease, Timestamp::now());
        if exists {
            return self.leases.replace(&self.candidate.name, &written_by(), &claim).await;
        }
        claim.metadata.name = Some(self.candidate.name.clone());
        self.leases.create(&written_by(), &claim).await
    }

    /// The Lease is read anew: a renewal may have been under way, of which nobody knows what became.
    async fn release(&self) -> Result<(), kube::Error> {
        loop {
            let lease = self.leases.get_opt(&self.candidate.name).await?;
            let Some(free) = lease.and_then(|lease| self.election.release(lease)) else { return Ok(()) };
            match self.leases.replace(&self.candidate.name, &written_by(), &free).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                result => return result.map(drop),
            }
        }
    }
}

fn written_by() -> PostParams {
    PostParams { field_manager: Some(names::CONTROLLER.to_owned()), ..PostParams::default() }
}

#[cfg(test)]
mod tests;
