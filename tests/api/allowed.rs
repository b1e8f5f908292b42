//! What everybody must be able to do, by the roles and policies of the chart alone. A role that lacks a right is found here, not in a
//! cluster. It works in the objects `east…` and in namespace `yard`.

use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::privilege::{Needs, trial};
use serde_json::{Value, json};

use crate::request::{Request, apply, create, delete, get, merge, replace};
use crate::samples::{condition, node_plan, node_status, plan, service_plan, service_status};
use crate::suite::{Suite, Who, Who::*};

/// One trial a line: the acts of a line are done in their order.
pub fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let mut lines = reads();
    lines.extend(agent_lines());
    lines.extend(controller_lines());
    lines.extend(system_lines());
    let trial_of = |(what, acts): Line| {
        let suite = Arc::clone(suite);
        trial(format!("allowed: {what}"), Needs::Nothing, move || {
            acts.iter().try_for_each(|(who, request)| suite.must(*who, request).map(drop))
        })
    };
    let table = lines.into_iter().map(trial_of);
    let (first, second, third) = (Arc::clone(suite), Arc::clone(suite), Arc::clone(suite));
    let told = [
        trial("allowed: agent and controller keep each other's conditions", Needs::Nothing, move || {
            conditions(&first)
        }),
        trial("allowed: metadata sent with a status is dropped", Needs::Nothing, move || metadata(&second)),
        trial("allowed: owners that block deletion are admitted", Needs::Nothing, move || owners(&third)),
    ];
    table.chain(told).collect()
}

type Line = (String, Vec<(Who, Request)>);

fn reads() -> Vec<Line> {
    let lines = [
        (East, "npp?fieldSelector=metadata.name%3Deast"),
        (East, "npp?fieldSelector=metadata.name%3Deast&watch=true&timeoutSeconds=1"),
        (East, "npp/east"),
        (East, "spp"),
        (East, "spp?watch=true&timeoutSeconds=1"),
        (Controller, "service"),
        (Controller, "pod"),
        (Controller, "node"),
        (Controller, "slice"),
        (Controller, "cidr"),
        (Controller, "npp"),
        (Controller, "spp"),
        (Controller, "crd/nodeproxyplans.pointsman.dev"),
        (Controller, "crd/proxyprofiles.pointsman.dev"),
        (Controller, "crd/serviceproxyplans.pointsman.dev"),
        (Tenant, "spp@shop/web"),
        (Viewer, "spp@shop"),
    ];
    lines.iter().map(|(who, path)| one(*who, &format!("reads {path}"), get(path))).collect()
}

fn agent_lines() -> Vec<Line> {
    let observed = || json!({"status": {"observedGeneration": 1}});
    vec![
        one(East, "patches its status", merge("npp/east/status", observed())),
        one(East, "applies its status", apply("npp/east/status", node_status("east"))),
    ]
}

fn controller_lines() -> Vec<Line> {
    vec![
        all(Controller, "keeps a service plan from its making to its end", service_plan_life()),
        all(Controller, "keeps a node's plan from its making to its end", node_plan_life()),
        all(Controller, "keeps a slice from its making to its end", slice_life()),
        all(Controller, "takes, renews and leaves its Lease", lease_life()),
        one(Controller, "tells of a Service", event("yard").dry()),
        one(Controller, "tells of a Node", event("default").dry()),
    ]
}

fn annotated() -> Value {
    json!({"metadata": {"annotations": {"a": "b"}}})
}

fn service_plan_life() -> Vec<Request> {
    let shard = plan("ServiceProxyPlan", json!({"name": "kept.7x2kp"}), json!({"serviceUID": "7c"}));
    vec![
        create("spp@yard", service_plan("yard", "kept")),
        replace("spp@yard/kept", json!({"spec": {"clusterIPs": ["10.96.0.11"]}})),
        merge("spp@yard/kept", annotated()),
        apply("spp@yard/kept", service_plan("yard", "kept")),
        merge("spp@yard/kept/status", json!({"status": service_status()})),
        apply("spp@yard/kept.7x2kp", shard),
        delete("spp@yard/kept.7x2kp"),
        delete("spp@yard/kept"),
    ]
}

fn node_plan_life() -> Vec<Request> {
    let dead = json!({"status": {"conditions": [condition("AgentAlive", "HeartbeatMissed", "")]}});
    vec![
        create("npp", node_plan("east-kept")),
        replace("npp/east-kept", json!({"spec": {"paused": true}})),
        merge("npp/east-kept", annotated()),
        merge("npp/east-kept/status", dead),
        delete("npp/east-kept"),
    ]
}

fn slice_life() -> Vec<Request> {
    let mut slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"});
    slice["metadata"] = json!({"name": "web-7x2kp"});
    slice["addressType"] = json!("IPv4");
    slice["endpoints"] = json!([]);
    vec![
        create("slice@yard", slice),
        replace("slice@yard/web-7x2kp", annotated()),
        merge("slice@yard/web-7x2kp", json!({"metadata": {"labels": {"a": "b"}}})),
        delete("slice@yard/web-7x2kp"),
    ]
}

