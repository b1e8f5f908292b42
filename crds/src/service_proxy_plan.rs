//! `ServiceProxyPlan`: how one Service is proxied, the same for every node. Written by the controller alone.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use ipnet::IpNet;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// How one Service is proxied, the same for every node. Up to 100 endpoints stand in the plan that is named as the Service;
/// above that it names shards, one per EndpointSlice, that hold them.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[kube(
    group = "pointsman.dev",
    version = "v1alpha1",
    kind = "ServiceProxyPlan",
    plural = "serviceproxyplans",
    shortname = "spp",
    category = "pointsman",
    namespaced,
    status = "ServiceProxyPlanStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Ports","type":"string","jsonPath":".spec.summary.ports","description":"The Service's ports"}"#,
    printcolumn = r#"{"name":"Endpoints","type":"integer","jsonPath":".spec.summary.endpoints","description":"Usable endpoint addresses in this object; a sharded Service has them in its shards"}"#,
    printcolumn = r#"{"name":"Cluster-IP","type":"string","jsonPath":".spec.clusterIPs[0]","description":"The first cluster IP"}"#,
    printcolumn = r#"{"name":"Refused","type":"integer","jsonPath":".status.refused.count","description":"Entries that the controller refused"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.shards) || !has(self.groups)", "message": "a plan holds groups or names shards, never both", "fieldPath": ".groups"},
    {"rule": "!has(self.healthCheckNodePort) || has(self.externalTrafficPolicy)", "message": "healthCheckNodePort goes with externalTrafficPolicy Local", "fieldPath": ".healthCheckNodePort"},
    {"rule": "!has(self.clusterIPs) || self.clusterIPs.size() < 2 || !isIP(self.clusterIPs[0]) || !isIP(self.clusterIPs[1]) || ip(self.clusterIPs[0]).family() != ip(self.clusterIPs[1]).family()", "message": "two cluster IPs must be of two families", "fieldPath": ".clusterIPs"},
]))]
pub struct ServiceProxyPlanSpec {
    /// The Service's UID: a plan and its shards belong together only if they carry the same.
    #[serde(rename = "serviceUID")]
    #[schemars(length(min = 1, max = 128))]
    pub service_uid: String,
    /// Value of the Service's label service.kubernetes.io/service-proxy-name: which nodes' proxies take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub proxy_name: Option<String>,
    /// What a person wants to see first; written by the controller, read by no program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// The Service's cluster IPs, at most one a family.
    #[serde(rename = "clusterIPs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cluster_ips")]
    pub cluster_ips: Vec<IpAddr>,
    /// External IPs, only those inside the cluster's allow list (CVE-2020-8554).
    #[serde(rename = "externalIPs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::ips")]
    pub external_ips: Vec<IpAddr>,
    /// Addresses of the load balancer, ipMode VIP only (KEP-1860).
    #[serde(rename = "loadBalancerIPs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::ips")]
    pub load_balancer_ips: Vec<IpAddr>,
    /// Who may come in through the load balancer's addresses; everybody when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cidrs")]
    pub load_balancer_source_ranges: Vec<IpNet>,
    /// The Service's ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub ports: Vec<PlanPort>,
    /// Local: traffic to cluster IPs stays on the node. Cluster is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TrafficPolicy")]
    pub internal_traffic_policy: Option<TrafficPolicy>,
    /// Local: traffic from outside stays on the node and keeps its source. Cluster is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TrafficPolicy")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// The port on which every node says whether it has local endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_node_port: Option<NonZeroU16>,
    /// Client IP affinity; none when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// The usable endpoints, one group per distinct set of target ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub groups: Vec<EndpointGroup>,
    /// Above 100 endpoints: the names of the plans that hold them, one per EndpointSlice, in this namespace, with this UID.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::shards")]
    pub shards: Vec<String>,
}

/// What a person wants to see first.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct Summary {
    /// The ports, as `kubectl get services` prints them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub ports: String,
    /// Distinct endpoint addresses in this object; absent in the base of a sharded Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub endpoints: Option<u32>,
}

/// One port of a Service.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanPort {
    /// The port's name; empty when the Service has one unnamed port.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "schema::port_name")]
    pub name: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The port on which the Service's addresses answer.
    pub port: NonZeroU16,
    /// The port on which the node's addresses answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_port: Option<NonZeroU16>,
}

/// A transport protocol.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// Where traffic may go.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum TrafficPolicy {
    /// Only to endpoints on the node that the traffic reached.
    Local,
}

/// Client IP affinity.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    /// How long a client keeps its endpoint after its last connection, in seconds.
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_seconds: u32,
}

/// Endpoints that share their target ports.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct EndpointGroup {
    /// Which port of an endpoint serves which port of the Service; a Service port that is not named here has no endpoint in this group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub targets: Vec<Target>,
    /// The endpoints: ready ones, and serving ones that are terminating.
    #[schemars(length(max = 1000))]
    pub endpoints: Vec<PlanEndpoint>,
}

/// The port of an endpoint that serves a port of the Service.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub struct Target {
    /// The name of the Service's port.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "schema::port_name")]
    pub name: String,
    /// The endpoint's port.
    pub port: NonZeroU16,
}

/// One endpoint.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanEndpoint {
    /// The endpoint's address.
    #[schemars(schema_with = "schema::ip")]
    pub ip: IpAddr,
    /// The node that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub node: Option<String>,
    /// The zone that it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::zone")]
    pub zone: Option<String>,
    /// Hint: the zones that should use it (KEP-4444).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::zones")]
    pub for_zones: Vec<String>,
    /// Hint: the nodes that should use it (KEP-3015).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::node_names")]
    pub for_nodes: Vec<String>,
    /// It is going away, and still serves: used only while no other can be (KEP-1669).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminating: bool,
}

/// What the controller refused. Present only when there is something to say.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct ServiceProxyPlanStatus {
    /// Entries of the Service or its slices that are not proxied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<ServiceRefusedList>,
}

/// Entries that were refused.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct ServiceRefusedList {
    /// How many.
    #[schemars(range(min = 1))]
    pub count: u32,
    /// The first 32 of them.
    #[schemars(length(max = 32))]
    pub first: Vec<ServiceRefused>,
}

/// One entry that was refused.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub struct ServiceRefused {
    /// What: an endpoint, an external IP, a frontend.
    #[schemars(length(max = 256))]
    pub what: String,
    /// Why, in one word.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The object that it stands in.
    #[schemars(length(max = 384))]
    pub from: String,
}
