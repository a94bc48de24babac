//! The swagger document as gnostic's `openapi.v2.Document`, which clients written in Go ask for and take nothing
//! else.
//!
//! One walk over one table of messages, the fields by their names in JSON. What no message has is left out, as
//! gnostic does. Source: google/gnostic `openapiv2/OpenAPIv2.proto`.

use super::wire::{put_bytes, put_number, put_tag};
use crate::schema::Section;
use serde_json::{Map, Value};

/// A message: its fields, and the number of the one that takes extensions.
struct Message {
    fields: &'static [(&'static str, u32, Form)],
    extensions: u32,
}

/// How a field is written.
enum Form {
    Text,
    Texts,
    Integer,
    Float,
    Flag,
    /// Any value, as a text of YAML; JSON is such.
    Any,
    Anys,
    Of(&'static Message),
    Each(&'static Message),
    /// A map, whose entries have this number, each with a name and a value; the value may be wrapped.
    Named(u32, &'static Message, Option<u32>),
    /// One type or several: a message with a text for each.
    Type,
    /// One schema or several: a message with a field for each.
    Items,
    /// A schema or a truth value.
    Additional,
    /// The schema of an answer, wrapped once.
    Answer,
    Parameters,
}

use Form::{Any, Anys, Each, Flag, Float, Integer, Named, Of, Text, Texts};

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("title", 3, Text),
        ("description", 4, Text),
        ("default", 5, Any),
        ("multipleOf", 6, Float),
        ("maximum", 7, Float),
        ("exclusiveMaximum", 8, Flag),
        ("minimum", 9, Float),
        ("exclusiveMinimum", 10, Flag),
        ("maxLength", 11, Integer),
        ("minLength", 12, Integer),
        ("pattern", 13, Text),
        ("maxItems", 14, Integer),
        ("minItems", 15, Integer),
        ("uniqueItems", 16, Flag),
        ("maxProperties", 17, Integer),
        ("minProperties", 18, Integer),
        ("required", 19, Texts),
        ("enum", 20, Anys),
        ("additionalProperties", 21, Form::Additional),
        ("type", 22, Form::Type),
        ("items", 23, Form::Items),
        ("allOf", 24, Each(&SCHEMA)),
        ("properties", 25, Named(1, &SCHEMA, None)),
        ("discriminator", 26, Text),
        ("readOnly", 27, Flag),
        ("externalDocs", 29, Of(&EXTERNAL_DOCS)),
        ("example", 30, Any),
    ],
    extensions: 31,
};

static EXTERNAL_DOCS: Message = Message {
    fields: &[("description", 1, Text), ("url", 2, Text)],
    extensions: 3,
};

static BODY: Message = Message {
    fields: &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Flag),
        ("schema", 5, Of(&SCHEMA)),
    ],
    extensions: 6,
};

static IN_QUERY: Message = Message {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 6, Text),
        ("uniqueItems", 20, Flag),
    ],
    extensions: 23,
};

static IN_PATH: Message = Message {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("uniqueItems", 19, Flag),
    ],
    extensions: 22,
};

static REFERENCE: Message = Message {
    fields: &[("$ref", 1, Text), ("description", 2, Text)],
    extensions: 0,
};

static RESPONSE: Message = Message {
    fields: &[("description", 1, Text), ("schema", 2, Form::Answer)],
    extensions: 5,
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Form::Parameters),
        ("responses", 9, Named(1, &RESPONSE, Some(1))),
        ("schemes", 10, Texts),
        ("deprecated", 11, Flag),
    ],
    extensions: 13,
};

static PATH_ITEM: Message = Message {
    fields: &[
        ("get", 2, Of(&OPERATION)),
        ("put", 3, Of(&OPERATION)),
        ("post", 4, Of(&OPERATION)),
        ("delete", 5, Of(&OPERATION)),
        ("options", 6, Of(&OPERATION)),
        ("head", 7, Of(&OPERATION)),
        ("patch", 8, Of(&OPERATION)),
        ("parameters", 9, Form::Parameters),
    ],
    extensions: 10,
};

