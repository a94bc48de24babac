//! LimitRanges and ResourceQuotas.

use super::{elements, rules, text};
use crate::{limits::LISTS, quantity::Quantity, status::Cause};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Resources without a domain that a quota may count.
const QUOTA_RESOURCES: [&str; 20] = [
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "storage",
];
/// Those of them that are counted, not measured.
const COUNTED: [&str; 9] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];
const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];
/// What a quota of scopes of pods may count, beside the pods themselves.
const POD_COMPUTE: [&str; 6] = [
    "cpu",
    "limits.cpu",
    "limits.memory",
    "memory",
    "requests.cpu",
    "requests.memory",
];

pub(super) fn resource_quota(spec: &Value, causes: &mut Vec<Cause>) {
    amounts(&spec["hard"], "spec.hard", causes);
    let scopes: Vec<&str> = spec["scopes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|scope| scope.as_str().unwrap_or_default())
        .collect();
    let mut wrong = |detail: &str| {
        causes.push(Cause::invalid("spec.scopes", &spec["scopes"], detail));
    };
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            wrong("unsupported scope");
        }
        for _ in strangers(spec, scope) {
            wrong("unsupported scope applied to resource");
        }
    }
    for _ in conflicts(&scopes) {
        wrong("conflicting scopes");
    }
    scope_selector(spec, causes);
}

/// Resources that a quota may count, each with how much of it.
pub(super) fn amounts(list: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (name, value) in list.as_object().into_iter().flatten() {
        let path = format!("{path}[{name}]");
        let known = QUOTA_RESOURCES.contains(&name.as_str())
            || name.contains('/')
            || name.starts_with("hugepages-")
            || name.starts_with("requests.hugepages-");
        if !super::is_qualified_name(name.trim_start_matches("requests.")) || !known {
            let detail = "must be a standard resource for quotas";
            causes.push(Cause::invalid(path.clone(), &json!(name), detail));
        }
        amount(name, value, &path, causes);
    }
}

/// How much of a resource; of what is counted there is nothing between one and two.
pub(super) fn amount(name: &str, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let is_native = !name.contains('/') || name.contains("kubernetes.io/");
    let is_extended = !is_native && !name.starts_with("requests.");
    let counted = COUNTED.contains(&name) || name.starts_with("count/") || is_extended;
    match Quantity::read(value) {
        Err(error) => causes.push(Cause::invalid(path, value, &error.to_string())),
        Ok(amount) => {
            let shown = json!(amount.to_string());
            if amount.milli_value() < 0 {
                causes.push(Cause::invalid(path, &shown, rules::NOT_NEGATIVE));
            }
            if counted && amount.milli_value() % 1000 != 0 {
                causes.push(Cause::invalid(path, &shown, "must be an integer"));
            }
        }
    }
}

/// The resources of a quota that a scope is not about.
fn strangers<'a>(spec: &'a Value, scope: &'a str) -> impl Iterator<Item = &'a String> {
    let hard = spec["hard"].as_object().into_iter().flatten();
    let is_about = move |name: &str| match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => matches!(name, "persistentvolumeclaims" | "requests.storage"),
        _ => name == "pods" || POD_COMPUTE.contains(&name),
    };
    let standard = hard
        .map(|(name, _)| name)
        .filter(|name| QUOTA_RESOURCES.contains(&name.as_str()));
    standard.filter(move |name| SCOPES.contains(&scope) && !is_about(name))
}

/// Pairs of scopes that no pod has both of.
fn conflicts(scopes: &[&str]) -> impl Iterator<Item = (&'static str, &'static str)> {
    let pairs = [
        ("BestEffort", "NotBestEffort"),
        ("Terminating", "NotTerminating"),
    ];
    pairs
        .into_iter()
        .filter(|(one, other)| scopes.contains(one) && scopes.contains(other))
}

