//! Base plans and their shards, put together to whole Services. Synchronous, without client or clock: records go in, whole plans
//! come out. A Service's last whole state is kept until its base and every shard that the base names are there, of one UID.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use pointsman_crds::{ServiceProxyPlanSpec, names};
use pointsman_dataplane::{ServiceKey, ServicePlan};

use super::record::PlanRecord;
use crate::plan::{Revision, Services, Update};

/// All service plans of one proxy, as far as they are known.
#[derive(Debug, Default)]
pub struct Assembler {
    proxy_name: String,
    services: BTreeMap<ServiceKey, Parts>,
    unreadable: BTreeMap<(ServiceKey, String), String>,
    revision: Revision,
    /// What was not told yet.
    changed: BTreeSet<ServiceKey>,
    unreadable_changed: bool,
    triggers: Vec<Timestamp>,
    listing: Listing,
}

/// Where we are between lists.
#[derive(Debug, Default)]
enum Listing {
    /// Nothing was ever listed: nothing is whole.
    #[default]
    Never,
    /// A list is being read: what it named so far, and the highest revision in it.
    Reading { seen: BTreeSet<(ServiceKey, String)>, revision: Revision, first: bool },
    /// A list was read, and not told yet; the first one names all Services.
    Read { first: bool },
    /// Events follow upon the list.
    Following,
}

/// What is known of one Service.
#[derive(Debug, Default)]
struct Parts {
    base: Option<Base>,
    shards: BTreeMap<String, ServiceProxyPlanSpec>,
    whole: Option<Arc<ServicePlan>>,
}

/// The plan that is named as the Service.
#[derive(Debug)]
enum Base {
    /// It is the whole plan, and stands in `whole`.
    Whole,
    /// It names shards.
    Sharded(Box<ServiceProxyPlanSpec>),
}

impl Assembler {
    /// Nothing yet. Takes the Services whose `service-proxy-name` is this; those without one if it is empty.
    pub fn new(proxy_name: &str) -> Self {
        Self { proxy_name: proxy_name.to_owned(), ..Self::default() }
    }

    /// The same, beside plans that are in force already, from the checkpoint: the first list is read into their place, without a
    /// second copy of what is equal, and what it does not name is gone.
    pub fn beside(mut self, held: BTreeMap<ServiceKey, Arc<ServicePlan>>) -> Self {
        let parts = |plan| Parts { whole: Some(plan), ..Parts::default() };
        self.services = held.into_iter().map(|(key, plan)| (key, parts(plan))).collect();
        self
    }

    /// A list begins: until it ends nothing is told.
    pub fn list_begins(&mut self) {
        let first = matches!(self.listing, Listing::Never | Listing::Reading { first: true, .. });
        self.listing = Listing::Reading { seen: BTreeSet::new(), revision: Revision::default(), first };
    }

    /// The list ends: what it did not name is gone. Its revision counts even if it is lower (a restored etcd).
    pub fn list_ends(&mut self) {
        let Listing::Reading { seen, revision, first } = std::mem::take(&mut self.listing) else { return };
        let gone: Vec<_> = self.names().filter(|name| !seen.contains(name)).collect();
        for (key, name) in gone {
            self.remove(&key, &name);
        }
        let Self { services, unreadable, .. } = self;
        services.retain(|key, parts| {
            // An unreadable shard alone tells nothing of its Service.
            let is_told_of =
                parts.base.is_some() || unreadable.contains_key(&(key.clone(), key.name().to_owned()));
            parts.whole.take_if(|_| !is_told_of);
            is_told_of || !parts.shards.is_empty()
        });
        self.revision = revision;
        self.listing = Listing::Read { first };
    }

    /// A plan was made or changed.
    pub fn apply(&mut self, record: PlanRecord) {
        let (key, name) = identity(&record);
        self.note_event(&record);
        if let Listing::Reading { seen, revision, .. } = &mut self.listing {
            seen.insert((key.clone(), name.clone()));
            revision.advance(record.resource_version());
        }
        match record.spec {
            Ok(spec) => {
                self.unreadable_changed |= self.unreadable.remove(&(key.clone(), name.clone())).is_some();
                self.put(key, name, spec);
            }
            Err(why) => {
                self.unreadable_changed = true;
                self.unreadable.insert((key, name), why);
            }
        }
    }

    /// A plan was deleted.
    pub fn delete(&mut self, record: &PlanRecord) {
        let (key, name) = identity(record);
        self.note_event(record);
        self.remove(&key, &name);
    }

    /// What changed since this was asked last; nothing while a list is being read.
    pub fn take(&mut self) -> Option<Update> {
        let first = match self.listing {
            Listing::Never | Listing::Reading { .. } => return None,
            Listing::Read { first } => first,
            Listing::Following => false,
        };
        self.listing = Listing::Following;
        let changed = std::mem::take(&mut self.changed);
        let services = if first {
            let whole = |(key, parts): (&ServiceKey, &Parts)| Some((key.clone(), parts.whole.clone()?));
            Services::All(self.services.iter().filter_map(whole).collect())
        } else {
            let whole = |key: ServiceKey| {
                let plan = self.services.get(&key).and_then(|parts| parts.whole.clone());
                (key, plan)
            };
            Services::Changed(changed.into_iter().map(whole).collect())
        };
        let unreadable = std::mem::take(&mut self.unreadable_changed).then(|| self.unreadable_by_service());
        Some(Update {
            services,
            revision: Some(self.revision.clone()),
            unreadable,
            triggers: std::mem::take(&mut self.triggers),
            ..Update::default()
        })
    }