fn lease_life() -> Vec<Request> {
    let taken_by = |holder: &str| {
        let mut lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"});
        lease["metadata"] = json!({"name": "pointsman-controller"});
        lease["spec"] = json!({"holderIdentity": holder});
        lease
    };
    let lease = "lease@pointsman-system/pointsman-controller";
    vec![
        create("lease@pointsman-system", taken_by("a")),
        get(lease),
        replace(lease, json!({"spec": {"renewTime": "2026-11-21T14:00:00.000000Z"}})),
        replace(lease, json!({"spec": {"holderIdentity": "b"}})),
    ]
}

fn event(namespace: &str) -> Request {
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"generateName": "east-"},
        "type": "Warning", "eventTime": "2026-11-21T14:00:00.000000Z", "action": "Plan",
        "reportingController": "pointsman-controller", "reportingInstance": "a", "reason": "EndpointInLoopback",
        "regarding": {"kind": "Service", "namespace": "yard", "name": "web"}
    });
    create(&format!("event@{namespace}"), event)
}

fn system_lines() -> Vec<Line> {
    let mut owned = node_plan("east-owned");
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Node", "name": "gone", "uid": "1"}]);
    owned["metadata"]["finalizers"] = json!(["example.com/slow"]);
    let orphan = json!({"metadata": {"ownerReferences": null, "finalizers": null}});
    let collected = vec![
        (Controller, create("npp", owned)),
        (GarbageCollector, merge("npp/east-owned", orphan)),
        (GarbageCollector, delete("npp/east-owned")),
    ];
    let emptied = vec![
        (Controller, create("spp@yard", service_plan("yard", "left"))),
        (NamespaceController, delete("spp@yard/left")),
    ];
    let same = json!({"apiVersion": "pointsman.dev/v1alpha1", "kind": "NodeProxyPlan", "metadata": {"name": "east"}});
    let profile = plan("ProxyProfile", json!({"name": "east"}), json!({"settings": {"mode": "ipvs"}}));
    let counted = json!({"status": {"nodes": {"matched": 1, "updated": 1, "ready": 0}}});
    let written = vec![
        (Admin, create("pxp", profile)),
        (Admin, merge("pxp/east/status", counted)),
        (Admin, delete("pxp/east")),
    ];
    vec![
        ("the garbage collector orphans and deletes a plan".into(), collected),
        ("the namespace controller deletes a plan".into(), emptied),
        ("the migrator writes back what it read".into(), vec![(Migrator, apply("npp/east", same))]),
        ("an administrator writes and deletes a profile".into(), written),
    ]
}

fn one(who: Who, what: &str, request: Request) -> Line {
    all(who, what, vec![request])
}

fn all(who: Who, what: &str, requests: Vec<Request>) -> Line {
    (format!("{who:?} {what}"), requests.into_iter().map(|request| (who, request)).collect())
}

/// Both apply their own list of conditions; the server merges them by type.
fn conditions(suite: &Suite) -> Result<()> {
    let alive = |status: &str| {
        let mut alive = condition("AgentAlive", "HeartbeatSeen", "");
        alive["status"] = json!(status);
        json!({
            "apiVersion": "pointsman.dev/v1alpha1", "kind": "NodeProxyPlan", "metadata": {"name": "east"},
            "status": {"conditions": [alive]}
        })
    };
    suite.must(East, &apply("npp/east/status", node_status("east")))?;
    suite.must(Controller, &apply("npp/east/status", alive("Unknown")))?;
    let after = suite.must(East, &apply("npp/east/status", node_status("east")))?;
    let told = |kind: &str| {
        let all = after["status"]["conditions"].as_array();
        all.into_iter().flatten().find(|c| c["type"] == kind).map(|c| c["status"].clone())
    };
    ensure!(told("AgentAlive") == Some(json!("Unknown")), "the controller's was lost: {after}");
    ensure!(told("Ready") == Some(json!("True")), "the agent's was lost: {after}");
    Ok(())
}

/// The API server itself resets metadata on this path, before policies see the object: none needs to forbid it.
fn metadata(suite: &Suite) -> Result<()> {
    let metadata = json!({
        "labels": {"a": "b"}, "annotations": {"a": "b"}, "finalizers": ["example.com/keep"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "east", "uid": "1"}]
    });
    let patch = json!({"metadata": metadata, "spec": {"paused": true}, "status": {"mode": "nftables"}});
    let after = suite.must(East, &merge("npp/east/status", patch))?;
    for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
        ensure!(after["metadata"][field] == Value::Null, "{field} came through: {after}");
    }
    ensure!(after["spec"]["paused"] == Value::Null, "the spec came through: {after}");
    Ok(())
}

/// The plugin OwnerReferencesPermissionEnforcement runs in this suite; without the rights to finalizers these would be refused.
fn owners(suite: &Suite) -> Result<()> {
    let owned = |mut object: Value, kind: &str, name: &str, uid: &Value| {
        object["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true
        }]);
        object
    };
    let node = suite.must(Admin, &get("node/east"))?;
    let service = suite.must(Admin, &get("service@yard/web"))?;
    let plan = owned(node_plan("east-owner"), "Node", "east", &node["metadata"]["uid"]);
    suite.must(Controller, &create("npp", plan).dry())?;
    let plan = owned(service_plan("yard", "owner"), "Service", "web", &service["metadata"]["uid"]);
    suite.must(Controller, &create("spp@yard", plan).dry()).map(drop)
}
