//! Budgets, PriorityClasses and RuntimeClasses.

use super::{elements, meta, pod, rules, text};
use crate::{priority, status::Cause};
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
    let overhead = &object["overhead"];
    if !overhead.is_null() {
        // As if it were limits, as upstream.
        pod::limits(&overhead["podFixed"], "overhead", causes);
    }
    let scheduling = &object["scheduling"];
    let path = "scheduling.nodeSelector";
    meta::labels(&scheduling["nodeSelector"], path, causes);
    pod::tolerations(scheduling, "scheduling", causes);
    let mut seen = BTreeSet::new();
    for (path, toleration) in elements(scheduling, "tolerations", "scheduling") {
        let key = ["key", "operator", "value", "effect"].map(|field| text(toleration, field));
        if !seen.insert(key) {
            causes.push(Cause::duplicate(path, toleration));
        }
    }
}
