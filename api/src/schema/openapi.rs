//! OpenAPI v3 documents, one a group and version, generated from the types.
//!
//! Clients read three things from them: which kinds there are, how lists merge
//! (`x-kubernetes-patch-merge-key`), and whether writes take `fieldValidation` and `dryRun`.

use super::{
    corrections, merging,
    operations::{
        DELETE_OPTIONS, Operation, PARAMETERS, PATCH, STATUS, Sent, operations, schema_of,
    },
    unstored::UNSTORED,
};
use crate::{KindRef, crd::publish::Schemas, kind};
use k8s_openapi::{
    api::{
        authentication::v1 as authentication, autoscaling::v1 as autoscaling, core::v1 as core,
        policy::v1 as policy,
    },
    apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, ObjectMeta, Patch, Status},
    schemars::{JsonSchema as _, SchemaGenerator},
};
use serde_json::{Map, Value, json};

const GVK: &str = "x-kubernetes-group-version-kind";
/// Types that are written in more than one form, which `k8s-openapi` calls objects: upstream says nothing of them.
const OPEN: [&str; 4] = [
    "",
    "SchemaPropsOrArray",
    "SchemaPropsOrBool",
    "SchemaPropsOrStringArray",
];

/// Every kind that documents tell of, custom ones apart.
pub fn documented() -> impl Iterator<Item = KindRef> {
    kind::KINDS.iter().chain(UNSTORED)
}

/// Kinds, and every schema that they and what is done to them refer to.
pub(super) struct Built {
    /// Each with the names of its schema and of its list's.
    pub(super) kinds: Vec<(KindRef, String, String)>,
    pub(super) schemas: Map<String, Value>,
}

/// The schemas of built-in kinds; references look like `#/components/schemas/NAME`.
pub(super) fn built_in(kinds: impl Iterator<Item = KindRef>) -> Built {
    let mut generator = super::generator();
    let mut named = Vec::new();
    for kind in kinds {
        let name = super::register(kind, &mut generator);
        for subresource in kind.subresources {
            register_subresource(subresource, &mut generator);
        }
        let list = format!("{name}List");
        named.push((kind, name, list));
    }
    let mut schemas = shared(generator);
    for (kind, name, list) in &named {
        let Some(Value::Object(schema)) = schemas.get_mut(name) else {
            continue;
        };
        // A Rust type that always has metadata does not make them required of a client.
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| name != "metadata");
            if required.is_empty() {
                schema.remove("required");
            }
        }
        schema.insert(GVK.to_owned(), group_version_kind(kind, kind.kind));
        if kind.verbs.contains(&"list") {
            let told = list_schema(kind, name, schema);
            schemas.insert(list.clone(), told);
        }
    }
    corrections::correct(&mut schemas);
    Built {
        kinds: named,
        schemas,
    }
}

/// The schemas of custom kinds, each as it is published.
pub(super) fn custom(kinds: Vec<(KindRef, Schemas)>) -> Built {
    let mut schemas = Map::new();
    let mut named = Vec::new();
    for (kind, told) in kinds {
        named.push((kind, told.name.clone(), told.list_name.clone()));
        schemas.insert(told.name, told.schema);
        schemas.insert(told.list_name, told.list_schema);
    }
    Built {
        kinds: named,
        schemas,
    }
}

fn register_subresource(of: &kind::Subresource, generator: &mut SchemaGenerator) {
    let _reference = match schema_of(of).map(|_| of.kind.2) {
        Some("Scale") => generator.subschema_for::<autoscaling::Scale>(),
        Some("Binding") => generator.subschema_for::<core::Binding>(),
        Some("Eviction") => generator.subschema_for::<policy::Eviction>(),
        Some(_) => generator.subschema_for::<authentication::TokenRequest>(),
        None => return,
    };
}

/// What was registered, and what every document needs beside it.
fn shared(mut generator: SchemaGenerator) -> Map<String, Value> {
    let _reference = generator.subschema_for::<ObjectMeta>();
    let _reference = generator.subschema_for::<ListMeta>();
    let _reference = generator.subschema_for::<DeleteOptions>();
    let _reference = generator.subschema_for::<Status>();
    let _reference = generator.subschema_for::<Patch>();
    let mut schemas = generator.take_definitions(false);
    merging::annotate(&mut schemas);
    for name in OPEN {
        let name = format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON{name}");
        if let Some(Value::Object(schema)) = schemas.get_mut(&name) {
            schema.retain(|field, _| field == "description");
        }
    }
    let others = [
        (STATUS, "", "Status"),
        (DELETE_OPTIONS, "", "DeleteOptions"),
        ("io.k8s.api.autoscaling.v1.Scale", "autoscaling", "Scale"),
        ("io.k8s.api.core.v1.Binding", "", "Binding"),
        ("io.k8s.api.policy.v1.Eviction", "policy", "Eviction"),
        (
            "io.k8s.api.authentication.v1.TokenRequest",
            "authentication.k8s.io",
            "TokenRequest",
        ),
    ];
    for (name, group, kind) in others {
        if let Some(Value::Object(schema)) = schemas.get_mut(name) {
            let gvk = json!([{"group": group, "version": "v1", "kind": kind}]);
            schema.insert(GVK.to_owned(), gvk);
        }
    }
    if let Some(Value::Object(schema)) = schemas.get_mut(PATCH) {
        schema.entry("type").or_insert_with(|| json!("object"));
    }
    schemas.values_mut().for_each(name_atomic_lists);
    schemas
}

