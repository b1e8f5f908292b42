//! EndpointSlice ↔ model, and what a change of a slice concerns.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use pointsman_crds::IpFamily;
use pointsman_crds::names::{ANNOTATION_ENDPOINTS_TRIGGER_TIME, LABEL_SLICE_SERVICE};
use pointsman_planner::model::{ServiceKey, Slice, SliceContent, SliceEndpoint, SlicePort, TargetRef};

use super::version::Versioned;
use super::{Index, Indexed, Item, Key, parse};

impl Versioned for Slice {
    fn uid(&self) -> &str {
        &self.uid
    }

    fn resource_version(&self) -> &str {
        &self.resource_version
    }
}

impl From<EndpointSlice> for Item<Slice> {
    fn from(slice: EndpointSlice) -> Self {
        let key = parse::key(&slice.metadata);
        let labels = slice.metadata.labels.clone().unwrap_or_default();
        let family = match slice.address_type.as_str() {
            "IPv4" => IpFamily::IPv4,
            "IPv6" => IpFamily::IPv6,
            _ => return Item { key, value: None },
        };
        let Some(service) = labels.get(LABEL_SLICE_SERVICE).cloned() else {
            return Item { key, value: None };
        };
        let trigger =
            slice.metadata.annotations.as_ref().and_then(|a| a.get(ANNOTATION_ENDPOINTS_TRIGGER_TIME));
        let trigger = trigger.and_then(|text| parse::timestamp(text));
        let ports = slice.ports.iter().flatten().filter_map(slice_port).collect();
        let endpoints = slice.endpoints.iter().filter_map(slice_endpoint).collect();
        let mut value = Slice {
            name: key.1.clone(),
            uid: slice.metadata.uid.clone().unwrap_or_default(),
            resource_version: slice.metadata.resource_version.clone().unwrap_or_default(),
            owner: parse::controller(&slice.metadata, "v1", "Service", &service),
            deleting: slice.metadata.deletion_timestamp.is_some(),
            altered: false,
            content: SliceContent { family, labels, trigger, ports, endpoints },
        };
        value.altered = value.is_ours()
            && !(value.content.endpoints.iter().map(endpoint).eq(slice.endpoints.iter().cloned())
                && value.content.ports.iter().map(port).eq(slice.ports.iter().flatten().cloned()));
        Item { key, value: Some(value) }
    }
}

fn slice_port(port: &EndpointPort) -> Option<SlicePort> {
    Some(SlicePort {
        name: port.name.clone().unwrap_or_default(),
        protocol: parse::protocol(port.protocol.as_deref())?,
        port: port.port.and_then(parse::port),
        app_protocol: port.app_protocol.clone(),
    })
}

fn slice_endpoint(endpoint: &Endpoint) -> Option<SliceEndpoint> {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let hints = endpoint.hints.clone().unwrap_or_default();
    Some(SliceEndpoint {
        address: endpoint.addresses.first().and_then(|address| parse::address(address))?,
        ready: conditions.ready.unwrap_or(true),
        serving: conditions.serving.unwrap_or(true),
        terminating: conditions.terminating.unwrap_or(false),
        node: endpoint.node_name.clone(),
        zone: endpoint.zone.clone(),
        hostname: endpoint.hostname.clone(),
        target: endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod")).map(
            |target| TargetRef {
                namespace: target.namespace.clone().unwrap_or_default(),
                name: target.name.clone().unwrap_or_default(),
                uid: target.uid.clone().unwrap_or_default(),
            },
        ),
        for_zones: hints.for_zones.into_iter().flatten().map(|hint| hint.name).collect(),
        for_nodes: hints.for_nodes.into_iter().flatten().map(|hint| hint.name).collect(),
    })
}

/// A port as we write it.
pub fn port(port: &SlicePort) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone()),
        protocol: Some(port.protocol.to_string()),
        port: port.port.map(|number| i32::from(number.get())),
        app_protocol: port.app_protocol.clone(),
    }
}

