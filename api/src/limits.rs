//! LimitRanges: what a container gets that asks for nothing, and what nobody may ask for. Pure.
//!
//! Source: k8s.io/kubernetes `plugin/pkg/admission/limitranger`. The texts are upstream's.

use crate::{
    pod_resources::{Amounts, List, amounts, of_container, total},
    quantity::Quantity,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The lists of amounts in an item of a LimitRange.
pub(crate) const LISTS: [&str; 5] = [
    "max",
    "min",
    "default",
    "defaultRequest",
    "maxLimitRequestRatio",
];
/// Where it is written on a pod what it was given.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Gives a new pod's containers the defaults of a LimitRange. To be called once the pod has upstream's defaults: a
/// request that follows from a limit is one that was made.
pub fn set_defaults(limit_range: &Value, pod: &mut Value) {
    let mut defaults: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for limit in limits(limit_range).filter(|limit| limit["type"] == "Container") {
        for (field, list) in [("defaultRequest", "requests"), ("default", "limits")] {
            let values = limit[field].as_object().cloned().unwrap_or_default();
            defaults.entry(list).or_default().extend(values);
        }
    }
    let mut given = Vec::new();
    for (field, word) in [
        ("containers", "container"),
        ("initContainers", "init container"),
    ] {
        let containers = pod["spec"][field].as_array_mut();
        for container in containers.into_iter().flatten() {
            for list in ["requests", "limits"] {
                let values = defaults.get(list);
                let names = fill(container, list, values.into_iter().flatten());
                if !names.is_empty() {
                    let kind = list.trim_end_matches('s');
                    let name = container["name"].as_str().unwrap_or_default();
                    given.push(format!("{} {kind} for {word} {name}", names.join(", ")));
                }
            }
        }
    }
    if given.is_empty() {
        return;
    }
    let annotations = &mut pod["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[ANNOTATION] = json!(format!("LimitRanger plugin set: {}", given.join("; ")));
}

/// Fills in what is not there; says what it was.
fn fill<'a>(
    container: &mut Value,
    list: &str,
    values: impl Iterator<Item = (&'a String, &'a Value)>,
) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (name, value) in values {
        if !container["resources"][list][name].is_null() {
            continue;
        }
        for path in [&["resources"][..], &["resources", list]] {
            let part = path
                .iter()
                .fold(&mut *container, |part, name| &mut part[*name]);
            if part.is_null() {
                *part = json!({});
            }
        }
        if let Some(list) = container["resources"][list].as_object_mut() {
            list.insert(name.clone(), value.clone());
            names.push(name.as_str());
        }
    }
    names
}

/// What a LimitRange has against a pod.
///
/// # Errors
/// All of it, in one text.
pub fn check_pod(limit_range: &Value, pod: &Value) -> Result<(), String> {
    let spec = &pod["spec"];
    let mut problems = Vec::new();
    for limit in limits(limit_range) {
        match limit["type"].as_str() {
            Some("Container") => {
                for container in crate::pod_resources::containers(spec) {
                    let requests = of_container(container, List::Requests);
                    let limits = of_container(container, List::Limits);
                    check(limit, &requests, &limits, &mut problems);
                }
            }
            Some("Pod") => {
                let (requests, limits) = (total(spec, List::Requests), total(spec, List::Limits));
                check(limit, &requests, &limits, &mut problems);
            }
            _ => {}
        }
    }
    in_one_text(problems)
}

