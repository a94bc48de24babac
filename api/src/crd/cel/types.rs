//! Types of expressions, as far as they are known before a rule runs.

use super::escape::escape;
use crate::crd::structural::{Additional, Node, Type as JsonType};
use std::fmt;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type<'a> {
    /// Known when it runs.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Duration,
    Timestamp,
    List(Box<Type<'a>>),
    Map(Box<Type<'a>>, Box<Type<'a>>),
    Object(Fields<'a>),
    Optional(Box<Type<'a>>),
    /// `kubernetes.Quantity` and such.
    Named(&'static str),
    /// A type itself, and which where that is known.
    Kind(Option<Box<Type<'a>>>),
}

/// An object's schema, and whether it is a whole resource with type and metadata.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    /// Nothing for the metadata of a resource.
    node: Option<&'a Node>,
    is_resource: bool,
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("object")
    }
}

impl PartialEq for Fields<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.node, other.node) {
            (Some(a), Some(b)) => std::ptr::eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        }
    }
}

impl<'a> Type<'a> {
    pub(super) fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    pub(super) fn map(key: Self, value: Self) -> Self {
        Self::Map(Box::new(key), Box::new(value))
    }

    pub(super) fn optional(of: Self) -> Self {
        Self::Optional(Box::new(of))
    }

    /// The type of what a schema describes; nothing where rules may not see it.
    pub(super) fn of(node: &'a Node, is_resource: bool) -> Option<Self> {
        let is_resource = is_resource || node.embedded;
        Some(match node.kind {
            JsonType::IntOrString => Self::Dyn,
            JsonType::Array => Self::list(Self::of(node.items.as_deref()?, false)?),
            JsonType::Object => match &node.additional {
                Additional::Schema(schema) => Self::map(Self::Text, Self::of(schema, false)?),
                _ => Self::Object(Fields {
                    node: Some(node),
                    is_resource,
                }),
            },
            JsonType::String => match node.format().as_ref().map(|format| format.text.as_str()) {
                Some("byte") => Self::Bytes,
                Some("duration") => Self::Duration,
                Some("date" | "date-time") => Self::Timestamp,
                _ => Self::Text,
            },
            JsonType::Boolean => Self::Bool,
            JsonType::Number => Self::Double,
            JsonType::Integer => Self::Int,
            JsonType::Any => return None,
        })
    }

    /// Whether a value of one type may stand where the other is wanted.
    pub(super) fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.fits(b),
            (Self::Map(a, v), Self::Map(b, w)) => a.fits(b) && v.fits(w),
            (Self::Kind(_), Self::Kind(_)) => true,
            // What is no plain value may be null.
            (Self::Null, other) | (other, Self::Null) => matches!(
                other,
                Self::Null
                    | Self::Object(_)
                    | Self::Named(_)
                    | Self::Duration
                    | Self::Timestamp
                    | Self::Optional(_)
            ),
            (a, b) => a == b,
        }
    }

    /// As a value of it names its type.
    pub(super) fn runtime_name(&self) -> String {
        match self {
            Self::Null => "null_type".to_owned(),
            Self::Duration => "google.protobuf.Duration".to_owned(),
            Self::Timestamp => "google.protobuf.Timestamp".to_owned(),
            Self::List(_) => "list".to_owned(),
            Self::Map(..) => "map".to_owned(),
            Self::Optional(_) => "optional_type".to_owned(),
            Self::Kind(_) => "type".to_owned(),
            other => other.to_string(),
        }
    }

    /// What both are; dynamic where they differ.
    pub(super) fn join(self, other: &Self) -> Self {
        match (self, other) {
            (Self::List(a), Self::List(b)) => Self::list(a.join(b)),
            (Self::Map(a, v), Self::Map(b, w)) => Self::map(a.join(b), v.join(w)),
            (Self::Optional(a), Self::Optional(b)) => Self::optional(a.join(b)),
            (a @ Self::Kind(_), Self::Kind(_)) => a,
            (a, b) if a == *b => a,
            (Self::Null, b) => b.clone(),
            (a, Self::Null) => a,
            _ => Self::Dyn,
        }
    }
}

impl<'a> Fields<'a> {
    /// The type of a field by its identifier.
    pub(super) fn field(&self, ident: &str) -> Option<Type<'a>> {
        let Some(node) = self.node else {
            return matches!(ident, "name" | "generateName").then_some(Type::Text);
        };
        match ident {
            "apiVersion" | "kind" if self.is_resource => return Some(Type::Text),
            "metadata" if self.is_resource => {
                return Some(Type::Object(Fields {
                    node: None,
                    is_resource: false,
                }));
            }
            _ => {}
        }
        let name = super::escape::unescape(ident);
        let property = node.properties.get(&name)?;
        if escape(&name)? != ident {
            return None;
        }
        Type::of(property, false)
    }
}

impl fmt::Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::List(of) => write!(f, "list({of})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Object(_) => f.write_str("object"),
            Self::Optional(of) => write!(f, "optional_type({of})"),
            Self::Named(name) => f.write_str(name),
            Self::Kind(None) => f.write_str("type"),
            Self::Kind(Some(of)) => write!(f, "type({of})"),
        }
    }
}
