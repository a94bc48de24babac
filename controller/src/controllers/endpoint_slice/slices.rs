//! Distributing endpoints over slices with as few writes as it takes. Pure.
//!
//! An endpoint stays in the slice it is in; new ones fill what has room before a slice is made.

use super::Wanted;
use crate::object::Object;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Endpoints a slice may hold, as upstream's default.
const ENDPOINTS_MAX: usize = 100;

/// A slice that is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slice {
    pub(super) name: String,
    pub(super) labels: Value,
    pub(super) ports: Value,
    pub(super) endpoints: Vec<Value>,
}

impl Slice {
    pub(super) fn of(object: &Object) -> Self {
        let mut value = object.value();
        Self {
            name: object.key.name.clone(),
            labels: value["metadata"]["labels"].take(),
            ports: value["ports"].take(),
            endpoints: value["endpoints"].as_array().cloned().unwrap_or_default(),
        }
    }
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Create {
        ports: Value,
        endpoints: Vec<Value>,
    },
    Update {
        name: String,
        ports: Value,
        endpoints: Vec<Value>,
    },
    Delete {
        name: String,
    },
}

/// The writes that bring the slices of a Service to what is wanted. There is always one slice left,
/// if only an empty one: a Service without endpoints differs from one that nobody looked at.
pub(super) fn plan(existing: &[Slice], wanted: &Wanted, labels: &Value) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut unused: Vec<&Slice> = existing.iter().collect();
    let mut kept = 0;
    for (ports, endpoints) in wanted.values() {
        let (same, rest): (Vec<&Slice>, Vec<&Slice>) = unused
            .into_iter()
            .partition(|slice| same_ports(&slice.ports, ports));
        unused = rest;
        let mut filled = fill(&same, endpoints);
        let full: Vec<Vec<Value>> = filled.split_off(same.len());
        for (slice, content) in same.iter().zip(filled) {
            if content.is_empty() {
                unused.push(slice);
                continue;
            }
            kept += 1;
            if content != slice.endpoints || slice.labels != *labels {
                actions.push(update(slice, ports, content));
            }
        }
        kept += full.len();
        // A slice that would go is written anew before another is made.
        for content in full {
            actions.push(match unused.pop() {
                Some(slice) => update(slice, ports, content),
                None => Action::Create {
                    ports: ports.clone(),
                    endpoints: content,
                },
            });
        }
    }
    if kept == 0 {
        let empty = unused.pop();
        actions.extend(match empty {
            None => Some(Action::Create {
                ports: json!([]),
                endpoints: Vec::new(),
            }),
            Some(slice) if slice.endpoints.is_empty() && slice.labels == *labels => None,
            Some(slice) => Some(update(slice, &slice.ports, Vec::new())),
        });
    }
    actions.extend(unused.iter().map(|slice| Action::Delete {
        name: slice.name.clone(),
    }));
    actions
}

fn update(slice: &Slice, ports: &Value, endpoints: Vec<Value>) -> Action {
    Action::Update {
        name: slice.name.clone(),
        ports: ports.clone(),
        endpoints,
    }
}

/// An absent list of ports is an empty one.
fn same_ports(a: &Value, b: &Value) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(a) == list(b)
}

/// The content of each existing slice, then of the ones to make.
fn fill(existing: &[&Slice], endpoints: &[Value]) -> Vec<Vec<Value>> {
    let id = |endpoint: &Value| endpoint["targetRef"]["uid"].to_string();
    let mut left: HashMap<String, &Value> = endpoints.iter().map(|one| (id(one), one)).collect();
    let mut filled: Vec<Vec<Value>> = Vec::with_capacity(existing.len());
    for slice in existing {
        let stay = slice
            .endpoints
            .iter()
            .filter_map(|one| left.remove(&id(one)));
        filled.push(stay.take(ENDPOINTS_MAX).cloned().collect());
    }
    let new = endpoints.iter().filter(|one| left.contains_key(&id(one)));
    for endpoint in new {
        // The fullest that has room: the emptier ones may then be given up.
        let with_room = filled
            .iter_mut()
            .filter(|slice| slice.len() < ENDPOINTS_MAX);
        match with_room.max_by_key(|slice| slice.len()) {
            Some(slice) => slice.push(endpoint.clone()),
            None => filled.push(vec![endpoint.clone()]),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(n: usize) -> Value {
        json!({"addresses": ["10.0.0.1"], "targetRef": {"uid": n.to_string()}})
    }

    fn some(range: std::ops::Range<usize>) -> Vec<Value> {
        range.map(endpoint).collect()
    }

    fn ports(number: u16) -> Value {
        json!([{"name": "", "port": number, "protocol": "TCP"}])
    }

    fn slice(name: &str, number: u16, endpoints: Vec<Value>) -> Slice {
        Slice {
            name: name.to_owned(),
            labels: json!({}),
            ports: ports(number),
            endpoints,
        }
    }

    fn wanted(groups: &[(u16, Vec<Value>)]) -> Wanted {
        let group = |(number, list): &(u16, Vec<Value>)| {
            let ports = ports(*number);
            (ports.to_string(), (ports, list.clone()))
        };
        groups.iter().map(group).collect()
    }

    fn show(actions: &[Action]) -> Vec<String> {
        let show = |action: &Action| match action {
            Action::Create { endpoints, .. } => format!("create {}", endpoints.len()),
            Action::Update {
                name, endpoints, ..
            } => format!("{name} {}", endpoints.len()),
            Action::Delete { name } => format!("delete {name}"),
        };
        actions.iter().map(show).collect()
    }

    #[track_caller]
    fn check(existing: &[Slice], groups: &[(u16, Vec<Value>)], expected: &[&str]) {
        let actions = plan(existing, &wanted(groups), &json!({}));
        assert_eq!(show(&actions), expected);
    }

    #[test]
    fn slices_are_filled_to_their_limit() {
        check(&[], &[], &["create 0"]);
        check(
            &[],
            &[(80, some(0..250))],
            &["create 100", "create 100", "create 50"],
        );
        check(&[slice("a", 80, some(0..3))], &[(80, some(0..3))], &[]);
        check(&[slice("a", 80, some(0..3))], &[(80, some(1..4))], &["a 3"]);
        check(
            &[slice("a", 80, some(0..100)), slice("b", 80, some(100..101))],
            &[(80, some(0..103))],
            &["b 3"],
        );
    }

    #[test]
    fn what_is_empty_goes_but_for_the_last() {
        let two = [slice("a", 80, some(0..1)), slice("b", 80, some(1..2))];
        check(&two, &[(80, some(1..2))], &["delete a"]);
        check(&two, &[], &["b 0", "delete a"]);
        check(&[slice("a", 80, Vec::new())], &[], &[]);
        check(&[slice("a", 80, some(0..1))], &[(90, some(0..1))], &["a 1"]);
    }

    #[test]
    fn a_changed_endpoint_or_label_is_written() {
        let mut changed = some(0..2);
        changed[1]["conditions"] = json!({"ready": true});
        check(&[slice("a", 80, some(0..2))], &[(80, changed)], &["a 2"]);
        let actions = plan(
            &[slice("a", 80, some(0..1))],
            &wanted(&[(80, some(0..1))]),
            &json!({"x": "y"}),
        );
        assert_eq!(show(&actions), ["a 1"]);
    }
}
