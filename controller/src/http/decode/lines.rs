//! YAML in which every key is to stand once: a second one wins, and is named with its line.
//!
//! The parser tells lines in its errors alone. So a key that stands twice is refused and read all the same: the parser has
//! passed it by then. The number of those is capped, as that of the fields of JSON.

use super::once::{DUPLICATES_MAX, Duplicates, Read};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::{
    cell::{Cell, RefCell},
    fmt,
};

/// Reads YAML; an error is the parser's.
pub(super) fn yaml(bytes: &[u8]) -> Result<Read, String> {
    let said = RefCell::default();
    let reader = serde_yaml_ng::Deserializer::from_slice(bytes);
    let node = Node {
        said: &said,
        start: None,
    };
    let value = node.deserialize(reader);
    Ok(Read {
        value: value.map_err(|why| why.to_string())?,
        duplicates: Duplicates::Lines(said.into_inner()),
    })
}

/// A line of the text, out of an error that was asked for.
fn line_of(error: &str) -> Option<usize> {
    let (_, place) = error.rsplit_once(" at line ")?;
    place.split_once(' ')?.0.parse().ok()
}

/// Where a value begins that is asked for; what it was refused with is kept meanwhile.
#[derive(Default)]
struct Start {
    is_known: Cell<bool>,
    line: Cell<Option<usize>>,
    held: RefCell<Option<Value>>,
}

impl Start {
    /// What was refused only to hear its line.
    fn settle<E: Error>(&self, read: Result<Value, E>) -> Result<Value, E> {
        read.or_else(|why| {
            let held = self.held.take().ok_or_else(|| E::custom(&why))?;
            self.line.set(line_of(&why.to_string()));
            Ok(held)
        })
    }
}

/// Any value.
#[derive(Clone, Copy)]
struct Node<'a> {
    said: &'a RefCell<Vec<String>>,
    start: Option<&'a Start>,
}

impl<'a> Node<'a> {
    /// The start, if nobody was asked for it yet.
    fn unknown_start(self) -> Option<&'a Start> {
        self.start.filter(|start| !start.is_known.replace(true))
    }

    fn scalar<E: Error>(self, value: impl Into<Value>) -> Result<Value, E> {
        match self.unknown_start() {
            None => Ok(value.into()),
            Some(start) => {
                start.held.replace(Some(value.into()));
                Err(E::custom("stands twice"))
            }
        }
    }

    fn read_from<E: Error>(self, read: impl FnOnce(Self) -> Result<Value, E>) -> Result<Value, E> {
        match self.start {
            None => read(self),
            Some(start) => start.settle(read(self)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        self.read_from(|node| reader.deserialize_any(node))
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // What is no number of JSON is null, as it ever was.
        self.scalar(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut first = self.unknown_start();
        loop {
            let mut held = None;
            let is_room = self.said.borrow().len() < DUPLICATES_MAX;
            let key = Key {
                is_refused: &|name| first.is_some() || (is_room && map.contains_key(name)),
                held: &mut held,
            };
            let (name, line) = match (fields.next_key_seed(key), held) {
                (Ok(None), _) => return Ok(map.into()),
                (Ok(Some(name)), _) => (name, None),
                (Err(why), Some(name)) => (name, line_of(&why.to_string())),
                (Err(why), None) => return Err(why),
            };
            if let Some(start) = first.take() {
                start.line.set(line);
            }
            let start = Start::default();
            let is_twice = is_room && map.contains_key(&name);
            let value = fields.next_value_seed(Node {
                said: self.said,
                start: is_twice.then_some(&start),
            })?;
            if is_twice {
                let line = start.line.get().or(line).unwrap_or_default();
                let mut said = self.said.borrow_mut();
                said.push(format!("line {line}: key {name:?} already set in map"));
            }
            map.insert(name, value);
        }
    }
}

/// A key; one that is refused to hear its line is held.
struct Key<'a> {
    is_refused: &'a dyn Fn(&str) -> bool,
    held: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<String, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<String, E> {
        if !(self.is_refused)(name) {
            return Ok(name.to_owned());
        }
        *self.held = Some(name.to_owned());
        Err(E::custom("stands twice"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn said(text: &str) -> Vec<String> {
        yaml(text.as_bytes()).unwrap().duplicates.warnings()
    }

    /// As go-yaml says it: the line is where the value begins.
    #[test]
    fn keys_that_stand_twice_are_named_with_their_lines() {
        for (text, lines) in [
            ("a: 1\nb: 2\n", &[][..]),
            ("a: 1\n\na: 2\n", &["line 3: key \"a\""]),
            (
                "a:\n  b: 1\na:\n  b: 2\n  b: 3\n",
                &["line 5: key \"b\"", "line 4: key \"a\""],
            ),
            ("a: x\na:\n\n- y\n- z\n", &["line 4: key \"a\""]),
            (
                "a: x\na:\n- b: 1\n  b: [2]\n",
                &["line 4: key \"b\"", "line 3: key \"a\""],
            ),
            (
                "a: x\na: {}\na: []\n",
                &["line 2: key \"a\"", "line 3: key \"a\""],
            ),
            ("a: x\na: |\n  y\n", &["line 2: key \"a\""]),
            ("{\"a\": 1,\n\"a\": null}", &["line 2: key \"a\""]),
            ("1: x\n1: y\n", &["line 2: key \"1\""]),
        ] {
            let expected: Vec<String> = lines
                .iter()
                .map(|line| format!("{line} already set in map"))
                .collect();
            assert_eq!(said(text), expected, "{text}");
            let last: Value = serde_yaml_ng::from_str(text).unwrap();
            assert_eq!(yaml(text.as_bytes()).unwrap().value, last, "{text}");
        }
        assert_eq!(said(&"a: 1\n".repeat(1_000)).len(), DUPLICATES_MAX);
        let shared = "a: &x {b: 1}\nc: *x\nc: *x\n";
        assert_eq!(
            yaml(shared.as_bytes()).unwrap().value,
            json!({"a": {"b": 1}, "c": {"b": 1}})
        );
        assert_eq!(said(shared).len(), 1);
    }

    proptest! {
        #[test]
        fn reads_what_a_plain_reader_reads(text in "([ab]:|- |\\[|\\]|\\{|\\}|, |[ab1~]| |\n|&x |\\*x){0,16}") {
            let plain: Option<Value> = serde_yaml_ng::from_str(&text).ok();
            prop_assert_eq!(yaml(text.as_bytes()).ok().map(|read| read.value), plain, "{}", text);
        }
    }
}
