//! How large a value may be: what its schema says, and where that says nothing, what fits into a request.

use crate::crd::{
    cel::{escape::unescape, types::Type as CelType},
    structural::{Additional, Node, Type},
};
use serde_json::Value;

/// The largest request; as upstream.
const REQUEST_BYTES: u64 = 3 * 1024 * 1024;
/// Two bytes are the quotes or brackets around everything.
const TEXT_MAX: u64 = REQUEST_BYTES - 2;
/// Longest texts of durations and times, in quotes.
const TIME_MAX: u64 = 32;
const DATE_BYTES: u64 = 12;

/// From the smallest to the largest it may be: characters, bytes or elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Size {
    pub(super) const UNKNOWN: Self = Self::up_to(u64::MAX);

    pub(super) const fn fixed(size: u64) -> Self {
        Self {
            min: size,
            max: size,
        }
    }

    pub(super) const fn up_to(max: u64) -> Self {
        Self { min: 0, max }
    }

    pub(super) fn of(count: usize) -> Self {
        Self::fixed(u64::try_from(count).unwrap_or(u64::MAX))
    }

    pub(super) fn add(self, other: Self) -> Self {
        Self {
            min: self.min.saturating_add(other.min),
            max: self.max.saturating_add(other.max),
        }
    }

    pub(super) fn multiply(self, other: Self) -> Self {
        Self {
            min: self.min.saturating_mul(other.min),
            max: self.max.saturating_mul(other.max),
        }
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    /// The price of reading it once.
    pub(super) fn read(self) -> u64 {
        self.max.div_ceil(10)
    }

    /// The price of reading it and writing as much.
    pub(super) fn copy(self) -> u64 {
        self.max.div_ceil(5)
    }
}

/// Where in the schema a value stands.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// At a schema; and whether it is a whole resource.
    Node(&'a Node, bool),
    /// It is the name of an entry, whose length upstream does not count.
    Name,
    /// It is the metadata of a resource.
    Metadata,
    /// It is a text of any length.
    Text,
    /// No schema says anything of it.
    Nowhere,
}

impl<'a> Place<'a> {
    /// Where the elements or the values of it stand.
    pub(super) fn inside(self) -> Option<Self> {
        let Self::Node(node, _) = self else {
            return None;
        };
        let inner = match (node.kind, &node.additional) {
            (Type::Array, _) => node.items.as_deref()?,
            (Type::Object, Additional::Schema(schema)) => schema,
            _ => return None,
        };
        Some(Self::Node(inner, false))
    }

    /// Where the names of its entries stand.
    pub(super) fn names(self) -> Option<Self> {
        match self {
            Self::Node(node, _) if matches!(node.additional, Additional::Schema(_)) => {
                Some(Self::Name)
            }
            _ => None,
        }
    }

    /// Where a field stands, by its identifier.
    pub(super) fn field(self, ident: &str) -> Option<Self> {
        match self {
            Self::Metadata => matches!(ident, "name" | "generateName").then_some(Self::Text),
            Self::Node(node, is_resource) => match ident {
                "apiVersion" | "kind" if is_resource || node.embedded => Some(Self::Text),
                "metadata" if is_resource || node.embedded => Some(Self::Metadata),
                _ if matches!(node.additional, Additional::Schema(_)) => None,
                _ => {
                    let property = node.properties.get(&unescape(ident))?;
                    Some(Self::Node(property, false))
                }
            },
            Self::Name | Self::Text | Self::Nowhere => None,
        }
    }

    /// Nothing where the schema does not say.
    pub(super) fn size(self) -> Option<Size> {
        Some(Size::up_to(match self {
            Self::Node(node, _) => node.measure.most,
            Self::Name | Self::Metadata => 0,
            Self::Text => TEXT_MAX,
            Self::Nowhere => return None,
        }))
    }
}

/// How often a value of a schema can stand in one request: where no list or map around it has a limit.
pub(super) fn often(node: &Node) -> u64 {
    REQUEST_BYTES / (u64::from(node.measure.least) + 1)
}

/// Bytes of the shortest JSON of a schema's value, and what upstream takes for its largest size. Measured once, from
/// the inside: a rule may name the same field a thousand times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Measure {
    least: u32,
    most: u64,
}

/// The measure of a schema whose parts have theirs.
pub(crate) fn measure(node: &Node) -> Measure {
    Measure {
        least: u32::try_from(bytes_min(node)).unwrap_or(u32::MAX),
        most: elements_max(node),
    }
}

/// Zero for what has one size.
fn elements_max(node: &Node) -> u64 {
    let limit = |limit: Option<i64>| limit.map(|limit| u64::try_from(limit).unwrap_or(0));
    let least = |node: &Node| u64::from(node.measure.least);
    let limits = node.limits.as_deref();
    let max_length = limit(limits.and_then(|limits| limits.max_length));
    match node.kind {
        Type::IntOrString => max_length.map_or(TEXT_MAX, in_bytes),
        Type::Array => {
            let own = limit(limits.and_then(|limits| limits.max_items));
            let item = node.items.as_deref().map_or(1, least);
            own.unwrap_or(TEXT_MAX / (item + 1))
        }
        Type::Object => {
            let Additional::Schema(schema) = &node.additional else {
                return 0;
            };
            let own = limit(limits.and_then(|limits| limits.max_properties));
            // An entry takes two quotes, a colon and a comma beside its name and its value.
            own.unwrap_or_else(|| TEXT_MAX / (least(schema) + 6))
        }
        Type::String => match format(node) {
            "byte" => max_length.unwrap_or(TEXT_MAX),
            "date" => DATE_BYTES,
            "date-time" | "duration" => TIME_MAX,
            _ => max_length.map_or_else(|| longest(node).unwrap_or(TEXT_MAX), in_bytes),
        },
        Type::Any | Type::Integer | Type::Number | Type::Boolean => 0,
    }
}

/// A character takes up to four bytes.
fn in_bytes(characters: u64) -> u64 {
    characters.saturating_mul(4)
}

/// The longest of the texts that a value may be, where these are listed.
fn longest(node: &Node) -> Option<u64> {
    let values = &node.limits.as_deref()?.one_of_values;
    if values.is_empty() {
        return None;
    }
    let lengths = values.iter().filter_map(Value::as_str).map(str::len);
    let longest = lengths.max().unwrap_or(0);
    Some(u64::try_from(longest).unwrap_or(u64::MAX))
}

fn format(node: &Node) -> &str {
    let limits = node.limits.as_deref();
    let format = limits.and_then(|limits| limits.format.as_ref());
    format.map_or("", |format| format.text.as_str())
}

fn bytes_min(node: &Node) -> u64 {
    match node.kind {
        Type::Array => 2,
        Type::Object if matches!(node.additional, Additional::Schema(_)) => 2,
        Type::Object => {
            let required = node.limits.iter().flat_map(|limits| &limits.required);
            let least = required.filter_map(|name| {
                // What has a default need not be sent; what rules do not see is not counted.
                let property = node.properties.get(name)?;
                let counted = property.default.is_none() && CelType::of(property, false).is_some();
                let name = u64::try_from(name.len()).unwrap_or(u64::MAX);
                counted.then(|| u64::from(property.measure.least) + name + 4)
            });
            least.fold(2, u64::saturating_add)
        }
        Type::String => match format(node) {
            "duration" => 3,
            "date" => DATE_BYTES,
            "date-time" => 21,
            _ => 2,
        },
        Type::Boolean => 4,
        Type::IntOrString | Type::Integer | Type::Number | Type::Any => 1,
    }
}
