//! Merges a configuration into an object, and takes out what was applied before and no longer is.

use super::{
    fields::{FieldSet, field},
    managed::Managed,
    walk::{self, Form, element, form, list_of, map_of, set_of, with_named},
};
use crate::schema::{ListType, Type};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// The object with what the configuration says.
pub(super) fn merge(ty: Type<'_>, live: &Value, config: &Value) -> Value {
    both(ty, Some(live), Some(config)).unwrap_or(Value::Null)
}

fn both(ty: Type<'_>, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
    let (Some(old), Some(new)) = (live, config) else {
        return config.or(live).cloned();
    };
    match form(ty, live, config) {
        Form::Leaf => Some(new.clone()),
        Form::Map => {
            let mut merged = map_of(live).cloned().unwrap_or_default();
            for (name, value) in map_of(config).into_iter().flatten() {
                let value = both(ty.field(name), merged.get(name), Some(value));
                if let Some(value) = value {
                    merged.insert(name.clone(), value);
                }
            }
            Some(Value::Object(merged))
        }
        Form::List => Some(Value::Array(items(
            ty,
            list_of(Some(old)),
            list_of(Some(new)),
        ))),
    }
}

/// The items of both: in the configuration's order, and those that only the object has where they stood
/// before the next one they share. Each item is looked up, never searched for.
fn items(ty: Type<'_>, live: &[Value], config: &[Value]) -> Vec<Value> {
    let ids = |list: &[Value]| -> Vec<String> {
        let of = |item: &Value| element(ty, item).unwrap_or_default();
        list.iter().map(of).collect()
    };
    let (live_ids, ids) = (ids(live), ids(config));
    let asked: HashSet<&str> = ids.iter().map(String::as_str).collect();
    let olds = told_apart(&live_ids, live);
    let mut merged = Vec::with_capacity(live.len().max(config.len()));
    let mut at = 0;
    for ((item, id), next_shared) in config.iter().zip(&ids).zip(next_shared(&ids, &olds)) {
        while let Some(own) = live_ids.get(at) {
            if Some(own.as_str()) == next_shared {
                break;
            }
            if !asked.contains(own.as_str()) {
                merged.push(live[at].clone());
            }
            at += 1;
        }
        let old = olds.get(id.as_str()).copied().flatten();
        merged.extend(both(ty.element(), old, Some(item)));
        if live_ids.get(at) == Some(id) {
            at += 1;
        }
    }
    let rest = live_ids.iter().zip(live).skip(at);
    merged.extend(
        rest.filter(|(id, _)| !asked.contains(id.as_str()))
            .map(|(_, item)| item.clone()),
    );
    merged
}

/// The items by what tells them apart; none where several are the same: those are replaced, not merged.
fn told_apart<'a>(ids: &'a [String], list: &'a [Value]) -> HashMap<&'a str, Option<&'a Value>> {
    let mut items = HashMap::with_capacity(ids.len());
    for (id, item) in ids.iter().zip(list) {
        items
            .entry(id.as_str())
            .and_modify(|several| *several = None)
            .or_insert(Some(item));
    }
    items
}

/// Of each place in a list the first item from there on that is in the other list too.
fn next_shared<'a>(
    ids: &'a [String],
    others: &HashMap<&str, Option<&Value>>,
) -> Vec<Option<&'a str>> {
    let mut next = None;
    let mut shared: Vec<Option<&str>> = Vec::with_capacity(ids.len());
    for id in ids.iter().rev() {
        if others.contains_key(id.as_str()) {
            next = Some(id.as_str());
        }
        shared.push(next);
    }
    shared.reverse();
    shared
}

