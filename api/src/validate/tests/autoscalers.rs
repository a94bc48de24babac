//! What an autoscaler may look at.

use super::*;

fn scaler(metric: Value) -> Value {
    json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3, "metrics": [metric]}})
}

#[track_caller]
fn refused(metric: Value, expected: &[&str]) {
    check(kind::HORIZONTAL_POD_AUTOSCALER, scaler(metric), expected);
}

const NO_SLASH: &str = "may not contain '/'";

#[test]
fn references_are_names() {
    let mut named = scaler(json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 50}}}));
    check(kind::HORIZONTAL_POD_AUTOSCALER, named.clone(), &[]);
    named["spec"]["scaleTargetRef"] = json!({"kind": "A/b", "name": "a%b"});
    check(
        kind::HORIZONTAL_POD_AUTOSCALER,
        named,
        &[
            &format!("spec.scaleTargetRef.kind: Invalid value: \"A/b\": {NO_SLASH}"),
            "spec.scaleTargetRef.name: Invalid value: \"a%b\": may not contain '%'",
        ],
    );
}

#[test]
fn each_metric_has_its_fields() {
    let path = "spec.metrics[0]";
    let value = json!({"type": "Value", "value": "1"});
    refused(
        json!({"type": "Pods", "pods": {"metric": {"name": "a/b"}, "target": {"type": "AverageValue", "averageValue": "0"}}}),
        &[
            &format!("{path}.pods.metric.name: Invalid value: \"a/b\": {NO_SLASH}"),
            &format!("{path}.pods.target.averageValue: Invalid value: \"0\": must be positive"),
        ],
    );
    refused(
        json!({"type": "Object", "object": {"describedObject": {}, "metric": {"name": "m"}, "target": value}}),
        &[
            &format!("{path}.object.describedObject.kind: Required value"),
            &format!("{path}.object.describedObject.name: Required value"),
        ],
    );
    refused(
        json!({"type": "External", "external": {"metric": {}, "target": {"type": "Value", "value": "1", "averageValue": "1"}}}),
        &[
            &format!("{path}.external.metric.name: Required value: must specify a metric name"),
            &format!(
                "{path}.external.target.value: Forbidden: may not set both a target value for metric and a per-pod target"
            ),
        ],
    );
    refused(
        json!({"type": "ContainerResource", "containerResource": {"name": "chairs", "container": "C", "target": {"averageUtilization": 0}}}),
        &[
            &format!(
                "{path}.containerResource.name: Invalid value: \"chairs\": must be a standard resource type or fully qualified"
            ),
            &format!(
                "{path}.containerResource.name: Invalid value: \"chairs\": must be a standard resource for containers"
            ),
            &format!(
                "{path}.containerResource.container: Invalid value: \"C\": {}",
                meta::LABEL_MESSAGE
            ),
            &format!(
                "{path}.containerResource.target.type: Required value: must specify a metric target type"
            ),
            &format!(
                "{path}.containerResource.target.type: Invalid value: \"\": must be either Utilization, Value, or AverageValue"
            ),
            &format!(
                "{path}.containerResource.target.averageUtilization: Invalid value: 0: must be greater than 0"
            ),
        ],
    );
}

#[test]
fn a_metric_is_of_one_kind() {
    let pods =
        json!({"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "1"}});
    let kinds =
        "supported values: \"ContainerResource\", \"External\", \"Object\", \"Pods\", \"Resource\"";
    let path = "spec.metrics[0]";
    let unsupported = format!("{path}.type: Unsupported value: \"Foo\": {kinds}");
    refused(json!({"type": "Foo"}), &[&unsupported, &unsupported]);
    refused(
        json!({"type": "Resource", "pods": pods.clone(), "external": pods}),
        &[
            &format!(
                "{path}.resource: Required value: must populate information for the given metric source"
            ),
            &format!("{path}.external: Forbidden: must populate the given metric source only"),
            &format!("{path}.pods: Forbidden: must populate the given metric source only"),
        ],
    );
}

#[test]
fn behaviours() {
    let mut scaler =
        json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3}});
    scaler["spec"]["behavior"] = json!({"scaleDown": {"selectPolicy": "Some", "tolerance": "-1", "policies": [{"type": "Foo", "value": 1, "periodSeconds": 1801}]}});
    let path = "spec.behavior.scaleDown";
    check(
        kind::HORIZONTAL_POD_AUTOSCALER,
        scaler,
        &[
            &format!(
                "{path}.selectPolicy: Unsupported value: \"Some\": supported values: \"Disabled\", \"Max\", \"Min\""
            ),
            &format!(
                "{path}.policies[0].type: Unsupported value: \"Foo\": supported values: \"Percent\", \"Pods\""
            ),
            &format!(
                "{path}.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800"
            ),
            &format!("{path}.tolerance: Invalid value: \"-1\": must be greater than or equal to 0"),
        ],
    );
}
