//! Budgets, autoscalers, PriorityClasses and RuntimeClasses.

use super::{elements, rules, text};
use crate::{priority, status::Cause};
use serde_json::{Value, json};

/// Longest time an autoscaler looks back, and longest period of a policy; seconds.
const STABILIZATION_MAX: i64 = 3600;
const PERIOD_MAX: i64 = 1800;
const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

pub(super) fn budget(spec: &Value, causes: &mut Vec<Cause>) {
    let (least, most) = (&spec["minAvailable"], &spec["maxUnavailable"]);
    if !least.is_null() && !most.is_null() {
        let detail = "minAvailable and maxUnavailable are mutually exclusive";
        causes.push(Cause::invalid("spec", spec, detail));
    }
    rules::share(least, "spec.minAvailable", causes);
    rules::share(most, "spec.maxUnavailable", causes);
    rules::selector(&spec["selector"], "spec.selector", causes);
    let policies = ["AlwaysAllow", "IfHealthyBudget"];
    rules::one_of(
        spec,
        "unhealthyPodEvictionPolicy",
        &policies,
        "spec",
        causes,
    );
}

pub(super) fn autoscaler(spec: &Value, causes: &mut Vec<Cause>) {
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
    for field in ["kind", "name"] {
        rules::required(
            &spec["scaleTargetRef"],
            field,
            "spec.scaleTargetRef",
            causes,
        );
    }
    for (path, metric) in elements(spec, "metrics", "spec") {
        metric_spec(metric, &path, causes);
    }
    for direction in ["scaleUp", "scaleDown"] {
        let path = format!("spec.behavior.{direction}");
        scaling_rules(&spec["behavior"][direction], &path, causes);
    }
}

fn metric_spec(metric: &Value, path: &str, causes: &mut Vec<Cause>) {
    let kind = text(metric, "type");
    if kind.is_empty() {
        let detail = "must specify a metric source type";
        causes.push(Cause::required(format!("{path}.type"), detail));
        return;
    }
    let Some((_, expected)) = SOURCES.iter().find(|(known, _)| *known == kind) else {
        let known = SOURCES.map(|(known, _)| known);
        let path = format!("{path}.type");
        causes.push(Cause::unsupported(path, &json!(kind), &known));
        return;
    };
    for (_, field) in SOURCES.iter().filter(|(_, field)| field != expected) {
        if !metric[*field].is_null() {
            let detail = "must populate the given metric source only";
            causes.push(Cause::forbidden(format!("{path}.{field}"), detail));
        }
    }
    let source = &metric[*expected];
    let path = format!("{path}.{expected}");
    if source.is_null() {
        let detail = "must populate information for the given metric source";
        causes.push(Cause::required(path, detail));
        return;
    }
    match *expected {
        "resource" | "containerResource" => {
            if text(source, "name").is_empty() {
                let detail = "must specify a resource name";
                causes.push(Cause::required(format!("{path}.name"), detail));
            }
            if *expected == "containerResource" && text(source, "container").is_empty() {
                let detail = "must specify a container";
                causes.push(Cause::required(format!("{path}.container"), detail));
            }
        }
        _ if text(&source["metric"], "name").is_empty() => {
            let detail = "must specify a metric name";
            causes.push(Cause::required(format!("{path}.metric.name"), detail));
        }
        _ => {}
    }
    target(
        &source["target"],
        expected,
        &format!("{path}.target"),
        causes,
    );
}

