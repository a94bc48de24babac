//! Budgets, quotas and classes; and every kind without columns of its own.

use super::{AGE, CREATED_AT, Column, NAME, column, flag, number, plain, quantity, text};
use crate::KindRef;
use serde_json::{Value, json};

const BUDGET: &[Column] = &[
    NAME,
    column("Min Available", "string", 0)
        .about("The minimum number of pods that must be available."),
    column("Max Unavailable", "string", 0)
        .about("The maximum number of pods that may be unavailable."),
    column("Allowed Disruptions", "integer", 0)
        .about("Calculated number of pods that may be disrupted at this time."),
    AGE,
];
const QUOTA: &[Column] = &[
    NAME,
    column("Request", "string", 0).about(
        "Request represents a minimum amount of cpu/memory that a container may consume.",
    ),
    column("Limit", "string", 0).about(
        "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
    ),
    AGE,
];
const PRIORITY_CLASS: &[Column] = &[
    NAME,
    column("Value", "integer", 0),
    column("Global-Default", "boolean", 0),
    AGE,
    column("PreemptionPolicy", "string", 0),
];
const RUNTIME_CLASS: &[Column] = &[NAME, column("Handler", "string", 0), AGE];

pub(super) fn columns(kind: KindRef) -> &'static [Column] {
    match kind.kind {
        "PodDisruptionBudget" => BUDGET,
        "ResourceQuota" => QUOTA,
        "PriorityClass" => PRIORITY_CLASS,
        "RuntimeClass" => RUNTIME_CLASS,
        _ => const { &[NAME, CREATED_AT] },
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
        let used = quantity(&status["used"][name], "0");
        let shown = format!("{name}: {used}/{}", quantity(hard, "0"));
        if name.starts_with("limits.") {
            limits.push(shown);
        } else {
            requests.push(shown);
        }
    }
    [requests.join(", "), limits.join(", ")]
}
