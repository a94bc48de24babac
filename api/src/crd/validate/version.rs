//! One version: its schema, printer columns, scale, selectable fields.

use super::{list, schema, text};
use crate::{
    crd::{
        cause::{invalid, too_many},
        fieldpath,
        path::Path,
        pattern::Patterns,
        structural::{Structural, Type},
    },
    status::Cause,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = [
    "byte",
    "date",
    "date-time",
    "double",
    "float",
    "int32",
    "int64",
    "password",
];
const SELECTABLE_FIELDS_MAX: usize = 8;
/// Printer columns of a version; upstream has no limit.
const COLUMNS_MAX: usize = 100;
const WARNING_CHARS_MAX: usize = 256;

/// What is wrong with a version; what an update leaves as it was is not looked at again.
pub(super) fn validate(
    version: &Value,
    before: Option<&Value>,
    path: Path<'_>,
    (causes, patterns): (&mut Vec<Cause>, &mut Patterns),
) {
    deprecation(version, path, causes);
    let same = |name: &str| before.is_some_and(|before| before.get(name) == version.get(name));
    let raw = &version["schema"]["openAPIV3Schema"];
    let untouched = same("schema") && same("subresources");
    if !raw.is_null() && !untouched {
        let has_status = !version["subresources"]["status"].is_null();
        let path = path.field("schema");
        let path = path.field("openAPIV3Schema");
        schema::validate(raw, has_status, path, (causes, patterns));
    }
    let subresources = path.field("subresources");
    scale(&version["subresources"]["scale"], subresources, causes);
    columns(version, path.field("additionalPrinterColumns"), causes);
    if !(same("schema") && same("selectableFields")) {
        let path = path.field("selectableFields");
        selectable(version, path, (causes, patterns));
    }
}

fn deprecation(version: &Value, path: Path<'_>, causes: &mut Vec<Cause>) {
    let Some(warning) = version.get("deprecationWarning").and_then(Value::as_str) else {
        return;
    };
    let odd = warning.chars().position(char::is_control);
    let odd = odd.map(|at| {
        format!("must only contain printable UTF-8 characters; non-printable character found at index {at}")
    });
    let problems = if version["deprecated"] == json!(true) {
        vec![
            (warning.len() > WARNING_CHARS_MAX)
                .then(|| "must be <= 256 characters long".to_owned()),
            warning
                .is_empty()
                .then(|| "must not be an empty string".to_owned()),
            odd,
        ]
    } else {
        vec![Some("can only be set for deprecated versions".to_owned())]
    };
    for problem in problems.into_iter().flatten() {
        let path = path.field("deprecationWarning");
        causes.push(invalid(path, &json!(warning), &problem));
    }
}

fn simple_path(text: &str, path: Path<'_>, causes: &mut Vec<Cause>) -> bool {
    let valid = text.starts_with('.');
    if !valid {
        let detail = "must be a simple json path starting with .";
        causes.push(invalid(path, &json!(text), detail));
    }
    valid
}

fn scale(scale: &Value, path: Path<'_>, causes: &mut Vec<Cause>) {
    if scale.is_null() {
        return;
    }
    let rows: [(&str, &str, &[&str], &str); 3] = [
        (
            "scale.specReplicasPath",
            "specReplicasPath",
            &[".spec."],
            "should be a json path under .spec",
        ),
        (
            "scale.statusReplicasPath",
            "statusReplicasPath",
            &[".status."],
            "should be a json path under .status",
        ),
        (
            "scale.labelSelectorPath",
            "labelSelectorPath",
            &[".spec.", ".status."],
            "should be a json path under either .spec or .status",
        ),
    ];
    for (field, name, prefixes, detail) in rows {
        let (value, path) = (text(scale, name), path.field(field));
        if value.is_empty() {
            if name != "labelSelectorPath" {
                causes.push(Cause::required(path.to_field(), ""));
            }
            continue;
        }
        if simple_path(value, path, causes)
            && !prefixes.iter().any(|prefix| value.starts_with(prefix))
        {
            causes.push(invalid(path, &json!(value), detail));
        }
    }
}

fn columns(version: &Value, path: Path<'_>, causes: &mut Vec<Cause>) {
    let columns = list(version, "additionalPrinterColumns");
    if columns.len() > COLUMNS_MAX {
        causes.push(too_many(
            path,
            columns.len(),
            i64::try_from(COLUMNS_MAX).unwrap_or(i64::MAX),
        ));
        return;
    }
    for (index, column) in columns.iter().enumerate() {
        let path = path.index(index);
        if text(column, "name").is_empty() {
            causes.push(Cause::required(path.field("name").to_field(), ""));
        }
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        match text(column, "type") {
            "" => causes.push(Cause::required(path.field("type").to_field(), &types)),
            kind if COLUMN_TYPES.contains(&kind) => {}
            kind => causes.push(invalid(path.field("type"), &json!(kind), &types)),
        }
        let format = text(column, "format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
            causes.push(invalid(path.field("format"), &json!(format), &detail));
        }
        let json_path = path.field("JSONPath");
        match text(column, "jsonPath") {
            "" => causes.push(Cause::required(json_path.to_field(), "")),
            value => {
                simple_path(value, json_path, causes);
            }
        }
    }
}

fn selectable(
    version: &Value,
    path: Path<'_>,
    (causes, patterns): (&mut Vec<Cause>, &mut Patterns),
) {
    let fields = list(version, "selectableFields");
    if fields.is_empty() {
        return;
    }
    let raw = &version["schema"]["openAPIV3Schema"];
    let Ok(compiled) = Structural::compile_with(raw, patterns) else {
        let detail = "may only be set when `version.schema.openAPIV3Schema` is not included";
        causes.push(invalid(path, &json!(""), detail));
        return;
    };
    let mut unique = BTreeSet::new();
    for (index, field) in fields.iter().enumerate() {
        let element = path.index(index);
        let path = element.field("jsonPath");
        let value = text(field, "jsonPath");
        if value.is_empty() {
            causes.push(Cause::required(path.to_field(), ""));
            continue;
        }
        let found = match fieldpath::follow(value, &compiled.root, false) {
            Ok(found) => found,
            Err(why) => {
                let detail = format!("is an invalid path: {why}");
                causes.push(invalid(path, &json!(value), &detail));
                continue;
            }
        };
        if found.first == "metadata" {
            let detail = "must not point to fields in metadata";
            causes.push(invalid(path, &json!(value), detail));
        }
        if !matches!(
            found.node.kind,
            Type::String | Type::Boolean | Type::Integer
        ) {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            causes.push(invalid(path, &json!(value), detail));
        }
        if !unique.insert(found.text) {
            causes.push(Cause::duplicate(path.to_field(), &json!(value)));
        }
    }
    if unique.len() > SELECTABLE_FIELDS_MAX {
        let max = i64::try_from(SELECTABLE_FIELDS_MAX).unwrap_or(i64::MAX);
        causes.push(too_many(path, unique.len(), max));
    }
}
