//! What the chart has for Prometheus and Grafana: alerts that promtool understands and that ring when they should, a page for each, and no
//! metric that running programs do not serve. The programs are asked over HTTP, as Prometheus asks.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{Api, Patch, PatchParams};
use libtest_mimic::Trial;
use pointsman_crds::NodeProxyPlan;
use pointsman_tests::chart::Chart;
use pointsman_tests::cluster::Cluster;
use pointsman_tests::command::{Outcome, run};
use pointsman_tests::netns::Netns;
use pointsman_tests::privilege::{Needs, trial};
use pointsman_tests::tools::{Tool, own_binary, repository};
use pointsman_tests::wait;
use serde_json::{Value, json};

use crate::samples;

const LIMIT: Duration = Duration::from_secs(60);
/// The controller looks at its gauges every five seconds.
const LOOKED_ROUND: Duration = Duration::from_secs(7);
/// Where the agent serves metrics, and where the harness lets its first controller do so.
const AGENT: u16 = 10249;
const CONTROLLER: u16 = 10279;
/// How names of our own metrics begin, and of those that we share.
const OURS: [&str; 4] =
    ["pointsman_agent_", "pointsman_controller_", "kubeproxy_", "endpoint_slice_controller_"];

/// All trials of monitoring.
pub fn trials() -> Vec<Trial> {
    let with = |name: &str, work: fn() -> Result<()>| trial(format!("chart: {name}"), Needs::Nothing, work);
    vec![
        with("promtool understands the alerts", || {
            promtool(&["check", "rules", "--lint=all", "--lint-fatal"], ALERTS)
        }),
        with("the alerts ring when they should", || promtool(&["test", "rules"], ALERT_TESTS)),
        with("every alert is tried, and has a page", every_alert_is_tried),
        with("the dashboard is whole", dashboard),
        trial(
            "chart: programs serve every metric that is named, and tell how they are",
            Needs::Root,
            programs,
        ),
    ]
}

const ALERTS: &str = "charts/pointsman/files/monitoring/alerts.yaml";
const ALERT_TESTS: &str = "tests/alerts/alerts_test.yaml";
const DASHBOARD: &str = "charts/pointsman/files/monitoring/dashboard.json";

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(repository().join(path)).with_context(|| format!("read {path}"))
}

fn promtool(arguments: &[&str], file: &str) -> Result<()> {
    let mut command = Command::new(Tool::Promtool.path()?);
    let said = run(command.args(arguments).arg(repository().join(file)))?.success()?;
    ensure!(said.contains("SUCCESS"), "{said}");
    Ok(())
}

fn every_alert_is_tried() -> Result<()> {
    let alerts: Value = serde_saphyr::from_str(&read(ALERTS)?).context("parse the alerts")?;
    let tests: Value = serde_saphyr::from_str(&read(ALERT_TESTS)?).context("parse their tests")?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let tries: Vec<Value> =
        list(&tests["tests"]).iter().flat_map(|test| list(&test["alert_rule_test"])).collect();
    let monitoring = read("docs/monitoring.md")?;
    let mut names = BTreeSet::new();
    for rule in list(&alerts["groups"]).iter().flat_map(|group| list(&group["rules"])) {
        let name = rule["alert"].as_str().context("a name")?.to_owned();
        let rings =
            |try_: &&Value| try_["alertname"] == name.as_str() && !list(&try_["exp_alerts"]).is_empty();
        let rests =
            |try_: &&Value| try_["alertname"] == name.as_str() && list(&try_["exp_alerts"]).is_empty();
        ensure!(tries.iter().any(|try_| rings(&try_)), "no test shows {name} ringing");
        ensure!(tries.iter().any(|try_| rests(&try_)), "no test shows {name} at rest");
        let page = read(&format!("docs/runbooks/{name}.md"))?;
        for part in
            [format!("# {name}"), "**Meaning.**".into(), "**Impact.**".into(), "**Diagnosis.**".into()]
        {
            ensure!(page.contains(&part), "docs/runbooks/{name}.md lacks {part:?}");
        }
        ensure!(page.contains("**Remedy"), "docs/runbooks/{name}.md says no remedy");
        ensure!(monitoring.contains(&format!("(runbooks/{name}.md)")), "docs/monitoring.md lacks {name}");
        names.insert(format!("{name}.md"));
    }
    for entry in std::fs::read_dir(repository().join("docs/runbooks"))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        ensure!(file == "README.md" || names.contains(&file), "docs/runbooks/{file} is no alert's page");
    }
    Ok(())
}

fn dashboard() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)?).context("parse the dashboard")?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let mut ids = BTreeSet::new();
    for panel in panels {
        ensure!(ids.insert(panel["id"].as_i64().context("an id")?), "two panels {}", panel["id"]);
        ensure!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        if panel["type"] != "row" {
            ensure!(panel["targets"].as_array().is_some_and(|all| !all.is_empty()), "{}", panel["title"]);
            ensure!(panel["description"].is_string(), "{}", panel["title"]);
        }
    }
    ensure!(panels.len() > 10, "{} panels", panels.len());
    let chart = Chart::pointsman().set("monitoring.dashboard.enabled", "true").set("crds.install", "false");
    let objects = crate::chart_values::objects(&chart.render()?)?;
    let map = objects.iter().find(|object| object["kind"] == "ConfigMap").context("a ConfigMap")?;
    let stored: Value =
        serde_json::from_str(map["data"]["pointsman.json"].as_str().context("the dashboard")?)?;
    ensure!(stored == dashboard, "the ConfigMap holds something else");
    Ok(())
}

