//! A set of fields of an object, as `managedFields` writes it (`FieldsV1`).
//!
//! A tree whose edges are path elements in their written form: `f:name` a field, `k:{...}` an element of a
//! list by its keys, `v:...` an element of a set, `i:0` an element by its place.

use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt::Write as _};

/// What a node itself is written as.
const SELF: &str = ".";

/// A set of paths. A path may be in it without what is below it, and the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSet {
    nodes: BTreeMap<String, Node>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    below: FieldSet,
}

/// A path element of a field.
pub(super) fn field(name: &str) -> String {
    format!("f:{name}")
}

/// What nobody ever manages: what an object is, and what the server writes of it.
pub(super) fn unmanaged() -> FieldSet {
    let mut set = FieldSet::default();
    for path in [&["apiVersion"][..], &["kind"], &["metadata"]] {
        set.insert(&path.iter().map(|name| field(name)).collect::<Vec<_>>());
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        set.insert(&[field("metadata"), field(name)]);
    }
    set
}

impl FieldSet {
    /// Adds a path; the root is never in a set.
    pub(super) fn insert(&mut self, path: &[String]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let node = self.nodes.entry(first.clone()).or_default();
        if rest.is_empty() {
            node.member = true;
        } else {
            node.below.insert(rest);
        }
    }

    /// Of one path.
    pub(super) fn of(path: &[String]) -> Self {
        let mut set = Self::default();
        set.insert(path);
        set
    }

    /// Whether a path itself is in the set.
    pub(super) fn contains(&self, path: &[String]) -> bool {
        let Some((first, rest)) = path.split_first() else {
            return false;
        };
        let node = self.nodes.get(first);
        node.is_some_and(|node| match rest {
            [] => node.member,
            rest => node.below.contains(rest),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes
            .values()
            .all(|node| !node.member && node.below.is_empty())
    }

    /// Whether the element itself is in the set.
    pub(super) fn has(&self, element: &str) -> bool {
        self.nodes.get(element).is_some_and(|node| node.member)
    }

    /// What of the set is below an element.
    pub(super) fn below(&self, element: &str) -> Option<&Self> {
        let below = &self.nodes.get(element)?.below;
        (!below.is_empty()).then_some(below)
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        let mut nodes = self.nodes.clone();
        for (element, theirs) in &other.nodes {
            let own = nodes.entry(element.clone()).or_default();
            own.member |= theirs.member;
            own.below = own.below.union(&theirs.below);
        }
        Self { nodes }
    }

    /// The paths that are not, themselves, in the other.
    pub(super) fn difference(&self, other: &Self) -> Self {
        self.combine(other, |own, theirs| own && !theirs, true)
    }

    /// The paths that are in both.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |own, theirs| own && theirs, false)
    }

    fn combine(&self, other: &Self, keep: fn(bool, bool) -> bool, alone: bool) -> Self {
        let mut nodes = BTreeMap::new();
        for (element, own) in &self.nodes {
            let kept = match other.nodes.get(element) {
                Some(theirs) => Node {
                    member: keep(own.member, theirs.member),
                    below: own.below.combine(&theirs.below, keep, alone),
                },
                None if alone => own.clone(),
                None => continue,
            };
            if kept.member || !kept.below.nodes.is_empty() {
                nodes.insert(element.clone(), kept);
            }
        }
        Self { nodes }
    }

    /// The same with nodes that `run` may make members of; it gets each element and the set below it.
    pub(super) fn map(&self, run: &mut impl FnMut(&str, bool, &Self) -> (bool, Self)) -> Self {
        let mut nodes = BTreeMap::new();
        for (element, node) in &self.nodes {
            let (member, below) = run(element, node.member, &node.below);
            nodes.insert(element.clone(), Node { member, below });
        }
        Self { nodes }
    }

    /// Each path of the set, in words: `.spec.containers[name="a"].image`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        for (element, node) in &self.nodes {
            let path = format!("{prefix}{}", words(element));
            if node.member {
                paths.push(path.clone());
            }
            node.below.collect(&path, paths);
        }
    }

    /// As `FieldsV1`.
    pub(super) fn encode(&self) -> Value {
        let mut map = Map::new();
        for (element, node) in &self.nodes {
            let mut value = node.below.encode();
            if let Value::Object(below) = &mut value
                && node.member
                && !below.is_empty()
            {
                below.insert(SELF.to_owned(), Value::Object(Map::new()));
            }
            map.insert(element.clone(), value);
        }
        Value::Object(map)
    }

    /// From `FieldsV1`.
    pub(super) fn decode(value: &Value) -> Result<Self, String> {
        let map = match value {
            Value::Object(map) => map,
            // As upstream: nothing is below it.
            Value::Null => return Ok(Self::default()),
            _ => return Err("error decoding set: expected an object".to_owned()),
        };
        let mut nodes = BTreeMap::new();
        for (element, value) in map.iter().filter(|(element, _)| *element != SELF) {
            if !is_element(element) {
                return Err(format!(
                    "error decoding set: unknown path element {element:?}"
                ));
            }
            let below = Self::decode(value)?;
            let member = value
                .as_object()
                .is_none_or(|map| map.is_empty() || map.contains_key(SELF));
            nodes.insert(element.clone(), Node { member, below });
        }
        Ok(Self { nodes })
    }
}

fn is_element(text: &str) -> bool {
    let Some((kind, rest)) = text.split_once(':') else {
        return false;
    };
    match kind {
        "f" => true,
        "i" => rest.parse::<u32>().is_ok(),
        "v" => serde_json::from_str::<Value>(rest).is_ok(),
        "k" => serde_json::from_str::<Map<String, Value>>(rest).is_ok(),
        _ => false,
    }
}

/// `.name`, `[name="a",port=80]`, `[="a"]`, `[0]`.
pub(super) fn words(element: &str) -> String {
    let (kind, rest) = element.split_once(':').unwrap_or(("f", element));
    match kind {
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).unwrap_or_default();
            let mut text = String::from("[");
            for (index, (name, value)) in keys.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                // Writing to a string never fails.
                let _written = write!(text, "{comma}{name}={value}");
            }
            text + "]"
        }
        "v" => format!("[={rest}]"),
        "i" => format!("[{rest}]"),
        _ => format!(".{rest}"),
    }
}
