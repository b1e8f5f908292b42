//! What the chart makes: the same bytes every time, no right but those listed here, pods that are confined, and values that are refused
//! in a sentence. What it made is read back from the API server, which understood it.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::chart::Chart;
use pointsman_tests::command::run;
use pointsman_tests::privilege::{Needs, trial};
use pointsman_tests::tools::{Tool, own_binary, repository};
use serde_json::{Value, json};

use crate::request::get;
use crate::suite::{Suite, Who};

/// Every right that the chart gives to anybody: role, API group, resources (and names), verbs.
const RIGHTS: &str = "\
pointsman-agent apiextensions.k8s.io customresourcedefinitions nodeproxyplans.pointsman.dev,serviceproxyplans.pointsman.dev: get
pointsman-agent pointsman.dev nodeproxyplans,serviceproxyplans: get,list,watch
pointsman-agent pointsman.dev nodeproxyplans/status: get,update,patch
pointsman-controller  nodes,pods,services: get,list,watch
pointsman-controller  nodes/finalizers,services/finalizers: update
pointsman-controller apiextensions.k8s.io customresourcedefinitions \
nodeproxyplans.pointsman.dev,proxyprofiles.pointsman.dev,serviceproxyplans.pointsman.dev: get
pointsman-controller discovery.k8s.io endpointslices: get,list,watch,create,update,patch,delete
pointsman-controller events.k8s.io events: create,patch
pointsman-controller networking.k8s.io servicecidrs: get,list,watch
pointsman-controller pointsman.dev nodeproxyplans,serviceproxyplans: get,list,watch,create,update,patch,delete
pointsman-controller pointsman.dev nodeproxyplans/status,serviceproxyplans/status: get,update,patch
pointsman-system/pointsman-controller coordination.k8s.io leases pointsman-controller: get,update,patch
pointsman-system/pointsman-controller coordination.k8s.io leases: create
pointsman-view pointsman.dev serviceproxyplans: get,list,watch";

/// A value that somebody may mistype, and what helm says of it.
const BAD_VALUES: &[(&str, &str)] = &[
    ("endpointSlices.mode=manage", "at '/endpointSlices/mode': value must be one of 'Manage', 'Consume'"),
    ("endpointSlice.mode=Manage", "additional properties 'endpointSlice' not allowed"),
    ("proxy.mode=ebpf", "at '/proxy/mode'"),
    ("proxy.ipFamilies={IPv4,IPv4}", "at '/proxy/ipFamilies'"),
    ("proxy.masquerade.bit=32", "at '/proxy/masquerade/bit'"),
    ("proxy.sync.verifyPeriod=soon", "at '/proxy/sync/verifyPeriod'"),
    ("agent.healthAddress=10256", "at '/agent/healthAddress'"),
    ("agent.stateDir=../x", "at '/agent/stateDir'"),
    ("externalIPs.allow={198.51.100.7}", "at '/externalIPs/allow/0'"),
    ("k8sServiceHost=https://10.0.0.1", "at '/k8sServiceHost'"),
];

/// A value, whose pod it reaches, and the flag or variable that it becomes there.
const REACHES: &[(&str, &str, &str)] = &[
    ("k8sServiceHost=192.0.2.1", "Deployment", "KUBERNETES_SERVICE_HOST=192.0.2.1"),
    ("k8sServiceHost=192.0.2.1", "DaemonSet", "KUBERNETES_SERVICE_HOST=192.0.2.1"),
    ("k8sServicePort=6443", "Deployment", "KUBERNETES_SERVICE_PORT=6443"),
    ("k8sServicePort=6443", "DaemonSet", "KUBERNETES_SERVICE_PORT=6443"),
    ("logFormat=text", "Deployment", "--log-format=text"),
    ("logFormat=text", "DaemonSet", "--log-format=text"),
    ("controller.healthAddress=0.0.0.0:1", "Deployment", "--health-address=0.0.0.0:1"),
    ("controller.metricsAddress=[::1]:2", "Deployment", "--metrics-address=[::1]:2"),
    ("agent.healthAddress=0.0.0.0:3", "DaemonSet", "--health-address=0.0.0.0:3"),
    ("agent.metricsAddress=127.0.0.1:4", "DaemonSet", "--metrics-address=127.0.0.1:4"),
    ("agent.stateDir=/srv/p", "DaemonSet", "--state-dir=/srv/p"),
    ("endpointSlices.mode=Consume", "Deployment", "--endpoint-slices=Consume"),
    ("proxy.mode=ipvs", "Deployment", "--mode=ipvs"),
    ("proxy.ipFamilies={IPv6,IPv4}", "Deployment", "--ip-families=IPv6,IPv4"),
    ("proxy.proxyName=edge", "Deployment", "--proxy-name=edge"),
    ("proxy.detectLocal.mode=ClusterCIDR", "Deployment", "--detect-local-mode=ClusterCIDR"),
    (
        "proxy.detectLocal.clusterCIDRs={10.0.0.0/8,fd00::/8}",
        "Deployment",
        "--cluster-cidrs=10.0.0.0/8,fd00::/8",
    ),
    ("proxy.detectLocal.interface=cali", "Deployment", "--pod-interface=cali"),
    ("proxy.masquerade.bit=15", "Deployment", "--masquerade-bit=15"),
    ("proxy.masquerade.all=true", "Deployment", "--masquerade-all"),
    ("proxy.nodePortAddresses={192.0.2.0/24}", "Deployment", "--node-port-addresses=192.0.2.0/24"),
    ("proxy.sync.minPeriod=10ms", "Deployment", "--min-sync-period=10ms"),
    ("proxy.sync.verifyPeriod=1m", "Deployment", "--verify-period=1m"),
    ("proxy.sync.drift=Observe", "Deployment", "--drift=Observe"),
    ("proxy.nftables.tableOwner=false", "Deployment", "--table-owner=false"),
    ("externalIPs.allow={198.51.100.0/24}", "Deployment", "--allowed-external-ips=198.51.100.0/24"),
];

