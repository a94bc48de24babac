//! Definitions, whose schemas hold schemas, and things that are either a schema or something else.

use super::*;
use k8s_pb::apiextensions_apiserver::pkg::apis::apiextensions::v1 as foreign;
use prost::Message as _;

/// A schema with every field there is; a text is the name of its field.
fn schema() -> Value {
    let text = r#"{
        "id": "id", "$schema": "schema", "$ref": "ref", "description": "description", "type": "type",
        "format": "format", "title": "title", "default": {"any": [1, 1.5, null, {"deep": "x"}]},
        "maximum": 1.5, "exclusiveMaximum": true, "minimum": -1.5, "exclusiveMinimum": true,
        "maxLength": 1, "minLength": 0, "pattern": "pattern", "maxItems": 2, "minItems": 3,
        "uniqueItems": true, "multipleOf": 0.5, "enum": ["a", 1, null, false], "maxProperties": 4,
        "minProperties": 5, "required": ["required"], "items": {"type": "type"},
        "allOf": [{"type": "type"}], "oneOf": [{"type": "type"}, {}], "anyOf": [{"type": "type"}],
        "not": {}, "properties": {"a": {"type": "type"}, "b": {}}, "additionalProperties": false,
        "patternProperties": {"p": {"type": "type"}},
        "dependencies": {"a": ["x", "y"], "b": {"type": "type"}},
        "additionalItems": {"type": "type"}, "definitions": {"d": {"type": "type"}},
        "externalDocs": {"description": "description", "url": "url"}, "example": "any text",
        "nullable": true, "x-kubernetes-preserve-unknown-fields": false,
        "x-kubernetes-embedded-resource": true, "x-kubernetes-int-or-string": true,
        "x-kubernetes-list-map-keys": ["xKubernetesListMapKeys"],
        "x-kubernetes-list-type": "xKubernetesListType",
        "x-kubernetes-map-type": "xKubernetesMapType",
        "x-kubernetes-validations": [{"rule": "rule", "message": "message",
            "messageExpression": "messageExpression", "reason": "reason", "fieldPath": "fieldPath",
            "optionalOldSelf": false}]
    }"#;
    serde_json::from_str(text).unwrap()
}

fn definition(schema: &Value) -> Value {
    let names = json!({"plural": "plural", "singular": "singular", "shortNames": ["shortNames"], "kind": "kind",
        "listKind": "listKind", "categories": ["categories"]});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "name", "generation": 3, "creationTimestamp": TIME},
        "spec": {
            "group": "group", "names": names, "scope": "scope",
            "versions": [{
                "name": "name", "served": true, "storage": false, "deprecated": true,
                "deprecationWarning": "deprecationWarning",
                "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}, "scale": {"specReplicasPath": "specReplicasPath",
                    "statusReplicasPath": "statusReplicasPath", "labelSelectorPath": "labelSelectorPath"}},
                "additionalPrinterColumns": [{"name": "name", "type": "type", "format": "format",
                    "description": "description", "priority": 1, "jsonPath": "jsonPath"}],
                "selectableFields": [{"jsonPath": "jsonPath"}],
            }],
            "conversion": {"strategy": "strategy", "webhook": {
                "clientConfig": {"service": {"namespace": "namespace", "name": "name", "path": "path", "port": 1},
                    "caBundle": "eHg=", "url": "url"},
                "conversionReviewVersions": ["conversionReviewVersions"]}},
            "preserveUnknownFields": true,
        },
        "status": {
            "conditions": [{"type": "type", "status": "status", "lastTransitionTime": TIME, "reason": "reason",
                "message": "message"}],
            "acceptedNames": names, "storedVersions": ["storedVersions"],
        },
    })
}

#[test]
fn they_go_through_another_implementation() {
    let schema = schema();
    let known = table::find("apiextensions.v1.JSONSchemaProps").unwrap();
    for field in &known.fields {
        assert!(
            schema.get(field.name).is_some(),
            "{} is not tried",
            field.name
        );
    }
    let definition = definition(&schema);
    through::<foreign::CustomResourceDefinition>(kind::CUSTOM_RESOURCE_DEFINITION, &definition);
    let list = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinitionList",
        "metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "a"}, "spec": {"group": "g", "scope": "Cluster",
            "names": {"plural": "p", "kind": "K"}, "versions": []}}]});
    let body = encode(&list).unwrap();
    let read = foreign::CustomResourceDefinitionList::decode(raw(&body).as_slice()).unwrap();
    assert_eq!(read.items.len(), 1);
}

#[test]
fn a_schema_or_something_else() {
    let of = |schema: Value| -> (Value, foreign::JsonSchemaProps) {
        let body = encode(&definition(&schema)).unwrap();
        let read = foreign::CustomResourceDefinition::decode(raw(&body).as_slice()).unwrap();
        let version = read.spec.unwrap().versions.remove(0);
        let back = decode(&body).unwrap();
        let shown = &back["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        (
            shown.clone(),
            version.schema.unwrap().open_apiv3_schema.unwrap(),
        )
    };
    for (allowed, schema) in [(true, None), (false, None), (true, Some(json!({})))] {
        let written = schema.clone().unwrap_or(json!(allowed));
        let (shown, read) = of(json!({"additionalProperties": written}));
        assert_eq!(shown["additionalProperties"], written);
        let read = read.additional_properties.unwrap();
        assert_eq!(
            (read.allows, read.schema.is_some()),
            (Some(allowed), schema.is_some())
        );
    }
    let (shown, read) = of(json!({"items": [{"type": "string"}, {}]}));
    assert_eq!(shown["items"], json!([{"type": "string"}, {}]));
    assert_eq!(read.items.unwrap().j_son_schemas.len(), 2);
    let (shown, read) = of(json!({"default": {"b": 1, "a": 1e3}, "enum": [null]}));
    assert_eq!(
        shown,
        json!({"default": {"b": 1, "a": 1e3}, "enum": [null]})
    );
    let default: Value = serde_json::from_slice(&read.default.unwrap().raw.unwrap()).unwrap();
    assert_eq!(default, shown["default"]);
    let odd = encode(&definition(&json!({"additionalProperties": "yes"}))).unwrap_err();
    assert!(
        odd.to_string()
            .ends_with("additionalProperties: is no boolean"),
        "{odd}"
    );
}

#[test]
fn what_holds_itself_is_bounded() {
    let mut body = Vec::new();
    for _ in 0..1000 {
        let mut around = Vec::new();
        // `items`, of one schema.
        wire::put_bytes(&mut around, 1, &body);
        body.clear();
        wire::put_bytes(&mut body, 24, &around);
    }
    let mut outer = body;
    for number in [1, 4, 7, 2] {
        let mut around = Vec::new();
        wire::put_bytes(&mut around, number, &outer);
        outer = around;
    }
    let body = wire::envelope(
        MAGIC,
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &outer,
    );
    assert_eq!(
        decode(&body).unwrap_err(),
        Error::Malformed("it is nested too deeply")
    );
}
