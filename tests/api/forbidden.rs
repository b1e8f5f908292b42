//! What nobody may do: every line is an act and the sentence that refuses it. Each trial also sees that nothing else happened: everything
//! that such an act could hurt has the resource version that it had.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::privilege::{Needs, trial};
use serde_json::{Value, json};

use crate::request::{Request, apply, create, delete, get, merge, replace};
use crate::samples::{alive, condition, node_plan, node_status, plan, service_plan};
use crate::suite::{Suite, Who, Who::*};

type Act = (&'static str, Request, &'static str);

const SERVICE_PLAN: &str =
    "the ServiceProxyPlan shop/web is written by the Pointsman controller alone: change the Service instead";
const NODE_PLAN: &str = "the NodeProxyPlan north is written by the Pointsman controller alone: \
    change the Node or a ProxyProfile instead";
const OTHER_NODE: &str = "the agent of node north may not write the status of the NodeProxyPlan south";
const NO_NODE: &str = "the agent's token names no node: it must be one that kubelet gave to a pod, \
    or one that is bound to a Node";
const NO_AGENT: &str = "the status of a NodeProxyPlan is written by its node's agent alone";
const ONLY_ALIVE: &str =
    "the controller writes nothing but the condition AgentAlive in the status of a NodeProxyPlan";
const NOT_ALIVE: &str = "the condition AgentAlive is written by the Pointsman controller alone";

/// One trial a line.
pub fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let tables: [(Who, Vec<Act>); 11] = [
        (North, agent_on_statuses()),
        (Unbound, vec![("patches a status", merge("npp/north/status", ipvs()), NO_NODE)]),
        (North, agent_on_plans()),
        (North, agent_reads()),
        (Controller, controller_on_statuses()),
        (Controller, controller_on_others()),
        (Tenant, tenant()),
        (Viewer, viewer()),
        (Admin, administrator()),
        (GarbageCollector, garbage_collector()),
        (Migrator, migrator()),
    ];
    let mut trials = vec![];
    for (who, acts) in tables {
        for (what, request, refusal) in acts {
            let suite = Arc::clone(suite);
            let work = move || refused(&suite, who, &request, refusal);
            trials.push(trial(format!("forbidden: {who:?} {what}"), Needs::Nothing, work));
        }
    }
    trials
}

fn refused(suite: &Suite, who: Who, request: &Request, refusal: &str) -> Result<()> {
    let before = suite.protected()?;
    let answer = suite.ask(who, request)?;
    ensure!(answer.code == 403, "answered with {}: {}", answer.code, answer.body);
    ensure!(answer.message().contains(refusal), "refused, but by: {}", answer.message());
    let after = suite.protected().context("look again")?;
    ensure!(before == after, "something changed: before {before:?}, after {after:?}");
    Ok(())
}

fn agent_on_statuses() -> Vec<Act> {
    let south = "npp/south/status";
    let own = |conditions: &[Value]| merge("npp/north/status", json!({"status": {"conditions": conditions}}));
    let ready = || condition("Ready", "Programmed", "");
    let dead = || turned(condition("AgentAlive", "HeartbeatMissed", ""));
    vec![
        ("patches another node's status", merge(south, ipvs()), OTHER_NODE),
        ("applies another node's status", apply(south, node_status("south")), OTHER_NODE),
        ("reads a status apart from its plan", get(south), "cannot get"),
        ("applies AgentAlive on another node", apply(south, alive("south")), OTHER_NODE),
        ("turns its own AgentAlive", own(&[ready(), dead()]), NOT_ALIVE),
        ("removes its own AgentAlive", own(&[ready()]), NOT_ALIVE),
        ("removes all conditions", own(&[]), NOT_ALIVE),
        ("removes its whole status", merge("npp/north/status", json!({"status": null})), NOT_ALIVE),
    ]
}