/// All trials of the chart.
pub fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let with = |name: &str, work: fn(&Suite) -> Result<()>| {
        let suite = Arc::clone(suite);
        trial(format!("chart: {name}"), Needs::Nothing, move || work(&suite))
    };
    let mut trials = vec![
        trial("chart: helm lint is content", Needs::Nothing, lint),
        trial("chart: equal values give equal bytes", Needs::Nothing, equal_bytes),
        trial("chart: the kinds can be left out", Needs::Nothing, without_kinds),
        with("it gives these rights and no other", rights),
        with("the agent's pod is confined", agent_pod),
        with("the controller's pod is confined", controller_pod),
        with("values reach the programs", values_reach),
        with("the programs know every flag that the chart gives them", flags_are_known),
        with("the kinds stay when the release goes", kinds_stay),
    ];
    for (value, says) in BAD_VALUES {
        let name = format!("chart: {value} is refused");
        trials.push(trial(name, Needs::Nothing, move || bad_value(value, says)));
    }
    trials
}

fn lint() -> Result<()> {
    let mut helm = Command::new(Tool::Helm.path()?);
    let said = run(helm.args(["lint", "--strict"]).arg(repository().join("charts/pointsman")))?.success()?;
    ensure!(said.contains("0 chart(s) failed") && !said.contains("[WARNING]"), "{said}");
    Ok(())
}

fn equal_bytes() -> Result<()> {
    let (once, twice) = (Chart::pointsman().render()?, Chart::pointsman().render()?);
    ensure!(once == twice, "two renderings differ");
    ensure!(once.contains("kind: DaemonSet"), "it rendered next to nothing");
    Ok(())
}

fn without_kinds() -> Result<()> {
    let rendered = Chart::pointsman().set("crds.install", "false").render()?;
    ensure!(!rendered.contains("kind: CustomResourceDefinition"), "the kinds are there");
    ensure!(rendered.contains("kind: ValidatingAdmissionPolicy"), "the rest is not");
    Ok(())
}

fn bad_value(value: &str, says: &str) -> Result<()> {
    let (name, value) = value.split_once('=').context("name=value")?;
    let refusal = Chart::pointsman().set(name, value).render().err().context("it was taken")?.to_string();
    ensure!(refusal.contains(says), "{refusal}");
    Ok(())
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
    let pool = json!({"name": "MALLOC_ARENA_MAX", "value": "1"});
    let trim = json!({"name": "MALLOC_TRIM_THRESHOLD_", "value": "131072"});
    ensure!(container["env"] == json!([node, pool, trim]), "{}", container["env"]);
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

fn values_reach(suite: &Suite) -> Result<()> {
    let mut chart = Chart::pointsman().set("image.tag", "test").set("crds.install", "false");
    for (value, ..) in REACHES {
        let (name, value) = value.split_once('=').context("name=value")?;
        chart = chart.set(name, value);
    }
    let arguments = ["create", "--dry-run=client", "-o", "json", "-f", "-"];
    let admin = suite.control_plane.admin();
    let text = suite.control_plane.kubectl_outcome(admin, &arguments, &chart.render()?)?.success()?;
    // kubectl prints one object after another.
    let objects: Vec<Value> =
        serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>()?;
    for (value, kind, given) in REACHES {
        let object = objects.iter().find(|object| object["kind"] == *kind).context(*kind)?;
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        ensure!(container["image"] == "pointsman:test", "{}", container["image"]);
        let reached = match given.split_once('=') {
            Some((name, value)) if !name.starts_with("--") => container["env"]
                .as_array()
                .is_some_and(|all| all.contains(&json!({"name": name, "value": value}))),
            _ => container["args"].as_array().is_some_and(|all| all.contains(&json!(given))),
        };
        ensure!(reached, "{value}: {given} is not given to the {kind}: {container}");
    }
    Ok(())
}

/// Help is printed only when everything before it was understood.
fn flags_are_known(suite: &Suite) -> Result<()> {
    for (path, program) in [
        ("deployment@pointsman-system/pointsman-controller", "pointsman-controller"),
        ("daemonset@pointsman-system/pointsman-agent", "pointsman-agent"),
    ] {
        let container = &pod(suite, path)?["containers"][0];
        ensure!(container["command"] == json!([program, "run"]), "{}", container["command"]);
        let arguments = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut command = Command::new(own_binary(program)?);
        run(command.arg("run").args(arguments).arg("--help"))?.success()?;
        let unknown = run(Command::new(own_binary(program)?).args(["run", "--no-such-flag", "--help"]))?;
        ensure!(!unknown.status.success(), "{program} takes any flag");
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
