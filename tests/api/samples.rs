//! The objects that the trials work with: full ones that use every field, small ones, and what stands around them. No logic.

use serde_json::{Value, json};

/// Where everything lies that a forbidden act could hurt.
pub const PROTECTED: &[&str] = &[
    "npp",
    "pxp",
    "spp@shop",
    "node",
    "service@shop",
    "pod@shop",
    "secret@shop",
    "slice@shop",
    "configmap@pointsman-system",
    "account@pointsman-system",
    "lease@pointsman-system",
    "lease@kube-system",
    "event@default",
    "policy",
    "binding",
    "crd",
    "clusterrole",
];

/// Namespaces, nodes, tenants and what they have: as YAML documents, which JSON is too.
pub fn environment(release_namespace: &str) -> String {
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let node = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    let account = |name: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "shop"}});
    let rbac = "rbac.authorization.k8s.io/v1";
    let binding = |account: &str, kind: &str, role: &str| {
        json!({
            "apiVersion": rbac, "kind": "RoleBinding", "metadata": {"name": account, "namespace": "shop"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "shop"}]
        })
    };
    let everything = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let objects = [
        namespace(release_namespace),
        namespace("shop"),
        namespace("yard"),
        node("north"),
        node("south"),
        node("east"),
        account("tenant"),
        account("viewer"),
        json!({"apiVersion": rbac, "kind": "Role", "metadata": {"name": "tenant", "namespace": "shop"}, "rules": everything}),
        binding("tenant", "Role", "tenant"),
        binding("viewer", "ClusterRole", "pointsman-view"),
        service("shop", "web"),
        service("yard", "web"),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "shop"}}),
    ];
    objects.iter().map(|object| format!("---\n{object}\n")).collect()
}

fn service(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"port": 80}]}
    })
}

/// Any object of one of our kinds.
pub fn plan(kind: &str, metadata: Value, spec: Value) -> Value {
    let mut object = json!({"apiVersion": "pointsman.dev/v1alpha1", "kind": kind});
    object["metadata"] = metadata;
    object["spec"] = spec;
    object
}

/// A small NodeProxyPlan.
pub fn node_plan(name: &str) -> Value {
    plan("NodeProxyPlan", json!({"name": name}), json!({"node": {"uid": "0a"}, "mode": "nftables"}))
}

/// A small ServiceProxyPlan with one endpoint.
pub fn service_plan(namespace: &str, name: &str) -> Value {
    let spec = json!({
        "serviceUID": "7c",
        "summary": {"ports": "80/TCP", "endpoints": 1},
        "clusterIPs": ["10.96.0.10"],
        "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
        "groups": [{"targets": [{"name": "http", "port": 8080}], "endpoints": [{"ip": "10.244.1.7"}]}],
    });
    plan("ServiceProxyPlan", json!({"name": name, "namespace": namespace}), spec)
}

/// What the controller says of a Service with one bad endpoint.
pub fn service_status() -> Value {
    json!({"refused": {"count": 1, "first": [
        {"what": "endpoint 127.0.0.1", "reason": "EndpointInLoopback", "from": "EndpointSlice web-x7k2p"}
    ]}})
}

/// What an agent says of its node, for server-side apply.
pub fn node_status(name: &str) -> Value {
    json!({
        "apiVersion": "pointsman.dev/v1alpha1", "kind": "NodeProxyPlan", "metadata": {"name": name},
        "status": {
            "observedGeneration": 1,
            "mode": "nftables",
            "programmed": {
                "revision": "88412", "services": 214, "frontends": 611, "endpoints": 1893, "digest": "5f1c",
                "lastSync": "2026-11-21T14:00:00Z", "lastSyncMicros": 312
            },
            "drift": {"repairs": 1, "last": "2026-11-21T13:00:00.123456Z", "what": "map services: 3 elements missing"},
            "refused": {"count": 1, "first": [
                {"service": "shop/legacy", "reason": "EndpointInLoopback", "message": "127.0.0.1 in slice legacy-x7k2p"}
            ]},
            "agent": {"version": "0.1.0", "kernel": "6.18.0", "bootID": "b1", "heartbeat": "2026-11-21T14:00:00Z"},
            "conditions": [condition("Ready", "Programmed", "214 services in nftables")]
        }
    })
}

