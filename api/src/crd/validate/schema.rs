//! A version's schema: what OpenAPI allows and what Kubernetes leaves of it.

use super::{defaults, list, rules, structure, text};
use crate::{
    crd::{
        cause::invalid,
        path::Path,
        pattern::Patterns,
        structural::{Additional, Error, Node, Structural},
        value::CAUSES_MAX,
    },
    status::Cause,
};
use serde_json::{Value, json};
use std::mem;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// What upstream calls them, in its order.
const ROOT_FIELDS: [(&str, &str); 22] = [
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    (
        "x-kubernetes-preserve-unknown-fields",
        "XPreserveUnknownFields",
    ),
    ("x-kubernetes-validations", "XValidations"),
];
/// What no schema may have, and the word for it.
const UNSUPPORTED: [&str; 6] = [
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
];

/// What is wrong with a schema.
pub(super) fn validate(
    raw: &Value,
    has_status: bool,
    path: Path<'_>,
    (causes, patterns): (&mut Vec<Cause>, &mut Patterns),
) {
    let before = causes.len();
    if has_status {
        root_fields(raw, path, causes);
    }
    if raw["nullable"] == json!(true) {
        let field = path.field("nullable").to_field();
        causes.push(Cause::forbidden(
            field,
            "nullable cannot be true at the root",
        ));
    }
    let compiled = Structural::compile_with(raw, patterns);
    if let Err(error @ (Error::TooDeep | Error::TooLarge)) = &compiled {
        causes.push(invalid(path, &json!(""), &error.to_string()));
        return;
    }
    let mut found = structure::validate(raw, path, patterns);
    if let (true, Ok(compiled)) = (found.is_empty(), &compiled) {
        found = defaults::validate(&compiled.root, path);
    }
    let sound = found.is_empty();
    causes.append(&mut found);
    let node = compiled.as_ref().ok().filter(|_| sound);
    let mut walk = Walk {
        patterns: mem::take(patterns),
        ..Walk::default()
    };
    let place = Place {
        node: node.map(|compiled| &compiled.root),
        is_root: true,
        often: Some(1),
        ..Place::default()
    };
    walk.schema(raw, &place, path);
    walk.total_cost(path);
    *patterns = walk.patterns;
    causes.append(&mut walk.causes);
    causes.append(&mut walk.rule_causes);
    if let (true, Err(error)) = (causes.len() == before, compiled) {
        causes.push(invalid(path, &json!(""), &error.to_string()));
    }
    causes.truncate(before + CAUSES_MAX);
}

/// With a status of its own, the root may say only what does not reach into it.
fn root_fields(raw: &Value, path: Path<'_>, causes: &mut Vec<Cause>) {
    for name in raw.as_object().into_iter().flat_map(serde_json::Map::keys) {
        if name == "type" && raw["type"] != "object" {
            let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
            causes.push(invalid(path.field("type"), &raw["type"], detail));
            return;
        }
        if !ROOT_FIELDS.iter().any(|(field, _)| field == name) {
            let names: Vec<&str> = ROOT_FIELDS.iter().map(|(_, name)| *name).collect();
            let names = names.join(" ");
            let detail = format!(
                "only [{names}] fields are allowed at the root of the schema if the status subresource is enabled"
            );
            causes.push(invalid(path, raw, &detail));
            return;
        }
    }
}

/// Where in a schema the walk is.
#[derive(Clone, Default)]
pub(super) struct Place<'a> {
    /// The compiled schema; nothing where rules are not to be looked at.
    pub(super) node: Option<&'a Node>,
    pub(super) is_root: bool,
    inside_meta: bool,
    /// Why there may be no default.
    no_default: Option<String>,
    /// The list whose elements have no old ones.
    pub(super) no_old_self: Option<String>,
    /// How often values of it may stand in an object; nothing where a list or map around it has no limit.
    pub(super) often: Option<u64>,
}

#[derive(Default)]
pub(super) struct Walk {
    pub(super) causes: Vec<Cause>,
    /// Told after the others.
    pub(super) rule_causes: Vec<Cause>,
    pub(super) total: rules::Total,
    pub(super) patterns: Patterns,
}

/// How many values of what is below it one value of a schema may hold, if there is a limit.
fn elements_max(raw: &Value) -> Option<u64> {
    let limit = match text(raw, "type") {
        "object" if !raw["additionalProperties"].is_null() => "maxProperties",
        "array" => "maxItems",
        _ => return Some(1),
    };
    let limit = raw[limit].as_i64()?;
    Some(u64::try_from(limit).unwrap_or(0))
}

