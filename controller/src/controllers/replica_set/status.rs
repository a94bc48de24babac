//! The status of a ReplicaSet from its pods. Pure.
//!
//! Source: k8s.io/kubernetes `pkg/controller/replicaset/replica_set_utils.go`.

use super::PodFacts;
use coracle_api::{StatusError, k8s_openapi::api::apps::v1::ReplicaSet};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// The pods of a set, counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) replicas: usize,
    pub(super) fully_labeled: usize,
    pub(super) ready: usize,
    pub(super) available: usize,
    pub(super) terminating: usize,
    /// When the next ready pod becomes available.
    pub(super) next_available: Option<Duration>,
}

pub(super) fn count(
    set: &ReplicaSet,
    pods: &[(PodFacts, &BTreeMap<String, String>)],
    now: Timestamp,
) -> Counts {
    let spec = set.spec.as_ref();
    let template = spec.and_then(|spec| spec.template.as_ref()?.metadata.as_ref()?.labels.as_ref());
    let min_ready = spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let min_ready = Duration::from_secs(u64::try_from(min_ready).unwrap_or(0));
    let mut counts = Counts::default();
    for (pod, labels) in pods {
        counts.terminating += usize::from(pod.is_terminating());
        if !pod.is_active() {
            continue;
        }
        counts.replicas += 1;
        let labelled = template
            .into_iter()
            .flatten()
            .all(|(key, value)| labels.get(key) == Some(value));
        counts.fully_labeled += usize::from(labelled);
        counts.ready += usize::from(pod.is_ready);
        if pod.is_available(min_ready, now) {
            counts.available += 1;
        } else if let Some(wait) = pod.available_in(min_ready, now) {
            let sooner = counts.next_available.map_or(wait, |other| other.min(wait));
            counts.next_available = Some(sooner);
        }
    }
    counts
}

/// The status as upstream writes it: zeros are left out, but for `replicas`.
pub(super) fn render(
    counts: &Counts,
    set: &ReplicaSet,
    old: &Value,
    failure: Option<&StatusError>,
    now: Timestamp,
) -> Value {
    let mut status =
        json!({"replicas": counts.replicas, "terminatingReplicas": counts.terminating});
    let optional = [
        ("fullyLabeledReplicas", counts.fully_labeled),
        ("readyReplicas", counts.ready),
        ("availableReplicas", counts.available),
    ];
    for (name, number) in optional {
        if number > 0 {
            status[name] = json!(number);
        }
    }
    if let Some(generation) = set.metadata.generation {
        status["observedGeneration"] = json!(generation);
    }
    let conditions = conditions(counts, set, old, failure, now);
    if !conditions.is_empty() {
        status["conditions"] = Value::Array(conditions);
    }
    status
}

/// `ReplicaFailure` stands from the first failure until a run without one.
fn conditions(
    counts: &Counts,
    set: &ReplicaSet,
    old: &Value,
    failure: Option<&StatusError>,
    now: Timestamp,
) -> Vec<Value> {
    let all = old["conditions"].as_array().cloned().unwrap_or_default();
    let (failures, mut kept): (Vec<Value>, Vec<Value>) = all
        .into_iter()
        .partition(|condition| condition["type"] == "ReplicaFailure");
    let Some(failure) = failure else { return kept };
    let desired = set
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let desired = usize::try_from(desired).unwrap_or(0);
    let reason = if counts.replicas < desired {
        "FailedCreate"
    } else {
        "FailedDelete"
    };
    kept.push(failures.into_iter().next().unwrap_or_else(|| {
        json!({
            "type": "ReplicaFailure",
            "status": "True",
            "lastTransitionTime": coracle_api::time(now),
            "reason": reason,
            "message": failure.message,
        })
    }));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::pods::Phase;
    use coracle_api::Key;

    fn set(min_ready: i32) -> ReplicaSet {
        let value = json!({"metadata": {"name": "r", "generation": 3}, "spec": {"replicas": 3, "minReadySeconds": min_ready,
            "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b", "v": "1"}}}}});
        serde_json::from_value(value).unwrap()
    }

    fn pod(ready_for: Option<i64>) -> PodFacts {
        PodFacts {
            key: Key::new("n", "p"),
            uid: "u".to_owned(),
            node: "node".to_owned(),
            phase: Phase::Running,
            is_deleting: false,
            is_ready: ready_for.is_some(),
            ready_since: ready_for.map(|secs| now() - jiff::SignedDuration::from_secs(secs)),
            created: None,
            restarts: 0,
            deletion_cost: 0,
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn pods_are_counted_once_each() {
        let full = BTreeMap::from([("a".into(), "b".into()), ("v".into(), "1".into())]);
        let part = BTreeMap::from([("a".into(), "b".into())]);
        let going = PodFacts {
            is_deleting: true,
            ..pod(Some(60))
        };
        let pods = [
            (pod(Some(60)), &full),
            (pod(Some(4)), &part),
            (pod(None), &full),
            (going, &full),
        ];
        let counts = count(&set(10), &pods, now());
        let expected = Counts {
            replicas: 3,
            fully_labeled: 2,
            ready: 2,
            available: 1,
            terminating: 1,
            next_available: Some(Duration::from_secs(6)),
        };
        assert_eq!(counts, expected);
        let status = render(&counts, &set(10), &json!({}), None, now());
        let expected = json!({"replicas": 3, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 1,
            "terminatingReplicas": 1, "observedGeneration": 3});
        assert_eq!(status, expected);
    }

    #[test]
    fn a_failure_stands_until_it_is_over() {
        let error = StatusError::bad_request("no");
        let first = render(&Counts::default(), &set(0), &json!({}), Some(&error), now());
        assert_eq!(first["conditions"][0]["reason"], "FailedCreate");
        let later = now() + jiff::SignedDuration::from_secs(5);
        let second = render(&Counts::default(), &set(0), &first, Some(&error), later);
        assert_eq!(first, second);
        let third = render(&Counts::default(), &set(0), &second, None, later);
        assert!(third["conditions"].is_null());
    }
}
