//! The JSON merge patch (RFC 7396) that leads from one value to another. Pure.

use serde::Serialize;
use serde_json::{Map, Value};

/// The patch from `old` to `new`: what is gone is null, what is equal is left out, lists are replaced whole.
pub fn diff(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match old.get(key) {
            Some(known) if known == value => {}
            Some(known) => drop(patch.insert(key.clone(), diff(known, value))),
            None => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

/// The same from typed values. Values of ours are trees of maps with text keys, which always have a form in JSON.
pub fn diff_of<T: Serialize>(old: &T, new: &T) -> Value {
    let json = |value: &T| serde_json::to_value(value).unwrap_or_default();
    diff(&json(old), &json(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_says_only_what_changes() {
        let cases = [
            (json!({"a": 1}), json!({"a": 1}), json!({})),
            (json!({"a": 1}), json!({"a": 2}), json!({"a": 2})),
            (json!({"a": 1}), json!({}), json!({"a": null})),
            (json!({}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}})),
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"c": 2}}), json!({"a": {"b": null}})),
            (json!({"a": [1, 2]}), json!({"a": [2]}), json!({"a": [2]})),
            (json!({"a": {"b": 1}}), json!({"a": [1]}), json!({"a": [1]})),
        ];
        for (old, new, expected) in cases {
            assert_eq!(diff(&old, &new), expected, "{old} to {new}");
        }
    }
}
