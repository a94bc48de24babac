//! The status of a Deployment: counts, and what its conditions say of a rollout. Pure.
//!
//! Source: k8s.io/kubernetes `pkg/controller/deployment/{progress,sync}.go`. The reasons and messages
//! are what `kubectl rollout status` and kstatus read.

use super::rollout::{SetFacts, Wanted};
use coracle_api::k8s_openapi::api::apps::v1::DeploymentSpec;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// What this run did about the ReplicaSet of the current template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    Nothing,
    Created { name: String },
    NotCreated { name: String, why: String },
}

/// What the status is made of.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) name: &'a str,
    pub(super) generation: i64,
    pub(super) old: &'a Value,
    pub(super) wanted: &'a Wanted,
    pub(super) sets: &'a [SetFacts],
    pub(super) news: &'a News,
    /// Seconds without progress that are too many; none: any number may pass.
    pub(super) deadline_secs: Option<i32>,
    /// False while the Deployment is scaled, paused or deleted: then no progress is judged.
    pub(super) is_rollout: bool,
    pub(super) now: Timestamp,
}

/// Seconds until lack of progress is a failure, if that is asked for.
pub(super) fn deadline_secs(spec: &DeploymentSpec) -> Option<i32> {
    spec.progress_deadline_seconds
        .filter(|secs| *secs != i32::MAX)
}

/// By a status as it was written: the rollout is over.
pub(super) fn is_complete(status: &Value, generation: i64, replicas: i32) -> bool {
    let number = |name: &str| status[name].as_i64().unwrap_or(0);
    let wanted = i64::from(replicas);
    number("updatedReplicas") == wanted
        && number("replicas") == wanted
        && number("availableReplicas") == wanted
        && number("observedGeneration") >= generation
}

