//! OpenAPI v3 documents, one a group and version, generated from the types.
//!
//! Clients read three things from them: which kinds there are, how lists merge
//! (`x-kubernetes-patch-merge-key`), and whether writes take `fieldValidation` and `dryRun`.

use super::merging;
use crate::{KindRef, crd::publish::Schemas, kind};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta},
    schemars::JsonSchema as _,
};
use serde_json::{Map, Value, json};

/// The document of one group and version; null if there is no kind in it.
#[must_use]
pub fn openapi_v3(group: &str, version: &str) -> Value {
    let kinds: Vec<KindRef> = kind::KINDS
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
        .collect();
    if kinds.is_empty() {
        return Value::Null;
    }
    let mut generator = super::generator();
    let names: Vec<(KindRef, String)> = kinds
        .iter()
        .map(|kind| (*kind, super::register(kind, &mut generator)))
        .collect();
    let mut schemas = generator.take_definitions(false);
    merging::annotate(&mut schemas);
    schemas.values_mut().for_each(dress);
    let mut paths = Map::new();
    for (kind, name) in &names {
        if let Some(Value::Object(schema)) = schemas.get_mut(name) {
            // A Rust type that always has metadata does not make them required of a client.
            if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
                required.retain(|name| name != "metadata");
            }
            let gvk = group_version_kind(kind, kind.kind);
            schema.insert("x-kubernetes-group-version-kind".to_owned(), gvk);
        }
        schemas.insert(format!("{name}List"), list_schema(kind, name));
        add_paths(kind, name, &mut paths);
    }
    document(paths, schemas)
}

/// The document of a group and version of custom kinds, each with the schema it publishes.
#[must_use]
pub fn openapi_v3_custom(kinds: Vec<(KindRef, Schemas)>) -> Value {
    let mut generator = super::generator();
    let _reference = generator.subschema_for::<ObjectMeta>();
    let _reference = generator.subschema_for::<ListMeta>();
    let mut schemas = generator.take_definitions(false);
    merging::annotate(&mut schemas);
    schemas.values_mut().for_each(dress);
    let mut paths = Map::new();
    for (kind, told) in kinds {
        add_paths(kind, &told.name, &mut paths);
        schemas.insert(told.name, told.schema);
        schemas.insert(told.list_name, told.list_schema);
    }
    document(paths, schemas)
}

/// Where the schemas of the metadata of objects and of lists are.
#[must_use]
pub fn metadata_names() -> (String, String) {
    let (object, list) = (ObjectMeta::schema_name(), ListMeta::schema_name());
    (object.into_owned(), list.into_owned())
}

fn document(paths: Map<String, Value>, schemas: Map<String, Value>) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.35.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn group_version_kind(kind: KindRef, name: &str) -> Value {
    json!([{"group": kind.group, "version": kind.version, "kind": name}])
}

/// Writes references with siblings as `allOf`, and names atomic lists, as upstream does.
fn dress(schema: &mut Value) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for property in properties.values_mut() {
        let Some(property) = property.as_object_mut() else {
            continue;
        };
        if let Some(reference) = property.remove("$ref") {
            property.insert("allOf".to_owned(), json!([{"$ref": reference}]));
        }
        if property.get("type").and_then(Value::as_str) == Some("array") {
            property
                .entry("x-kubernetes-list-type")
                .or_insert_with(|| json!("atomic"));
        }
    }
}

fn list_schema(kind: KindRef, schema: &str) -> Value {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    json!({
        "description": format!("{} is a list of {}.", kind.list_name(), kind.plural),
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "items": {"type": "array", "items": {"allOf": [reference(schema)]}},
        },
        "required": ["items"],
        "x-kubernetes-group-version-kind": group_version_kind(kind, &kind.list_name()),
    })
}

fn add_paths(kind: KindRef, schema: &str, paths: &mut Map<String, Value>) {
    let root = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    let collection = if kind.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", kind.plural)
    } else {
        format!("{root}/{}", kind.plural)
    };
    let gvk = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let operation = |action: &str, parameters: &[&str], body: &[&str]| {
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
            .collect();
        let reference = json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}});
        let mut operation = json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk,
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": reference}}},
        });
        if !body.is_empty() {
            let content: Map<String, Value> = body
                .iter()
                .map(|media| ((*media).to_owned(), reference.clone()))
                .collect();
            operation["requestBody"] = json!({"content": content, "required": true});
        }
        operation
    };
    let write = ["dryRun", "fieldManager", "fieldValidation"];
    let json_body = ["application/json", "application/yaml"];
    let all_patches = [
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
    ];
    // Only built-in types say how their lists merge under a strategic patch.
    let patches = match kind.is_custom() {
        true => &all_patches[..3],
        false => &all_patches[..],
    };
    let list = [
        "labelSelector",
        "fieldSelector",
        "limit",
        "continue",
        "resourceVersion",
        "watch",
        "allowWatchBookmarks",
        "sendInitialEvents",
    ];
    paths.insert(
        collection.clone(),
        json!({"get": operation("list", &list, &[]), "post": operation("post", &write, &json_body)}),
    );
    paths.insert(
        format!("{collection}/{{name}}"),
        json!({
            "get": operation("get", &[], &[]),
            "put": operation("put", &write, &json_body),
            "patch": operation("patch", &[&write[..], &["force"]].concat(), patches),
            "delete": operation("delete", &["dryRun", "gracePeriodSeconds", "propagationPolicy"], &[]),
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_kubectl_looks_for() {
        let document = openapi_v3("", "v1");
        let schemas = &document["components"]["schemas"];
        let spec = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"];
        assert_eq!(spec["containers"]["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(spec["tolerations"]["x-kubernetes-list-type"], "atomic");
        let ports = &schemas["io.k8s.api.core.v1.Container"]["properties"]["ports"];
        assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
        let service = &schemas["io.k8s.api.core.v1.ServiceSpec"]["properties"]["ports"];
        assert_eq!(service["x-kubernetes-patch-merge-key"], "port");
        assert_eq!(
            schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"][0]["kind"],
            "Pod"
        );
        assert_eq!(
            schemas["io.k8s.api.core.v1.PodList"]["x-kubernetes-group-version-kind"][0]["kind"],
            "PodList"
        );
        let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
        assert!(
            patch["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .any(|p| p["name"] == "fieldValidation")
        );
        assert!(openapi_v3("nothing", "v1").is_null());
    }
}
