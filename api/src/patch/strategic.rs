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
        let keys: Vec<String> = serde_json::from_value(keys).map_err(|_shape| Error::RetainKeys)?;
        target.retain(|name, _| keys.contains(name));
    }
    let orders = take_directives(&mut patch, "$setElementOrder/");
    let deletions = take_directives(&mut patch, "$deleteFromPrimitiveList/");
    for (name, gone) in deletions {
        if let (Some(Value::Array(list)), Value::Array(gone)) = (target.get_mut(&name), gone) {
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
            for value in new {
                if !merged.contains(&value) {
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
    let mut merged = if new.iter().any(replaces) {
        Vec::new()
    } else {
        old
    };
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
        let at = merged
            .iter()
            .position(|candidate| candidate.get(key) == Some(&id));
        match (element.get("$patch").and_then(Value::as_str), at) {
            (Some("delete"), Some(at)) => {
                merged.remove(at);
            }
            (Some("delete"), None) => {}
            (_, Some(at)) => {
                let old = merged[at].as_object().cloned().unwrap_or_default();
                merged[at] = Value::Object(objects(old, element, ty)?);
            }
            (_, None) => merged.push(Value::Object(objects(Map::new(), element, ty)?)),
        }
    }
    Ok(merged)
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
    let wanted: Vec<Option<Value>> = order.iter().map(id).collect();
    let rank = |value: &Value| wanted.iter().position(|wanted| *wanted == id(value));
    let mut last = 0;
    let mut ranked: Vec<(usize, Value)> = Vec::with_capacity(list.len());
    for value in list.drain(..) {
        last = rank(&value).unwrap_or(last);
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
