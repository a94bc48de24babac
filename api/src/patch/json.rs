//! JSON patch. Source: RFC 6902.
//!
//! Operations apply in order to a copy: either all of them, or none.

use crate::go::{DEPTH_MAX, is_deeper, type_of};
use serde_json::Value;

/// Operations in one patch, as upstream limits them.
pub const OPERATIONS_MAX: usize = 10_000;
/// What all copies of a patch may add, in bytes of text; as upstream. Without it thirty copies make a gigabyte.
const COPIED_MAX: usize = 3 * 1024 * 1024;
/// What all moves of a patch may move, in bytes of text: a move into a deeper place is walked over.
const MOVED_MAX: usize = 64 * 1024 * 1024;
/// Elements that all operations of a patch may push aside: an element at the front of a long list moves all of it.
const SHIFTED_MAX: usize = 100_000_000;

/// Why a patch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a list of operations.
    #[error("error decoding patch: {0}")]
    Malformed(String),
    /// An operation does not fit the object.
    #[error(
        "the server rejected our request due to an error in our request: operation {index}: {why}"
    )]
    Rejected {
        /// Which, from 0.
        index: usize,
        /// Why.
        why: String,
    },
}

/// Applies `patch` to `target`.
///
/// # Errors
/// When the patch is malformed, a path does not exist, or a test fails.
pub fn apply(mut target: Value, patch: &Value) -> Result<Value, Error> {
    let operations = as_operations(patch).map_err(Error::Malformed)?;
    if operations.len() > OPERATIONS_MAX {
        return Err(Error::Malformed(format!(
            "more than {OPERATIONS_MAX} operations"
        )));
    }
    let mut budget = Budget {
        copied: COPIED_MAX,
        moved: MOVED_MAX,
        shifted: SHIFTED_MAX,
    };
    for (index, operation) in operations.iter().enumerate() {
        step(&mut target, operation, &mut budget).map_err(|why| Error::Rejected { index, why })?;
    }
    Ok(target)
}

/// The operations of a patch, each of which is an object whose fields have their types. Go reads `null` as a list
/// without any.
///
/// # Errors
/// In the words of Go's decoder.
pub fn as_operations(patch: &Value) -> Result<&[Value], String> {
    let refused = |found: &Value, wanted: &str| {
        let found = type_of(found);
        Err(format!("json: cannot unmarshal {found} into Go {wanted}"))
    };
    if patch.is_null() {
        return Ok(&[]);
    }
    let Some(operations) = patch.as_array() else {
        return refused(patch, "value of type []handlers.jsonPatchOp");
    };
    for operation in operations {
        if !operation.is_object() {
            return refused(operation, "value of type handlers.jsonPatchOp");
        }
        for name in ["op", "path", "from"] {
            let value = &operation[name];
            if !value.is_string() && !value.is_null() {
                let field = format!("struct field jsonPatchOp.{name} of type string");
                return refused(value, &field);
            }
        }
    }
    Ok(operations)
}

/// Bytes and elements that are left.
struct Budget {
    copied: usize,
    moved: usize,
    shifted: usize,
}

impl Budget {
    /// Pays for the elements behind a place in a list.
    fn shift(&mut self, behind: usize) -> Result<(), String> {
        let rest = self.shifted.checked_sub(behind);
        self.shifted = rest.ok_or_else(|| {
            format!("the elements that the patch moves aside exceed the limit {SHIFTED_MAX}")
        })?;
        Ok(())
    }
}

fn step(target: &mut Value, operation: &Value, budget: &mut Budget) -> Result<(), String> {
    let text = |name: &str| {
        operation
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("the operation has no {name:?}"))
    };
    let value = || {
        operation
            .get("value")
            .cloned()
            .ok_or_else(|| "the operation has no \"value\"".to_owned())
    };
    let path = pointer(text("path")?)?;
    match text("op")? {
        "add" => add(target, &path, value()?, budget),
        "remove" => remove(target, &path, budget).map(|_old| ()),
        "replace" => {
            let new = value()?;
            fits(&path, &new)?;
            *find(target, &path)? = new;
            Ok(())
        }
        "move" => {
            let from = pointer(text("from")?)?;
            if path.len() > from.len() && path.starts_with(&from) {
                return Err("cannot move a value into itself".to_owned());
            }
            let moved = remove(target, &from, budget)?;
            spend(&mut budget.moved, &moved, MOVED_MAX)?;
            add(target, &path, moved, budget)
        }
        "copy" => {
            let copied = find(target, &pointer(text("from")?)?)?;
            spend(&mut budget.copied, copied, COPIED_MAX)?;
            let copied = copied.clone();
            add(target, &path, copied, budget)
        }
        "test" => {
            let wanted = value()?;
            let equal = match find(target, &path) {
                Ok(found) => *found == wanted,
                // As upstream, an object's missing member is null: kube-rs asks so whether there are finalizers.
                Err(_missing) => wanted.is_null() && is_member(target, &path),
            };
            if equal {
                Ok(())
            } else {
                Err(format!(
                    "testing value /{} failed: test failed",
                    path.join("/")
                ))
            }
        }
        other => Err(format!("unknown operation {other:?}")),
    }
}

