//! `plan` on the example manifests: the same in any order, readable as the kinds that they are, and clear about what is wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

use std::path::PathBuf;

use clap::Parser;
use pointsman_controllers::args::{Cli, Command, PlanArgs};
use pointsman_controllers::{offline, settings};
use pointsman_crds::{NodeProxyPlan, ServiceProxyPlan};
use serde_json::Value;

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/manifests").join(name)
}

fn examples() -> Vec<PathBuf> {
    ["nodes.yaml", "web.yaml", "dns.yaml", "idle.yaml"].map(example).to_vec()
}

fn args(flags: &[&str]) -> PlanArgs {
    let line = ["pointsman-controller", "plan", "-f", "unused"].iter().chain(flags);
    match Cli::try_parse_from(line).unwrap().command {
        Command::Plan(args) => *args,
        other => panic!("{other:?}"),
    }
}

/// Plans and notes, or the error.
fn plan(files: &[PathBuf], node: Option<&str>, flags: &[&str]) -> Result<(String, String), String> {
    let args = args(flags);
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let (policy, settings) = (settings::policy(&args.proxy), settings::settings(&args.proxy).unwrap());
    offline::print_plans(files, node, policy, &settings, &mut out, &mut notes)
        .map_err(|error| error.to_string())?;
    Ok((String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap()))
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

#[test]
fn the_order_of_files_does_not_matter() {
    let mut files = examples();
    let (forward, notes) = plan(&files, None, &[]).unwrap();
    assert_eq!(notes, "");
    files.reverse();
    assert_eq!(plan(&files, None, &[]).unwrap().0, forward);
}

#[test]
fn what_is_printed_reads_back_as_the_kinds() {
    let (text, _) = plan(&examples(), None, &[]).unwrap();
    let (nodes, services): (Vec<Value>, Vec<Value>) =
        documents(&text).into_iter().partition(|document| document["kind"] == "NodeProxyPlan");
    let nodes: Vec<NodeProxyPlan> =
        nodes.into_iter().map(|node| serde_json::from_value(node).unwrap()).collect();
    let plans: Vec<ServiceProxyPlan> =
        services.into_iter().map(|plan| serde_json::from_value(plan).unwrap()).collect();
    assert_eq!(nodes.iter().map(|node| node.spec.node.addresses.len()).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(nodes[0].spec.service_cidrs.len(), 2);
    let names: Vec<_> = plans.iter().map(|plan| plan.metadata.name.clone().unwrap()).collect();
    assert_eq!(names, ["dns", "idle", "web"]);
    let endpoints: Vec<_> =
        plans.iter().map(|plan| plan.spec.summary.as_ref().unwrap().endpoints.unwrap()).collect();
    assert_eq!(endpoints, [1, 0, 6]);
    assert_eq!(plans[2].spec.groups[0].targets[0].port.get(), 8080, "the named port is resolved");
}

#[test]
fn one_node_can_be_asked_for() {
    let (text, _) = plan(&examples(), Some("node-2"), &[]).unwrap();
    let nodes = documents(&text).into_iter().filter(|document| document["kind"] == "NodeProxyPlan");
    assert_eq!(nodes.map(|node| node["metadata"]["name"].clone()).collect::<Vec<_>>(), ["node-2"]);
    assert_eq!(
        plan(&examples(), Some("node-9"), &[]).unwrap_err(),
        "there is no Node node-9 in the manifests"
    );
}

#[test]
fn slices_are_made_or_read_as_the_flag_says() {
    let count = |flags: &[&str]| {
        let (text, _) = plan(&examples(), None, flags).unwrap();
        documents(&text).iter().filter_map(|d| d["spec"]["summary"]["endpoints"].as_u64()).sum::<u64>()
    };
    assert_eq!(count(&["--endpoint-slices", "manage"]), 7);
    assert_eq!(count(&["--endpoint-slices", "Consume"]), 0, "there are no slices in the examples");
}

#[test]
fn an_empty_selector_and_target_port_mean_what_the_api_server_makes_of_them() {
    let path = std::env::temp_dir().join(format!("pointsman-empty-{}.yaml", std::process::id()));
    let manifests = "
kind: Service
metadata: {name: aimless}
spec: {clusterIP: 10.96.0.1, selector: {}, ports: [{port: 80, targetPort: 80}]}
---
kind: Service
metadata: {name: chosen}
spec: {clusterIP: 10.96.0.2, selector: {app: a}, ports: [{port: 81, targetPort: ''}]}
---
kind: Pod
metadata: {name: pod, labels: {app: a}}
spec: {containers: []}
status: {podIP: 10.244.1.1, conditions: [{type: Ready, status: 'True'}]}
";
    std::fs::write(&path, manifests).unwrap();
    let (text, notes) = plan(std::slice::from_ref(&path), None, &[]).unwrap();
    std::fs::remove_file(&path).unwrap();
    let plans = documents(&text);
    assert_eq!((plans.len(), notes.as_str()), (2, ""));
    assert_eq!(plans[0]["spec"].get("groups"), None, "it selects nothing");
    assert_eq!(plans[1]["spec"]["groups"][0]["targets"][0]["port"], 81);
}

#[test]
fn notes_tell_what_is_missing_and_refused() {
    let directory = std::env::temp_dir().join(format!("pointsman-plan-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let cases = [
        ("kind: ConfigMap\nmetadata: {name: x}\n", "ConfigMap is not used"),
        (
            "kind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 80}]}\n",
            "Service default/x has no plan",
        ),
        (
            "kind: Service\nmetadata: {name: x}\nspec: {clusterIP: 10.96.0.1, externalIPs: [1.2.3.4], ports: [{port: 80}]}\n",
            "refused: Service default/x: external IP 1.2.3.4 (ExternalIpNotAllowed)",
        ),
        (
            "kind: Service\nmetadata: {name: x}\nspec: {clusterIP: 10.96.0.1, ports: [{port: 70000}]}\n",
            "refused: Service default/x: port 70000/ (Malformed)",
        ),
    ];
    for (manifest, expected) in cases {
        let (_, notes) = plan(&[write("case.yaml", manifest)], None, &[]).unwrap();
        assert!(notes.contains(expected) && notes.lines().count() == 1, "{manifest} gives {notes:?}");
    }
    assert!(plan(&[write("bad.yaml", "kind: [")], None, &[]).unwrap_err().contains("bad.yaml as YAML"));
    let wrong = write("wrong.yaml", "kind: Service\nmetadata: {name: x}\nspec: {ports: 7}\n");
    assert!(plan(&[wrong], None, &[]).unwrap_err().starts_with("read Service x in "));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn flags_that_contradict_one_another_are_refused_in_a_sentence() {
    let cases: &[(&[&str], &str)] = &[
        (&["--detect-local-mode", "ClusterCIDR"], "--detect-local-mode=ClusterCIDR needs --cluster-cidrs"),
        (
            &["--cluster-cidrs", "10.0.0.0/8"],
            "--cluster-cidrs goes with --detect-local-mode=ClusterCIDR only",
        ),
        (
            &["--detect-local-mode=ClusterCIDR", "--cluster-cidrs=10.0.0.0/8", "--ip-families=IPv6"],
            "--cluster-cidrs=10.0.0.0/8 has no range of a family in --ip-families=IPv6",
        ),
        (
            &["--detect-local-mode", "BridgeInterface"],
            "--detect-local-mode=BridgeInterface needs --pod-interface",
        ),
        (
            &["--pod-interface", "cbr0"],
            "--pod-interface goes with --detect-local-mode=BridgeInterface or InterfaceNamePrefix only",
        ),
        (
            &["--detect-local-mode", "BridgeInterface", "--pod-interface", "a b"],
            "--pod-interface=\"a b\" is no interface name: 1 to 15 letters, digits and the signs _ . : @ -",
        ),
        (
            &["--node-port-addresses", "some"],
            "--node-port-addresses=\"some\" is neither Primary nor All nor a list of ranges such as 192.0.2.0/24",
        ),
        (
            &["--proxy-name=-x"],
            "--proxy-name=\"-x\" is no label value: up to 63 letters, digits and the signs - _ . between them",
        ),
    ];
    for (flags, expected) in cases {
        assert_eq!(settings::settings(&args(flags).proxy).unwrap_err().to_string(), *expected, "{flags:?}");
    }
}

#[test]
fn a_family_that_is_proxied_and_has_no_range_is_told_of() {
    let by_range = ["--detect-local-mode=ClusterCIDR", "--cluster-cidrs"];
    let cases: [(&str, &[&str]); 5] = [
        ("10.0.0.0/8,fd00::/64", &[]),
        ("10.0.0.0/8 --ip-families=IPv4", &[]),
        ("10.0.0.0/8,fd00::/64 --ip-families=IPv6", &[]),
        ("10.0.0.0/8", &["IPv6"]),
        ("fd00::/64", &["IPv4"]),
    ];
    for (ranges, bare) in cases {
        let flags: Vec<&str> = by_range.into_iter().chain(ranges.split(' ')).collect();
        let told = settings::remarks(&settings::settings(&args(&flags).proxy).unwrap());
        let expected = |family: &&str| format!("--cluster-cidrs has no {family} range: ");
        assert_eq!(told.len(), bare.len(), "{ranges}: {told:?}");
        assert!(
            told.iter().zip(bare.iter().map(expected)).all(|(told, so)| told.starts_with(&so)),
            "{told:?}"
        );
    }
    assert!(settings::remarks(&settings::settings(&args(&[]).proxy).unwrap()).is_empty(), "by default");
}

#[test]
fn defaults_are_left_out_of_the_settings_but_for_what_everybody_wants_to_see() {
    let json =
        |flags: &[&str]| serde_json::to_value(settings::settings(&args(flags).proxy).unwrap()).unwrap();
    let seen = serde_json::json!({
        "mode": "nftables", "ipFamilies": ["IPv4", "IPv6"], "detectLocal": {"mode": "NodeCIDR"},
    });
    assert_eq!(json(&[]), seen);
    let flags = "--mode iptables --ip-families IPv6 --detect-local-mode ClusterCIDR --cluster-cidrs fd00:1::5/64 \
                 --masquerade-bit 3 --masquerade-all --node-port-addresses 192.0.2.0/24 --proxy-name p \
                 --table-owner false --min-sync-period 500ms --verify-period 1m --drift observe";
    let all = serde_json::json!({
        "mode": "iptables", "ipFamilies": ["IPv6"],
        "detectLocal": {"mode": "ClusterCIDR", "clusterCIDRs": ["fd00:1::/64"]},
        "masquerade": {"bit": 3, "all": true},
        "nodePortAddresses": {"type": "CIDRs", "cidrs": ["192.0.2.0/24"]},
        "nftables": {"tableOwner": false}, "proxyName": "p",
        "sync": {"minPeriod": "500ms", "verifyPeriod": "60s", "drift": "Observe"},
    });
    assert_eq!(json(&flags.split_whitespace().collect::<Vec<_>>()), all);
}
