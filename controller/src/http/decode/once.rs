//! JSON in which every field is to stand once: a second one wins, and is named.
//!
//! Always yields the value that a plain reader yields, but for `-0`, which is 0. The number of names is capped: the answer to a
//! hostile body must not be larger than the body.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::{cell::RefCell, fmt};

/// Fields named at most.
pub(super) const DUPLICATES_MAX: usize = 32;

/// What a body holds.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) value: Value,
    pub(crate) duplicates: Duplicates,
}

/// Fields that stand more than once.
#[derive(Debug, PartialEq)]
pub(crate) enum Duplicates {
    /// In JSON: their paths, as `spec.replicas`.
    Paths(Vec<String>),
    /// In YAML: what is said of each.
    Lines(Vec<String>),
}

impl Default for Duplicates {
    fn default() -> Self {
        Self::Paths(Vec::new())
    }
}

impl Duplicates {
    /// What strict validation says.
    pub(crate) fn errors(&self) -> Vec<String> {
        match self {
            Self::Lines(lines) if !lines.is_empty() => {
                let lines = lines.join("\n  ");
                vec![format!("yaml: unmarshal errors:\n  {lines}")]
            }
            _ => self.warnings(),
        }
    }

    /// What is told of each, where they are let in.
    pub(crate) fn warnings(&self) -> Vec<String> {
        match self {
            Self::Paths(paths) => {
                let named = |path| format!("duplicate field {path:?}");
                paths.iter().map(named).collect()
            }
            Self::Lines(lines) => lines.clone(),
        }
    }
}

/// Reads JSON of no more than `DEPTH_MAX` levels.
pub(super) fn json(bytes: &[u8]) -> serde_json::Result<Read> {
    let found = RefCell::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Seed {
        path: &Path::Root,
        found: &found,
    }
    .deserialize(&mut reader)?;
    reader.end()?;
    Ok(Read {
        value,
        duplicates: Duplicates::Paths(found.into_inner()),
    })
}

/// Where the reader is; on the stack, so that only a finding costs an allocation.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Element(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Element(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

struct Seed<'a> {
    path: &'a Path<'a>,
    found: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // The reader takes `-0` for a float; to Go it is a whole number.
        if value == 0.0 && value.is_sign_negative() {
            return Ok(0.into());
        }
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            let path = Path::Element(self.path, values.len());
            match list.next_element_seed(Seed {
                path: &path,
                found: self.found,
            })? {
                Some(value) => values.push(value),
                None => return Ok(values.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = Path::Field(self.path, &name);
            if map.contains_key(&name) && self.found.borrow().len() < DUPLICATES_MAX {
                self.found.borrow_mut().push(path.to_string());
            }
            let value = fields.next_value_seed(Seed {
                path: &path,
                found: self.found,
            })?;
            map.insert(name, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_what_stands_twice() {
        let read = json(br#"{"a":1,"b":{"c":[{"d":1,"d":2}]},"a":3}"#).unwrap();
        assert_eq!(
            read.value,
            serde_json::json!({"a": 3, "b": {"c": [{"d": 2}]}})
        );
        let named = ["b.c[0].d", "a"].map(str::to_owned).to_vec();
        assert_eq!(read.duplicates, Duplicates::Paths(named));
        assert!(json(b"{} x").is_err() && json(b"\"\xff\"").is_err());
    }

    proptest! {
        #[test]
        fn reads_what_a_plain_reader_reads(text in "[\\[\\]{},:\"a1.e-]{0,24}") {
            let plain = serde_json::from_str::<Value>(&text).ok();
            prop_assert_eq!(json(text.as_bytes()).ok().map(|read| read.value), plain);
        }
    }
}
