//! A `ServiceProxyPlan` as the agent reads it from the API server: the few fields of metadata that it needs, and the spec, or why
//! the spec cannot be read. One plan that a newer controller wrote must not keep thousands of others from being read.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use pointsman_crds::names::ANNOTATION_TRIGGER_TIME;
use pointsman_crds::{ServiceProxyPlan, ServiceProxyPlanSpec};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A `ServiceProxyPlan`, base or shard.
#[derive(Clone, Debug, Deserialize)]
pub struct PlanRecord {
    #[serde(deserialize_with = "slim")]
    metadata: ObjectMeta,
    /// The plan, or why it cannot be read.
    #[serde(deserialize_with = "lenient")]
    pub spec: Result<ServiceProxyPlanSpec, String>,
}

/// What is read of metadata: managed fields, for one, are larger than many a plan.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SlimMeta {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    resource_version: Option<String>,
    #[serde(default)]
    annotations: SlimAnnotations,
}

#[derive(Default, Deserialize)]
struct SlimAnnotations {
    #[serde(rename = "pointsman.dev/last-change-trigger-time", default)]
    trigger_time: Option<String>,
}

impl PlanRecord {
    /// The record of an object that was read from a file.
    pub fn from_object(object: ServiceProxyPlan) -> Self {
        Self { metadata: object.metadata, spec: Ok(object.spec) }
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Its name: the Service's, or a shard's.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its resourceVersion; empty if it has none.
    pub fn resource_version(&self) -> &str {
        self.metadata.resource_version.as_deref().unwrap_or_default()
    }

    /// When the change happened that this version answers to.
    pub fn trigger_time(&self) -> Option<Timestamp> {
        self.metadata.annotations.as_ref()?.get(ANNOTATION_TRIGGER_TIME)?.parse().ok()
    }
}

fn slim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let SlimMeta { name, namespace, resource_version, annotations } = SlimMeta::deserialize(deserializer)?;
    let annotations =
        annotations.trigger_time.map(|time| [(ANNOTATION_TRIGGER_TIME.to_owned(), time)].into());
    Ok(ObjectMeta { name: Some(name), namespace, resource_version, annotations, ..ObjectMeta::default() })
}

fn lenient<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Result<ServiceProxyPlanSpec, String>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).map_err(|error| error.to_string()))
}

impl Resource for PlanRecord {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        ServiceProxyPlan::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        ServiceProxyPlan::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        ServiceProxyPlan::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        ServiceProxyPlan::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::core::WatchEvent;

    use super::*;

    const GOOD: &str = r#"{"apiVersion":"pointsman.dev/v1alpha1","kind":"ServiceProxyPlan","metadata":{"name":"web","namespace":"shop",
        "resourceVersion":"77","annotations":{"other":"x","pointsman.dev/last-change-trigger-time":"2026-03-04T05:06:07.5Z"},
        "managedFields":[{"manager":"m"}]},"spec":{"serviceUID":"u","clusterIPs":["10.96.3.4"]}}"#;

    #[test]
    fn an_event_is_read_without_what_is_not_needed() {
        let event = format!(r#"{{"type":"MODIFIED","object":{GOOD}}}"#);
        let WatchEvent::Modified(record) = serde_json::from_str::<WatchEvent<PlanRecord>>(&event).unwrap()
        else {
            panic!("not the event that was sent")
        };
        assert_eq!((record.namespace(), record.name(), record.resource_version()), ("shop", "web", "77"));
        assert_eq!(record.trigger_time(), Some("2026-03-04T05:06:07.5Z".parse().unwrap()));
        assert_eq!(record.spec.unwrap().service_uid, "u");
        assert_eq!(record.metadata.managed_fields, None);
    }

    #[test]
    fn a_plan_that_cannot_be_read_stands_beside_others() {
        let bad = GOOD.replace("10.96.3.4", "nowhere").replace("web", "bad");
        let list = format!(
            r#"{{"kind":"ServiceProxyPlanList","apiVersion":"v1","metadata":{{}},"items":[{bad},{GOOD}]}}"#
        );
        let list: kube::core::ObjectList<PlanRecord> = serde_json::from_str(&list).unwrap();
        assert_eq!(list.items[0].name(), "bad");
        assert!(list.items[0].spec.as_ref().unwrap_err().contains("invalid IP address"));
        assert!(list.items[1].spec.is_ok());
    }
}
