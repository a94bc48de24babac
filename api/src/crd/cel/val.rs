//! Values of expressions. Those of the object are looked at where they stand, never copied.

use super::{Failure, Meter, escape::unescape};
use crate::crd::{
    duration, format,
    structural::{Additional, ListType, Node, Type},
    url::Url,
};
use crate::{go::decode_base64, quantity::Quantity};
use jiff::{Timestamp, tz::TimeZone};
use semver::Version;
use serde_json::{Map as JsonMap, Value};
use std::{cmp::Ordering, collections::BTreeMap, net::IpAddr, ops::Deref, rc::Rc};

/// A text of the object or of the rule, or one that was made.
#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Ref(&'a str),
    Made(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Ref(text) => text,
            Self::Made(text) => text,
        }
    }
}

/// A list of the object, with its schema, or one that was made.
#[derive(Debug, Clone)]
pub(super) enum List<'a> {
    Json(&'a [Value], Option<&'a Node>),
    Made(Rc<[Val<'a>]>),
}

/// An object or map of the object, with its schema, or a map that was made.
#[derive(Debug, Clone)]
pub(super) enum Map<'a> {
    Json(&'a JsonMap<String, Value>, Option<&'a Node>),
    Made(Rc<BTreeMap<Key, Val<'a>>>),
}

/// A key of a map. Whole numbers are one kind, however they are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Bool(bool),
    Int(i128),
    Text(Rc<str>),
}

#[derive(Debug, Clone)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Rc<[u8]>),
    List(List<'a>),
    Map(Map<'a>),
    /// Nanoseconds.
    Duration(i64),
    Timestamp(Timestamp),
    Optional(Option<Rc<Val<'a>>>),
    Quantity(Rc<Quantity>),
    Url(Rc<Url>),
    Ip(IpAddr),
    Cidr(IpAddr, u8),
    /// A named format of texts.
    Format(&'static str),
    Semver(Rc<Version>),
    Type(&'static str),
}

impl<'a> Val<'a> {
    /// A value of the object, as its schema says it is to be read.
    pub(super) fn of(value: &'a Value, node: Option<&'a Node>) -> Self {
        let kind = node.map_or(Type::Any, |node| node.kind);
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) if kind != Type::Number => Self::Int(whole),
                (_, Some(float)) if kind == Type::Integer => {
                    whole_of(float).map_or(Self::Double(float), Self::Int)
                }
                (_, float) => Self::Double(float.unwrap_or_default()),
            },
            Value::String(text) => Self::of_text(text, node),
            Value::Array(items) => Self::List(List::Json(items, node)),
            Value::Object(fields) => Self::Map(Map::Json(fields, node)),
        }
    }

    fn of_text(text: &'a str, node: Option<&'a Node>) -> Self {
        let plain = || Self::Text(Text::Ref(text));
        let Some(format) = node.and_then(Node::format) else {
            return plain();
        };
        match format.text.as_str() {
            "byte" => {
                decode_base64(text).map_or_else(|_| plain(), |bytes| Self::Bytes(bytes.into()))
            }
            "duration" => duration::parse(text).map_or_else(plain, Self::Duration),
            "date-time" => text.parse().map_or_else(|_| plain(), Self::Timestamp),
            "date" => {
                let day = format::date(text).map(|day| day.to_zoned(TimeZone::UTC));
                day.and_then(Result::ok)
                    .map_or_else(plain, |day| Self::Timestamp(day.timestamp()))
            }
            _ => plain(),
        }
    }

    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(List::Made(items.into()))
    }

    pub(super) fn some(value: Self) -> Self {
        Self::Optional(Some(Rc::new(value)))
    }

    /// As errors name its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Optional(_) => "optional_type",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Url(_) => "kubernetes.URL",
            Self::Ip(_) => "net.IP",
            Self::Cidr(..) => "net.CIDR",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Type(_) => "type",
        }
    }

    /// How many it holds: code points, bytes, elements or entries.
    pub(super) fn size(&self) -> Option<usize> {
        Some(match self {
            Self::Text(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            _ => return None,
        })
    }

    /// As the key of a map.
    pub(super) fn key(&self) -> Result<Key, Failure> {
        Ok(match self {
            Self::Bool(value) => Key::Bool(*value),
            Self::Int(value) => Key::Int((*value).into()),
            Self::Uint(value) => Key::Int((*value).into()),
            Self::Double(value) => match whole_of(*value) {
                Some(whole) => Key::Int(whole.into()),
                None => return Err(Failure::other(format!("no such key: {value}"))),
            },
            Self::Text(Text::Made(text)) => Key::Text(text.clone()),
            Self::Text(text) => Key::Text((&**text).into()),
            other => {
                let name = other.type_name();
                return Err(Failure::other(format!("unsupported key type: {name}")));
            }
        })
    }

    /// Its place before or after another, where both have an order.
    pub(super) fn order(&self, other: &Self, meter: &mut Meter) -> Result<Ordering, Failure> {
        Ok(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => {
                meter.bytes(a.len().min(b.len()))?;
                a[..].cmp(&b[..])
            }
            (Self::Bytes(a), Self::Bytes(b)) => {
                meter.bytes(a.len().min(b.len()))?;
                a.cmp(b)
            }
            (Self::Duration(a), Self::Duration(b)) => a.cmp(b),
            (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            _ => {
                return number_order(self, other)
                    .ok_or(Failure::Overload)?
                    .ok_or_else(|| Failure::other("NaN values cannot be ordered"));
            }
        })
    }

    /// Whether two values are the same. Values of different types are not.
    pub(super) fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Failure> {
        meter.charge(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::List(a), Self::List(b)) => return a.equals(b, meter),
            (Self::Map(a), Self::Map(b)) => return a.equals(b, meter),
            (Self::Optional(a), Self::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => return a.equals(b, meter),
                (a, b) => a.is_none() && b.is_none(),
            },
            (Self::Quantity(a), Self::Quantity(b)) => a.milli_value() == b.milli_value(),
            (Self::Url(a), Self::Url(b)) => a.text == b.text,
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Cidr(a, m), Self::Cidr(b, n)) => (a, m) == (b, n),
            (Self::Semver(a), Self::Semver(b)) => {
                meter.bytes(a.pre.len().min(b.pre.len()))?;
                a.cmp_precedence(b) == Ordering::Equal
            }
            (Self::Type(a), Self::Type(b)) | (Self::Format(a), Self::Format(b)) => a == b,
            _ => match number_order(self, other) {
                Some(order) => order == Some(Ordering::Equal),
                None => match self.order(other, meter) {
                    Ok(order) => order == Ordering::Equal,
                    Err(Failure::Budget) => return Err(Failure::Budget),
                    Err(_) => false,
                },
            },
        })
    }
}