/// What a LimitRange has against a claim; only what it requests counts.
///
/// # Errors
/// All of it, in one text.
pub fn check_claim(limit_range: &Value, claim: &Value) -> Result<(), String> {
    let requests = amounts(&claim["spec"]["resources"]["requests"]);
    let mut problems = Vec::new();
    for limit in limits(limit_range).filter(|limit| limit["type"] == "PersistentVolumeClaim") {
        let bounds = |field: &str| amounts(&limit[field]).into_iter();
        let type_name = "PersistentVolumeClaim";
        for (name, bound) in bounds("min") {
            let limits = Amounts::new();
            problems.extend(too_little((&name, type_name), bound, &requests, &limits));
        }
        for (name, bound) in bounds("max") {
            let text = format!("maximum {name} usage per {type_name} is {bound}");
            match requests.get(&name) {
                None => problems.push(format!("{text}.  No request is specified")),
                Some(request) if request.milli_value() > bound.milli_value() => {
                    problems.push(format!("{text}, but request is {request}"));
                }
                Some(_) => {}
            }
        }
    }
    in_one_text(problems)
}

fn limits(limit_range: &Value) -> impl Iterator<Item = &Value> {
    limit_range["spec"]["limits"]
        .as_array()
        .into_iter()
        .flatten()
}

/// As upstream joins errors: each once, in brackets if there are more.
fn in_one_text(problems: Vec<String>) -> Result<(), String> {
    let mut each_once: Vec<String> = Vec::new();
    for problem in problems {
        if !each_once.contains(&problem) {
            each_once.push(problem);
        }
    }
    match each_once.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

fn check(limit: &Value, requests: &Amounts, limits: &Amounts, problems: &mut Vec<String>) {
    let type_name = limit["type"].as_str().unwrap_or_default();
    let bounds = |field: &str| amounts(&limit[field]).into_iter();
    for (name, bound) in bounds("min") {
        problems.extend(too_little((&name, type_name), bound, requests, limits));
    }
    for (name, bound) in bounds("max") {
        problems.extend(too_much((&name, type_name), bound, requests, limits));
    }
    for (name, bound) in bounds("maxLimitRequestRatio") {
        problems.extend(too_far_apart((&name, type_name), bound, requests, limits));
    }
}

fn too_little(
    (name, type_name): (&str, &str),
    bound: Quantity,
    requests: &Amounts,
    limits: &Amounts,
) -> Option<String> {
    let text = format!("minimum {name} usage per {type_name} is {bound}");
    let lower = |amount: &&Quantity| amount.milli_value() < bound.milli_value();
    let Some(request) = requests.get(name) else {
        return Some(format!("{text}.  No request is specified"));
    };
    if lower(&request) {
        return Some(format!("{text}, but request is {request}"));
    }
    let limit = limits.get(name).filter(lower)?;
    Some(format!("{text}, but limit is {limit}"))
}

fn too_much(
    (name, type_name): (&str, &str),
    bound: Quantity,
    requests: &Amounts,
    limits: &Amounts,
) -> Option<String> {
    let text = format!("maximum {name} usage per {type_name} is {bound}");
    let higher = |amount: &&Quantity| amount.milli_value() > bound.milli_value();
    let Some(limit) = limits.get(name) else {
        return Some(format!("{text}.  No limit is specified"));
    };
    if higher(&limit) {
        return Some(format!("{text}, but limit is {limit}"));
    }
    let request = requests.get(name).filter(higher)?;
    Some(format!("{text}, but request is {request}"))
}

fn too_far_apart(
    (name, type_name): (&str, &str),
    bound: Quantity,
    requests: &Amounts,
    limits: &Amounts,
) -> Option<String> {
    let text = format!("{name} max limit to request ratio per {type_name} is {bound}");
    let given = |list: &Amounts| {
        let amount = list.get(name).map_or(0, Quantity::milli_value);
        (amount != 0).then_some(amount)
    };
    let Some(request) = given(requests) else {
        return Some(format!(
            "{text}, but no request is specified or request is 0"
        ));
    };
    let Some(limit) = given(limits) else {
        return Some(format!("{text}, but no limit is specified or limit is 0"));
    };
    // Compared as whole numbers; only what is shown is rounded.
    let too_far = limit.saturating_mul(1000) > bound.milli_value().saturating_mul(request);
    let millionths = limit.saturating_mul(1_000_000) / request;
    let shown = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    too_far.then(|| format!("{text}, but provided ratio is {shown}"))
}

#[cfg(test)]
mod tests;