fn spend(left: &mut usize, value: &Value, limit: usize) -> Result<(), String> {
    match left.checked_sub(size(value)) {
        Some(rest) => {
            *left = rest;
            Ok(())
        }
        None => Err(format!(
            "the accumulated size of copied or moved values exceeds the limit {limit}"
        )),
    }
}

/// About the bytes of a value as text. Its depth is bounded, so is this.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(list) => list.iter().map(|value| size(value) + 1).sum::<usize>() + 2,
        Value::Object(map) => {
            let member = |(name, value): (&String, &Value)| name.len() + size(value) + 4;
            map.iter().map(member).sum::<usize>() + 2
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
    }
}

fn pointer(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let rest = text
        .strip_prefix('/')
        .ok_or_else(|| format!("the path {text:?} does not start with /"))?;
    Ok(rest
        .split('/')
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect())
}

fn find<'a>(target: &'a mut Value, path: &[String]) -> Result<&'a mut Value, String> {
    let mut at = target;
    for part in path {
        at = match at {
            Value::Object(map) => map.get_mut(part),
            Value::Array(list) => index(part, list.len()).and_then(|index| list.get_mut(index)),
            _ => None,
        }
        .ok_or_else(|| format!("the path /{} does not exist", path.join("/")))?;
    }
    Ok(at)
}

/// Whether the last part of the path names a member of an object that is there.
fn is_member(target: &mut Value, path: &[String]) -> bool {
    path.split_last()
        .is_some_and(|(_, parent)| find(target, parent).is_ok_and(|parent| parent.is_object()))
}

/// An array index below `len`. As upstream's library, and other than the RFC, a negative one counts from the end.
fn index(part: &str, len: usize) -> Option<usize> {
    let index: isize = part.parse().ok()?;
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_negative) => len.checked_sub(index.unsigned_abs())?,
    };
    (index < len).then_some(index)
}

fn add(
    target: &mut Value,
    path: &[String],
    value: Value,
    budget: &mut Budget,
) -> Result<(), String> {
    fits(path, &value)?;
    let Some((last, parent)) = path.split_last() else {
        *target = value;
        return Ok(());
    };
    match find(target, parent)? {
        Value::Object(map) => {
            map.insert(last.clone(), value);
        }
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => {
            let at = index(last, list.len() + 1)
                .ok_or_else(|| format!("the index {last:?} is out of range"))?;
            budget.shift(list.len() - at)?;
            list.insert(at, value);
        }
        _ => {
            return Err(format!(
                "the parent of /{} is neither an object nor a list",
                path.join("/")
            ));
        }
    }
    Ok(())
}

/// What a patch makes has to be read again.
fn fits(path: &[String], value: &Value) -> Result<(), String> {
    let left = DEPTH_MAX.checked_sub(path.len());
    if left.is_none_or(|left| is_deeper(value, left)) {
        return Err(format!(
            "the value is nested deeper than {DEPTH_MAX} levels"
        ));
    }
    Ok(())
}

