//! Whether a value is what its schema says, in upstream's words.
//!
//! Source: k8s.io/kube-openapi `pkg/validation/validate`. An update tolerates what was wrong before
//! and is not touched. The work is always bounded: a schema of many alternatives over a long list
//! would take minutes.

mod limits;

use self::limits::{
    check_enum, check_field_count, check_number, check_text, check_type, is_less, is_more,
};
use super::{
    cause::{invalid, invalid_omitted, too_many},
    path::Path,
    structural::{Additional, Junctors, Limits, ListType, Node, Structural},
};
use crate::status::Cause;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Causes that are collected; those after them are not told.
pub const CAUSES_MAX: usize = 256;
/// Pairs of a value and a schema that are looked at for one object.
pub const STEPS_MAX: usize = 20_000_000;

impl Structural {
    /// What is wrong with a whole object; of an update, what is wrong with what it changes.
    #[must_use]
    pub fn validate_value(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        validate(&self.root, new, old, Path::ROOT)
    }

    /// What is wrong with the `status` of an object: what is written through `/status`.
    #[must_use]
    pub fn validate_status(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        let (Some(node), Some(status)) = (self.property("status"), new.get("status")) else {
            return Vec::new();
        };
        let old = old.and_then(|old| old.get("status"));
        let mut causes = validate(node, status, old, Path::ROOT);
        place_below("status", &mut causes);
        causes
    }
}

/// Puts causes of a part below the place of the part.
pub(super) fn place_below(place: &str, causes: &mut [Cause]) {
    for cause in causes {
        cause.field = match cause.field.as_str() {
            "<nil>" => place.to_owned(),
            field if field.starts_with('[') => format!("{place}{field}"),
            field => format!("{place}.{field}"),
        };
    }
}

/// What is wrong with a value; fields are named from `path` on.
pub(super) fn validate(
    node: &Node,
    new: &Value,
    old: Option<&Value>,
    path: Path<'_>,
) -> Vec<Cause> {
    let mut validator = Validator { steps: STEPS_MAX };
    let mut found = Found::default();
    validator.node(node, new, old, path, &mut found);
    if validator.steps == 0 {
        let detail = "the schema has too many alternatives for an object of this size";
        found.causes.push(invalid_omitted(Path::ROOT, detail));
    }
    found.causes
}

/// What was found, and how much of the schema matched: the best of failed alternatives is told.
#[derive(Debug, Default)]
struct Found {
    causes: Vec<Cause>,
    matches: usize,
}

impl Found {
    fn push(&mut self, cause: Cause) {
        if self.causes.len() < CAUSES_MAX && !self.causes.contains(&cause) {
            self.causes.push(cause);
        }
    }

    fn merge(&mut self, other: Self) {
        self.matches += other.matches;
        for cause in other.causes {
            self.push(cause);
        }
    }
}

struct Validator {
    steps: usize,
}

impl Validator {
    fn node(
        &mut self,
        node: &Node,
        new: &Value,
        old: Option<&Value>,
        path: Path<'_>,
        found: &mut Found,
    ) {
        self.steps = self.steps.saturating_sub(1);
        // What is found after so much is not told, so it is not looked for.
        if self.steps == 0 || found.causes.len() >= CAUSES_MAX {
            return;
        }
        let before = found.causes.len();
        self.parts(node, new, old, path, found);
        if found.causes.len() > before && old.is_some_and(|old| self.same(new, old)) {
            found.causes.truncate(before);
        }
    }

    /// Whether two values are the same; looking costs steps too.
    fn same(&mut self, new: &Value, old: &Value) -> bool {
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 {
            return false;
        }
        match (new, old) {
            (Value::Array(new), Value::Array(old)) => {
                let mut pairs = new.iter().zip(old);
                new.len() == old.len() && pairs.all(|(new, old)| self.same(new, old))
            }
            (Value::Object(new), Value::Object(old)) => {
                let mut fields = new.iter();
                new.len() == old.len()
                    && fields
                        .all(|(name, new)| old.get(name).is_some_and(|old| self.same(new, old)))
            }
            (new, old) => new == old,
        }
    }

    fn parts(
        &mut self,
        node: &Node,
        new: &Value,
        old: Option<&Value>,
        path: Path<'_>,
        found: &mut Found,
    ) {
        let limits = node.limits.as_deref();
        check_type(node, new, path, found);
        if new.is_null() {
            check_enum(limits, new, path, found);
            return;
        }
        if let Some(junctors) = &node.junctors {
            self.junctors(junctors, new, old, path, found);
        }
        if let Some(limits) = limits {
            match new {
                Value::String(text) => {
                    self.pay_pattern(limits, text);
                    check_text(limits, text, path, found);
                }
                Value::Number(_) => check_number(limits, new, path, found),
                _ => {}
            }
        }
        if let Value::Array(items) = new {
            self.items(node, items, old, path, found);
        }
        check_enum(limits, new, path, found);
        if let Value::Object(_) = new {
            self.fields(node, new, old, path, found);
        }
        found.matches += 3;
    }

    /// A long text against a large pattern counts as many steps.
    fn pay_pattern(&mut self, limits: &Limits, text: &str) {
        let pattern = limits.pattern.as_ref().map(|(_, pattern)| pattern);
        let price = pattern.map_or(0, |pattern| pattern.price(text.len()) / 16);
        let price = usize::try_from(price).unwrap_or(usize::MAX);
        self.steps = self.steps.saturating_sub(price);
    }

