//! Manifests, as a person or a cluster writes them → the index. Fills in what the API server would have filled in.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Node as KubeNode, Pod as KubePod, Service as KubeService};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pointsman_planner::model::{Node, Pod, Service, Slice};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::index::{Index, Indexed, Item, ServiceRanges, Watched};

/// Why manifests cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no YAML.
    #[error("parse {path} as YAML: {message}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Why, and where.
        message: String,
    },
    /// An object is not what its kind says.
    #[error("read {kind} {name} in {path}")]
    Object {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Reads every object of `path` into `index`. Returns the kinds that are of no use here, one entry an object.
pub fn load(path: &Path, index: &mut Index) -> Result<Vec<String>, ManifestError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .map_err(|error| ManifestError::Yaml { path: path.to_owned(), message: error.to_string() })?;
    let mut unused = Vec::new();
    for document in documents {
        load_document(path, document, index, &mut unused)?;
    }
    Ok(unused)
}

fn load_document(
    path: &Path,
    document: Value,
    index: &mut Index,
    unused: &mut Vec<String>,
) -> Result<(), ManifestError> {
    if document.is_null() {
        return Ok(());
    }
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or("object without a kind").to_owned();
    if kind.ends_with("List") {
        let Value::Object(mut list) = document else { return Ok(()) };
        let Some(Value::Array(items)) = list.remove("items") else { return Ok(()) };
        return items.into_iter().try_for_each(|mut item| {
            // A typed list leaves the kind of its items out.
            if let Value::Object(fields) = &mut item {
                fields.entry("kind").or_insert_with(|| Value::from(kind.trim_end_matches("List")));
            }
            load_document(path, item, index, unused)
        });
    }
    match kind.as_str() {
        "Service" => put::<KubeService, Service>(path, &kind, document, index, |service| {
            complete(&mut service.metadata, true);
            let spec = service.spec.get_or_insert_default();
            if spec.cluster_ips.is_none() {
                spec.cluster_ips = spec.cluster_ip.clone().map(|ip| vec![ip]);
            }
            // The API server does not keep an empty map: what selects nothing in particular has no selector.
            spec.selector = spec.selector.take().filter(|selector| !selector.is_empty());
        }),
        "Pod" => put::<KubePod, Pod>(path, &kind, document, index, |pod| complete(&mut pod.metadata, true)),
        "Node" => {
            put::<KubeNode, Node>(path, &kind, document, index, |node| complete(&mut node.metadata, false))
        }
        "EndpointSlice" => put::<EndpointSlice, Slice>(path, &kind, document, index, |slice| {
            complete(&mut slice.metadata, true)
        }),
        "ServiceCIDR" => put::<ServiceCIDR, ServiceRanges>(path, &kind, document, index, |cidr| {
            complete(&mut cidr.metadata, false)
        }),
        _ => {
            unused.push(kind);
            Ok(())
        }
    }
}

fn put<K, T>(
    path: &Path,
    kind: &str,
    document: Value,
    index: &mut Index,
    complete: impl FnOnce(&mut K),
) -> Result<(), ManifestError>
where
    K: DeserializeOwned,
    T: Indexed,
    Item<T>: From<K>,
{
    let name =
        document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name").to_owned();
    let mut object: K = serde_json::from_value(document).map_err(|source| ManifestError::Object {
        kind: kind.to_owned(),
        name,
        path: path.to_owned(),
        source,
    })?;
    complete(&mut object);
    index.watched(Watched::Applied(Item::from(object)));
    Ok(())
}

/// The API server gives every object a namespace and a UID. The UID made here is the same in every run.
fn complete(meta: &mut ObjectMeta, namespaced: bool) {
    if namespaced {
        meta.namespace.get_or_insert_with(|| "default".to_owned());
    }
    let name = meta.name.clone().unwrap_or_default();
    let uid = match &meta.namespace {
        Some(namespace) => format!("uid-of-{namespace}-{name}"),
        None => format!("uid-of-{name}"),
    };
    meta.uid.get_or_insert(uid);
}
