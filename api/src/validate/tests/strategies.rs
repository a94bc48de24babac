//! How a Deployment, a DaemonSet and a StatefulSet come to what they shall be.

use super::*;

#[test]
fn an_unknown_strategy_is_shown_whole() {
    let (deployment, of_daemons) = (
        "supported values: \"Recreate\", \"RollingUpdate\"",
        "supported values: \"RollingUpdate\", \"OnDelete\"",
    );
    for (of, field, strategy, said) in [
        (
            kind::DEPLOYMENT,
            "strategy",
            json!({"type": "X", "rollingUpdate": {"maxSurge": "x%"}}),
            format!(
                "Unsupported value: {{\"Type\":\"X\",\"RollingUpdate\":{{\"MaxUnavailable\":0,\"MaxSurge\":\"x%\"}}}}: {deployment}"
            ),
        ),
        (
            kind::DAEMON_SET,
            "updateStrategy",
            json!({"type": "X"}),
            format!("Unsupported value: {{\"Type\":\"X\",\"RollingUpdate\":null}}: {of_daemons}"),
        ),
        (
            kind::STATEFUL_SET,
            "updateStrategy",
            json!({"type": "X", "rollingUpdate": {"partition": 2}}),
            "Invalid value: {\"Type\":\"X\",\"RollingUpdate\":{\"Partition\":2,\"MaxUnavailable\":null}}: must be 'RollingUpdate' or 'OnDelete'".to_owned(),
        ),
    ] {
        let said = format!("spec.{field}: {said}");
        check(of, selecting(json!({field: strategy})), &[&said]);
    }
    check(
        kind::STATEFUL_SET,
        selecting(
            json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"maxUnavailable": "5%"}}}),
        ),
        &[
            "spec.updateStrategy.rollingUpdate: Invalid value: {\"Partition\":0,\"MaxUnavailable\":\"5%\"}: only allowed for updateStrategy 'RollingUpdate'",
        ],
    );
}

/// In upstream's order; a text that is no percentage is no number of pods.
#[test]
fn a_rolling_update_moves() {
    let rolling = |most: Value, surge: Value| {
        selecting(
            json!({"strategy": {"rollingUpdate": {"maxUnavailable": most, "maxSurge": surge}}}),
        )
    };
    let path = "spec.strategy.rollingUpdate.maxUnavailable: Invalid value";
    let percent = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
    check(
        kind::DEPLOYMENT,
        rolling(json!("x"), json!("0%")),
        &[
            &format!("{path}: \"x\": {percent}"),
            &format!("{path}: \"x\": may not be 0 when `maxSurge` is 0"),
        ],
    );
    check(
        kind::DEPLOYMENT,
        rolling(json!("101%"), json!(-1)),
        &[
            "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: must be greater than or equal to 0",
            &format!("{path}: \"101%\": must not be greater than 100%"),
        ],
    );
}

#[test]
fn pods_of_a_stateful_set_have_names_of_hosts() {
    let label = meta::LABEL_MESSAGE;
    let set = |name: &str, service: &str| {
        let mut set = selecting(json!({"serviceName": service}));
        set["metadata"]["name"] = json!(name);
        set
    };
    check(kind::STATEFUL_SET, set("a", ""), &[]);
    check(
        kind::STATEFUL_SET,
        set("a.b", "A_"),
        &[
            &format!("metadata.name: Invalid value: \"a.b\": {label}"),
            &format!("spec.serviceName: Invalid value: \"A_\": {label}"),
        ],
    );
    // What was taken before goes on.
    let mut old = set("a.b", "A_");
    crate::defaults::apply(kind::STATEFUL_SET, &mut old);
    let mut new = old.clone();
    new["spec"]["replicas"] = json!(3);
    assert_eq!(update(kind::STATEFUL_SET, &new, &old), []);
}

#[test]
fn pods_that_are_kept_have_no_deadline() {
    for (of, name) in [
        (kind::DEPLOYMENT, "ReplicaSet"),
        (kind::REPLICA_SET, "ReplicaSet"),
        (kind::DAEMON_SET, "DaemonSet"),
        (kind::STATEFUL_SET, "StatefulSet"),
    ] {
        let mut object = selecting(json!({}));
        object["spec"]["template"]["spec"]["activeDeadlineSeconds"] = json!(5);
        let said = format!(
            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in {name} is not Supported"
        );
        check(of, object, &[&said]);
    }
}
