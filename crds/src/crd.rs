//! The kinds as `CustomResourceDefinition`s: structural, without defaults, each with a hash of its schema.

use std::hash::Hasher;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;
use siphasher::sip::SipHasher13;

use crate::names::ANNOTATION_SCHEMA_HASH;
use crate::{NodeProxyPlan, ProxyProfile, ServiceProxyPlan};

/// Formats that the API server knows; others are warned about, and say nothing to a reader.
const KNOWN_FORMATS: [&str; 3] = ["int32", "int64", "date-time"];

/// The kinds, in order of name.
///
/// # Errors
/// Says what is wrong with a schema; only a change of this crate can cause that.
pub fn definitions() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    [NodeProxyPlan::crd(), ProxyProfile::crd(), ServiceProxyPlan::crd()].into_iter().map(finish).collect()
}

/// The hash of the schema that a stored definition was written with, if it is one of ours.
pub fn stored_hash(definition: &CustomResourceDefinition) -> Option<&str> {
    definition.metadata.annotations.as_ref()?.get(ANNOTATION_SCHEMA_HASH).map(String::as_str)
}

fn finish(definition: CustomResourceDefinition) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut json = serde_json::to_value(definition)?;
    if let Some(versions) = json.pointer_mut("/spec/versions") {
        tidy(versions);
    }
    describe(&mut json);
    let spec = json.get("spec").map(Value::to_string).unwrap_or_default();
    let mut hasher = SipHasher13::new();
    hasher.write(spec.as_bytes());
    let mut definition: CustomResourceDefinition = serde_json::from_value(json)?;
    definition
        .metadata
        .annotations
        .get_or_insert_default()
        .insert(ANNOTATION_SCHEMA_HASH.to_owned(), format!("{:016x}", hasher.finish()));
    Ok(definition)
}

/// The doc comment of a kind stands on its spec; `kubectl explain` looks for it at the root.
fn describe(json: &mut Value) {
    let Some(root) = json.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") else { return };
    let Some(spec) = root.pointer_mut("/properties/spec/description") else { return };
    let kind = std::mem::replace(spec, Value::from("What is asked for."));
    if let Some(fields) = root.as_object_mut() {
        fields.insert("description".to_owned(), kind);
    }
}

/// The API server takes any character for the point of a fraction of a second, and any offset; both our readers and Go's refuse them,
/// and one such time would keep a whole list from being read.
const TIME: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$";

/// Removes what the derive macros add and the API server should not store: defaults (it would write them into objects that
/// left them out), `nullable` (null means nothing here) and formats that it does not know (it warns about them). What such a
/// format says to a reader in Rust becomes a bound.
fn tidy(node: &mut Value) {
    match node {
        Value::Object(fields) => {
            if fields.get("nullable").is_some_and(Value::is_boolean) {
                fields.remove("nullable");
            }
            if fields.contains_key("type") {
                fields.remove("default");
                let format = fields.get("format").and_then(Value::as_str).map(str::to_owned);
                match format.as_deref() {
                    Some("uint32") => drop(fields.entry("maximum").or_insert(Value::from(u32::MAX))),
                    Some("date-time") => drop(fields.insert("pattern".to_owned(), Value::from(TIME))),
                    _ => {}
                }
                if format.is_some_and(|format| !KNOWN_FORMATS.contains(&format.as_str())) {
                    fields.remove("format");
                }
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(path: &str, node: &Value, visit: &mut impl FnMut(&str, &serde_json::Map<String, Value>)) {
        match node {
            Value::Object(fields) => {
                visit(path, fields);
                for (name, field) in fields {
                    walk(&format!("{path}/{name}"), field, visit);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(path, item, visit)),
            _ => {}
        }
    }

    #[test]
    fn no_schema_has_a_default_and_every_field_is_described() {
        for definition in definitions().unwrap() {
            let json = serde_json::to_value(&definition).unwrap();
            let schema = json.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
            walk("spec", schema, &mut |path, fields| {
                assert!(
                    !fields.contains_key("default") || path.ends_with("/properties"),
                    "default at {path}"
                );
                let Some(Value::Object(properties)) = fields.get("properties") else { return };
                for (name, field) in properties {
                    assert!(field.get("description").is_some(), "{path}/{name} has no description");
                }
            });
        }
    }

    #[test]
    fn everything_in_a_schema_is_bounded() {
        for definition in definitions().unwrap() {
            let json = serde_json::to_value(&definition).unwrap();
            for part in ["spec", "status"] {
                let schema = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}");
                walk(part, json.pointer(&schema).unwrap(), &mut |path, fields| {
                    let any = |bounds: &[&str]| bounds.iter().any(|bound| fields.contains_key(*bound));
                    let bounded = match fields.get("type").and_then(Value::as_str) {
                        Some("string") => any(&["maxLength", "enum", "pattern"]),
                        Some("array") => any(&["maxItems"]),
                        Some("integer") => any(&["maximum", "minimum", "format"]),
                        Some("object") => any(&["properties", "maxProperties"]),
                        _ => true,
                    };
                    assert!(bounded, "{path} has no bound: {fields:?}");
                });
            }
        }
    }

    #[test]
    fn the_hash_tells_a_changed_schema() {
        let mut changed = NodeProxyPlan::crd();
        changed.spec.versions[0].served = false;
        assert_ne!(
            stored_hash(&finish(changed).unwrap()),
            stored_hash(&finish(NodeProxyPlan::crd()).unwrap())
        );
        assert_eq!(stored_hash(&NodeProxyPlan::crd()), None);
    }
}
