//! Walks over objects by their type: which fields there are, and which differ.

use super::fields::{FieldSet, field};
use crate::schema::{ListType, Type};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What became of an object.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Added or changed.
    pub(super) set: FieldSet,
    /// Gone.
    pub(super) removed: FieldSet,
}

/// What two values at one place are together.
pub(super) enum Form {
    /// Replaced as a whole.
    Leaf,
    /// Objects whose fields are told apart.
    Map,
    /// Lists whose elements are told apart.
    List,
}

/// How values at one place are compared and merged; a missing one takes the form of the other.
pub(super) fn form(ty: Type<'_>, one: Option<&Value>, other: Option<&Value>) -> Form {
    let both = [one, other];
    let values = || {
        both.iter()
            .copied()
            .flatten()
            .filter(|value| !value.is_null())
    };
    let is_map = |value: &Value| value.as_object().is_some_and(|map| !map.is_empty());
    let is_list = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty());
    if values().any(is_map) && values().all(Value::is_object) && !ty.is_atomic() {
        return Form::Map;
    }
    let parted = |value: &Value| {
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().all(|item| element(ty, item).is_ok())
    };
    if values().any(is_list)
        && values().all(Value::is_array)
        && ty.list_type() != ListType::Atomic
        && values().all(parted)
    {
        return Form::List;
    }
    Form::Leaf
}

