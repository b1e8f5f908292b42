//! What the API server would say of the plans that flags lead to, by the schema of the kinds themselves: a setting that a flag takes and
//! the kind refuses would stop all writing. Asks no API server; rules in CEL are the API suite's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

use clap::Parser;
use pointsman_controllers::args::{Cli, Command};
use pointsman_controllers::settings;
use pointsman_crds::crd;
use pointsman_planner::model::Node;
use pointsman_planner::plan::{ClusterSize, NodePlanInput, plan_node};
use regex::Regex;
use serde_json::Value;

/// The schema of a NodeProxyPlan's spec, as it is stored.
fn schema() -> Value {
    let definitions = crd::definitions().unwrap();
    let kind = definitions.iter().find(|definition| definition.spec.names.kind == "NodeProxyPlan").unwrap();
    let json = serde_json::to_value(kind).unwrap();
    json.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap().clone()
}

/// The spec that these flags give a node of a cluster of so many.
fn spec(flags: &str, nodes: usize) -> Value {
    let line = ["pointsman-controller", "plan", "-f", "unused"].into_iter().chain(flags.split_whitespace());
    let Command::Plan(args) = Cli::try_parse_from(line).unwrap().command else { panic!("{flags}") };
    let settings = settings::settings(&args.proxy).unwrap();
    let node = Node { name: "north".to_owned(), uid: "uid".to_owned(), ..Node::default() };
    let size = ClusterSize::of(nodes);
    let spec = plan_node(&NodePlanInput {
        node: &node,
        size,
        service_cidrs: &[],
        settings: &settings,
        stored: None,
    });
    serde_json::to_value(spec).unwrap()
}

/// What the schema forbids of a value: one line for each fault, with the field's path.
fn faults(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let bound = |name: &str| schema[name].as_f64();
    let beyond = |size: f64, least: &str, most: &str| {
        bound(least).is_some_and(|least| size < least) || bound(most).is_some_and(|most| size > most)
    };
    let mut found = Vec::new();
    let is_listed = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    let fits = match value {
        Value::String(text) => {
            let pattern = schema["pattern"].as_str().map(|pattern| Regex::new(pattern).unwrap());
            pattern.is_none_or(|pattern| pattern.is_match(text))
                && !beyond(text.chars().count() as f64, "minLength", "maxLength")
        }
        Value::Number(number) => !beyond(number.as_f64().unwrap(), "minimum", "maximum"),
        Value::Array(items) => {
            found.extend(items.iter().flat_map(|item| faults(&schema["items"], item, path)));
            !beyond(items.len() as f64, "minItems", "maxItems")
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                match schema["properties"].get(name) {
                    Some(schema) => found.extend(faults(schema, field, &path)),
                    None => found.push(format!("{path} is unknown")),
                }
            }
            true
        }
        Value::Bool(_) => true,
        Value::Null => false,
    };
    if !is_listed || !fits {
        found.push(format!("{path}: {value}"));
    }
    found
}

#[test]
fn whatever_flags_take_the_kind_takes_too() {
    let flags = [
        "",
        "--verify-period=1s",
        "--verify-period=1.001s",
        "--verify-period=1m30s",
        "--verify-period=90m",
        "--verify-period=8760h",
        "--min-sync-period=0s",
        "--min-sync-period=0ms",
        "--min-sync-period=0h0m0s",
        "--min-sync-period=1ms",
        "--min-sync-period=1.5s",
        "--min-sync-period=1h1m1s1ms",
        "--min-sync-period=8760h --verify-period=8759h59m59.999s",
        "--mode=iptables --ip-families=IPv6 --drift=observe --table-owner=false --proxy-name=a.b_c-d",
        "--mode=ipvs --ip-families=IPv6,IPv4,IPv6 --masquerade-all --masquerade-bit=31",
        "--detect-local-mode=ClusterCIDR --cluster-cidrs=10.1.2.3/16,fd00::1/64 --masquerade-bit=0",
        "--detect-local-mode=BridgeInterface --pod-interface=cni0@x:y-z_1.2",
        "--detect-local-mode=InterfaceNamePrefix --pod-interface=veth",
        "--detect-local-mode=None --node-port-addresses=All",
        "--node-port-addresses=192.0.2.7/24,fd00::/8",
    ];
    let schema = schema();
    for flags in flags {
        for nodes in [1, 501] {
            assert_eq!(faults(&schema, &spec(flags, nodes), "spec"), [""; 0], "{flags:?}, {nodes} nodes");
        }
    }
    let large = spec("", 501);
    assert_eq!(large["sync"]["statusPeriod"], "60s", "the period that no flag gives was among them");
}

#[test]
fn the_schema_does_refuse() {
    let cases = [
        ("/sync/verifyPeriod", Value::from("0ns"), "spec.sync.verifyPeriod: \"0ns\""),
        ("/sync/statusPeriod", Value::from("1µs"), "spec.sync.statusPeriod: \"1µs\""),
        ("/mode", Value::from("userspace"), "spec.mode: \"userspace\""),
        ("/detectLocal", serde_json::json!({"mode": "None", "typo": 1}), "spec.detectLocal.typo is unknown"),
        ("/node/uid", Value::Null, "spec.node.uid: null"),
    ];
    let schema = schema();
    let good = spec("--verify-period=1m", 501);
    for (field, value, fault) in cases {
        let mut spec = good.clone();
        *spec.pointer_mut(field).unwrap() = value;
        assert_eq!(faults(&schema, &spec, "spec"), [fault]);
    }
}
