//! What runs pods: ReplicationControllers, apps and batch.

use super::{each, if_map, in_map, pod::pod_spec, set, storage};
use serde_json::{Map, Value, json};

/// Pods are made from it wherever there is one: it and its spec are structures, which are never absent.
pub(super) fn template(spec: &mut Map<String, Value>) {
    in_map(spec, "template", |template| {
        set(template, "metadata", json!({}));
        in_map(template, "spec", pod_spec);
    });
}

/// Of the one kind that may have none.
fn optional_template(spec: &mut Map<String, Value>) {
    if spec
        .get("template")
        .is_some_and(|template| !template.is_null())
    {
        template(spec);
    }
}

pub(super) fn deployment(spec: &mut Map<String, Value>) {
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "progressDeadlineSeconds", json!(600));
    in_map(spec, "strategy", |strategy| {
        set(strategy, "type", json!("RollingUpdate"));
        if strategy["type"] == "RollingUpdate" {
            in_map(strategy, "rollingUpdate", |rolling| {
                set(rolling, "maxUnavailable", json!("25%"));
                set(rolling, "maxSurge", json!("25%"));
            });
        }
    });
    template(spec);
}

pub(super) fn replica_set(spec: &mut Map<String, Value>) {
    set(spec, "replicas", json!(1));
    template(spec);
}

/// As the oldest of its kind, it takes its labels and its selector from its template.
pub(super) fn replication_controller(object: &mut Map<String, Value>) {
    let labels = template_labels(object);
    in_map(object, "spec", |spec| {
        set(spec, "replicas", json!(1));
        optional_template(spec);
        let empty = spec.get("selector").is_none_or(is_empty);
        if let Some(labels) = labels.clone().filter(|_| empty) {
            spec.insert("selector".to_owned(), labels);
        }
    });
    label_as_template(object, labels);
}

fn template_labels(object: &Map<String, Value>) -> Option<Value> {
    let labels = object
        .get("spec")?
        .pointer("/template/metadata/labels")?
        .clone();
    (!is_empty(&labels)).then_some(labels)
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_none_or(Map::is_empty)
}

fn label_as_template(object: &mut Map<String, Value>, labels: Option<Value>) {
    let Some(labels) = labels else {
        return;
    };
    in_map(object, "metadata", |meta| {
        if meta.get("labels").is_none_or(is_empty) {
            meta.insert("labels".to_owned(), labels);
        }
    });
}

pub(super) fn daemon_set(spec: &mut Map<String, Value>) {
    set(spec, "revisionHistoryLimit", json!(10));
    in_map(spec, "updateStrategy", |strategy| {
        set(strategy, "type", json!("RollingUpdate"));
        if strategy["type"] == "RollingUpdate" {
            in_map(strategy, "rollingUpdate", |rolling| {
                set(rolling, "maxUnavailable", json!(1));
                set(rolling, "maxSurge", json!(0));
            });
        }
    });
    template(spec);
}

pub(super) fn stateful_set(spec: &mut Map<String, Value>) {
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "podManagementPolicy", json!("OrderedReady"));
    in_map(spec, "updateStrategy", |strategy| {
        if strategy.get("type").is_none_or(Value::is_null) {
            set(strategy, "type", json!("RollingUpdate"));
            set(strategy, "rollingUpdate", json!({}));
        }
        if strategy["type"] == "RollingUpdate" {
            if_map(strategy, "rollingUpdate", |rolling| {
                set(rolling, "partition", json!(0));
                set(rolling, "maxUnavailable", json!(1));
            });
        }
    });
    in_map(spec, "persistentVolumeClaimRetentionPolicy", |policy| {
        set(policy, "whenDeleted", json!("Retain"));
        set(policy, "whenScaled", json!("Retain"));
    });
    each(spec, "volumeClaimTemplates", |claim| {
        set(claim, "apiVersion", json!("v1"));
        set(claim, "kind", json!("PersistentVolumeClaim"));
        storage::claim(claim);
    });
    template(spec);
}

pub(super) fn job(object: &mut Map<String, Value>) {
    in_map(object, "spec", |spec| {
        let absent = |name: &str| spec.get(name).is_none_or(Value::is_null);
        if absent("completions") && absent("parallelism") {
            spec.insert("completions".to_owned(), json!(1));
        }
        set(spec, "parallelism", json!(1));
        let by_index = spec
            .get("backoffLimitPerIndex")
            .is_some_and(|limit| !limit.is_null());
        let retries = if by_index { i32::MAX } else { 6 };
        set(spec, "backoffLimit", json!(retries));
        set(spec, "completionMode", json!("NonIndexed"));
        set(spec, "suspend", json!(false));
        set(spec, "manualSelector", json!(false));
        let mut replacement = "TerminatingOrFailed";
        if_map(spec, "podFailurePolicy", |policy| {
            replacement = "Failed";
            failure_policy(policy);
        });
        set(spec, "podReplacementPolicy", json!(replacement));
        template(spec);
    });
    let labels = template_labels(object);
    label_as_template(object, labels);
}

fn failure_policy(policy: &mut Map<String, Value>) {
    each(policy, "rules", |rule| {
        each(rule, "onPodConditions", |pattern| {
            set(pattern, "status", json!("True"));
        });
    });
}

pub(super) fn cron_job(spec: &mut Map<String, Value>) {
    set(spec, "concurrencyPolicy", json!("Allow"));
    set(spec, "suspend", json!(false));
    set(spec, "successfulJobsHistoryLimit", json!(3));
    set(spec, "failedJobsHistoryLimit", json!(1));
    in_map(spec, "jobTemplate", |job| {
        set(job, "metadata", json!({}));
        in_map(job, "spec", |spec| {
            if_map(spec, "podFailurePolicy", failure_policy);
            template(spec);
        });
    });
}