fn scope_selector(spec: &Value, causes: &mut Vec<Cause>) {
    let path = "spec.scopeSelector.matchExpressions";
    let mut scopes = Vec::new();
    for (_, one) in elements(&spec["scopeSelector"], "matchExpressions", "") {
        let (scope, operator) = (text(one, "scopeName"), text(one, "operator"));
        if !SCOPES.contains(&scope) {
            let field = format!("{path}.scopeName");
            causes.push(Cause::invalid(field, &json!(scope), "unsupported scope"));
        }
        for _ in strangers(spec, scope) {
            let detail = "unsupported scope applied to resource";
            causes.push(Cause::invalid(path, &spec["scopeSelector"], detail));
        }
        let is_named = matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        let field = format!("{path}.operator");
        if SCOPES.contains(&scope) && !is_named && operator != "Exists" {
            let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            causes.push(Cause::invalid(&*field, &json!(operator), detail));
        }
        let (values, is_empty) = (format!("{path}.values"), rules::is_absent(&one["values"]));
        match operator {
            "In" | "NotIn" if is_empty => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                causes.push(Cause::required(values, detail));
            }
            "Exists" | "DoesNotExist" if !is_empty => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                causes.push(Cause::invalid(values, &one["values"], detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => {
                let detail = "not a valid selector operator";
                causes.push(Cause::invalid(field, &json!(operator), detail));
            }
        }
        scopes.push(scope);
    }
    for _ in conflicts(&scopes) {
        causes.push(Cause::invalid(path, &spec["scopes"], "conflicting scopes"));
    }
}

/// What a limit may be about, beside what has a domain.
const LIMIT_TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];

/// A quantity as it is written.
fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn limit_range(spec: &Value, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (path, item) in elements(spec, "limits", "spec") {
        let kind = text(item, "type");
        if kind.is_empty() {
            causes.push(Cause::required(format!("{path}.type"), ""));
        }
        for why in super::qualified_name_problems(kind) {
            if !kind.is_empty() {
                causes.push(Cause::invalid(format!("{path}.type"), &json!(kind), &why));
            }
        }
        if !kind.is_empty() && !kind.contains('/') && !LIMIT_TYPES.contains(&kind) {
            let detail = "must be a standard limit type or fully qualified";
            causes.push(Cause::invalid(format!("{path}.type"), &json!(kind), detail));
        }
        if !seen.insert(kind) {
            causes.push(Cause::duplicate(format!("{path}.type"), &json!(kind)));
        }
        if kind == "Pod" {
            for field in ["default", "defaultRequest"] {
                if !rules::is_absent(&item[field]) {
                    let detail = "may not be specified when `type` is 'Pod'";
                    causes.push(Cause::forbidden(format!("{path}.{field}"), detail));
                }
            }
        }
        let unbounded = ["min", "max"]
            .iter()
            .all(|list| item[*list]["storage"].is_null());
        if kind == "PersistentVolumeClaim" && unbounded {
            let detail =
                "either minimum or maximum storage value is required, but neither was provided";
            causes.push(Cause::required(format!("{path}.limits"), detail));
        }
        bounds(item, &path, causes);
    }
}

/// Pairs of lists, the words for them, and the list that the error is about: none of the first is
/// greater than the one of the second.
const ORDER: [(&str, &str, &str, &str, &str); 6] = [
    ("min", "min", "max", "max", "min"),
    (
        "min",
        "min",
        "defaultRequest",
        "default request",
        "defaultRequest",
    ),
    (
        "defaultRequest",
        "default request",
        "max",
        "max",
        "defaultRequest",
    ),
    (
        "defaultRequest",
        "default request",
        "default",
        "default limit",
        "defaultRequest",
    ),
    ("min", "min", "default", "default", "default"),
    ("default", "default", "max", "max", "default"),
];

fn bounds(item: &Value, path: &str, causes: &mut Vec<Cause>) {
    let of_containers = matches!(text(item, "type"), "Pod" | "Container");
    for list in LISTS {
        for (name, value) in item[list].as_object().into_iter().flatten() {
            let path = format!("{path}.{list}[{name}]");
            for why in super::qualified_name_problems(name) {
                causes.push(Cause::invalid(&*path, &json!(name), &why));
            }
            let is_standard = ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str())
                || name.contains('/')
                || name.starts_with("hugepages-");
            if of_containers && !is_standard {
                let detail = "must be a standard resource for containers";
                causes.push(Cause::invalid(&*path, &json!(name), detail));
            }
            let amount = rules::quantity(value, &path, causes);
            if list == "maxLimitRequestRatio" && amount.is_some_and(|amount| amount < 1000) {
                let detail = format!("ratio {} is less than 1", text_of(value));
                causes.push(Cause::invalid(path, value, &detail));
            }
        }
    }
    let read = |value: &Value| Quantity::parse(&text_of(value)).ok();
    for (less, less_word, more, more_word, about) in ORDER {
        for (name, value) in item[less].as_object().into_iter().flatten() {
            let pair = (read(value), read(&item[more][name]));
            let (Some(low), Some(high)) = pair else {
                continue;
            };
            if low.milli_value() > high.milli_value() {
                let detail =
                    format!("{less_word} value {low} is greater than {more_word} value {high}");
                let field = format!("{path}.{about}[{name}]");
                let value = &item[about][name];
                causes.push(Cause::invalid(field, value, &detail));
            }
        }
    }
}
