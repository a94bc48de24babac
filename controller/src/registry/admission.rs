//! What a new object gets from other objects: the priority of its class, the default classes, a namespace's defaults.
//!
//! Reads the cache, changes the one object. Source: k8s.io/kubernetes `plugin/pkg/admission/priority`,
//! `storage/storageclass/setdefault`, `network/defaultingressclass`.

use super::limits;
use crate::{cache::Cache, object::Object};
use coracle_api::{Key, KindRef, StatusError, kind};
use serde_json::{Value, json};
use std::{cmp::Reverse, sync::Arc};

/// Admits a new object, which has its own defaults.
pub(super) fn admit(cache: &Cache, of: KindRef, value: &mut Value) -> Result<(), StatusError> {
    if of == kind::POD {
        priority(cache, value)?;
        limits::set_defaults(cache, value);
        Ok(())
    } else if of == kind::PERSISTENT_VOLUME_CLAIM {
        default_storage_class(cache, value);
        Ok(())
    } else if of == kind::INGRESS {
        default_ingress_class(cache, value);
        Ok(())
    } else {
        one_default_priority(cache, of, value)
    }
}

/// No two PriorityClasses are the default one; asked for new and for changed ones.
pub(super) fn one_default_priority(
    cache: &Cache,
    of: KindRef,
    value: &Value,
) -> Result<(), StatusError> {
    if of != kind::PRIORITY_CLASS || value["globalDefault"] != json!(true) {
        return Ok(());
    }
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    match default_priority_class(cache) {
        Some(other) if other.key.name != name => {
            let why = format!(
                "PriorityClass {} is already marked as default. Only one default can exist",
                other.key.name
            );
            Err(StatusError::forbidden(of, name, &why))
        }
        _ => Ok(()),
    }
}

/// The default class; the one of the lowest value if there are more.
fn default_priority_class(cache: &Cache) -> Option<Arc<Object>> {
    let classes = cache.list(kind::PRIORITY_CLASS, None);
    let defaults = classes.into_iter().filter_map(|class| {
        let value = class.value();
        let is_default = value["globalDefault"] == json!(true);
        is_default.then(|| (value["value"].as_i64().unwrap_or(0), class))
    });
    defaults
        .min_by_key(|(value, _)| *value)
        .map(|(_, class)| class)
}