/// The document of one group and version; null if there is no kind in it.
#[must_use]
pub fn openapi_v3(group: &str, version: &str) -> Value {
    let mut kinds = documented()
        .filter(|kind| kind.group == group && kind.version == version)
        .peekable();
    if kinds.peek().is_none() {
        return Value::Null;
    }
    let mut built = built_in(kinds);
    built.schemas.values_mut().for_each(dress);
    document(built)
}

/// The document of a group and version of custom kinds, each with the schema it publishes.
#[must_use]
pub fn openapi_v3_custom(kinds: Vec<(KindRef, Schemas)>) -> Value {
    let mut generator = super::generator();
    for subresource in kinds.iter().flat_map(|(kind, _)| kind.subresources) {
        register_subresource(subresource, &mut generator);
    }
    let mut schemas = shared(generator);
    corrections::correct(&mut schemas);
    schemas.values_mut().for_each(dress);
    let mut built = custom(kinds);
    built.schemas.append(&mut schemas);
    document(built)
}

/// Where the schemas of the metadata of objects and of lists are.
#[must_use]
pub fn metadata_names() -> (String, String) {
    let (object, list) = (ObjectMeta::schema_name(), ListMeta::schema_name());
    (object.into_owned(), list.into_owned())
}

fn document(built: Built) -> Value {
    let mut paths = Map::new();
    for (kind, name, list) in &built.kinds {
        for operation in operations(kind, name, list) {
            let item = paths
                .entry(operation.path.as_str())
                .or_insert_with(|| json!({"parameters": path_parameters(&operation)}));
            item[operation.method] = print(&operation);
        }
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.35.0"},
        "paths": paths,
        "components": {"schemas": built.schemas},
    })
}

fn group_version_kind(kind: KindRef, name: &str) -> Value {
    json!([{"group": kind.group, "version": kind.version, "kind": name}])
}

/// A list of which nothing is said is replaced as a whole.
fn name_atomic_lists(schema: &mut Value) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(Map::values_mut) {
        if property["type"] == "array"
            && let Some(property) = property.as_object_mut()
        {
            property
                .entry("x-kubernetes-list-type")
                .or_insert_with(|| json!("atomic"));
        }
    }
}

/// Writes references with siblings as `allOf`, as upstream does: in v3 they stand alone.
fn dress(schema: &mut Value) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(Map::values_mut) {
        let Some(property) = property.as_object_mut() else {
            continue;
        };
        if let Some(reference) = property.remove("$ref") {
            property.insert("allOf".to_owned(), json!([{"$ref": reference}]));
        }
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn list_schema(kind: KindRef, name: &str, schema: &Map<String, Value>) -> Value {
    let own = |field: &str| schema.get("properties").map(|all| all[field].clone());
    let mut metadata = reference(&ListMeta::schema_name());
    metadata["description"] = json!("Standard list metadata.");
    json!({
        "description": format!("{} is a list of {}.", kind.list_name(), kind.plural),
        "type": "object",
        "properties": {
            "apiVersion": own("apiVersion"),
            "kind": own("kind"),
            "metadata": metadata,
            "items": {
                "description": format!("The {}.", kind.plural),
                "type": "array",
                "items": reference(name),
            },
        },
        "required": ["items"],
        GVK: group_version_kind(kind, &kind.list_name()),
    })
}

/// What stands in the path itself: name and what it is.
pub(super) fn in_path(operation: &Operation) -> Vec<(&'static str, String)> {
    let kind = &operation.of.2;
    let all = [
        ("name", format!("name of the {kind}")),
        ("namespace", "the namespace of the object".to_owned()),
        ("path", "the path that is handed on".to_owned()),
    ];
    all.into_iter()
        .filter(|(name, _)| operation.path.contains(&format!("{{{name}}}")))
        .collect()
}

fn path_parameters(operation: &Operation) -> Vec<Value> {
    let parameter = |(name, told): (&str, String)| {
        json!({
            "name": name,
            "in": "path",
            "description": told,
            "required": true,
            "schema": {"type": "string", "uniqueItems": true},
        })
    };
    in_path(operation).into_iter().map(parameter).collect()
}

/// The media types of an answer; a watch's are the last.
pub(super) fn answered_as(operation: &Operation) -> &'static [&'static str] {
    let custom = operation
        .answer
        .as_deref()
        .is_some_and(|name| !name.starts_with("io.k8s."));
    let all = &[
        "application/json",
        "application/vnd.kubernetes.protobuf",
        "application/json;stream=watch",
        "application/vnd.kubernetes.protobuf;stream=watch",
    ];
    match (operation.action, custom) {
        _ if operation.answer.is_none() => &["*/*"],
        ("list", false) => all,
        ("list", true) => &["application/json", "application/json;stream=watch"],
        (_, true) => &all[..1],
        (_, false) => &all[..2],
    }
}

