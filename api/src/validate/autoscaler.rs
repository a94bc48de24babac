//! HorizontalPodAutoscalers.
//!
//! Source: k8s.io/kubernetes `pkg/apis/autoscaling/validation`.

use super::{elements, meta, pod, rules, text};
use crate::{quantity::Quantity, status::Cause};
use serde_json::{Value, json};

/// Longest time an autoscaler looks back, and longest period of a policy; seconds.
const STABILIZATION_MAX: i64 = 3600;
const PERIOD_MAX: i64 = 1800;
/// Kinds of metrics and their fields, in the order upstream looks at them.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];
const KINDS: [&str; 5] = [
    "ContainerResource",
    "External",
    "Object",
    "Pods",
    "Resource",
];
const TARGETS: [&str; 3] = ["Utilization", "Value", "AverageValue"];

pub(super) fn check(spec: &Value, causes: &mut Vec<Cause>) {
    let (least, most) = (spec["minReplicas"].as_i64(), &spec["maxReplicas"]);
    if let Some(least) = least.filter(|least| *least < 1) {
        let detail = "must be greater than or equal to 1";
        causes.push(Cause::invalid("spec.minReplicas", &json!(least), detail));
    }
    let number = most.as_i64().unwrap_or(0);
    let mut too_few =
        |detail| causes.push(Cause::invalid("spec.maxReplicas", &json!(number), detail));
    if number < 1 {
        too_few("must be greater than 0");
    }
    if least.is_some_and(|least| number < least) {
        too_few("must be greater than or equal to `minReplicas`");
    }
    reference(&spec["scaleTargetRef"], "spec.scaleTargetRef", causes);
    for (path, metric) in elements(spec, "metrics", "spec") {
        metric_spec(metric, &path, causes);
    }
    for direction in ["scaleUp", "scaleDown"] {
        let path = format!("spec.behavior.{direction}");
        scaling_rules(&spec["behavior"][direction], &path, causes);
    }
}

/// Another object, whatever its kind.
fn reference(of: &Value, path: &str, causes: &mut Vec<Cause>) {
    for field in ["kind", "name"] {
        if rules::required(of, field, path, causes) {
            segment(text(of, field), &format!("{path}.{field}"), causes);
        }
    }
}

fn segment(name: &str, path: &str, causes: &mut Vec<Cause>) {
    let problems = meta::path_segment(name);
    causes.extend(
        problems
            .into_iter()
            .map(|why| Cause::invalid(path, &json!(name), why)),
    );
}

fn metric_spec(metric: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (kind, field) = (text(metric, "type"), format!("{path}.type"));
    if kind.is_empty() {
        let detail = "must specify a metric source type";
        causes.push(Cause::required(&*field, detail));
    }
    let expected = SOURCES.iter().find(|(known, _)| *known == kind);
    if expected.is_none() {
        causes.push(Cause::unsupported(&*field, &json!(kind), &KINDS));
    }
    let present: Vec<&str> = SOURCES
        .iter()
        .map(|(_, source)| *source)
        .filter(|source| !metric[*source].is_null())
        .collect();
    if let Some(first) = present.first() {
        source(&metric[*first], first, &format!("{path}.{first}"), causes);
    }
    match expected {
        Some((_, expected)) if !present.contains(expected) => {
            let detail = "must populate information for the given metric source";
            causes.push(Cause::required(format!("{path}.{expected}"), detail));
        }
        Some(_) => {}
        // Upstream says so twice.
        None => causes.push(Cause::unsupported(field, &json!(kind), &KINDS)),
    }
    if present.len() != 1 {
        let wanted = expected.map(|(_, expected)| *expected);
        for other in present.into_iter().filter(|other| Some(*other) != wanted) {
            let detail = "must populate the given metric source only";
            causes.push(Cause::forbidden(format!("{path}.{other}"), detail));
        }
    }
}

fn source(source: &Value, kind: &str, path: &str, causes: &mut Vec<Cause>) {
    match kind {
        "resource" | "containerResource" => measured(source, kind, path, causes),
        _ => {
            if kind == "object" {
                let path = format!("{path}.describedObject");
                reference(&source["describedObject"], &path, causes);
            }
            let (name, path) = (
                text(&source["metric"], "name"),
                format!("{path}.metric.name"),
            );
            if name.is_empty() {
                causes.push(Cause::required(path, "must specify a metric name"));
            } else {
                segment(name, &path, causes);
            }
        }
    }
    target(&source["target"], kind, &format!("{path}.target"), causes);
}