impl Walk {
    fn schema(&mut self, raw: &Value, place: &Place<'_>, path: Path<'_>) {
        if !raw.is_object() || self.causes.len() >= CAUSES_MAX {
            return;
        }
        self.standard(raw, place, path);
        self.below(raw, place, path);
        self.map_type(raw, path);
        self.list_type(raw, path);
        let rules_of = list(raw, "x-kubernetes-validations");
        if !rules_of.is_empty() {
            rules::validate(raw, rules_of, place, path, self);
        }
    }

    fn forbid(&mut self, path: Path<'_>, name: &str, detail: &str) {
        let field = path.field(name).to_field();
        self.causes.push(Cause::forbidden(field, detail));
    }

    fn standard(&mut self, raw: &Value, place: &Place<'_>, path: Path<'_>) {
        let kind = text(raw, "type");
        if !kind.is_empty() && !TYPES.contains(&kind) {
            let field = path.field("type").to_field();
            self.causes
                .push(Cause::unsupported(field, &json!(kind), &TYPES));
        }
        if let (Some(why), false) = (&place.no_default, raw["default"].is_null()) {
            self.forbid(path, "default", &format!("must not be set {why}"));
        }
        for name in UNSUPPORTED {
            let empty = raw[name].as_object().is_some_and(serde_json::Map::is_empty);
            let set = !raw[name].is_null() && (!empty || name == "dependencies");
            if set {
                self.forbid(path, name, &format!("{name} is not supported"));
            }
        }
        if kind == "null" {
            self.forbid(
                path,
                "type",
                "type cannot be set to null, use nullable as an alternative",
            );
        }
        if raw["items"].is_array() {
            self.forbid(
                path,
                "items",
                "items must be a schema object and not an array",
            );
        }
        if place.inside_meta && raw["x-kubernetes-embedded-resource"] == json!(true) {
            let name = "x-kubernetes-embedded-resource";
            self.forbid(path, name, "must not be used inside of resource meta");
        }
        if raw["uniqueItems"] == json!(true) {
            let detail =
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.forbid(path, "uniqueItems", detail);
        }
        let has_properties = raw["properties"].as_object().is_some_and(|p| !p.is_empty());
        let additional = &raw["additionalProperties"];
        if has_properties && !additional.is_null() && *additional != json!(true) {
            let detail = "additionalProperties and properties are mutual exclusive";
            self.forbid(path, "additionalProperties", detail);
        }
        if raw["x-kubernetes-preserve-unknown-fields"] == json!(false) {
            let path = path.field("x-kubernetes-preserve-unknown-fields");
            self.causes
                .push(invalid(path, &json!(false), "must be true or undefined"));
        }
    }

    fn below(&mut self, raw: &Value, place: &Place<'_>, path: Path<'_>) {
        let elements = elements_max(raw);
        let often = place.often.zip(elements);
        let inner = Place {
            is_root: false,
            often: often.map(|(of, elements)| of.saturating_mul(elements)),
            ..place.clone()
        };
        if raw["additionalProperties"].is_object() {
            let mut inner = inner.clone();
            inner.node = match place.node.map(|node| &node.additional) {
                Some(Additional::Schema(schema)) => Some(schema),
                _ => None,
            };
            if place.inside_meta {
                let why = "inside additionalProperties applying to object metadata";
                inner.no_default = Some(why.to_owned());
            }
            let path = path.field("additionalProperties");
            self.schema(&raw["additionalProperties"], &inner, path);
        }
        let properties = path.field("properties");
        for (name, property) in raw["properties"].as_object().into_iter().flatten() {
            let mut inner = inner.clone();
            inner.node = place.node.and_then(|node| node.properties.get(name));
            let is_resource = place.is_root || raw["x-kubernetes-embedded-resource"] == json!(true);
            if is_resource && crate::crd::prune::META_FIELDS.contains(&name.as_str()) {
                inner.inside_meta = true;
                if place.is_root {
                    inner.no_default = Some(format!("in top-level {name}"));
                }
            }
            self.schema(property, &inner, properties.key(name));
        }
        let nested = Place {
            node: None,
            ..inner.clone()
        };
        self.schema(&raw["not"], &nested, path.field("not"));
        for junctor in ["allOf", "oneOf", "anyOf"] {
            let path = path.field(junctor);
            for (index, schema) in list(raw, junctor).iter().enumerate() {
                self.schema(schema, &nested, path.index(index));
            }
        }
        let mut inner = inner;
        inner.node = place.node.and_then(|node| node.items.as_deref());
        if text(raw, "x-kubernetes-list-type") != "map" {
            inner.no_old_self.get_or_insert_with(|| path.to_string());
        }
        self.schema(&raw["items"], &inner, path.field("items"));
    }

