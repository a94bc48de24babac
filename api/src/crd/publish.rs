//! What OpenAPI tells of custom resources, and the order of their versions.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/controller/openapi/builder` and `pkg/controller/openapi/v2`.

mod v2;

use serde_json::{Value, json};
use std::cmp::Ordering;

const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const METADATA: &str = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
const LIST_METADATA: &str = "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const EMBEDDED_API_VERSION: &str = "apiVersion defines the versioned schema of this representation of an object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const EMBEDDED_KIND: &str = "kind is a string value representing the type of this object. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const GVK: &str = "x-kubernetes-group-version-kind";

/// Schemas that are told of one version, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Schemas {
    /// Name of the kind's schema: `com.example.stable.v1.CronTab`.
    pub name: String,
    /// The kind's schema.
    pub schema: Value,
    /// Name of the list's schema.
    pub list_name: String,
    /// The list's schema.
    pub list_schema: Value,
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn version<'a>(crd: &'a Value, name: &str) -> Option<&'a Value> {
    let versions = crd.get("spec")?.get("versions")?.as_array()?;
    versions.iter().find(|version| version["name"] == name)
}

/// The name of a kind's schema: the group's parts are in reverse.
#[must_use]
pub fn schema_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').collect();
    parts.reverse();
    format!("{}.{version}.{kind}", parts.join("."))
}

/// Which OpenAPI the schemas are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    V2,
    V3,
}

/// The OpenAPI v3 schemas of a version; references are to `#/components/schemas/NAME`, where those of
/// the metadata of objects and lists are given.
#[must_use]
pub fn schemas(crd: &Value, version_name: &str, metadata: (&str, &str)) -> Option<Schemas> {
    print(crd, version_name, metadata, Form::V3)
}

/// As [`schemas`], without what v2 cannot say or its clients do not understand.
#[must_use]
pub fn schemas_v2(crd: &Value, version_name: &str, metadata: (&str, &str)) -> Option<Schemas> {
    print(crd, version_name, metadata, Form::V2)
}

fn print(
    crd: &Value,
    version_name: &str,
    (object_meta, list_meta): (&str, &str),
    form: Form,
) -> Option<Schemas> {
    let version = version(crd, version_name)?;
    let (spec, names) = (&crd["spec"], &crd["spec"]["names"]);
    let group = text(spec, "group");
    let (kind, list_kind) = (text(names, "kind"), text(names, "listKind"));
    let name = schema_name(group, version_name, kind);
    let gvk = |kind: &str| json!([{"group": group, "version": version_name, "kind": kind}]);
    let raw = &version["schema"]["openAPIV3Schema"];
    // Clients of v2 take what is said for all there may be.
    let open = form == Form::V2
        && (preserves(raw) || spec.get("preserveUnknownFields") == Some(&json!(true)));
    let mut schema = if raw.is_object() && !open {
        let mut schema = raw.clone();
        if form == Form::V2 {
            v2::downgrade(&mut schema);
        }
        published(&mut schema, object_meta, form);
        type_and_metadata(&mut schema, (API_VERSION, KIND), (object_meta, form));
        schema
    } else {
        json!({"type": "object"})
    };
    schema[GVK] = gvk(kind);
    let mut list_schema = json!({
        "type": "object",
        "description": format!("{list_kind} is a list of {kind}"),
        "required": ["items"],
        "properties": {
            "items": {
                "type": "array",
                "description": format!(
                    "List of {}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md",
                    text(names, "plural")
                ),
                "items": {"$ref": format!("#/components/schemas/{name}")},
            },
            "apiVersion": {"type": "string", "description": API_VERSION},
            "kind": {"type": "string", "description": KIND},
            "metadata": reference(list_meta, LIST_METADATA, form),
        },
    });
    list_schema[GVK] = gvk(list_kind);
    if let Some(fields) = selectable(version) {
        schema["x-kubernetes-selectable-fields"] = fields.clone();
        list_schema["x-kubernetes-selectable-fields"] = fields;
    }
    Some(Schemas {
        name,
        schema,
        list_name: schema_name(group, version_name, list_kind),
        list_schema,
    })
}

fn selectable(version: &Value) -> Option<Value> {
    let fields = version.get("selectableFields")?.as_array()?;
    let fields = fields.iter().map(|field| {
        let path = text(field, "jsonPath");
        json!({"fieldPath": path.strip_prefix('.').unwrap_or(path)})
    });
    let fields: Vec<Value> = fields.collect();
    (!fields.is_empty()).then(|| json!(fields))
}

fn preserves(schema: &Value) -> bool {
    schema.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true))
}

fn reference(name: &str, description: &str, form: Form) -> Value {
    let target = json!({"$ref": format!("#/components/schemas/{name}")});
    match form {
        Form::V2 => json!({"description": description, "$ref": target["$ref"]}),
        Form::V3 => json!({"description": description, "allOf": [target]}),
    }
}

fn type_and_metadata(
    schema: &mut Value,
    (api_version, kind): (&str, &str),
    (object_meta, form): (&str, Form),
) {
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let properties = &mut schema["properties"];
    properties["apiVersion"] = json!({"type": "string", "description": api_version});
    properties["kind"] = json!({"type": "string", "description": kind});
    properties["metadata"] = reference(object_meta, METADATA, form);
}

/// Completes what a schema leaves unsaid. A schema's depth is bounded before it is stored.
fn published(schema: &mut Value, object_meta: &str, form: Form) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    for name in ["items", "additionalProperties", "not"] {
        if let Some(inner) = fields.get_mut(name) {
            published(inner, object_meta, form);
        }
    }
    let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
    for (_, property) in properties.into_iter().flatten() {
        published(property, object_meta, form);
    }
    if form == Form::V3 && fields.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
        // Clients that do not know the extension know the alternatives.
        let types = json!([{"type": "integer"}, {"type": "string"}]);
        if !fields.contains_key("anyOf") && !fields.contains_key("allOf") {
            fields.insert("anyOf".to_owned(), types);
        }
    }
    if form == Form::V2 && preserves(schema) {
        return;
    }
    if schema.get("x-kubernetes-embedded-resource") == Some(&json!(true)) {
        let told = (EMBEDDED_API_VERSION, EMBEDDED_KIND);
        type_and_metadata(schema, told, (object_meta, form));
        let mut required = schema["required"].as_array().cloned().unwrap_or_default();
        for name in ["kind", "apiVersion"] {
            if !required.contains(&json!(name)) {
                required.push(json!(name));
            }
        }
        schema["required"] = Value::Array(required);
    }
}

/// Which version comes first: released before beta before alpha, then the higher number; names that
/// are no such versions come after, in reverse.
#[must_use]
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    match (version_rank(a), version_rank(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => b.cmp(a),
    }
}

/// How settled, major, minor.
fn version_rank(name: &str) -> Option<(u8, u64, u64)> {
    let rest = name.strip_prefix('v')?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (major, rest) = rest.split_at(end);
    let major = major.parse().ok()?;
    if rest.is_empty() {
        return Some((2, major, 0));
    }
    let (rank, minor) = match rest.strip_prefix("beta") {
        Some(minor) => (1, minor),
        None => (0, rest.strip_prefix("alpha")?),
    };
    Some((rank, major, minor.parse().ok()?))
}
