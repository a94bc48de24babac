//! Nodes and Leases.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation` (`ValidateNode`) and `pkg/apis/coordination/validation`.

use super::{elements, is_label_value, is_qualified_name, meta, rules, text};
use crate::status::Cause;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(super) fn node(object: &Value, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    // Upstream's path, although they are in the spec.
    for (path, taint) in elements(&object["spec"], "taints", "metadata") {
        let (key, effect) = (text(taint, "key"), text(taint, "effect"));
        if !is_qualified_name(key) {
            let path = format!("{path}.key");
            causes.push(Cause::invalid(path, &json!(key), meta::QUALIFIED_MESSAGE));
        }
        if !is_label_value(text(taint, "value")) {
            let path = format!("{path}.value");
            causes.push(Cause::invalid(path, &taint["value"], meta::VALUE_MESSAGE));
        }
        if effect.is_empty() {
            causes.push(Cause::required(format!("{path}.effect"), ""));
        }
        rules::one_of(taint, "effect", &EFFECTS, &path, causes);
        if !seen.insert((key, effect)) {
            let mut duplicate = Cause::duplicate(path, taint);
            duplicate
                .message
                .push_str(": taints must be unique by key and effect pair");
            causes.push(duplicate);
        }
    }
    for (path, range) in elements(&object["spec"], "podCIDRs", "spec") {
        rules::cidr(range.as_str().unwrap_or_default(), path, causes);
    }
}

pub(super) fn lease(spec: &Value, causes: &mut Vec<Cause>) {
    if let Some(seconds) = spec["leaseDurationSeconds"].as_i64()
        && seconds <= 0
    {
        let detail = "must be greater than 0";
        causes.push(Cause::invalid(
            "spec.leaseDurationSeconds",
            &json!(seconds),
            detail,
        ));
    }
    rules::not_negative(spec, &["leaseTransitions"], "spec", causes);
}
