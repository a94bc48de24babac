//! `autoscaling/v1 HorizontalPodAutoscaler` as a view of the stored `autoscaling/v2` one.
//!
//! v1 has a field for the use of CPU alone; all else stands in annotations, as upstream writes them, so
//! that nothing is lost for a client that reads and writes v1.
//!
//! Source: k8s.io/kubernetes `pkg/apis/autoscaling/v1/conversion.go`.

use serde_json::{Map, Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// What a metric's field is in v1, and where it stands in v2.
type Names = &'static [(&'static str, &'static [&'static str])];

const BY_RESOURCE: Names = &[
    ("name", &["name"]),
    ("container", &["container"]),
    (
        "targetAverageUtilization",
        &["target", "averageUtilization"],
    ),
    ("targetAverageValue", &["target", "averageValue"]),
    (
        "currentAverageUtilization",
        &["current", "averageUtilization"],
    ),
    ("currentAverageValue", &["current", "averageValue"]),
];
const PODS: Names = &[
    ("metricName", &["metric", "name"]),
    ("selector", &["metric", "selector"]),
    ("targetAverageValue", &["target", "averageValue"]),
    ("currentAverageValue", &["current", "averageValue"]),
];
const OBJECT: Names = &[
    ("target", &["describedObject"]),
    ("metricName", &["metric", "name"]),
    ("selector", &["metric", "selector"]),
    ("targetValue", &["target", "value"]),
    ("averageValue", &["target", "averageValue"]),
];
const OBJECT_STATUS: Names = &[
    ("target", &["describedObject"]),
    ("metricName", &["metric", "name"]),
    ("selector", &["metric", "selector"]),
    ("currentValue", &["current", "value"]),
    ("averageValue", &["current", "averageValue"]),
];
const EXTERNAL: Names = &[
    ("metricName", &["metric", "name"]),
    ("metricSelector", &["metric", "selector"]),
    ("targetValue", &["target", "value"]),
    ("targetAverageValue", &["target", "averageValue"]),
    ("currentValue", &["current", "value"]),
    ("currentAverageValue", &["current", "averageValue"]),
];

/// The sources a metric can have, and their names.
fn sources(is_status: bool) -> [(&'static str, Names); 5] {
    let object = if is_status { OBJECT_STATUS } else { OBJECT };
    [
        ("resource", BY_RESOURCE),
        ("containerResource", BY_RESOURCE),
        ("pods", PODS),
        ("object", object),
        ("external", EXTERNAL),
    ]
}

pub(super) fn shown(mut value: Value) -> Value {
    let mut notes = Map::new();
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        let metrics = take_list(spec, "metrics");
        let (cpu, others): (Vec<Value>, Vec<Value>) = metrics.into_iter().partition(is_cpu_share);
        if let Some(cpu) = cpu.first() {
            let share = cpu["resource"]["target"]["averageUtilization"].clone();
            spec.insert("targetCPUUtilizationPercentage".to_owned(), share);
        }
        note(
            &mut notes,
            METRICS,
            others.into_iter().map(|one| old_metric(one, false)),
        );
        if let Some(behavior) = spec.remove("behavior").filter(|it| !it.is_null()) {
            notes.insert(
                BEHAVIOR.to_owned(),
                rename_keys(behavior, &upper_first).to_string().into(),
            );
        }
    }
    if let Some(status) = value.get_mut("status").and_then(Value::as_object_mut) {
        let metrics = take_list(status, "currentMetrics");
        let cpu = metrics.iter().find_map(|metric| {
            let resource = &metric["resource"];
            let share = &resource["current"]["averageUtilization"];
            (resource["name"] == "cpu" && !share.is_null()).then(|| share.clone())
        });
        if let Some(share) = cpu {
            status.insert("currentCPUUtilizationPercentage".to_owned(), share);
        }
        let metrics = metrics.into_iter().map(|one| old_metric(one, true));
        note(&mut notes, CURRENT_METRICS, metrics);
        let conditions = take_list(status, "conditions").into_iter();
        note(&mut notes, CONDITIONS, conditions);
    }
    if !notes.is_empty() {
        if !value["metadata"]["annotations"].is_object() {
            value["metadata"]["annotations"] = json!({});
        }
        if let Some(annotations) = value["metadata"]["annotations"].as_object_mut() {
            annotations.extend(notes);
        }
    }
    value
}

