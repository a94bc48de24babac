//! Objects within objects: `x-kubernetes-embedded-resource`.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/apiserver/schema/objectmeta`.

use super::{
    cause::{invalid, wrong_type},
    path::Path,
    structural::{Additional, Node, Structural},
    value::CAUSES_MAX,
};
use crate::{
    status::Cause,
    validate::{is_dns_label, is_label_value, is_qualified_name},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize as _;
use serde_json::{Value, json};

impl Structural {
    /// What is wrong with the type and metadata of objects inside.
    #[must_use]
    pub fn validate_embedded(&self, object: &Value) -> Vec<Cause> {
        let mut causes = Vec::new();
        walk(&self.root, object, Path::ROOT, &mut causes);
        causes.truncate(CAUSES_MAX);
        causes
    }

    /// Drops what the type and metadata of objects inside cannot be: of what was stored before they were looked at.
    pub(super) fn drop_malformed(&self, object: &mut Value) {
        drop_malformed(&self.root, object);
    }
}

fn drop_malformed(node: &Node, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if node.embedded {
                for name in ["apiVersion", "kind"] {
                    if fields.get(name).is_some_and(|text| !text.is_string()) {
                        fields.remove(name);
                    }
                }
                if let Some(Value::Object(meta)) = fields.get_mut("metadata") {
                    meta.retain(|name, value| is_metadata(name, value));
                }
            }
            for (name, value) in fields {
                if let Some(property) = node.properties.get(name) {
                    drop_malformed(property, value);
                } else if let Additional::Schema(schema) = &node.additional {
                    drop_malformed(schema, value);
                }
            }
        }
        Value::Array(items) => {
            let schema = node.items.as_deref();
            for item in items {
                if let Some(schema) = schema {
                    drop_malformed(schema, item);
                }
            }
        }
        _ => {}
    }
}

/// Whether metadata can have this value in a field.
fn is_metadata(name: &str, value: &Value) -> bool {
    // A null is as good as nothing.
    value.is_null() || ObjectMeta::deserialize(&json!({name: value})).is_ok()
}

/// Walks a value with its schema.
pub(super) fn walk(node: &Node, value: &Value, path: Path<'_>, causes: &mut Vec<Cause>) {
    if causes.len() >= CAUSES_MAX {
        return;
    }
    match value {
        Value::Object(fields) => {
            if node.embedded {
                resource(value, path, causes);
            }
            for (name, value) in fields {
                if let Some(property) = node.properties.get(name) {
                    walk(property, value, path.field(name), causes);
                } else if let Additional::Schema(schema) = &node.additional {
                    walk(schema, value, path.key(name), causes);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if let Some(schema) = &node.items {
                    walk(schema, item, path.index(index), causes);
                }
            }
        }
        _ => {}
    }
}

fn resource(object: &Value, path: Path<'_>, causes: &mut Vec<Cause>) {
    for name in ["apiVersion", "kind"] {
        let below = path.field(name);
        match object.get(name) {
            None => causes.push(Cause::required(below.to_field(), "")),
            Some(Value::String(text)) if text.is_empty() => {
                causes.push(invalid(below, &json!(""), "must not be empty"));
            }
            Some(Value::String(text)) => {
                if let Some(detail) = type_text(name, text) {
                    causes.push(invalid(below, &json!(text), &detail));
                }
            }
            Some(other) => causes.push(invalid(below, other, "must be a string")),
        }
    }
    if let Some(meta) = object.get("metadata") {
        metadata(meta, path.field("metadata"), causes);
    }
}

fn type_text(name: &str, text: &str) -> Option<String> {
    if name == "apiVersion" {
        let many = text.matches('/').count() > 1;
        return many.then(|| format!("unexpected GroupVersion string: {text}"));
    }
    let lower = text.to_lowercase();
    let valid = is_dns_label(&lower) && lower.starts_with(|c: char| c.is_ascii_lowercase());
    let words = super::names::DNS_1035;
    (!valid).then(|| format!("may have mixed case, but should otherwise match: {words}"))
}

fn metadata(meta: &Value, path: Path<'_>, causes: &mut Vec<Cause>) {
    if meta.is_null() {
        return;
    }
    if !meta.is_object() {
        causes.push(wrong_type(path, meta, "must be an object"));
        return;
    }
    for name in [
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
    ] {
        match meta.get(name) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => causes.push(invalid(path.field(name), other, "must be a string")),
        }
    }
    for name in ["labels", "annotations"] {
        let below = path.field(name);
        let pairs = meta.get(name).and_then(Value::as_object);
        for (key, value) in pairs.into_iter().flatten() {
            let lower = key.to_lowercase();
            let key_valid = is_qualified_name(if name == "labels" { key } else { &lower });
            let value_valid = match value {
                Value::String(text) => name != "labels" || is_label_value(text),
                _ => false,
            };
            if !key_valid {
                causes.push(invalid(below, &json!(key), "must be a qualified name"));
            } else if !value_valid {
                causes.push(invalid(below, value, "must be a valid value"));
            }
        }
    }
}
