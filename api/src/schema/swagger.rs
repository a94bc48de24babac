//! OpenAPI v2: one document of everything, handed out in parts so that nobody has to hold it whole.
//!
//! Older clients read nothing else. The schemas are those of v3; what v2 cannot say is left out of them by
//! upstream's rules.

use super::{
    openapi::{Built, answered_as, built_in, custom, documented, in_path},
    operations::{DELETE_OPTIONS, Operation, PARAMETERS, PATCH, Sent, operations},
};
use crate::{KindRef, crd::publish::Schemas};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Where in the document a part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// A schema.
    Definitions,
    /// What can be asked of a path.
    Paths,
    /// A parameter that operations refer to.
    Parameters,
    /// How clients prove who they are.
    SecurityDefinitions,
}

impl Section {
    /// Its name in the document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Paths => "paths",
            Self::Definitions => "definitions",
            Self::Parameters => "parameters",
            Self::SecurityDefinitions => "securityDefinitions",
        }
    }
}

/// Hands out every part of the document, section by section, each part once, under its name. Custom kinds come
/// with the schemas of [`crate::crd::publish::schemas_v2`].
pub fn openapi_v2(kinds: Vec<(KindRef, Schemas)>, mut give: impl FnMut(Section, &str, Value)) {
    // Group by group, so that the schemas of one are in memory at a time.
    let groups: BTreeSet<_> = documented()
        .map(|kind| (kind.group, kind.version))
        .collect();
    let of = |(group, version)| {
        documented().filter(move |kind| (kind.group, kind.version) == (group, version))
    };
    let built = groups.into_iter().map(|group| built_in(of(group)));
    let (mut given, mut named) = (BTreeSet::new(), Vec::new());
    for Built { kinds, schemas } in built.chain([custom(kinds)]) {
        named.extend(kinds);
        for (name, mut schema) in schemas {
            if given.contains(&name) {
                continue;
            }
            convert(&mut schema, &name);
            give(Section::Definitions, &name, schema);
            given.insert(name);
        }
    }
    for (kind, name, list) in &named {
        for (path, item) in paths(operations(kind, name, list)) {
            give(Section::Paths, &path, item);
        }
    }
    for (name, sort, told) in PARAMETERS {
        let parameter = json!({
            "name": name, "in": "query", "description": told, "type": sort, "uniqueItems": true,
        });
        give(Section::Parameters, name, parameter);
    }
    let token = json!({
        "description": "Bearer Token authentication",
        "in": "header",
        "name": "authorization",
        "type": "apiKey",
    });
    give(Section::SecurityDefinitions, "BearerToken", token);
}

fn paths(operations: Vec<Operation>) -> Map<String, Value> {
    let mut paths = Map::new();
    for operation in operations {
        let item = paths.entry(operation.path.as_str()).or_insert_with(|| {
            let parameter = |(name, told): (&str, String)| {
                json!({
                    "name": name,
                    "in": "path",
                    "description": told,
                    "required": true,
                    "type": "string",
                    "uniqueItems": true,
                })
            };
            let parameters: Vec<Value> = in_path(&operation).into_iter().map(parameter).collect();
            match parameters.is_empty() {
                true => json!({}),
                false => json!({"parameters": parameters}),
            }
        });
        item[operation.method] = print(&operation);
    }
    paths
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{name}")})
}

fn print(operation: &Operation) -> Value {
    let schema = match &operation.answer {
        Some(name) => reference(name),
        None => json!({"type": "string"}),
    };
    let mut responses = json!({
        "200": {"description": "OK", "schema": schema},
        "401": {"description": "Unauthorized"},
    });
    for (code, told) in operation.codes {
        responses[*code] = json!({"description": told, "schema": schema});
    }
    let named = |name: &&str| json!({"$ref": format!("#/parameters/{name}")});
    let mut parameters: Vec<Value> = operation.query.iter().map(named).collect();
    let body = match &operation.body {
        Sent::Nothing => None,
        Sent::Object(name) => Some(name.as_str()),
        Sent::Patch(_) => Some(PATCH),
        Sent::Options => Some(DELETE_OPTIONS),
    };
    if let Some(name) = body {
        let mut body = json!({"name": "body", "in": "body", "schema": reference(name)});
        if operation.body != Sent::Options {
            body["required"] = json!(true);
        }
        parameters.insert(0, body);
    }
    let consumes = match operation.body {
        Sent::Patch(forms) => forms,
        _ => &["*/*"],
    };
    let (group, version, kind) = &operation.of;
    json!({
        "description": operation.description,
        "consumes": consumes,
        "produces": answered_as(operation),
        "schemes": ["https"],
        "tags": [operation.tag],
        "operationId": operation.id,
        "parameters": parameters,
        "responses": responses,
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    })
}

/// From v3's form: where references go, and numbers that may be texts. Schemas are as deep as types are, or as
/// a definition may be.
fn convert(schema: &mut Value, name: &str) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::String(target)) = fields.get_mut("$ref")
        && let Some(name) = target.strip_prefix("#/components/schemas/")
    {
        *target = format!("#/definitions/{name}");
    }
    // Custom kinds say it themselves; of built-in ones there are two types that do.
    if name.starts_with("io.k8s.apimachinery.")
        && fields.remove("x-kubernetes-int-or-string").is_some()
    {
        fields.insert("type".to_owned(), json!("string"));
        if name.ends_with("IntOrString") {
            fields.insert("format".to_owned(), json!("int-or-string"));
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(inner) {
            convert(inner, "");
        }
    }
    let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(Map::values_mut) {
        convert(property, "");
    }
}

#[cfg(test)]
mod tests;
