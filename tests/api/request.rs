//! One request to the API server as a value, so that a table can hold it, and the answer to it. It judges neither.

use anyhow::{Context, Result};
use http::{Method, header::CONTENT_TYPE};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

const GROUP: &str = "/apis/pointsman.dev/v1alpha1";

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    path: String,
    content: &'static str,
    body: Value,
    dry: bool,
    onto_current: bool,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// The object, list or `Status`.
    pub body: Value,
    /// The API server's warnings to the client.
    pub warnings: Vec<String>,
}

/// Reads an object or a list.
pub fn get(path: &str) -> Request {
    request(Method::GET, path, "application/json", Value::Null)
}

/// Creates an object in the list at `path`.
pub fn create(path: &str, object: Value) -> Request {
    request(Method::POST, path, "application/json", object)
}

/// Changes an object by merge patch.
pub fn merge(path: &str, patch: Value) -> Request {
    request(Method::PATCH, path, "application/merge-patch+json", patch)
}

/// Applies on the server's side, by force.
pub fn apply(path: &str, object: Value) -> Request {
    request(Method::PATCH, path, "application/apply-patch+yaml", object)
}

/// Writes the object back whole, as it is now with `patch` merged into it.
pub fn replace(path: &str, patch: Value) -> Request {
    Request { onto_current: true, ..request(Method::PUT, path, "application/json", patch) }
}

/// Deletes an object, or all of a list.
pub fn delete(path: &str) -> Request {
    request(Method::DELETE, path, "application/json", Value::Null)
}

/// The kinds that the tables speak of, by short words: `npp/x` for what has no namespace, `spp@namespace/x` for what has one.
const KINDS: &[(&str, &str, &str)] = &[
    ("npp", GROUP, "nodeproxyplans"),
    ("pxp", GROUP, "proxyprofiles"),
    ("spp", GROUP, "serviceproxyplans"),
    ("node", "/api/v1", "nodes"),
    ("service", "/api/v1", "services"),
    ("pod", "/api/v1", "pods"),
    ("secret", "/api/v1", "secrets"),
    ("configmap", "/api/v1", "configmaps"),
    ("endpoints", "/api/v1", "endpoints"),
    ("account", "/api/v1", "serviceaccounts"),
    ("slice", "/apis/discovery.k8s.io/v1", "endpointslices"),
    ("cidr", "/apis/networking.k8s.io/v1", "servicecidrs"),
    ("event", "/apis/events.k8s.io/v1", "events"),
    ("lease", "/apis/coordination.k8s.io/v1", "leases"),
    ("role", "/apis/rbac.authorization.k8s.io/v1", "roles"),
    ("clusterrole", "/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    ("policy", "/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    ("binding", "/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings"),
    ("crd", "/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    ("deployment", "/apis/apps/v1", "deployments"),
    ("daemonset", "/apis/apps/v1", "daemonsets"),
];

fn request(method: Method, path: &str, content: &'static str, body: Value) -> Request {
    let (kind, rest) = path.split_at(path.find(['/', '?']).unwrap_or(path.len()));
    let (kind, namespace) = match kind.split_once('@') {
        Some((kind, namespace)) => (kind, format!("/namespaces/{namespace}")),
        None => (kind, String::new()),
    };
    let path = match KINDS.iter().find(|(short, ..)| *short == kind) {
        Some((_, group, plural)) => format!("{group}{namespace}/{plural}{rest}"),
        None => path.to_owned(),
    };
    Request { method, path, content, body, dry: false, onto_current: false }
}

impl Request {
    /// All checks are made, and nothing is stored.
    pub fn dry(self) -> Self {
        Self { dry: true, ..self }
    }

    pub(crate) async fn send(&self, client: Client, manager: &str) -> Result<Answer> {
        let mut body = self.body.clone();
        if self.onto_current {
            let mut current = send(client.clone(), get(&self.path).request(manager)?).await?.body;
            merge_into(&mut current, &body);
            body = current;
        }
        send(client, Self { body, ..self.clone() }.request(manager)?).await
    }

    fn request(&self, manager: &str) -> Result<http::Request<Body>> {
        let mut query = vec![];
        let manager = format!("fieldManager={manager}");
        if self.dry {
            query.push("dryRun=All");
        }
        if self.content == "application/apply-patch+yaml" {
            query.extend([&manager, "force=true"]);
        } else if self.method != Method::GET && self.method != Method::DELETE {
            // What the schema does not know is refused, not dropped in silence.
            query.push("fieldValidation=Strict");
        }
        let separator = if self.path.contains('?') { "&" } else { "?" };
        let uri = format!("{}{separator}{}", self.path, query.join("&"));
        let body = if self.body.is_null() { vec![] } else { serde_json::to_vec(&self.body)? };
        http::Request::builder()
            .method(&self.method)
            .uri(uri)
            .header(CONTENT_TYPE, self.content)
            .body(Body::from(body))
            .context("build the request")
    }
}

impl Answer {
    /// The sentence of a refusal.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

async fn send(client: Client, request: http::Request<Body>) -> Result<Answer> {
    let response = client.send(request).await?;
    let code = response.status().as_u16();
    let warnings = response.headers().get_all(http::header::WARNING).iter();
    let warnings = warnings.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
    let bytes = response.into_body().collect_bytes().await?;
    let text = String::from_utf8_lossy(&bytes);
    // A watch answers with a line an event, or with none.
    let body = serde_json::Deserializer::from_str(&text).into_iter().next().unwrap_or(Ok(Value::Null));
    let body = body.with_context(|| format!("answer {code}: {text}"))?;
    Ok(Answer { code, body, warnings })
}

/// RFC 7386.
fn merge_into(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    for (name, value) in fields {
        if value.is_null() {
            if let Some(object) = target.as_object_mut() {
                object.remove(name);
            }
        } else {
            merge_into(&mut target[name.as_str()], value);
        }
    }
}