/// What pods or containers use.
fn measured(source: &Value, kind: &str, path: &str, causes: &mut Vec<Cause>) {
    let (name, at) = (text(source, "name"), format!("{path}.name"));
    let of_container = kind == "containerResource";
    if name.is_empty() {
        causes.push(Cause::required(at, "must specify a resource name"));
    } else if of_container {
        pod::resource_name(name, &at, causes);
    }
    let (container, at) = (text(source, "container"), format!("{path}.container"));
    match container {
        "" if of_container => causes.push(Cause::required(at, "must specify a container")),
        "" => {}
        _ => rules::label(container, at, causes),
    }
}

fn target(target: &Value, source: &str, path: &str, causes: &mut Vec<Cause>) {
    let (kind, field) = (text(target, "type"), format!("{path}.type"));
    if kind.is_empty() {
        let detail = "must specify a metric target type";
        causes.push(Cause::required(&*field, detail));
    }
    if !TARGETS.contains(&kind) {
        let detail = "must be either Utilization, Value, or AverageValue";
        causes.push(Cause::invalid(field, &json!(kind), detail));
    }
    for field in ["value", "averageValue"] {
        positive(&target[field], &format!("{path}.{field}"), causes);
    }
    let share = &target["averageUtilization"];
    if share.as_i64().is_some_and(|share| share < 1) {
        let path = format!("{path}.averageUtilization");
        causes.push(Cause::invalid(path, share, "must be greater than 0"));
    }
    let is_set = |field: &str| !target[field].is_null();
    let (average, value) = (is_set("averageValue"), is_set("value"));
    let at = |field: &str| format!("{path}.{field}");
    match source {
        "resource" | "containerResource" => match (!share.is_null(), average) {
            (true, true) => causes.push(Cause::forbidden(
                at("averageValue"),
                "may not set both a target raw value and a target utilization",
            )),
            (false, false) => causes.push(Cause::required(
                at("averageUtilization"),
                "must set either a target raw value or a target utilization",
            )),
            _ => {}
        },
        "pods" if !average => causes.push(Cause::required(
            at("averageValue"),
            "must specify a positive target averageValue",
        )),
        "object" if !average && !value => causes.push(Cause::required(
            at("averageValue"),
            "must set either a target value or averageValue",
        )),
        "external" if !average && !value => causes.push(Cause::required(
            at("averageValue"),
            "must set either a target value for metric or a per-pod target",
        )),
        "external" if average && value => causes.push(Cause::forbidden(
            at("value"),
            "may not set both a target value for metric and a per-pod target",
        )),
        _ => {}
    }
}

fn positive(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() {
        return;
    }
    match Quantity::read(value) {
        Err(error) => causes.push(Cause::invalid(path, value, &error.to_string())),
        Ok(quantity) if quantity.milli_value() <= 0 => {
            let value = json!(quantity.to_string());
            causes.push(Cause::invalid(path, &value, "must be positive"));
        }
        Ok(_) => {}
    }
}

fn scaling_rules(rules: &Value, path: &str, causes: &mut Vec<Cause>) {
    if rules.is_null() {
        return;
    }
    let window = format!("{path}.stabilizationWindowSeconds");
    let seconds = &rules["stabilizationWindowSeconds"];
    within(seconds, window, 0, STABILIZATION_MAX, causes);
    let choice = &rules["selectPolicy"];
    let choices = ["Disabled", "Max", "Min"];
    if choice.as_str().is_some_and(|one| !choices.contains(&one)) {
        let path = format!("{path}.selectPolicy");
        causes.push(Cause::unsupported(path, choice, &choices));
    }
    let policies = elements(rules, "policies", path);
    if policies.is_empty() {
        let detail = "must specify at least one Policy";
        causes.push(Cause::required(format!("{path}.policies"), detail));
    }
    for (path, policy) in policies {
        let (kind, kinds) = (text(policy, "type"), ["Percent", "Pods"]);
        if !kinds.contains(&kind) {
            let path = format!("{path}.type");
            causes.push(Cause::unsupported(path, &json!(kind), &kinds));
        }
        for (field, most) in [("value", i64::MAX), ("periodSeconds", PERIOD_MAX)] {
            let number = json!(policy[field].as_i64().unwrap_or_default());
            within(&number, format!("{path}.{field}"), 1, most, causes);
        }
    }
    let tolerance = &rules["tolerance"];
    if !tolerance.is_null() {
        super::rules::quantity(tolerance, &format!("{path}.tolerance"), causes);
    }
}

fn within(value: &Value, field: String, least: i64, most: i64, causes: &mut Vec<Cause>) {
    match value.as_i64() {
        Some(number) if number < least => {
            let detail = if least == 0 {
                "must be greater than or equal to zero"
            } else {
                "must be greater than zero"
            };
            causes.push(Cause::invalid(field, value, detail));
        }
        Some(number) if number > most => {
            let detail = format!("must be less than or equal to {most}");
            causes.push(Cause::invalid(field, value, &detail));
        }
        _ => {}
    }
}
