//! From JSON to the wire.

use super::{
    Error, special,
    table::{self, Field, LIST, Message, Otherwise, Plural, Shape, Special},
    wire::{put_bytes, put_number, put_tag},
};
use crate::go::ZERO_TIME;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// The bytes of a message; fields that the table does not know are left out.
pub(super) fn message(message: &'static Message, value: &Value) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    for field in &message.fields {
        if field.name.is_empty() {
            if let Shape::Message(index) = field.shape {
                put_bytes(
                    &mut out,
                    field.number,
                    &self::message(table::at(index), value)?,
                );
            }
            continue;
        }
        let found = if field.name == LIST {
            Some(value)
        } else {
            value.get(field.name)
        };
        let Some(found) = found.filter(|found| !found.is_null()) else {
            continue;
        };
        put_field(&mut out, field, found).map_err(|error| at(field.name, error))?;
    }
    Ok(out)
}

fn put_field(out: &mut Vec<u8>, field: &Field, value: &Value) -> Result<(), Error> {
    match field.plural {
        Plural::One => put_single(out, field.number, field.shape, value),
        Plural::Many => {
            for element in value.as_array().ok_or_else(|| misfit("is no list"))? {
                put_single(out, field.number, field.shape, element)?;
            }
            Ok(())
        }
        Plural::Map => {
            for (key, value) in value.as_object().ok_or_else(|| misfit("is no object"))? {
                let mut entry = Vec::new();
                put_bytes(&mut entry, 1, key.as_bytes());
                put_single(&mut entry, 2, field.shape, value).map_err(|error| at(key, error))?;
                put_bytes(out, field.number, &entry);
            }
            Ok(())
        }
    }
}

fn put_single(out: &mut Vec<u8>, number: u32, shape: Shape, value: &Value) -> Result<(), Error> {
    if value.is_null()
        && let Some(zero) = zero_of(shape)
    {
        return put_single(out, number, shape, &zero);
    }
    match shape {
        Shape::Text => {
            let text = value.as_str().ok_or_else(|| misfit("is no text"))?;
            put_bytes(out, number, text.as_bytes());
        }
        Shape::Bytes => {
            let text = value.as_str().ok_or_else(|| misfit("is no text"))?;
            let bytes = STANDARD
                .decode(text)
                .map_err(|_invalid| misfit("is no base64"))?;
            put_bytes(out, number, &bytes);
        }
        Shape::Int => put_number(
            out,
            number,
            value.as_i64().ok_or_else(|| misfit("is no whole number"))?,
        ),
        Shape::Bool => {
            put_number(
                out,
                number,
                i64::from(value.as_bool().ok_or_else(|| misfit("is no boolean"))?),
            );
        }
        Shape::Double => {
            put_tag(out, number, 1);
            let double = value.as_f64().ok_or_else(|| misfit("is no number"))?;
            out.extend_from_slice(&double.to_bits().to_le_bytes());
        }
        Shape::Message(index) => put_bytes(out, number, &message(table::at(index), value)?),
        Shape::Special(special) => {
            put_bytes(
                out,
                number,
                &special::encode(special, value).map_err(misfit)?,
            );
        }
        Shape::Schema(index, otherwise) => {
            put_bytes(
                out,
                number,
                &schema(Shape::Message(index), otherwise, value)?,
            );
        }
    }
    Ok(())
}

/// What a null in a list or in a map is; none for what says so itself.
fn zero_of(shape: Shape) -> Option<Value> {
    Some(match shape {
        Shape::Text | Shape::Bytes => "".into(),
        Shape::Int | Shape::Double | Shape::Special(Special::IntOrString) => 0.into(),
        Shape::Bool => false.into(),
        Shape::Special(Special::Quantity) => "0".into(),
        Shape::Special(Special::Time | Special::MicroTime) => ZERO_TIME.into(),
        Shape::Message(_) | Shape::Special(Special::RawJson) | Shape::Schema(..) => return None,
    })
}

/// A JSON schema or what stands for one.
fn schema(schema: Shape, otherwise: Otherwise, value: &Value) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    match (value, otherwise) {
        (Value::Object(_), Otherwise::Bool) => {
            put_single(&mut out, 1, Shape::Bool, &Value::Bool(true))?;
            put_single(&mut out, 2, schema, value)?;
        }
        (_, Otherwise::Bool) => put_single(&mut out, 1, Shape::Bool, value)?,
        (Value::Array(list), Otherwise::List | Otherwise::Names) => {
            let element = match otherwise {
                Otherwise::Names => Shape::Text,
                _ => schema,
            };
            for value in list {
                put_single(&mut out, 2, element, value)?;
            }
        }
        (_, Otherwise::List | Otherwise::Names) => put_single(&mut out, 1, schema, value)?,
    }
    Ok(out)
}

fn misfit(what: &'static str) -> Error {
    Error::Value {
        path: String::new(),
        what,
    }
}

/// The error, said of a field of the object that holds it.
fn at(name: &str, error: Error) -> Error {
    match error {
        Error::Value { path, what } if path.is_empty() => Error::Value {
            path: name.to_owned(),
            what,
        },
        Error::Value { path, what } => Error::Value {
            path: format!("{name}.{path}"),
            what,
        },
        other => other,
    }
}