static API_KEY: Message = Message {
    fields: &[
        ("type", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("description", 4, Text),
    ],
    extensions: 5,
};

/// The document, being written.
#[derive(Debug, Default)]
pub struct Swagger {
    out: Vec<u8>,
}

impl Swagger {
    /// Its head.
    #[must_use]
    pub fn new(title: &str, version: &str) -> Self {
        let (mut out, mut info) = (Vec::new(), Vec::new());
        put_bytes(&mut out, 1, b"2.0");
        put_bytes(&mut info, 1, title.as_bytes());
        put_bytes(&mut info, 2, version.as_bytes());
        put_bytes(&mut out, 2, &info);
        Self { out }
    }

    /// Adds a part. Each is a section of its own on the wire: decoders join messages of one field.
    pub fn add(&mut self, section: Section, name: &str, value: &Value) {
        let (number, entry) = match section {
            Section::Paths => (8, 2),
            Section::Definitions => (9, 1),
            Section::Parameters => (10, 1),
            Section::SecurityDefinitions => (13, 1),
        };
        let told = match section {
            Section::Paths => message(&PATH_ITEM, value),
            Section::Definitions => message(&SCHEMA, value),
            Section::Parameters => parameter(value),
            Section::SecurityDefinitions => wrap(2, &message(&API_KEY, value)),
        };
        let mut part = Vec::new();
        put_bytes(&mut part, entry, &named(name, &told));
        put_bytes(&mut self.out, number, &part);
    }

    /// What was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

fn named(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + value.len() + 8);
    put_bytes(&mut out, 1, name.as_bytes());
    put_bytes(&mut out, 2, value);
    out
}

fn wrap(number: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 4);
    put_bytes(&mut out, number, value);
    out
}

/// `Any`: field 2 is its YAML.
fn any(value: &Value) -> Vec<u8> {
    wrap(2, format!("{value}\n").as_bytes())
}

fn message(of: &Message, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(map) = value.as_object() else {
        return out;
    };
    for (name, number, form) in of.fields {
        if let Some(value) = map.get(*name) {
            field(&mut out, *number, form, value);
        }
    }
    if of.extensions > 0 {
        for (name, value) in map.iter().filter(|(name, _)| name.starts_with("x-")) {
            put_bytes(&mut out, of.extensions, &named(name, &any(value)));
        }
    }
    out
}

fn field(out: &mut Vec<u8>, number: u32, form: &Form, value: &Value) {
    let list = || value.as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().as_bytes().to_vec();
    match form {
        Text => put_bytes(out, number, &text(value)),
        Texts => list().for_each(|value| put_bytes(out, number, &text(value))),
        Integer => put_number(out, number, value.as_i64().unwrap_or_default()),
        Flag => put_number(out, number, i64::from(value == &Value::Bool(true))),
        Float => {
            put_tag(out, number, 1);
            let bits = value.as_f64().unwrap_or_default().to_bits();
            out.extend_from_slice(&bits.to_le_bytes());
        }
        Any => put_bytes(out, number, &any(value)),
        Anys => list().for_each(|value| put_bytes(out, number, &any(value))),
        Of(of) => put_bytes(out, number, &message(of, value)),
        Each(of) => list().for_each(|value| put_bytes(out, number, &message(of, value))),
        Named(entry, of, wrapped) => {
            let mut all = Vec::new();
            for (name, value) in value.as_object().into_iter().flat_map(Map::iter) {
                let mut told = message(of, value);
                if let Some(number) = wrapped {
                    told = wrap(*number, &told);
                }
                put_bytes(&mut all, *entry, &named(name, &told));
            }
            put_bytes(out, number, &all);
        }
        Form::Type => {
            let mut all = Vec::new();
            let one = value.as_str().map(|_| value);
            for value in one.into_iter().chain(list()) {
                put_bytes(&mut all, 1, &text(value));
            }
            put_bytes(out, number, &all);
        }
        Form::Items => {
            let mut all = Vec::new();
            let one = value.is_object().then_some(value);
            for value in one.into_iter().chain(list()) {
                put_bytes(&mut all, 1, &message(&SCHEMA, value));
            }
            put_bytes(out, number, &all);
        }
        Form::Additional => {
            let mut told = Vec::new();
            match value {
                Value::Bool(flag) => put_number(&mut told, 2, i64::from(*flag)),
                value => put_bytes(&mut told, 1, &message(&SCHEMA, value)),
            }
            put_bytes(out, number, &told);
        }
        Form::Answer => put_bytes(out, number, &wrap(1, &message(&SCHEMA, value))),
        Form::Parameters => {
            for value in list() {
                let told = match value.get("$ref") {
                    Some(_) => wrap(2, &message(&REFERENCE, value)),
                    None => wrap(1, &parameter(value)),
                };
                put_bytes(out, number, &told);
            }
        }
    }
}

/// `Parameter`: one of the body, or another, which is one of the query or of the path.
fn parameter(value: &Value) -> Vec<u8> {
    match value.get("in").and_then(Value::as_str) {
        Some("body") => wrap(1, &message(&BODY, value)),
        Some("path") => wrap(2, &wrap(4, &message(&IN_PATH, value))),
        _ => wrap(2, &wrap(3, &message(&IN_QUERY, value))),
    }
}

#[cfg(test)]
mod tests;