/// The new status, and when to look again at a rollout that stands still.
pub(super) fn render(facts: &Facts<'_>) -> (Value, Option<Duration>) {
    let mut status = counts(facts);
    let mut conditions = Conditions {
        all: facts.old["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default(),
        now: facts.now,
    };
    mark_paused(facts, &mut conditions);
    mark_news(facts, &mut conditions);
    let missing = i64::from(facts.wanted.replicas - facts.wanted.unavailable_max());
    if status["availableReplicas"].as_i64().unwrap_or(0) >= missing {
        let message = "Deployment has minimum availability.";
        conditions.set(AVAILABLE, "True", "MinimumReplicasAvailable", message);
    } else {
        let message = "Deployment does not have minimum availability.";
        conditions.set(AVAILABLE, "False", "MinimumReplicasUnavailable", message);
    }
    let mut again = None;
    if facts.is_rollout {
        mark_progress(facts, &status, &mut conditions);
        mark_failure(facts, &mut conditions);
        again = look_again(facts, &status, &conditions);
    }
    if !conditions.all.is_empty() {
        status["conditions"] = Value::Array(conditions.all);
    }
    (status, again)
}

fn counts(facts: &Facts<'_>) -> Value {
    let sum = |number: fn(&SetFacts) -> i32| -> i64 {
        facts.sets.iter().map(|set| i64::from(number(set))).sum()
    };
    let available = sum(|set| set.available);
    let updated: i64 = facts
        .sets
        .iter()
        .filter(|set| set.is_new)
        .map(|set| i64::from(set.actual))
        .sum();
    let numbers = [
        ("replicas", sum(|set| set.actual)),
        ("updatedReplicas", updated),
        ("readyReplicas", sum(|set| set.ready)),
        ("availableReplicas", available),
        (
            "unavailableReplicas",
            (sum(|set| set.replicas) - available).max(0),
        ),
    ];
    let mut status = json!({
        "observedGeneration": facts.generation,
        "terminatingReplicas": sum(|set| set.terminating),
    });
    for (name, number) in numbers {
        if number > 0 {
            status[name] = json!(number);
        }
    }
    if !facts.old["collisionCount"].is_null() {
        status["collisionCount"] = facts.old["collisionCount"].clone();
    }
    status
}

/// The conditions of a Deployment, under upstream's rule: the same status and reason change nothing.
struct Conditions {
    all: Vec<Value>,
    now: Timestamp,
}

impl Conditions {
    fn get(&self, name: &str) -> Option<&Value> {
        self.all.iter().find(|condition| condition["type"] == name)
    }

    fn reason(&self, name: &str) -> Option<&str> {
        self.get(name)?["reason"].as_str()
    }

    fn set(&mut self, name: &str, status: &str, reason: &str, message: &str) {
        let time = coracle_api::time(self.now);
        let mut since = json!(time);
        if let Some(current) = self.get(name) {
            if current["status"] == status && current["reason"] == reason {
                return;
            }
            if current["status"] == status {
                since = current["lastTransitionTime"].clone();
            }
        }
        self.remove(name);
        self.all.push(json!({
            "type": name, "status": status, "reason": reason, "message": message,
            "lastUpdateTime": time, "lastTransitionTime": since,
        }));
    }

    fn remove(&mut self, name: &str) {
        self.all.retain(|condition| condition["type"] != name);
    }
}

/// A pause stops the clock of the deadline; what has timed out stays so.
fn mark_paused(facts: &Facts<'_>, conditions: &mut Conditions) {
    let reason = conditions.reason(PROGRESSING).map(str::to_owned);
    if facts.wanted.is_deleting
        || facts.deadline_secs.is_none()
        || reason.as_deref() == Some(TIMED_OUT)
    {
        return;
    }
    let was_paused = reason.as_deref() == Some(PAUSED);
    if facts.wanted.is_paused && !was_paused {
        conditions.set(PROGRESSING, "Unknown", PAUSED, "Deployment is paused");
    } else if !facts.wanted.is_paused && was_paused {
        let message = "Deployment is resumed";
        conditions.set(PROGRESSING, "Unknown", "DeploymentResumed", message);
    }
}

fn mark_news(facts: &Facts<'_>, conditions: &mut Conditions) {
    if facts.deadline_secs.is_none() {
        return;
    }
    match facts.news {
        News::Created { name } => {
            let message = format!("Created new replica set {name:?}");
            conditions.set(PROGRESSING, "True", "NewReplicaSetCreated", &message);
        }
        News::NotCreated { name, why } => {
            let message = format!("Failed to create new replica set {name:?}: {why}");
            conditions.set(PROGRESSING, "False", "ReplicaSetCreateError", &message);
        }
        News::Nothing if conditions.get(PROGRESSING).is_none() => {
            if let Some(new) = facts.sets.iter().find(|set| set.is_new) {
                let message = format!("Found new replica set {:?}", new.name);
                conditions.set(PROGRESSING, "True", "FoundNewReplicaSet", &message);
            }
        }
        News::Nothing => {}
    }
}

fn mark_progress(facts: &Facts<'_>, status: &Value, conditions: &mut Conditions) {
    if facts.deadline_secs.is_none() {
        conditions.remove(PROGRESSING);
        return;
    }
    if matches!(facts.news, News::NotCreated { .. }) {
        return;
    }
    let number = |status: &Value, name: &str| status[name].as_i64().unwrap_or(0);
    let is_over = number(status, "replicas") == number(status, "updatedReplicas")
        && conditions.reason(PROGRESSING) == Some(NEW_SET_AVAILABLE);
    if is_over {
        return;
    }
    let what = match facts.sets.iter().find(|set| set.is_new) {
        Some(new) => format!("ReplicaSet {:?}", new.name),
        None => format!("Deployment {:?}", facts.name),
    };
    let old_pods = |status: &Value| number(status, "replicas") - number(status, "updatedReplicas");
    let grew = |name: &str| number(status, name) > number(facts.old, name);
    let progresses = grew("updatedReplicas")
        || grew("readyReplicas")
        || grew("availableReplicas")
        || old_pods(status) < old_pods(facts.old);
    if is_complete(status, facts.generation, facts.wanted.replicas) {
        let message = format!("{what} has successfully progressed.");
        conditions.set(PROGRESSING, "True", NEW_SET_AVAILABLE, &message);
    } else if progresses {
        // Each step of progress starts the clock anew, though nothing else of the condition changes.
        let since = conditions
            .get(PROGRESSING)
            .filter(|current| current["status"] == "True")
            .map(|current| current["lastTransitionTime"].clone());
        conditions.remove(PROGRESSING);
        let message = format!("{what} is progressing.");
        conditions.set(PROGRESSING, "True", "ReplicaSetUpdated", &message);
        if let (Some(since), Some(condition)) = (since, conditions.all.last_mut()) {
            condition["lastTransitionTime"] = since;
        }
    } else if has_timed_out(facts, conditions) {
        let message = format!("{what} has timed out progressing.");
        conditions.set(PROGRESSING, "False", TIMED_OUT, &message);
    }
}

/// When the deadline of the current step ends.
fn deadline(facts: &Facts<'_>, conditions: &Conditions) -> Option<Timestamp> {
    let updated = conditions.get(PROGRESSING)?["lastUpdateTime"].as_str()?;
    let updated: Timestamp = updated.parse().ok()?;
    let secs = i64::from(facts.deadline_secs?);
    updated.checked_add(SignedDuration::from_secs(secs)).ok()
}

fn has_timed_out(facts: &Facts<'_>, conditions: &Conditions) -> bool {
    match conditions.reason(PROGRESSING) {
        None | Some(NEW_SET_AVAILABLE) => false,
        Some(TIMED_OUT) => true,
        Some(_) => deadline(facts, conditions).is_some_and(|end| end < facts.now),
    }
}

fn look_again(facts: &Facts<'_>, status: &Value, conditions: &Conditions) -> Option<Duration> {
    let is_over = is_complete(status, facts.generation, facts.wanted.replicas)
        || matches!(
            conditions.reason(PROGRESSING),
            Some(TIMED_OUT | NEW_SET_AVAILABLE)
        );
    let end = deadline(facts, conditions).filter(|_| !is_over)?;
    let left = Duration::try_from(end.duration_since(facts.now)).unwrap_or_default();
    Some(left + Duration::from_secs(1))
}

/// The first failure of a ReplicaSet, the current one's before others'.
fn mark_failure(facts: &Facts<'_>, conditions: &mut Conditions) {
    let new = facts.sets.iter().filter(|set| set.is_new);
    let old = facts.sets.iter().filter(|set| !set.is_new);
    let Some(failure) = new.chain(old).find_map(|set| set.failure.as_ref()) else {
        conditions.remove(REPLICA_FAILURE);
        return;
    };
    let text = |name: &str| failure[name].as_str().unwrap_or_default().to_owned();
    conditions.set(
        REPLICA_FAILURE,
        &text("status"),
        &text("reason"),
        &text("message"),
    );
}

#[cfg(test)]
mod tests;
