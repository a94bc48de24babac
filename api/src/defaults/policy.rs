//! What limits, scales and lets through: LimitRanges, autoscalers, NetworkPolicies, classes.

use super::{each, if_map, in_map, resources, set};
use crate::limits::LISTS;
use serde_json::{Map, Value, json};

pub(super) fn limit_range(spec: &mut Map<String, Value>) {
    each(spec, "limits", |item| {
        if item.get("type").and_then(Value::as_str) == Some("Container") {
            container_limits(item);
        }
        for list in LISTS {
            resources::round_up(item, list);
        }
    });
}

/// A limit that is not written is the maximum; a request that is not written is the limit, else the
/// minimum.
fn container_limits(item: &mut Map<String, Value>) {
    for (to, from) in [
        ("default", "max"),
        ("defaultRequest", "default"),
        ("defaultRequest", "min"),
    ] {
        let from = item.get(from).and_then(Value::as_object).cloned();
        for (name, value) in from.into_iter().flatten() {
            in_map(item, to, |list| set(list, &name, value));
        }
    }
}

pub(super) fn quota(object: &mut Map<String, Value>) {
    if_map(object, "spec", |spec| resources::round_up(spec, "hard"));
    if_map(object, "status", quota_status);
}

pub(super) fn quota_status(status: &mut Map<String, Value>) {
    resources::round_up(status, "hard");
    resources::round_up(status, "used");
}

pub(super) fn runtime_class(object: &mut Map<String, Value>) {
    if_map(object, "overhead", |overhead| {
        resources::round_up(overhead, "podFixed");
    });
}

pub(super) fn autoscaler(spec: &mut Map<String, Value>) {
    set(spec, "minReplicas", json!(1));
    let none = spec
        .get("metrics")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty);
    if none {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        spec.insert("metrics".to_owned(), json!([metric]));
    }
    if_map(spec, "behavior", |behavior| {
        in_map(behavior, "scaleUp", |up| {
            set(up, "stabilizationWindowSeconds", json!(0));
            set(up, "selectPolicy", json!("Max"));
            let four = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
            let double = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
            set(up, "policies", json!([four, double]));
        });
        in_map(behavior, "scaleDown", |down| {
            set(down, "selectPolicy", json!("Max"));
            let all = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
            set(down, "policies", json!([all]));
        });
    });
}

pub(super) fn network_policy(spec: &mut Map<String, Value>) {
    for rules in ["ingress", "egress"] {
        each(spec, rules, |rule| {
            each(rule, "ports", |port| set(port, "protocol", json!("TCP")));
        });
    }
    let mut types = vec!["Ingress"];
    let egress = spec.get("egress").and_then(Value::as_array);
    if egress.is_some_and(|rules| !rules.is_empty()) {
        types.push("Egress");
    }
    set(spec, "policyTypes", json!(types));
}

pub(super) fn ingress_class(spec: &mut Map<String, Value>) {
    if_map(spec, "parameters", |parameters| {
        set(parameters, "scope", json!("Cluster"));
    });
}