pub(super) fn map_of(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

pub(super) fn list_of(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The path element of an item of a list of type `ty`.
pub(super) fn element(ty: Type<'_>, item: &Value) -> Result<String, String> {
    match ty.list_type() {
        ListType::Atomic => Err("invalid indexing of non-associative list".to_owned()),
        ListType::Set => match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => {
                Err("not supported: associative list with lists as elements".to_owned())
            }
            Value::Null => Err(
                "associative list without keys has an element that's an explicit null".to_owned(),
            ),
            scalar => Ok(format!("v:{scalar}")),
        },
        ListType::Map(keys) => {
            let Some(item) = item.as_object() else {
                return Err("associative list with keys may not have non-map elements".to_owned());
            };
            let of = ty.element();
            let found: BTreeMap<&str, &Value> = keys
                .iter()
                .filter_map(|key| Some((*key, item.get(*key).or_else(|| of.default_of(key))?)))
                .collect();
            if found.is_empty() {
                return Err(format!(
                    "associative list with keys has an element that omits all key fields {keys:?} (and doesn't have default values for any key fields)"
                ));
            }
            let text = serde_json::to_string(&found).unwrap_or_default();
            Ok(format!("k:{text}"))
        }
    }
}

/// All fields of an object.
pub(super) fn set_of(ty: Type<'_>, object: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect(ty, object, &mut Vec::new(), &mut set);
    set
}

fn collect(ty: Type<'_>, value: &Value, path: &mut Vec<String>, set: &mut FieldSet) {
    match (value, form(ty, Some(value), None)) {
        (Value::Object(map), Form::Map) => {
            for (name, value) in map {
                path.push(field(name));
                collect(ty.field(name), value, path, set);
                let is_empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                if is_empty || !ty.declares(name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        (Value::Array(list), Form::List) => {
            let ids: Vec<String> = list
                .iter()
                .filter_map(|item| element(ty, item).ok())
                .collect();
            let mut counts: HashMap<&str, usize> = HashMap::with_capacity(ids.len());
            for id in &ids {
                *counts.entry(id).or_default() += 1;
            }
            for (item, id) in list.iter().zip(&ids) {
                path.push(id.clone());
                set.insert(path);
                // Of items that cannot be told apart nothing more is known.
                if counts.get(id.as_str()) == Some(&1) {
                    collect(ty.element(), item, path, set);
                }
                path.pop();
            }
        }
        (Value::Object(map), _) if map.is_empty() && !ty.is_atomic() => {}
        (Value::Array(list), _) if list.is_empty() && ty.list_type() != ListType::Atomic => {}
        (Value::Null, _) => {}
        _ => set.insert(path),
    }
}

/// The set with the declared fields above its paths as members too.
pub(super) fn with_named(ty: Type<'_>, set: &FieldSet) -> FieldSet {
    set.map(
        &mut |element, member, below| match element.strip_prefix("f:") {
            Some(name) => {
                let named = !below.is_empty() && ty.declares(name);
                (member || named, with_named(ty.field(name), below))
            }
            None => (member, with_named(ty.element(), below)),
        },
    )
}

/// The set with what has become one value since as a whole. What was one value and has parts now stays by itself:
/// nobody manages its parts until somebody writes them.
///
/// Source: structured-merge-diff `typed/reconcile_schema.go`.
pub(super) fn settled(ty: Type<'_>, set: &FieldSet) -> FieldSet {
    set.map(&mut |element, member, below| {
        let ty = match element.strip_prefix("f:") {
            Some(name) => ty.field(name),
            None => ty.element(),
        };
        if is_whole(ty) && !below.is_empty() {
            return (true, FieldSet::default());
        }
        (member, settled(ty, below))
    })
}

/// Whether the type says that its values are not parted.
fn is_whole(ty: Type<'_>) -> bool {
    match ty.schema().and_then(|schema| schema.get("type")?.as_str()) {
        Some("object") => ty.is_atomic(),
        Some("array") => ty.list_type() == ListType::Atomic,
        _ => false,
    }
}

/// What became of `old`.
pub(super) fn compare(ty: Type<'_>, old: &Value, new: &Value) -> Changes {
    let mut changes = Changes::default();
    differ(ty, Some(old), Some(new), &mut Vec::new(), &mut changes);
    changes
}

fn differ(
    ty: Type<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<String>,
    changes: &mut Changes,
) {
    // Most of an object stays as it is.
    if old == new {
        return;
    }
    match form(ty, old, new) {
        Form::Leaf => {
            if old.is_some() && new.is_some() {
                changes.set.insert(path);
            }
        }
        Form::Map => {
            let (old, new) = (map_of(old), map_of(new));
            let names: BTreeSet<&String> = old.into_iter().chain(new).flat_map(Map::keys).collect();
            for name in names {
                let before = old.and_then(|map| map.get(name));
                let after = new.and_then(|map| map.get(name));
                path.push(field(name));
                differ(ty.field(name), before, after, path, changes);
                path.pop();
            }
        }
        Form::List => differ_items(ty, (list_of(old), list_of(new)), path, changes),
    }
    if old.is_none() {
        changes.set.insert(path);
    }
    if new.is_none() {
        changes.removed.insert(path);
    }
}

fn differ_items(
    ty: Type<'_>,
    (old, new): (&[Value], &[Value]),
    path: &mut Vec<String>,
    changes: &mut Changes,
) {
    let mut items: BTreeMap<String, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    for item in old {
        if let Ok(id) = element(ty, item) {
            items.entry(id).or_default().0.push(item);
        }
    }
    for item in new {
        if let Ok(id) = element(ty, item) {
            items.entry(id).or_default().1.push(item);
        }
    }
    for (id, (old, new)) in items {
        path.push(id);
        let of = ty.element();
        match (old.as_slice(), new.as_slice()) {
            (old @ ([] | [_]), new @ ([] | [_])) => {
                differ(
                    of,
                    old.first().copied(),
                    new.first().copied(),
                    path,
                    changes,
                );
            }
            // Items that cannot be told apart are one value together.
            ([_, _, ..], [_, _, ..]) => {
                if old != new {
                    changes.set.insert(path);
                }
            }
            ([_, _, ..], new) => {
                differ(of, None, new.first().copied(), path, changes);
                changes.removed.insert(path);
            }
            (old, _) => {
                differ(of, old.first().copied(), None, path, changes);
                changes.set.insert(path);
            }
        }
        path.pop();
    }
}