/// Numbers of any kind; the inner nothing is for what has no order.
fn number_order(a: &Val<'_>, b: &Val<'_>) -> Option<Option<Ordering>> {
    let whole = |value: &Val<'_>| match value {
        Val::Int(value) => Some(i128::from(*value)),
        Val::Uint(value) => Some(i128::from(*value)),
        _ => None,
    };
    Some(match (whole(a), a, whole(b), b) {
        (Some(a), _, Some(b), _) => Some(a.cmp(&b)),
        (_, Val::Double(a), _, Val::Double(b)) => a.partial_cmp(b),
        (Some(a), _, _, Val::Double(b)) => whole_order(a, *b),
        (_, Val::Double(a), Some(b), _) => whole_order(b, *a).map(Ordering::reverse),
        _ => return None,
    })
}

/// Exact: a whole number is not rounded to be compared.
fn whole_order(whole: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float >= 1e20 {
        return Some(Ordering::Less);
    }
    if float <= -1e20 {
        return Some(Ordering::Greater);
    }
    let floor: i128 = format!("{:.0}", float.floor()).parse().ok()?;
    let fraction = float.fract() != 0.0;
    Some(whole.cmp(&floor).then(if fraction {
        Ordering::Less
    } else {
        Ordering::Equal
    }))
}

