//! What a new pod gets from the registry: an account, the usual tolerations, selectors by its own labels, its first status.
//!
//! Source: k8s.io/kubernetes `pkg/registry/core/pod/strategy.go`; KEP-3243 and KEP-3633 for label keys, KEP-3521 for gates.

use coracle_api::time;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What its sender left out.
pub(super) fn complete_new(pod: &mut Value) {
    complete_spec(pod);
    select_by_own_labels(pod);
}

/// Of a pod that nobody has looked at yet.
pub(super) fn first_status(spec: &Value, now: Timestamp) -> Value {
    let mut status = json!({"phase": "Pending", "qosClass": qos_class(spec)});
    if !elements(&spec["schedulingGates"]).is_empty() {
        status["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null,
            "lastTransitionTime": time(now),
        }]);
    }
    status
}

/// What upstream's admission adds to a pod: account, the two standard tolerations.
fn complete_spec(pod: &mut Value) {
    let Some(spec) = pod["spec"].as_object_mut() else {
        return;
    };
    // The old name of the field, as upstream's conversion reads it.
    let is_empty = |value: Option<&Value>| value.is_none_or(|value| value.is_null() || value == "");
    if is_empty(spec.get("serviceAccountName")) {
        let old = spec
            .get("serviceAccount")
            .filter(|old| !is_empty(Some(old)));
        let account = old.cloned().unwrap_or_else(|| json!("default"));
        spec.insert("serviceAccountName".to_owned(), account);
    }
    let mut fill = |name: &str, value: Value| {
        if spec.get(name).is_none_or(Value::is_null) {
            spec.insert(name.to_owned(), value);
        }
    };
    fill("tolerations", json!([]));
    let Some(tolerations) = spec.get_mut("tolerations").and_then(Value::as_array_mut) else {
        return;
    };
    for taint in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let covers = |toleration: &Value| {
            let key = toleration["key"].as_str().unwrap_or_default();
            let effect = toleration["effect"].as_str().unwrap_or_default();
            (key == taint || key.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        };
        if !tolerations.iter().any(covers) {
            tolerations.push(json!({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
}

/// `matchLabelKeys` and `mismatchLabelKeys` are what the pod's labels say, as requirements of the selector beside them.
fn select_by_own_labels(pod: &mut Value) {
    let labels = pod["metadata"]["labels"].clone();
    let spec = &mut pod["spec"];
    for constraint in elements_mut(spec, "topologySpreadConstraints") {
        require(constraint, "matchLabelKeys", "In", &labels);
    }
    for affinity in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec
            .get_mut("affinity")
            .and_then(|all| all.get_mut(affinity))
        else {
            continue;
        };
        let wished = elements_mut(affinity, "preferredDuringSchedulingIgnoredDuringExecution");
        for term in wished.filter_map(|wish| wish.get_mut("podAffinityTerm")) {
            require_both(term, &labels);
        }
        for term in elements_mut(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
            require_both(term, &labels);
        }
    }
}

fn require_both(term: &mut Value, labels: &Value) {
    require(term, "matchLabelKeys", "In", labels);
    require(term, "mismatchLabelKeys", "NotIn", labels);
}

/// A requirement for each key that is a label of the pod; without a selector nothing is selected, and stays so.
fn require(term: &mut Value, keys: &str, operator: &str, labels: &Value) {
    let of_key = |key: &Value| {
        let value = labels.get(key.as_str()?)?;
        Some(json!({"key": key, "operator": operator, "values": [value]}))
    };
    let mut more: Vec<Value> = elements(&term[keys]).iter().filter_map(of_key).collect();
    let Some(selector) = term.get_mut("labelSelector").and_then(Value::as_object_mut) else {
        return;
    };
    if more.is_empty() {
        return;
    }
    let held = selector.entry("matchExpressions").or_insert(Value::Null);
    match held.as_array_mut() {
        Some(held) => held.append(&mut more),
        None => *held = Value::Array(more),
    }
}

fn elements(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn elements_mut<'a>(of: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = of.get_mut(list).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

/// `Guaranteed`, `Burstable` or `BestEffort`, by requests and limits of CPU and memory.
fn qos_class(spec: &Value) -> &'static str {
    let lists = ["containers", "initContainers"];
    let containers: Vec<&Value> = lists
        .iter()
        .flat_map(|list| spec[*list].as_array().into_iter().flatten())
        .collect();
    let has =
        |container: &Value, list: &str, name: &str| !container["resources"][list][name].is_null();
    let names = ["cpu", "memory"];
    let any = containers.iter().any(|c| {
        names
            .iter()
            .any(|n| has(c, "requests", n) || has(c, "limits", n))
    });
    let guaranteed = containers.iter().all(|container| {
        let resources = &container["resources"];
        names.iter().all(|name| {
            has(container, "limits", name)
                && resources["limits"][*name] == resources["requests"][*name]
        })
    });
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_keys_become_requirements() {
        let own = json!({"a": "1", "b": "2"});
        let selector = json!({"matchLabels": {"x": "y"}});
        let term = json!({"labelSelector": selector, "matchLabelKeys": ["a", "none"], "mismatchLabelKeys": ["b"]});
        let none = json!({"matchLabelKeys": ["a"]});
        let mut pod = json!({"metadata": {"labels": own}, "spec": {
            "topologySpreadConstraints": [{"labelSelector": selector, "matchLabelKeys": ["a"]}, none],
            "affinity": {
                "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]},
            },
        }});
        complete_new(&mut pod);
        let is_one = json!({"key": "a", "operator": "In", "values": ["1"]});
        let is_not_two = json!({"key": "b", "operator": "NotIn", "values": ["2"]});
        let at = |pointer: &str| pod.pointer(&format!("/spec/{pointer}")).cloned();
        let selected = "labelSelector/matchExpressions";
        assert_eq!(
            at(&format!("topologySpreadConstraints/0/{selected}")),
            Some(json!([is_one]))
        );
        assert_eq!(at("topologySpreadConstraints/1"), Some(none));
        for place in [
            "affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/0",
            "affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm",
        ] {
            assert_eq!(
                at(&format!("{place}/{selected}")),
                Some(json!([is_one, is_not_two])),
                "{place}"
            );
        }
    }

    #[test]
    fn a_gated_pod_says_so() {
        let now = Timestamp::UNIX_EPOCH;
        let gated = first_status(&json!({"schedulingGates": [{"name": "g"}]}), now);
        assert_eq!(gated["conditions"][0]["reason"], "SchedulingGated");
        let free = first_status(&json!({"containers": []}), now);
        assert_eq!(free, json!({"phase": "Pending", "qosClass": "BestEffort"}));
    }
}
