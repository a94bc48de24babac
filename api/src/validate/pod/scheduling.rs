//! Where a pod may run: affinity, spread, tolerations, gates.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `validateAffinity`,
//! `validateTopologySpreadConstraints`, `ValidateTolerations`, `validateSchedulingGates`.

use crate::{
    status::Cause,
    validate::{elements, label_value_problems, meta, rules, text},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const NOT_AN_OPERATOR: &str = "not a valid selector operator";
const NOT_POSITIVE: &str = "must be greater than zero";
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(super) fn affinity(affinity: &Value, path: &str, causes: &mut Vec<Cause>) {
    node_affinity(
        &affinity["nodeAffinity"],
        &format!("{path}.nodeAffinity"),
        causes,
    );
    for field in ["podAffinity", "podAntiAffinity"] {
        let (of, path) = (&affinity[field], format!("{path}.{field}"));
        for (path, term) in elements(of, REQUIRED, &path) {
            pod_term(term, &path, causes);
        }
        for (path, weighted) in elements(of, PREFERRED, &path) {
            weight(weighted, &path, causes);
            let path = format!("{path}.podAffinityTerm");
            pod_term(&weighted["podAffinityTerm"], &path, causes);
        }
    }
}

fn node_affinity(affinity: &Value, path: &str, causes: &mut Vec<Cause>) {
    let required = &affinity[REQUIRED];
    if !required.is_null() {
        node_selector(required, &format!("{path}.{REQUIRED}"), causes);
    }
    for (path, preferred) in elements(affinity, PREFERRED, path) {
        weight(preferred, &path, causes);
        let path = format!("{path}.preference");
        node_term(&preferred["preference"], false, &path, causes);
    }
}

pub(super) fn node_selector(selector: &Value, path: &str, causes: &mut Vec<Cause>) {
    let terms = elements(selector, "nodeSelectorTerms", path);
    if terms.is_empty() {
        let path = format!("{path}.nodeSelectorTerms");
        causes.push(Cause::required(
            path,
            "must have at least one node selector term",
        ));
    }
    for (path, term) in terms {
        node_term(term, true, &path, causes);
    }
}

/// A term that is only preferred may name values that no label has.
fn node_term(term: &Value, strict: bool, path: &str, causes: &mut Vec<Cause>) {
    for (path, requirement) in elements(term, "matchExpressions", path) {
        node_labels(requirement, strict, &path, causes);
    }
    for (path, requirement) in elements(term, "matchFields", path) {
        node_fields(requirement, &path, causes);
    }
}

fn node_labels(requirement: &Value, strict: bool, path: &str, causes: &mut Vec<Cause>) {
    let count = requirement["values"].as_array().map_or(0, Vec::len);
    let values = format!("{path}.values");
    match text(requirement, "operator") {
        "In" | "NotIn" if count == 0 => causes.push(Cause::required(
            values,
            "must be specified when `operator` is 'In' or 'NotIn'",
        )),
        "Exists" | "DoesNotExist" if count > 0 => causes.push(Cause::forbidden(
            values,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        "Gt" | "Lt" if count != 1 => causes.push(Cause::required(
            values,
            "must be specified single value when `operator` is 'Lt' or 'Gt'",
        )),
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => causes.push(Cause::invalid(
            format!("{path}.operator"),
            &json!(other),
            NOT_AN_OPERATOR,
        )),
    }
    label_name(text(requirement, "key"), &format!("{path}.key"), causes);
    for (path, value) in elements(requirement, "values", path) {
        if strict {
            let problems = label_value_problems(value.as_str().unwrap_or_default());
            causes.extend(
                problems
                    .iter()
                    .map(|why| Cause::invalid(path.clone(), value, why)),
            );
        }
    }
}

/// Of a node's fields there is only its name.
fn node_fields(requirement: &Value, path: &str, causes: &mut Vec<Cause>) {
    let count = requirement["values"].as_array().map_or(0, Vec::len);
    match text(requirement, "operator") {
        "In" | "NotIn" if count != 1 => causes.push(Cause::required(
            format!("{path}.values"),
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        )),
        "In" | "NotIn" => {}
        other => causes.push(Cause::invalid(
            format!("{path}.operator"),
            &json!(other),
            NOT_AN_OPERATOR,
        )),
    }
    let key = text(requirement, "key");
    if key != "metadata.name" {
        let detail = "not a valid field selector key";
        causes.push(Cause::invalid(format!("{path}.key"), &json!(key), detail));
        return;
    }
    for (path, value) in elements(requirement, "values", path) {
        rules::subdomain(value.as_str().unwrap_or_default(), path, causes);
    }
}

fn weight(of: &Value, path: &str, causes: &mut Vec<Cause>) {
    let weight = of["weight"].as_i64().unwrap_or_default();
    if !(1..=100).contains(&weight) {
        causes.push(Cause::invalid(
            format!("{path}.weight"),
            &json!(weight),
            "must be in the range 1-100",
        ));
    }
}

fn label_name(name: &str, path: &str, causes: &mut Vec<Cause>) {
    meta::qualified_name(name, &json!(name), path, causes);
}

fn pod_term(term: &Value, path: &str, causes: &mut Vec<Cause>) {
    for field in ["labelSelector", "namespaceSelector"] {
        rules::selector(&term[field], &format!("{path}.{field}"), causes);
    }
    for (_, namespace) in elements(term, "namespaces", path) {
        let name = namespace.as_str().unwrap_or_default();
        // Upstream names the field so.
        rules::label(name, format!("{path}.namespace"), causes);
    }
    label_keys(term, path, causes);
    let (key, path) = (text(term, "topologyKey"), format!("{path}.topologyKey"));
    if key.is_empty() {
        causes.push(Cause::required(path.clone(), "can not be empty"));
    }
    label_name(key, &path, causes);
}

/// Keys whose values are taken from the pod itself.
fn label_keys(term: &Value, path: &str, causes: &mut Vec<Cause>) {
    let selector = &term["labelSelector"];
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = elements(term, field, path);
        if selector.is_null() && !keys.is_empty() {
            let detail = "must not be specified when labelSelector is not set";
            causes.push(Cause::forbidden(format!("{path}.{field}"), detail));
            continue;
        }
        for (path, key) in keys {
            label_name(key.as_str().unwrap_or_default(), &path, causes);
        }
    }
    let matching = elements(term, "matchLabelKeys", path);
    for (index, key) in selected_twice(selector, &matching) {
        let path = format!("{path}[{index}]");
        let detail = "exists in both matchLabelKeys and labelSelector";
        causes.push(Cause::invalid(path, &json!(key), detail));
    }
    let mismatching = term["mismatchLabelKeys"].as_array().into_iter().flatten();
    let mismatching: HashSet<&Value> = mismatching.collect();
    for (path, key) in matching {
        if mismatching.contains(key) {
            let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
            causes.push(Cause::invalid(path, key, detail));
        }
    }
}

/// Keys that a selector asks for itself, and their places: once they are there from the pod's own labels.
fn selected_twice<'a>(selector: &'a Value, keys: &[(String, &Value)]) -> Vec<(usize, &'a str)> {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut selected: BTreeSet<&str> = labels.map(|(key, _)| key.as_str()).collect();
    let expressions = selector["matchExpressions"].as_array();
    let names = expressions
        .into_iter()
        .flatten()
        .map(|one| text(one, "key"));
    let again = names.filter(|key| !selected.insert(key));
    // The last place counts.
    let places = keys.iter().enumerate();
    let places: BTreeMap<&str, usize> = places
        .filter_map(|(at, (_, key))| Some((key.as_str()?, at)))
        .collect();
    again
        .filter_map(|key| Some((*places.get(key)?, key)))
        .collect()
}

pub(super) fn spread(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let constraints = elements(spec, "topologySpreadConstraints", path);
    let kind = |of: &Value| {
        let (key, action) = (text(of, "topologyKey"), text(of, "whenUnsatisfiable"));
        format!("{{{key}, {action}}}")
    };
    // All but the last of a kind are told of.
    let last: BTreeMap<String, usize> = constraints
        .iter()
        .enumerate()
        .map(|(index, (_, constraint))| (kind(constraint), index))
        .collect();
    for (index, (path, constraint)) in constraints.iter().enumerate() {
        spread_fields(constraint, path, causes);
        let kind = kind(constraint);
        if last.get(&kind) != Some(&index) {
            let path = format!("{path}.{{topologyKey, whenUnsatisfiable}}");
            causes.push(Cause::duplicate(path, &json!(kind)));
        }
        min_domains(constraint, path, causes);
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let path = format!("{path}.{field}");
            supported(&constraint[field], &["Honor", "Ignore"], path, causes);
        }
        spread_keys(constraint, path, causes);
        let selector = format!("{path}.labelSelector");
        rules::selector(&constraint["labelSelector"], &selector, causes);
    }
}

