//! The ReplicaSet of a template: its name, its hash, and the annotations that carry history. Pure.
//!
//! Source: k8s.io/kubernetes `pkg/controller/deployment/util`, `pkg/util/hash`. A hash is only
//! compared with hashes of our own, so it need not be upstream's number, only of its shape.

use super::super::claim::controller_ref;
use crate::object::Object;
use coracle_api::{defaults, kind};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The label that tells the pods of one template from those of another.
pub(super) const HASH_LABEL: &str = "pod-template-hash";
/// Counts the templates a Deployment has had.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations that a ReplicaSet does not take from its Deployment.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];
/// Longest list of earlier revisions, characters, as upstream.
const HISTORY_CHARS_MAX: usize = 2000;
/// Letters of a hash, as upstream: no vowels, no look-alikes.
const SAFE_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Longest name of an object.
const NAME_LEN_MAX: usize = 253;

/// A template in one form for all that mean the same: keys in order, without what is empty and
/// without the hash label.
pub(super) fn canonical(template: &Value) -> String {
    let mut template = template.clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH_LABEL);
    }
    let mut text = String::new();
    write_canonical(&template, &mut text);
    text
}

/// As [`canonical`], with the defaults of today: a template stored by an older version compares
/// equal to the same one stored by this version.
pub(super) fn canonical_of(object: &Value) -> String {
    let mut set = json!({"spec": {"template": object["spec"]["template"]}});
    defaults::apply(kind::REPLICA_SET, &mut set);
    canonical(&set["spec"]["template"])
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map
                .iter()
                .filter(|(name, value)| !(value.is_null() || is_optional(name) && is_empty(value)))
                .collect();
            entries.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in entries {
                let _infallible = write!(text, "{}:", json!(name));
                write_canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(list) => {
            text.push('[');
            for value in list {
                write_canonical(value, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => {
            let _infallible = write!(text, "{scalar}");
        }
    }
}

/// Fields whose empty value is no choice: for the others (`emptyDir: {}`, a `preferred` term) being
/// there is what counts.
fn is_optional(name: &str) -> bool {
    matches!(
        name,
        "metadata"
            | "labels"
            | "annotations"
            | "finalizers"
            | "resources"
            | "limits"
            | "requests"
            | "securityContext"
            | "nodeSelector"
            | "tolerations"
            | "volumes"
            | "volumeMounts"
            | "initContainers"
            | "imagePullSecrets"
            | "hostAliases"
            | "readinessGates"
            | "topologySpreadConstraints"
            | "env"
            | "envFrom"
            | "args"
            | "command"
            | "ports"
    )
}

/// The hash of a template; `collisions` makes another one of the same template.
pub(super) fn hash(canonical: &str, collisions: i32) -> String {
    let mut state = 0x811c_9dc5_u32;
    let mut eat = |byte: u8| {
        state = (state ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    };
    canonical.bytes().for_each(&mut eat);
    if collisions > 0 {
        collisions.to_string().bytes().for_each(&mut eat);
    }
    let letter = |digit: u8| char::from(SAFE_LETTERS[usize::from(digit) % SAFE_LETTERS.len()]);
    state.to_string().bytes().map(letter).collect()
}

/// `NAME-HASH`, cut so that it stays a name.
pub(super) fn set_name(deployment: &str, hash: &str) -> String {
    let room = NAME_LEN_MAX - hash.len() - 1;
    let base = deployment.get(..room).unwrap_or(deployment);
    format!("{base}-{hash}")
}

/// The new ReplicaSet of a Deployment.
pub(super) fn new_set(deployment: &Object, value: &Value, hash: &str) -> Value {
    let mut template = value["spec"]["template"].clone();
    put(&mut template["metadata"], "labels", HASH_LABEL, hash);
    let mut selector = value["spec"]["selector"].clone();
    put(&mut selector, "matchLabels", HASH_LABEL, hash);
    json!({
        "metadata": {
            "name": set_name(&deployment.key.name, hash),
            "labels": template["metadata"]["labels"],
            "ownerReferences": [controller_ref(deployment)],
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": value["spec"]["minReadySeconds"].as_i64().unwrap_or(0),
            "selector": selector,
            "template": template,
        },
    })
}

fn put(value: &mut Value, map: &str, name: &str, text: &str) {
    if !value[map].is_object() {
        value[map] = json!({});
    }
    value[map][name] = json!(text);
}

fn text<'a>(annotations: &'a Map<String, Value>, name: &str) -> &'a str {
    annotations
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The annotations of the current template's ReplicaSet: the Deployment's, and the revision, which a
/// template that comes back gets anew while its earlier numbers are remembered.
pub(super) fn annotate(set: &mut Value, deployment: &Value, revision: i64) {
    if !set["metadata"]["annotations"].is_object() {
        set["metadata"]["annotations"] = json!({});
    }
    let Some(annotations) = set["metadata"]["annotations"].as_object_mut() else {
        return;
    };
    let theirs = deployment["metadata"]["annotations"].as_object();
    for (name, value) in theirs.into_iter().flatten() {
        if !NOT_COPIED.contains(&name.as_str()) {
            annotations.insert(name.clone(), value.clone());
        }
    }
    let earlier = text(annotations, REVISION).to_owned();
    let Some(earlier_number) = (if earlier.is_empty() {
        Some(0)
    } else {
        earlier.parse::<i64>().ok()
    }) else {
        return;
    };
    if earlier_number >= revision {
        return;
    }
    annotations.insert(REVISION.to_owned(), json!(revision.to_string()));
    if !earlier.is_empty() {
        let history = history_with(text(annotations, REVISION_HISTORY), &earlier);
        annotations.insert(REVISION_HISTORY.to_owned(), json!(history));
    }
}

fn history_with(history: &str, revision: &str) -> String {
    let mut all: Vec<&str> = history.split(',').filter(|one| !one.is_empty()).collect();
    all.push(revision);
    let length = |all: &[&str]| all.iter().map(|one| one.len() + 1).sum::<usize>();
    while length(&all) > HISTORY_CHARS_MAX {
        all.remove(0);
    }
    all.join(",")
}

/// How large the Deployment is, for the shares when it is scaled in the middle of a rollout.
pub(super) fn annotate_size(set: &mut Value, desired: i32, max: i32) {
    put(
        &mut set["metadata"],
        "annotations",
        DESIRED,
        &desired.to_string(),
    );
    put(&mut set["metadata"], "annotations", MAX, &max.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(extra: Value) -> Value {
        let mut template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:v1"}]}});
        for (name, value) in extra.as_object().unwrap() {
            template["spec"][name] = value.clone();
        }
        template
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let plain = template(json!({}));
        let mut hashed =
            template(json!({"volumes": [], "nodeSelector": null, "securityContext": {}}));
        hashed["metadata"]["labels"][HASH_LABEL] = json!("x");
        hashed["metadata"]["creationTimestamp"] = Value::Null;
        assert_eq!(canonical(&plain), canonical(&hashed));
        assert_ne!(
            canonical(&plain),
            canonical(&template(json!({"hostname": "h"})))
        );
        let set = json!({"spec": {"template": plain}});
        let mut defaulted = set.clone();
        defaults::apply(kind::REPLICA_SET, &mut defaulted);
        assert_eq!(canonical_of(&set), canonical_of(&defaulted));
    }

    /// Older versions wrote a template's requests from its limits: where both have them nothing is rolled out, and a
    /// template that is sent anew is another one.
    #[test]
    fn requests_that_were_written_by_defaults_stay() {
        let with = |resources: Value| {
            let container = json!({"name": "c", "image": "i:v1", "resources": resources});
            json!({"spec": {"template": template(json!({"containers": [container]}))}})
        };
        let stored = with(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}));
        let mut set = stored.clone();
        set["spec"]["template"]["metadata"]["labels"][HASH_LABEL] = json!("x");
        assert_eq!(canonical_of(&stored), canonical_of(&set));
        let sent = with(json!({"limits": {"cpu": "1"}}));
        assert_ne!(canonical_of(&stored), canonical_of(&sent));
    }

    #[test]
    fn a_hash_is_safe_and_a_collision_makes_another() {
        let text = canonical(&template(json!({})));
        let (first, second) = (hash(&text, 0), hash(&text, 1));
        assert_eq!(first, hash(&text, 0));
        assert_ne!(first, second);
        assert!(
            first.bytes().all(|byte| SAFE_LETTERS.contains(&byte)),
            "{first}"
        );
        assert!(set_name(&"x".repeat(253), &first).len() <= NAME_LEN_MAX);
    }

    #[test]
    fn a_template_that_comes_back_remembers_its_revisions() {
        let deployment = json!({"metadata": {"annotations": {"kubernetes.io/change-cause": "why", REVISION: "9"}}});
        let mut set = json!({"metadata": {}});
        annotate(&mut set, &deployment, 1);
        let annotations = &set["metadata"]["annotations"];
        assert_eq!(annotations[REVISION], "1");
        assert_eq!(annotations["kubernetes.io/change-cause"], "why");
        assert!(annotations[REVISION_HISTORY].is_null());
        annotate(&mut set, &deployment, 3);
        annotate(&mut set, &deployment, 5);
        assert_eq!(set["metadata"]["annotations"][REVISION_HISTORY], "1,3");
        let same = set.clone();
        annotate(&mut set, &deployment, 4);
        assert_eq!(set, same, "a revision never goes back");
    }

    #[test]
    fn a_new_set_selects_its_own_pods() {
        let value = json!({"metadata": {"name": "d", "namespace": "n", "uid": "u"}, "spec": {"minReadySeconds": 5,
            "selector": {"matchLabels": {"a": "b"}}, "template": template(json!({}))}});
        let deployment =
            Object::new(kind::DEPLOYMENT, coracle_api::Revision(1), value.clone()).unwrap();
        let set = new_set(&deployment, &value, "h");
        assert_eq!(set["metadata"]["name"], "d-h");
        let labels = json!({"a": "b", HASH_LABEL: "h"});
        assert_eq!(set["spec"]["selector"]["matchLabels"], labels);
        assert_eq!(set["spec"]["template"]["metadata"]["labels"], labels);
        assert_eq!(set["metadata"]["labels"], labels);
    }
}
