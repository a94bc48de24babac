//! The ReplicaSets of a Deployment as the decisions want them. Pure.

use super::{
    rollout::SetFacts,
    template::{self, canonical_of},
};
use crate::object::Object;
use coracle_api::{
    StatusError,
    k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// What is known of each set. At most one has `is_new`: the oldest with the template.
pub(super) fn sets_of(sets: &[Arc<Object>], canonical: &str) -> Result<Vec<SetFacts>, StatusError> {
    let current = current(sets, canonical).map(|set| set.uid().to_owned());
    let facts = |set: &Arc<Object>| facts_of(set, current.as_deref() == Some(set.uid()));
    sets.iter().map(facts).collect()
}

/// This set is the one of the template.
pub(super) fn is_current(set: &Object, sets: &[Arc<Object>], canonical: &str) -> bool {
    current(sets, canonical).is_some_and(|current| current.uid() == set.uid())
}

/// As upstream, the oldest: where two have the same template the newer one is scaled down.
fn current<'a>(sets: &'a [Arc<Object>], canonical: &str) -> Option<&'a Arc<Object>> {
    sets.iter()
        .filter(|set| canonical_of(&set.value()) == canonical)
        .min_by_key(|set| {
            let created = set.meta.creation_timestamp.as_ref().map(|time| time.0);
            (created, set.key.name.clone())
        })
}

fn facts_of(object: &Object, is_new: bool) -> Result<SetFacts, StatusError> {
    let set = object.typed::<ReplicaSet>()?;
    let status = set.status.clone().unwrap_or_default();
    let annotations = object.meta.annotations.as_ref();
    let number = |name: &str| annotations?.get(name)?.parse().ok();
    Ok(SetFacts {
        name: object.key.name.clone(),
        created: object.meta.creation_timestamp.as_ref().map(|time| time.0),
        is_new,
        is_deleting: object.is_deleting(),
        is_observed: status.observed_generation.unwrap_or(0) >= object.meta.generation.unwrap_or(0),
        revision: revision_of(annotations),
        replicas: set
            .spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or(1),
        actual: status.replicas,
        ready: status.ready_replicas.unwrap_or(0),
        available: status.available_replicas.unwrap_or(0),
        terminating: status.terminating_replicas.unwrap_or(0),
        desired_then: number(template::DESIRED),
        max_then: number(template::MAX),
        failure: failure_of(&status),
    })
}

fn revision_of(annotations: Option<&BTreeMap<String, String>>) -> i64 {
    annotations
        .and_then(|all| all.get(template::REVISION)?.parse().ok())
        .unwrap_or(0)
}

fn failure_of(status: &ReplicaSetStatus) -> Option<Value> {
    let all = status.conditions.as_ref()?;
    let failure = all
        .iter()
        .find(|condition| condition.type_ == "ReplicaFailure")?;
    Some(json!({
        "status": failure.status,
        "reason": failure.reason,
        "message": failure.message,
    }))
}
