//! Strategic merge patch: merge patch that knows which lists merge by a key.
//!
//! Source: k8s.io/apimachinery `pkg/util/strategicpatch`. Directives: `$patch` (replace, delete,
//! merge), `$deleteFromPrimitiveList/x`, `$setElementOrder/x`, `$retainKeys`.

use super::merge;
use crate::{
    go::{printed, type_of},
    schema::{ListMerge, Type},
};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet, VecDeque};

/// Why a patch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An element of a list that merges by key has no key.
    #[error("map: {element} does not contain declared merge key: {key}")]
    NoKey {
        /// The element.
        element: String,
        /// The key it lacks.
        key: String,
    },
    /// A directive that does not exist.
    #[error("unknown patch type: {directive} in map: {map}")]
    Unknown {
        /// Its value.
        directive: String,
        /// What it stands in.
        map: String,
    },
    /// Something else where an object with a key has to be.
    #[error("expected a map[string]interface {{}}, but received a {0}")]
    NoObject(&'static str),
    /// A list of fields to keep that is none.
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
}

impl Error {
    /// Whether upstream calls it a bad request; the others are errors without a name.
    #[must_use]
    pub fn is_bad_request(&self) -> bool {
        *self == Self::RetainKeys
    }
}

/// Applies `patch` to `target`, an object of type `ty`.
///
/// # Errors
/// When a directive or an element without its merge key makes no sense.
pub fn apply(ty: Type<'_>, target: Value, patch: Value) -> Result<Value, Error> {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            objects(target, patch, ty).map(Value::Object)
        }
        (target, patch) => Ok(merge::apply(target, patch)),
    }
}

fn objects(
    mut target: Map<String, Value>,
    mut patch: Map<String, Value>,
    ty: Type<'_>,
) -> Result<Map<String, Value>, Error> {
    let directive = patch.get("$patch").cloned();
    match directive.as_ref().map(Value::as_str) {
        None | Some(Some("merge")) => {
            patch.remove("$patch");
        }
        Some(Some("replace")) => {
            patch.remove("$patch");
            return Ok(patch);
        }
        Some(Some("delete")) => return Ok(Map::new()),
        Some(_unknown) => {
            return Err(Error::Unknown {
                directive: printed(&directive.unwrap_or_default()),
                map: printed(&Value::Object(patch)),
            });
        }
    }
    if let Some(keys) = patch.remove("$retainKeys") {
        let keys: HashSet<String> =
            serde_json::from_value(keys).map_err(|_shape| Error::RetainKeys)?;
        target.retain(|name, _| keys.contains(name));
    }
    let orders = take_directives(&mut patch, "$setElementOrder/");
    let deletions = take_directives(&mut patch, "$deleteFromPrimitiveList/");
    for (name, gone) in deletions {
        if let (Some(Value::Array(list)), Value::Array(gone)) = (target.get_mut(&name), gone) {
            let gone: HashSet<Value> = gone.into_iter().collect();
            list.retain(|value| !gone.contains(value));
        }
    }
    for (name, value) in patch {
        let merged = member(target.remove(&name), value, ty.field(&name))?;
        if let Some(value) = merged {
            target.insert(name, value);
        }
    }
    for (name, order) in orders {
        if let (Some(Value::Array(list)), Value::Array(order)) = (target.get_mut(&name), order) {
            reorder(list, &order, ty.field(&name).list_merge());
        }
    }
    Ok(target)
}

fn member(old: Option<Value>, new: Value, ty: Type<'_>) -> Result<Option<Value>, Error> {
    Ok(match (old, new) {
        (_, Value::Null) => None,
        (Some(Value::Object(old)), Value::Object(new)) => {
            Some(Value::Object(objects(old, new, ty)?))
        }
        (None, Value::Object(new)) => {
            // A patch that deletes what is not there adds nothing.
            let deletes = new.get("$patch").and_then(Value::as_str) == Some("delete");
            if deletes {
                None
            } else {
                Some(Value::Object(objects(Map::new(), new, ty)?))
            }
        }
        (old, Value::Array(new)) => {
            let old = match old {
                Some(Value::Array(old)) => old,
                _ => Vec::new(),
            };
            Some(Value::Array(lists(old, new, ty)?))
        }
        (_, new) => Some(new),
    })
}

fn lists(old: Vec<Value>, new: Vec<Value>, ty: Type<'_>) -> Result<Vec<Value>, Error> {
    match ty.list_merge() {
        ListMerge::Atomic => Ok(new
            .into_iter()
            .filter(|element| !is_directive(element))
            .collect()),
        ListMerge::Set => {
            let mut merged = old;
            let mut there: HashSet<Value> = merged.iter().cloned().collect();
            for value in new {
                if there.insert(value.clone()) {
                    merged.push(value);
                }
            }
            Ok(merged)
        }
        ListMerge::ByKey(key) => by_key(old, new, key, ty.element()),
    }
}

