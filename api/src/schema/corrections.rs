//! What upstream's documents say otherwise than the Rust types: which fields are required, and unions.
//!
//! In Go a field that is left out when it is empty may be missing; the Rust types always have it.

use serde_json::{Map, Value, json};

/// The types whose required fields are other ones, without `io.k8s.`.
const REQUIRED: &[(&str, &[&str])] = &[
    ("api.authentication.v1.TokenRequest", &["spec"]),
    ("api.autoscaling.v1.Scale", &[]),
    ("api.core.v1.ConfigMapEnvSource", &[]),
    ("api.core.v1.ConfigMapKeySelector", &["key"]),
    ("api.core.v1.ConfigMapProjection", &[]),
    ("api.core.v1.ConfigMapVolumeSource", &[]),
    ("api.core.v1.Event", &["metadata", "involvedObject"]),
    ("api.core.v1.LocalObjectReference", &[]),
    ("api.core.v1.SecretEnvSource", &[]),
    ("api.core.v1.SecretKeySelector", &["key"]),
    ("api.core.v1.SecretProjection", &[]),
    ("api.events.v1.Event", &["eventTime"]),
    ("api.policy.v1.Eviction", &[]),
    ("apimachinery.pkg.apis.meta.v1.Status", &[]),
];
/// The types of which one field says which of the others counts.
const UNIONS: [&str; 2] = ["api.core.v1.AppArmorProfile", "api.core.v1.SeccompProfile"];

/// To be done last: what is generated goes by the Rust types.
pub(super) fn correct(schemas: &mut Map<String, Value>) {
    let mut of = |name: &str, field: &str, value: Option<Value>| {
        let schema = schemas.get_mut(&format!("io.k8s.{name}"));
        let Some(schema) = schema.and_then(Value::as_object_mut) else {
            return;
        };
        match value {
            Some(value) => schema.insert(field.to_owned(), value),
            None => schema.remove(field),
        };
    };
    for (name, required) in REQUIRED {
        let required = (!required.is_empty()).then(|| json!(required));
        of(name, "required", required);
    }
    for name in UNIONS {
        let union = json!([{
            "discriminator": "type",
            "fields-to-discriminateBy": {"localhostProfile": "LocalhostProfile"},
        }]);
        of(name, "x-kubernetes-unions", Some(union));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::openapi::{built_in, documented};

    #[test]
    fn every_row_corrects_something() {
        let schemas = built_in(documented()).schemas;
        let of = |name: &str| &schemas[&format!("io.k8s.{name}")];
        for (name, required) in REQUIRED {
            let found = &of(name)["required"];
            let found = found.as_array().cloned().unwrap_or_default();
            assert_eq!(json!(found), json!(required), "{name}");
            for field in *required {
                assert!(of(name)["properties"][*field].is_object(), "{name} {field}");
            }
        }
        for name in UNIONS {
            let union = &of(name)["x-kubernetes-unions"][0];
            assert_eq!(union["discriminator"], "type", "{name}");
        }
        let spec = &of("api.core.v1.PersistentVolumeSpec")["properties"];
        assert_eq!(spec["claimRef"]["x-kubernetes-map-type"], "granular");
        let claim = &of("api.core.v1.PersistentVolumeClaimStatus")["properties"];
        let statuses = &claim["allocatedResourceStatuses"];
        assert_eq!(statuses["x-kubernetes-map-type"], "granular");
        let props = "apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
        let rules = &of(props)["properties"]["x-kubernetes-validations"];
        assert_eq!(rules["x-kubernetes-list-map-keys"], json!(["rule"]));
        assert_eq!(rules["x-kubernetes-patch-merge-key"], "rule");
    }
}
