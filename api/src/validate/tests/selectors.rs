//! Selectors of what keeps pods.

use super::*;

const UNSELECTED: &str = "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`";

#[test]
fn without_one_nothing_is_selected() {
    let required = "spec.selector: Required value";
    for of in [kind::DEPLOYMENT, kind::REPLICA_SET, kind::STATEFUL_SET] {
        check(of, pods(json!({}), "Always"), &[required, UNSELECTED]);
    }
    check(kind::DAEMON_SET, pods(json!({}), "Always"), &[UNSELECTED]);
    for of in [kind::DEPLOYMENT, kind::REPLICA_SET] {
        check(
            of,
            json!({"spec": {}}),
            &[
                required,
                "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
                "spec.template.spec.containers: Required value",
            ],
        );
    }
}

#[test]
fn an_empty_one_is_refused_by_name() {
    for (of, name) in [
        (kind::DEPLOYMENT, "deployment"),
        (kind::REPLICA_SET, "deployment"),
        (kind::STATEFUL_SET, "statefulset"),
        (kind::DAEMON_SET, "daemonset"),
    ] {
        let said =
            format!("spec.selector: Invalid value: {{}}: empty selector is invalid for {name}");
        check(of, pods(json!({"selector": {}}), "Always"), &[&said]);
    }
}

#[test]
fn one_that_is_none_hides_the_template() {
    let expression = json!({"key": "a", "operator": "Like", "values": ["-"]});
    let selector = json!({"matchExpressions": [expression]});
    let parts = [
        "spec.selector.matchExpressions[0].operator: Invalid value: \"Like\": not a valid selector operator".to_owned(),
        format!("spec.selector.matchExpressions[0].values[0]: Invalid value: \"-\": {}", meta::VALUE_MESSAGE),
    ];
    let whole = format!("spec.selector: Invalid value: {selector}");
    let never = "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"";
    for (of, after) in [
        (kind::DEPLOYMENT, format!("{whole}: invalid label selector")),
        (
            kind::REPLICA_SET,
            format!("{whole}: invalid label selector"),
        ),
        (kind::STATEFUL_SET, whole),
        (kind::DAEMON_SET, never.to_owned()),
    ] {
        let said = [&parts[0], &parts[1], after.as_str()];
        check(of, pods(json!({"selector": selector}), "Never"), &said);
    }
}

#[test]
fn a_deployment_is_ready_before_its_deadline() {
    check(
        kind::DEPLOYMENT,
        selecting(json!({"minReadySeconds": 600})),
        &["spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"],
    );
}
