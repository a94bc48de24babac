//! Deployments, ReplicaSets, Services, ConfigMaps and Secrets.

use super::{pod, rules, text};
use crate::{go, status::Cause};
use serde_json::{Value, json};

pub(super) fn deployment(spec: &Value, causes: &mut Vec<Cause>) {
    rules::not_negative(spec, &["replicas"], "spec", causes);
    selecting(spec, "deployment", causes);
    strategy(&spec["strategy"], causes);
    let numbers = [
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ];
    rules::not_negative(spec, &numbers, "spec", causes);
    let deadline = &spec["progressDeadlineSeconds"];
    let ready = spec["minReadySeconds"].as_i64().unwrap_or_default();
    if deadline.as_i64().is_some_and(|deadline| deadline <= ready) {
        let detail = "must be greater than minReadySeconds";
        causes.push(Cause::invalid(
            "spec.progressDeadlineSeconds",
            deadline,
            detail,
        ));
    }
}

fn strategy(strategy: &Value, causes: &mut Vec<Cause>) {
    let rolling = &strategy["rollingUpdate"];
    match text(strategy, "type") {
        "Recreate" if !rolling.is_null() => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            causes.push(Cause::forbidden("spec.strategy.rollingUpdate", detail));
        }
        "" | "Recreate" => {}
        "RollingUpdate" => rolling_update(rolling, causes),
        _ => causes.push(Cause::unsupported_shown(
            "spec.strategy",
            &shown_strategy(strategy),
            &["Recreate", "RollingUpdate"],
        )),
    }
}

fn rolling_update(rolling: &Value, causes: &mut Vec<Cause>) {
    let (most, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
    let path = "spec.strategy.rollingUpdate.maxUnavailable";
    rules::int_or_percent(most, path, causes);
    rules::int_or_percent(surge, "spec.strategy.rollingUpdate.maxSurge", causes);
    if rules::is_zero(surge) && rules::is_zero(most) {
        let detail = "may not be 0 when `maxSurge` is 0";
        causes.push(Cause::invalid(path, most, detail));
    }
    rules::no_more_than_all(most, path, causes);
}

/// The strategy of a Deployment or a DaemonSet in upstream's internal form, where what is not said of it is 0.
pub(super) fn shown_strategy(strategy: &Value) -> String {
    let rolling = &strategy["rollingUpdate"];
    let number = |field: &str| match &rolling[field] {
        Value::Null => json!(0),
        said => said.clone(),
    };
    let (most, surge) = (number("maxUnavailable"), number("maxSurge"));
    let rolling = match rolling {
        Value::Null => "null".to_owned(),
        _ => go::structure(&[("MaxUnavailable", &most), ("MaxSurge", &surge)]),
    };
    let kind = json!(text(strategy, "type"));
    go::structure(&[("Type", &kind), ("RollingUpdate", &rolling)])
}

pub(super) fn replica_set(spec: &Value, causes: &mut Vec<Cause>) {
    rules::not_negative(spec, &["replicas", "minReadySeconds"], "spec", causes);
    selecting(spec, "deployment", causes);
}

/// What keeps pods: a selector that says something and selects its template's pods, which always
/// restart. A ReplicaSet's is called a Deployment's, as upstream.
pub(super) fn selecting(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let (selector, template) = (&spec["selector"], &spec["template"]);
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    }
    let before = causes.len();
    rules::selector(selector, "spec.selector", causes);
    // What is wrong in its parts selects nothing, and the template is not looked at.
    let usable = causes.len() == before;
    empty_selector(selector, kind, causes);
    if !usable {
        let detail = match kind {
            "statefulset" => "",
            _ => "invalid label selector",
        };
        causes.push(Cause::invalid("spec.selector", selector, detail));
        return;
    }
    if !says_nothing(selector) {
        selected(selector, template, causes);
    }
    let kind = if kind == "statefulset" {
        "StatefulSet"
    } else {
        "ReplicaSet"
    };
    always_restarting(template, kind, causes);
}

/// A selector that is there, and selects everything.
pub(super) fn says_nothing(selector: &Value) -> bool {
    let parts = ["matchLabels", "matchExpressions"];
    !selector.is_null() && parts.iter().all(|part| rules::is_absent(&selector[*part]))
}

pub(super) fn empty_selector(selector: &Value, kind: &str, causes: &mut Vec<Cause>) {
    if says_nothing(selector) {
        let detail = format!("empty selector is invalid for {kind}");
        causes.push(Cause::invalid("spec.selector", selector, &detail));
    }
}

/// A selector selects the pods of its template; none selects nothing.
pub(super) fn selected(selector: &Value, template: &Value, causes: &mut Vec<Cause>) {
    let labels = &template["metadata"]["labels"];
    if selector.is_null() || !rules::selects(selector, labels) {
        let detail = "`selector` does not match template `labels`";
        let path = "spec.template.metadata.labels";
        causes.push(Cause::invalid(path, labels, detail));
    }
}

