//! What a new pod takes from its RuntimeClass: what it costs to run, and where that can be done.
//!
//! Source: k8s.io/kubernetes `plugin/pkg/admission/runtimeclass`, `pkg/util/tolerations`.

use crate::cache::Cache;
use coracle_api::{Key, KindRef, StatusError, kind, quantity::Quantity};
use serde_json::{Value, json};

/// Admits a new pod, which has its own defaults; other kinds have no class.
pub(super) fn admit(cache: &Cache, of: KindRef, pod: &mut Value) -> Result<(), StatusError> {
    if of != kind::POD || !pod["spec"].is_object() {
        return Ok(());
    }
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let name = name.to_owned();
    let refused = |why: &str| StatusError::forbidden(kind::POD, &name, why);
    let class = match pod["spec"]["runtimeClassName"].as_str() {
        None => Value::Null,
        Some(class) => {
            let found = cache.get(kind::RUNTIME_CLASS, &Key::cluster(class));
            let missing = || refused(&format!("pod rejected: RuntimeClass {class:?} not found"));
            found.ok_or_else(missing)?.value()
        }
    };
    let spec = &mut pod["spec"];
    overhead(spec, &class).map_err(refused)?;
    schedule(spec, &class["scheduling"]).map_err(|why| refused(&why))
}

/// Nobody but the class says what a pod costs.
fn overhead(spec: &mut Value, class: &Value) -> Result<(), &'static str> {
    let (asked, given) = (&spec["overhead"], &class["overhead"]["podFixed"]);
    if class["overhead"].is_null() {
        return match asked {
            Value::Null => Ok(()),
            _ => Err(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            ),
        };
    }
    if !asked.is_null() && !is_same(asked, given) {
        return Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
    }
    if !given.is_null() {
        spec["overhead"] = given.clone();
    }
    Ok(())
}

/// The same amounts, however they are written.
fn is_same(one: &Value, other: &Value) -> bool {
    let amounts = |list: &Value| -> Vec<(String, Option<i128>)> {
        let entries = list.as_object().into_iter().flatten();
        let read = |value: &Value| Quantity::read(value).ok();
        let mut all: Vec<_> = entries
            .map(|(name, value)| (name.clone(), read(value).map(|amount| amount.milli_value())))
            .collect();
        all.sort();
        all
    };
    amounts(one) == amounts(other)
}

fn schedule(spec: &mut Value, scheduling: &Value) -> Result<(), String> {
    for (label, value) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
        let own = &spec["nodeSelector"][label];
        if !own.is_null() && own != value {
            let (theirs, own) = (
                value.as_str().unwrap_or_default(),
                own.as_str().unwrap_or_default(),
            );
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{label}] = {theirs}; pod.spec.nodeSelector[{label}] = {own}"
            ));
        }
        if !spec["nodeSelector"].is_object() {
            spec["nodeSelector"] = json!({});
        }
        spec["nodeSelector"][label] = value.clone();
    }
    let list = |of: &Value| of["tolerations"].as_array().cloned().unwrap_or_default();
    if !scheduling.is_null() {
        let all = [list(spec), list(scheduling)].concat();
        spec["tolerations"] = Value::Array(merged(&all));
    }
    Ok(())
}

/// Without those that another one covers; of two that are the same the first stays.
fn merged(all: &[Value]) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for (index, toleration) in all.iter().enumerate() {
        let rest = all.get(index + 1..).unwrap_or_default();
        let is_covered = merged.iter().any(|other| covers(other, toleration))
            || rest
                .iter()
                .any(|other| other != toleration && covers(other, toleration));
        if !is_covered {
            merged.push(toleration.clone());
        }
    }
    merged
}

/// Whether what `other` tolerates is also tolerated by `one`.
fn covers(one: &Value, other: &Value) -> bool {
    let field = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
    let same = |name: &str| field(one, name) == field(other, name);
    if one == other {
        return true;
    }
    let all_keys = field(one, "key").is_empty() && field(one, "operator") == "Exists";
    if !same("key") && !all_keys {
        return false;
    }
    let effect = field(one, "effect");
    if !effect.is_empty() && !same("effect") {
        return false;
    }
    let secs = |of: &Value| of["tolerationSeconds"].as_i64();
    if effect == "NoExecute"
        && let Some(most) = secs(one)
        && secs(other).is_none_or(|secs| secs > most)
    {
        return false;
    }
    match field(one, "operator").as_str() {
        "" | "Equal" => same("operator") && same("value"),
        "Exists" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;
    use coracle_api::Revision;

    fn cache() -> Cache {
        let class = json!({"metadata": {"name": "wasm"}, "handler": "wasm",
            "overhead": {"podFixed": {"cpu": "250m", "memory": "64Mi"}},
            "scheduling": {"nodeSelector": {"wasm": "yes"},
                "tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Equal", "value": "x"}]}});
        let plain = json!({"metadata": {"name": "plain"}, "handler": "plain"});
        let objects = [class, plain]
            .into_iter()
            .enumerate()
            .map(|(index, class)| {
                Object::new(kind::RUNTIME_CLASS, Revision(index as u64 + 1), class).unwrap()
            });
        Cache::new(objects.collect(), Revision(100))
    }

    #[track_caller]
    fn check(spec: Value, expected: Result<Value, &str>) {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": spec});
        let admitted = admit(&cache(), kind::POD, &mut pod);
        match expected {
            Ok(spec) => assert_eq!((admitted, &pod["spec"]), (Ok(()), &spec)),
            Err(why) => {
                let said = admitted.unwrap_err();
                let message = format!("pods \"p\" is forbidden: {why}");
                assert_eq!((said.code, said.message), (403, message));
            }
        }
    }

    #[test]
    fn a_pod_takes_what_its_class_says() {
        check(json!({}), Ok(json!({})));
        check(
            json!({"runtimeClassName": "plain"}),
            Ok(json!({"runtimeClassName": "plain"})),
        );
        let given = json!({"runtimeClassName": "wasm", "overhead": {"cpu": "250m", "memory": "64Mi"},
            "nodeSelector": {"wasm": "yes", "own": "z"},
            "tolerations": [{"key": "b", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]});
        let own = json!({"runtimeClassName": "wasm", "nodeSelector": {"own": "z"},
            "tolerations": [{"key": "a", "operator": "Equal", "value": "q"}, {"key": "b", "operator": "Exists"}]});
        check(own, Ok(given));
        let same =
            json!({"runtimeClassName": "wasm", "overhead": {"cpu": "0.25", "memory": "64Mi"}});
        let mut pod = json!({"metadata": {"name": "p"}, "spec": same});
        assert_eq!(admit(&cache(), kind::POD, &mut pod), Ok(()));
    }

    #[test]
    fn a_pod_that_says_otherwise_is_refused() {
        for (spec, why) in [
            (
                json!({"runtimeClassName": "nope"}),
                "pod rejected: RuntimeClass \"nope\" not found",
            ),
            (
                json!({"overhead": {"cpu": "1"}}),
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            ),
            (
                json!({"runtimeClassName": "wasm", "overhead": {"cpu": "1"}}),
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
            ),
            (
                json!({"runtimeClassName": "wasm", "nodeSelector": {"wasm": "no"}}),
                "conflict: runtimeClass.scheduling.nodeSelector[wasm] = yes; pod.spec.nodeSelector[wasm] = no",
            ),
        ] {
            check(spec, Err(why));
        }
    }
}
