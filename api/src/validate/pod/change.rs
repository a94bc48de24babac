//! What of a pod's spec may change.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidatePodUpdate`.

use crate::{
    defaults, kind,
    status::Cause,
    validate::{elements, rules, text},
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashSet};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const OTHERS: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Fields of a spec that are maps, not structures: an empty one is as none.
const MAPS: [&str; 5] = [
    "nodeSelector",
    "overhead",
    "limits",
    "requests",
    "matchLabels",
];

pub(super) fn check(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    // What is stored may be older than a default.
    let mut old = old.clone();
    defaults::apply(kind::POD, &mut old);
    let (new, old) = (&new["spec"], &old["spec"]);
    for list in ["containers", "initContainers"] {
        let count = |spec: &Value| spec[list].as_array().map_or(0, Vec::len);
        if count(new) != count(old) {
            let detail = "pod updates may not add or remove containers";
            causes.push(Cause::forbidden(format!("spec.{list}"), detail));
            return;
        }
    }
    if !deadline(new, old, causes) {
        return;
    }
    let kept: HashSet<Value> = timeless_tolerations(new).collect();
    if !timeless_tolerations(old).all(|before| kept.contains(&before)) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        causes.push(Cause::forbidden("spec.tolerations", detail));
    }
    gates(new, old, causes);
    let mut rest = new.clone();
    put_back(&mut rest, old);
    if !rules::is_absent(&old["schedulingGates"]) {
        node_selector(new, old, causes);
        node_affinity(new, old, causes);
        put_back_gated(&mut rest, old);
    }
    if pruned(&rest) != pruned(old) {
        causes.push(Cause::forbidden("spec", OTHERS));
    }
}

/// A deadline may be set, and come nearer; false where nothing more is to be said.
fn deadline(new: &Value, old: &Value, causes: &mut Vec<Cause>) -> bool {
    let (now, was) = (&new["activeDeadlineSeconds"], &old["activeDeadlineSeconds"]);
    let path = "spec.activeDeadlineSeconds";
    match (now.as_i64(), was.as_i64()) {
        (Some(secs), Some(before)) if before < secs => {
            let detail = "must be less than or equal to previous value";
            causes.push(Cause::invalid(path, now, detail));
            false
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            causes.push(Cause::invalid(path, &Value::Null, detail));
            true
        }
        _ => true,
    }
}

/// What is tolerated, for how long ever.
fn timeless_tolerations(spec: &Value) -> impl Iterator<Item = Value> {
    let tolerations = spec["tolerations"].as_array().into_iter().flatten();
    tolerations.map(|toleration| {
        let mut toleration = pruned(toleration);
        remove(&mut toleration, "tolerationSeconds");
        toleration
    })
}

fn gates(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let before = old["schedulingGates"].as_array().into_iter().flatten();
    let before: BTreeSet<&str> = before.map(|gate| text(gate, "name")).collect();
    for (path, gate) in elements(new, "schedulingGates", "spec") {
        let name = text(gate, "name");
        if !before.contains(name) {
            let detail =
                format!("only deletion is allowed, but found new scheduling gate '{name}'");
            causes.push(Cause::forbidden(format!("{path}.name"), &detail));
        }
    }
}

fn node_selector(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (now, was) = (&new["nodeSelector"], &old["nodeSelector"]);
    let mut before = was.as_object().into_iter().flatten();
    if before.any(|(label, value)| now[label] != *value) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        causes.push(Cause::invalid("spec.nodeSelector", now, detail));
    }
}

fn node_affinity(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let terms = |spec: &Value| {
        let terms = &spec["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"];
        terms.as_array().cloned().unwrap_or_default()
    };
    let (now, was) = (terms(new), terms(old));
    let path = format!("spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms");
    if !was.is_empty() && now.len() != was.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        causes.push(Cause::invalid(path, &json!(now), detail));
        return;
    }
    for (index, (now, was)) in now.iter().zip(&was).enumerate() {
        if !only_adds(now, was) {
            let detail = "only additions are allowed (no mutations or deletions)";
            causes.push(Cause::invalid(format!("{path}[{index}]"), now, detail));
        }
    }
}

/// A term that selects nothing goes on doing so; others select no more than before.
fn only_adds(new: &Value, old: &Value) -> bool {
    let lists = ["matchExpressions", "matchFields"];
    let list = |term: &Value, name: &str| term[name].as_array().cloned().unwrap_or_default();
    let is_empty = |term: &Value| lists.iter().all(|name| list(term, name).is_empty());
    if is_empty(old) {
        return is_empty(new);
    }
    lists.iter().all(|name| {
        let kept: Vec<Value> = list(new, name).iter().map(pruned).collect();
        let before: Vec<Value> = list(old, name).iter().map(pruned).collect();
        kept.starts_with(&before)
    })
}

/// What may change, or was spoken of already, as it was.
fn put_back(new: &mut Value, old: &Value) {
    for list in ["containers", "initContainers"] {
        let before = old[list].as_array().map_or(&[][..], Vec::as_slice);
        let now = new[list].as_array_mut().into_iter().flatten();
        for (container, before) in now.zip(before) {
            copy(container, before, "image");
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        copy(new, old, field);
    }
    let grace = "terminationGracePeriodSeconds";
    if old[grace].as_i64().is_some_and(|secs| secs < 0) && new[grace] == 1 {
        copy(new, old, grace);
    }
}

fn put_back_gated(new: &mut Value, old: &Value) {
    copy(new, old, "nodeSelector");
    let (now, was) = (pruned(&new["affinity"]), pruned(&old["affinity"]));
    if now["nodeAffinity"] == was["nodeAffinity"] {
        return;
    }
    let only_nodes = ["podAffinity", "podAntiAffinity"]
        .iter()
        .all(|field| now[*field].is_null());
    if now.is_null() {
        new["affinity"] = json!({"nodeAffinity": was["nodeAffinity"]});
    } else if was.is_null() && only_nodes {
        remove(new, "affinity");
    } else {
        copy(&mut new["affinity"], &was, "nodeAffinity");
    }
}

fn copy(to: &mut Value, from: &Value, field: &str) {
    if from[field].is_null() {
        remove(to, field);
    } else if to.is_object() {
        to[field] = from[field].clone();
    }
}

fn remove(of: &mut Value, field: &str) {
    if let Some(map) = of.as_object_mut() {
        map.remove(field);
    }
}

/// Without what is not there, or is a list or a map of nothing.
fn pruned(value: &Value) -> Value {
    let is_nothing = |(name, value): &(&String, &Value)| {
        let is_empty = |map: &Map<String, Value>| MAPS.contains(&name.as_str()) && map.is_empty();
        value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(is_empty)
    };
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|field| !is_nothing(field));
            kept.map(|(name, value)| (name.clone(), pruned(value)))
                .collect()
        }
        Value::Array(list) => list.iter().map(pruned).collect(),
        other => other.clone(),
    }
}
