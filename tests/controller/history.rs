//! Everything that was ever stored of a kind in a namespace, step by step, as a watch from the beginning tells it: what a reader could
//! have seen at any moment. It replays and judges nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::place::Place;
use crate::text::text;

/// Where EndpointSlices are: group and plural.
pub const SLICES: (&str, &str) = ("apis/discovery.k8s.io/v1", "endpointslices");
/// Where ServiceProxyPlans are.
pub const PLANS: (&str, &str) = ("apis/pointsman.dev/v1alpha1", "serviceproxyplans");

/// The objects at one moment, by name.
pub type Moment = BTreeMap<String, Value>;

/// Every moment since the namespace was made.
pub fn moments(place: &Place<'_>, (group, plural): (&str, &str)) -> Result<Vec<Moment>> {
    let namespace = place.world.text(&format!("/api/v1/namespaces/{}", place.name))?;
    let namespace: Value = serde_json::from_str(&namespace)?;
    let start = text(&namespace["metadata"]["resourceVersion"]).to_owned();
    let path = format!(
        "/{group}/namespaces/{}/{plural}?watch=true&resourceVersion={start}&timeoutSeconds=1",
        place.name
    );
    let told = place.world.text(&path)?;
    let mut now = Moment::new();
    let mut all = vec![now.clone()];
    for event in serde_json::Deserializer::from_str(&told).into_iter::<Value>() {
        let event = event.context("read a watch event")?;
        let name = text(&event["object"]["metadata"]["name"]).to_owned();
        match text(&event["type"]) {
            "ADDED" | "MODIFIED" => drop(now.insert(name, event["object"].clone())),
            "DELETED" => drop(now.remove(&name)),
            other => ensure!(other == "BOOKMARK", "the watch said {event:#}"),
        }
        all.push(now.clone());
    }
    Ok(all)
}
