//! What the chart makes of whole sets of values: helm lint is content with each, equal bytes come out every time, no YAML key stands twice,
//! the programs know their flags, and an API server takes the objects. Renderings are kept in `snapshots/`; `INSTA_UPDATE=always` writes
//! them again.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::chart::Chart;
use pointsman_tests::command::run;
use pointsman_tests::control_plane::ControlPlane;
use pointsman_tests::privilege::{Needs, trial};
use pointsman_tests::tools::{Tool, own_binary, repository};
use serde_json::{Value, json};

use crate::chart_release::copy;
use crate::chart_values::objects;

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

/// A version as Flux writes it for a chart of a Git repository, and the label that it becomes.
const BUILD: (&str, &str) = ("0.1.0+3f2c1d7a9b04", "pointsman-0.1.0_3f2c1d7a9b04");

/// Kinds of the Prometheus Operator, of which the control plane has only these outlines: what is in a `spec` it takes as it is.
const FOREIGN_KINDS: &[(&str, &str)] =
    &[("podmonitors", "PodMonitor"), ("prometheusrules", "PrometheusRule")];

/// All trials of sets, but for [`are_taken`].
pub fn trials() -> Vec<Trial> {
    let with = |name: &str, work: fn() -> Result<()>| trial(format!("chart: {name}"), Needs::Nothing, work);
    let mut trials = vec![
        with("equal values give equal bytes", equal_bytes),
        with("a key that stands twice is noticed", two_keys),
        with("it can be a part of another chart", as_a_dependency),
    ];
    for set in SETS {
        trials.push(trial(format!("chart: values {set}"), Needs::Nothing, || snapshot(set)));
        trials.push(trial(format!("chart: helm lint is content with {set}"), Needs::Nothing, || lint(set)));
    }
    trials
}

/// The API server takes what comes of each set, of names that YAML would read as numbers, and of a version that no label can have. Nothing of
/// the chart may be there yet: what others applied would be merged into it.
pub fn are_taken(control_plane: &ControlPlane) -> Result<()> {
    for (plural, kind) in FOREIGN_KINDS {
        control_plane.apply(&outline(plural, kind).to_string())?;
    }
    control_plane.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"])?;
    for namespace in ["42", Chart::pointsman().namespace()] {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        control_plane.apply(&object.to_string())?;
    }
    for set in SETS {
        is_taken(control_plane, &chart_of(set)).with_context(|| format!("values {set}"))?;
    }
    let numbers = Chart::pointsman().release("2026", "42");
    is_taken(control_plane, &numbers).context("release 2026 in namespace 42")?;
    let folder = tempfile::tempdir()?;
    let build = of_version(folder.path(), BUILD.0)?;
    is_taken(control_plane, &build).with_context(|| format!("version {}", BUILD.0))?;
    for object in objects(&build.set("crds.install", "false").render_with_tests()?)? {
        ensure!(object["metadata"]["labels"]["helm.sh/chart"] == BUILD.1, "{}", object["metadata"]);
    }
    Ok(())
}

fn is_taken(control_plane: &ControlPlane, chart: &Chart) -> Result<()> {
    let manifests = chart.clone().set("crds.install", "false").render_with_tests()?;
    let arguments = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
    let outcome = control_plane.kubectl_outcome(control_plane.admin(), &arguments, &manifests)?;
    ensure!(!outcome.stderr.contains("Warning"), "{}", outcome.stderr);
    let said = outcome.success()?;
    let (taken, all) = (said.matches("(server dry run)").count(), objects(&manifests)?.len());
    ensure!(taken == all && all > 20, "{taken} of {all} objects: {said}");
    Ok(())
}

fn outline(plural: &str, kind: &str) -> Value {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {"spec": anything}}
            }}],
        },
    })
}

/// The chart, copied into a folder, with another version.
fn of_version(folder: &Path, version: &str) -> Result<Chart> {
    copy(&repository().join("charts/pointsman"), folder)?;
    let path = folder.join("Chart.yaml");
    let text = std::fs::read_to_string(&path).context("read Chart.yaml")?;
    let mine = text.lines().find(|line| line.starts_with("version: ")).context("a version")?;
    std::fs::write(&path, text.replacen(mine, &format!("version: {version}"), 1))?;
    Ok(Chart::new(folder))
}

fn lint(set: &str) -> Result<()> {
    let mut helm = Command::new(Tool::Helm.path()?);
    let said = run(helm.args(["lint", "--strict"]).args(chart_of(set).arguments()))?.success()?;
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

/// All trials read manifests by [`objects`].
fn two_keys() -> Result<()> {
    let refusal = objects("metadata:\n  labels: {a: b}\n  labels: {c: d}\n").err().context("it was read")?;
    ensure!(format!("{refusal:#}").contains("duplicate"), "{refusal:#}");
    Ok(())
}

fn as_a_dependency() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let inner = folder.path().join("charts/pointsman");
    std::fs::create_dir_all(&inner)?;
    copy(&repository().join("charts/pointsman"), &inner)?;
    let chart = "apiVersion: v2\nname: platform\nversion: 1.0.0\n\
        dependencies: [{name: pointsman, version: 0.1.0, condition: pointsman.enabled}]\n";
    std::fs::write(folder.path().join("Chart.yaml"), chart)?;
    let platform = Chart::new(folder.path()).set("global.site", "north").set("pointsman.logLevel", "debug");
    let on = objects(&platform.clone().set("pointsman.enabled", "true").render()?)?;
    ensure!(on.iter().any(|object| object["kind"] == "CustomResourceDefinition"), "without its kinds");
    let agent = crate::chart_values::container(&on, "DaemonSet")?;
    ensure!(agent["args"].as_array().is_some_and(|all| all.contains(&json!("--log-level=debug"))), "{agent}");
    let off = platform.set("pointsman.enabled", "false").render()?;
    ensure!(objects(&off)?.is_empty(), "it is there though it is off: {off}");
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
    let manifests = chart_of(set).set("crds.install", "false").render_with_tests()?;
    for object in objects(&manifests)?.iter().filter(|object| object["spec"]["template"].is_object()) {
        knows_its_flags(&object["spec"]["template"]["spec"]["containers"][0])?;
    }
    let standard = chart_of(SETS[0]).set("crds.install", "false").render_with_tests()?;
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
    let words = |field: &str| -> Result<Vec<String>> {
        let all = container[field].as_array().into_iter().flatten();
        all.map(|word| Ok(word.as_str().with_context(|| format!("{word} is no text"))?.to_owned())).collect()
    };
    let command = words("command")?;
    let (program, subcommand) = command.split_first().context("a program")?;
    let given = || -> Result<Command> {
        let mut run = Command::new(own_binary(program)?);
        run.args(subcommand);
        Ok(run)
    };
    run(given()?.args(words("args")?).arg("--help"))?.success()?;
    let unknown = run(given()?.args(["--no-such-flag", "--help"]))?;
    ensure!(!unknown.status.success(), "{program} takes any flag");
    Ok(())
}
