//! Nulls in lists and in maps: Go's decoder makes the zero value of the element's type of each, so that upstream neither
//! stores nor answers with one. A null in a struct's field is not looked at here: it is the field left out.
//!
//! Source: Go, `encoding/json`, `Unmarshal`; k8s.io/apimachinery `pkg/api/resource`, `Quantity.UnmarshalJSON`.

use super::{QUANTITY, refers_to, resolve};
use crate::go::ZERO_TIME;
use serde_json::{Map, Value};

/// Puts zero values for the nulls in the lists and maps of a value of this type.
pub(super) fn fill(definitions: &Map<String, Value>, reference: &Value, value: &mut Value) {
    // Many objects have none, and need no walk with their type.
    if are_in(value) {
        walk(definitions, reference, value);
    }
}

/// Whether there is any null.
pub(super) fn are_in(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.iter().any(are_in),
        Value::Object(map) => map.values().any(are_in),
        _ => false,
    }
}

fn walk(definitions: &Map<String, Value>, reference: &Value, value: &mut Value) {
    let schema = resolve(definitions, reference);
    match value {
        Value::Array(list) => {
            if let Some(items) = schema.get("items") {
                for value in list {
                    element(definitions, items, value);
                }
            }
        }
        Value::Object(map) => {
            if let Some(fields) = schema.get("properties") {
                for (name, value) in map {
                    if let Some(field) = fields.get(name) {
                        walk(definitions, field, value);
                    }
                }
            } else if let Some(values) = schema.get("additionalProperties") {
                for value in map.values_mut() {
                    element(definitions, values, value);
                }
            }
        }
        _ => {}
    }
}

fn element(definitions: &Map<String, Value>, reference: &Value, value: &mut Value) {
    if value.is_null() {
        *value = zero(definitions, reference);
    } else {
        walk(definitions, reference, value);
    }
}

fn zero(definitions: &Map<String, Value>, reference: &Value) -> Value {
    if refers_to(reference, QUANTITY) {
        return "0".into();
    }
    let schema = resolve(definitions, reference);
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return 0.into();
    }
    let word = |name: &str| schema.get(name).and_then(Value::as_str);
    match (word("type"), word("format")) {
        (Some("object"), _) => Map::new().into(),
        (Some("array"), _) => Value::Array(Vec::new()),
        (Some("string"), Some("date-time")) => ZERO_TIME.into(),
        (Some("string"), _) => "".into(),
        (Some("integer" | "number"), _) => 0.into(),
        (Some("boolean"), _) => false.into(),
        // Any JSON at all, as a default of a definition's schema: there null is a value.
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use crate::{KindRef, kind, schema};
    use serde_json::{Value, json};

    /// What is read of a part of an object, by a client's write and of the store.
    #[track_caller]
    fn check(of: KindRef, part: &str, sent: Value, read: &Value) {
        let mut object = json!({"metadata": {"name": "a"}});
        object[part] = sent;
        let mut stored = object.clone();
        let found = schema::check(of, &mut object);
        assert_eq!(found, schema::Findings::default());
        assert_eq!(object[part], *read, "{}", of.kind);
        schema::fill_nulls(of, &mut stored);
        assert_eq!(stored[part], *read, "{} of the store", of.kind);
    }

    #[test]
    fn elements_become_zero_and_fields_do_not() {
        let nulls = json!({"x": null, "y": "z"});
        let texts = json!({"x": "", "y": "z"});
        check(kind::CONFIG_MAP, "data", nulls.clone(), &texts);
        check(kind::SECRET, "data", json!({"x": null}), &json!({"x": ""}));
        check(kind::CONFIG_MAP, "data", Value::Null, &Value::Null);
        check(
            kind::SERVICE,
            "spec",
            json!({"selector": nulls, "ports": [null], "clusterIP": null}),
            &json!({"selector": texts, "ports": [{}], "clusterIP": null}),
        );
        check(
            kind::POD,
            "spec",
            json!({"containers": [{"args": [null], "command": null, "resources": {"limits": {"cpu": null}}}],
                "securityContext": {"supplementalGroups": [null, 5]}}),
            &json!({"containers": [{"args": [""], "command": null, "resources": {"limits": {"cpu": "0"}}}],
                "securityContext": {"supplementalGroups": [0, 5]}}),
        );
        check(
            kind::CLUSTER_ROLE,
            "rules",
            json!([null, {"verbs": ["get", null]}]),
            &json!([{}, {"verbs": ["get", ""]}]),
        );
        check(
            kind::SERVICE_ACCOUNT,
            "secrets",
            json!([null]),
            &json!([{}]),
        );
        check(
            kind::POD_DISRUPTION_BUDGET,
            "status",
            json!({"disruptedPods": {"a": null}}),
            &json!({"disruptedPods": {"a": "0001-01-01T00:00:00Z"}}),
        );
    }

    #[test]
    fn a_definition_keeps_the_nulls_that_are_values() {
        let schema = |more: Value| {
            json!({"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object",
                "properties": more, "default": {"a": null}, "enum": [null]}}}]})
        };
        check(
            kind::CUSTOM_RESOURCE_DEFINITION,
            "spec",
            schema(json!({"a": null})),
            &schema(json!({"a": {}})),
        );
    }

    #[test]
    fn metadata_of_every_kind() {
        let sent = json!({"name": "a", "labels": {"a": null}, "annotations": {"b": null}, "finalizers": [null],
            "ownerReferences": [null], "creationTimestamp": null});
        let read = json!({"name": "a", "labels": {"a": ""}, "annotations": {"b": ""}, "finalizers": [""],
            "ownerReferences": [{}], "creationTimestamp": null});
        for of in kind::KINDS {
            check(of, "metadata", sent.clone(), &read);
        }
        let mut custom = json!({"metadata": sent});
        let found = schema::check_metadata(kind::CONFIG_MAP, &mut custom);
        assert_eq!(found, schema::Findings::default());
        assert_eq!(custom["metadata"], read);
    }
}
