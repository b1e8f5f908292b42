//! Kubeconfig files: who somebody is, and where the API server answers; and clients made from them. It knows no cluster but the one it
//! is told.

use std::path::Path;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::certificates::Pair;

/// How somebody proves who they are.
#[derive(Debug)]
pub enum Credentials<'a> {
    /// By a client certificate.
    Certificate(&'a Pair),
    /// By a bearer token, as a service account does.
    Token(&'a str),
}

/// Writes a kubeconfig for one user of one server.
pub fn write(path: &Path, server: &str, authority: &Path, credentials: &Credentials<'_>) -> Result<()> {
    let user = match credentials {
        Credentials::Certificate(pair) => {
            json!({ "client-certificate": pair.certificate, "client-key": pair.key })
        }
        Credentials::Token(token) => json!({ "token": token }),
    };
    let text = serde_json::to_vec_pretty(&document(server, authority, &user))?;
    std::fs::write(path, text).with_context(|| format!("write the kubeconfig {}", path.display()))
}

/// A client of whoever a kubeconfig says. It must be used where the API server can be reached.
pub async fn client(path: &Path) -> Result<kube::Client> {
    let kubeconfig = Kubeconfig::read_from(path).with_context(|| format!("read {}", path.display()))?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("understand {}", path.display()))?;
    kube::Client::try_from(config).context("make a client of the API server")
}

/// JSON is YAML too, and needs no quoting of its own.
fn document(server: &str, authority: &Path, user: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": { "server": server, "certificate-authority": authority } }],
        "users": [{ "name": "user", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "user" } }],
        "current-context": "test",
    })
}
