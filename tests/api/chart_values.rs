//! What the chart makes of values, without a cluster: the same bytes every time, each value where it belongs, and what is wrong refused in
//! a sentence. Whole renderings are kept in `snapshots/`; `INSTA_UPDATE=always` writes them again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::chart::Chart;
use pointsman_tests::command::run;
use pointsman_tests::privilege::{Needs, trial};
use pointsman_tests::tools::{Tool, own_binary, repository};
use serde_json::{Value, json};

/// The sets of values in `values/`, each with its rendering in `snapshots/`. The first is the default.
const SETS: &[&str] = &[
    "defaults",
    "kubeadm",
    "one-node",
    "beside-kube-proxy",
    "monitoring",
    "private-registry",
    "placement",
    "every-setting",
    "cleanup",
];

/// Values that somebody may mistype or set against each other, and what helm says of them.
#[rustfmt::skip]
const BAD_VALUES: &[(&str, &str)] = &[
    ("endpointSlices.mode=manage", "at '/endpointSlices/mode': value must be one of 'Manage', 'Consume'"),
    ("endpointSlice.mode=Manage", "additional properties 'endpointSlice' not allowed"),
    ("agent.nodeselector.a=b", "at '/agent': additional properties 'nodeselector' not allowed"),
    ("monitoring.serviceMonitor.enabled=true", "at '/monitoring': additional properties 'serviceMonitor' not allowed"),
    ("proxy.mode=ebpf", "at '/proxy/mode'"),
    ("proxy.mode=ipvs", "proxy.mode=ipvs: the agents of this version program nftables only"),
    ("proxy.ipFamilies={IPv4,IPv4}", "at '/proxy/ipFamilies'"),
    ("proxy.masquerade.bit=32", "at '/proxy/masquerade/bit'"),
    ("proxy.sync.verifyPeriod=soon", "at '/proxy/sync/verifyPeriod'"),
    ("proxy.detectLocal.mode=ClusterCIDR", "proxy.detectLocal.clusterCIDRs: mode ClusterCIDR needs"),
    ("proxy.detectLocal.clusterCIDRs={10.0.0.0/8}", "proxy.detectLocal.clusterCIDRs: it goes with mode ClusterCIDR only, not with NodeCIDR"),
    ("proxy.detectLocal.mode=BridgeInterface", "proxy.detectLocal.interface: mode BridgeInterface needs it"),
    ("proxy.detectLocal.interface=cni0", "proxy.detectLocal.interface: it goes with"),
    ("proxy.nodePortAddresses={Primary,10.0.0.0/8}", "proxy.nodePortAddresses: Primary and All each stand alone"),
    ("agent.healthAddress=10256", "at '/agent/healthAddress'"),
    ("agent.healthAddress=0.0.0.0:10267", "agent.healthAddress: port 10267 is that of controller.metricsAddress"),
    ("agent.stateDir=../x", "at '/agent/stateDir'"),
    ("agent.stateDir=/var/../etc", "at '/agent/stateDir'"),
    ("agent.maxUnavailable=0", "at '/agent/maxUnavailable'"),
    ("agent.extraArgs={take-over}", "at '/agent/extraArgs/0'"),
    ("agent.podLabels.app\\.kubernetes\\.io/name=x", "agent.podLabels: the label app.kubernetes.io/name is the chart's own"),
    ("monitoring.dashboard.labels.helm\\.sh/chart=x", "monitoring.dashboard.labels: the label helm.sh/chart is the chart's own"),
    ("controller.podDisruptionBudget.maxUnavailable=0", "at '/controller/podDisruptionBudget/maxUnavailable'"),
    ("externalIPs.allow={198.51.100.7}", "at '/externalIPs/allow/0'"),
    ("image.digest=sha256:12", "at '/image/digest'"),
    ("k8sServiceHost=https://10.0.0.1", "at '/k8sServiceHost'"),
    ("k8sServiceHost=auto", "k8sServiceHost=auto: no ConfigMap cluster-info was found in namespace kube-public"),
    ("k8sServicePort=6443", "k8sServicePort: it goes with k8sServiceHost only"),
    ("controller.extraArgs={--lease-name=a}", "controller.extraArgs: --lease-name=a: the controller may use no Lease"),
    ("k8sServiceHost=192.0.2.1:6443", "k8sServiceHost=192.0.2.1:6443: the address alone; the port goes into k8sServicePort"),
    ("logLevel=nonsense", "logLevel"),
    ("k8sServiceHost=auto,k8sServicePort=6443", "k8sServicePort: leave it empty with k8sServiceHost=auto"),
    ("monitoring.podMonitor.enabled=true", "controller.metricsAddress=127.0.0.1:10267: Prometheus does not reach loopback"),
];

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
    ("controller.extraArgs={--identity=a}", "Deployment", "--identity=a"),
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
    let mut trials = vec![
        with("helm lint is content", lint),
        with("equal values give equal bytes", equal_bytes),
        with("the kinds can be left out", without_kinds),
        with("every value is in the schema, and nothing else is", schema_is_complete),
        with("values reach the programs", values_reach),
        with("the examples for GitOps have values that are taken", gitops_examples),
    ];
    for set in SETS {
        trials.push(trial(format!("chart: values {set}"), Needs::Nothing, || snapshot(set)));
    }
    for (value, says) in BAD_VALUES {
        let name = format!("chart: {value} is refused");
        trials.push(trial(name, Needs::Nothing, move || bad_value(value, says)));
    }
    trials
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

