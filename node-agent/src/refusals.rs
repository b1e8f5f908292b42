//! What is not programmed, kept up to date as Services change, so that a report costs no walk over all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use pointsman_crds::conditions::RefusalReason;
use pointsman_crds::{NodeRefused, names};
use pointsman_dataplane::ServiceKey;
use pointsman_dataplane::dispatch::{Change, ServiceDispatch};

use crate::report::Refused;

/// Services of which something is not programmed.
#[derive(Debug, Default)]
pub struct Refusals {
    dispatched: BTreeMap<ServiceKey, Arc<ServiceDispatch>>,
    unreadable: BTreeMap<ServiceKey, String>,
}

impl Refusals {
    /// These plans cannot be read, and no others.
    pub fn set_unreadable(&mut self, unreadable: BTreeMap<ServiceKey, String>) {
        self.unreadable = unreadable;
    }

    /// No Service is dispatched.
    pub fn clear(&mut self) {
        self.dispatched.clear();
    }

    /// Services changed.
    pub fn note(&mut self, changes: &[Change]) {
        for change in changes {
            match change.after.as_ref().filter(|after| !after.refused.is_empty()) {
                Some(refusing) => drop(self.dispatched.insert(change.service.clone(), refusing.clone())),
                None => drop(self.dispatched.remove(&change.service)),
            }
        }
    }

    /// What a report says: `dispatched` entries that dispatch refused, and plans that cannot be read.
    pub fn list(&self, dispatched: u32) -> Refused {
        let by_dispatch = self.dispatched.iter().flat_map(|(service, dispatch)| {
            dispatch.refused.iter().map(move |refusal| (service, refusal.reason, refusal.message.as_str()))
        });
        let unreadable =
            self.unreadable.iter().map(|(service, why)| (service, RefusalReason::Malformed, why.as_str()));
        let entry = |(service, reason, message): (&ServiceKey, RefusalReason, &str)| NodeRefused {
            service: service.to_string(),
            reason: reason.as_str().to_owned(),
            message: message.to_owned(),
        };
        let count = u32::try_from(self.unreadable.len()).unwrap_or(u32::MAX);
        Refused {
            count: dispatched.saturating_add(count),
            first: unreadable.chain(by_dispatch).map(entry).take(names::REFUSED_LISTED).collect(),
        }
    }
}