/// The controller's one condition of a node, for server-side apply.
pub fn alive(name: &str) -> Value {
    json!({
        "apiVersion": "pointsman.dev/v1alpha1", "kind": "NodeProxyPlan", "metadata": {"name": name},
        "status": {"conditions": [condition("AgentAlive", "HeartbeatSeen", "the heartbeat came in time")]}
    })
}

/// A condition that holds.
pub fn condition(kind: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": "True", "reason": reason, "message": message, "observedGeneration": 1,
        "lastTransitionTime": "2026-11-21T14:00:00Z"
    })
}

/// Every setting.
pub fn full_settings() -> Value {
    json!({
        "mode": "ipvs",
        "ipFamilies": ["IPv6", "IPv4"],
        "detectLocal": {"mode": "ClusterCIDR", "clusterCIDRs": ["10.244.0.0/16", "fd00:244::/56"]},
        "masquerade": {"bit": 15, "all": true},
        "nodePortAddresses": {"type": "CIDRs", "cidrs": ["192.0.2.0/24"]},
        "nftables": {"tableOwner": false},
        "ipvs": {"scheduler": "lc", "strictARP": true},
        "conntrack": {
            "maxPerCore": 32768, "min": 131072, "tcpEstablishedTimeout": "86400s", "tcpCloseWaitTimeout": "3600s"
        },
        "sync": {"minPeriod": "10ms", "verifyPeriod": "60s", "statusPeriod": "30s", "drift": "Observe"},
        "proxyName": "edge",
        "paused": true
    })
}

/// A NodeProxyPlan's spec with every field.
pub fn full_node_plan() -> Value {
    let mut spec = full_settings();
    spec["node"] = json!({
        "uid": "0a1b2c3d-0000-4000-8000-000000000001", "addresses": ["10.200.0.11", "fd00:200::11"],
        "podCIDRs": ["10.244.1.0/24", "fd00:244:1::/64"], "zone": "a", "leaving": true
    });
    spec["serviceCIDRs"] = json!(["10.96.0.0/16", "fd00:96::/112"]);
    spec["profile"] = json!({"name": "edge-nodes", "generation": 3});
    spec
}

/// A ServiceProxyPlan's spec with every field but `shards`, which excludes `groups`.
pub fn full_service_plan() -> Value {
    json!({
        "serviceUID": "7c1b2c3d-0000-4000-8000-000000000002",
        "proxyName": "edge",
        "summary": {"ports": "80:30080/TCP,53/UDP", "endpoints": 2},
        "clusterIPs": ["10.96.0.10", "fd00:96::10"],
        "externalIPs": ["198.51.100.7"],
        "loadBalancerIPs": ["192.0.2.10"],
        "loadBalancerSourceRanges": ["198.51.100.0/24"],
        "ports": [
            {"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30080},
            {"name": "dns", "protocol": "UDP", "port": 53},
            {"name": "sig", "protocol": "SCTP", "port": 65535}
        ],
        "internalTrafficPolicy": "Local",
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": 32100,
        "affinity": {"timeoutSeconds": 10800},
        "groups": [{
            "targets": [{"name": "http", "port": 8080}, {"name": "dns", "port": 5353}],
            "endpoints": [
                {"ip": "10.244.1.7", "node": "node-1", "zone": "a"},
                {"ip": "10.244.2.9", "node": "node-2", "zone": "b", "forZones": ["b"], "forNodes": ["node-2"], "terminating": true}
            ]
        }]
    })
}

/// A ProxyProfile's spec with every field.
pub fn full_profile() -> Value {
    json!({
        "nodeSelector": {
            "matchLabels": {"pool": "edge"},
            "matchExpressions": [{"key": "example.com/gpu", "operator": "NotIn", "values": ["true"]}]
        },
        "priority": 10,
        "settings": full_settings(),
        "rollout": {"maxUnavailable": "10%", "pauseOnFailure": false}
    })
}
