//! The row of a pod: the STATUS column sums up what its containers do.

use super::{human_duration, or_none, since, text};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What the containers say together.
struct Summary {
    reason: String,
    ready: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = summarize(pod);
    let total = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    let restarts = match summary.last_restart {
        Some(at) if summary.restarts > 0 => {
            format!(
                "{} ({} ago)",
                summary.restarts,
                human_duration(now.duration_since(at).as_secs())
            )
        }
        _ => summary.restarts.to_string(),
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
        json!("<none>"),
    ]
}

fn statuses<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    pod["status"][list].as_array().into_iter().flatten()
}

fn summarize(pod: &Value) -> Summary {
    let reason = match text(pod, "/status/reason") {
        "" => text(pod, "/status/phase"),
        reason => reason,
    };
    let mut summary = Summary {
        reason: reason.to_owned(),
        ready: 0,
        restarts: 0,
        last_restart: None,
    };
    let initializing = init_containers(pod, &mut summary);
    if !initializing {
        containers(pod, &mut summary);
    }
    if pod["metadata"]
        .get("deletionTimestamp")
        .is_some_and(|at| !at.is_null())
    {
        let lost = text(pod, "/status/reason") == "NodeLost";
        summary.reason = if lost {
            "Unknown".to_owned()
        } else {
            "Terminating".to_owned()
        };
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
fn init_containers(pod: &Value, summary: &mut Summary) -> bool {
    let total = pod["spec"]["initContainers"].as_array().map_or(0, Vec::len);
    for (index, status) in statuses(pod, "initContainerStatuses").enumerate() {
        count_restarts(status, summary);
        let ended = &status["state"]["terminated"];
        if ended["exitCode"].as_i64() == Some(0) && !ended.is_null() {
            continue;
        }
        let waiting = status["state"]["waiting"]["reason"]
            .as_str()
            .unwrap_or_default();
        summary.reason = if !ended.is_null() {
            terminated(ended, "Init:")
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{total}")
        };
        return true;
    }
    false
}

fn count_restarts(status: &Value, summary: &mut Summary) {
    summary.restarts += status["restartCount"].as_i64().unwrap_or(0);
    let finished = text(status, "/lastState/terminated/finishedAt")
        .parse::<Timestamp>()
        .ok();
    summary.last_restart = summary.last_restart.max(finished);
}

fn containers(pod: &Value, summary: &mut Summary) {
    summary.restarts = 0;
    let mut running = false;
    let all: Vec<&Value> = statuses(pod, "containerStatuses").collect();
    for status in all.into_iter().rev() {
        count_restarts(status, summary);
        let state = &status["state"];
        let waiting = state["waiting"]["reason"].as_str().unwrap_or_default();
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if !state["terminated"].is_null() {
            summary.reason = terminated(&state["terminated"], "");
        } else if status["ready"] == json!(true) && !state["running"].is_null() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && running {
        let ready = pod["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        summary.reason = if ready {
            "Running".to_owned()
        } else {
            "NotReady".to_owned()
        };
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
        let mut deleted = pod(json!({"phase": "Running"}));
        deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        check(deleted, "0/1", "Terminating", "0");
    }
}