fn is_directive(element: &Value) -> bool {
    element
        .as_object()
        .is_some_and(|map| map.len() == 1 && map.contains_key("$patch"))
}

fn by_key(old: Vec<Value>, new: Vec<Value>, key: &str, ty: Type<'_>) -> Result<Vec<Value>, Error> {
    let replaces = |element: &Value| {
        element.get("$patch").and_then(Value::as_str) == Some("replace") && is_directive(element)
    };
    let old = if new.iter().any(replaces) {
        Vec::new()
    } else {
        old
    };
    let mut keyed = Keyed::new(old, key);
    for element in new {
        let Value::Object(element) = element else {
            return Err(Error::NoObject(type_of(&element)));
        };
        if element.len() == 1 && element.contains_key("$patch") {
            continue;
        }
        let Some(id) = element.get(key).cloned() else {
            return Err(Error::NoKey {
                element: printed(&Value::Object(element)),
                key: key.to_owned(),
            });
        };
        if element.get("$patch").and_then(Value::as_str) == Some("delete") {
            keyed.remove(&id);
            continue;
        }
        match keyed.find(&id) {
            Some(slot) => {
                let old = match slot.take() {
                    Some(Value::Object(old)) => old,
                    _ => Map::new(),
                };
                *slot = Some(Value::Object(objects(old, element, ty)?));
            }
            None => {
                let made = Value::Object(objects(Map::new(), element, ty)?);
                keyed.push(id, made);
            }
        }
    }
    Ok(keyed.slots.into_iter().flatten().collect())
}

/// A list and where the elements of each key are, first to last: nothing is searched for, and what is taken out leaves
/// an empty slot.
struct Keyed {
    slots: Vec<Option<Value>>,
    places: HashMap<Value, VecDeque<usize>>,
}

impl Keyed {
    fn new(list: Vec<Value>, key: &str) -> Self {
        let mut places: HashMap<Value, VecDeque<usize>> = HashMap::with_capacity(list.len());
        for (at, element) in list.iter().enumerate() {
            if let Some(id) = element.get(key) {
                places.entry(id.clone()).or_default().push_back(at);
            }
        }
        let slots = list.into_iter().map(Some).collect();
        Self { slots, places }
    }

    /// The first element of a key.
    fn find(&mut self, id: &Value) -> Option<&mut Option<Value>> {
        let at = *self.places.get(id)?.front()?;
        self.slots.get_mut(at)
    }

    /// Takes out the first element of a key.
    fn remove(&mut self, id: &Value) {
        let at = self.places.get_mut(id).and_then(VecDeque::pop_front);
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) {
            *slot = None;
        }
    }

    /// Adds an element at the end. One whose key is null has none.
    fn push(&mut self, id: Value, element: Value) {
        if !id.is_null() {
            let places = self.places.entry(id).or_default();
            places.push_back(self.slots.len());
        }
        self.slots.push(Some(element));
    }
}

fn take_directives(patch: &mut Map<String, Value>, prefix: &str) -> Vec<(String, Value)> {
    let names: Vec<String> = patch
        .keys()
        .filter(|name| name.starts_with(prefix))
        .cloned()
        .collect();
    names
        .into_iter()
        .filter_map(|name| {
            patch
                .remove(&name)
                .map(|value| (name[prefix.len()..].to_owned(), value))
        })
        .collect()
}