/// An endpoint as we write it.
pub fn endpoint(endpoint: &SliceEndpoint) -> Endpoint {
    let has_hints = !(endpoint.for_zones.is_empty() && endpoint.for_nodes.is_empty());
    let zones = endpoint.for_zones.iter().map(|name| ForZone { name: name.clone() });
    let nodes = endpoint.for_nodes.iter().map(|name| ForNode { name: name.clone() });
    let hints = || k8s_openapi::api::discovery::v1::EndpointHints {
        for_zones: (!endpoint.for_zones.is_empty()).then(|| zones.collect()),
        for_nodes: (!endpoint.for_nodes.is_empty()).then(|| nodes.collect()),
    };
    Endpoint {
        addresses: vec![endpoint.address.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(endpoint.ready),
            serving: Some(endpoint.serving),
            terminating: Some(endpoint.terminating),
        }),
        hints: has_hints.then(hints),
        hostname: endpoint.hostname.clone(),
        node_name: endpoint.node.clone(),
        target_ref: endpoint.target.as_ref().map(|target| ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(target.namespace.clone()),
            name: Some(target.name.clone()),
            uid: Some(target.uid.clone()),
            ..ObjectReference::default()
        }),
        zone: endpoint.zone.clone(),
        ..Endpoint::default()
    }
}

impl Indexed for Slice {
    const KIND: &'static str = "EndpointSlice";

    fn put(index: &mut Index, item: Item<Self>, listed: bool) {
        let Some(slice) = item.value else { return Self::remove(index, &item.key) };
        let labels = &slice.content.labels;
        let Some(service) = labels.get(LABEL_SLICE_SERVICE) else { return Self::remove(index, &item.key) };
        let service = ServiceKey::new(item.key.0.clone(), service.clone());
        let Ok(before) = index.slices.put(&item.key, slice, listed) else { return };
        let unchanged = |before: &Slice, now: &Slice| {
            (&before.uid, &before.owner, before.deleting, before.altered, &before.content)
                == (&now.uid, &now.owner, now.deleting, now.altered, &now.content)
        };
        let Some(now) = index.slices.get(&item.key) else { return };
        if before.as_deref().is_some_and(|before| unchanged(before, now)) {
            return;
        }
        // With the same endpoints as before, the time that stands there is that of an earlier change.
        let is_news = before.as_deref().is_none_or(|before| {
            (&before.content.ports, &before.content.endpoints) != (&now.content.ports, &now.content.endpoints)
        });
        let trigger = now.content.trigger.filter(|_| is_news);
        if let Some(other) = index.service_of_slice.insert(item.key.clone(), service.clone())
            && other != service
        {
            detach(index, &other, &item.key.1);
        }
        index.slices_of.entry(service.clone()).or_default().insert(item.key.1);
        index.dirty.service(&service, trigger);
    }

    fn is_gone(index: &mut Index, item: &Item<Self>) -> bool {
        index.slices.gone(item)
    }

    fn bury(index: &mut Index, key: &Key, uid: &str) {
        index.slices.bury(key, uid);
    }

    fn remove(index: &mut Index, key: &Key) {
        index.slices.remove(key);
        if let Some(service) = index.service_of_slice.remove(key) {
            detach(index, &service, &key.1);
        }
    }

    fn keys(index: &Index) -> Vec<Key> {
        index.slices.keys()
    }
}

fn detach(index: &mut Index, service: &ServiceKey, slice: &str) {
    if let Some(slices) = index.slices_of.get_mut(service) {
        slices.remove(slice);
        if slices.is_empty() {
            index.slices_of.remove(service);
        }
    }
    index.dirty.service(service, None);
}

#[cfg(test)]
mod tests {
    use super::super::Watched;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_slice_with_the_same_endpoints_has_no_time_to_tell() {
        let mut index = Index::default();
        let mut time_of = |version: u32, label: &str, ready: bool| {
            let slice: EndpointSlice = serde_json::from_value(json!({
                "metadata": {"namespace": "shop", "name": "web-1", "uid": "u", "resourceVersion": version.to_string(),
                    "labels": {"kubernetes.io/service-name": "web", "x": label},
                    "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:01:00Z"}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": ready}}],
            }))
            .unwrap();
            index.watched(Watched::Applied(Item::<Slice>::from(slice)));
            index.take_dirty().services.into_values().collect::<Vec<_>>()
        };
        let told = Some(parse::timestamp("2026-01-01T00:01:00Z").unwrap());
        assert_eq!(time_of(1, "a", true), [told]);
        assert_eq!(time_of(2, "b", true), [None], "only a label has changed");
        assert_eq!(time_of(3, "b", false), [told], "a second change in the same second");
        assert!(time_of(4, "b", false).is_empty());
    }
}
