//! What the schema refuses: every line takes a good object, changes one field, and names the field that the refusal must name and what
//! it must say of it. Nothing is stored: the checks are made by a dry run.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::privilege::{Needs, trial};
use serde_json::{Value, json};

use crate::request::{create, merge};
use crate::samples::{condition, full_node_plan, full_profile, full_service_plan, plan};
use crate::suite::{Suite, Who};

/// One field gone bad.
#[derive(Clone)]
struct Line {
    /// Where, as the refusal spells it: `node.addresses[0]`.
    at: &'static str,
    /// The bad value; null takes the field away.
    value: Value,
    /// What the refusal says.
    says: &'static str,
    /// The field that the refusal names, where it is another one.
    names: &'static str,
}

fn bad(at: &'static str, value: Value, says: &'static str) -> Line {
    Line { at, value, says, names: at }
}

fn beside(at: &'static str, value: Value, names: &'static str, says: &'static str) -> Line {
    Line { at, value, says, names }
}

const ADDRESS: &str = "must be an IPv4 or IPv6 address";
const RANGE: &str = "must be a range in CIDR notation with no host bits set";
const WORDS: &str = "supported values";
const VERIFY_PERIOD: &str = "must be a duration from 1s to one year (8760h), such as 30s";
const DURATION: &str = "must be a duration of at most one year (8760h), such as 30s";
const STATUS_PERIOD: &str = "must be a duration from 1s to 4m, such as 30s";

/// One trial a line.
pub fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let node_plan = [node_facts(), node_settings(), node_periods()].concat();
    let service_plan = [service_frontends(), service_endpoints()].concat();
    let tables = [
        (Target { list: "npp", who: Who::Controller, kind: "NodeProxyPlan" }, node_plan, full_node_plan()),
        (
            Target { list: "spp@yard", who: Who::Controller, kind: "ServiceProxyPlan" },
            service_plan,
            full_service_plan(),
        ),
        (Target { list: "pxp", who: Who::Admin, kind: "ProxyProfile" }, profile(), full_profile()),
    ];
    let mut trials = vec![];
    for (target, lines, good) in tables {
        for line in lines {
            let (suite, good) = (Arc::clone(suite), good.clone());
            let name = format!("bad: {} {} = {}", target.kind, line.at, shorten(&line.value));
            trials.push(trial(name, Needs::Nothing, move || refused(&suite, target, good, &line)));
        }
    }
    for line in statuses() {
        let suite = Arc::clone(suite);
        let name = format!("bad: status of a NodeProxyPlan {} = {}", line.at, shorten(&line.value));
        trials.push(trial(name, Needs::Nothing, move || status_refused(&suite, &line)));
    }
    trials
}

/// Where the bad object goes, and who sends it.
#[derive(Clone, Copy)]
struct Target {
    list: &'static str,
    who: Who,
    kind: &'static str,
}

fn shorten(value: &Value) -> String {
    value.to_string().chars().take(50).collect()
}

fn node_facts() -> Vec<Line> {
    vec![
        bad("node", json!(null), "Required value"),
        bad("node.uid", json!(""), "at least 1 chars long"),
        bad("node.addresses[0]", json!("10.200.0.256"), ADDRESS),
        bad("node.addresses[0]", json!("fe80::1%eth0"), ADDRESS),
        bad("node.addresses[0]", json!("::ffff:10.0.0.1"), ADDRESS),
        bad("node.addresses[0]", json!("010.0.0.1"), ADDRESS),
        bad("node.podCIDRs[0]", json!("10.244.1.7/24"), RANGE),
        bad("node.podCIDRs[0]", json!("10.244.1.0"), RANGE),
        bad("node.zone", json!("z".repeat(64)), "may not be more than 63"),
        bad("node.leaving", json!("yes"), "must be of type boolean"),
        bad("serviceCIDRs[0]", json!("10.96.0.0/33"), RANGE),
        bad("profile.name", json!("Edge"), "should match"),
        bad("profile.generation", json!(null), "Required value"),
        bad("typo", json!(1), "unknown field"),
    ]
}

