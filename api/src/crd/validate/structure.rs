//! Whether a schema is structural: the value's shape is said outside of `allOf`, `anyOf`, `oneOf` and
//! `not`, and everything that these speak of is said there.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/apiserver/schema/validation.go` and `complete.go`.

use super::{list, text};
use crate::{
    crd::{cause::invalid, path::Path, pattern::Patterns, value::CAUSES_MAX},
    status::Cause,
};
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What is not structural, sorted as upstream sorts it.
pub(super) fn validate(raw: &Value, path: Path<'_>, patterns: &mut Patterns) -> Vec<Cause> {
    let mut causes = Vec::new();
    invariants(raw, Level::Root, path, (&mut causes, patterns));
    complete_junctors(raw, raw, (path, path), &mut causes);
    causes.sort_by_cached_key(|cause| format!("{}: {}", cause.field, cause.message));
    causes
}

fn flag(raw: &Value, name: &str) -> bool {
    raw[name] == json!(true)
}

fn fields<'a>(raw: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    raw[name].as_object().into_iter().flatten()
}

fn require(path: Path<'_>, name: &str, detail: &str, causes: &mut Vec<Cause>) {
    causes.push(Cause::required(path.field(name).to_field(), detail));
}

fn forbid(path: Path<'_>, name: &str, detail: &str, causes: &mut Vec<Cause>) {
    causes.push(Cause::forbidden(path.field(name).to_field(), detail));
}

fn invariants(
    raw: &Value,
    level: Level,
    path: Path<'_>,
    (causes, patterns): (&mut Vec<Cause>, &mut Patterns),
) {
    if causes.len() >= CAUSES_MAX {
        return;
    }
    let kind = text(raw, "type");
    if kind == "array" && raw["items"].is_null() {
        require(path, "items", "must be specified", causes);
    }
    if raw["items"].is_object() {
        let path = path.field("items");
        invariants(&raw["items"], Level::Item, path, (causes, patterns));
    }
    let properties = path.field("properties");
    for (name, property) in fields(raw, "properties") {
        let path = properties.key(name);
        invariants(property, Level::Field, path, (causes, patterns));
    }
    let additional = &raw["additionalProperties"];
    if !additional.is_null() {
        if level == Level::Root {
            forbid(
                path,
                "additionalProperties",
                "must not be used at the root",
                causes,
            );
        }
        if additional.is_object() {
            let path = path.field("additionalProperties");
            invariants(additional, Level::Field, path, (causes, patterns));
        }
    }
    extensions(raw, path, causes);
    let skip = [
        is_int_or_string(&raw["anyOf"]),
        is_int_or_string(&raw["allOf"][0]["anyOf"]),
    ];
    junctors(raw, skip, path, (causes, patterns));
    type_is_said(raw, level, path, causes);
    resource(raw, level, path, causes);
}

fn extensions(raw: &Value, path: Path<'_>, causes: &mut Vec<Cause>) {
    if !flag(raw, "x-kubernetes-int-or-string") {
        return;
    }
    for name in [
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
    ] {
        if flag(raw, name) {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            causes.push(invalid(path.field(name), &json!(true), detail));
        }
    }
}

fn type_is_said(raw: &Value, level: Level, path: Path<'_>, causes: &mut Vec<Cause>) {
    let kind = text(raw, "type");
    let free = flag(raw, "x-kubernetes-int-or-string")
        || flag(raw, "x-kubernetes-preserve-unknown-fields");
    if flag(raw, "x-kubernetes-embedded-resource") && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        if kind.is_empty() {
            require(path, "type", detail, causes);
        } else {
            causes.push(invalid(path.field("type"), &json!(kind), detail));
        }
    } else if kind.is_empty() && !free {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        require(path, "type", detail, causes);
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        causes.push(invalid(
            path.field("type"),
            &json!(kind),
            "must be object at the root",
        ));
    }
}

/// Type and metadata of an object, at the root or embedded.
fn resource(raw: &Value, level: Level, path: Path<'_>, causes: &mut Vec<Cause>) {
    let embedded = flag(raw, "x-kubernetes-embedded-resource");
    let is_resource = embedded || level == Level::Root;
    if embedded && !raw["additionalProperties"].is_null() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        forbid(path, "additionalProperties", detail, causes);
    }
    let properties = path.field("properties");
    for name in ["kind", "apiVersion"] {
        let property = &raw["properties"][name];
        if is_resource && property.is_object() && text(property, "type") != "string" {
            let path = properties.key(name);
            causes.push(invalid(
                path.field("type"),
                &json!(text(property, "type")),
                "must be string",
            ));
        }
    }
    let meta = &raw["properties"]["metadata"];
    if meta.is_object() {
        let path = properties.key("metadata");
        if is_resource && text(meta, "type") != "object" {
            causes.push(invalid(
                path.field("type"),
                &json!(text(meta, "type")),
                "must be object",
            ));
        }
        if level == Level::Root && !is_plain_metadata(meta) {
            let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            causes.push(Cause::forbidden(path.to_field(), detail));
        }
    }
    let empty = fields(raw, "properties").next().is_none();
    if embedded && empty && !flag(raw, "x-kubernetes-preserve-unknown-fields") {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        require(path, "properties", detail, causes);
    }
}