    fn items(
        &mut self,
        node: &Node,
        items: &[Value],
        old: Option<&Value>,
        path: Path<'_>,
        found: &mut Found,
    ) {
        if let Some(schema) = &node.items {
            let old = OldItems::new(&node.list, old);
            for (index, item) in items.iter().enumerate() {
                let path = path.index(index);
                self.node(schema, item, old.find(item), path, found);
            }
        }
        let Some(limits) = &node.limits else { return };
        if let Some(min) = limits.min_items.filter(|min| is_less(items.len(), *min)) {
            let detail = format!("{path} in body should have at least {min} items");
            found.push(invalid(path, &json!(items.len()), &detail));
        }
        if let Some(max) = limits.max_items.filter(|max| is_more(items.len(), *max)) {
            found.push(too_many(path, items.len(), max));
        }
    }

    fn fields(
        &mut self,
        node: &Node,
        new: &Value,
        old: Option<&Value>,
        path: Path<'_>,
        found: &mut Found,
    ) {
        let fields = new.as_object().into_iter().flatten();
        check_field_count(node, new, path, found);
        for (name, value) in fields {
            let below = path.field(name);
            let old = old.and_then(|old| old.get(name));
            match (node.properties.get(name), &node.additional) {
                (Some(property), _) => self.node(property, value, old, below, found),
                (None, Additional::Schema(schema)) => self.node(schema, value, old, below, found),
                (None, Additional::Allowed(false)) => {
                    let detail = format!("{below} in body is a forbidden property");
                    found.push(invalid(path, &json!(name), &detail));
                }
                _ => {}
            }
        }
        let required = node.limits.iter().flat_map(|limits| &limits.required);
        for name in required.filter(|name| new.get(name.as_str()).is_none()) {
            found.push(Cause::required(path.field(name).to_field(), ""));
        }
    }

    fn junctors(
        &mut self,
        junctors: &Junctors,
        new: &Value,
        old: Option<&Value>,
        path: Path<'_>,
        found: &mut Found,
    ) {
        let mut each = |nodes: &[Node]| -> Vec<Found> {
            let one = |node| {
                let mut found = Found::default();
                self.node(node, new, old, path, &mut found);
                found
            };
            nodes.iter().map(one).collect()
        };
        if !junctors.any.is_empty() {
            any_of(each(&junctors.any), path, found);
        }
        if !junctors.one.is_empty() {
            one_of(each(&junctors.one), path, found);
        }
        if !junctors.all.is_empty() {
            all_of(each(&junctors.all), path, found);
        }
        if let Some(not) = &junctors.not {
            let mut inner = Found::default();
            self.node(not, new, None, path, &mut inner);
            if inner.causes.is_empty() {
                found.push(composite(path, "must not validate the schema (not)"));
            }
        }
        found.matches += 1;
    }
}

/// Composite errors have no field of their own: they name it in the text.
fn composite(path: Path<'_>, text: &str) -> Cause {
    let detail = format!("{:?} {text}", path.to_string());
    invalid(Path::ROOT, &json!(""), &detail)
}

/// The alternative that matched most, the first of equals.
fn best(failed: Vec<Found>) -> Option<Found> {
    failed.into_iter().reduce(|best, next| {
        if next.matches > best.matches {
            next
        } else {
            best
        }
    })
}

fn any_of(mut results: Vec<Found>, path: Path<'_>, found: &mut Found) {
    if let Some(valid) = results.iter().position(|result| result.causes.is_empty()) {
        found.merge(results.swap_remove(valid));
        return;
    }
    found.push(composite(path, "must validate at least one schema (anyOf)"));
    if let Some(best) = best(results) {
        found.merge(best);
    }
}

fn one_of(results: Vec<Found>, path: Path<'_>, found: &mut Found) {
    let (valid, failed): (Vec<Found>, Vec<Found>) = results
        .into_iter()
        .partition(|result| result.causes.is_empty());
    let only = "must validate one and only one schema (oneOf).";
    match valid.len() {
        0 => {
            found.push(composite(path, &format!("{only} Found none valid")));
            if let Some(best) = best(failed) {
                found.merge(best);
            }
        }
        1 => valid.into_iter().for_each(|valid| found.merge(valid)),
        count => {
            let text = format!("{only} Found {count} valid alternatives");
            found.push(composite(path, &text));
        }
    }
}

fn all_of(results: Vec<Found>, path: Path<'_>, found: &mut Found) {
    let (count, mut valid) = (results.len(), 0);
    for result in results {
        valid += usize::from(result.causes.is_empty());
        found.merge(result);
    }
    if valid < count {
        let none = if valid == 0 { ". None validated" } else { "" };
        found.push(composite(
            path,
            &format!("must validate all the schemas (allOf){none}"),
        ));
    }
}

/// The items of an old list by their keys, where a list has keys.
pub(super) struct OldItems<'a> {
    keys: &'a [String],
    items: HashMap<String, &'a Value>,
}

impl<'a> OldItems<'a> {
    pub(super) fn new(list: &'a ListType, old: Option<&'a Value>) -> Self {
        let (keys, items) = match (list, old) {
            (ListType::Map(keys), Some(Value::Array(items))) => (keys.as_slice(), items.as_slice()),
            _ => (&[][..], &[][..]),
        };
        let items = items.iter().rev().map(|item| (key_of(item, keys), item));
        Self {
            keys,
            items: items.collect(),
        }
    }

    /// The old item with the keys of a new one.
    pub(super) fn find(&self, new: &Value) -> Option<&'a Value> {
        if self.items.is_empty() {
            return None;
        }
        self.items.get(&key_of(new, self.keys)).copied()
    }
}

/// The values of an item's keys as one text.
fn key_of(item: &Value, keys: &[String]) -> String {
    let values: Vec<&Value> = keys
        .iter()
        .map(|key| item.get(key.as_str()).unwrap_or(&Value::Null))
        .collect();
    json!(values).to_string()
}