/// The metrics of ours that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours =
        words.filter(|word| OURS.iter().any(|prefix| word.len() > prefix.len() && word.starts_with(prefix)));
    ours.map(str::to_owned).collect()
}

/// The names of all series that a program can have, by the types it declares.
fn served(metrics: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let Some((name, kind)) = line.split_once(' ') else { continue };
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        names.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    names
}

fn programs() -> Result<()> {
    let cluster = Cluster::start(1, &Chart::pointsman())?;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    cluster.control_plane.apply(&service.to_string())?;
    let _controller = cluster.start_controller(1, &[])?;
    let _agent = cluster.start_agent(0, &[])?;
    let node = cluster.topology.nodes[0].name.clone();
    let ready = tell_status(&cluster, "60s", &[])?;
    ensure!(ready.status.success(), "{}{}", ready.stdout, ready.stderr);
    let line = ready.stdout.lines().find(|line| line.starts_with(&node)).context("a line of the node")?;
    ensure!(line.contains("True") && line.contains("nftables") && line.contains("Programmed"), "{line}");
    ensure!(ready.stdout.ends_with("1 of 1 nodes carry their plan\n"), "{}", ready.stdout);

    let mut found = served(&scrape(&cluster.topology.nodes[0].netns, AGENT)?);
    wait::until("the controller to have written", LIMIT, || {
        let metrics = scrape(&cluster.topology.control_plane, CONTROLLER)?;
        found.extend(served(&metrics));
        Ok(metrics.contains("pointsman_controller_writes_total{"))
    })?;
    let lonely = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lonely"}});
    cluster.control_plane.apply(&lonely.to_string())?;
    let told = tell_status(&cluster, "0s", &[])?;
    ensure!(!told.status.success(), "a node without an agent passes: {}", told.stdout);
    ensure!(told.stdout.contains("1 of 2 nodes carry their plan"), "{}", told.stdout);
    ensure!(told.stderr.contains("not every node carries its plan"), "{}", told.stderr);
    let own = tell_status(&cluster, "0s", &["--selector", &format!("kubernetes.io/hostname={node}")])?;
    ensure!(
        own.status.success() && own.stdout.ends_with("1 of 1 nodes carry their plan\n"),
        "{}",
        own.stdout
    );
    found.extend(served(&an_agent_falls_silent(&cluster, "lonely")?));
    for file in [ALERTS, DASHBOARD] {
        let wanted = named(&read(file)?);
        ensure!(wanted.len() > 5, "{file} names next to no metrics");
        let missing: Vec<&String> = wanted.difference(&found).collect();
        ensure!(missing.is_empty(), "{file} names {missing:?}, which no program serves");
    }
    Ok(())
}

/// The controller's own word and an agent's heartbeat, put into their mouths: to hear it of itself takes ten minutes. Gives the metrics that
/// tell of it.
fn an_agent_falls_silent(cluster: &Cluster, node: &str) -> Result<String> {
    const SERIES: &str = "pointsman_controller_agent_silent{";
    let metrics = || scrape(&cluster.topology.control_plane, CONTROLLER);
    let mut dead = samples::condition("AgentAlive", "HeartbeatMissed", "");
    dead["status"] = json!("False");
    forge(cluster, "pointsman-controller", None, node, &json!({"conditions": [dead]}))?;
    let told = tell_status(cluster, "0s", &[])?;
    ensure!(told.stdout.contains("HeartbeatMissed"), "{}", told.stdout);
    // Longer than the controller takes to look round once.
    std::thread::sleep(LOOKED_ROUND);
    ensure!(!metrics()?.contains(SERIES), "an agent that nobody ever heard of is silent");
    let agent =
        json!({"version": "0.1.0", "kernel": "6.18.0", "bootID": "0a", "heartbeat": "2026-01-02T03:04:05Z"});
    forge(cluster, "pointsman-agent", Some(node), node, &json!({"agent": agent}))?;
    let silent = format!("{SERIES}silent_node=\"{node}\"}} 1\n");
    wait::until("the silent agent to be told of", LIMIT, || Ok(metrics()?.contains(&silent)))?;
    let told = metrics()?;
    ensure!(told.matches(SERIES).count() == 1, "the other one lives: {told}");
    cluster.control_plane.kubectl(&["delete", "node", node])?;
    wait::until("the node to be forgotten", LIMIT, || Ok(!metrics()?.contains(SERIES)))?;
    Ok(told)
}

/// Writes into the status of a node's plan as this account, whose token may be bound to a node.
fn forge(cluster: &Cluster, account: &str, bound: Option<&str>, node: &str, status: &Value) -> Result<()> {
    let token = cluster.control_plane.create_token("pointsman-system", account, bound)?;
    let forger = cluster.control_plane.kubeconfig_for("forger", &token)?;
    let patch = Patch::Merge(json!({ "status": status }));
    cluster.control_plane.with_client(&forger, async |client| {
        let plans = Api::<NodeProxyPlan>::all(client);
        plans.patch_status(node, &PatchParams::default(), &patch).await.context(account.to_owned())?;
        Ok(())
    })
}

fn tell_status(cluster: &Cluster, wait: &str, flags: &[&str]) -> Result<Outcome> {
    let mut command = cluster.topology.control_plane.command(own_binary("pointsman-controller")?);
    let admin = cluster.control_plane.admin();
    run(command.args(["status", "--wait", wait]).args(flags).arg("--kubeconfig").arg(admin))
}

fn scrape(netns: &Netns, port: u16) -> Result<String> {
    netns.enter(|| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).context("connect")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").context("ask for metrics")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("read metrics")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
        ensure!(head.contains(" 200 "), "{head}");
        Ok(body.to_owned())
    })?
}