pub(super) fn stored(mut value: Value) -> Value {
    let mut notes = Map::new();
    let meta = value.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(meta) = meta
        && let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut)
    {
        for name in [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR] {
            // What cannot be read is dropped, as upstream does.
            let read = annotations.remove(name);
            let read = read.as_ref().and_then(Value::as_str);
            if let Some(read) = read.and_then(|text| serde_json::from_str(text).ok()) {
                notes.insert(name.to_owned(), read);
            }
        }
        if annotations.is_empty() {
            meta.remove("annotations");
        }
    }
    let mut list = |name: &str| match notes.remove(name) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    let mut metrics: Vec<Value> = list(METRICS)
        .into_iter()
        .map(|one| new_metric(one, false))
        .collect();
    let current: Vec<Value> = list(CURRENT_METRICS)
        .into_iter()
        .map(|one| new_metric(one, true))
        .collect();
    let conditions = list(CONDITIONS);
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        if let Some(share) = spec
            .remove("targetCPUUtilizationPercentage")
            .filter(|it| !it.is_null())
        {
            let target = json!({"type": "Utilization", "averageUtilization": share});
            metrics
                .push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
        }
        put_list(spec, "metrics", metrics);
        if let Some(behavior) = notes.remove(BEHAVIOR) {
            spec.insert("behavior".to_owned(), rename_keys(behavior, &lower_first));
        }
    }
    if let Some(status) = value.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("currentCPUUtilizationPercentage");
        put_list(status, "currentMetrics", current);
        put_list(status, "conditions", conditions);
    }
    value
}

/// The one metric that v1 has a field for.
fn is_cpu_share(metric: &Value) -> bool {
    let resource = &metric["resource"];
    metric["type"] == "Resource"
        && resource["name"] == "cpu"
        && !resource["target"]["averageUtilization"].is_null()
}

fn take_list(of: &mut Map<String, Value>, name: &str) -> Vec<Value> {
    match of.remove(name) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn put_list(of: &mut Map<String, Value>, name: &str, list: Vec<Value>) {
    if !list.is_empty() {
        of.insert(name.to_owned(), list.into());
    }
}

fn note(notes: &mut Map<String, Value>, name: &str, list: impl Iterator<Item = Value>) {
    let list: Vec<Value> = list.collect();
    if !list.is_empty() {
        notes.insert(name.to_owned(), Value::Array(list).to_string().into());
    }
}

/// A metric of v2 in the words of v1.
fn old_metric(metric: Value, is_status: bool) -> Value {
    let mut old = json!({"type": metric["type"]});
    for (source, names) in sources(is_status) {
        let found = &metric[source];
        if found.is_null() {
            continue;
        }
        for (name, path) in names {
            let field = path.iter().fold(found, |value, part| &value[*part]);
            if !field.is_null() {
                old[source][*name] = field.clone();
            }
        }
    }
    old
}

/// A metric of v1 in the words of v2.
fn new_metric(metric: Value, is_status: bool) -> Value {
    let mut new = json!({"type": metric["type"]});
    for (source, names) in sources(is_status) {
        let found = &metric[source];
        if !found.is_object() {
            continue;
        }
        for (name, path) in names.iter().filter(|(name, _)| !found[*name].is_null()) {
            let place = path
                .iter()
                .fold(&mut new[source], |value, part| &mut value[*part]);
            *place = found[*name].clone();
        }
        let target = &new[source]["target"];
        let kinds = [
            ("averageUtilization", "Utilization"),
            ("averageValue", "AverageValue"),
            ("value", "Value"),
        ];
        let kind = kinds.iter().find(|(field, _)| !target[*field].is_null());
        if let Some((_, kind)) = kind.filter(|_| !is_status) {
            new[source]["target"]["type"] = json!(kind);
        }
    }
    new
}

/// Upstream writes this annotation by the names of its program's fields: `ScaleUp`.
fn rename_keys(value: Value, rename: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.into_iter();
            let renamed = fields.map(|(name, value)| (rename(&name), rename_keys(value, rename)));
            Value::Object(renamed.collect())
        }
        Value::Array(list) => list
            .into_iter()
            .map(|value| rename_keys(value, rename))
            .collect(),
        other => other,
    }
}