fn remove(target: &mut Value, path: &[String], budget: &mut Budget) -> Result<Value, String> {
    let missing = || format!("the path /{} does not exist", path.join("/"));
    let (last, parent) = path
        .split_last()
        .ok_or_else(|| "cannot remove the whole object".to_owned())?;
    match find(target, parent)? {
        Value::Object(map) => map.remove(last).ok_or_else(missing),
        Value::Array(list) => {
            let at = index(last, list.len()).ok_or_else(missing)?;
            budget.shift(list.len() - at)?;
            Ok(list.remove(at))
        }
        _ => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[track_caller]
    fn check(target: Value, patch: Value, expected: Option<Value>) {
        assert_eq!(apply(target, &patch).ok(), expected, "{patch}");
    }

    #[test]
    fn operations() {
        let base = || json!({"a": [1, 2], "b": {"c": 1}});
        check(
            base(),
            json!([{"op": "add", "path": "/a/1", "value": 9}]),
            Some(json!({"a": [1, 9, 2], "b": {"c": 1}})),
        );
        check(
            base(),
            json!([{"op": "add", "path": "/a/-", "value": 9}]),
            Some(json!({"a": [1, 2, 9], "b": {"c": 1}})),
        );
        for (patch, list) in [
            (
                json!({"op": "add", "path": "/a/-1", "value": 9}),
                json!([1, 2, 9]),
            ),
            (
                json!({"op": "add", "path": "/a/-3", "value": 9}),
                json!([9, 1, 2]),
            ),
            (
                json!({"op": "replace", "path": "/a/-1", "value": 9}),
                json!([1, 9]),
            ),
            (json!({"op": "remove", "path": "/a/-2"}), json!([2])),
        ] {
            let expected = json!({"a": list, "b": {"c": 1}});
            check(base(), json!([patch]), Some(expected));
        }
        check(
            base(),
            json!([{"op": "remove", "path": "/b/c"}]),
            Some(json!({"a": [1, 2], "b": {}})),
        );
        check(
            base(),
            json!([{"op": "replace", "path": "/b", "value": 1}]),
            Some(json!({"a": [1, 2], "b": 1})),
        );
        check(
            base(),
            json!([{"op": "move", "from": "/b/c", "path": "/d"}]),
            Some(json!({"a": [1, 2], "b": {}, "d": 1})),
        );
        check(
            base(),
            json!([{"op": "copy", "from": "/a", "path": "/d"}]),
            Some(json!({"a": [1, 2], "b": {"c": 1}, "d": [1, 2]})),
        );
        check(
            json!({"a/b": {"~": 1}}),
            json!([{"op": "test", "path": "/a~1b/~0", "value": 1}]),
            Some(json!({"a/b": {"~": 1}})),
        );
    }

    #[test]
    fn nothing_is_no_operation() {
        let base = || json!({"a": [1]});
        check(base(), Value::Null, Some(base()));
        check(base(), json!([]), Some(base()));
        for patch in [json!({}), json!(1), json!(""), json!(false)] {
            check(base(), patch, None);
        }
    }

    #[test]
    fn a_missing_member_is_null() {
        let base = || json!({"a": [1], "b": {"c": null}});
        let test = |path: &str, value: Value| json!([{"op": "test", "path": path, "value": value}]);
        check(base(), test("/x", Value::Null), Some(base()));
        check(base(), test("/b/c", Value::Null), Some(base()));
        check(base(), test("/b/x", Value::Null), Some(base()));
        for (path, value) in [
            ("/x", json!({})),
            ("/x/y", Value::Null),
            ("/a", Value::Null),
            ("/a/1", Value::Null),
            ("/a/0/x", Value::Null),
        ] {
            check(base(), test(path, value), None);
        }
    }

    #[test]
    fn refused() {
        for bad in [
            json!({}),
            json!([{"op": "test", "path": "/a", "value": 1}]),
            json!([{"op": "remove", "path": "/x"}]),
            json!([{"op": "replace", "path": "/x", "value": 1}]),
            json!([{"op": "add", "path": "/a/3", "value": 1}]),
            json!([{"op": "add", "path": "/a/-3", "value": 1}]),
            json!([{"op": "remove", "path": "/a/-2"}]),
            json!([{"op": "add", "path": "/a/0x0", "value": 1}]),
            json!([{"op": "add", "path": "a", "value": 1}]),
            json!([{"op": "move", "from": "/a", "path": "/a/0"}]),
            json!([{"op": "nothing", "path": "/a"}]),
        ] {
            check(json!({"a": [1]}), bad, None);
        }
    }

    #[test]
    fn nothing_grows_without_bound() {
        let copy = json!({"op": "copy", "from": "", "path": "/a"});
        let text = "x".repeat(1024);
        let into = |n: usize| json!({"op": "copy", "from": "", "path": format!("/c{n}")});
        let doubled: Vec<Value> = (0..40).map(into).collect();
        let moved = json!([{"op": "move", "from": "/b", "path": "/c"}, {"op": "move", "from": "/c", "path": "/b"}]);
        let moved = vec![moved.as_array().unwrap().clone(); 5_000].concat();
        let front = json!({"op": "add", "path": "/b/0", "value": 0});
        for (base, patch, why) in [
            (json!({"a": 1}), vec![copy; 200], "nested deeper than 127"),
            (json!({"a": text}), doubled, "exceeds the limit 3145728"),
            (
                json!({"b": vec![0; 5_000]}),
                moved,
                "exceeds the limit 67108864",
            ),
            (
                json!({"b": vec![0; 60_000]}),
                vec![front; 2_000],
                "exceed the limit 100000000",
            ),
        ] {
            let refused = apply(base, &Value::Array(patch)).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(op in "(add|remove|replace|move|copy|test)", path in "[/a-b0-2~-]{0,8}", from in "[/a-b0-2~-]{0,8}") {
            let _any = apply(json!({"a": [1, {"b": 2}], "b": {}}), &json!([{"op": op, "path": path, "from": from, "value": 1}]));
        }
    }
}
