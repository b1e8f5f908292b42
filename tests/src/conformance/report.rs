//! Reads the report that upstream's test program writes (Ginkgo's JSON, the only one of its formats that keeps a test's state and message
//! apart). It judges nothing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// One test that conformance asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    /// Its whole name, as upstream's list of conformance tests has it.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It passed.
    Passed,
    /// It failed, or did not run though it should have; with the first line of what it said.
    Failed(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    spec_reports: Option<Vec<Node>>,
}

/// A test, or a piece of code before or after all tests, which has no text.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    leaf_node_text: String,
    state: String,
    /// In nanoseconds.
    run_time: u64,
    failure: Option<Failure>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    message: String,
}

/// The tests that conformance of the network asks for, by name, whether they ran or not. An error if there are none, or if what comes
/// before and after all tests failed.
pub(super) fn read(json: &[u8]) -> Result<Vec<Spec>> {
    let suites: Vec<Suite> = serde_json::from_slice(json).context("read the report of the tests")?;
    let nodes: Vec<Node> =
        suites.into_iter().flat_map(|suite| suite.spec_reports.unwrap_or_default()).collect();
    for node in nodes.iter().filter(|node| node.leaf_node_type != "It") {
        ensure!(node.state == "passed", "{} {}: {}", node.leaf_node_type, node.state, node.first_line());
    }
    let mut specs: Vec<Spec> = nodes.iter().filter(|node| node.is_asked_for()).map(Node::spec).collect();
    specs.sort_by(|left, right| left.name.cmp(&right.name));
    ensure!(!specs.is_empty(), "the report names no conformance test of the network");
    Ok(specs)
}

impl Node {
    fn is_asked_for(&self) -> bool {
        let name = self.name();
        self.leaf_node_type == "It" && name.starts_with("[sig-network]") && name.contains("[Conformance]")
    }

    fn name(&self) -> String {
        let texts = self.container_hierarchy_texts.iter().flatten();
        texts.map(String::as_str).chain([self.leaf_node_text.as_str()]).collect::<Vec<_>>().join(" ")
    }

    fn spec(&self) -> Spec {
        let outcome = match self.state.as_str() {
            "passed" => Outcome::Passed,
            state => Outcome::Failed(format!("{state}: {}", self.first_line())),
        };
        Spec { name: self.name(), outcome, took: Duration::from_nanos(self.run_time) }
    }

    fn first_line(&self) -> &str {
        let message = self.failure.as_ref().map_or("", |failure| failure.message.trim());
        message.lines().next().unwrap_or("it said nothing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"[{ "SuitePath": "e2e", "SpecReports": [
        { "ContainerHierarchyTexts": null, "LeafNodeType": "SynchronizedBeforeSuite", "LeafNodeText": "", "State": "passed", "RunTime": 1 },
        { "ContainerHierarchyTexts": ["[sig-network] Services"], "LeafNodeType": "It", "LeafNodeText": "should answer [Conformance]",
          "State": "passed", "RunTime": 2000000000 },
        { "ContainerHierarchyTexts": ["[sig-network] Services"], "LeafNodeType": "It", "LeafNodeText": "should stick [Conformance]",
          "State": "failed", "RunTime": 3, "Failure": { "Message": "went elsewhere\nand more" } },
        { "ContainerHierarchyTexts": ["[sig-network] DNS"], "LeafNodeType": "It", "LeafNodeText": "was left out [Conformance]",
          "State": "skipped", "RunTime": 0 },
        { "ContainerHierarchyTexts": ["[sig-network] Services"], "LeafNodeType": "It", "LeafNodeText": "should do more",
          "State": "skipped", "RunTime": 0 },
        { "ContainerHierarchyTexts": ["[sig-node] Pods"], "LeafNodeType": "It", "LeafNodeText": "should run [Conformance]",
          "State": "skipped", "RunTime": 0 }
    ] }]"#;

    #[test]
    fn names_states_and_messages_are_read_and_others_are_left_out() {
        let read = read(REPORT.as_bytes()).unwrap();
        let seen: Vec<_> =
            read.iter().map(|spec| (spec.name.as_str(), &spec.outcome, spec.took.as_secs())).collect();
        let expected = [
            (
                "[sig-network] DNS was left out [Conformance]",
                &Outcome::Failed("skipped: it said nothing".into()),
                0,
            ),
            ("[sig-network] Services should answer [Conformance]", &Outcome::Passed, 2),
            (
                "[sig-network] Services should stick [Conformance]",
                &Outcome::Failed("failed: went elsewhere".into()),
                0,
            ),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_report_without_a_test_or_with_a_bad_beginning_is_no_report() {
        let nothing = read(br#"[{ "SpecReports": null }]"#).unwrap_err();
        assert!(nothing.to_string().contains("no conformance test"), "{nothing:#}");
        let bad = REPORT.replacen("\"State\": \"passed\"", "\"State\": \"failed\"", 1);
        let bad = read(bad.as_bytes()).unwrap_err();
        assert!(bad.to_string().starts_with("SynchronizedBeforeSuite failed"), "{bad:#}");
    }
}
