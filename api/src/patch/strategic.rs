//! Strategic merge patch: merge patch that knows which lists merge by a key.
//!
//! Source: k8s.io/apimachinery `pkg/util/strategicpatch`. Directives: `$patch` (replace, delete),
//! `$deleteFromPrimitiveList/x`, `$setElementOrder/x`, `$retainKeys`.

use super::merge;
use crate::{
    go::{go_type, printed},
    schema::{ListMerge, Type},
};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETION: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";
/// Of what is shown of a value in an error, in bytes.
const SHOWN_MAX: usize = 4096;

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
    /// `$patch: merge` in a list.
    #[error("merging lists cannot yet be specified in the patch")]
    MergeOfLists,
    /// Something else than what has to be there, both as Go's types.
    #[error("expected a {wanted}, but received a {found}")]
    Type {
        /// What has to be there.
        wanted: &'static str,
        /// What is.
        found: &'static str,
    },
    /// A list of objects and of something else.
    #[error("list element types are not identical: {0}")]
    Mixed(String),
    /// A list of fields to keep that is none, or does not name what the patch sets.
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    /// The elements of a patch are not in the order that it asks for, or are not in that.
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    Order {
        /// The list of the patch.
        patch: String,
        /// The order.
        order: String,
    },
}

impl Error {
    /// Whether upstream calls it a bad request; the others are errors without a name.
    #[must_use]
    pub fn is_bad_request(&self) -> bool {
        *self == Self::RetainKeys
    }

    fn wanted(wanted: &'static str, found: &Value) -> Self {
        // A type that is none is printed as what it is not.
        let found = match found {
            Value::Null => "%!s(<nil>)",
            other => go_type(other),
        };
        Self::Type { wanted, found }
    }
}