/// A pod's priority is its class's, and nothing else.
fn priority(cache: &Cache, pod: &mut Value) -> Result<(), StatusError> {
    let name = pod["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let refused = |why: &str| StatusError::forbidden(kind::POD, &name, why);
    if !pod["spec"].is_object() {
        return Ok(());
    }
    let spec = &mut pod["spec"];
    let class_name = spec["priorityClassName"].as_str().unwrap_or_default();
    let class = if class_name.is_empty() {
        default_priority_class(cache)
    } else {
        let found = cache.get(kind::PRIORITY_CLASS, &Key::cluster(class_name));
        let missing = || {
            refused(&format!(
                "no PriorityClass with name {class_name} was found"
            ))
        };
        Some(found.ok_or_else(missing)?)
    };
    let (value, policy) = match class {
        Some(class) => {
            let value = class.value();
            let policy = value["preemptionPolicy"].as_str();
            let policy = policy.unwrap_or("PreemptLowerPriority").to_owned();
            spec["priorityClassName"] = json!(class.key.name);
            (value["value"].as_i64().unwrap_or(0), policy)
        }
        None => (0, "PreemptLowerPriority".to_owned()),
    };
    if let Some(asked) = spec["priority"].as_i64().filter(|asked| *asked != value) {
        return Err(refused(&format!(
            "the integer value of priority ({asked}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        )));
    }
    if let Some(asked) = spec["preemptionPolicy"]
        .as_str()
        .filter(|asked| *asked != policy)
    {
        return Err(refused(&format!(
            "the string value of PreemptionPolicy ({asked}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        )));
    }
    spec["priority"] = json!(value);
    spec["preemptionPolicy"] = json!(policy);
    Ok(())
}

/// The newest class of a kind that one of these annotations marks as the default.
fn default_class(cache: &Cache, of: KindRef, annotations: &[&str]) -> Option<String> {
    let is_default = |class: &Arc<Object>| {
        let marks = class.meta.annotations.as_ref();
        let is_true = |name: &&str| {
            marks
                .and_then(|all| all.get(*name))
                .is_some_and(|v| v == "true")
        };
        annotations.iter().any(is_true)
    };
    let classes = cache.list(of, None).into_iter().filter(is_default);
    let newest = classes.min_by_key(|class| {
        let created = class.meta.creation_timestamp.as_ref().map(|time| time.0);
        (Reverse(created), class.key.name.clone())
    });
    newest.map(|class| class.key.name.clone())
}

/// A claim that names no class gets the default one; an empty name means none.
fn default_storage_class(cache: &Cache, claim: &mut Value) {
    let old_name = &claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    if !claim["spec"].is_object()
        || !claim["spec"]["storageClassName"].is_null()
        || !old_name.is_null()
    {
        return;
    }
    let marks = [
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ];
    if let Some(class) = default_class(cache, kind::STORAGE_CLASS, &marks) {
        claim["spec"]["storageClassName"] = json!(class);
    }
}

/// As for claims.
fn default_ingress_class(cache: &Cache, ingress: &mut Value) {
    let old_name = &ingress["metadata"]["annotations"]["kubernetes.io/ingress.class"];
    if !ingress["spec"].is_object()
        || !ingress["spec"]["ingressClassName"].is_null()
        || !old_name.is_null()
    {
        return;
    }
    let marks = ["ingressclass.kubernetes.io/is-default-class"];
    if let Some(class) = default_class(cache, kind::INGRESS_CLASS, &marks) {
        ingress["spec"]["ingressClassName"] = json!(class);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::Revision;

    fn cache(objects: &[(KindRef, Value)]) -> Cache {
        let objects = objects.iter().enumerate().map(|(index, (of, value))| {
            Object::new(of, Revision(index as u64 + 1), value.clone()).unwrap()
        });
        Cache::new(objects.collect(), Revision(100))
    }

    fn class(name: &str, value: i64, is_default: bool) -> (KindRef, Value) {
        let class = json!({"metadata": {"name": name}, "value": value, "globalDefault": is_default, "preemptionPolicy": "Never"});
        (kind::PRIORITY_CLASS, class)
    }

    #[track_caller]
    fn check(cache: &Cache, spec: Value, expected: Result<Value, &str>) {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": spec});
        let admitted = admit(cache, kind::POD, &mut pod);
        match expected {
            Ok(spec) => assert_eq!((admitted, &pod["spec"]), (Ok(()), &spec)),
            Err(why) => {
                let said = admitted.unwrap_err();
                assert_eq!(
                    (said.code, said.message),
                    (403, format!("pods \"p\" is forbidden: {why}"))
                );
            }
        }
    }

    #[test]
    fn a_pod_has_the_priority_of_its_class() {
        let none = cache(&[]);
        let zero = json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"});
        check(&none, json!({}), Ok(zero.clone()));
        check(&none, zero.clone(), Ok(zero));
        check(
            &none,
            json!({"priorityClassName": "x"}),
            Err("no PriorityClass with name x was found"),
        );
        check(
            &none,
            json!({"priority": 5}),
            Err(
                "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name",
            ),
        );
        let some = cache(&[class("high", 9, false), class("usual", 3, true)]);
        let high = json!({"priorityClassName": "high", "priority": 9, "preemptionPolicy": "Never"});
        check(&some, json!({"priorityClassName": "high"}), Ok(high));
        let usual =
            json!({"priorityClassName": "usual", "priority": 3, "preemptionPolicy": "Never"});
        check(&some, json!({}), Ok(usual));
        check(
            &some,
            json!({"preemptionPolicy": "PreemptLowerPriority"}),
            Err(
                "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller computed Never from the given PriorityClass name",
            ),
        );
    }

    #[test]
    fn there_is_one_default_priority() {
        let cache = cache(&[class("usual", 3, true)]);
        let (of, mut other) = class("other", 4, true);
        let said = admit(&cache, of, &mut other).unwrap_err();
        assert!(said.message.ends_with(
            "PriorityClass usual is already marked as default. Only one default can exist"
        ));
        let (of, mut same) = class("usual", 3, true);
        assert_eq!(admit(&cache, of, &mut same), Ok(()));
    }

    #[test]
    fn a_claim_gets_the_newest_default_class() {
        let class = |name: &str, created: &str, mark: &str| {
            let class = json!({"metadata": {"name": name, "creationTimestamp": created,
                "annotations": {"storageclass.kubernetes.io/is-default-class": mark}}});
            (kind::STORAGE_CLASS, class)
        };
        let cache = cache(&[
            class("old", "2026-01-01T00:00:00Z", "true"),
            class("new", "2026-01-02T00:00:00Z", "true"),
            class("newest", "2026-01-03T00:00:00Z", "false"),
        ]);
        for (spec, expected) in [
            (json!({}), json!("new")),
            (json!({"storageClassName": ""}), json!("")),
            (json!({"storageClassName": "x"}), json!("x")),
        ] {
            let mut claim = json!({"metadata": {"name": "c"}, "spec": spec});
            assert_eq!(
                admit(&cache, kind::PERSISTENT_VOLUME_CLAIM, &mut claim),
                Ok(())
            );
            assert_eq!(claim["spec"]["storageClassName"], expected);
        }
    }
}