fn lint() -> Result<()> {
    let mut helm = Command::new(Tool::Helm.path()?);
    let said = run(helm.args(["lint", "--strict"]).arg(repository().join("charts/pointsman")))?.success()?;
    ensure!(said.contains("0 chart(s) failed") && !said.contains("[WARNING]"), "{said}");
    Ok(())
}

fn equal_bytes() -> Result<()> {
    for set in SETS {
        let chart = chart_of(set);
        let (once, twice) = (chart.render()?, chart.render()?);
        ensure!(once == twice, "two renderings of {set} differ");
        ensure!(once.contains("kind: DaemonSet"), "{set} rendered next to nothing");
    }
    Ok(())
}

fn without_kinds() -> Result<()> {
    let rendered = Chart::pointsman().set("crds.install", "false").render()?;
    ensure!(!rendered.contains("kind: CustomResourceDefinition"), "the kinds are there");
    ensure!(rendered.contains("kind: ValidatingAdmissionPolicy"), "the rest is not");
    Ok(())
}

fn chart_of(set: &str) -> Chart {
    Chart::pointsman().values(values_folder().join(format!("{set}.yaml")))
}

fn values_folder() -> PathBuf {
    repository().join("tests/api/values")
}

/// The default rendering whole; of the others what is not as in that one. The programs must know every flag.
fn snapshot(set: &str) -> Result<()> {
    let manifests = chart_of(set).set("crds.install", "false").render()?;
    for object in objects(&manifests)?.iter().filter(|object| object["spec"]["template"].is_object()) {
        knows_its_flags(&object["spec"]["template"]["spec"]["containers"][0])?;
    }
    let standard = chart_of(SETS[0]).set("crds.install", "false").render()?;
    let is_known =
        |document: &&str| set == SETS[0] || !standard.split("---\n").any(|other| other == *document);
    let other: Vec<&str> = manifests.split("---\n").filter(is_known).collect();
    insta::with_settings!({
        snapshot_path => repository().join("tests/api/snapshots"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(set, other.join("---\n"));
    });
    Ok(())
}

/// Help is printed only when everything before it was understood.
pub fn knows_its_flags(container: &Value) -> Result<()> {
    let words = |field: &str| container[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut command = words("command");
    let program = command.next().context("a program")?;
    let subcommand: Vec<&str> = command.collect();
    let given = || -> Result<Command> {
        let mut run = Command::new(own_binary(program)?);
        run.args(&subcommand);
        Ok(run)
    };
    run(given()?.args(words("args")).arg("--help"))?.success()?;
    let unknown = run(given()?.args(["--no-such-flag", "--help"]))?;
    ensure!(!unknown.status.success(), "{program} takes any flag");
    Ok(())
}

fn bad_value(value: &str, says: &str) -> Result<()> {
    let (name, value) = value.split_once('=').context("name=value")?;
    let refusal = Chart::pointsman().set(name, value).render().err().context("it was taken")?.to_string();
    ensure!(refusal.contains(says), "{refusal}");
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
    // Helm itself passes `global` to every chart.
    let known: BTreeSet<&String> = properties.keys().filter(|name| *name != "global").collect();
    let given: BTreeSet<&String> = values.keys().collect();
    ensure!(known == given, "{path}: the schema has {known:?}, values.yaml {given:?}");
    for (name, value) in values {
        covers(&format!("{path}/{name}"), &properties[name], value)?;
    }
    Ok(())
}
