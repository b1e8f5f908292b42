//! What is told of connections on the example plan: a line a case.

use std::path::Path;

use super::*;
use crate::feed::directory::Directory;
use crate::render::dispatch;

fn told(target: &str, from: &str) -> String {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plan-dir");
    let plan = Directory::new(&examples, Some("node-1")).load().unwrap();
    explain(&plan, &dispatch(&plan), target.parse().unwrap(), from.parse().unwrap()).unwrap()
}

#[test]
fn connections_on_the_example_plan() {
    let cases: [(&str, &str, &[&str]); 13] = [
        (
            "10.96.0.10:80/tcp",
            "pod",
            &[
                "shop/web, port http 80/TCP, by its cluster IP",
                "one of 2",
                "10.244.1.7:8080 (on this node, zone a)",
                "kept",
            ],
        ),
        (
            "10.96.0.10:80/tcp",
            "outside",
            &["no pod of this node", "replaced by the node's: the sender is no pod of this node"],
        ),
        ("10.96.0.10:80/tcp", "node", &["the node itself is no local pod"]),
        ("10.96.0.10:80/tcp", "10.244.1.7", &["only where the sender reaches itself"]),
        ("[fd00:96::10]:80/TCP", "pod", &["[fd00:244:2::9]:8080 (on node-2, zone b)"]),
        (
            "10.200.0.11:30080/tcp",
            "outside",
            &["by its node port", "so that the answer comes back through it"],
        ),
        (
            "10.200.0.12:30080/tcp",
            "outside",
            &["is left alone", "10.200.0.12 is no address on which node-1 answers"],
        ),
        ("10.96.0.10:81/tcp", "pod", &["is rejected", "shop/web, which listens on 80/TCP"]),
        (
            "10.96.0.53:53/udp",
            "pod",
            &[
                "kube-system/dns",
                "10.244.2.53:53",
                "10.244.1.53:53 (on this node, zone a, terminating): it is terminating, and others are ready",
            ],
        ),
        ("10.96.0.30:443/tcp", "pod", &["is rejected", "shop/soon has no usable endpoint for port 443/TCP"]),
        ("10.96.7.7:80/tcp", "pod", &["is dropped", "no Service has it"]),
        ("192.0.2.99:80/tcp", "pod", &["is left alone", "no Service in this plan listens on 192.0.2.99"]),
        ("10.96.0.40:9000/tcp", "pod", &["shop/metrics", "Refused", "169.254.169.254"]),
    ];
    for (target, from, expected) in cases {
        let text = told(target, from);
        for words in expected {
            assert!(text.contains(words), "{words:?} is missing for {target} from {from}:\n{text}");
        }
    }
}

#[test]
fn a_connection_between_families_is_refused() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plan-dir");
    let plan = Directory::new(&examples, Some("node-1")).load().unwrap();
    let target = "10.96.0.10:80/tcp".parse().unwrap();
    let told = explain(&plan, &dispatch(&plan), target, "fd00::1".parse().unwrap());
    assert_eq!(told, Err("fd00::1 cannot reach 10.96.0.10: they are of different families".to_owned()));
}