fn spread_fields(constraint: &Value, path: &str, causes: &mut Vec<Cause>) {
    let skew = constraint["maxSkew"].as_i64().unwrap_or_default();
    if skew <= 0 {
        let path = format!("{path}.maxSkew");
        causes.push(Cause::invalid(path, &json!(skew), NOT_POSITIVE));
    }
    if text(constraint, "topologyKey").is_empty() {
        let path = format!("{path}.topologyKey");
        causes.push(Cause::required(path, "can not be empty"));
    }
    let action = json!(text(constraint, "whenUnsatisfiable"));
    let actions = ["DoNotSchedule", "ScheduleAnyway"];
    supported(
        &action,
        &actions,
        format!("{path}.whenUnsatisfiable"),
        causes,
    );
}

fn min_domains(constraint: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (domains, path) = (&constraint["minDomains"], format!("{path}.minDomains"));
    let Some(number) = domains.as_i64() else {
        return;
    };
    if number <= 0 {
        causes.push(Cause::invalid(path.clone(), domains, NOT_POSITIVE));
    }
    let action = text(constraint, "whenUnsatisfiable");
    if action != "DoNotSchedule" {
        let detail =
            format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        causes.push(Cause::invalid(path, domains, &detail));
    }
}

fn spread_keys(constraint: &Value, path: &str, causes: &mut Vec<Cause>) {
    let keys = elements(constraint, "matchLabelKeys", path);
    let selector = &constraint["labelSelector"];
    if selector.is_null() && !keys.is_empty() {
        let detail = "must not be specified when labelSelector is not set";
        causes.push(Cause::forbidden(format!("{path}.matchLabelKeys"), detail));
    }
    for (path, key) in &keys {
        label_name(key.as_str().unwrap_or_default(), path, causes);
    }
    for (index, key) in selected_twice(selector, &keys) {
        let detail = "exists in both matchLabelKeys and labelSelector";
        causes.push(Cause::invalid(keys[index].0.clone(), &json!(key), detail));
    }
}

