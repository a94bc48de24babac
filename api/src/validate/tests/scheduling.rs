//! Where a pod may run.

use super::*;

/// A pod that says this of its affinity; the paths in `expected` are below it.
#[track_caller]
fn affinity(affinity: Value, expected: &[&str]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|said| format!("spec.affinity.{said}"))
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(
        kind::POD,
        pod_rules::pod(json!({"affinity": affinity})),
        &expected,
    );
}

#[test]
fn nodes_that_are_required() {
    let required = |terms: Value| json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
    let path = "nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    affinity(
        required(json!([])),
        &[&format!(
            "{path}: Required value: must have at least one node selector term"
        )],
    );
    for (requirement, said) in [
        (
            json!({"key": "a", "operator": "In"}),
            "values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        ),
        (
            json!({"key": "a", "operator": "Exists", "values": ["b"]}),
            "values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
        (
            json!({"key": "a", "operator": "Gt", "values": ["1", "2"]}),
            "values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
        ),
        (
            json!({"key": "a", "operator": "Like", "values": ["1"]}),
            "operator: Invalid value: \"Like\": not a valid selector operator",
        ),
    ] {
        affinity(
            required(json!([{"matchExpressions": [requirement]}])),
            &[&format!("{path}[0].matchExpressions[0].{said}")],
        );
    }
    let bad_key = format!(
        "{path}[0].matchExpressions[0].key: Invalid value: \"a b\": {}",
        meta::QUALIFIED_MESSAGE
    );
    let bad_value = format!(
        "{path}[0].matchExpressions[0].values[0]: Invalid value: \"-\": {}",
        meta::VALUE_MESSAGE
    );
    affinity(
        required(
            json!([{"matchExpressions": [{"key": "a b", "operator": "In", "values": ["-"]}]}]),
        ),
        &[&bad_key, &bad_value],
    );
}

#[test]
fn nodes_by_name() {
    let required = |terms: Value| json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
    let path = "nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    for (requirement, said) in [
        (
            json!({"key": "metadata.name", "operator": "In", "values": []}),
            "values: Required value: must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        ),
        (
            json!({"key": "metadata.name", "operator": "Exists"}),
            "operator: Invalid value: \"Exists\": not a valid selector operator",
        ),
        (
            json!({"key": "metadata.uid", "operator": "In", "values": ["u"]}),
            "key: Invalid value: \"metadata.uid\": not a valid field selector key",
        ),
    ] {
        affinity(
            required(json!([{"matchFields": [requirement]}])),
            &[&format!("{path}[0].matchFields[0].{said}")],
        );
    }
    affinity(
        required(
            json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}],
            "matchExpressions": [{"key": "a", "operator": "Lt", "values": ["1"]}, {"key": "b", "operator": "Exists"}]}]),
        ),
        &[],
    );
}

#[test]
fn nodes_that_are_preferred() {
    let preferred = |weight: i64| {
        json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": weight,
        "preference": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}}]}})
    };
    affinity(preferred(1), &[]);
    for weight in [0, 101] {
        affinity(
            preferred(weight),
            &[&format!(
                "nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: {weight}: must be in the range 1-100"
            )],
        );
    }
}

