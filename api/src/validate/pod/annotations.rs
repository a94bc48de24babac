//! Annotations of pods that mean something.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidatePodSpecificAnnotations` and its variant for updates.

use crate::{
    status::Cause,
    validate::{rules, text},
};
use serde_json::{Value, json};
use std::collections::HashSet;

/// On a pod that a node runs by itself, and only tells of.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Whom a ReplicaSet takes first when it needs fewer.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// A cost that was wrong before is let be.
pub(super) fn check(
    (annotations, path): (&Value, &str),
    spec: &Value,
    before: Option<&Value>,
    causes: &mut Vec<Cause>,
) {
    let mirror = &annotations[MIRROR];
    if !mirror.is_null() && text(spec, "nodeName").is_empty() {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        causes.push(Cause::invalid(format!("{path}[{MIRROR}]"), mirror, detail));
    }
    if before.is_none_or(has_cost) && !has_cost(annotations) {
        let field = format!("{path}[{DELETION_COST}]");
        let cost = &annotations[DELETION_COST];
        causes.push(Cause::invalid(field, cost, "must be a 32bit integer"));
    }
    seccomp(annotations, path, causes);
    app_armor(annotations, spec, path, causes);
}

/// What nobody adds, changes or takes away once the pod is there.
pub(super) fn unchanged(new: &Value, old: &Value, path: &str, causes: &mut Vec<Cause>) {
    let kinds = |key: &str| {
        let is_profile = key.starts_with(APP_ARMOR).then_some("AppArmor annotations");
        is_profile.or((key == MIRROR).then_some("mirror pod annotation"))
    };
    let mut refuse = |key: &str, verb: &str| {
        if let Some(what) = kinds(key) {
            let detail = format!("may not {verb} {what}");
            causes.push(Cause::forbidden(format!("{path}[{key}]"), &detail));
        }
    };
    for (key, value) in old.as_object().into_iter().flatten() {
        if new[key] != *value {
            refuse(key, "remove or update");
        }
    }
    for (key, _) in new.as_object().into_iter().flatten() {
        if old[key].is_null() {
            refuse(key, "add");
        }
    }
}

/// Whether the cost is a number as Go's helper reads it; none is 0.
fn has_cost(annotations: &Value) -> bool {
    let Some(cost) = annotations[DELETION_COST].as_str() else {
        return true;
    };
    let begins_well = cost == "0" || cost.starts_with(|c: char| matches!(c, '-' | '1'..='9'));
    begins_well && cost.parse::<i32>().is_ok()
}

fn seccomp(annotations: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (key, profile) in annotations.as_object().into_iter().flatten() {
        if key != SECCOMP_OF_POD && !key.starts_with(SECCOMP_OF_CONTAINER) {
            continue;
        }
        let (profile, path) = (
            profile.as_str().unwrap_or_default(),
            format!("{path}.{key}"),
        );
        match profile.strip_prefix("localhost/") {
            Some(file) => rules::descending(file, &path, causes),
            None if matches!(profile, "runtime/default" | "docker/default" | "unconfined") => {}
            None => {
                let detail = "must be a valid seccomp profile";
                causes.push(Cause::invalid(path, &json!(profile), detail));
            }
        }
    }
}

fn app_armor(annotations: &Value, spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers = lists.iter().flat_map(|list| spec[*list].as_array());
    let names: HashSet<&str> = containers.flatten().map(|one| text(one, "name")).collect();
    for (key, profile) in annotations.as_object().into_iter().flatten() {
        let Some(container) = key.strip_prefix(APP_ARMOR) else {
            continue;
        };
        let path = format!("{path}[{key}]");
        if !names.contains(container) {
            let detail = "container not found";
            causes.push(Cause::invalid(path.clone(), &json!(container), detail));
        }
        let name = profile.as_str().unwrap_or_default();
        let is_known = matches!(name, "" | "runtime/default" | "unconfined");
        if !is_known && !name.starts_with("localhost/") {
            let detail = format!("invalid AppArmor profile name: {name:?}");
            causes.push(Cause::invalid(path, profile, &detail));
        }
    }
}
