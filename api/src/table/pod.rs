//! The row of a pod: the STATUS column sums up what its containers do.

use super::{human_duration, or_none, since, text};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What the containers say together.
struct Summary {
    reason: String,
    ready: usize,
    restarts: Restarts,
}

#[derive(Debug, Default)]
struct Restarts {
    times: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn count(&mut self, status: &Value) {
        self.times += status["restartCount"].as_i64().unwrap_or(0);
        let ended = text(status, "/lastState/terminated/finishedAt");
        self.last = self.last.max(ended.parse().ok());
    }
}

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = summarize(pod);
    let list = |name: &str| pod["spec"][name].as_array().into_iter().flatten();
    let total =
        list("containers").count() + list("initContainers").filter(|c| is_sidecar(c)).count();
    let restarts = match summary.restarts {
        Restarts {
            times,
            last: Some(last),
        } if times > 0 => {
            let ago = human_duration(now.duration_since(last).as_secs());
            format!("{times} ({ago} ago)")
        }
        Restarts { times, .. } => times.to_string(),
    };
    let wide = |pointer: &str| json!(or_none(text(pod, pointer).to_owned()));
    vec![
        json!(text(pod, "/metadata/name")),
        json!(format!("{}/{total}", summary.ready)),
        json!(summary.reason),
        json!(restarts),
        json!(since(text(pod, "/metadata/creationTimestamp"), now)),
        wide("/status/podIP"),
        wide("/spec/nodeName"),
        wide("/status/nominatedNodeName"),
        json!(readiness_gates(pod)),
    ]
}

/// What a row says of a pod that has ended: a client may leave it out.
pub(super) fn conditions(pod: &Value) -> Option<Value> {
    let phase = text(pod, "/status/phase");
    let message = match phase {
        "Succeeded" => "The pod has completed successfully.",
        "Failed" => "The pod failed.",
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}]))
}

/// How many of the conditions that have to be true are.
fn readiness_gates(pod: &Value) -> String {
    let gates = pod["spec"]["readinessGates"].as_array();
    let Some(gates) = gates.filter(|gates| !gates.is_empty()) else {
        return "<none>".to_owned();
    };
    let is_true = |gate: &&Value| {
        let own = |condition: &&Value| condition["type"] == gate["conditionType"];
        statuses(pod, "conditions")
            .find(own)
            .is_some_and(|condition| condition["status"] == "True")
    };
    format!("{}/{}", gates.iter().filter(is_true).count(), gates.len())
}

/// An init container that goes on beside the others (KEP-753).
fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn has_condition(pod: &Value, kind: &str) -> bool {
    statuses(pod, "conditions")
        .any(|condition| condition["type"] == kind && condition["status"] == "True")
}

fn statuses<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    pod["status"][list].as_array().into_iter().flatten()
}

fn summarize(pod: &Value) -> Summary {
    let reason = match text(pod, "/status/reason") {
        "" => text(pod, "/status/phase"),
        reason => reason,
    };
    let is_gate = |one: &Value| one["type"] == "PodScheduled" && one["reason"] == "SchedulingGated";
    let reason = if statuses(pod, "conditions").any(is_gate) {
        "SchedulingGated"
    } else {
        reason
    };
    let mut summary = Summary {
        reason: reason.to_owned(),
        ready: 0,
        restarts: Restarts::default(),
    };
    let mut sidecars = Restarts::default();
    let initializing = init_containers(pod, &mut summary, &mut sidecars);
    if !initializing || has_condition(pod, "Initialized") {
        summary.restarts = sidecars;
        containers(pod, &mut summary);
    }
    let is_deleting = pod["metadata"]
        .get("deletionTimestamp")
        .is_some_and(|at| !at.is_null());
    let has_ended = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    if is_deleting && text(pod, "/status/reason") == "NodeLost" {
        summary.reason = "Unknown".to_owned();
    } else if is_deleting && !has_ended {
        summary.reason = "Terminating".to_owned();
    }
    summary
}

fn terminated(state: &Value, prefix: &str) -> String {
    let reason = state["reason"].as_str().unwrap_or_default();
    match (reason, state["signal"].as_i64().unwrap_or(0)) {
        ("", 0) => format!(
            "{prefix}ExitCode:{}",
            state["exitCode"].as_i64().unwrap_or(0)
        ),
        ("", signal) => format!("{prefix}Signal:{signal}"),
        (reason, _) => format!("{prefix}{reason}"),
    }
}

/// True while an init container keeps the others from starting.
fn init_containers(pod: &Value, summary: &mut Summary, sidecars: &mut Restarts) -> bool {
    let specs = pod["spec"]["initContainers"].as_array();
    let specs = specs.map_or(&[][..], Vec::as_slice);
    for (index, status) in statuses(pod, "initContainerStatuses").enumerate() {
        summary.restarts.count(status);
        let own = |spec: &&Value| spec["name"] == status["name"];
        let is_sidecar = specs.iter().find(own).is_some_and(is_sidecar);
        if is_sidecar {
            sidecars.count(status);
        }
        let ended = &status["state"]["terminated"];
        if ended["exitCode"].as_i64() == Some(0) && !ended.is_null() {
            continue;
        }
        if is_sidecar && status["started"] == true {
            summary.ready += usize::from(status["ready"] == true);
            continue;
        }
        let waiting = text(status, "/state/waiting/reason");
        summary.reason = if !ended.is_null() {
            terminated(ended, "Init:")
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", specs.len())
        };
        return true;
    }
    false
}

