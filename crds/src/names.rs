//! Every name that crosses a process: group, labels, annotations, field managers, shard names. Nothing else spells them.

/// The API group of all kinds.
pub const GROUP: &str = "pointsman.dev";
/// The only served version.
pub const VERSION: &str = "v1alpha1";

/// Label on a `ServiceProxyPlan` (base and shards): the Service's name. Shards are found by it.
pub const LABEL_SERVICE: &str = "pointsman.dev/service";
/// Annotation on a `CustomResourceDefinition`: hash of its schema, compared by the binaries at start.
pub const ANNOTATION_SCHEMA_HASH: &str = "pointsman.dev/schema-hash";
/// Annotation on a `ServiceProxyPlan`, RFC 3339: the oldest change that this version of the plan answers to.
pub const ANNOTATION_TRIGGER_TIME: &str = "pointsman.dev/last-change-trigger-time";

/// `endpointslice.kubernetes.io/managed-by` of the slices that Pointsman writes: the name of the part of a cluster that writes the slices
/// of Services with a selector, whoever plays it. Consumers select by it, and conformance asks for it; and as kube-controller-manager
/// goes by the same name, either takes over the other's slices as they are, and neither leaves any behind that nobody keeps true.
pub const SLICE_MANAGED_BY: &str = "endpointslice-controller.k8s.io";
/// Label of every EndpointSlice: who manages it.
pub const LABEL_SLICE_MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Label of every EndpointSlice: its Service.
pub const LABEL_SLICE_SERVICE: &str = "kubernetes.io/service-name";
/// Label of Services and slices without a cluster IP.
pub const LABEL_HEADLESS: &str = "service.kubernetes.io/headless";
/// Label by which a Service chooses another proxy than the default one.
pub const LABEL_SERVICE_PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// Annotation on slices, RFC 3339 with nanoseconds: the change that caused this version (kube-proxy reads it too).
pub const ANNOTATION_ENDPOINTS_TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// Annotations that ask for hints by the zones' capacity (KEP-2433); the older one counts where both stand.
pub const ANNOTATIONS_TOPOLOGY_MODE: [&str; 2] =
    ["service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"];
/// Node label that names its operating system.
pub const LABEL_OS: &str = "kubernetes.io/os";
/// Node label that names its zone.
pub const LABEL_ZONE: &str = "topology.kubernetes.io/zone";
/// Taint by which the cluster autoscaler announces that a node is about to go.
pub const TAINT_TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
/// Extra in a node-bound token: the Node's name (KEP-4193).
pub const TOKEN_NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// Field manager and event reporter of the controller.
pub const CONTROLLER: &str = "pointsman-controller";
/// Field manager of the agent.
pub const AGENT: &str = "pointsman-agent";
/// Name of the controller's Lease.
pub const LEASE: &str = "pointsman-controller";

/// An object holds at most this many endpoints; a Service with more is written as shards.
pub const ENDPOINTS_PER_PLAN: usize = 100;
/// A status lists at most this many refused entries; the count tells of the rest.
pub const REFUSED_LISTED: usize = 32;
/// A condition's message has at most this many characters: the API server refuses a longer one.
pub const CONDITION_MESSAGE_LIMIT: usize = 1024;

/// The name of the shard of `service` that is made from `slice`: `<service>.<last part of the slice's name>`. A dot cannot
/// stand in a Service's name, so no shard can take the place of another Service's plan.
pub fn shard_name(service: &str, slice: &str) -> String {
    let last = slice.rsplit('-').next().unwrap_or(slice);
    format!("{service}.{last}")
}

/// Whether `plan` is the name of a shard rather than of a Service's base plan.
pub fn is_shard(plan: &str) -> bool {
    plan.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_carry_the_last_part_of_the_slices_name() {
        assert_eq!(shard_name("web", "web-7x2kp"), "web.7x2kp");
        assert_eq!(shard_name("web", "odd"), "web.odd");
        assert!(is_shard("web.7x2kp"));
        assert!(!is_shard("web-7x2kp"));
    }
}
