//! What GitOps tools make of our kinds: the table in docs/gitops, the rules of kstatus and the script for Argo CD say the same. The rules
//! are written down here as they are published; the script runs in the Lua that Argo CD speaks, 5.1. No Argo CD and no Flux runs.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use mlua::{Lua, LuaSerdeExt, Table};
use pointsman_tests::privilege::{Needs, trial};
use pointsman_tests::tools::repository;
use serde_json::{Value, json};

/// All trials of GitOps.
pub fn trials() -> Vec<Trial> {
    vec![trial("gitops: kstatus, Argo CD's script and the documented table agree", Needs::Nothing, agree)]
}

const GENERATION: i64 = 3;

/// A row of the table: its first column, the generation seen (0: none), conditions in their order, what kstatus says, what Argo CD does.
type Row = (&'static str, i64, &'static [(&'static str, &'static str)], &'static str, &'static str);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("there is no status: no agent has told of it yet", 0, &[], "Current", "Healthy"),
    ("there is no status of an agent, only `AgentAlive=False`", 0, &[("AgentAlive", "False")], "Current", "Healthy"),
    ("the agent has not seen the stored generation", 2, &[("Ready", "True"), ("Reconciling", "False")], "InProgress", "Progressing"),
    ("`Reconciling=True`, whatever `Ready` is", 3, &[("Ready", "True"), ("Reconciling", "True"), ("Stalled", "False")], "InProgress", "Progressing"),
    ("`Stalled=True`", 3, &[("Ready", "False"), ("Reconciling", "False"), ("Stalled", "True")], "Failed", "Degraded"),
    ("both, which agents never say: the first in the list counts", 3, &[("Ready", "False"), ("Reconciling", "True"), ("Stalled", "True")], "InProgress", "Progressing"),
    ("`Ready=False`", 3, &[("Ready", "False"), ("Reconciling", "False"), ("Stalled", "False")], "InProgress", "Progressing"),
    ("`Ready=True`", 3, &[("Ready", "True"), ("Reconciling", "False"), ("Stalled", "False")], "Current", "Healthy"),
    ("`Ready=True` and `AgentAlive=False`: the agent's last word counts", 3, &[("AgentAlive", "False"), ("Ready", "True"), ("Stalled", "False")], "Current", "Healthy"),
];

/// A plan in that state; without an observed generation and conditions it has no status.
fn plan(observed: i64, conditions: &[(&str, &str)]) -> Value {
    let mut plan = json!({"kind": "NodeProxyPlan", "metadata": {"name": "north", "generation": GENERATION}});
    let condition = |(kind, status): &(&str, &str)| json!({"type": kind, "status": status, "message": format!("{kind} is {status}")});
    if !conditions.is_empty() {
        plan["status"] = json!({"conditions": conditions.iter().map(condition).collect::<Vec<_>>()});
    }
    if observed > 0 {
        plan["status"]["observedGeneration"] = json!(observed);
    }
    plan
}

/// The rules of kstatus for kinds that it does not know, but for deletion.
fn kstatus(object: &Value) -> &'static str {
    let seen = &object["status"]["observedGeneration"];
    if seen.is_number() && *seen != object["metadata"]["generation"] {
        return "InProgress";
    }
    let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for condition in conditions {
        match (condition["type"].as_str(), condition["status"].as_str()) {
            (Some("Reconciling"), Some("True")) => return "InProgress",
            (Some("Stalled"), Some("True")) => return "Failed",
            _ => {}
        }
    }
    match conditions.iter().find(|condition| condition["type"] == "Ready") {
        Some(ready) if ready["status"] != "True" => "InProgress",
        Some(_) | None => "Current",
    }
}

/// What the script says of an object: health and message.
fn script(text: &str, object: &Value) -> Result<(String, String)> {
    let lua = Lua::new();
    let value = lua.to_value(object).map_err(|error| anyhow::anyhow!("{error}"))?;
    let answer = lua.globals().set("obj", value).and_then(|()| lua.load(text).eval::<Table>());
    let words = answer.and_then(|answer| Ok((answer.get("status")?, answer.get("message")?)));
    words.map_err(|error| anyhow::anyhow!("{object}: {error}"))
}

fn agree() -> Result<()> {
    let read =
        |path: &str| std::fs::read_to_string(repository().join(path)).with_context(|| format!("read {path}"));
    let page = read("docs/gitops/README.md")?;
    let map: Value =
        serde_saphyr::from_str(&read("docs/gitops/argocd-health.yaml")?).context("parse the ConfigMap")?;
    let scripts = map["data"].as_object().context("scripts")?;
    let kinds: Vec<&str> = scripts
        .keys()
        .filter_map(|key| key.split_once("health.pointsman.dev_"))
        .map(|(_, kind)| kind)
        .collect();
    ensure!(kinds == ["NodeProxyPlan", "ProxyProfile"], "{kinds:?}");
    for (state, observed, conditions, expected, health) in ROWS {
        let plan = plan(*observed, conditions);
        ensure!(kstatus(&plan) == *expected, "{state}: kstatus says {}", kstatus(&plan));
        ensure!(
            page.contains(&format!("| {state} | {expected} | {health} |\n")),
            "docs/gitops lacks {state:?}"
        );
        for (key, text) in scripts {
            let said = script(text.as_str().context("a script")?, &plan)?;
            ensure!(said.0 == *health, "{key}, {state}: {said:?}");
            let is_told =
                said.1.is_empty() || said.1.ends_with(" seen yet") || plan.to_string().contains(&said.1);
            ensure!(is_told, "{key}, {state}: {said:?}");
        }
    }
    let rows = page.lines().filter(|line| {
        line.ends_with("ing |") || line.ends_with("Healthy |") || line.ends_with("Degraded |")
    });
    ensure!(rows.count() == ROWS.len(), "docs/gitops has rows that nobody tries");
    Ok(())
}