fn containers(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    let all: Vec<&Value> = statuses(pod, "containerStatuses").collect();
    for status in all.into_iter().rev() {
        summary.restarts.count(status);
        let state = &status["state"];
        let waiting = text(state, "/waiting/reason");
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if !state["terminated"].is_null() {
            summary.reason = terminated(&state["terminated"], "");
        } else if status["ready"] == true && !state["running"].is_null() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && running {
        let ready = has_condition(pod, "Ready");
        summary.reason = if ready { "Running" } else { "NotReady" }.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pod: Value, ready: &str, status: &str, restarts: &str) {
        let now = "2026-01-01T00:10:00Z".parse().unwrap();
        let row = cells(&pod, now);
        assert_eq!(
            (row[1].as_str(), row[2].as_str(), row[3].as_str()),
            (Some(ready), Some(status), Some(restarts))
        );
    }

    fn pod(status: Value) -> Value {
        json!({"metadata": {"name": "a"}, "spec": {"containers": [{}], "initContainers": [{}, {}]}, "status": status})
    }

    #[test]
    fn statuses_are_upstreams() {
        check(pod(json!({"phase": "Pending"})), "0/1", "Pending", "0");
        check(
            pod(
                json!({"phase": "Running", "containerStatuses": [{"ready": true, "state": {"running": {}}}]}),
            ),
            "1/1",
            "Running",
            "0",
        );
        check(
            pod(
                json!({"phase": "Running", "containerStatuses": [{"restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:05:00Z"}}}]}),
            ),
            "0/1",
            "CrashLoopBackOff",
            "2 (5m ago)",
        );
        check(
            pod(
                json!({"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}]}),
            ),
            "0/1",
            "Completed",
            "0",
        );
        check(
            pod(
                json!({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]}),
            ),
            "0/1",
            "ExitCode:3",
            "0",
        );
        check(
            pod(
                json!({"phase": "Pending", "initContainerStatuses": [{"state": {"terminated": {"exitCode": 0}}}, {"state": {"running": {}}}]}),
            ),
            "0/1",
            "Init:1/2",
            "0",
        );
        check(
            pod(json!({"phase": "Failed", "reason": "Evicted"})),
            "0/1",
            "Evicted",
            "0",
        );
    }

    #[test]
    fn statuses_beside_the_containers() {
        let mut deleted = pod(json!({"phase": "Running"}));
        deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        check(deleted, "0/1", "Terminating", "0");
        let mut ended = pod(json!({"phase": "Succeeded"}));
        ended["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        check(ended, "0/1", "Succeeded", "0");
        let gate = json!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"});
        check(
            pod(json!({"phase": "Pending", "conditions": [gate]})),
            "0/1",
            "SchedulingGated",
            "0",
        );
        let initialized = json!({"type": "Initialized", "status": "True"});
        check(
            pod(
                json!({"phase": "Running", "conditions": [initialized], "initContainerStatuses": [{"state": {"running": {}}}],
                "containerStatuses": [{"ready": true, "state": {"running": {}}}]}),
            ),
            "1/1",
            "Init:0/2",
            "0",
        );
    }

    #[test]
    fn a_sidecar_counts() {
        let status = |started: bool| {
            json!({"phase": "Running", "initContainerStatuses": [{"name": "s", "started": started, "ready": true, "restartCount": 3,
                "state": {"running": {}}}], "containerStatuses": [{"restartCount": 1, "ready": true, "state": {"running": {}}}]})
        };
        let mut value = pod(status(true));
        value["spec"]["initContainers"] = json!([{"name": "s", "restartPolicy": "Always"}]);
        check(value.clone(), "2/2", "Running", "4");
        value["status"] = status(false);
        check(value, "0/2", "Init:0/1", "3");
    }

    #[test]
    fn a_row_says_that_its_pod_has_ended() {
        let of = |phase: &str| conditions(&pod(json!({"phase": phase})));
        assert_eq!(of("Running"), None);
        assert_eq!(of("Failed").unwrap()[0]["message"], "The pod failed.");
        assert_eq!(of("Succeeded").unwrap()[0]["reason"], "Succeeded");
    }

    #[test]
    fn gates_of_readiness_are_counted() {
        let conditions = json!([{"type": "a", "status": "True"}, {"type": "b", "status": "False"}]);
        let mut value = pod(json!({"conditions": conditions}));
        assert_eq!(readiness_gates(&value), "<none>");
        let gates = ["a", "b", "c"].map(|name| json!({"conditionType": name}));
        value["spec"]["readinessGates"] = json!(gates);
        assert_eq!(readiness_gates(&value), "1/3");
    }
}
