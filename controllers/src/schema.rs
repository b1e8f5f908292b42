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

/// How often they are looked at while they are right, and while they are not.
const WHILE_RIGHT: Duration = Duration::from_secs(60);
const WHILE_WRONG: Duration = Duration::from_secs(3);

/// Looks at the stored kinds now, from time to time, and whenever `again` says so. The channel has what is wrong with them.
pub async fn watch_stored(client: Client, again: Arc<Notify>, wrong: watch::Sender<Option<String>>) {
    loop {
        let verdict = check(&client).await.err();
        if *wrong.borrow() != verdict {
            match &verdict {
                Some(problem) => tracing::error!("nothing is written: {problem}"),
                None => tracing::info!("the stored CustomResourceDefinitions are those of this version"),
            }
        }
        let pause = if verdict.is_some() { WHILE_WRONG } else { WHILE_RIGHT };
        wrong.send_replace(verdict);
        tokio::select! {
            () = again.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = wrong.closed() => return,
        }
    }
}

async fn check(client: &Client) -> Result<(), String> {
    let definitions = crd::definitions().map_err(|error| format!("build the kinds: {error}"))?;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let stored = api.get_metadata_opt(&name).await;
        let stored = stored.map_err(|error| format!("read CustomResourceDefinition {name}: {error}"))?;
        let Some(stored) = stored else {
            return Err(format!("CustomResourceDefinition {name} is missing: apply what `pointsman-controller crds` prints"));
        };
        let expected = crd::stored_hash(&definition).unwrap_or_default().to_owned();
        let found = hash(stored.metadata.annotations.as_ref());
        if found != expected {
            return Err(format!(
                "CustomResourceDefinition {name} is of another version (schema hash {found}, this controller needs \
                 {expected}): apply what `pointsman-controller crds` prints"
            ));
        }
    }
    Ok(())
}

fn hash(annotations: Option<&BTreeMap<String, String>>) -> &str {
    annotations.and_then(|annotations| annotations.get(ANNOTATION_SCHEMA_HASH)).map_or("none", String::as_str)
}
