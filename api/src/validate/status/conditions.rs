//! `metav1.Condition`, where a kind has those.
//!
//! Source: k8s.io/apimachinery `pkg/apis/meta/v1/validation`, `ValidateConditions`.

use crate::{
    status::Cause,
    validate::{elements, meta, text},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const STATES: [&str; 3] = ["False", "True", "Unknown"];
const REASON: &str = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
const REASON_BYTES_MAX: usize = 1024;
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

pub(super) fn check(status: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (path, condition) in elements(status, "conditions", path) {
        let kind = text(condition, "type");
        if !seen.insert(kind) {
            causes.push(Cause::duplicate(&*path, &json!(kind)));
        }
        one(condition, &path, causes);
    }
}

fn one(condition: &Value, path: &str, causes: &mut Vec<Cause>) {
    let kind = text(condition, "type");
    let field = |name: &str| format!("{path}.{name}");
    if kind.is_empty() {
        causes.push(Cause::required(field("type"), "is required"));
    } else {
        meta::qualified_name(kind, &json!(kind), &field("type"), causes);
    }
    match text(condition, "status") {
        "" => causes.push(Cause::required(field("status"), "")),
        state if !STATES.contains(&state) => {
            causes.push(Cause::unsupported(field("status"), &json!(state), &STATES));
        }
        _ => {}
    }
    let observed = &condition["observedGeneration"];
    if observed.as_i64().is_some_and(|number| number < 0) {
        let detail = "must be greater than or equal to zero";
        causes.push(Cause::invalid(
            field("observedGeneration"),
            observed,
            detail,
        ));
    }
    if text(condition, "lastTransitionTime").is_empty() {
        causes.push(Cause::required(field("lastTransitionTime"), ""));
    }
    let reason = text(condition, "reason");
    if reason.is_empty() {
        causes.push(Cause::required(field("reason"), ""));
    } else if !is_reason(reason) {
        causes.push(Cause::invalid(field("reason"), &json!(reason), REASON));
    }
    if reason.len() > REASON_BYTES_MAX {
        causes.push(Cause::too_long(field("reason"), REASON_BYTES_MAX));
    }
    if text(condition, "message").len() > MESSAGE_BYTES_MAX {
        causes.push(Cause::too_long(field("message"), MESSAGE_BYTES_MAX));
    }
}

fn is_reason(reason: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || b"_,:".contains(&b);
    reason.starts_with(|c: char| c.is_ascii_alphabetic())
        && reason.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && reason.bytes().all(is_inner)
}