fn node_settings() -> Vec<Line> {
    let interface = "detectLocal.interface";
    vec![
        bad("mode", json!("ebpf"), WORDS),
        bad("mode", json!("NFTables"), WORDS),
        bad("ipFamilies", json!([]), "at least 1 items"),
        bad("ipFamilies", json!(["IPv4", "IPv4"]), "must not name a family twice"),
        bad("ipFamilies[0]", json!("IPV4"), WORDS),
        bad("detectLocal.mode", json!("Magic"), WORDS),
        bad("detectLocal.clusterCIDRs", json!(null), "clusterCIDRs is required for mode ClusterCIDR"),
        beside(
            "detectLocal.mode",
            json!("None"),
            "detectLocal.clusterCIDRs",
            "goes with mode ClusterCIDR only",
        ),
        beside("detectLocal", json!({"mode": "BridgeInterface"}), interface, "interface is required"),
        beside("detectLocal", json!({"mode": "None", "interface": "x"}), interface, "goes with them only"),
        bad(interface, json!("a b"), "should match"),
        bad(interface, json!("sixteen-bytes-xx"), "may not be more than 15"),
        bad("masquerade.bit", json!(32), "less than or equal to 31"),
        bad("masquerade.bit", json!(-1), "greater than or equal to 0"),
        bad("nodePortAddresses.cidrs", json!(null), "cidrs is required for type CIDRs"),
        beside("nodePortAddresses.type", json!("All"), "nodePortAddresses.cidrs", "goes with it only"),
        bad("nftables.tableOwner", json!("true"), "must be of type boolean"),
        bad("ipvs.scheduler", json!("rr; reboot"), "should match"),
        bad("conntrack.min", json!(4_294_967_296_u64), "less than or equal to"),
    ]
}

fn node_periods() -> Vec<Line> {
    vec![
        bad("conntrack.tcpCloseWaitTimeout", json!("1 hour"), "should match"),
        bad("sync.verifyPeriod", json!("9000h"), VERIFY_PERIOD),
        bad("sync.verifyPeriod", json!("999ms"), VERIFY_PERIOD),
        bad("sync.verifyPeriod", json!("9999999999999999999h"), ""),
        bad("sync.minPeriod", json!("9000h"), DURATION),
        bad("sync.minPeriod", json!("-1s"), "should match"),
        bad("sync.minPeriod", json!(1), "must be of type string"),
        bad("sync.statusPeriod", json!("999ms"), STATUS_PERIOD),
        bad("sync.statusPeriod", json!("4m0.5s"), STATUS_PERIOD),
        bad("sync.statusPeriod", json!("-1m"), "should match"),
        bad("sync.drift", json!("Ignore"), WORDS),
    ]
}

fn service_frontends() -> Vec<Line> {
    vec![
        bad("serviceUID", json!(null), "Required value"),
        bad("proxyName", json!("x".repeat(64)), "may not be more than 63"),
        bad("clusterIPs[0]", json!("None"), ADDRESS),
        bad("clusterIPs", json!(["10.96.0.1", "10.96.0.2"]), "two cluster IPs must be of two families"),
        bad("clusterIPs", json!(["10.96.0.1", "::1", "::2"]), "must have at most 2 items"),
        bad("externalIPs[0]", json!("example.com"), ADDRESS),
        bad("loadBalancerIPs[0]", json!(""), "at least 2 chars long"),
        bad("loadBalancerSourceRanges[0]", json!("198.51.100.1/24"), RANGE),
        bad("ports[0].port", json!(0), "greater than or equal to 1"),
        bad("ports[0].port", json!(65536), "less than or equal to 65535"),
        bad("ports[0].port", json!("http"), "must be of type integer"),
        bad("ports[0].nodePort", json!(70000), "less than or equal to 65535"),
        bad("ports[0].protocol", json!("tcp"), WORDS),
        bad("ports[0].protocol", json!(null), "Required value"),
        bad("ports[0].name", json!("Not_A_Label"), "should match"),
        bad("internalTrafficPolicy", json!("Cluster"), WORDS),
        bad("externalTrafficPolicy", json!("Cluster"), WORDS),
        beside(
            "externalTrafficPolicy",
            json!(null),
            "healthCheckNodePort",
            "goes with externalTrafficPolicy Local",
        ),
        bad("healthCheckNodePort", json!(0), "greater than or equal to 1"),
        bad("affinity.timeoutSeconds", json!(86401), "less than or equal to 86400"),
        beside("affinity", json!({}), "affinity.timeoutSeconds", "Required value"),
    ]
}

fn service_endpoints() -> Vec<Line> {
    let many: Vec<Value> =
        (0..1001).map(|n| json!({"ip": format!("10.1.{}.{}", n / 256, n % 256)})).collect();
    vec![
        bad("groups[0].endpoints[0].ip", json!("10.244.1.7:80"), ADDRESS),
        bad("groups[0].endpoints[0].ip", json!(null), "Required value"),
        bad("groups[0].endpoints[0].node", json!("Node 1"), "should match"),
        bad("groups[0].endpoints[1].forNodes[0]", json!("../x"), "should match"),
        bad("groups[0].endpoints", json!(many), "must have at most 1000 items"),
        bad("groups[0].targets[0].port", json!(-1), "greater than or equal to 1"),
        beside("shards", json!(["web.7x2kp"]), "groups", "a plan holds groups or names shards, never both"),
        beside("shards", json!(["web/7x2kp"]), "shards[0]", "should match"),
    ]
}