/// Says no more than the type, and schemas of `name` and `generateName`.
fn is_plain_metadata(meta: &Value) -> bool {
    let names = ["name", "generateName"];
    let mut keys = meta.as_object().into_iter().flat_map(serde_json::Map::keys);
    keys.all(|key| matches!(key.as_str(), "type" | "properties" | "default"))
        && fields(meta, "properties").all(|(name, _)| names.contains(&name.as_str()))
}

/// The pattern that `x-kubernetes-int-or-string` is written with.
fn is_int_or_string(any_of: &Value) -> bool {
    *any_of == json!([{"type": "integer"}, {"type": "string"}])
}

/// What is said under the junctors of a schema. The pattern of an int or string may have types.
fn junctors(
    raw: &Value,
    [skip_any, skip_first]: [bool; 2],
    path: Path<'_>,
    (causes, patterns): (&mut Vec<Cause>, &mut Patterns),
) {
    for name in ["anyOf", "allOf", "oneOf"] {
        let path = path.field(name);
        for (index, schema) in list(raw, name).iter().enumerate() {
            if name == "anyOf" && skip_any {
                continue;
            }
            let skip = name == "allOf" && index == 0 && skip_first;
            nested(schema, skip, path.index(index), (causes, patterns));
        }
    }
    if raw["not"].is_object() {
        let path = path.field("not");
        nested(&raw["not"], false, path, (causes, patterns));
    }
    let pattern = text(raw, "pattern");
    if !pattern.is_empty()
        && let Err(why) = patterns.compile(pattern)
    {
        let detail = format!("must be a valid regular expression, but isn't: {why}");
        causes.push(invalid(path.field("pattern"), &json!(pattern), &detail));
    }
}

/// A schema under a junctor says what values are, never what they look like.
fn nested(
    raw: &Value,
    skip_any: bool,
    path: Path<'_>,
    (causes, patterns): (&mut Vec<Cause>, &mut Patterns),
) {
    const MUST_BE: [(&str, &str); 11] = [
        ("type", "empty"),
        ("additionalProperties", "undefined"),
        ("default", "undefined"),
        ("title", "empty"),
        ("description", "empty"),
        ("nullable", "false"),
        ("x-kubernetes-preserve-unknown-fields", "false"),
        ("x-kubernetes-embedded-resource", "false"),
        ("x-kubernetes-int-or-string", "false"),
        ("x-kubernetes-list-type", "undefined"),
        ("x-kubernetes-map-type", "undefined"),
    ];
    if causes.len() >= CAUSES_MAX {
        return;
    }
    junctors(raw, [skip_any, false], path, (causes, patterns));
    if raw["items"].is_object() {
        let path = path.field("items");
        nested(&raw["items"], false, path, (causes, patterns));
    }
    let properties = path.field("properties");
    for (name, property) in fields(raw, "properties") {
        nested(property, false, properties.key(name), (causes, patterns));
    }
    for (name, what) in MUST_BE {
        let value = &raw[name];
        if !value.is_null() && *value != json!(false) && *value != json!("") {
            forbid(
                path,
                name,
                &format!("must be {what} to be structural"),
                causes,
            );
        }
    }
    for name in ["x-kubernetes-list-map-keys", "x-kubernetes-validations"] {
        if !list(raw, name).is_empty() {
            forbid(path, name, "must be empty to be structural", causes);
        }
    }
    if raw["properties"]["metadata"].is_object() {
        let field = properties.key("metadata").to_field();
        causes.push(Cause::forbidden(
            field,
            "must not be specified in a nested context",
        ));
    }
}

/// What junctors speak of must be said outside of them: `shape` is there, `raw` here.
fn complete_junctors(
    raw: &Value,
    shape: &Value,
    (shape_path, path): (Path<'_>, Path<'_>),
    causes: &mut Vec<Cause>,
) {
    for name in ["allOf", "anyOf", "oneOf"] {
        let path = path.field(name);
        for (index, schema) in list(raw, name).iter().enumerate() {
            complete(schema, shape, (shape_path, path.index(index)), causes);
        }
    }
    if raw["not"].is_object() {
        complete(&raw["not"], shape, (shape_path, path.field("not")), causes);
    }
}

fn complete(
    raw: &Value,
    shape: &Value,
    (shape_path, path): (Path<'_>, Path<'_>),
    causes: &mut Vec<Cause>,
) {
    if causes.len() >= CAUSES_MAX {
        return;
    }
    if !shape.is_object() {
        let detail = format!("because it is defined in {path}");
        causes.push(Cause::required(shape_path.to_field(), &detail));
        return;
    }
    complete_junctors(raw, shape, (shape_path, path), causes);
    if raw["items"].is_object() {
        let paths = (shape_path.field("items"), path.field("items"));
        complete(&raw["items"], &shape["items"], paths, causes);
    }
    let (shape_properties, properties) = (shape_path.field("properties"), path.field("properties"));
    for (name, property) in fields(raw, "properties") {
        let paths = (shape_properties.key(name), properties.key(name));
        complete(property, &shape["properties"][name.as_str()], paths, causes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_of_int_or_string_may_have_types() {
        let types = json!([{"type": "integer"}, {"type": "string"}]);
        for junctors in [
            json!({"anyOf": types}),
            json!({"allOf": [{"anyOf": types}, {"minimum": 1}]}),
        ] {
            let mut property = junctors.clone();
            property["x-kubernetes-int-or-string"] = json!(true);
            let schema = json!({"type": "object", "properties": {"a": property}});
            let found = validate(&schema, Path::ROOT, &mut Patterns::default());
            assert_eq!(found, [], "{junctors}");
        }
    }
}
