//! What the chart makes of single values, without a cluster: each is in the schema and reaches the program that it is meant for. What is
//! refused stands in `chart_refusals`, whole sets in `chart_sets`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::chart::Chart;
use pointsman_tests::privilege::{Needs, trial};
use pointsman_tests::tools::repository;
use serde_json::{Value, json};

/// A value, whose pod it reaches, and the flag or variable that it becomes there.
#[rustfmt::skip]
const REACHES: &[(&str, &str, &str)] = &[
    ("k8sServiceHost=192.0.2.1", "Deployment", "KUBERNETES_SERVICE_HOST=192.0.2.1"),
    ("k8sServiceHost=192.0.2.1", "DaemonSet", "KUBERNETES_SERVICE_HOST=192.0.2.1"),
    ("k8sServicePort=6443", "Deployment", "KUBERNETES_SERVICE_PORT=6443"),
    ("k8sServicePort=6443", "DaemonSet", "KUBERNETES_SERVICE_PORT=6443"),
    ("logFormat=text", "Deployment", "--log-format=text"),
    ("logFormat=text", "DaemonSet", "--log-format=text"),
    ("logLevel=info\\,kube=debug", "Deployment", "--log-level=info,kube=debug"),
    ("logLevel=info\\,kube=debug", "DaemonSet", "--log-level=info,kube=debug"),
    ("controller.healthAddress=0.0.0.0:1", "Deployment", "--health-address=0.0.0.0:1"),
    ("controller.metricsAddress=[::1]:2", "Deployment", "--metrics-address=[::1]:2"),
    ("controller.extraArgs={--kubeconfig=a}", "Deployment", "--kubeconfig=a"),
    ("agent.healthAddress=0.0.0.0:3", "DaemonSet", "--health-address=0.0.0.0:3"),
    ("agent.metricsAddress=127.0.0.1:4", "DaemonSet", "--metrics-address=127.0.0.1:4"),
    ("agent.stateDir=/srv/p", "DaemonSet", "--state-dir=/srv/p"),
    ("agent.takeOver=true", "DaemonSet", "--take-over"),
    ("agent.extraArgs={--status-file=a}", "DaemonSet", "--status-file=a"),
    ("endpointSlices.mode=Consume", "Deployment", "--endpoint-slices=Consume"),
    ("proxy.ipFamilies={IPv6,IPv4}", "Deployment", "--ip-families=IPv6,IPv4"),
    ("proxy.proxyName=edge", "Deployment", "--proxy-name=edge"),
    ("proxy.detectLocal.mode=InterfaceNamePrefix", "Deployment", "--detect-local-mode=InterfaceNamePrefix"),
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

/// All trials of values.
pub fn trials() -> Vec<Trial> {
    let with = |name: &str, work: fn() -> Result<()>| trial(format!("chart: {name}"), Needs::Nothing, work);
    vec![
        with("the kinds can be left out", without_kinds),
        with("every value is in the schema, and nothing else is", schema_is_complete),
        with("values reach the programs", values_reach),
        with("labels and annotations of one object stand above those of all", own_stand_above),
        with("the examples for GitOps have values that are taken", gitops_examples),
    ]
}

/// The objects in rendered manifests.
pub fn objects(manifests: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(manifests).context("read the manifests")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// The first container of the pods of the one object of a kind.
pub fn container<'a>(objects: &'a [Value], kind: &str) -> Result<&'a Value> {
    let object = objects.iter().find(|object| object["kind"] == kind).with_context(|| format!("a {kind}"))?;
    Ok(&object["spec"]["template"]["spec"]["containers"][0])
}

fn without_kinds() -> Result<()> {
    let rendered = Chart::pointsman().set("crds.install", "false").render()?;
    ensure!(!rendered.contains("kind: CustomResourceDefinition"), "the kinds are there");
    ensure!(rendered.contains("kind: ValidatingAdmissionPolicy"), "the rest is not");
    Ok(())
}

