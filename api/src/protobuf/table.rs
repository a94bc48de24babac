//! The table of messages: read once, then shared.

use std::{collections::HashMap, sync::OnceLock};

/// The name of the one field of a message that is a bare list in JSON.
pub(super) const LIST: &str = "*";

/// A message and its fields by number.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: Vec<Field>,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// In JSON; empty where the fields of this message stand in its parent's JSON.
    pub(super) name: &'static str,
    pub(super) plural: Plural,
    /// Go writes it whatever is in it: it is no pointer, and nothing is left out of it.
    pub(super) is_written: bool,
    /// A zero value means something: it is kept when it is read.
    pub(super) keeps_zero: bool,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plural {
    One,
    Many,
    /// A map by text.
    Map,
}

/// What a single value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Bytes,
    Int,
    Bool,
    Double,
    Message(usize),
    Special(Special),
    /// A JSON schema, which is this message, or something else.
    Schema(usize, Otherwise),
}

/// What may stand where a JSON schema may stand, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// A list of schemas.
    List,
    /// Whether anything is let in.
    Bool,
    /// A list of names.
    Names,
}

/// Messages whose JSON is not an object of their fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    /// JSON in a field of bytes: `FieldsV1`, `RawExtension`, `JSON`.
    RawJson,
}

#[derive(Debug)]
struct Table {
    messages: Vec<Message>,
    names: HashMap<&'static str, usize>,
}

/// The message of this name, as `core.v1.Pod`.
pub(super) fn find(name: &str) -> Option<&'static Message> {
    let table = table();
    table.names.get(name).map(|index| &table.messages[*index])
}

impl Message {
    /// Whether it is a bare list in JSON.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.fields.as_slice(), [only] if only.name == LIST)
    }
}

/// A message that a field names.
pub(super) fn at(index: usize) -> &'static Message {
    &table().messages[index]
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| parse(include_str!("messages.txt")))
}

fn parse(text: &'static str) -> Table {
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    let names: HashMap<&str, usize> = lines()
        .filter(|line| !line.starts_with(' '))
        .enumerate()
        .map(|(index, name)| (name, index))
        .collect();
    let mut messages: Vec<Message> = Vec::with_capacity(names.len());
    for line in lines() {
        match line.strip_prefix(' ') {
            None => messages.push(Message { fields: Vec::new() }),
            Some(field) => {
                if let Some(message) = messages.last_mut() {
                    message
                        .fields
                        .push(parse_field(field, &names).expect("the table is ours and tested"));
                }
            }
        }
    }
    Table { messages, names }
}

fn parse_field(line: &'static str, names: &HashMap<&str, usize>) -> Option<Field> {
    let (number, rest) = line.split_once(' ')?;
    let (name, code) = rest.split_once(':')?;
    let (is_written, code) = strip(code, "!");
    let (keeps_zero, code) = strip(code, "?");
    let (many, code) = strip(code, "[]");
    let (map, code) = strip(code, "{}");
    Some(Field {
        number: number.parse().ok()?,
        name,
        plural: match (many, map) {
            (true, _) => Plural::Many,
            (false, true) => Plural::Map,
            (false, false) => Plural::One,
        },
        is_written,
        keeps_zero,
        shape: shape(code, names)?,
    })
}

fn strip<'a>(code: &'a str, mark: &str) -> (bool, &'a str) {
    match code.strip_prefix(mark) {
        Some(rest) => (true, rest),
        None => (false, code),
    }
}

fn shape(code: &str, names: &HashMap<&str, usize>) -> Option<Shape> {
    Some(match code {
        "string" => Shape::Text,
        "bytes" => Shape::Bytes,
        "int" => Shape::Int,
        "bool" => Shape::Bool,
        "double" => Shape::Double,
        "resource.Quantity" => Shape::Special(Special::Quantity),
        "intstr.IntOrString" => Shape::Special(Special::IntOrString),
        "meta.v1.Time" => Shape::Special(Special::Time),
        "meta.v1.MicroTime" => Shape::Special(Special::MicroTime),
        "meta.v1.FieldsV1" | "runtime.RawExtension" | "apiextensions.v1.JSON" => {
            Shape::Special(Special::RawJson)
        }
        "apiextensions.v1.JSONSchemaPropsOrArray" => schema(names, Otherwise::List)?,
        "apiextensions.v1.JSONSchemaPropsOrBool" => schema(names, Otherwise::Bool)?,
        "apiextensions.v1.JSONSchemaPropsOrStringArray" => schema(names, Otherwise::Names)?,
        message => Shape::Message(*names.get(message)?),
    })
}

fn schema(names: &HashMap<&str, usize>, otherwise: Otherwise) -> Option<Shape> {
    let index = names.get("apiextensions.v1.JSONSchemaProps")?;
    Some(Shape::Schema(*index, otherwise))
}