/// As [`printed`], cut where it gets long.
fn shown(value: &Value) -> String {
    let mut text = printed(value);
    if text.len() > SHOWN_MAX {
        text.truncate(text.floor_char_boundary(SHOWN_MAX));
        text.push_str("...");
    }
    text
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
    if patch.contains_key(DIRECTIVE) {
        return as_told(patch);
    }
    retain(&mut target, &mut patch)?;
    for (name, order) in take_directives(&mut patch, ORDER) {
        let lists = (target.remove(&name), patch.remove(&name));
        if let Some(list) = in_order(lists, order, ty.field(&name))? {
            target.insert(name, Value::Array(list));
        }
    }
    for (name, gone) in take_directives(&mut patch, DELETION) {
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
    Ok(target)
}

/// What becomes of an object whose patch has `$patch`.
fn as_told(mut patch: Map<String, Value>) -> Result<Map<String, Value>, Error> {
    let directive = patch.get(DIRECTIVE).cloned().unwrap_or_default();
    match directive.as_str() {
        Some("replace") => {
            patch.remove(DIRECTIVE);
            Ok(patch)
        }
        Some("delete") => Ok(Map::new()),
        _ => Err(Error::Unknown {
            directive: shown(&directive),
            map: shown(&Value::Object(patch)),
        }),
    }
}

/// Leaves of `target` what `$retainKeys` names, which has to be all that the patch sets.
fn retain(target: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Error> {
    let keys = match patch.remove(RETAIN_KEYS) {
        None => return Ok(()),
        Some(Value::Array(keys)) => keys,
        Some(_no_list) => return Err(Error::RetainKeys),
    };
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let is_free = |name: &str| name.starts_with(DELETION) || name.starts_with(ORDER);
    let mut sets = patch.iter().filter(|(_, value)| !value.is_null());
    if !sets.all(|(name, _)| is_free(name) || keys.contains(name.as_str())) {
        return Err(Error::RetainKeys);
    }
    target.retain(|name, _| keys.contains(name.as_str()));
    Ok(())
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

fn member(old: Option<Value>, new: Value, ty: Type<'_>) -> Result<Option<Value>, Error> {
    Ok(match (old, new) {
        (_, Value::Null) => None,
        (Some(Value::Object(old)), Value::Object(new)) => {
            Some(Value::Object(objects(old, new, ty)?))
        }
        (Some(Value::Array(old)), Value::Array(new)) => Some(Value::Array(lists(old, new, ty)?)),
        // There is nothing to merge with, so the elements of one key stay apart.
        (_, new) => plain(new),
    })
}

/// A value of a patch without its directives and nulls. Nothing is left of what a directive stands in.
fn plain(value: Value) -> Option<Value> {
    Some(match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => return None,
        Value::Object(map) => Value::Object(plain_map(map)),
        Value::Array(list) => Value::Array(plain_list(list)),
        other => other,
    })
}

fn plain_map(map: Map<String, Value>) -> Map<String, Value> {
    let is_directive =
        |name: &str| name == RETAIN_KEYS || name.starts_with(DELETION) || name.starts_with(ORDER);
    map.into_iter()
        .filter(|(name, value)| !value.is_null() && !is_directive(name))
        .filter_map(|(name, value)| Some((name, plain(value)?)))
        .collect()
}

fn plain_list(list: Vec<Value>) -> Vec<Value> {
    list.into_iter().filter_map(plain).collect()
}

/// The list of the target and that of the patch, merged and in the order that the patch asks for; none if both are not
/// there.
fn in_order(
    (old, new): (Option<Value>, Option<Value>),
    order: Value,
    ty: Type<'_>,
) -> Result<Option<Vec<Value>>, Error> {
    let order = list(order)?;
    let (old, new) = (old.map(list).transpose()?, new.map(list).transpose()?);
    let how = ty.list_merge();
    let there = places(
        old.as_deref().unwrap_or_default(),
        new.as_deref().unwrap_or_default(),
        how,
    );
    check_order(new.as_deref().unwrap_or_default(), &order, how)?;
    let merged = match (old, new) {
        (None, None) => return Ok(None),
        (Some(old), None) => old,
        (None, Some(new)) => plain_list(new),
        (Some(old), Some(new)) => lists(old, new, ty)?,
    };
    Ok(Some(arrange(merged, &Ranks::of(&order, how), &there)))
}

/// Where elements stand for those that no order names. As upstream, which takes out what goes in its list and adds what is new at
/// the end of it: as many new ones as are gone have a place there.
fn places<'a>(old: &[Value], new: &[Value], how: ListMerge<'a>) -> Ranks<'a> {
    let ids = |list: &[Value], is_gone: bool| -> HashSet<Value> {
        let list = list.iter();
        let some = list.filter(|element| !is_gone || is_deletion(element));
        some.filter_map(|element| id(element, how).cloned())
            .collect()
    };
    let (known, gone) = (ids(old, false), ids(new, true));
    let is_in =
        |set: &HashSet<Value>, element: &Value| id(element, how).is_some_and(|id| set.contains(id));
    let stays = |element: &&Value| !is_in(&gone, element);
    let is_new = |element: &&Value| element.get(DIRECTIVE).is_none() && !is_in(&known, element);
    let count = old.iter().filter(stays).count();
    let added = new.iter().filter(is_new).take(old.len() - count);
    Ranks::of(old.iter().filter(stays).chain(added), how)
}

fn list(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(Error::wanted("[]interface {}", &other)),
    }
}

/// The elements of a patch have to be in its order, one after the other; those that go are in none, and of another
/// directive nothing is asked but that the order does not end before it.
fn check_order(new: &[Value], order: &[Value], how: ListMerge<'_>) -> Result<(), Error> {
    if new.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order;
    for element in new.iter().filter(|element| !is_deletion(element)) {
        let place = match element.get(DIRECTIVE) {
            Some(_directive) => (!rest.is_empty()).then_some(0),
            None => {
                if let ListMerge::ByKey(key) = how {
                    check_key(element, key)?;
                }
                let wanted = id(element, how);
                let place = rest.iter().position(|next| id(next, how) == wanted);
                place.map(|place| place + 1)
            }
        };
        rest = place
            .and_then(|place| rest.get(place..))
            .ok_or_else(|| Error::Order {
                patch: shown(&new.into()),
                order: shown(&order.into()),
            })?;
    }
    Ok(())
}

