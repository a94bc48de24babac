//! A version's `openAPIV3Schema`, compiled once: what pruning, defaulting and validation walk.
//!
//! A compiled schema is always bounded in depth, in nodes and in what its patterns take. Compiling
//! asks only for what it needs: whether a schema may be stored is for `crd::validate`.

use super::{
    cel::{
        cost::{Measure, measure},
        rules::{self, Rule},
    },
    format::Format,
    path::Path,
    pattern::{Pattern, Patterns},
};
use crate::status::Cause;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Levels of schemas in schemas. A level takes two of JSON, of which a request has at most 128.
pub const SCHEMA_DEPTH_MAX: usize = 64;
/// Schemas in one version; the largest known ones have some 20 000.
pub const SCHEMA_NODES_MAX: usize = 100_000;

/// Why a schema cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than [`SCHEMA_DEPTH_MAX`] levels.
    #[error("the schema has more than {SCHEMA_DEPTH_MAX} levels")]
    TooDeep,
    /// More than [`SCHEMA_NODES_MAX`] schemas.
    #[error("the schema has more than {SCHEMA_NODES_MAX} parts")]
    TooLarge,
    /// A schema that is no object.
    #[error("a part of the schema is not an object")]
    NotASchema,
    /// A pattern that cannot be compiled.
    #[error("the pattern {pattern:?} cannot be used: {why}")]
    Pattern {
        /// As it stands in the schema.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The JSON type that a value must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Type {
    /// Nothing is said.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    IntOrString,
}

impl Type {
    /// As messages name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
        }
    }
}

/// `additionalProperties`.
#[derive(Debug, Default)]
pub(super) enum Additional {
    #[default]
    Unset,
    Allowed(bool),
    Schema(Box<Node>),
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// What a value is measured against.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) format: Option<Format>,
    pub(super) maximum: Option<Bound>,
    pub(super) minimum: Option<Bound>,
    pub(super) multiple_of: Option<f64>,
    pub(super) max_length: Option<i64>,
    pub(super) min_length: Option<i64>,
    pub(super) max_items: Option<i64>,
    pub(super) min_items: Option<i64>,
    pub(super) max_properties: Option<i64>,
    pub(super) min_properties: Option<i64>,
    pub(super) pattern: Option<(String, Pattern)>,
    pub(super) required: Vec<String>,
    pub(super) one_of_values: Vec<Value>,
}

/// `maximum` or `minimum`, and whether the bound itself is outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) value: f64,
    pub(super) exclusive: bool,
}

/// `allOf`, `anyOf`, `oneOf` and `not`.
#[derive(Debug, Default)]
pub(super) struct Junctors {
    pub(super) all: Vec<Node>,
    pub(super) any: Vec<Node>,
    pub(super) one: Vec<Node>,
    pub(super) not: Option<Node>,
}

/// One schema.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) kind: Type,
    pub(super) nullable: bool,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub(super) preserve: bool,
    /// `x-kubernetes-embedded-resource`.
    pub(super) embedded: bool,
    pub(super) list: ListType,
    pub(super) default: Option<Box<Value>>,
    pub(super) properties: BTreeMap<String, Node>,
    pub(super) additional: Additional,
    pub(super) items: Option<Box<Node>>,
    pub(super) limits: Option<Box<Limits>>,
    pub(super) junctors: Option<Box<Junctors>>,
    /// `x-kubernetes-validations`.
    pub(super) rules: Vec<Rule>,
    /// What has rules at or below it.
    pub(super) ruled: Ruled,
    /// How small and how large its values may be.
    pub(super) measure: Measure,
}

/// Whether rules are at a schema or below it, and so worth walking to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ruled {
    #[default]
    No,
    Yes,
}

impl Node {
    /// The schema of an object's field, named or not.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Schema(schema) => Some(schema),
            _ => None,
        })
    }

    /// Its format, where it is one that is checked.
    pub(super) fn format(&self) -> Option<Format> {
        self.limits.as_ref()?.format.clone()
    }
}

/// A compiled schema.
#[derive(Debug, Default)]
pub struct Structural {
    pub(super) root: Node,
}

impl Structural {
    /// Compiles an `openAPIV3Schema`.
    ///
    /// # Errors
    /// When the schema is larger than any should be, or has patterns that are none.
    pub fn compile(schema: &Value) -> Result<Self, Error> {
        Self::compile_with(schema, &mut Patterns::default())
    }

    /// The same, with the patterns of the definition that it is of.
    pub(super) fn compile_with(schema: &Value, patterns: &mut Patterns) -> Result<Self, Error> {
        let mut compiler = Compiler { nodes: 0, patterns };
        let mut root = compiler.node(schema, 0)?;
        rules::compile(&mut root, true, patterns);
        Ok(Self { root })
    }

    /// Has rules that run on its objects.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        self.root.ruled == Ruled::Yes
    }

    /// Rules that an object breaks; of an update, also what may not become of the old object.
    #[must_use]
    pub fn validate_rules(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut causes = Vec::new();
        rules::validate(&self.root, new, old, Path::ROOT, &mut causes);
        causes
    }

    /// The part of it below a property, such as `status`, if there is one.
    pub(super) fn property(&self, name: &str) -> Option<&Node> {
        self.root.properties.get(name)
    }
}

#[derive(Debug)]
struct Compiler<'p> {
    nodes: usize,
    patterns: &'p mut Patterns,
}

