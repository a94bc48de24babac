//! Deployments, ReplicaSets, Services, ConfigMaps and Secrets.

use super::{elements, is_dns_label, pod, text};
use crate::{selector::LabelSelector, status::Cause};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn deployment(spec: &Value, causes: &mut Vec<Cause>) {
    replica_set(spec, causes);
    let kind = text(&spec["strategy"], "type");
    if !kind.is_empty() && !["Recreate", "RollingUpdate"].contains(&kind) {
        causes.push(Cause::unsupported(
            "spec.strategy",
            &json!(kind),
            &["Recreate", "RollingUpdate"],
        ));
    }
    if kind == "Recreate"
        && spec["strategy"]
            .get("rollingUpdate")
            .is_some_and(|rolling| !rolling.is_null())
    {
        let detail = "may not be specified when strategy `type` is 'Recreate'";
        causes.push(Cause::forbidden("spec.strategy.rollingUpdate", detail));
    }
    let rolling = &spec["strategy"]["rollingUpdate"];
    if is_zero(&rolling["maxSurge"]) && is_zero(&rolling["maxUnavailable"]) {
        let detail = "may not be 0 when `maxSurge` is 0";
        causes.push(Cause::invalid(
            "spec.strategy.rollingUpdate.maxUnavailable",
            &rolling["maxUnavailable"],
            detail,
        ));
    }
    for field in [
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ] {
        not_negative(spec, field, causes);
    }
}

fn is_zero(value: &Value) -> bool {
    value.as_i64() == Some(0) || matches!(value.as_str(), Some("0" | "0%"))
}

fn not_negative(spec: &Value, field: &str, causes: &mut Vec<Cause>) {
    if let Some(value) = spec[field].as_i64().filter(|value| *value < 0) {
        causes.push(Cause::invalid(
            format!("spec.{field}"),
            &json!(value),
            "must be greater than or equal to 0",
        ));
    }
}

pub(super) fn replica_set(spec: &Value, causes: &mut Vec<Cause>) {
    not_negative(spec, "replicas", causes);
    let selector = &spec["selector"];
    let empty = |name: &str| match &selector[name] {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else if empty("matchLabels") && empty("matchExpressions") {
        causes.push(Cause::invalid(
            "spec.selector",
            selector,
            "empty selector is invalid for deployment",
        ));
    }
    super::meta::labels(
        &selector["matchLabels"],
        "spec.selector.matchLabels",
        causes,
    );
    match_expressions(selector, causes);
    let template = &spec["template"];
    if template.is_null() {
        causes.push(Cause::required("spec.template", ""));
        return;
    }
    let labels: BTreeMap<String, String> =
        BTreeMap::deserialize(&template["metadata"]["labels"]).unwrap_or_default();
    let parsed = meta::LabelSelector::deserialize(selector)
        .ok()
        .and_then(|spec| LabelSelector::from_spec(&spec).ok());
    if parsed.is_some_and(|selector| !selector.matches(&labels)) {
        let value = json!(template["metadata"]["labels"]);
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            &value,
            "`selector` does not match template `labels`",
        ));
    }
    super::meta::labels(
        &template["metadata"]["labels"],
        "spec.template.labels",
        causes,
    );
    pod::spec(&template["spec"], "spec.template.spec", causes);
    let policy = text(&template["spec"], "restartPolicy");
    if !policy.is_empty() && policy != "Always" {
        causes.push(Cause::unsupported(
            "spec.template.spec.restartPolicy",
            &json!(policy),
            &["Always"],
        ));
    }
}

/// An operator nobody knows would leave a controller with a selector it cannot use.
fn match_expressions(selector: &Value, causes: &mut Vec<Cause>) {
    for (path, expression) in elements(selector, "matchExpressions", "spec.selector") {
        if text(expression, "key").is_empty() {
            causes.push(Cause::required(format!("{path}.key"), ""));
        }
        let values = expression["values"].as_array().map_or(0, Vec::len);
        match text(expression, "operator") {
            "In" | "NotIn" if values == 0 => causes.push(Cause::required(
                format!("{path}.values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if values > 0 => causes.push(Cause::forbidden(
                format!("{path}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => causes.push(Cause::invalid(
                format!("{path}.operator"),
                &json!(other),
                "not a valid selector operator",
            )),
        }
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

pub(super) fn service(spec: &Value, causes: &mut Vec<Cause>) {
    let kind = text(spec, "type");
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kind.is_empty() && !kinds.contains(&kind) {
        causes.push(Cause::unsupported("spec.type", &json!(kind), &kinds));
    }
    let ports = elements(spec, "ports", "spec");
    let headless = text(spec, "clusterIP") == "None";
    if ports.is_empty() && kind != "ExternalName" && !headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    let many = ports.len() > 1;
    let mut seen = Vec::new();
    for (path, port) in ports {
        let name = text(port, "name");
        if many && name.is_empty() {
            causes.push(Cause::required(format!("{path}.name"), ""));
        } else if !name.is_empty() && !is_dns_label(name) {
            causes.push(Cause::invalid(
                format!("{path}.name"),
                &json!(name),
                "must be a DNS label",
            ));
        }
        pod::port_number(&port["port"], &format!("{path}.port"), causes);
        let protocol = text(port, "protocol");
        if !protocol.is_empty() && !["SCTP", "TCP", "UDP"].contains(&protocol) {
            causes.push(Cause::unsupported(
                format!("{path}.protocol"),
                &json!(protocol),
                &["SCTP", "TCP", "UDP"],
            ));
        }
        let id = (port["port"].as_i64(), protocol);
        if seen.contains(&id) {
            causes.push(Cause::duplicate(path, port));
        }
        seen.push(id);
    }
    super::meta::labels(&spec["selector"], "spec.selector", causes);
}

pub(super) fn unchanged_service(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (was, is) = (
        text(&old["spec"], "clusterIP"),
        text(&new["spec"], "clusterIP"),
    );
    if !was.is_empty() && was != is && text(&new["spec"], "type") != "ExternalName" {
        causes.push(Cause::invalid(
            "spec.clusterIPs[0]",
            &new["spec"]["clusterIPs"],
            "may not change once set",
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
            let valid = !key.is_empty()
                && key.len() <= 253
                && key != "."
                && !key.starts_with("..")
                && key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            if !valid {
                let detail = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
                causes.push(Cause::invalid(
                    format!("{field}[{key}]"),
                    &json!(key),
                    detail,
                ));
            }
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
            &[("spec.selector", "FieldValueRequired")],
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
            json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 99999}]}}),
            &[("spec.ports[0].port", "FieldValueInvalid")],
        );
        check(
            kind::CONFIG_MAP,
            json!({"metadata": {"name": "a"}, "data": {"a/b": ""}}),
            &[("data[a/b]", "FieldValueInvalid")],
        );
    }
}
