//! Lists that are sets or maps: their elements, or their elements' keys, are always distinct.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/apiserver/schema/listtype`.

use super::{
    cause::{duplicate, invalid},
    path::Path,
    structural::{Additional, ListType, Node, Structural},
    value::CAUSES_MAX,
};
use crate::status::Cause;
use serde_json::{Map, Value};
use std::collections::HashMap;

impl Structural {
    /// Elements that are there twice. An update whose old object had some is let pass, as upstream
    /// does.
    #[must_use]
    pub fn validate_lists(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut causes = Vec::new();
        if let Some(old) = old {
            walk(&self.root, old, Path::ROOT, &mut causes);
            if !causes.is_empty() {
                return Vec::new();
            }
        }
        walk(&self.root, new, Path::ROOT, &mut causes);
        causes
    }
}

/// Walks a value with its schema.
pub(super) fn walk(node: &Node, value: &Value, path: Path<'_>, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(property) = node.properties.get(name) {
                    walk(property, value, path.field(name), causes);
                } else if let Additional::Schema(schema) = &node.additional {
                    walk(schema, value, path.key(name), causes);
                }
            }
        }
        Value::Array(items) => {
            match &node.list {
                ListType::Atomic => {}
                ListType::Set => {
                    for index in repeated(items.iter().map(Some)) {
                        push(duplicate(path.index(index), &items[index]), causes);
                    }
                }
                ListType::Map(keys) => map(keys, items, path, causes),
            }
            if let Some(schema) = &node.items {
                for (index, item) in items.iter().enumerate() {
                    walk(schema, item, path.index(index), causes);
                }
            }
        }
        _ => {}
    }
}

fn push(cause: Cause, causes: &mut Vec<Cause>) {
    if causes.len() < CAUSES_MAX {
        causes.push(cause);
    }
}

fn map(names: &[String], items: &[Value], path: Path<'_>, causes: &mut Vec<Cause>) {
    let stranger = items
        .iter()
        .position(|item| !item.is_null() && !item.is_object());
    if let Some(index) = stranger {
        let detail = "must be an object for an array of list-type map";
        push(invalid(path.index(index), &items[index], detail), causes);
        return;
    }
    let keys: Vec<Value> = items
        .iter()
        .map(|item| {
            let pairs = names.iter().filter_map(|name| {
                let value = item.get(name.as_str())?;
                Some((name.clone(), value.clone()))
            });
            Value::Object(pairs.collect::<Map<_, _>>())
        })
        .collect();
    for index in repeated(keys.iter().map(Some)) {
        push(duplicate(path.index(index), &keys[index]), causes);
    }
}

/// Where an element stands for the second time.
fn repeated<'a>(items: impl Iterator<Item = Option<&'a Value>>) -> Vec<usize> {
    let mut seen: HashMap<String, u8> = HashMap::new();
    let mut second = Vec::new();
    for (index, item) in items.enumerate() {
        let count = seen
            .entry(item.map_or_else(String::new, canonical))
            .or_default();
        if *count == 1 {
            second.push(index);
        }
        *count = (*count + 1).min(2);
    }
    second
}

/// Equal values have one text: fields are in order.
fn canonical(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    sorted.to_string()
}