    /// How many Services are known, whole or not.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether no Service is known.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// Services whose last state is kept because parts of the next one are missing, each as a sentence.
    pub fn incomplete(&self) -> impl Iterator<Item = String> {
        self.services.iter().filter_map(|(key, parts)| {
            let Some(Base::Sharded(base)) = &parts.base else { return None };
            let missing = |name: &&String| {
                parts.shards.get(*name).is_none_or(|shard| shard.service_uid != base.service_uid)
            };
            let missing = base.shards.iter().find(missing)?;
            Some(format!("ServiceProxyPlan {key} names {missing}, which is not there"))
        })
    }

    fn note_event(&mut self, record: &PlanRecord) {
        if !matches!(self.listing, Listing::Reading { .. }) {
            self.revision.advance(record.resource_version());
            self.triggers.extend(record.trigger_time());
        }
    }

    fn put(&mut self, key: ServiceKey, name: String, mut spec: ServiceProxyPlanSpec) {
        compact(&mut spec);
        if names::is_shard(&name) {
            self.services.entry(key.clone()).or_default().shards.insert(name, spec);
        } else if spec.proxy_name.as_deref().unwrap_or_default() != self.proxy_name {
            return self.remove(&key, &name);
        } else if spec.shards.is_empty() {
            let parts = self.services.entry(key.clone()).or_default();
            parts.base = Some(Base::Whole);
            if parts.whole.as_ref().is_none_or(|whole| whole.spec != spec) {
                parts.whole = Some(Arc::new(ServicePlan { key: key.clone(), spec }));
                self.changed.insert(key);
            }
            return;
        } else {
            self.services.entry(key.clone()).or_default().base = Some(Base::Sharded(Box::new(spec)));
        }
        self.assemble(key);
    }

    fn remove(&mut self, key: &ServiceKey, name: &str) {
        self.unreadable_changed |= self.unreadable.remove(&(key.clone(), name.to_owned())).is_some();
        let Some(parts) = self.services.get_mut(key) else { return };
        if names::is_shard(name) {
            parts.shards.remove(name);
        } else {
            parts.base = None;
            if parts.whole.take().is_some() {
                self.changed.insert(key.clone());
            }
        }
        // A plan of the checkpoint whose base could not be read yet stays: its base's end is told when it comes.
        if parts.base.is_none() && parts.shards.is_empty() && parts.whole.is_none() {
            self.services.remove(key);
        }
    }

    fn assemble(&mut self, key: ServiceKey) {
        let Some(parts) = self.services.get_mut(&key) else { return };
        let Some(Base::Sharded(base)) = &parts.base else { return };
        let of_this_service =
            |name| parts.shards.get(name).filter(|shard| shard.service_uid == base.service_uid);
        let Some(shards) = base.shards.iter().map(of_this_service).collect::<Option<Vec<_>>>() else {
            return;
        };
        let whole = ServicePlan::assemble(key.clone(), base, &shards);
        if parts.whole.as_deref() != Some(&whole) {
            parts.whole = Some(Arc::new(whole));
            self.changed.insert(key);
        }
    }

    /// Every plan that is known, by Service and name.
    fn names(&self) -> impl Iterator<Item = (ServiceKey, String)> {
        let known = self.services.iter().flat_map(|(key, parts)| {
            let base = parts.base.as_ref().map(|_| key.name().to_owned());
            base.into_iter().chain(parts.shards.keys().cloned()).map(|name| (key.clone(), name))
        });
        known.chain(self.unreadable.keys().cloned())
    }

    fn unreadable_by_service(&self) -> BTreeMap<ServiceKey, String> {
        let told = |((key, name), why): (&(ServiceKey, String), &String)| {
            (key.clone(), format!("plan {name}: {why}"))
        };
        self.unreadable.iter().map(told).collect()
    }
}

/// A reader grows lists by doubling, and plans are kept for long: a third of their memory is room that nothing will ever fill.
pub(super) fn compact(spec: &mut ServiceProxyPlanSpec) {
    // Written for people, and not needed for anything.
    spec.summary = None;
    spec.cluster_ips.shrink_to_fit();
    spec.ports.shrink_to_fit();
    spec.groups.shrink_to_fit();
    for group in &mut spec.groups {
        group.targets.shrink_to_fit();
        group.endpoints.shrink_to_fit();
    }
}

/// The Service that a plan belongs to, and the plan's own name.
fn identity(record: &PlanRecord) -> (ServiceKey, String) {
    let name = record.name();
    let service = name.split_once('.').map_or(name, |(service, _)| service);
    (ServiceKey::new(record.namespace(), service), name.to_owned())
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
