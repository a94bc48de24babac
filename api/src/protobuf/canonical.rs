//! What Go keeps of an object: the other use of the table. Upstream's objects are structs on their way to the store, so
//! that what is empty and has no pointer is not there, and a struct without a pointer always is.

use super::table::{self, Field, Message, Plural, Shape, Special};
use serde_json::{Map, Value};

/// The one empty list that a default and a check tell from an absent one: what scales without a policy is refused.
const POLICIES: &str = "policies";

/// Removes what Go would not write, nulls, and zero values of fields that do not keep them; adds what it always writes:
/// structs, and zero values and nulls of fields that leave nothing out.
pub(super) fn write(message: &'static Message, object: &mut Map<String, Value>) {
    for field in &message.fields {
        if field.name.is_empty() {
            if let Shape::Message(index) = field.shape {
                write(table::at(index), object);
            }
            continue;
        }
        match object.get_mut(field.name) {
            Some(value) if !is_left_out(field, value) => {
                if let Shape::Message(index) | Shape::Schema(index, _) = field.shape {
                    write_all(table::at(index), value, field.plural);
                }
            }
            _ if field.is_written => {
                object.insert(field.name.to_owned(), zero(field));
            }
            Some(_) => {
                object.remove(field.name);
            }
            None => {}
        }
    }
}

/// What Go writes of a field that nobody set.
fn zero(field: &Field) -> Value {
    if field.plural != Plural::One {
        return Value::Null;
    }
    match field.shape {
        Shape::Text => "".into(),
        Shape::Int | Shape::Double | Shape::Special(Special::IntOrString) => 0.into(),
        Shape::Bool => false.into(),
        Shape::Special(Special::Quantity) => "0".into(),
        Shape::Message(index) if !table::at(index).is_list() => {
            // No struct holds itself but by a pointer.
            let mut map = Map::new();
            write(table::at(index), &mut map);
            map.into()
        }
        Shape::Message(_) | Shape::Bytes | Shape::Special(_) | Shape::Schema(..) => Value::Null,
    }
}

fn write_all(message: &'static Message, value: &mut Value, plural: Plural) {
    match (value, plural) {
        (Value::Object(map), Plural::Map) => {
            for value in map.values_mut() {
                write_all(message, value, Plural::One);
            }
        }
        (Value::Object(map), _) => write(message, map),
        (Value::Array(list), _) => {
            for value in list {
                write_all(message, value, Plural::One);
            }
        }
        _ => {}
    }
}

fn is_left_out(field: &Field, value: &Value) -> bool {
    match (field.plural, field.shape) {
        _ if value.is_null() => true,
        // It leaves nothing on the wire: upstream's store gives none back, whatever was sent.
        (Plural::Many, _) => field.name != POLICIES && value.as_array().is_some_and(Vec::is_empty),
        _ if field.keeps_zero => false,
        (Plural::Map, _) => value.as_object().is_some_and(Map::is_empty),
        (Plural::One, Shape::Text | Shape::Bytes) => value == "",
        (Plural::One, Shape::Int) => value.as_i64() == Some(0),
        (Plural::One, Shape::Double) => value.as_f64() == Some(0.0),
        (Plural::One, Shape::Bool) => *value == Value::Bool(false),
        (Plural::One, Shape::Message(_) | Shape::Special(_) | Shape::Schema(..)) => false,
    }
}
