//! What of a pod may change.

use super::*;

const OTHERS: &str = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// A change from the first to the second, of a pod's spec.
#[track_caller]
fn changes(old: Value, new: Value, expected: &[&str]) {
    let made = |spec: Value| {
        let mut pod = pod_rules::pod(spec);
        pod["metadata"]["name"] = json!("a");
        pod
    };
    // The old one may have been made before a default was.
    let (old, mut made) = (made(old), made(new.clone()));
    crate::defaults::apply(kind::POD, &mut made);
    let said: Vec<String> = update(kind::POD, &made, &old)
        .into_iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    assert_eq!(said, expected, "{new}");
}

#[test]
fn few_fields_change() {
    let image = |image: &str| json!({"containers": [{"name": "c", "image": image}]});
    changes(json!({}), image("i:v2"), &[]);
    changes(json!({}), json!({"nodeName": "n"}), &[OTHERS]);
    changes(json!({"nodeName": "n"}), json!({}), &[OTHERS]);
    changes(json!({}), json!({"hostname": "h"}), &[OTHERS]);
    let grace = |secs: i64| json!({"terminationGracePeriodSeconds": secs});
    changes(grace(30), grace(1), &[OTHERS]);
    changes(grace(-1), grace(1), &[]);
    changes(grace(-1), grace(2), &[OTHERS]);
    changes(
        json!({}),
        json!({"containers": [{"name": "c", "image": "i:v1"}, {"name": "d", "image": "i:v1"}]}),
        &["spec.containers: Forbidden: pod updates may not add or remove containers"],
    );
    let pulled =
        json!({"containers": [{"name": "c", "image": "i:v1", "imagePullPolicy": "Never"}]});
    changes(json!({}), pulled, &[OTHERS]);
    let nothing = json!({"volumes": [], "hostAliases": null, "nodeSelector": {}});
    changes(json!({}), nothing, &[]);
}

#[test]
fn deadlines_come_nearer() {
    let deadline = |secs: i64| json!({"activeDeadlineSeconds": secs});
    changes(json!({}), deadline(9), &[]);
    changes(deadline(9), deadline(8), &[]);
    changes(
        deadline(9),
        deadline(10),
        &[
            "spec.activeDeadlineSeconds: Invalid value: 10: must be less than or equal to previous value",
        ],
    );
    changes(
        deadline(9),
        json!({}),
        &[
            "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
        ],
    );
}

#[test]
fn tolerations_are_added() {
    let all = |all: Value| json!({"tolerations": all});
    let one = json!({"key": "a", "operator": "Exists", "effect": "NoExecute"});
    let mut later = one.clone();
    later["tolerationSeconds"] = json!(9);
    let other = json!({"key": "b", "operator": "Exists"});
    changes(all(json!([one])), all(json!([other, later])), &[]);
    changes(
        all(json!([one])),
        all(json!([other])),
        &[
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
        ],
    );
}

#[test]
fn gates_are_removed() {
    let gated = |gates: Value| json!({"schedulingGates": gates});
    changes(gated(json!([{"name": "a"}])), json!({}), &[]);
    changes(
        json!({}),
        gated(json!([{"name": "a"}])),
        &[
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a'",
        ],
    );
}

#[test]
fn a_gated_pod_may_be_narrowed() {
    let gated = |selector: Value, terms: Value| {
        let mut spec =
            json!({"schedulingGates": [{"name": "g"}], "nodeSelector": selector, "affinity": {}});
        if !terms.is_null() {
            spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] =
                terms;
        }
        spec
    };
    let term = |keys: &[&str]| {
        let all = keys
            .iter()
            .map(|key| json!({"key": key, "operator": "Exists"}));
        json!({"matchExpressions": all.collect::<Vec<_>>()})
    };
    let path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let (none, a) = (json!({}), json!({"a": "b"}));
    changes(
        gated(none.clone(), Value::Null),
        gated(a.clone(), json!([term(&["x"])])),
        &[],
    );
    changes(
        gated(a.clone(), Value::Null),
        gated(json!({"a": "b", "c": "d"}), Value::Null),
        &[],
    );
    changes(
        gated(a.clone(), Value::Null),
        gated(json!({"a": "c"}), Value::Null),
        &[
            "spec.nodeSelector: Invalid value: {\"a\":\"c\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)",
        ],
    );
    changes(
        gated(none.clone(), json!([term(&["x"])])),
        gated(none.clone(), json!([term(&["x", "y"])])),
        &[],
    );
    changes(
        gated(none.clone(), json!([term(&["x"])])),
        gated(none.clone(), json!([term(&["y"])])),
        &[&format!(
            "{path}[0]: Invalid value: {}: only additions are allowed (no mutations or deletions)",
            term(&["y"])
        )],
    );
    let two = json!([term(&["x"]), term(&["y"])]);
    changes(
        gated(none.clone(), json!([term(&["x"])])),
        gated(none, two.clone()),
        &[&format!(
            "{path}: Invalid value: {two}: no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        )],
    );
    changes(json!({}), json!({"nodeSelector": a}), &[OTHERS]);
}
