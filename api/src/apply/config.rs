//! Whether an applied configuration fits its type. Stricter than an object: what is not declared, or cannot
//! be told apart, cannot be managed.

use super::{fields::words, walk::element};
use crate::schema::{ListType, Type};
use serde_json::Value;
use std::collections::HashSet;

/// Problems that are told; more would only bury the first.
const PROBLEMS_MAX: usize = 20;

/// Checks a configuration.
pub(super) fn check(ty: Type<'_>, config: &Value) -> Result<(), String> {
    let mut problems = Vec::new();
    walk(ty, config, "", &mut problems);
    match problems.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        more => Err(format!("errors:\n  {}", more.join("\n  "))),
    }
}

fn walk(ty: Type<'_>, value: &Value, path: &str, problems: &mut Vec<String>) {
    if value.is_null() || !ty.is_known() || problems.len() >= PROBLEMS_MAX {
        return;
    }
    if let Some(problem) = mistyped(ty, value) {
        problems.push(format!("{path}: {problem}"));
        return;
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let path = format!("{path}.{name}");
                if ty.declares(name) || ty.is_open() {
                    walk(ty.field(name), value, &path, problems);
                } else {
                    problems.push(format!("{path}: field not declared in schema"));
                }
            }
        }
        Value::Array(list) => {
            let mut seen: HashSet<String> = HashSet::new();
            for (index, item) in list.iter().enumerate() {
                let place = if ty.list_type() == ListType::Atomic {
                    format!("[{index}]")
                } else {
                    match element(ty, item) {
                        Ok(id) => {
                            let words = words(&id);
                            if !seen.insert(id) {
                                problems.push(format!("{path}: duplicate entries for key {words}"));
                            }
                            words
                        }
                        Err(why) => {
                            problems.push(format!("{path}: element {index}: {why}"));
                            return;
                        }
                    }
                };
                walk(ty.element(), item, &format!("{path}{place}"), problems);
            }
        }
        _ => {}
    }
}

/// A value of another type than the schema's.
fn mistyped(ty: Type<'_>, value: &Value) -> Option<String> {
    let schema = ty.schema()?;
    if schema.contains_key("x-kubernetes-int-or-string") {
        return None;
    }
    let wanted = match schema.get("type")?.as_str()? {
        "object" if !value.is_object() => "map",
        "array" if !value.is_array() => "list",
        "string" if !value.is_string() => "string",
        "integer" | "number" if !value.is_number() => "numeric (int or float)",
        "boolean" if !value.is_boolean() => "boolean",
        _ => return None,
    };
    let got = match (wanted, value) {
        ("numeric (int or float)", Value::String(_)) => "string".to_owned(),
        ("string", value) => format!("&value.valueUnstructured{{Value:{value}}}"),
        (_, value) => format!("&{{{value}}}"),
    };
    Some(format!("expected {wanted}, got {got}"))
}
