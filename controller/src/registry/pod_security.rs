//! Which pods a namespace takes, by its labels; and who is told of it.
//!
//! Source: k8s.io/kubernetes `plugin/pkg/admission/security/podsecurity`, k8s.io/pod-security-admission.

use super::{Context, Decision, strategy::key_of};
use crate::{cache::Cache, object::Object};
use coracle_api::{
    Key, KindRef, StatusError, kind,
    pod_security::{
        EXISTING_PODS_MAX, Existing, LevelVersion, Policy, evaluate, is_significant, pod_of,
        refusal, tightened as policy_tightened, warning,
    },
    status::Cause,
};
use serde_json::{Value, json};
use std::{collections::HashSet, sync::Arc};

/// Pods looked at before others get their turn.
const PODS_AT_ONCE: usize = 100;

fn policy_of(namespace: &Value) -> (Policy, Vec<Cause>) {
    Policy::of(&namespace["metadata"]["labels"])
}

/// What is wrong with the labels of a namespace; what was wrong before is let be.
pub(super) fn label_problems(of: KindRef, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    if of != kind::NAMESPACE {
        return Vec::new();
    }
    let (_, causes) = policy_of(new);
    match old {
        Some(old) if policy_of(old).1 == causes => Vec::new(),
        _ => causes,
    }
}

/// Refuses a pod that its namespace does not take, and warns who makes one or something that makes them.
pub(super) fn check(
    cache: &Cache,
    context: &Context,
    of: KindRef,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), StatusError> {
    let Some(pod) = pod_of(of, new) else {
        return Ok(());
    };
    let key = key_of(of, new);
    let Some(namespace) = cache.get(kind::NAMESPACE, &Key::cluster(&*key.namespace)) else {
        return Ok(());
    };
    // Most namespaces say nothing about it.
    let labels = json!(namespace.meta.labels);
    let (policy, _) = Policy::of(&labels);
    let is_pod = of == kind::POD;
    if is_pod && old.is_some_and(|old| !is_significant(new, old)) {
        return Ok(());
    }
    if is_pod {
        let found = evaluate(policy.enforce, pod);
        if !found.is_empty() {
            let why = refusal(policy.enforce, &found);
            return Err(StatusError::forbidden(of, &key.name, &why));
        }
    }
    let audited = evaluate(policy.audit, pod);
    if !audited.is_empty() {
        let (resource, told) = (of.group_resource(), warning(policy.audit, &audited));
        tracing::info!(user = context.user.name, kind = resource, %key, "{told}");
    }
    let warned = evaluate(policy.warn, pod);
    if !warned.is_empty() {
        let told = warning(policy.warn, &warned);
        context.warnings.lock().push(told);
    }
    Ok(())
}

/// The level that a namespace enforces from now on, where pods of it may violate it.
pub(super) fn tightened(of: KindRef, new: &Value, old: &Value) -> Option<LevelVersion> {
    if of != kind::NAMESPACE {
        return None;
    }
    policy_tightened(&policy_of(new).0, &policy_of(old).0)
}

/// The same, of a write that was decided.
pub(super) fn tightened_by(
    of: KindRef,
    before: Option<&Object>,
    decision: &Decision,
) -> Option<LevelVersion> {
    match (before, decision) {
        (Some(before), Decision::Put(_, new)) if of == kind::NAMESPACE => {
            tightened(of, new, &before.value())
        }
        _ => None,
    }
}

/// Tells who tightened the level of a namespace which of its pods violate it.
pub(super) async fn warn_of_pods(
    cache: &Cache,
    context: &Context,
    namespace: &Key,
    level: Option<LevelVersion>,
) {
    let Some(level) = level else {
        return;
    };
    let pods = one_of_each_first(cache.list(kind::POD, Some(&namespace.name)));
    let mut existing = Existing::default();
    for (index, pod) in pods.iter().take(EXISTING_PODS_MAX).enumerate() {
        if index % PODS_AT_ONCE == PODS_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        existing.add(level, &pod.key.name, &pod.value());
    }
    let seen = (pods.len().min(EXISTING_PODS_MAX), pods.len());
    let told = existing.warnings(&namespace.name, level, seen);
    context.warnings.lock().extend(told);
}

/// The pods of one controller are alike: the first of each is worth more than the second.
fn one_of_each_first(pods: Vec<Arc<Object>>) -> Vec<Arc<Object>> {
    let mut seen = HashSet::new();
    let (mut first, others): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| {
        pod.controller_uid()
            .is_none_or(|uid| seen.insert(uid.to_owned()))
    });
    first.extend(others);
    first
}