fn is_deletion(element: &Value) -> bool {
    element.get(DIRECTIVE).is_some_and(|told| told == "delete")
}

fn check_key(element: &Value, key: &str) -> Result<(), Error> {
    match element {
        Value::Object(map) if map.contains_key(key) => Ok(()),
        Value::Object(_) => Err(Error::NoKey {
            element: shown(element),
            key: key.to_owned(),
        }),
        other => Err(Error::wanted("map[string]interface {}", other)),
    }
}

fn lists(old: Vec<Value>, new: Vec<Value>, ty: Type<'_>) -> Result<Vec<Value>, Error> {
    let how = ty.list_merge();
    match how {
        ListMerge::Atomic => Ok(new),
        ListMerge::Set => {
            let (there, asked) = (Ranks::of(&old, how), Ranks::of(&new, how));
            let mut seen = HashSet::with_capacity(old.len() + new.len());
            let mut merged = old;
            merged.extend(new);
            merged.retain(|value| seen.insert(value.clone()));
            Ok(arrange(merged, &asked, &there))
        }
        ListMerge::ByKey(key) => {
            let are_objects = |list: &[Value]| list.iter().all(Value::is_object);
            if !are_objects(&new) || !are_objects(&old) {
                let both = Value::Array(vec![old.into(), new.into()]);
                return Err(Error::Mixed(shown(&both)));
            }
            by_key(old, new, key, ty)
        }
    }
}

fn by_key(old: Vec<Value>, new: Vec<Value>, key: &str, ty: Type<'_>) -> Result<Vec<Value>, Error> {
    let how = ListMerge::ByKey(key);
    let Special {
        deleted,
        replaces,
        rest,
    } = Special::of(new, key)?;
    for element in &rest {
        check_key(element, key)?;
    }
    if replaces {
        return Ok(rest);
    }
    let is_deleted = |element: &Value| id(element, how).is_some_and(|id| deleted.contains(id));
    let old: Vec<Value> = old.into_iter().filter(|e| !is_deleted(e)).collect();
    let (there, asked) = (Ranks::of(&old, how), Ranks::of(&rest, how));
    let mut merged = old;
    let mut places = there.0.clone();
    for element in rest {
        let wanted = id(&element, how).cloned().unwrap_or_default();
        if let Some(slot) = places.get(&wanted).and_then(|at| merged.get_mut(*at)) {
            *slot = apply(ty.element(), slot.take(), element)?;
        } else {
            // As it is: what is wrong in it is for who reads the object to refuse.
            places.insert(wanted, merged.len());
            merged.push(element);
        }
    }
    Ok(arrange(merged, &asked, &there))
}

/// A patch of a list that merges by key, taken apart.
struct Special {
    /// Keys of elements that go, all of each.
    deleted: HashSet<Value>,
    /// Whether the rest is all that stays.
    replaces: bool,
    rest: Vec<Value>,
}

impl Special {
    fn of(patch: Vec<Value>, key: &str) -> Result<Self, Error> {
        let mut special = Self {
            deleted: HashSet::new(),
            replaces: false,
            rest: Vec::with_capacity(patch.len()),
        };
        for element in patch {
            let Some(directive) = element.get(DIRECTIVE) else {
                special.rest.push(element);
                continue;
            };
            match directive.as_str() {
                Some("delete") => {
                    check_key(&element, key)?;
                    special.deleted.extend(element.get(key).cloned());
                }
                Some("replace") => special.replaces = true,
                Some("merge") => return Err(Error::MergeOfLists),
                _ => {
                    return Err(Error::Unknown {
                        directive: shown(directive),
                        map: shown(&element),
                    });
                }
            }
        }
        Ok(special)
    }
}

