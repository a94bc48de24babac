//! What Go keeps of an object: the other use of the table. Upstream's objects are structs on their way to the store, so
//! that what is empty and has no pointer is not there, and a struct without a pointer always is.

use super::table::{self, Field, Message, Plural, Shape, Special};
use crate::schema::Type;
use serde_json::{Map, Value};

/// The one time that is left out while it is not set.
const CREATED: &str = "creationTimestamp";
/// The list that is seen most while it is empty, of those that Go always writes: an autoscaler's.
const CURRENT_METRICS: &str = "currentMetrics";

/// Removes what Go would not write: nulls, and zero values of fields that do not keep them. Adds the nulls that it would.
pub(super) fn strip(message: &'static Message, object: &mut Map<String, Value>) {
    for field in &message.fields {
        if field.name.is_empty() {
            if let Shape::Message(index) = field.shape {
                strip(table::at(index), object);
            }
            continue;
        }
        match object.get_mut(field.name) {
            Some(value) if !is_left_out(field, value) => {
                if let Shape::Message(index) | Shape::Schema(index, _) = field.shape {
                    strip_all(table::at(index), value, field.plural);
                }
            }
            _ if is_always_written(field) => {
                object.insert(field.name.to_owned(), Value::Null);
            }
            Some(_) => {
                object.remove(field.name);
            }
            None => {}
        }
    }
}

fn strip_all(message: &'static Message, value: &mut Value, plural: Plural) {
    match (value, plural) {
        (Value::Object(map), Plural::Map) => {
            for value in map.values_mut() {
                strip_all(message, value, Plural::One);
            }
        }
        (Value::Object(map), _) => strip(message, map),
        (Value::Array(list), _) => {
            for value in list {
                strip_all(message, value, Plural::One);
            }
        }
        _ => {}
    }
}

fn is_left_out(field: &Field, value: &Value) -> bool {
    if value.is_null() || field.keeps_zero {
        return value.is_null();
    }
    match (field.plural, field.shape) {
        (Plural::Many, _) => value.as_array().is_some_and(Vec::is_empty),
        (Plural::Map, _) => value.as_object().is_some_and(Map::is_empty),
        (Plural::One, Shape::Text | Shape::Bytes) => value == "",
        (Plural::One, Shape::Int) => value.as_i64() == Some(0),
        (Plural::One, Shape::Double) => value.as_f64() == Some(0.0),
        (Plural::One, Shape::Bool) => *value == Value::Bool(false),
        (Plural::One, Shape::Message(_) | Shape::Special(_) | Shape::Schema(..)) => false,
    }
}

/// Whether Go writes `null` for what is not there: for times that are no pointers, and lists without `omitempty`.
fn is_always_written(field: &Field) -> bool {
    match (field.plural, field.shape) {
        (Plural::One, Shape::Special(Special::Time | Special::MicroTime)) => {
            !field.keeps_zero && field.name != CREATED
        }
        (Plural::Many, _) => field.keeps_zero && field.name == CURRENT_METRICS,
        _ => false,
    }
}

/// Adds what Go always writes, down from here: structs, and texts, numbers and flags that the type requires.
pub(super) fn fill(message: &'static Message, ty: Type<'_>, object: &mut Map<String, Value>) {
    for field in &message.fields {
        if is_always_written(field) {
            object.entry(field.name).or_insert(Value::Null);
        }
        let Shape::Message(index) = field.shape else {
            continue;
        };
        if field.name.is_empty() || field.keeps_zero || field.plural != Plural::One {
            continue;
        }
        let value = object
            .entry(field.name)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(map) = value {
            fill(table::at(index), ty.field(field.name), map);
        }
    }
    let required = ty.schema().and_then(|schema| schema.get("required"));
    let required = required.and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        let zero = match ty.field(name).word("type") {
            _ if object.contains_key(name) => continue,
            Some("integer") => Value::from(0),
            Some("boolean") => Value::from(false),
            Some("string") => Value::from(""),
            _ => continue,
        };
        object.insert(name.to_owned(), zero);
    }
}

/// The message of a struct that a message always has.
pub(super) fn part(message: &'static Message, name: &str) -> Option<&'static Message> {
    let field = message.fields.iter().find(|field| field.name == name)?;
    match field.shape {
        Shape::Message(index) if !field.keeps_zero && field.plural == Plural::One => {
            Some(table::at(index))
        }
        _ => None,
    }
}
