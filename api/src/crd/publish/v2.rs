//! What OpenAPI v2 cannot say, and what kubectl of that time misreads, taken out of a schema.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/controller/openapi/v2`.

use super::preserves;
use serde_json::{Map, Value, json};

/// A schema's depth is bounded before it is stored.
pub(super) fn downgrade(schema: &mut Value) {
    let open = preserves(schema);
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    for junctor in ["allOf", "anyOf", "not", "oneOf"] {
        fields.remove(junctor);
    }
    // What may also be null, or have more fields than are named, is of no type: v2 would refuse the rest.
    let nullable = fields.remove("nullable") == Some(json!(true));
    if nullable {
        fields.remove("type");
    }
    if nullable || open {
        fields.remove("items");
        fields.remove("properties");
    }
    let of_type = fields.get("type").and_then(Value::as_str);
    let headless = of_type == Some("array") && !fields.contains_key("items");
    if headless || open && of_type == Some("object") {
        fields.remove("type");
    }
    forgive(fields);
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(name) {
            downgrade(inner);
        }
    }
    let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(Map::values_mut) {
        downgrade(property);
    }
}

/// Requires nothing that may be null.
fn forgive(fields: &mut Map<String, Value>) {
    let is_nullable = |schema: &Value| schema.get("nullable") == Some(&json!(true));
    let nullable: Vec<String> = match fields.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            let found = properties.iter().filter(|(_, schema)| is_nullable(schema));
            found.map(|(name, _)| name.clone()).collect()
        }
        None => Vec::new(),
    };
    let all = fields.get("additionalProperties").is_some_and(is_nullable);
    if let Some(Value::Array(required)) = fields.get_mut("required") {
        required.retain(|name| !nullable.iter().any(|nullable| name == nullable));
        if all || required.is_empty() {
            fields.remove("required");
        }
    }
}