/// What an element is found by.
fn id<'a>(element: &'a Value, how: ListMerge<'_>) -> Option<&'a Value> {
    match how {
        ListMerge::ByKey(key) => element.get(key),
        ListMerge::Atomic | ListMerge::Set => Some(element),
    }
}

/// The first place of each element in a list: nothing is searched for.
struct Ranks<'a>(HashMap<Value, usize>, ListMerge<'a>);

impl<'a> Ranks<'a> {
    fn of<'v>(list: impl IntoIterator<Item = &'v Value>, how: ListMerge<'a>) -> Self {
        let mut ranks = HashMap::new();
        for (rank, element) in list.into_iter().enumerate() {
            if let Some(id) = id(element, how) {
                ranks.entry(id.clone()).or_insert(rank);
            }
        }
        Self(ranks, how)
    }

    fn get(&self, element: &Value) -> Option<usize> {
        self.0.get(id(element, self.1)?).copied()
    }
}

/// The elements that are asked for in the order in which they are, and each of the others before the next one of those
/// that stood behind it. What was not there before comes first.
fn arrange(list: Vec<Value>, asked: &Ranks<'_>, there: &Ranks<'_>) -> Vec<Value> {
    let ranked = |mut list: Vec<Value>, by: &Ranks<'_>| {
        list.sort_by_cached_key(|element| by.get(element).unwrap_or(usize::MAX));
        list
    };
    let length = list.len();
    let (asked_for, others): (Vec<_>, Vec<_>) = list
        .into_iter()
        .partition(|element| asked.get(element).is_some());
    let mut others = ranked(others, there).into_iter().peekable();
    let mut arranged = Vec::with_capacity(length);
    for element in ranked(asked_for, asked) {
        if let Some(place) = there.get(&element) {
            let is_before = |other: &Value| there.get(other).is_some_and(|other| other < place);
            while let Some(other) = others.next_if(is_before) {
                arranged.push(other);
            }
        }
        arranged.push(element);
    }
    arranged.extend(others);
    arranged
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
            pod(json!([{"name": "c"}, {"name": "a", "image": "x"}, {"name": "b"}])),
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

    /// The elements that a patch names get its order; the others keep theirs, elements of one key side by side.
    #[test]
    fn several_elements_of_one_key() {
        let named = |name: &str, value: &str| json!({"name": name, "value": value});
        let env = |env: Value| pod(json!([{"name": "c", "env": env}]));
        let old = || env(json!([named("a", "1"), named("b", "2"), named("a", "3")]));
        let gone = json!({"name": "a", "$patch": "delete"});
        check(old(), env(json!([gone])), env(json!([named("b", "2")])));
        check(
            old(),
            env(json!([named("a", "4"), named("n", "5"), named("n", "6")])),
            env(json!([
                named("a", "4"),
                named("a", "3"),
                named("n", "6"),
                named("b", "2")
            ])),
        );
        check(
            old(),
            env(json!([gone, named("a", "4"), gone, named("a", "5")])),
            env(json!([named("a", "5"), named("b", "2")])),
        );
        // Where there is no list yet there is nothing to merge with.
        let ports = json!([{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]);
        check(
            pod(json!([{"name": "c"}])),
            pod(
                json!([{"name": "c", "ports": ports, "env": [{"value": "x"}],
                "$setElementOrder/ports": [{"containerPort": 53}, {"containerPort": 53}]}]),
            ),
            pod(json!([{"name": "c", "ports": ports, "env": [{"value": "x"}]}])),
        );
        check(
            json!({}),
            pod(json!([{"name": "c", "ports": ports, "image": null}])),
            pod(json!([{"name": "c", "ports": ports}])),
        );
    }

    #[test]
    fn directives_in_lists() {
        let old = || pod(json!([{"name": "a", "image": "x"}, {"name": "b"}]));
        for replaced in [
            json!([{"name": "a", "$patch": "replace", "image": "z"}]),
            json!([{"$patch": "replace"}]),
        ] {
            check(old(), pod(replaced), pod(json!([])));
        }
        check(
            pod(json!([{"name": "c"}])),
            pod(
                json!([{"name": "c", "env": [{"$patch": "replace"}, {"name": "x"}],
                "securityContext": {"$patch": "replace", "privileged": true}}]),
            ),
            pod(json!([{"name": "c", "env": [{"name": "x"}]}])),
        );
        for (patch, said) in [
            (
                json!([{"$patch": "merge", "name": "a"}]),
                "merging lists cannot yet be specified in the patch",
            ),
            (
                json!([{"$patch": "delete"}]),
                "map: map[$patch:delete] does not contain declared merge key: name",
            ),
            (
                json!([{"$patch": "what", "name": "a"}]),
                "unknown patch type: what in map: map[$patch:what name:a]",
            ),
            (
                json!(["c"]),
                "list element types are not identical: [[map[image:x name:a] map[name:b]] [c]]",
            ),
        ] {
            let refused = apply_to_pod(old(), pod(patch)).unwrap_err();
            assert_eq!(refused.to_string(), said);
        }
    }

    /// Upstream's own: what the order names and what it does not are merged by where they stood.
    #[test]
    fn orders() {
        // What stands behind a line goes.
        let names = |names: &str| -> Vec<Value> {
            let (made, gone) = names.split_once('-').unwrap_or((names, ""));
            let one = |name: char| json!({"name": name.to_string()});
            let none = |name: char| json!({"name": name.to_string(), "$patch": "delete"});
            made.chars()
                .map(one)
                .chain(gone.chars().map(none))
                .collect()
        };
        for (old, patch, order, merged) in [
            ("abc", "", "ca", "bca"),
            ("abcd", "", "db", "acdb"),
            ("abc", "x", "axc", "axbc"),
            ("abc", "x", "xabc", "xabc"),
            ("abc", "x", "abcx", "abcx"),
            ("abcs", "z-a", "zbc", "szbc"),
            ("abcs", "zy-a", "zybc", "szybc"),
            ("ab", "", "", "ab"),
        ] {
            let patch = json!({"spec": {"containers": names(patch), "$setElementOrder/containers": names(order)}});
            check(pod(names(old).into()), patch, pod(names(merged).into()));
        }
        for (patch, order, said) in [
            (
                json!(names("x")),
                json!(names("a")),
                "The order in patch list:\n[map[name:x]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n",
            ),
            (
                json!([{"name": "a"}, {"$patch": "replace"}]),
                json!(names("a")),
                "The order in patch list:\n[map[name:a] map[$patch:replace]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n",
            ),
            (
                json!(names("ba")),
                json!(names("ab")),
                "The order in patch list:\n[map[name:b] map[name:a]]\n doesn't match $setElementOrder list:\n[map[name:a] map[name:b]]\n",
            ),
            (
                json!(names("a")),
                json!("x"),
                "expected a []interface {}, but received a string",
            ),
            (
                json!(null),
                json!(names("a")),
                "expected a []interface {}, but received a %!s(<nil>)",
            ),
        ] {
            let patch =
                json!({"spec": {"containers": patch, "$setElementOrder/containers": order}});
            let refused = apply_to_pod(pod(names("ab").into()), patch).unwrap_err();
            assert_eq!(refused.to_string(), said);
        }
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
        let mut asked = env("2");
        asked.reverse();
        let container = json!({"name": "c", "env": asked, "$setElementOrder/env": order});
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
            json!({"metadata": {"finalizers": ["c", "a"]}}),
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
                json!({"a": {"$patch": "merge"}}),
                "unknown patch type: merge in map: map[$patch:merge]",
            ),
            (
                json!({"a": {"$retainKeys": ["b"], "c": 1}}),
                "invalid patch format of retainKeys",
            ),
        ] {
            let refused = apply_to_pod(json!({"a": {}}), patch).unwrap_err();
            assert_eq!(refused.to_string(), said);
        }
    }
}
