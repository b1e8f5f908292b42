//! What the chart makes on an API server: no right but those listed here, pods that are confined, and kinds that stay. It is read back from
//! the API server, which understood it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::privilege::{Needs, trial};
use serde_json::{Value, json};

use crate::chart_sets::knows_its_flags;
use crate::request::get;
use crate::suite::{Suite, Who};

/// Every right that the chart gives to anybody: role, API group, resources (and names), verbs.
const RIGHTS: &str = "\
pointsman-agent pointsman.dev nodeproxyplans,serviceproxyplans: get,list,watch
pointsman-agent pointsman.dev nodeproxyplans/status: patch
pointsman-controller  nodes,pods,services: get,list,watch
pointsman-controller  nodes/finalizers,services/finalizers: update
pointsman-controller apiextensions.k8s.io customresourcedefinitions \
nodeproxyplans.pointsman.dev,proxyprofiles.pointsman.dev,serviceproxyplans.pointsman.dev: get
pointsman-controller discovery.k8s.io endpointslices: get,list,watch,create,update,patch,delete
pointsman-controller events.k8s.io events: create,patch
pointsman-controller networking.k8s.io servicecidrs: get,list,watch
pointsman-controller pointsman.dev nodeproxyplans,serviceproxyplans: get,list,watch,create,update,patch,delete
pointsman-controller pointsman.dev nodeproxyplans/status,serviceproxyplans/status: get,update,patch
pointsman-system/pointsman-controller coordination.k8s.io leases pointsman-controller: get,update
pointsman-system/pointsman-controller coordination.k8s.io leases: create
pointsman-view pointsman.dev serviceproxyplans: get,list,watch";

/// All trials of the chart.
pub fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let with = |name: &str, work: fn(&Suite) -> Result<()>| {
        let suite = Arc::clone(suite);
        trial(format!("chart: {name}"), Needs::Nothing, move || work(&suite))
    };
    vec![
        with("it gives these rights and no other", rights),
        with("the agent's pod is confined", agent_pod),
        with("the controller's pod is confined", controller_pod),
        with("the programs know every flag that the chart gives them", flags_are_known),
        with("the kinds stay when the release goes", kinds_stay),
    ]
}

fn rights(suite: &Suite) -> Result<()> {
    let mut found = vec![];
    for kind in ["clusterrole", "role"] {
        let selector = "labelSelector=app.kubernetes.io%2Fname%3Dpointsman";
        let list = suite.must(Who::Admin, &get(&format!("{kind}?{selector}")))?;
        for role in list["items"].as_array().context("roles")? {
            let namespace = role["metadata"]["namespace"].as_str().map_or(String::new(), |n| format!("{n}/"));
            let name = role["metadata"]["name"].as_str().context("a name")?;
            for rule in role["rules"].as_array().context("rules")? {
                found.push(format!("{namespace}{name} {}", right(rule)));
            }
        }
    }
    found.sort();
    let mut expected: Vec<&str> = RIGHTS.lines().collect();
    expected.sort_unstable();
    ensure!(found == expected, "expected {expected:#?}, found {found:#?}");
    ensure!(!found.iter().any(|right| right.contains('*')), "a right without bounds");
    Ok(())
}

fn right(rule: &Value) -> String {
    let list = |field: &str| {
        let words = rule[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        words.collect::<Vec<_>>().join(",")
    };
    let names = list("resourceNames");
    let space = if names.is_empty() { "" } else { " " };
    format!("{} {}{space}{names}: {}", list("apiGroups"), list("resources"), list("verbs"))
}

fn agent_pod(suite: &Suite) -> Result<()> {
    let pod = pod(suite, "daemonset@pointsman-system/pointsman-agent")?;
    let container = &pod["containers"][0];
    let expected = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}
    });
    ensure!(container["securityContext"] == expected, "{}", container["securityContext"]);
    ensure!(pod["priorityClassName"] == "system-node-critical", "{}", pod["priorityClassName"]);
    ensure!(pod["tolerations"] == json!([{"operator": "Exists"}]), "{}", pod["tolerations"]);
    let state =
        json!([{"name": "state", "hostPath": {"path": "/var/lib/pointsman", "type": "DirectoryOrCreate"}}]);
    ensure!(pod["volumes"] == state, "{}", pod["volumes"]);
    let node = json!({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}});
    ensure!(container["env"] == json!([node]), "{}", container["env"]);
    both(&pod)
}

fn controller_pod(suite: &Suite) -> Result<()> {
    let pod = pod(suite, "deployment@pointsman-system/pointsman-controller")?;
    let expected = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}
    });
    ensure!(pod["containers"][0]["securityContext"] == expected, "{}", pod["containers"][0]);
    ensure!(pod["securityContext"]["runAsNonRoot"] == true, "{}", pod["securityContext"]);
    ensure!(pod["priorityClassName"] == "system-cluster-critical", "{}", pod["priorityClassName"]);
    ensure!(pod["volumes"] == Value::Null, "{}", pod["volumes"]);
    let keys: BTreeSet<&str> =
        pod["tolerations"].as_array().into_iter().flatten().filter_map(|t| t["key"].as_str()).collect();
    ensure!(keys.contains("node.kubernetes.io/not-ready"), "{keys:?}");
    both(&pod)
}

/// What holds for both: they come up before the pod network, Services and cluster DNS do.
fn both(pod: &Value) -> Result<()> {
    ensure!(pod["hostNetwork"] == true && pod["dnsPolicy"] == "Default", "{pod}");
    ensure!(pod["hostPID"] == Value::Null && pod["hostIPC"] == Value::Null, "{pod}");
    ensure!(pod["securityContext"]["seccompProfile"] == json!({"type": "RuntimeDefault"}), "{pod}");
    ensure!(pod["containers"].as_array().is_some_and(|all| all.len() == 1), "more than one container");
    Ok(())
}

fn pod(suite: &Suite, path: &str) -> Result<Value> {
    Ok(suite.must(Who::Admin, &get(path))?["spec"]["template"]["spec"].clone())
}

fn flags_are_known(suite: &Suite) -> Result<()> {
    for (path, program) in [
        ("deployment@pointsman-system/pointsman-controller", "pointsman-controller"),
        ("daemonset@pointsman-system/pointsman-agent", "pointsman-agent"),
    ] {
        let container = &pod(suite, path)?["containers"][0];
        ensure!(container["command"] == json!([program, "run"]), "{}", container["command"]);
        knows_its_flags(container)?;
    }
    Ok(())
}

fn kinds_stay(suite: &Suite) -> Result<()> {
    for definition in crate::good_objects::definitions(suite)? {
        let annotations = &definition["metadata"]["annotations"];
        ensure!(annotations["helm.sh/resource-policy"] == "keep", "{annotations}");
        ensure!(annotations["pointsman.dev/schema-hash"].is_string(), "{annotations}");
    }
    Ok(())
}