fn print(operation: &Operation) -> Value {
    let parameter = |name: &&str| {
        let found = PARAMETERS.iter().find(|(known, ..)| known == name);
        let (name, sort, told) = found.unwrap_or(&("", "string", ""));
        json!({
            "name": name,
            "in": "query",
            "description": told,
            "schema": {"type": sort, "uniqueItems": true},
        })
    };
    let content = |schema: Value, media: &[&str]| -> Map<String, Value> {
        let one = |media: &&str| ((*media).to_owned(), json!({"schema": schema}));
        media.iter().map(one).collect()
    };
    let schema = match &operation.answer {
        Some(name) => reference(name),
        None => json!({"type": "string"}),
    };
    let answer = content(schema, answered_as(operation));
    let mut responses = json!({
        "200": {"description": "OK", "content": &answer},
        "401": {"description": "Unauthorized"},
    });
    for (code, told) in operation.codes {
        responses[*code] = json!({"description": told, "content": &answer});
    }
    let (group, version, kind) = &operation.of;
    let mut printed = json!({
        "tags": [operation.tag],
        "description": operation.description,
        "operationId": operation.id,
        "parameters": operation.query.iter().map(parameter).collect::<Vec<_>>(),
        "responses": responses,
        "x-kubernetes-action": operation.action,
        GVK: {"group": group, "version": version, "kind": kind},
    });
    let body = match &operation.body {
        Sent::Nothing => return printed,
        Sent::Object(name) => content(reference(name), &["application/json", "application/yaml"]),
        Sent::Patch(forms) => content(reference(PATCH), forms),
        Sent::Options => content(reference(DELETE_OPTIONS), &["application/json"]),
    };
    printed["requestBody"] = json!({"content": body, "required": operation.body != Sent::Options});
    printed
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{Kind, crd::publish};

    /// What a part of a document refers to.
    pub(in crate::schema) fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    found.push(target.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    fn custom_document() -> Value {
        static CRON_TAB: Kind = Kind {
            group: "stable.example.com",
            kind: "CronTab",
            plural: "crontabs",
            singular: "crontab",
            subresources: &[kind::STATUS, kind::SCALE],
            list_kind: "CronTabList",
            ..*kind::CONFIG_MAP
        };
        let crd = json!({"spec": {
            "group": "stable.example.com",
            "names": {"kind": "CronTab", "listKind": "CronTabList", "plural": "crontabs"},
            "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "pod": {"type": "object", "x-kubernetes-embedded-resource": true},
            }}}}],
        }});
        let (object, list) = metadata_names();
        let told = publish::schemas(&crd, "v1", (&object, &list)).unwrap();
        openapi_v3_custom(vec![(&CRON_TAB, told)])
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let mut documents = vec![custom_document()];
        let groups: std::collections::BTreeSet<_> = documented()
            .map(|kind| (kind.group, kind.version))
            .collect();
        documents.extend(
            groups
                .iter()
                .map(|(group, version)| openapi_v3(group, version)),
        );
        for document in documents {
            let mut found = Vec::new();
            references(&document, &mut found);
            assert!(found.len() > 10);
            for target in found {
                let there = document.pointer(target.trim_start_matches('#'));
                assert!(
                    there.is_some(),
                    "{target} in {:?}",
                    document["paths"].as_object().unwrap().keys()
                );
            }
        }
        let document = custom_document();
        let scale = &document["components"]["schemas"]["io.k8s.api.autoscaling.v1.Scale"];
        assert_eq!(scale[GVK][0]["group"], "autoscaling");
        assert_eq!(scale.get("required"), None);
    }

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

    #[test]
    fn tells_of_what_is_never_stored() {
        let document = openapi_v3("", "v1");
        let bindings = &document["paths"]["/api/v1/namespaces/{namespace}/bindings"];
        let post = &bindings["post"];
        assert_eq!(post["operationId"], "createCoreV1NamespacedBinding");
        assert_eq!(post["description"], "create a Binding");
        assert_eq!(
            post[GVK],
            json!({"group": "", "version": "v1", "kind": "Binding"})
        );
        let methods: Vec<&String> = bindings.as_object().unwrap().keys().collect();
        assert_eq!(methods, ["parameters", "post"]);
        let binding = &document["components"]["schemas"]["io.k8s.api.core.v1.Binding"];
        assert_eq!(binding["required"], json!(["target"]));
        let gvk = json!([{"group": "", "version": "v1", "kind": "Binding"}]);
        assert_eq!(binding[GVK], gvk);
        let all = &document["paths"]["/api/v1/componentstatuses"]["get"];
        assert_eq!(all["operationId"], "listCoreV1ComponentStatus");
        let one = &document["paths"]["/api/v1/componentstatuses/{name}"]["get"];
        assert_eq!(one["operationId"], "readCoreV1ComponentStatus");
    }
}
