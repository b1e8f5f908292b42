//! `NodeProxyPlan`: how one node proxies (spec, the controller's) and what its kernel carries (status, the agent's).

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Mode, ProxySettings, schema};

/// How one node proxies, and what its kernel carries. Cluster-scoped, one per Node, named as the Node and owned by it.
/// The controller writes the spec, the node's agent the status.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[kube(
    group = "pointsman.dev",
    version = "v1alpha1",
    kind = "NodeProxyPlan",
    plural = "nodeproxyplans",
    shortname = "npp",
    category = "pointsman",
    status = "NodeProxyPlanStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".status.mode","description":"The mode that is active, not the one that is asked for"}"#,
    printcolumn = r#"{"name":"Services","type":"integer","jsonPath":".status.programmed.services","description":"Services in the kernel"}"#,
    printcolumn = r#"{"name":"Endpoints","type":"integer","jsonPath":".status.programmed.endpoints","description":"Endpoints in the kernel"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status","description":"Whether the kernel carries this plan"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].reason","description":"Why it is ready or not"}"#,
    printcolumn = r#"{"name":"Alive","type":"string","jsonPath":".status.conditions[?(@.type=='AgentAlive')].status","description":"Whether the agent still writes its status; what stands beside it is what it wrote last"}"#,
    printcolumn = r#"{"name":"Refused","type":"integer","jsonPath":".status.refused.count","description":"Entries that the agent refused; nothing when there are none"}"#,
    printcolumn = r#"{"name":"Revision","type":"string","jsonPath":".status.programmed.revision","priority":1,"description":"Highest resourceVersion of the service plans in the kernel"}"#,
    printcolumn = r#"{"name":"Profile","type":"string","jsonPath":".spec.profile.name","priority":1,"description":"The ProxyProfile in force"}"#,
    printcolumn = r#"{"name":"Agent","type":"string","jsonPath":".status.agent.version","priority":1,"description":"The agent's version"}"#,
    printcolumn = r#"{"name":"Kernel","type":"string","jsonPath":".status.agent.kernel","priority":1,"description":"The node's kernel"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].message","priority":1,"description":"The same in a sentence"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct NodeProxyPlanSpec {
    /// The node's own facts, from its Node object.
    pub node: NodeIdentity,
    /// The ranges that cluster IPs are allocated from: an address in them that no Service has is dropped.
    #[serde(rename = "serviceCIDRs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cidrs")]
    pub service_cidrs: Vec<IpNet>,
    /// The profile that the settings come from; absent when they are the controller's flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileReference>,
    /// How this node proxies.
    #[serde(flatten)]
    pub settings: ProxySettings,
}

/// The node's own facts.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeIdentity {
    /// The Node's UID.
    #[schemars(length(min = 1, max = 128))]
    pub uid: String,
    /// The node's addresses, the primary one of each family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::ips")]
    pub addresses: Vec<IpAddr>,
    /// The ranges that this node's pods get their addresses from.
    #[serde(rename = "podCIDRs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cidrs")]
    pub pod_cidrs: Vec<IpNet>,
    /// The node's zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::zone")]
    pub zone: Option<String>,
    /// The node is being deleted or drained by the autoscaler: its health check tells load balancers to go elsewhere (KEP-3836).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
}

/// A ProxyProfile at a generation.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct ProfileReference {
    /// Its name.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// Its generation.
    pub generation: i64,
}

/// What the node's kernel carries: derived from what was applied and read back, never from what was wished.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeProxyPlanStatus {
    /// The generation of this object that the rest of the status answers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The mode that is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Mode")]
    pub mode: Option<Mode>,
    /// What is in the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programmed: Option<ProgrammedStatus>,
    /// Differences between kernel and plan that were found and repaired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// What the agent refused to program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<NodeRefusedList>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentStatus>,
    /// Ready, Reconciling, Stalled, Programmed, Drifted and Conflict are the agent's; AgentAlive is the controller's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// What is in the kernel.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgrammedStatus {
    /// Every service plan up to this resourceVersion is in the kernel, or refused with a reason.
    #[schemars(length(max = 64))]
    pub revision: String,
    /// Services with at least one frontend.
    pub services: u32,
    /// Addresses and ports that answer or reject.
    pub frontends: u32,
    /// Distinct endpoints (address, port, protocol) of each Service, summed over Services.
    pub endpoints: u32,
    /// Fingerprint of the kernel's state in canonical form: equal digests, equal behaviour.
    #[schemars(length(max = 64))]
    pub digest: String,
    /// When the kernel was last written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<Time>,
    /// How long that took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync_micros: Option<u64>,
}

/// Differences that were found.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct DriftStatus {
    /// How many times since the agent started the kernel was found different and repaired.
    pub repairs: u64,
    /// When last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Time>,
    /// What differed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub what: Option<String>,
}

/// Entries that the agent refused.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct NodeRefusedList {
    /// How many.
    pub count: u32,
    /// The first 32 of them.
    #[schemars(length(max = 32))]
    pub first: Vec<NodeRefused>,
}

/// One entry that the agent refused.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub struct NodeRefused {
    /// Namespace and name of the Service.
    #[schemars(length(max = 320))]
    pub service: String,
    /// Why, in one word.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The same in a sentence.
    #[schemars(length(max = 512))]
    pub message: String,
}

/// The agent.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// Its version.
    #[schemars(length(max = 64))]
    pub version: String,
    /// The kernel's release.
    #[schemars(length(max = 128))]
    pub kernel: String,
    /// The kernel's boot ID: another one means that the node was rebooted.
    #[serde(rename = "bootID")]
    #[schemars(length(max = 64))]
    pub boot_id: String,
    /// When the agent last wrote this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Time>,
}