    /// The type that an extension asks for.
    fn needs_type(&mut self, raw: &Value, path: Path<'_>, wanted: &str, extension: &str) {
        let kind = text(raw, "type");
        if kind == wanted {
            return;
        }
        let detail = format!("must be {wanted} if {extension} is specified");
        let path = path.field("type");
        self.causes.push(if kind.is_empty() {
            Cause::required(path.to_field(), &detail)
        } else {
            invalid(path, &json!(kind), &detail)
        });
    }

    fn map_type(&mut self, raw: &Value, path: Path<'_>) {
        let extension = "x-kubernetes-map-type";
        if raw[extension].is_null() {
            return;
        }
        self.needs_type(raw, path, "object", extension);
        if !matches!(text(raw, extension), "atomic" | "granular") {
            let field = path.field(extension).to_field();
            let types = &["atomic", "granular"];
            self.causes
                .push(Cause::unsupported(field, &raw[extension], types));
        }
    }

    fn list_type(&mut self, raw: &Value, path: Path<'_>) {
        let (extension, keys) = ("x-kubernetes-list-type", "x-kubernetes-list-map-keys");
        let kind = text(raw, extension);
        let has_keys = !list(raw, keys).is_empty();
        if has_keys && kind != "map" {
            let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
            let path = path.field(extension);
            self.causes.push(if raw[extension].is_null() {
                Cause::required(path.to_field(), detail)
            } else {
                invalid(path, &raw[extension], detail)
            });
        }
        if raw[extension].is_null() {
            return;
        }
        self.needs_type(raw, path, "array", extension);
        match kind {
            "atomic" => {}
            "set" => self.set_items(raw, path),
            "map" => self.list_map(raw, path),
            other => {
                let field = path.field(extension).to_field();
                let types = &["atomic", "set", "map"];
                self.causes
                    .push(Cause::unsupported(field, &json!(other), types));
            }
        }
        if matches!(kind, "set" | "map") && raw["items"]["nullable"] == json!(true) {
            let detail = format!("cannot be nullable when x-kubernetes-list-type is {kind}");
            self.forbid(path.field("items"), "nullable", &detail);
        }
    }

    fn set_items(&mut self, raw: &Value, path: Path<'_>) {
        let items = &raw["items"];
        let (name, wrong) = match text(items, "type") {
            "array" => {
                let name = "x-kubernetes-list-type";
                (name, !matches!(text(items, name), "" | "atomic"))
            }
            "object" => {
                let name = "x-kubernetes-map-type";
                (name, text(items, name) != "atomic")
            }
            _ => return,
        };
        if wrong {
            let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
            let path = path.field("items");
            self.causes
                .push(invalid(path.field(name), &items[name], detail));
        }
    }

    fn list_map(&mut self, raw: &Value, path: Path<'_>) {
        let keys_name = "x-kubernetes-list-map-keys";
        let (keys, items) = (list(raw, keys_name), &raw["items"]);
        if keys.is_empty() {
            let field = path.field(keys_name).to_field();
            let detail = "must not be empty if x-kubernetes-list-type is map";
            self.causes.push(Cause::required(field, detail));
        }
        let items_path = path.field("items");
        if items.is_null() {
            let detail = "must have a schema if x-kubernetes-list-type is map";
            self.causes
                .push(Cause::required(items_path.to_field(), detail));
            return;
        }
        if text(items, "type") != "object" {
            let detail = "must be object if parent array's x-kubernetes-list-type is map";
            self.causes.push(invalid(
                items_path.field("type"),
                &json!(text(items, "type")),
                detail,
            ));
            return;
        }
        let properties = items_path.field("properties");
        for (index, key) in keys.iter().enumerate() {
            let name = key.as_str().unwrap_or_default();
            if keys[..index].contains(key) {
                let detail = "must not contain duplicate entries";
                self.causes
                    .push(invalid(path.field(keys_name), &raw[keys_name], detail));
            }
            let Some(property) = items["properties"].get(name) else {
                let detail = "entries must all be names of item properties";
                self.causes
                    .push(invalid(path.field(keys_name), &raw[keys_name], detail));
                continue;
            };
            let path = properties.key(name);
            if matches!(text(property, "type"), "array" | "object") {
                let detail =
                    "must be a scalar type if parent array's x-kubernetes-list-type is map";
                self.causes
                    .push(invalid(path.field("type"), &items["type"], detail));
            }
            if !list(items, "required").contains(key) && property["default"].is_null() {
                let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                self.causes
                    .push(Cause::required(path.field("default").to_field(), detail));
            }
            if property["nullable"] == json!(true) {
                let detail =
                    "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                self.forbid(path, "nullable", detail);
            }
        }
    }
}
