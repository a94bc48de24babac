//! Events. What comes by `events.k8s.io/v1` has to be whole; what comes by `v1` is checked as it always was.
//!
//! Both are looked at as they are stored, and fields have their old names: upstream names them so, too.
//! Source: k8s.io/kubernetes `pkg/apis/core/validation/events.go`.

use super::{meta, rules, text};
use crate::status::Cause;
use serde_json::{Value, json};

/// Characters of an action, a reason and the instance that reports.
const WORD_MAX: usize = 128;
/// Characters of a note.
const NOTE_MAX: usize = 1024;

/// What only old Events have.
const DEPRECATED: [&str; 3] = ["firstTimestamp", "lastTimestamp", "count"];
/// What an Event keeps: all that it tells.
const FIXED: [&str; 13] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
];

/// An Event of `v1`.
pub(super) fn core(event: &Value, causes: &mut Vec<Cause>) {
    legacy(event, "reportingComponent", causes);
}

/// An Event of `events.k8s.io/v1`; of one that was there only a series that changed is looked at anew.
pub(super) fn strict(event: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    legacy(event, "reportingController", causes);
    let series = &event["series"];
    if old.is_none_or(|old| old["series"] != *series) {
        check_series(series, causes);
    }
    if old.is_some() {
        return;
    }
    if event["eventTime"].is_null() {
        causes.push(Cause::required("eventTime", ""));
    }
    let kind = text(event, "type");
    if !matches!(kind, "Normal" | "Warning") {
        let detail = format!("has invalid value: {kind}");
        causes.push(Cause::invalid("type", &json!(""), &detail));
    }
    let source = &event["source"];
    let has_source = ["component", "host"]
        .iter()
        .any(|part| !text(source, part).is_empty());
    let set = DEPRECATED
        .into_iter()
        .filter(|field| !is_zero(&event[*field]));
    for field in set.chain(has_source.then_some("source")) {
        causes.push(Cause::invalid(field, &json!(""), "needs to be unset"));
    }
}

fn check_series(series: &Value, causes: &mut Vec<Cause>) {
    if series.is_null() {
        return;
    }
    if series["count"].as_i64().unwrap_or_default() < 2 {
        let detail = "should be at least 2";
        causes.push(Cause::invalid("series.count", &json!(""), detail));
    }
    if series["lastObservedTime"].is_null() {
        causes.push(Cause::required("series.lastObservedTime", ""));
    }
}

/// What every Event keeps to. One that says when it happened says also who saw it and what they did.
fn legacy(event: &Value, controller_field: &str, causes: &mut Vec<Cause>) {
    let namespace = text(&event["metadata"], "namespace");
    let involved = text(&event["involvedObject"], "namespace");
    let is_new = !event["eventTime"].is_null();
    // An Event stands where what it is about stands; of what has no namespace, in `default`.
    let fits = match involved {
        "" if is_new => matches!(namespace, "default" | "kube-system"),
        "" => matches!(namespace, "" | "default"),
        involved => is_new || involved == namespace,
    };
    if !fits {
        causes.push(Cause::invalid(
            "involvedObject.namespace",
            &json!(involved),
            "does not match event.namespace",
        ));
    }
    if !is_new {
        return;
    }
    let controller = text(event, "reportingComponent");
    if controller.is_empty() {
        causes.push(Cause::required(controller_field, ""));
    }
    meta::qualified_name(controller, &json!(controller), controller_field, causes);
    for (field, max, needed) in [
        ("reportingInstance", WORD_MAX, true),
        ("action", WORD_MAX, true),
        ("reason", WORD_MAX, true),
        ("message", NOTE_MAX, false),
    ] {
        let value = text(event, field);
        if needed && value.is_empty() {
            causes.push(Cause::required(field, ""));
        }
        if value.len() > max {
            let detail = format!("can have at most {max} characters");
            causes.push(Cause::invalid(field, &json!(""), &detail));
        }
    }
}

/// Of an Event of `events.k8s.io/v1` nothing changes but its series and its metadata.
pub(super) fn unchanged(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for field in FIXED {
        let (now, was) = (&new[field], &old[field]);
        let shown = match field {
            "reportingComponent" => "reportingController",
            other => other,
        };
        if !(is_zero(now) && is_zero(was)) {
            rules::immutable(now, was, shown, causes);
        }
    }
}

/// What Go does not tell from what is not there.
fn is_zero(value: &Value) -> bool {
    rules::is_absent(value) || *value == json!(0) || *value == json!("")
}