#[test]
fn pods_that_are_near() {
    for of in ["podAffinity", "podAntiAffinity"] {
        let path = format!("{of}.requiredDuringSchedulingIgnoredDuringExecution[0]");
        let term =
            |term: Value| json!({of: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
        let selector = json!({"matchLabels": {"a": "b"}});
        let empty = |path: &str| {
            [
                format!("{path}: Required value: can not be empty"),
                format!("{path}: Invalid value: \"\": name part must be non-empty"),
                format!("{path}: Invalid value: \"\": {}", meta::QUALIFIED_MESSAGE),
            ]
        };
        let said = empty(&format!("{path}.topologyKey"));
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        affinity(term(json!({"labelSelector": selector})), &said);
        for (extra, said) in [
            (
                json!({"labelSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
                ".labelSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'".to_owned(),
            ),
            (
                json!({"namespaces": ["A"]}),
                format!(".namespace: Invalid value: \"A\": {}", meta::LABEL_MESSAGE),
            ),
            (
                json!({"matchLabelKeys": ["a"]}),
                ".matchLabelKeys: Forbidden: must not be specified when labelSelector is not set".to_owned(),
            ),
            (
                json!({"labelSelector": selector, "mismatchLabelKeys": ["a b"]}),
                format!(".mismatchLabelKeys[0]: Invalid value: \"a b\": {}", meta::QUALIFIED_MESSAGE),
            ),
            (
                json!({"labelSelector": selector, "matchLabelKeys": ["c"], "mismatchLabelKeys": ["c"]}),
                ".matchLabelKeys[0]: Invalid value: \"c\": exists in both matchLabelKeys and mismatchLabelKeys".to_owned(),
            ),
            (
                json!({"matchLabelKeys": ["a"], "labelSelector": {"matchLabels": {"a": "b"},
                    "matchExpressions": [{"key": "a", "operator": "Exists"}]}}),
                "[0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector".to_owned(),
            ),
        ] {
            let mut wrong = extra;
            wrong["topologyKey"] = json!("zone");
            affinity(term(wrong), &[&format!("{path}{said}")]);
        }
        let weighted = json!({of: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0,
            "podAffinityTerm": {"topologyKey": "zone", "labelSelector": selector}}]}});
        let said = format!(
            "{of}.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100"
        );
        affinity(weighted, &[&said]);
    }
}

#[test]
fn spread() {
    let valid =
        || json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
    let with = |field: &str, value: Value| {
        let mut constraint = valid();
        constraint[field] = value;
        json!([constraint])
    };
    for (constraints, said) in [
        (json!([valid()]), ""),
        (
            with("maxSkew", json!(0)),
            "maxSkew: Invalid value: 0: must be greater than zero",
        ),
        (
            with("topologyKey", json!("")),
            "topologyKey: Required value: can not be empty",
        ),
        (
            with("whenUnsatisfiable", json!("Maybe")),
            "whenUnsatisfiable: Unsupported value: \"Maybe\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
        ),
        (
            json!([valid(), valid()]),
            "{topologyKey, whenUnsatisfiable}: Duplicate value: \"{zone, DoNotSchedule}\"",
        ),
        (
            with("minDomains", json!(0)),
            "minDomains: Invalid value: 0: must be greater than zero",
        ),
        (
            json!([{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}]),
            "minDomains: Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
        ),
        (
            with("nodeAffinityPolicy", json!("X")),
            "nodeAffinityPolicy: Unsupported value: \"X\": supported values: \"Honor\", \"Ignore\"",
        ),
        (
            with("nodeTaintsPolicy", json!("X")),
            "nodeTaintsPolicy: Unsupported value: \"X\": supported values: \"Honor\", \"Ignore\"",
        ),
        (
            with("matchLabelKeys", json!(["a"])),
            "matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
        ),
        (
            json!([{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule",
                "matchLabelKeys": ["a"], "labelSelector": {"matchLabels": {"a": "b"},
                "matchExpressions": [{"key": "a", "operator": "In", "values": ["c"]}]}}]),
            "matchLabelKeys[0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector",
        ),
        (
            with(
                "labelSelector",
                json!({"matchExpressions": [{"key": "a", "operator": "X"}]}),
            ),
            "labelSelector.matchExpressions[0].operator: Invalid value: \"X\": not a valid selector operator",
        ),
    ] {
        let said = (!said.is_empty()).then(|| format!("spec.topologySpreadConstraints[0].{said}"));
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        check(
            kind::POD,
            pod_rules::pod(json!({"topologySpreadConstraints": constraints})),
            &said,
        );
    }
}

#[test]
fn tolerations() {
    let value = format!("operator: Invalid value: \"-\": {}", meta::VALUE_MESSAGE);
    let key = format!("key: Invalid value: \"a b\": {}", meta::QUALIFIED_MESSAGE);
    for (toleration, said) in [
        (json!({"operator": "Exists"}), ""),
        (
            json!({"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 1}),
            "",
        ),
        (json!({"key": "a b"}), key.as_str()),
        (
            json!({"operator": "Equal"}),
            "operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        ),
        (
            json!({"key": "a", "tolerationSeconds": 1}),
            "effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        ),
        (json!({"key": "a", "value": "-"}), value.as_str()),
        (
            json!({"key": "a", "operator": "Exists", "value": "b"}),
            "operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
        ),
        (
            json!({"key": "a", "operator": "Like"}),
            "operator: Unsupported value: \"Like\": supported values: \"Equal\", \"Exists\"",
        ),
        (
            json!({"key": "a", "effect": "X"}),
            "effect: Unsupported value: \"X\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
        ),
    ] {
        let said = (!said.is_empty()).then(|| format!("spec.tolerations[0].{said}"));
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        check(
            kind::POD,
            pod_rules::pod(json!({"tolerations": [toleration]})),
            &said,
        );
    }
}

#[test]
fn gates_and_names() {
    let name = |field: &str, value: &str, why: &str| {
        format!("spec.{field}: Invalid value: {value:?}: {why}")
    };
    for (spec, said) in [
        (
            json!({"schedulingGates": [{"name": "a b"}]}),
            name("schedulingGates[0]", "a b", meta::QUALIFIED_MESSAGE),
        ),
        (
            json!({"schedulingGates": [{"name": "a"}, {"name": "a"}]}),
            "spec.schedulingGates[1]: Duplicate value: \"a\"".to_owned(),
        ),
        (
            json!({"schedulingGates": [{"name": "a"}], "nodeName": "n"}),
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"
                .to_owned(),
        ),
        (
            json!({"nodeName": "N"}),
            name("nodeName", "N", meta::SUBDOMAIN_MESSAGE),
        ),
        (
            json!({"nodeSelector": {"a b": "c"}}),
            name("nodeSelector", "a b", meta::QUALIFIED_MESSAGE),
        ),
        (
            json!({"nodeSelector": {"a": "-"}}),
            name("nodeSelector", "-", meta::VALUE_MESSAGE),
        ),
    ] {
        check(kind::POD, pod_rules::pod(spec), &[&said]);
    }
}
