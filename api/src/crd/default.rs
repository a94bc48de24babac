//! Filling in a schema's defaults.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/apiserver/schema/defaulting`. A null that its schema
//! does not allow goes away, or becomes the default where there is one. What defaulting adds to one
//! object is always bounded: a large default in each item of a long list would not be.

use super::structural::{Additional, Node, Structural};
use serde_json::{Map, Value};

/// Values that defaults may add to one object.
pub const DEFAULTED_VALUES_MAX: usize = 1_000_000;

/// The defaults of an object are more than [`DEFAULTED_VALUES_MAX`] values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the schema's defaults add more than {DEFAULTED_VALUES_MAX} values to the object")]
pub struct TooLarge;

impl Structural {
    /// Drops nulls that may not be and have no default, then fills in the defaults.
    ///
    /// # Errors
    /// When the defaults would add too much. The object is then to be refused.
    pub fn fill_defaults(&self, object: &mut Value) -> Result<(), TooLarge> {
        self.drop_nulls(object);
        let mut room = DEFAULTED_VALUES_MAX;
        fill(object, &self.root, &mut room)
    }

    /// Drops nulls that may not be and have no default.
    pub(super) fn drop_nulls(&self, object: &mut Value) {
        drop_nulls(object, Some(&self.root));
    }
}

fn is_refused_null(value: &Value, node: Option<&Node>) -> bool {
    value.is_null() && node.is_some_and(|node| !node.nullable)
}

fn drop_nulls(value: &mut Value, node: Option<&Node>) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let schema = node.and_then(|node| node.field(name));
            if is_refused_null(value, schema) && schema.is_some_and(|node| node.default.is_none()) {
                return false;
            }
            drop_nulls(value, schema);
            true
        }),
        Value::Array(items) => {
            let schema = node.and_then(|node| node.items.as_deref());
            for item in items {
                drop_nulls(item, schema);
            }
        }
        _ => {}
    }
}

fn fill(value: &mut Value, node: &Node, room: &mut usize) -> Result<(), TooLarge> {
    match value {
        Value::Object(fields) => fill_fields(fields, node, room),
        Value::Array(items) => {
            let Some(schema) = node.items.as_deref() else {
                return Ok(());
            };
            for item in items {
                fill_null(item, schema, room)?;
                fill(item, schema, room)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn fill_fields(
    fields: &mut Map<String, Value>,
    node: &Node,
    room: &mut usize,
) -> Result<(), TooLarge> {
    for (name, property) in &node.properties {
        let Some(default) = &property.default else {
            continue;
        };
        let wanted = match fields.get(name) {
            None => true,
            Some(value) => is_refused_null(value, Some(property)),
        };
        if wanted {
            take(default, room)?;
            fields.insert(name.clone(), (**default).clone());
        }
    }
    for (name, value) in fields.iter_mut() {
        if let Some(property) = node.properties.get(name) {
            fill(value, property, room)?;
        } else if let Additional::Schema(schema) = &node.additional {
            fill_null(value, schema, room)?;
            fill(value, schema, room)?;
        }
    }
    Ok(())
}

fn fill_null(value: &mut Value, node: &Node, room: &mut usize) -> Result<(), TooLarge> {
    if let (true, Some(default)) = (is_refused_null(value, Some(node)), &node.default) {
        take(default, room)?;
        *value = (**default).clone();
    }
    Ok(())
}

/// Takes the room that a copy of a default needs.
fn take(default: &Value, room: &mut usize) -> Result<(), TooLarge> {
    *room = room.checked_sub(weight(default)).ok_or(TooLarge)?;
    Ok(())
}

/// Values in a value; a long text counts as several.
fn weight(value: &Value) -> usize {
    match value {
        Value::Object(fields) => 1 + fields.values().map(weight).sum::<usize>(),
        Value::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::String(text) => 1 + text.len() / 64,
        _ => 1,
    }
}