fn agent_on_plans() -> Vec<Act> {
    let own = |patch: Value| merge("npp/north", patch);
    let web = |patch: Value| merge("spp@shop/web", patch);
    let token = "account@pointsman-system/pointsman-controller/token";
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    vec![
        ("changes its own spec", own(paused()), "cannot patch"),
        ("replaces its own spec", replace("npp/north", paused()), "cannot update"),
        ("applies its own spec", apply("npp/north", node_plan("north")), "cannot patch"),
        ("labels its own plan", own(json!({"metadata": {"labels": {"a": "b"}}})), "cannot patch"),
        ("annotates its own plan", own(json!({"metadata": {"annotations": {"a": "b"}}})), "cannot patch"),
        ("disowns its own plan", own(json!({"metadata": {"ownerReferences": []}})), "cannot patch"),
        ("keeps its plan for ever", own(json!({"metadata": {"finalizers": ["a.b/c"]}})), "cannot patch"),
        ("makes a plan", create("npp", node_plan("rogue")), "cannot create"),
        ("deletes its own plan", delete("npp/north"), "cannot delete"),
        ("deletes all node plans", delete("npp"), "cannot deletecollection"),
        ("makes a service plan", create("spp@shop", service_plan("shop", "dns")), "cannot create"),
        ("changes a service plan", web(json!({"spec": {"clusterIPs": []}})), "cannot patch"),
        ("hides a refusal", merge("spp@shop/web/status", json!({"status": null})), "cannot patch"),
        ("deletes a service plan", delete("spp@shop/web"), "cannot delete"),
        ("writes an event", create("event@default", json!({})), "cannot create"),
        ("patches its Node", merge("node/north", json!({})), "cannot patch"),
        ("patches its Node's status", merge("node/north/status", json!({})), "cannot patch"),
        ("loosens a policy", merge("policy/pointsman-plans", json!({})), "cannot patch"),
        ("takes the controller's Lease", merge("lease@pointsman-system/x", json!({})), "cannot patch"),
        ("asks for the controller's token", create(token, asked), "cannot create"),
    ]
}

fn agent_reads() -> Vec<Act> {
    vec![
        ("lists Secrets", get("secret"), "cannot list"),
        ("reads a Secret", get("secret@shop/keys"), "cannot get"),
        ("lists ConfigMaps", get("configmap"), "cannot list"),
        ("lists Services", get("service"), "cannot list"),
        ("lists Pods", get("pod"), "cannot list"),
        ("lists Nodes", get("node"), "cannot list"),
        ("reads its Node", get("node/north"), "cannot get"),
        ("lists EndpointSlices", get("slice"), "cannot list"),
        ("lists ProxyProfiles", get("pxp"), "cannot list"),
        ("lists kinds", get("crd"), "cannot list"),
        ("reads its kind's definition", get("crd/nodeproxyplans.pointsman.dev"), "cannot get"),
        ("reads the controller's Lease", get("lease@pointsman-system/pointsman-controller"), "cannot get"),
    ]
}

fn controller_on_statuses() -> Vec<Act> {
    let says = |field: &str, value: Value| merge("npp/north/status", json!({"status": {field: value}}));
    let unready =
        json!([turned(condition("Ready", "Programmed", "")), condition("AgentAlive", "HeartbeatSeen", "")]);
    vec![
        ("says what a node programmed", says("programmed", json!({"services": 1})), ONLY_ALIVE),
        ("says a node's mode", says("mode", json!("ipvs")), ONLY_ALIVE),
        ("says what a node observed", says("observedGeneration", json!(9)), ONLY_ALIVE),
        ("takes back what drifted", says("drift", Value::Null), ONLY_ALIVE),
        ("takes back what a node refused", says("refused", Value::Null), ONLY_ALIVE),
        ("takes back an agent's heartbeat", says("agent", Value::Null), ONLY_ALIVE),
        ("says that a node is not ready", says("conditions", unready), ONLY_ALIVE),
        ("removes an agent's conditions", says("conditions", json!([])), ONLY_ALIVE),
        ("removes a whole status", replace("npp/north/status", json!({"status": null})), ONLY_ALIVE),
    ]
}

fn controller_on_others() -> Vec<Act> {
    let touch = |path: &str| merge(path, json!({}));
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}});
    vec![
        ("lists Secrets", get("secret"), "cannot list"),
        ("lists ConfigMaps", get("configmap"), "cannot list"),
        ("changes a Service", touch("service@shop/web"), "cannot patch"),
        ("changes a Service's status", touch("service@shop/web/status"), "cannot patch"),
        ("patches a Node", touch("node/north"), "cannot patch"),
        ("patches a Node's status", touch("node/north/status"), "cannot patch"),
        ("changes a Pod's status", touch("pod@shop/x/status"), "cannot patch"),
        ("deletes a Pod", delete("pod@shop/x"), "cannot delete"),
        ("lists Endpoints", get("endpoints"), "cannot list"),
        ("writes a ProxyProfile", create("pxp", profile("x")), "cannot create"),
        ("changes a ProxyProfile", touch("pxp/x"), "cannot patch"),
        ("changes a kind", touch("crd/nodeproxyplans.pointsman.dev"), "cannot patch"),
        ("deletes a kind", delete("crd/nodeproxyplans.pointsman.dev"), "cannot delete"),
        ("loosens a policy", touch("policy/pointsman-plans"), "cannot patch"),
        ("unbinds a policy", delete("binding/pointsman-plans"), "cannot delete"),
        ("gives itself rights", touch("clusterrole/pointsman-controller"), "cannot patch"),
        ("takes a Lease elsewhere", create("lease@kube-system", lease), "cannot create"),
        ("reads a Lease of another name", get("lease@pointsman-system/other"), "cannot get"),
        ("empties a namespace of its plans", delete("spp@shop"), "cannot deletecollection"),
    ]
}

