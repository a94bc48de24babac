//! How Go's decoder, and so upstream, names a field and its type.
//!
//! Source: `encoding/json`, `UnmarshalTypeError`: the struct that has the field, the fields that lead to it without
//! indexes and keys of maps, and the field's Go type.

use serde_json::Value;

/// Where a value stands. A list's items and a map's values stand where the list or the map does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    structure: &'a str,
    name: &'a str,
}

impl<'a> Place<'a> {
    /// The object itself, of this kind.
    pub(super) fn root(kind: &'a str) -> Self {
        Self {
            parent: None,
            structure: kind,
            name: "",
        }
    }

    /// A field of what stands here, whose type this schema is.
    pub(super) fn field(&'a self, schema: &'a Value, name: &'a str) -> Self {
        let structure = match (structure(schema), self.parent) {
            (Some((_, structure)), Some(_)) => structure,
            _ => self.structure,
        };
        Self {
            parent: Some(self),
            structure,
            name,
        }
    }

    /// `DeploymentSpec.spec.replicas`.
    pub(super) fn name(&self) -> String {
        let mut names = Vec::new();
        let mut place = Some(self);
        while let Some(at) = place {
            names.push(at.name);
            place = at.parent;
        }
        names.reverse();
        format!("{}{}", self.structure, names.join("."))
    }
}

/// Package and name of the type that a schema refers to.
fn structure(schema: &Value) -> Option<(&str, &str)> {
    let reference = schema.get("$ref")?.as_str()?;
    let (rest, name) = reference.rsplit_once('.')?;
    let package = rest.rsplit(['.', '/']).next()?;
    Some((package, name))
}

/// `int32`, `map[string]string`, `[]v1.Container`.
pub(super) fn type_name(schema: &Value) -> String {
    if let Some((package, name)) = structure(schema) {
        return format!("{package}.{name}");
    }
    let text = |field: &str| schema.get(field).and_then(Value::as_str);
    match (text("type"), text("format")) {
        (Some("string"), Some("byte")) => "[]uint8".to_owned(),
        (Some("string"), Some("date-time")) => "v1.Time".to_owned(),
        (Some("integer"), format) => format.unwrap_or("int64").to_owned(),
        (Some("number"), _) => "float64".to_owned(),
        (Some("boolean"), _) => "bool".to_owned(),
        (Some("array"), _) => match schema.get("items") {
            Some(items) => format!("[]{}", type_name(items)),
            None => "[]interface {}".to_owned(),
        },
        (Some("object"), _) => match schema.get("additionalProperties") {
            Some(values) if values.is_object() => format!("map[string]{}", type_name(values)),
            _ => "map[string]interface {}".to_owned(),
        },
        (Some(other), _) => other.to_owned(),
        (None, _) => "interface {}".to_owned(),
    }
}
