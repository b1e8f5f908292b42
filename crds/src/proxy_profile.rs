//! `ProxyProfile`: how a set of nodes shall proxy, written by people through Git.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ProxySettings, schema};

/// How a set of nodes shall proxy. Without one, the controller's flags are the profile of every node.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[kube(
    group = "pointsman.dev",
    version = "v1alpha1",
    kind = "ProxyProfile",
    plural = "proxyprofiles",
    shortname = "pxp",
    category = "pointsman",
    status = "ProxyProfileStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".spec.settings.mode","description":"The mode asked for"}"#,
    printcolumn = r#"{"name":"Priority","type":"integer","jsonPath":".spec.priority","description":"The highest wins"}"#,
    printcolumn = r#"{"name":"Matched","type":"integer","jsonPath":".status.nodes.matched","description":"Nodes that the selector matches"}"#,
    printcolumn = r#"{"name":"Updated","type":"integer","jsonPath":".status.nodes.updated","description":"Nodes whose plan has this generation"}"#,
    printcolumn = r#"{"name":"Ready","type":"integer","jsonPath":".status.nodes.ready","description":"Nodes that carry it"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ProxyProfileSpec {
    /// The nodes, by their labels; all of them when empty.
    #[serde(default)]
    #[schemars(schema_with = "schema::label_selector")]
    pub node_selector: LabelSelector,
    /// Of several profiles that match a node the one with the highest priority is taken, among equals the first by name; 0 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1000000, max = 1000000))]
    pub priority: Option<i32>,
    /// What this profile sets; what is absent comes from the controller's flags.
    #[serde(default)]
    pub settings: ProxySettings,
    /// How a change goes over the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

/// How a change goes over the nodes.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// How many nodes may be on their way at once, a number or a percentage of the matched ones; 10% when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "max_unavailable")]
    pub max_unavailable: Option<IntOrString>,
    /// Stop when a node fails to carry its new plan; true when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_on_failure: Option<bool>,
}

fn max_unavailable(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 8,
        "x-kubernetes-validations": [{
            "rule": "type(self) == int ? self >= 1 : self.matches('^([1-9][0-9]?|100)%$')",
            "message": "must be a number of at least 1, or a percentage from 1% to 100%"
        }]
    })
}

/// How far a profile has come.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyProfileStatus {
    /// The generation that the rest of the status answers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCounts>,
    /// Ready, Reconciling and Stalled (kstatus).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Nodes of a profile.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct NodeCounts {
    /// Matched by the selector.
    pub matched: u32,
    /// Whose plan has the profile's generation.
    pub updated: u32,
    /// That carry it.
    pub ready: u32,
}
