//! An API server that acknowledges everything, in memory: runs the same steps as the controller until nothing is missing.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use pointsman_crds::{ProxySettings, ServiceProxyPlan, ServiceProxyPlanStatus};
use pointsman_planner::model::{Service, ServiceKey, Slice, Time};
use pointsman_planner::slice::SliceWrite;

use crate::index::{Index, Item, StoredNodePlan, StoredPlan};
use crate::next::{NodeWork, Obstacles, PlanWrite, Pulse, ServiceWork, node_work, service_work};
use crate::object;

/// An API server that takes every write.
#[derive(Debug, Default)]
pub struct Agreeing {
    writes: Vec<String>,
    version: u64,
}

impl Agreeing {
    /// Makes every write that is missing, and acknowledges it; Nodes last, as the controller does. Returns the writes, in
    /// order, as `verb Kind namespace/name`.
    pub fn settle(&mut self, index: &mut Index, settings: &ProxySettings, now: Time) -> Vec<String> {
        let mut nodes = BTreeSet::new();
        loop {
            let mut dirty = index.take_dirty();
            nodes.append(&mut dirty.nodes);
            if dirty.services.is_empty() {
                break;
            }
            for (key, trigger) in dirty.services {
                self.service(index, &key, trigger);
            }
        }
        for name in nodes {
            self.node(index, &name, settings, now);
        }
        // What was acknowledged is as it should be.
        index.take_dirty();
        std::mem::take(&mut self.writes)
    }

    fn note(&mut self, verb: &str, kind: &str, name: &str) {
        self.writes.push(format!("{verb} {kind} {name}"));
    }

    /// A version that is newer than any before.
    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn service(&mut self, index: &mut Index, key: &ServiceKey, trigger: Option<Time>) {
        loop {
            match service_work(index, key, &Obstacles::default(), trigger) {
                ServiceWork::Nothing => return,
                ServiceWork::Slices(work) => {
                    for write in work.writes {
                        self.slice(index, &work.service, write);
                    }
                }
                ServiceWork::Plans(service, writes) => {
                    for write in writes {
                        self.plan(index, &service, write);
                    }
                }
                ServiceWork::Leftovers { plans, slices } => {
                    plans.into_iter().for_each(|stored| self.delete_plan(index, &key.namespace, &stored));
                    slices.into_iter().for_each(|stored| self.delete_slice(index, &key.namespace, &stored));
                }
            }
        }
    }

    fn slice(&mut self, index: &mut Index, service: &Service, write: SliceWrite) {
        let (verb, name, content) = match write {
            SliceWrite::Create { name, content } => ("create", name, content),
            SliceWrite::Update { stored, content } => ("update", stored.name.clone(), content),
            SliceWrite::Delete { stored } => {
                return self.delete_slice(index, &service.key.namespace, &stored);
            }
        };
        self.note(verb, "EndpointSlice", &format!("{}/{name}", service.key.namespace));
        let mut slice: EndpointSlice = object::slice(service, &name, &content);
        slice.metadata.uid = Some(format!("uid-of-{name}"));
        slice.metadata.resource_version = Some(self.next_version());
        index.acknowledged(Item::<Slice>::from(slice));
    }

    fn delete_slice(&mut self, index: &mut Index, namespace: &str, stored: &Slice) {
        self.note("delete", "EndpointSlice", &format!("{namespace}/{}", stored.name));
        index.deleted::<Slice>(&(namespace.to_owned(), stored.name.clone()), &stored.uid);
    }

    fn plan(&mut self, index: &mut Index, service: &Service, write: PlanWrite) {
        let namespace = &service.key.namespace;
        let (verb, mut plan): (_, ServiceProxyPlan) = match write {
            PlanWrite::Create { name, spec, trigger } => {
                ("create", object::service_plan(service, &name, *spec, trigger))
            }
            PlanWrite::Update { stored, spec, trigger } => {
                ("update", object::service_plan(service, &stored.name, *spec, trigger))
            }
            PlanWrite::Status { stored, refused, .. } => {
                let mut plan =
                    object::service_plan(service, &stored.name, stored.spec.clone(), stored.trigger);
                plan.status = Some(ServiceProxyPlanStatus { refused });
                ("status of", plan)
            }
            PlanWrite::Delete { stored } => return self.delete_plan(index, namespace, &stored),
        };
        self.note(verb, "ServiceProxyPlan", &format!("{namespace}/{}", plan.name_any()));
        plan.metadata.uid = Some(format!("uid-of-{}", plan.name_any()));
        plan.metadata.resource_version = Some(self.next_version());
        index.acknowledged(Item::<StoredPlan>::from(plan));
    }

    fn delete_plan(&mut self, index: &mut Index, namespace: &str, stored: &StoredPlan) {
        self.note("delete", "ServiceProxyPlan", &format!("{namespace}/{}", stored.name));
        index.deleted::<StoredPlan>(&(namespace.to_owned(), stored.name.clone()), &stored.uid);
    }

    fn node(&mut self, index: &mut Index, name: &str, settings: &ProxySettings, now: Time) {
        let (verb, spec) = match node_work(index, name, settings, Pulse { since: now, now }) {
            NodeWork::Nothing | NodeWork::Alive { .. } => return,
            NodeWork::Create { spec, .. } => ("create", spec),
            NodeWork::Update { spec, .. } => ("update", spec),
            NodeWork::Delete { stored } => return self.delete_node_plan(index, &stored),
        };
        self.note(verb, "NodeProxyPlan", name);
        let mut plan = object::node_plan(name, *spec);
        plan.metadata.uid = Some(format!("uid-of-{name}"));
        plan.metadata.resource_version = Some(self.next_version());
        index.acknowledged(Item::<StoredNodePlan>::from(plan));
    }

    fn delete_node_plan(&mut self, index: &mut Index, stored: &Arc<StoredNodePlan>) {
        self.note("delete", "NodeProxyPlan", &stored.name);
        index.deleted::<StoredNodePlan>(&(String::new(), stored.name.clone()), &stored.uid);
    }
}
