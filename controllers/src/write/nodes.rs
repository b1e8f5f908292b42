//! NodeProxyPlans: one write for one Node. Of the status only the condition AgentAlive is written here.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as KubeTime};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::api::{Api, Patch, PatchParams};
use pointsman_crds::conditions::{ConditionReason, ConditionType};
use pointsman_crds::{NodeProxyPlan, NodeProxyPlanSpec, names};
use serde_json::json;

use super::{Ack, Batch, Class, WriteError, Writer, item, merge, patch, post};
use crate::index::{Item, StoredNodePlan};
use crate::metrics::Operation;
use crate::next::NodeWork;
use crate::object;

const KIND: &str = "NodeProxyPlan";

impl Writer {
    /// Makes the write.
    pub async fn node(&self, work: NodeWork) -> Batch {
        let mut batch = Batch { acks: Vec::new(), taken: None, result: Ok(()) };
        match self.node_plan(work).await {
            Ok(ack) => batch.acks.extend(ack),
            Err(error) => batch.result = Err(error),
        }
        batch
    }

    async fn node_plan(&self, work: NodeWork) -> Result<Option<Ack>, WriteError> {
        let api: Api<NodeProxyPlan> = Api::all(self.client.clone());
        match work {
            NodeWork::Nothing => Ok(None),
            NodeWork::Create { name, spec } => {
                let plan = object::node_plan(&name, *spec);
                match self.request(Operation::Create, KIND, &name, api.create(&post(), &plan)).await {
                    Err(error) if error.class() == Class::Taken => {
                        let found = self.request(Operation::Get, KIND, &name, api.get(&name)).await?;
                        Ok(Some(Ack::NodePlan(item(found))))
                    }
                    answer => compare(&plan.spec, answer?).map(Some),
                }
            }
            NodeWork::Update { stored, spec } => {
                let body = Patch::Merge(json!({
                    "metadata": {
                        "uid": stored.uid,
                        "resourceVersion": stored.resource_version,
                        "ownerReferences": [object::owned_by_node(&stored.name, &spec.node.uid)],
                    },
                    "spec": merge::diff_of(&stored.spec, &*spec),
                }));
                let params = patch();
                let request = api.patch(&stored.name, &params, &body);
                compare(&spec, self.request(Operation::Update, KIND, &stored.name, request).await?).map(Some)
            }
            NodeWork::Alive { stored, alive } => {
                let params = PatchParams::apply(names::CONTROLLER).force();
                let body = alive_body(&stored, alive);
                let request = api.patch_status(&stored.name, &params, &body);
                let answer = self.request(Operation::Status, KIND, &stored.name, request).await?;
                Ok(Some(Ack::NodePlan(item(answer))))
            }
            NodeWork::Delete { stored } => {
                self.delete(&api, KIND, &stored.name, &stored.uid, &stored.resource_version).await?;
                Ok(Some(Ack::NodePlanDeleted((String::new(), stored.name.clone()), stored.uid.clone())))
            }
        }
    }
}

/// Conditions are a map by type: applying one leaves the agent's alone.
fn alive_body(stored: &StoredNodePlan, alive: bool) -> Patch<serde_json::Value> {
    let (status, reason, message) = match (alive, stored.heartbeat) {
        (true, _) => {
            ("True", ConditionReason::HeartbeatSeen, "the agent's heartbeat is younger than ten minutes")
        }
        (false, Some(_)) => {
            ("False", ConditionReason::HeartbeatMissed, "the agent has not written for ten minutes")
        }
        // Perhaps none is meant to: the agents' DaemonSet may leave this node out.
        (false, None) => ("False", ConditionReason::HeartbeatMissed, "no agent has ever written"),
    };
    let condition = Condition {
        type_: ConditionType::AgentAlive.to_string(),
        status: status.to_owned(),
        reason: reason.to_string(),
        message: message.to_owned(),
        last_transition_time: KubeTime(Timestamp::now()),
        observed_generation: Some(stored.generation),
    };
    Patch::Apply(json!({
        "apiVersion": NodeProxyPlan::api_version(&()),
        "kind": NodeProxyPlan::kind(&()),
        "metadata": {"name": stored.name, "uid": stored.uid},
        "status": {"conditions": [condition]},
    }))
}

fn compare(written: &NodeProxyPlanSpec, answer: NodeProxyPlan) -> Result<Ack, WriteError> {
    let stored: Item<StoredNodePlan> = item(answer);
    match stored.value.as_ref().is_some_and(|stored| stored.spec == *written) {
        true => Ok(Ack::NodePlan(stored)),
        false => Err(WriteError::Altered { kind: KIND, name: stored.key.1 }),
    }
}