fn upper_first(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use crate::{kind, protobuf, view};
    use serde_json::{Value, json};

    /// A stored object, through v1 and back.
    #[track_caller]
    fn check(mut v2: Value) -> Value {
        let of = kind::HORIZONTAL_POD_AUTOSCALER_V1;
        let canonical = |object: &mut Value| protobuf::canonical(of.storage(), object);
        canonical(&mut v2);
        let shown = view::shown(of, v2.clone());
        assert_eq!(shown["apiVersion"], "autoscaling/v1");
        // v2 may leave it out.
        assert_eq!(shown["status"]["currentReplicas"], 0);
        let mut back = view::stored(of, shown.clone());
        canonical(&mut back);
        assert_eq!(back, v2);
        shown
    }

    #[test]
    fn cpu_has_a_field() {
        let shown = check(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]},
            "status": {"desiredReplicas": 1},
        }));
        assert_eq!(shown["spec"]["targetCPUUtilizationPercentage"], 60);
        assert!(
            shown["spec"].get("metrics").is_none()
                && shown["metadata"].get("annotations").is_none()
        );
    }

    #[test]
    fn all_else_is_annotated() {
        let selector = json!({"matchLabels": {"a": "b"}});
        let shown = check(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a", "annotations": {"x": "y"}},
            "spec": {"maxReplicas": 3, "metrics": [
                {"type": "Pods", "pods": {"metric": {"name": "m", "selector": selector}, "target": {"type": "AverageValue", "averageValue": "10"}}},
                {"type": "Object", "object": {"describedObject": {"kind": "K", "name": "n"}, "metric": {"name": "m"}, "target": {"type": "Value", "value": "5"}}},
                {"type": "External", "external": {"metric": {"name": "q", "selector": selector}, "target": {"type": "AverageValue", "averageValue": "7"}}},
                {"type": "ContainerResource", "containerResource": {"name": "memory", "container": "c", "target": {"type": "AverageValue", "averageValue": "1Mi"}}}],
                "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}},
            "status": {"conditions": [{"type": "AbleToScale", "status": "True"}], "currentMetrics": [
                {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7, "averageValue": "1m"}}}]},
        }));
        let annotations = &shown["metadata"]["annotations"];
        let metrics = annotations["autoscaling.alpha.kubernetes.io/metrics"]
            .as_str()
            .unwrap();
        let metrics: Value = serde_json::from_str(metrics).unwrap();
        assert_eq!(metrics[0]["pods"]["metricName"], "m");
        assert_eq!(metrics[1]["object"]["targetValue"], "5");
        assert_eq!(metrics[2]["external"]["metricSelector"], selector);
        let behavior = annotations["autoscaling.alpha.kubernetes.io/behavior"]
            .as_str()
            .unwrap();
        assert!(
            behavior.starts_with("{\"ScaleDown\":{\"Policies\":"),
            "{behavior}"
        );
        assert_eq!(shown["status"]["currentCPUUtilizationPercentage"], 7);
        assert_eq!(annotations["x"], "y");
    }

    #[test]
    fn nonsense_in_an_annotation_is_dropped() {
        let of = kind::HORIZONTAL_POD_AUTOSCALER_V1;
        for note in ["{", "7", "[3]", "null", "[{\"type\":\"Pods\",\"pods\":7}]"] {
            let annotations = json!({"autoscaling.alpha.kubernetes.io/metrics": note, "autoscaling.alpha.kubernetes.io/behavior": note});
            let v1 = json!({"metadata": {"annotations": annotations}, "spec": {"targetCPUUtilizationPercentage": 50}});
            let stored = view::stored(of, v1);
            let metrics = stored["spec"]["metrics"].as_array().unwrap();
            assert_eq!(
                metrics.last().unwrap()["resource"]["target"]["averageUtilization"],
                50,
                "{note}"
            );
        }
    }
}
