//! The objects that trials make: Services, Pods, Nodes and hand-made slices. No logic but defaults.

use serde_json::{Value, json};

use crate::request::{Request, create, delete, merge};

/// A Pod that is ready, unless said otherwise.
#[derive(Clone, Debug)]
pub struct Pod {
    number: u16,
    app: &'static str,
    node: &'static str,
    phase: &'static str,
    ready: bool,
    since: &'static str,
    leaving: bool,
    addresses: usize,
    ports: Vec<(&'static str, u16)>,
    sidecar: Option<(&'static str, u16)>,
    hostname: Option<(&'static str, &'static str)>,
}

/// The Pod `pod-<number>` of app `web` on node `north`, with the addresses 10.1.0.<number> and fd00:1::<number>, and port `web` 8080.
pub fn pod(number: u16) -> Pod {
    Pod {
        number,
        app: "web",
        node: "north",
        phase: "Running",
        ready: true,
        since: "2026-01-01T00:00:00Z",
        leaving: false,
        addresses: 2,
        ports: vec![("web", 8080)],
        sidecar: None,
        hostname: None,
    }
}

impl Pod {
    pub fn not_ready(self) -> Self {
        Self { ready: false, ..self }
    }

    /// Its readiness is what it is since then.
    pub fn since(self, since: &'static str) -> Self {
        Self { since, ..self }
    }

    /// Deleted, and in its grace period.
    pub fn leaving(self) -> Self {
        Self { leaving: true, ..self }
    }

    pub fn phase(self, phase: &'static str) -> Self {
        Self { phase, ..self }
    }

    pub fn app(self, app: &'static str) -> Self {
        Self { app, ..self }
    }

    pub fn on(self, node: &'static str) -> Self {
        Self { node, ..self }
    }

    pub fn without_address(self) -> Self {
        Self { addresses: 0, ..self }
    }

    pub fn only_ipv4(self) -> Self {
        Self { addresses: 1, ..self }
    }

    /// Its only named port.
    pub fn port(self, name: &'static str, number: u16) -> Self {
        Self { ports: vec![(name, number)], ..self }
    }

    /// A named port of a container that is started first and stays.
    pub fn sidecar(self, name: &'static str, number: u16) -> Self {
        Self { sidecar: Some((name, number)), ..self }
    }

    /// Its hostname and subdomain.
    pub fn named(self, hostname: &'static str, subdomain: &'static str) -> Self {
        Self { hostname: Some((hostname, subdomain)), ..self }
    }

    pub fn name(&self) -> String {
        format!("pod-{}", self.number)
    }

    /// The status that its kubelet would write.
    pub fn status(&self) -> Value {
        let [high, low] = self.number.to_be_bytes();
        let all = [
            json!({"ip": format!("10.1.{high}.{low}")}),
            json!({"ip": format!("fd00:1::{:x}", self.number)}),
        ];
        let ready = if self.ready { "True" } else { "False" };
        json!({"status": {
            "phase": self.phase,
            "podIP": all[0]["ip"].as_str().filter(|_| self.addresses > 0),
            "podIPs": all[..self.addresses],
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": self.since}],
        }})
    }

    /// Makes it, reports it, and deletes it if it is leaving.
    pub fn requests(&self, namespace: &str) -> Vec<Request> {
        let list = format!("pod@{namespace}");
        let one = format!("{list}/{}", self.name());
        let mut requests = vec![create(&list, self.object()), merge(&format!("{one}/status"), self.status())];
        requests.extend(self.leaving.then(|| delete(&one)));
        requests
    }

    fn object(&self) -> Value {
        let port = |(name, number): &(&str, u16)| json!({"name": name, "containerPort": number});
        let container = |name: &str, ports: Vec<Value>| json!({"name": name, "image": "none.invalid/none", "ports": ports});
        let mut sidecars: Vec<Value> =
            self.sidecar.iter().map(|it| container("sidecar", vec![port(it)])).collect();
        for sidecar in &mut sidecars {
            sidecar["restartPolicy"] = "Always".into();
        }
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": self.name(), "labels": {"app": self.app}},
            "spec": {
                "nodeName": self.node,
                "hostname": self.hostname.map(|(hostname, _)| hostname),
                "subdomain": self.hostname.map(|(_, subdomain)| subdomain),
                "initContainers": sidecars,
                "containers": [container("web", self.ports.iter().map(port).collect())],
            },
        })
    }
}

/// A Service that selects app `web` and answers on port 80 for 8080; fields of `spec` replace these, null takes them out.
pub fn service(name: &str, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    object
}

/// A slice as somebody would write it by hand, with port 8080.
pub fn slice(name: &str, service: &str, addresses: &[&str]) -> Value {
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"addresses": [address], "conditions": {"ready": true}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": "hand",
        }},
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

/// A Node in a zone, without addresses and ranges.
pub fn node(name: &str, zone: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}})
}

/// A Node's status with its address.
pub fn node_status(address: &str) -> Value {
    json!({"status": {"addresses": [{"type": "InternalIP", "address": address}]}})
}