/// A whole number, where the float is one that fits.
pub(super) fn whole_of(float: f64) -> Option<i64> {
    let fits = float.fract() == 0.0 && float.abs() < 9.3e18;
    format!("{float:.0}").parse().ok().filter(|_| fits)
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(items, _) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Json(items, node) => {
                let node = node.and_then(|node| node.items.as_deref());
                items.get(index).map(|item| Val::of(item, node))
            }
            Self::Made(items) => items.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Val<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// What its schema says of its elements.
    pub(super) fn list_type(&self) -> &'a ListType {
        match self {
            Self::Json(_, Some(node)) => &node.list,
            _ => &ListType::Atomic,
        }
    }

    pub(super) fn contains(&self, value: &Val<'a>, meter: &mut Meter) -> Result<bool, Failure> {
        for item in self.iter() {
            if item.equals(value, meter)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Failure> {
        if self.len() != other.len() {
            return Ok(false);
        }
        let by_order = *self.list_type() == ListType::Atomic;
        for (mine, theirs) in self.iter().zip(other.iter()) {
            let same = if by_order {
                mine.equals(&theirs, meter)?
            } else {
                // The order of a set's or map's elements says nothing.
                mine.equals(&theirs, meter)? || other.contains(&mine, meter)?
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Elements of both; those of a set once, those of a map replaced by their keys.
    pub(super) fn join(&self, other: &Self, meter: &mut Meter) -> Result<Vec<Val<'a>>, Failure> {
        meter.items(self.len() + other.len())?;
        let mut joined: Vec<Val<'a>> = self.iter().collect();
        for item in other.iter() {
            match self.list_type() {
                ListType::Atomic => joined.push(item),
                ListType::Set if self.contains(&item, meter)? => {}
                ListType::Set => joined.push(item),
                ListType::Map(keys) => {
                    let mut found = None;
                    for (index, old) in joined.iter().enumerate() {
                        meter.charge(1)?;
                        if same_keys(keys, old, &item, meter)? {
                            found = Some(index);
                        }
                    }
                    match found {
                        Some(index) => joined[index] = item,
                        None => joined.push(item),
                    }
                }
            }
        }
        Ok(joined)
    }
}

fn same_keys(
    keys: &[String],
    a: &Val<'_>,
    b: &Val<'_>,
    meter: &mut Meter,
) -> Result<bool, Failure> {
    let (Val::Map(a), Val::Map(b)) = (a, b) else {
        return Ok(false);
    };
    for key in keys {
        let same = match (a.get_named(key), b.get_named(key)) {
            (Some(a), Some(b)) => a.equals(&b, meter)?,
            (a, b) => a.is_none() && b.is_none(),
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(fields, _) => fields.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    /// A property by its own name.
    fn get_named(&self, name: &str) -> Option<Val<'a>> {
        match self {
            Self::Json(fields, node) => {
                let node = node.and_then(|node| node.field(name));
                fields.get(name).map(|value| Val::of(value, node))
            }
            Self::Made(entries) => entries.get(&Key::Text(name.into())).cloned(),
        }
    }

    /// `.field`: a property by its identifier, or a key of a map.
    pub(super) fn field(&self, ident: &str) -> Option<Val<'a>> {
        match self {
            Self::Json(_, Some(node)) if !matches!(node.additional, Additional::Schema(_)) => {
                self.get_named(&unescape(ident))
            }
            _ => self.get_named(ident),
        }
    }

    /// `[key]`.
    pub(super) fn get(&self, key: &Val<'_>) -> Result<Option<Val<'a>>, Failure> {
        match (self, key) {
            (Self::Json(..), Val::Text(name)) => Ok(self.get_named(name)),
            (Self::Json(..), _) => Ok(None),
            (Self::Made(entries), key) => Ok(entries.get(&key.key()?).cloned()),
        }
    }

    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = (Val<'a>, Val<'a>)> + '_> {
        match self {
            Self::Json(fields, node) => Box::new(fields.iter().map(|(name, value)| {
                let node = node.and_then(|node| node.field(name));
                (Val::Text(Text::Ref(name)), Val::of(value, node))
            })),
            Self::Made(entries) => Box::new(entries.iter().map(|(key, value)| {
                let key = match key {
                    Key::Bool(value) => Val::Bool(*value),
                    Key::Int(value) => match i64::try_from(*value) {
                        Ok(value) => Val::Int(value),
                        Err(_) => Val::Uint(u64::try_from(*value).unwrap_or(u64::MAX)),
                    },
                    Key::Text(text) => Val::Text(Text::Made(text.clone())),
                };
                (key, value.clone())
            })),
        }
    }

    fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Failure> {
        if self.len() != other.len() {
            return Ok(false);
        }
        for (key, mine) in self.iter() {
            match other.get(&key)? {
                Some(theirs) if mine.equals(&theirs, meter)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}