impl Compiler<'_> {
    fn node(&mut self, schema: &Value, depth: usize) -> Result<Node, Error> {
        let schema = schema.as_object().ok_or(Error::NotASchema)?;
        self.nodes += 1;
        if depth >= SCHEMA_DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        if self.nodes > SCHEMA_NODES_MAX {
            return Err(Error::TooLarge);
        }
        let mut node = Node {
            kind: kind(schema),
            nullable: flag(schema, "nullable"),
            preserve: flag(schema, "x-kubernetes-preserve-unknown-fields"),
            embedded: flag(schema, "x-kubernetes-embedded-resource"),
            list: list(schema),
            default: schema
                .get("default")
                .filter(|v| !v.is_null())
                .cloned()
                .map(Box::new),
            limits: self.limits(schema)?,
            junctors: self.junctors(schema, depth)?,
            rules: rules::read(schema),
            ..Node::default()
        };
        for (name, property) in object(schema, "properties") {
            let property = self.node(property, depth + 1)?;
            node.properties.insert(name.clone(), property);
        }
        node.additional = match schema.get("additionalProperties") {
            Some(Value::Bool(allowed)) => Additional::Allowed(*allowed),
            Some(Value::Null) | None => Additional::Unset,
            Some(schema) => Additional::Schema(Box::new(self.node(schema, depth + 1)?)),
        };
        if let Some(items) = schema.get("items").filter(|items| !items.is_null()) {
            node.items = Some(Box::new(self.node(items, depth + 1)?));
        }
        node.measure = measure(&node);
        Ok(node)
    }

    fn limits(&mut self, schema: &Map<String, Value>) -> Result<Option<Box<Limits>>, Error> {
        let number = |name: &str| schema.get(name).and_then(Value::as_f64);
        let count = |name: &str| schema.get(name).and_then(Value::as_i64);
        let bound = |name: &str, exclusive: &str| {
            number(name).map(|value| Bound {
                value,
                exclusive: flag(schema, exclusive),
            })
        };
        let limits = Limits {
            format: text(schema, "format").and_then(Format::find),
            maximum: bound("maximum", "exclusiveMaximum"),
            minimum: bound("minimum", "exclusiveMinimum"),
            multiple_of: number("multipleOf"),
            max_length: count("maxLength"),
            min_length: count("minLength"),
            max_items: count("maxItems"),
            min_items: count("minItems"),
            max_properties: count("maxProperties"),
            min_properties: count("minProperties"),
            pattern: self.pattern(text(schema, "pattern").unwrap_or_default())?,
            required: texts(schema, "required"),
            one_of_values: array(schema, "enum").to_vec(),
        };
        Ok((!limits.is_empty()).then(|| Box::new(limits)))
    }

    fn pattern(&mut self, pattern: &str) -> Result<Option<(String, Pattern)>, Error> {
        if pattern.is_empty() {
            return Ok(None);
        }
        match self.patterns.compile(pattern) {
            Ok(compiled) => Ok(Some((pattern.to_owned(), compiled))),
            Err(why) => Err(Error::Pattern {
                pattern: pattern.to_owned(),
                why,
            }),
        }
    }

    fn junctors(
        &mut self,
        schema: &Map<String, Value>,
        depth: usize,
    ) -> Result<Option<Box<Junctors>>, Error> {
        let mut nodes = |name: &str| -> Result<Vec<Node>, Error> {
            let schemas = array(schema, name).iter();
            schemas.map(|schema| self.node(schema, depth + 1)).collect()
        };
        let (all, any, one) = (nodes("allOf")?, nodes("anyOf")?, nodes("oneOf")?);
        let not = match schema.get("not").filter(|not| !not.is_null()) {
            Some(not) => Some(self.node(not, depth + 1)?),
            None => None,
        };
        let none = all.is_empty() && any.is_empty() && one.is_empty() && not.is_none();
        Ok((!none).then(|| Box::new(Junctors { all, any, one, not })))
    }
}

impl Limits {
    fn is_empty(&self) -> bool {
        let counts = [
            self.max_length,
            self.min_length,
            self.max_items,
            self.min_items,
            self.max_properties,
            self.min_properties,
        ];
        self.format.is_none()
            && self.maximum.is_none()
            && self.minimum.is_none()
            && self.multiple_of.is_none()
            && counts.iter().all(Option::is_none)
            && self.pattern.is_none()
            && self.required.is_empty()
            && self.one_of_values.is_empty()
    }
}

fn kind(schema: &Map<String, Value>) -> Type {
    if flag(schema, "x-kubernetes-int-or-string") {
        return Type::IntOrString;
    }
    match text(schema, "type").unwrap_or_default() {
        "object" => Type::Object,
        "array" => Type::Array,
        "string" => Type::String,
        "integer" => Type::Integer,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        _ => Type::Any,
    }
}

fn list(schema: &Map<String, Value>) -> ListType {
    match text(schema, "x-kubernetes-list-type") {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(texts(schema, "x-kubernetes-list-map-keys")),
        _ => ListType::Atomic,
    }
}

pub(super) fn flag(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

pub(super) fn text<'a>(schema: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    schema.get(name).and_then(Value::as_str)
}

pub(super) fn array<'a>(schema: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    let array = schema.get(name).and_then(Value::as_array);
    array.map_or(&[], Vec::as_slice)
}

fn texts(schema: &Map<String, Value>, name: &str) -> Vec<String> {
    let texts = array(schema, name).iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

pub(super) fn object<'a>(
    schema: &'a Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let object = schema.get(name).and_then(Value::as_object);
    object.into_iter().flatten()
}