fn target(target: &Value, source: &str, path: &str, causes: &mut Vec<Cause>) {
    let kinds = ["Utilization", "Value", "AverageValue"];
    let kind = text(target, "type");
    if kind.is_empty() {
        let detail = "must specify a metric target type";
        causes.push(Cause::required(format!("{path}.type"), detail));
    } else if !kinds.contains(&kind) {
        let detail = "must be either Utilization, Value, or AverageValue";
        causes.push(Cause::invalid(format!("{path}.type"), &json!(kind), detail));
    }
    let share = &target["averageUtilization"];
    for field in ["averageUtilization", "value", "averageValue"] {
        let value = &target[field];
        let not_positive = match value {
            Value::Null => false,
            Value::Number(number) if field == "averageUtilization" => number.as_i64() < Some(1),
            value => rules::quantity(value, &format!("{path}.{field}"), causes) == Some(0),
        };
        if not_positive {
            let (path, detail) = (format!("{path}.{field}"), "must be greater than 0");
            causes.push(Cause::invalid(path, value, detail));
        }
    }
    let (average, value) = (
        !target["averageValue"].is_null(),
        !target["value"].is_null(),
    );
    match source {
        "resource" | "containerResource" => match (!share.is_null(), average) {
            (true, true) => causes.push(Cause::forbidden(
                format!("{path}.averageValue"),
                "may not set both a target raw value and a target utilization",
            )),
            (false, false) => causes.push(Cause::required(
                format!("{path}.averageUtilization"),
                "must set either a target raw value or a target utilization",
            )),
            _ => {}
        },
        "pods" if !average => causes.push(Cause::required(
            format!("{path}.averageValue"),
            "must specify a positive target averageValue",
        )),
        "object" | "external" if !average && !value => causes.push(Cause::required(
            format!("{path}.averageValue"),
            "must set either a target value or averageValue",
        )),
        _ => {}
    }
}

fn scaling_rules(rules: &Value, path: &str, causes: &mut Vec<Cause>) {
    if rules.is_null() {
        return;
    }
    let mut within = |value: &Value, field: String, least: i64, most: i64| match value.as_i64() {
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
    };
    let window = format!("{path}.stabilizationWindowSeconds");
    within(
        &rules["stabilizationWindowSeconds"],
        window,
        0,
        STABILIZATION_MAX,
    );
    let policies = elements(rules, "policies", path);
    for (path, policy) in &policies {
        within(&policy["value"], format!("{path}.value"), 1, i64::MAX);
        let period = format!("{path}.periodSeconds");
        within(&policy["periodSeconds"], period, 1, PERIOD_MAX);
    }
    let choices = ["Max", "Min", "Disabled"];
    super::rules::one_of(rules, "selectPolicy", &choices, path, causes);
    if policies.is_empty() {
        let detail = "must specify at least one Policy";
        causes.push(Cause::required(format!("{path}.policies"), detail));
    }
    for (path, policy) in policies {
        super::rules::one_of(policy, "type", &["Pods", "Percent"], &path, causes);
    }
}

pub(super) fn priority_class(object: &Value, causes: &mut Vec<Cause>) {
    let name = text(&object["metadata"], "name");
    let value = object["value"].as_i64().unwrap_or(0);
    if name.starts_with(priority::SYSTEM_PREFIX) {
        let is_default = object["globalDefault"] == json!(true);
        if let Err(why) = priority::check_system_class(name, value, is_default) {
            let detail = format!(
                "priority class names with '{}' prefix are reserved for system use only. error: {why}",
                priority::SYSTEM_PREFIX
            );
            causes.push(Cause::forbidden("metadata.name", &detail));
        }
    } else if value > priority::USER_MAX {
        let detail = format!(
            "maximum allowed value of a user defined priority is {}",
            priority::USER_MAX
        );
        causes.push(Cause::forbidden("value", &detail));
    }
    let policies = ["Never", "PreemptLowerPriority"];
    rules::one_of(object, "preemptionPolicy", &policies, "", causes);
}

pub(super) fn priority_class_changed(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if new["value"].as_i64().unwrap_or(0) != old["value"].as_i64().unwrap_or(0) {
        let detail = "may not be changed in an update.";
        causes.push(Cause::forbidden("value", detail));
    }
    rules::unchanged(new, old, "preemptionPolicy", causes);
}

pub(super) fn runtime_class(object: &Value, causes: &mut Vec<Cause>) {
    rules::label(text(object, "handler"), "handler".to_owned(), causes);
    for (name, value) in object["overhead"]["podFixed"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let path = format!("overhead.podFixed[{name}]");
        rules::quantity(value, &path, causes);
    }
}