fn values_reach() -> Result<()> {
    let mut chart = Chart::pointsman().set("image.tag", "test").set("crds.install", "false");
    for (value, ..) in REACHES {
        let (name, value) = value.split_once('=').context("name=value")?;
        chart = chart.set(name, value);
    }
    let objects = objects(&chart.render()?)?;
    for (value, kind, given) in REACHES {
        let container = container(&objects, kind)?;
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

/// Empty ones too; what is null takes nothing away from those of all.
fn own_stand_above() -> Result<()> {
    let chart = Chart::pointsman()
        .set_json("commonLabels", r#"{"a": "all", "b": "all", "c": "all", "d": null}"#)
        .set_json("commonAnnotations", r#"{"team": "all", "d": null}"#)
        .set_json("agent.podLabels", r#"{"a": "", "b": "own", "c": null}"#)
        .set_json("agent.podAnnotations", r#"{"e": "", "d": null}"#)
        .set_json("monitoring.dashboard", r#"{"enabled": true, "labels": {"a": "", "b": "own"}}"#);
    let objects = objects(&chart.set("crds.install", "false").render()?)?;
    let of_kind = |kind: &str| objects.iter().find(|object| object["kind"] == kind).context("it is there");
    let (agents, dashboard) = (of_kind("DaemonSet")?, of_kind("ConfigMap")?);
    let pod = &agents["spec"]["template"]["metadata"];
    for (metadata, labels) in [
        (&agents["metadata"], json!({"a": "all", "b": "all", "c": "all"})),
        (pod, json!({"a": "", "b": "own", "c": "all"})),
        (&dashboard["metadata"], json!({"a": "", "b": "own", "c": "all", "grafana_dashboard": "1"})),
    ] {
        let given: serde_json::Map<String, Value> = metadata["labels"]
            .as_object()
            .context("labels")?
            .iter()
            .filter(|(name, _)| !name.contains('/'))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        ensure!(Value::Object(given) == labels, "{metadata}");
    }
    ensure!(agents["metadata"]["annotations"] == json!({"team": "all"}), "{}", agents["metadata"]);
    ensure!(pod["annotations"] == json!({"e": ""}), "{pod}");
    Ok(())
}

fn gitops_examples() -> Result<()> {
    let examples = [
        ("argocd.yaml", "Application", "/spec/source/helm/valuesObject"),
        ("flux.yaml", "HelmRelease", "/spec/values"),
    ];
    for (file, kind, pointer) in examples {
        let path = repository().join("docs/gitops").join(file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {file}"))?;
        let objects = objects(&text)?;
        let object =
            objects.iter().find(|object| object["kind"] == kind).with_context(|| format!("a {kind}"))?;
        let values = object.pointer(pointer).with_context(|| format!("values in {file}"))?;
        let folder = tempfile::tempdir()?;
        let values_file = folder.path().join("values.yaml");
        std::fs::write(&values_file, values.to_string())?;
        let rendered = Chart::pointsman().values(&values_file).render()?;
        let host = values["k8sServiceHost"].as_str().context("an address of the API server")?;
        ensure!(rendered.contains(host), "{file}: its address does not get through");
    }
    Ok(())
}

fn schema_is_complete() -> Result<()> {
    let chart = repository().join("charts/pointsman");
    let read = |name: &str| std::fs::read_to_string(chart.join(name)).with_context(|| format!("read {name}"));
    let values: Value = serde_saphyr::from_str(&read("values.yaml")?).context("parse values.yaml")?;
    let schema: Value = serde_json::from_str(&read("values.schema.json")?).context("parse the schema")?;
    covers("", &schema, &values)
}

fn covers(path: &str, schema: &Value, values: &Value) -> Result<()> {
    let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
    ensure!(schema["additionalProperties"] == false, "{path}: the schema takes any name");
    let values = values.as_object().with_context(|| format!("{path} has names"))?;
    // Helm itself passes `global` to every chart, and a chart that this is a part of asks by `enabled` whether it is.
    let is_from_outside = |name: &str| path.is_empty() && ["global", "enabled"].contains(&name);
    let known: BTreeSet<&String> = properties.keys().filter(|name| !is_from_outside(name)).collect();
    let given: BTreeSet<&String> = values.keys().collect();
    ensure!(known == given, "{path}: the schema has {known:?}, values.yaml {given:?}");
    for (name, value) in values {
        // What is taken away by `null` may be gone: a list, a map or a name of the user's own. Anything else would be missed.
        let is_required = schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
        let may_be_gone = properties[name]["$ref"].is_string()
            || properties[name]["type"] == "array" && properties[name]["minItems"].is_null();
        ensure!(is_required != may_be_gone, "{path}/{name}: required: {is_required}");
        covers(&format!("{path}/{name}"), &properties[name], value)?;
    }
    Ok(())
}
