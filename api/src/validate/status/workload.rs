//! What a workload's controller counts.

use crate::{status::Cause, validate::rules};
use serde_json::{Value, json};

const OF_ALL: &str = "cannot be greater than status.replicas";
const OF_READY: &str = "cannot be greater than readyReplicas";

/// Numbers of a status, and of which none is greater than another, with what is said of it.
struct Numbers {
    fields: &'static [&'static str],
    order: &'static [(&'static str, &'static str, &'static str)],
}

const DEPLOYMENT: Numbers = Numbers {
    fields: &[
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ],
    order: &[
        ("updatedReplicas", "replicas", OF_ALL),
        ("readyReplicas", "replicas", OF_ALL),
        ("availableReplicas", "replicas", OF_ALL),
        ("availableReplicas", "readyReplicas", OF_READY),
    ],
};

/// Of ReplicaSets and ReplicationControllers.
const REPLICA_SET: Numbers = Numbers {
    fields: &[
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "terminatingReplicas",
        "observedGeneration",
    ],
    order: &[
        ("fullyLabeledReplicas", "replicas", OF_ALL),
        ("readyReplicas", "replicas", OF_ALL),
        ("availableReplicas", "replicas", OF_ALL),
        ("availableReplicas", "readyReplicas", OF_READY),
    ],
};

const DAEMON_SET: Numbers = Numbers {
    fields: &[
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ],
    order: &[],
};

const STATEFUL_SET: Numbers = Numbers {
    fields: &[
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ],
    order: &[
        ("readyReplicas", "replicas", OF_ALL),
        ("currentReplicas", "replicas", OF_ALL),
        ("updatedReplicas", "replicas", OF_ALL),
        ("availableReplicas", "replicas", OF_ALL),
        (
            "availableReplicas",
            "readyReplicas",
            "cannot be greater than status.readyReplicas",
        ),
    ],
};

pub(super) fn check(kind: &str, new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let numbers = match kind {
        "Deployment" => DEPLOYMENT,
        "ReplicaSet" | "ReplicationController" => REPLICA_SET,
        "DaemonSet" => DAEMON_SET,
        "StatefulSet" => STATEFUL_SET,
        _ => return,
    };
    let status = &new["status"];
    rules::not_negative(status, numbers.fields, "status", causes);
    let number = |field: &str| status[field].as_i64().unwrap_or_default();
    for (field, most, detail) in numbers.order {
        if number(field) > number(most) {
            let value = json!(number(field));
            causes.push(Cause::invalid(format!("status.{field}"), &value, detail));
        }
    }
    // Only those that have it count collisions.
    let collisions = |of: &Value| of["status"]["collisionCount"].as_i64();
    let (now, before) = (collisions(new), collisions(old));
    if before.is_some_and(|before| now.is_none_or(|now| now < before)) {
        let (value, detail) = (json!(now.unwrap_or_default()), "cannot be decremented");
        causes.push(Cause::invalid("status.collisionCount", &value, detail));
    }
}