/// A text that is one of these where it is there, also an empty one.
pub(super) fn supported(value: &Value, known: &[&str], path: String, causes: &mut Vec<Cause>) {
    if value.as_str().is_some_and(|value| !known.contains(&value)) {
        causes.push(Cause::unsupported(path, value, known));
    }
}

pub(super) fn tolerations(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (path, toleration) in elements(spec, "tolerations", path) {
        let (key, effect) = (text(toleration, "key"), text(toleration, "effect"));
        let (operator, value) = (text(toleration, "operator"), text(toleration, "value"));
        let at_operator = format!("{path}.operator");
        if !key.is_empty() {
            label_name(key, &format!("{path}.key"), causes);
        } else if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            causes.push(Cause::invalid(
                at_operator.clone(),
                &json!(operator),
                detail,
            ));
        }
        if !toleration["tolerationSeconds"].is_null() && effect != "NoExecute" {
            causes.push(Cause::invalid(
                format!("{path}.effect"),
                &json!(effect),
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            ));
        }
        let value_at_operator =
            |detail: &str| Cause::invalid(at_operator.clone(), &json!(value), detail);
        match operator {
            "" | "Equal" => {
                let problems = label_value_problems(value);
                if !problems.is_empty() {
                    causes.push(value_at_operator(&problems.join(";")));
                }
            }
            "Exists" if value.is_empty() => {}
            "Exists" => causes.push(value_at_operator(
                "value must be empty when `operator` is 'Exists'",
            )),
            other => causes.push(Cause::unsupported(
                at_operator.clone(),
                &json!(other),
                &["Equal", "Exists"],
            )),
        }
        rules::one_of(toleration, "effect", &EFFECTS, &path, causes);
    }
}

pub(super) fn gates(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (path, gate) in elements(spec, "schedulingGates", path) {
        let name = text(gate, "name");
        meta::qualified_name(name, &json!(name), &path, causes);
        if !seen.insert(name) {
            causes.push(Cause::duplicate(path, &json!(name)));
        }
    }
}
