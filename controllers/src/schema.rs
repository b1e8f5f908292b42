//! Whether the kinds that the API server has stored are those of this version. An older one would silently drop fields that
//! it does not know: a restriction that is dropped lets everybody in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};
use pointsman_crds::crd;
use pointsman_crds::names::ANNOTATION_SCHEMA_HASH;
use tokio::sync::{Notify, watch};

use crate::reason;

/// What helps.
const REMEDY: &str = "apply what `pointsman-controller crds` prints";
/// How often they are looked at while they are right, and while they are not.
const WHILE_RIGHT: Duration = Duration::from_secs(60);
const WHILE_WRONG: Duration = Duration::from_secs(3);

/// Looks at the stored kinds now, from time to time, and whenever `again` says so. The channel has what is wrong with them. An
/// API server that does not answer says nothing about them: what was known stays.
pub async fn watch_stored(client: Client, again: Arc<Notify>, wrong: watch::Sender<Option<String>>) {
    loop {
        match check(&client).await {
            Ok(verdict) => {
                if *wrong.borrow() != verdict {
                    match &verdict {
                        Some(problem) => tracing::error!("nothing is written: {problem}"),
                        None => {
                            tracing::info!("the stored CustomResourceDefinitions are those of this version")
                        }
                    }
                }
                wrong.send_replace(verdict);
            }
            Err(error) => tracing::warn!("the stored kinds cannot be looked at: {error}"),
        }
        let pause = if wrong.borrow().is_some() { WHILE_WRONG } else { WHILE_RIGHT };
        tokio::select! {
            () = again.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = wrong.closed() => return,
        }
    }
}

/// What is wrong with the stored kinds, or why that cannot be told.
async fn check(client: &Client) -> Result<Option<String>, String> {
    let definitions = crd::definitions().map_err(|error| format!("build the kinds: {error}"))?;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let stored = api.get_metadata_opt(&name).await;
        let stored = stored
            .map_err(|error| format!("read CustomResourceDefinition {name}: {}", reason::of(&error)))?;
        let Some(stored) = stored else {
            return Ok(Some(format!("CustomResourceDefinition {name} is missing: {REMEDY}")));
        };
        let expected = crd::stored_hash(&definition).unwrap_or_default();
        let found = hash(stored.metadata.annotations.as_ref());
        if found != expected {
            return Ok(Some(format!(
                "CustomResourceDefinition {name} is of another version (schema hash {found}, this controller needs \
                 {expected}): {REMEDY}"
            )));
        }
    }
    Ok(None)
}

fn hash(annotations: Option<&BTreeMap<String, String>>) -> &str {
    annotations.and_then(|annotations| annotations.get(ANNOTATION_SCHEMA_HASH)).map_or("none", String::as_str)
}
