//! From what an agent observed to the `status` of a pod, exactly as a kubelet writes it.
//!
//! Pure. A status of a pod that is not bound to the node, or of another uid, is always refused: a node
//! writes its own pods only. An unchanged status is never written.

use super::time;
use crate::readiness;
use coracle_api::validate::may_run_again;
use coracle_link::status::{
    Condition, ContainerState, ContainerStatus, Phase, PodStatus, Terminated,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Conditions that a kubelet owns; all others belong to whoever set them.
const OWN_CONDITIONS: [&str; 4] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
];

/// What becomes of a reported status.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// The object says the same already.
    Unchanged,
    /// This is the new status.
    Write(Value),
    /// Not this node's to say.
    Refused(&'static str),
}

/// Who reports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reporter<'a> {
    pub(crate) node: &'a str,
    /// The node's address, or empty.
    pub(crate) address: &'a str,
    /// Generation of the pod that the status was computed from, where the session still knows.
    pub(crate) generation: Option<i64>,
    pub(crate) now: Timestamp,
}

/// Decides on a status.
pub(crate) fn judge(pod: Option<&Value>, status: &PodStatus, reporter: &Reporter<'_>) -> Verdict {
    let Some(value) = pod else {
        return Verdict::Refused("there is no such pod");
    };
    if value["metadata"]["uid"] != status.uid.as_str() {
        return Verdict::Refused("the pod of this name has another uid");
    }
    if value["spec"]["nodeName"] != reporter.node {
        return Verdict::Refused("the pod is not bound to this node");
    }
    let old = &value["status"];
    let ended = matches!(old["phase"].as_str(), Some("Succeeded" | "Failed"));
    if ended && !matches!(status.phase, Phase::Succeeded | Phase::Failed) {
        return Verdict::Refused("the pod has ended; it cannot run again");
    }
    let new = merge(value, status, reporter);
    if new == *old {
        Verdict::Unchanged
    } else {
        Verdict::Write(new)
    }
}

fn merge(pod: &Value, status: &PodStatus, reporter: &Reporter<'_>) -> Value {
    let mut new = pod["status"].as_object().cloned().unwrap_or_default();
    new.insert("phase".to_owned(), phase(status.phase).into());
    set_text(&mut new, "reason", &status.reason);
    set_text(&mut new, "message", &status.message);
    if !status.pod_ip.is_empty() {
        new.insert("podIP".to_owned(), json!(status.pod_ip));
        new.insert("podIPs".to_owned(), json!([{"ip": status.pod_ip}]));
    }
    if !reporter.address.is_empty() {
        new.insert("hostIP".to_owned(), json!(reporter.address));
        new.insert("hostIPs".to_owned(), json!([{"ip": reporter.address}]));
    }
    if !new.contains_key("startTime") && status.start_time_ms > 0 {
        new.insert("startTime".to_owned(), json!(time(status.start_time_ms)));
    }
    if let Some(generation) = reporter.generation.filter(|generation| *generation > 0) {
        let known = new.get("observedGeneration").and_then(Value::as_i64);
        let newest = known.unwrap_or(0).max(generation);
        new.insert("observedGeneration".to_owned(), json!(newest));
    }
    let observed = new.get("observedGeneration").cloned();
    let conditions = conditions(pod, status, observed.as_ref(), reporter.now);
    new.insert("conditions".to_owned(), conditions);
    for (field, statuses) in [
        ("initContainerStatuses", &status.init_containers),
        ("containerStatuses", &status.containers),
    ] {
        if statuses.is_empty() {
            new.remove(field);
        } else {
            let list = statuses.iter().map(container);
            let list: Vec<Value> = list.map(|new| lasting(pod, field, new)).collect();
            new.insert(field.to_owned(), json!(list));
        }
    }
    Value::Object(new)
}

/// What a container is now; one that has ended for good stays as it ended, as a kubelet has it.
fn lasting(pod: &Value, list: &str, new: Value) -> Value {
    let mut before = pod["status"][list].as_array().into_iter().flatten();
    let Some(old) = before.find(|old| old["name"] == new["name"]) else {
        return new;
    };
    let (ended, name) = (&old["state"]["terminated"], old["name"].as_str());
    let failed = ended["exitCode"].as_i64().unwrap_or_default() != 0;
    let is_back = !ended.is_null() && new["state"]["terminated"].is_null();
    let name = name.unwrap_or_default();
    if is_back && !may_run_again(&pod["spec"], list, name, failed) {
        return old.clone();
    }
    new
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
    }
}

