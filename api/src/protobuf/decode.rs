//! From the wire to JSON.

use super::{
    DEPTH_MAX, Error, VALUES_MAX, special,
    table::{self, Field, Message, Otherwise, Plural, Shape},
    wire::{Raw, Reader, text},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

/// Counts what one body makes of memory.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    depth: usize,
    values: usize,
}

impl Decoder {
    /// Reads the fields of a message into `object`.
    pub(super) fn message(
        &mut self,
        message: &'static Message,
        bytes: &[u8],
        object: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error::Malformed("it is nested too deeply"));
        }
        let mut fields = Reader::new(bytes);
        while let Some((number, raw)) = fields.next()? {
            // Fields are few and mostly sent in order: a search costs less than an index.
            if let Some(field) = message.fields.iter().find(|field| field.number == number) {
                self.field(field, raw, object)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn field(
        &mut self,
        field: &Field,
        raw: Raw<'_>,
        object: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(Error::Malformed("it holds too many values"));
        }
        match (field.plural, field.shape, raw) {
            // The fields of the message are fields of this object.
            (Plural::One, Shape::Message(index), Raw::Bytes(bytes)) if field.name.is_empty() => {
                self.message(table::at(index), bytes, object)
            }
            (Plural::One, Shape::Message(index), Raw::Bytes(bytes)) => {
                // Sent twice means merged, as proto has it.
                let mut inner = match object.remove(field.name) {
                    Some(Value::Object(map)) => map,
                    _ => Map::new(),
                };
                let message = table::at(index);
                self.message(message, bytes, &mut inner)?;
                if !inner.is_empty() || field.keeps_zero {
                    object.insert(field.name.to_owned(), bare_list(message, inner));
                }
                Ok(())
            }
            (Plural::One, _, raw) => {
                let value = self.single(field.shape, raw)?;
                if value.is_null() || (is_zero(&value) && !field.keeps_zero) {
                    object.remove(field.name);
                } else {
                    object.insert(field.name.to_owned(), value);
                }
                Ok(())
            }
            (Plural::Many, Shape::Int, Raw::Bytes(packed)) => self.packed(field, packed, object),
            (Plural::Many, _, raw) => {
                let value = self.single(field.shape, raw)?;
                list(object, field.name).push(value);
                Ok(())
            }
            (Plural::Map, _, Raw::Bytes(entry)) => self.entry(field, entry, object),
            (Plural::Map, ..) => Err(Error::Malformed("a map's entry is no message")),
        }
    }

    /// Numbers that were sent together.
    fn packed(
        &mut self,
        field: &Field,
        bytes: &[u8],
        object: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        for number in Reader::packed(bytes) {
            self.values += 1;
            if self.values > VALUES_MAX {
                return Err(Error::Malformed("it holds too many values"));
            }
            list(object, field.name).push(number?.cast_signed().into());
        }
        Ok(())
    }

    fn entry(
        &mut self,
        field: &Field,
        bytes: &[u8],
        object: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        let (mut key, mut value) = (String::new(), None);
        let mut fields = Reader::new(bytes);
        while let Some((number, raw)) = fields.next()? {
            match (number, raw) {
                (1, Raw::Bytes(bytes)) => text(bytes)?.clone_into(&mut key),
                (2, raw) => value = Some(self.single(field.shape, raw)?),
                _ => {}
            }
        }
        let value = value.unwrap_or_else(|| empty(field.shape));
        let map = object
            .entry(field.name)
            .or_insert_with(|| Map::new().into());
        if let Some(map) = map.as_object_mut() {
            map.insert(key, value);
        }
        Ok(())
    }

    fn single(&mut self, shape: Shape, raw: Raw<'_>) -> Result<Value, Error> {
        Ok(match (shape, raw) {
            (Shape::Text, Raw::Bytes(bytes)) => text(bytes)?.into(),
            (Shape::Bytes, Raw::Bytes(bytes)) => STANDARD.encode(bytes).into(),
            (Shape::Int, Raw::Varint(number)) => number.cast_signed().into(),
            (Shape::Bool, Raw::Varint(number)) => (number != 0).into(),
            (Shape::Double, Raw::Fixed64(bits)) => f64::from_bits(bits).into(),
            (Shape::Special(special), Raw::Bytes(bytes)) => special::decode(special, bytes)?,
            (Shape::Message(index), Raw::Bytes(bytes)) => {
                let message = table::at(index);
                let mut object = Map::new();
                self.message(message, bytes, &mut object)?;
                bare_list(message, object)
            }
            (Shape::Schema(index, otherwise), Raw::Bytes(bytes)) => {
                self.schema(Shape::Message(index), otherwise, bytes)?
            }
            _ => {
                return Err(Error::Malformed(
                    "a field has the wire type of another kind of value",
                ));
            }
        })
    }
    /// A JSON schema or what stands for one: a message of two fields, of which one is looked at.
    fn schema(
        &mut self,
        schema: Shape,
        otherwise: Otherwise,
        bytes: &[u8],
    ) -> Result<Value, Error> {
        let (mut found, mut list, mut allows) = (Value::Null, Vec::new(), false);
        let mut fields = Reader::new(bytes);
        while let Some((number, raw)) = fields.next()? {
            self.values += 1;
            if self.values > VALUES_MAX {
                return Err(Error::Malformed("it holds too many values"));
            }
            match (number, otherwise, raw) {
                (1, Otherwise::Bool, Raw::Varint(value)) => allows = value != 0,
                (2, Otherwise::Bool, raw) | (1, Otherwise::List | Otherwise::Names, raw) => {
                    found = self.single(schema, raw)?;
                }
                (2, Otherwise::List, raw) => list.push(self.single(schema, raw)?),
                (2, Otherwise::Names, raw) => list.push(self.single(Shape::Text, raw)?),
                _ => {}
            }
        }
        Ok(match otherwise {
            Otherwise::Bool if found.is_null() => allows.into(),
            _ if list.is_empty() => found,
            _ => list.into(),
        })
    }
}

/// A named list is a message with one unnamed field on the wire and a bare list in JSON.
fn bare_list(message: &Message, mut object: Map<String, Value>) -> Value {
    if !message.is_list() {
        return object.into();
    }
    let list = object.remove(table::LIST);
    list.unwrap_or_else(|| Value::Array(Vec::new()))
}

fn empty(shape: Shape) -> Value {
    match shape {
        Shape::Text | Shape::Bytes => "".into(),
        Shape::Int | Shape::Double => 0.into(),
        Shape::Bool => false.into(),
        Shape::Message(_) => Map::new().into(),
        Shape::Special(_) | Shape::Schema(..) => Value::Null,
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn list<'a>(object: &'a mut Map<String, Value>, name: &str) -> &'a mut Vec<Value> {
    let slot = object
        .entry(name)
        .or_insert_with(|| Value::Array(Vec::new()));
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut().expect("it was just made one")
}