/// `merged` without what the manager applied `last` and does not apply now (`set`), unless somebody else
/// manages it or it was never the manager's. What nobody manages goes with what it is in, as a default does with a field
/// that is taken back; but not where only the system writes, which has no entry (`docs/adr/0003-field-managers.md`).
pub(super) fn prune(
    ty: Type<'_>,
    merged: &Value,
    last: &FieldSet,
    set: &FieldSet,
    others: &Managed,
) -> Value {
    if last.is_empty() {
        return merged.clone();
    }
    let without =
        |gone: &FieldSet| remove(ty, merged, gone).unwrap_or_else(|| Value::Object(Map::new()));
    let all = with_named(ty, &set_of(ty, merged));
    let owned = others.all().union(set);
    let mut told = FieldSet::default();
    let managed = owned.union(last);
    untold(
        ty,
        merged,
        (Some(&managed), false),
        &mut Vec::new(),
        &mut told,
    );
    let owned = with_named(ty, &owned.union(&told));
    let last = with_named(ty, last);
    // What others own comes back, with everything above it.
    let kept = with_named(ty, &set_of(ty, &without(&last)));
    let kept = without(&all.difference(&kept.union(&owned)));
    // And so does what never was the manager's to take.
    let kept = with_named(ty, &set_of(ty, &kept));
    without(&all.difference(&kept).intersection(&last))
}

/// What nobody manages of metadata, an object's or a template's, and of the status. An item that somebody manages goes with
/// all that is in it.
fn untold(
    ty: Type<'_>,
    value: &Value,
    (managed, is_the_systems): (Option<&FieldSet>, bool),
    path: &mut Vec<String>,
    found: &mut FieldSet,
) {
    let is_root = path.is_empty();
    let is_managed = |id: &String| managed.is_some_and(|managed| managed.has(id));
    let mut step = |id: String, ty: Type<'_>, value: &Value, is_the_systems: bool| {
        let below = managed.and_then(|managed| managed.below(&id));
        let is_leaf = matches!(form(ty, Some(value), None), Form::Leaf);
        let is_managed = is_managed(&id);
        path.push(id);
        if !is_leaf {
            untold(ty, value, (below, is_the_systems), path, found);
        } else if is_the_systems && !is_managed {
            found.insert(path);
        }
        path.pop();
    };
    match (value, form(ty, Some(value), None)) {
        (Value::Object(map), Form::Map) => {
            for (name, value) in map {
                let begins = name == "metadata" || (is_root && name == "status");
                step(field(name), ty.field(name), value, is_the_systems || begins);
            }
        }
        (Value::Array(list), Form::List) => {
            for item in list {
                let id = walk::element(ty, item).unwrap_or_default();
                if !is_managed(&id) {
                    step(id, ty.element(), item, is_the_systems);
                }
            }
        }
        _ => {}
    }
}

/// What is left of an item, with the fields that tell it apart: somebody may manage an item and not say so of them.
fn with_keys(ty: Type<'_>, mut left: Value, item: &Value) -> Value {
    if let (ListType::Map(keys), Some(left)) = (ty.list_type(), left.as_object_mut()) {
        for key in keys {
            if let Some(value) = item.get(key) {
                left.entry(key).or_insert_with(|| value.clone());
            }
        }
    }
    left
}

/// The value without the members of a set; none when nothing is left of it. A field or an item of which nothing is
/// left stays, with nothing in it: it was not the one to go.
fn remove(ty: Type<'_>, value: &Value, gone: &FieldSet) -> Option<Value> {
    match (value, form(ty, Some(value), None)) {
        (Value::Object(map), Form::Map) => {
            let mut left = Map::new();
            for (name, value) in map {
                let id = field(name);
                if gone.has(&id) {
                    continue;
                }
                let value = match gone.below(&id) {
                    Some(below) => remove(ty.field(name), value, below).unwrap_or(Value::Null),
                    None => value.clone(),
                };
                left.insert(name.clone(), value);
            }
            (!left.is_empty()).then_some(Value::Object(left))
        }
        (Value::Array(list), Form::List) => {
            let keep = |item: &Value| {
                let id = walk::element(ty, item).unwrap_or_default();
                if gone.has(&id) {
                    return None;
                }
                let Some(below) = gone.below(&id) else {
                    return Some(item.clone());
                };
                let left = remove(ty.element(), item, below);
                let left = left.unwrap_or_else(|| Value::Object(Map::new()));
                Some(with_keys(ty, left, item))
            };
            let left: Vec<Value> = list.iter().filter_map(keep).collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        (Value::Object(_) | Value::Array(_), _) => None,
        (scalar, _) => Some(scalar.clone()),
    }
}
