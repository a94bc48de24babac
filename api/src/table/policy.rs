//! Budgets, quotas and classes; and every kind without columns of its own.

use super::{AGE, Column, NAME, column, flag, number, plain, text};
use crate::KindRef;
use serde_json::{Value, json};

const BUDGET: &[Column] = &[
    NAME,
    column("Min Available", "string", 0),
    column("Max Unavailable", "string", 0),
    column("Allowed Disruptions", "integer", 0),
    AGE,
];
const QUOTA: &[Column] = &[
    NAME,
    column("Request", "string", 0),
    column("Limit", "string", 0),
    AGE,
];
const PRIORITY_CLASS: &[Column] = &[
    NAME,
    column("Value", "integer", 0),
    column("Global-Default", "boolean", 0),
    AGE,
    column("PreemptionPolicy", "string", 1),
];
const RUNTIME_CLASS: &[Column] = &[NAME, column("Handler", "string", 0), AGE];

pub(super) fn columns(kind: KindRef) -> &'static [Column] {
    match kind.kind {
        "PodDisruptionBudget" => BUDGET,
        "ResourceQuota" => QUOTA,
        "PriorityClass" => PRIORITY_CLASS,
        "RuntimeClass" => RUNTIME_CLASS,
        _ => const { &[NAME, column("Created At", "date", 0)] },
    }
}

pub(super) fn cells(kind: KindRef, object: &Value, age: Value) -> Vec<Value> {
    let name = json!(text(object, "/metadata/name"));
    match kind.kind {
        "PodDisruptionBudget" => vec![
            name,
            json!(plain(&object["spec"]["minAvailable"], "N/A")),
            json!(plain(&object["spec"]["maxUnavailable"], "N/A")),
            json!(number(object, "/status/disruptionsAllowed")),
            age,
        ],
        "ResourceQuota" => {
            let [requests, limits] = quota(&object["status"]);
            vec![name, json!(requests), json!(limits), age]
        }
        "PriorityClass" => vec![
            name,
            json!(number(object, "/value")),
            flag(object, "/globalDefault"),
            age,
            json!(text(object, "/preemptionPolicy")),
        ],
        "RuntimeClass" => vec![name, json!(text(object, "/handler")), age],
        _ => vec![name, json!(text(object, "/metadata/creationTimestamp"))],
    }
}

/// What is used of what is allowed: requests and everything else, and limits.
fn quota(status: &Value) -> [String; 2] {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in status["hard"].as_object().into_iter().flatten() {
        let used = plain(&status["used"][name], "0");
        let shown = format!("{name}: {used}/{}", plain(hard, "0"));
        if name.starts_with("limits.") {
            limits.push(shown);
        } else {
            requests.push(shown);
        }
    }
    [requests.join(", "), limits.join(", ")]
}