/// A template of pods that run until somebody ends them.
pub(super) fn always_restarting(template: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let spec = &template["spec"];
    pod::template(template, "spec.template", causes);
    rules::one_of(
        spec,
        "restartPolicy",
        &["Always"],
        "spec.template.spec",
        causes,
    );
    if !spec["activeDeadlineSeconds"].is_null() {
        let field = "spec.template.spec.activeDeadlineSeconds";
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        causes.push(Cause::forbidden(field, &detail));
    }
}

pub(super) fn unchanged_selector(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if new["spec"]["selector"] != old["spec"]["selector"] {
        causes.push(Cause::invalid(
            "spec.selector",
            &new["spec"]["selector"],
            "field is immutable",
        ));
    }
}

pub(super) fn data_keys(object: &Value, fields: &[&str], causes: &mut Vec<Cause>) {
    for field in fields {
        for key in object[*field]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
        {
            rules::config_key(key, &format!("{field}[{key}]"), causes);
        }
    }
}

pub(super) fn unchanged_if_immutable(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if old["immutable"] != json!(true) {
        return;
    }
    if new["immutable"] != json!(true) {
        causes.push(Cause::forbidden(
            "immutable",
            "field is immutable when `immutable` is set",
        ));
    }
    for field in ["data", "binaryData"] {
        if new[field] != old[field] {
            causes.push(Cause::forbidden(
                field,
                "field is immutable when `immutable` is set",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{kind, status::Cause, validate};
    use serde_json::{Value, json};

    #[track_caller]
    fn check(kind: crate::KindRef, object: Value, expected: &[(&str, &str)]) {
        let causes = validate::create(kind, &object);
        let got: Vec<(&str, &str)> = causes
            .iter()
            .map(|cause: &Cause| (cause.field.as_str(), cause.reason))
            .collect();
        assert_eq!(got, expected, "{causes:?}");
    }

    fn deployment(selector: Value, labels: Value, container: Value) -> Value {
        json!({"metadata": {"name": "a"}, "spec": {"selector": selector,
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}})
    }

    #[test]
    fn deployments() {
        let app = || json!({"app": "a"});
        let selector = || json!({"matchLabels": {"app": "a"}});
        let container = || json!({"name": "c", "image": "i"});
        check(
            kind::DEPLOYMENT,
            deployment(selector(), app(), container()),
            &[],
        );
        check(
            kind::DEPLOYMENT,
            deployment(Value::Null, app(), container()),
            &[
                ("spec.selector", "FieldValueRequired"),
                ("spec.template.metadata.labels", "FieldValueInvalid"),
            ],
        );
        check(
            kind::DEPLOYMENT,
            deployment(selector(), json!({"app": "b"}), container()),
            &[("spec.template.metadata.labels", "FieldValueInvalid")],
        );
        let expressions = |expression: Value| json!({"matchExpressions": [expression]});
        for (expression, cause) in [
            (
                json!({"key": "app", "operator": "Like", "values": ["a"]}),
                ("operator", "FieldValueInvalid"),
            ),
            (
                json!({"key": "app", "operator": "In"}),
                ("values", "FieldValueRequired"),
            ),
            (
                json!({"key": "app", "operator": "Exists", "values": ["a"]}),
                ("values", "FieldValueForbidden"),
            ),
        ] {
            let object = deployment(expressions(expression), app(), container());
            let causes = validate::create(kind::DEPLOYMENT, &object);
            let field = format!("spec.selector.matchExpressions[0].{}", cause.0);
            assert!(
                causes
                    .iter()
                    .any(|c| c.field == field && c.reason == cause.1),
                "{causes:?}"
            );
        }
        check(
            kind::DEPLOYMENT,
            deployment(selector(), app(), json!({"name": "c"})),
            &[(
                "spec.template.spec.containers[0].image",
                "FieldValueRequired",
            )],
        );
        check(
            kind::DEPLOYMENT,
            deployment(
                selector(),
                app(),
                json!({"name": "c", "image": "i", "resources": {"limits": {"cpu": "lots"}}}),
            ),
            &[(
                "spec.template.spec.containers[0].resources.limits[cpu]",
                "FieldValueInvalid",
            )],
        );
    }

    #[test]
    fn pods_and_services() {
        check(
            kind::POD,
            json!({"metadata": {"name": "A"}, "spec": {}}),
            &[
                ("metadata.name", "FieldValueInvalid"),
                ("spec.containers", "FieldValueRequired"),
            ],
        );
        check(
            kind::POD,
            json!({"metadata": {"name": "a"}, "spec": {"restartPolicy": "Sometimes", "containers": [
                {"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/"}]}]}}),
            &[
                (
                    "spec.containers[0].volumeMounts[0].name",
                    "FieldValueNotFound",
                ),
                ("spec.restartPolicy", "FieldValueNotSupported"),
            ],
        );
        check(
            kind::SERVICE,
            json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 99999, "targetPort": 80}]}}),
            &[("spec.ports[0].port", "FieldValueInvalid")],
        );
        check(
            kind::CONFIG_MAP,
            json!({"metadata": {"name": "a"}, "data": {"a/b": ""}}),
            &[("data[a/b]", "FieldValueInvalid")],
        );
    }
}
