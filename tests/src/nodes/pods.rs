//! Pods that ask and answer: upstream's test image on a node of choice. It writes Pods and nothing else.

use anyhow::{Context, Result};
use serde_json::json;

use crate::command::Outcome;

use super::{AGNHOST, RealCluster};

impl RealCluster {
    /// Starts a pod of the test image (`namespace/name`; the namespace exists), on a node counted from 0 or on any, and waits until it is
    /// Ready. It also answers: HTTP at 8080 (`/hostname`, `/clientip`, `/echo?msg=`) and UDP at 8081.
    pub fn client_pod(&self, pod: &str, node: Option<usize>) -> Result<()> {
        let (namespace, name) = split(pod)?;
        let selector = node.map(|node| json!({ "kubernetes.io/hostname": self.node(node).name() }));
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": namespace, "labels": { "app": name } },
            "spec": {
                "nodeSelector": selector,
                "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": "agnhost", "image": AGNHOST, "imagePullPolicy": "Never",
                    "args": ["netexec", "--http-port=8080", "--udp-port=8081"],
                    "readinessProbe": { "httpGet": { "path": "/hostname", "port": 8080 }, "periodSeconds": 1 },
                }],
            },
        });
        self.apply(&object.to_string())?;
        self.kubectl(&["wait", "-n", namespace, "--for=condition=Ready", "--timeout=60s", "pod", name])
            .map(drop)
    }

    /// Runs a program in a pod (`namespace/name`) to its end; an error if it fails.
    pub fn exec(&self, pod: &str, argv: &[&str]) -> Result<String> {
        self.exec_outcome(pod, argv)?.success()
    }

    /// Runs a program in a pod to its end, and tells how it ended.
    pub fn exec_outcome(&self, pod: &str, argv: &[&str]) -> Result<Outcome> {
        let (namespace, name) = split(pod)?;
        self.kubectl_outcome(&[&["exec", "-n", namespace, name, "--"], argv].concat())
    }
}

fn split(pod: &str) -> Result<(&str, &str)> {
    pod.split_once('/').with_context(|| format!("{pod} is no namespace/name"))
}