fn tenant() -> Vec<Act> {
    let web = |patch: Value| merge("spp@shop/web", patch);
    let metadata = |field: &str, value: Value| web(json!({"metadata": {field: value}}));
    let owner = json!([{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "1"}]);
    let claim = "the ServiceProxyPlan shop/claim is written by the Pointsman controller alone";
    let dns =
        json!({"serviceUID": "1", "clusterIPs": ["10.96.0.10"], "ports": [{"protocol": "UDP", "port": 53}]});
    let dns = || plan("ServiceProxyPlan", json!({"name": "claim"}), dns.clone());
    vec![
        ("claims the cluster's DNS", create("spp@shop", dns()), claim),
        ("claims it by apply", apply("spp@shop/claim", dns()), claim),
        ("changes a plan", web(json!({"spec": {"clusterIPs": ["10.96.0.53"]}})), SERVICE_PLAN),
        ("replaces a plan", replace("spp@shop/web", json!({"spec": {"ports": []}})), SERVICE_PLAN),
        // Equal values, but two owners of them from then on: the controller could not take them away.
        ("co-owns a plan's fields", apply("spp@shop/web", service_plan("shop", "web")), SERVICE_PLAN),
        ("labels a plan", metadata("labels", json!({"pointsman.dev/service": "dns"})), SERVICE_PLAN),
        ("annotates a plan", metadata("annotations", json!({"a": "b"})), SERVICE_PLAN),
        ("owns a plan", metadata("ownerReferences", owner), SERVICE_PLAN),
        ("keeps a plan for ever", metadata("finalizers", json!(["example.com/keep"])), SERVICE_PLAN),
        ("hides a refusal", merge("spp@shop/web/status", json!({"status": null})), SERVICE_PLAN),
        ("deletes a plan", delete("spp@shop/web"), SERVICE_PLAN),
        ("deletes all plans", delete("spp@shop"), SERVICE_PLAN),
        ("reads a node's plan", get("npp/north"), "cannot get"),
        ("reads other namespaces' plans", get("spp@yard"), "cannot list"),
        ("writes a node's plan", create("npp", node_plan("rogue")), "cannot create"),
        ("writes a profile", create("pxp", profile("x")), "cannot create"),
    ]
}

fn viewer() -> Vec<Act> {
    vec![
        ("changes a plan", merge("spp@shop/web", json!({"spec": {"ports": []}})), "cannot patch"),
        ("makes a plan", create("spp@shop", service_plan("shop", "x")), "cannot create"),
        ("deletes a plan", delete("spp@shop/web"), "cannot delete"),
        ("reads a node's plan", get("npp/north"), "cannot get"),
    ]
}

fn administrator() -> Vec<Act> {
    let rogue = "the NodeProxyPlan rogue is written by the Pointsman controller alone";
    vec![
        ("makes a node's plan", create("npp", node_plan("rogue")), rogue),
        ("changes a node's plan", merge("npp/north", paused()), NODE_PLAN),
        ("deletes a node's plan", delete("npp/north"), NODE_PLAN),
        ("says a node's status", merge("npp/north/status", ipvs()), NO_AGENT),
        ("changes a Service's plan", merge("spp@shop/web", json!({"spec": {"ports": []}})), SERVICE_PLAN),
    ]
}

/// It may do with plans what it must, and no more: here its roles would allow everything.
fn garbage_collector() -> Vec<Act> {
    let rogue = "the NodeProxyPlan rogue is written by the Pointsman controller alone";
    vec![
        ("makes a node's plan", create("npp", node_plan("rogue")), rogue),
        ("changes a node's plan", merge("npp/north", paused()), NODE_PLAN),
        ("labels a node's plan", merge("npp/north", json!({"metadata": {"labels": {"a": "b"}}})), NODE_PLAN),
        ("hides a refusal", merge("spp@shop/web/status", json!({"status": null})), SERVICE_PLAN),
    ]
}

fn migrator() -> Vec<Act> {
    vec![
        ("changes a node's plan", merge("npp/north", paused()), NODE_PLAN),
        ("says a node's status", merge("npp/north/status", ipvs()), NO_AGENT),
    ]
}

fn paused() -> Value {
    json!({"spec": {"paused": true}})
}

fn ipvs() -> Value {
    json!({"status": {"mode": "ipvs"}})
}

fn profile(name: &str) -> Value {
    plan("ProxyProfile", json!({"name": name}), json!({}))
}

/// A condition that does not hold.
fn turned(mut condition: Value) -> Value {
    condition["status"] = json!("False");
    condition
}