fn set_text(map: &mut Map<String, Value>, field: &str, text: &str) {
    if text.is_empty() {
        map.remove(field);
    } else {
        map.insert(field.to_owned(), text.into());
    }
}

/// The agent's conditions, with the transition times of those that did not change, and everyone else's.
fn conditions(pod: &Value, status: &PodStatus, observed: Option<&Value>, now: Timestamp) -> Value {
    let old: Vec<Value> = pod["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let foreign = |condition: &&Value| {
        let kind = condition["type"].as_str().unwrap_or_default();
        !OWN_CONDITIONS.contains(&kind)
    };
    let own = status
        .conditions
        .iter()
        .filter(|condition| OWN_CONDITIONS.contains(&condition.kind.as_str()));
    let own = own.map(|condition| {
        let gated = gated(pod, condition);
        let before = old.iter().find(|one| one["type"] == condition.kind);
        one_condition(&gated, before, observed, now)
    });
    let mut all: Vec<Value> = own.collect();
    all.extend(old.iter().filter(foreign).cloned());
    Value::Array(all)
}

/// A pod with readiness gates is ready only when all of them are true, as upstream.
fn gated(pod: &Value, condition: &Condition) -> Condition {
    let mut condition = condition.clone();
    if condition.kind != "Ready" || condition.status != Some(true) {
        return condition;
    }
    if let Some(message) = readiness::unmet_gates(pod) {
        condition.status = Some(false);
        readiness::GATES_NOT_READY.clone_into(&mut condition.reason);
        condition.message = message;
    }
    condition
}

/// A condition as the API shows it; its transition time moves only with its status.
pub(super) fn one_condition(
    condition: &Condition,
    before: Option<&Value>,
    observed: Option<&Value>,
    now: Timestamp,
) -> Value {
    let state = state_of(condition.status);
    let kept = before.filter(|before| before["status"] == state);
    let transition = match (kept, before) {
        (Some(kept), _) => kept["lastTransitionTime"].clone(),
        (None, Some(before)) => {
            // Someone else changed it after the agent last did: it changes back now.
            let own = time(condition.last_transition_ms);
            let late = before["lastTransitionTime"].as_str().unwrap_or_default() > own.as_str();
            json!(if late {
                time(now.as_millisecond())
            } else {
                own
            })
        }
        (None, None) => json!(time(condition.last_transition_ms)),
    };
    let mut value = json!({
        "type": condition.kind, "status": state,
        "lastProbeTime": null, "lastTransitionTime": transition,
    });
    if let Some(observed) = observed {
        value["observedGeneration"] = observed.clone();
    }
    for (field, text) in [
        ("reason", &condition.reason),
        ("message", &condition.message),
    ] {
        if !text.is_empty() {
            value[field] = json!(text);
        }
    }
    value
}

fn state_of(status: Option<bool>) -> &'static str {
    match status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}

fn container(status: &ContainerStatus) -> Value {
    let last = status
        .last_state
        .as_ref()
        .map_or_else(|| json!({}), |run| json!({"terminated": terminated(run)}));
    let mut value = json!({
        "name": status.name,
        "image": status.image,
        "imageID": status.image_id,
        "ready": status.ready,
        "started": status.started,
        "restartCount": status.restart_count,
        "state": state(&status.state),
        "lastState": last,
    });
    if !status.container_id.is_empty() {
        value["containerID"] = json!(status.container_id);
    }
    value
}

fn state(state: &ContainerState) -> Value {
    match state {
        ContainerState::Waiting { reason, message } => {
            let mut waiting = Map::new();
            set_text(&mut waiting, "reason", reason);
            set_text(&mut waiting, "message", message);
            json!({"waiting": waiting})
        }
        ContainerState::Running { started_at_ms } => {
            json!({"running": {"startedAt": time(*started_at_ms)}})
        }
        ContainerState::Terminated(run) => json!({"terminated": terminated(run)}),
    }
}

fn terminated(run: &Terminated) -> Value {
    let mut value = Map::new();
    value.insert("exitCode".to_owned(), json!(run.exit_code));
    set_text(&mut value, "reason", &run.reason);
    set_text(&mut value, "message", &run.message);
    value.insert("startedAt".to_owned(), json!(time(run.started_at_ms)));
    value.insert("finishedAt".to_owned(), json!(time(run.finished_at_ms)));
    set_text(&mut value, "containerID", &run.container_id);
    Value::Object(value)
}

#[cfg(test)]
mod tests;