fn profile() -> Vec<Line> {
    let unavailable = "rollout.maxUnavailable";
    let expressions = "nodeSelector.matchExpressions";
    let values = "nodeSelector.matchExpressions[0].values";
    let pool =
        |operator: &str, values: Value| json!([{"key": "pool", "operator": operator, "values": values}]);
    vec![
        bad("priority", json!(1_000_001), "less than or equal to 1000000"),
        bad(unavailable, json!(0), "must be a number of at least 1, or a percentage from 1% to 100%"),
        bad(unavailable, json!("101%"), "must be a number of at least 1, or a percentage from 1% to 100%"),
        bad(unavailable, json!("ten"), "must be a number of at least 1, or a percentage from 1% to 100%"),
        bad("settings.mode", json!("userspace"), WORDS),
        bad("settings.node", json!({"uid": "0a"}), "unknown field"),
        bad("nodeSelector.matchLabels.pool", json!("not a label"), "should match"),
        bad("nodeSelector.matchExpressions[0].key", json!("a//b"), "should match"),
        bad("nodeSelector.matchExpressions[0].operator", json!("Is"), WORDS),
        beside(
            expressions,
            pool("In", json!([])),
            values,
            "values is required for the operators In and NotIn",
        ),
        beside(expressions, pool("Exists", json!(["edge"])), values, "goes with them only"),
    ]
}

fn statuses() -> Vec<Line> {
    let with = |field: &str, value: Value| {
        let mut condition = condition("Ready", "Programmed", "");
        condition[field] = value;
        json!([condition])
    };
    let [status, reason, message] = ["conditions[0].status", "conditions[0].reason", "conditions[0].message"];
    let agent = |beat: &str| json!({"version": "0", "kernel": "6", "bootID": "b", "heartbeat": beat});
    let many: Vec<Value> = (0..33).map(|_| json!({"service": "a/b", "reason": "X", "message": ""})).collect();
    let counts =
        |n: i64| json!({"revision": "1", "digest": "", "services": n, "frontends": 0, "endpoints": 0});
    vec![
        beside("conditions", with("status", json!("Yes")), status, WORDS),
        beside("conditions", with("reason", json!("two words")), reason, "should match"),
        beside("conditions", with("reason", json!("")), reason, "at least 1 chars long"),
        beside("conditions", with("message", json!("x".repeat(1025))), message, "may not be more than 1024"),
        bad("mode", json!("ebpf"), WORDS),
        // What a node says must be readable by the controller, whoever holds the node.
        beside(
            "programmed",
            counts(4_294_967_296),
            "programmed.services",
            "less than or equal to 4294967295",
        ),
        beside("programmed", counts(-1), "programmed.services", "greater than or equal to 0"),
        beside("agent", agent("yesterday"), "agent.heartbeat", "must be of type date-time"),
        beside("agent", agent("2026-11-21T14:00:00x5Z"), "agent.heartbeat", "should match"),
        beside("agent", agent("2026-11-21T14:00:00+25:00"), "agent.heartbeat", "should match"),
        beside("refused", json!({"count": 33, "first": many}), "refused.first", "must have at most 32 items"),
        beside(
            "drift",
            json!({"repairs": 1, "what": "x".repeat(513)}),
            "drift.what",
            "may not be more than 512",
        ),
    ]
}

fn refused(suite: &Suite, target: Target, mut spec: Value, line: &Line) -> Result<()> {
    let pointer = format!("/{}", line.at.replace(['.', '['], "/").replace(']', ""));
    let (parent, name) = pointer.rsplit_once('/').context("a pointer")?;
    match (spec.pointer_mut(parent).with_context(|| format!("{} leads nowhere", line.at))?, &line.value) {
        (Value::Object(fields), Value::Null) => drop(fields.remove(name)),
        (Value::Array(items), value) => items[name.parse::<usize>()?] = value.clone(),
        (parent, value) => parent[name] = value.clone(),
    }
    let object = plan(target.kind, json!({"name": "east-bad"}), spec);
    let answer = suite.ask(target.who, &create(target.list, object).dry())?;
    // A field that nobody knows is a bad request, all else is an invalid object.
    ensure!([400, 422].contains(&answer.code), "answered with {}: {}", answer.code, answer.body);
    complains(answer.message(), &format!("spec.{}", line.names), line.says)
}

fn status_refused(suite: &Suite, line: &Line) -> Result<()> {
    let patch = json!({"status": {line.at: line.value}});
    let answer = suite.ask(Who::East, &merge("npp/east/status", patch).dry())?;
    ensure!(answer.code == 422, "answered with {}: {}", answer.code, answer.body);
    complains(answer.message(), &format!("status.{}", line.names), line.says)
}

fn complains(message: &str, field: &str, says: &str) -> Result<()> {
    ensure!(message.contains(field), "{field} is not named: {message}");
    ensure!(message.contains(says), "it does not say {says:?}: {message}");
    Ok(())
}
