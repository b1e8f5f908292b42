//! Our values → Kubernetes objects, whole. No client: the offline commands print them, `write` sends them.

use std::collections::BTreeMap;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use pointsman_crds::names::{ANNOTATION_ENDPOINTS_TRIGGER_TIME, ANNOTATION_TRIGGER_TIME, LABEL_SERVICE};
use pointsman_crds::{IpFamily, NodeProxyPlan, NodeProxyPlanSpec, ServiceProxyPlan, ServiceProxyPlanSpec};
use pointsman_planner::model::{Service, SliceContent, Time};

use crate::index;

/// A Service as the owner of a slice or plan.
pub fn owned_by_service(service: &Service) -> OwnerReference {
    owner("Service", &service.key.name, &service.uid)
}

/// A Node as the owner of its plan.
pub fn owned_by_node(name: &str, uid: &str) -> OwnerReference {
    owner("Node", name, uid)
}

fn owner(kind: &str, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn annotation(name: &str, time: Option<Time>) -> Option<BTreeMap<String, String>> {
    time.map(|time| BTreeMap::from([(name.to_owned(), index::rfc3339(time))]))
}

/// The slice `name` of `service`.
pub fn slice(service: &Service, name: &str, content: &SliceContent) -> EndpointSlice {
    EndpointSlice {
        address_type: match content.family {
            IpFamily::IPv4 => "IPv4".to_owned(),
            IpFamily::IPv6 => "IPv6".to_owned(),
        },
        endpoints: content.endpoints.iter().map(index::endpoint).collect(),
        ports: Some(content.ports.iter().map(index::port).collect()),
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(service.key.namespace.clone()),
            labels: Some(content.labels.clone()),
            annotations: annotation(ANNOTATION_ENDPOINTS_TRIGGER_TIME, content.trigger),
            owner_references: Some(vec![owned_by_service(service)]),
            ..ObjectMeta::default()
        },
    }
}

/// The plan `name` (base or shard) of `service`.
pub fn service_plan(
    service: &Service,
    name: &str,
    spec: ServiceProxyPlanSpec,
    trigger: Option<Time>,
) -> ServiceProxyPlan {
    let mut plan = ServiceProxyPlan::new(name, spec);
    plan.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(service.key.namespace.clone()),
        labels: Some(BTreeMap::from([(LABEL_SERVICE.to_owned(), service.key.name.clone())])),
        annotations: annotation(ANNOTATION_TRIGGER_TIME, trigger),
        owner_references: Some(vec![owned_by_service(service)]),
        ..ObjectMeta::default()
    };
    plan
}

/// The plan of the Node `name`.
pub fn node_plan(name: &str, spec: NodeProxyPlanSpec) -> NodeProxyPlan {
    let uid = spec.node.uid.clone();
    let mut plan = NodeProxyPlan::new(name, spec);
    plan.metadata.owner_references = Some(vec![owned_by_node(name, &uid)]);
    plan
}
