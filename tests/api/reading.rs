//! What a person sees: the columns of `kubectl get`, the short names, and `kubectl explain` at every level, by the real kubectl.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::privilege::{Needs, trial};
use serde_json::{Value, json};

use crate::good_objects::definitions;
use crate::request::{create, merge};
use crate::samples::{full_profile, plan};
use crate::suite::{Suite, Who};

/// What is asked for, and what is printed but for the age, columns parted by `|`.
const TABLES: &[(&str, &[&str])] = &[
    (
        "npp north south",
        &[
            "NAME|MODE|SERVICES|ENDPOINTS|READY|REASON|ALIVE|REFUSED",
            "north|nftables|214|1893|True|Programmed|True|1",
            "south",
        ],
    ),
    (
        "nodeproxyplans north -o wide",
        &[
            "NAME|MODE|SERVICES|ENDPOINTS|READY|REASON|ALIVE|REFUSED|REVISION|PROFILE|AGENT|KERNEL|MESSAGE",
            "north|nftables|214|1893|True|Programmed|True|1|88412|0.1.0|6.18.0|214 services in nftables",
        ],
    ),
    (
        "spp web -n shop",
        &[
            "NAME|PORTS|ENDPOINTS|CLUSTER-IP|REFUSED", //
            "web|80/TCP|1|10.96.0.10|1",
        ],
    ),
    (
        "pxp east-shown",
        &[
            "NAME|MODE|PRIORITY|MATCHED|UPDATED|READY", //
            "east-shown|ipvs|10|40|12|11",
        ],
    ),
];

/// A path, and words of what must be said there.
const EXPLAINED: &[(&str, &str)] = &[
    ("npp", "How one node proxies, and what its kernel carries."),
    ("npp.spec", "What is asked for."),
    ("npp.spec.node", "The node's own facts, from its Node object."),
    ("npp.spec.node.leaving", "its health check tells load balancers"),
    ("npp.spec.mode", "nftables (the default), iptables or ipvs."),
    ("npp.spec.masquerade.bit", "14 (0x4000) when absent."),
    ("npp.spec.sync.drift", "is repaired (the default) or only reported."),
    ("npp.status", "derived from what was applied and read back"),
    ("npp.status.mode", "The mode that is active."),
    ("npp.status.conditions", "AgentAlive is the controller's."),
    ("npp.status.conditions.reason", "Why, in one word."),
    ("npp.status.programmed.revision", "Every service plan up to this resourceVersion"),
    ("spp", "How one Service is proxied, the same for every node."),
    ("spp.spec.internalTrafficPolicy", "Local: traffic to cluster IPs stays on the node."),
    ("spp.spec.externalTrafficPolicy", "keeps its source."),
    ("spp.spec.groups.endpoints.terminating", "used only while no other can be (KEP-1669)."),
    ("spp.spec.ports.protocol", "The protocol."),
    ("spp.spec.shards", "Above 100 endpoints"),
    ("spp.status.refused.first.reason", "Why, in one word."),
    ("pxp", "How a set of nodes shall proxy."),
    ("pxp.spec.nodeSelector.matchExpressions.operator", "In and NotIn compare"),
    ("pxp.spec.settings.detectLocal.clusterCIDRs", "the ranges that all pods' addresses come from."),
    ("pxp.spec.rollout.maxUnavailable", "10% when absent."),
];

/// One trial a table, one a path.
pub fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let tables = TABLES.iter().map(|(what, lines)| {
        let suite = Arc::clone(suite);
        trial(format!("reading: kubectl get {what}"), Needs::Nothing, move || shows(&suite, what, lines))
    });
    let paths = EXPLAINED.iter().map(|(path, words)| {
        let suite = Arc::clone(suite);
        trial(format!("reading: kubectl explain {path}"), Needs::Nothing, move || {
            explains(&suite, path, words)
        })
    });
    let (category, fields) = (Arc::clone(suite), Arc::clone(suite));
    let whole = [
        trial("reading: kubectl get pointsman finds all kinds", Needs::Nothing, move || found(&category)),
        trial("reading: every field and column is described by a sentence", Needs::Nothing, move || {
            described(&fields)
        }),
    ];
    tables.chain(paths).chain(whole).collect()
}

fn shows(suite: &Suite, what: &str, expected: &[&str]) -> Result<()> {
    if what.starts_with("pxp") {
        suite.must(
            Who::Admin,
            &create("pxp", plan("ProxyProfile", json!({"name": "east-shown"}), full_profile())),
        )?;
        let status = json!({"status": {"nodes": {"matched": 40, "updated": 12, "ready": 11}}});
        suite.must(Who::Admin, &merge("pxp/east-shown/status", status))?;
    }
    let arguments: Vec<&str> = ["get"].into_iter().chain(what.split(' ')).collect();
    let text = suite.control_plane.kubectl(&arguments)?;
    let shown: Vec<String> = text.lines().map(columns).collect();
    ensure!(shown == expected, "expected {expected:#?}, kubectl printed\n{text}");
    Ok(())
}

/// The columns of a line, but for the last, which is the age. An empty one is not seen.
fn columns(line: &str) -> String {
    let mut columns: Vec<&str> =
        line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    columns.pop();
    columns.join("|")
}

fn explains(suite: &Suite, path: &str, words: &str) -> Result<()> {
    let text = suite.control_plane.kubectl(&["explain", path])?;
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(flat.contains(words), "it does not say {words:?}:\n{text}");
    ensure!(!text.contains("<empty>"), "something is not described:\n{text}");
    Ok(())
}

fn found(suite: &Suite) -> Result<()> {
    let text = suite.control_plane.kubectl(&["get", "pointsman", "-n", "shop", "-o", "name"])?;
    for one in ["nodeproxyplan.pointsman.dev/north", "serviceproxyplan.pointsman.dev/web"] {
        ensure!(text.lines().any(|line| line == one), "{one} is not in:\n{text}");
    }
    Ok(())
}

fn described(suite: &Suite) -> Result<()> {
    for definition in definitions(suite)? {
        let version = &definition["spec"]["versions"][0];
        let mut silent = vec![];
        undescribed("", &version["schema"]["openAPIV3Schema"], &mut silent);
        for column in version["additionalPrinterColumns"].as_array().context("columns")? {
            if column["name"] != "Age" && column["description"].as_str().is_none_or(str::is_empty) {
                silent.push(format!("column {}", column["name"]));
            }
        }
        ensure!(silent.is_empty(), "{}: {silent:?}", definition["metadata"]["name"]);
    }
    Ok(())
}

fn undescribed(path: &str, schema: &Value, silent: &mut Vec<String>) {
    // The API server describes these three itself.
    let own = [".apiVersion", ".kind", ".metadata"];
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let sentence = field["description"].as_str().is_some_and(|text| text.trim_end().ends_with('.'));
        if !sentence && !own.contains(&path.as_str()) {
            silent.push(path.clone());
        }
        undescribed(&path, field, silent);
        undescribed(&path, &field["items"], silent);
    }
}