/// Sorts the elements that `order` names into its order; the others stay behind what they followed.
fn reorder(list: &mut Vec<Value>, order: &[Value], how: ListMerge<'_>) {
    let id = |value: &Value| match how {
        ListMerge::ByKey(key) => value.get(key).cloned(),
        ListMerge::Atomic | ListMerge::Set => Some(value.clone()),
    };
    let mut ranks: HashMap<Option<Value>, usize> = HashMap::with_capacity(order.len());
    for (rank, wanted) in order.iter().enumerate() {
        ranks.entry(id(wanted)).or_insert(rank);
    }
    let mut last = 0;
    let mut ranked: Vec<(usize, Value)> = Vec::with_capacity(list.len());
    for value in list.drain(..) {
        last = ranks.get(&id(&value)).copied().unwrap_or(last);
        ranked.push((last, value));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    list.extend(ranked.into_iter().map(|(_, value)| value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kind, schema};
    use serde_json::json;

    fn apply_to_pod(target: Value, patch: Value) -> Result<Value, Error> {
        apply(schema::type_of(kind::POD), target, patch)
    }

    #[track_caller]
    fn check(target: Value, patch: Value, expected: Value) {
        assert_eq!(apply_to_pod(target, patch).unwrap(), expected);
    }

    fn pod(containers: Value) -> Value {
        json!({"spec": {"containers": containers}})
    }

    #[test]
    fn lists_merge_by_their_key() {
        let old = || pod(json!([{"name": "a", "image": "x"}, {"name": "b"}]));
        check(
            old(),
            pod(json!([{"name": "a", "image": "y"}])),
            pod(json!([{"name": "a", "image": "y"}, {"name": "b"}])),
        );
        check(
            old(),
            pod(json!([{"name": "c"}])),
            pod(json!([{"name": "a", "image": "x"}, {"name": "b"}, {"name": "c"}])),
        );
        check(
            old(),
            pod(json!([{"name": "a", "$patch": "delete"}])),
            pod(json!([{"name": "b"}])),
        );
        check(
            old(),
            pod(json!([{"$patch": "replace"}, {"name": "c"}])),
            pod(json!([{"name": "c"}])),
        );
        let refused = apply_to_pod(old(), pod(json!([{"image": "y"}]))).unwrap_err();
        assert_eq!(
            (refused.to_string().as_str(), refused.is_bad_request()),
            (
                "map: map[image:y] does not contain declared merge key: name",
                false
            )
        );
    }

    #[test]
    fn nested_lists_and_orders() {
        let old = pod(json!([{"name": "a", "env": [{"name": "X", "value": "1"}]}]));
        let patch = pod(json!([{"name": "a", "env": [{"name": "Y", "value": "2"}],
            "$setElementOrder/env": [{"name": "Y"}, {"name": "X"}]}]));
        check(
            old,
            patch,
            pod(
                json!([{"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]}]),
            ),
        );
    }

    /// Elements of one key are taken one after the other, and nothing but the order asked for moves.
    #[test]
    fn several_elements_of_one_key() {
        let named = |name: &str, value: &str| json!({"name": name, "value": value});
        let env = |env: Value| pod(json!([{"name": "c", "env": env}]));
        let old = || env(json!([named("a", "1"), named("b", "2"), named("a", "3")]));
        let gone = json!({"name": "a", "$patch": "delete"});
        check(
            old(),
            env(json!([gone])),
            env(json!([named("b", "2"), named("a", "3")])),
        );
        check(
            old(),
            env(json!([gone, gone, gone])),
            env(json!([named("b", "2")])),
        );
        check(
            old(),
            env(json!([named("a", "4"), named("n", "5"), named("n", "6")])),
            env(json!([
                named("a", "4"),
                named("b", "2"),
                named("a", "3"),
                named("n", "6")
            ])),
        );
        check(
            old(),
            env(json!([gone, named("a", "4"), gone, named("a", "5")])),
            env(json!([named("b", "2"), named("a", "5")])),
        );
    }

    /// As many as a body holds: every element is looked up.
    #[test]
    fn long_lists() {
        const LONG: usize = 20_000;
        let finalizers: Vec<String> = (0..LONG).map(|n| format!("a.io/{n}")).collect();
        let back: Vec<&String> = finalizers.iter().rev().collect();
        let env = |value: &str| -> Vec<Value> {
            let one = |n| json!({"name": format!("E{n}"), "value": value});
            (0..LONG).map(one).collect()
        };
        let mut order: Vec<Value> = (0..LONG)
            .map(|n| json!({"name": format!("E{n}")}))
            .collect();
        order.reverse();
        let old = json!({"metadata": {"finalizers": finalizers}, "spec": {"containers": [{"name": "c", "env": env("1")}]}});
        let container = json!({"name": "c", "env": env("2"), "$setElementOrder/env": order});
        let patch = json!({"metadata": {"finalizers": back, "$setElementOrder/finalizers": back},
            "spec": {"containers": [container]}});
        let merged = apply_to_pod(old, patch).unwrap();
        assert_eq!(merged["metadata"]["finalizers"], json!(back));
        let mut expected = env("2");
        expected.reverse();
        assert_eq!(merged["spec"]["containers"][0]["env"], json!(expected));
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": back}});
        let emptied = apply_to_pod(merged, patch).unwrap();
        assert_eq!(emptied["metadata"]["finalizers"], json!([]));
    }

    #[test]
    fn directives() {
        check(
            json!({"a": {"b": 1}}),
            json!({"a": {"$patch": "replace", "c": 2}}),
            json!({"a": {"c": 2}}),
        );
        check(
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}}),
            json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
            json!({"spec": {"strategy": {"type": "Recreate"}}}),
        );
        check(
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
            json!({"metadata": {"finalizers": ["b"]}}),
        );
        check(
            json!({"metadata": {"finalizers": ["a"]}}),
            json!({"metadata": {"finalizers": ["c"]}}),
            json!({"metadata": {"finalizers": ["a", "c"]}}),
        );
        check(
            json!({"x": {"args": ["a"]}}),
            json!({"x": {"args": ["b"]}}),
            json!({"x": {"args": ["b"]}}),
        );
        for (patch, said) in [
            (
                json!({"a": {"$patch": "what"}}),
                "unknown patch type: what in map: map[$patch:what]",
            ),
            (
                json!({"a": {"$retainKeys": 1}}),
                "invalid patch format of retainKeys",
            ),
            (
                pod(json!(["c"])),
                "expected a map[string]interface {}, but received a string",
            ),
        ] {
            let refused = apply_to_pod(json!({"a": {}}), patch).unwrap_err();
            assert_eq!(refused.to_string(), said);
        }
    }
}
