//! The Pod Security Standards: which pods a namespace takes, by its labels. Pure.
//!
//! Source: k8s.io/pod-security-admission. The texts are upstream's.

mod baseline;
mod checks;
mod policy;
mod restricted;

pub use checks::{Violations, evaluate};
pub use policy::{Level, LevelVersion, Policy, Version};

use crate::KindRef;
use serde_json::Value;
use std::collections::BTreeMap;

/// Pods looked at when a namespace takes less than before.
pub const EXISTING_PODS_MAX: usize = 3000;

/// The template of the pods that an object of a kind makes; itself for a pod. None where it makes none.
#[must_use]
pub fn pod_of(of: KindRef, object: &Value) -> Option<&Value> {
    let template = match (of.group, of.kind) {
        ("", "Pod") => return Some(object),
        ("", "PodTemplate") => &object["template"],
        ("", "ReplicationController")
        | ("apps", "ReplicaSet" | "Deployment" | "DaemonSet" | "StatefulSet")
        | ("batch", "Job") => &object["spec"]["template"],
        ("batch", "CronJob") => &object["spec"]["jobTemplate"]["spec"]["template"],
        _ => return None,
    };
    template.is_object().then_some(template)
}

/// Whether an update of a pod may make a difference: nothing else that counts may change.
#[must_use]
pub fn is_significant(new: &Value, old: &Value) -> bool {
    let images = |pod: &Value, list: &str| -> Vec<Value> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers
            .map(|container| container["image"].clone())
            .collect()
    };
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    lists
        .iter()
        .any(|list| images(new, list) != images(old, list))
}

/// The new level that a namespace enforces, where pods that are there already may violate it.
#[must_use]
pub fn tightened(new: &Policy, old: &Policy) -> Option<LevelVersion> {
    let (new, old) = (new.enforce, old.enforce);
    let relaxed = new.version == old.version && new.level <= old.level;
    (new != old && new.level != Level::Privileged && !relaxed).then_some(new)
}

/// What the pods that are there already violate, for who tightened the level: kind of violation to pods.
#[derive(Debug, Default)]
pub struct Existing(BTreeMap<String, (String, usize)>);

impl Existing {
    /// Looks at a pod.
    pub fn add(&mut self, level: LevelVersion, name: &str, pod: &Value) {
        let found = evaluate(level, pod);
        if found.is_empty() {
            return;
        }
        let entry = self.0.entry(found.reasons());
        let (first, count) = entry.or_insert_with(|| (name.to_owned(), 0));
        if name < first.as_str() {
            name.clone_into(first);
        }
        *count += 1;
    }

    /// The warnings, as one sees them; `seen` of `all` pods were looked at.
    #[must_use]
    pub fn warnings(
        self,
        namespace: &str,
        level: LevelVersion,
        (seen, all): (usize, usize),
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        if seen < all {
            warnings.push(format!("new PodSecurity enforce level only checked against the first {seen} of {all} existing pods"));
        }
        if !self.0.is_empty() {
            warnings.push(format!("existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{level}\""));
        }
        let told = |(reasons, (first, count)): (String, (String, usize))| match count {
            1 => format!("{first}: {reasons}"),
            2 => format!("{first} (and 1 other pod): {reasons}"),
            _ => format!("{first} (and {} other pods): {reasons}", count - 1),
        };
        let mut pods: Vec<String> = self.0.into_iter().map(told).collect();
        pods.sort();
        warnings.extend(pods);
        warnings
    }
}

/// What a refused pod is told: to be put after `pods "x" is forbidden: `.
#[must_use]
pub fn refusal(level: LevelVersion, found: &Violations) -> String {
    format!("violates PodSecurity \"{level}\": {}", found.details())
}

/// What who makes such a pod is warned of.
#[must_use]
pub fn warning(level: LevelVersion, found: &Violations) -> String {
    format!("would violate PodSecurity \"{level}\": {}", found.details())
}

#[cfg(test)]
mod tests;
