//! ReplicationControllers, DaemonSets, StatefulSets and ControllerRevisions.

use super::{elements, rules, storage, text, workload};
use crate::{go, status::Cause};
use serde_json::{Value, json};

/// Of a StatefulSet's spec only these may change.
const STATEFUL_SET_MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub(super) fn replication_controller(spec: &Value, causes: &mut Vec<Cause>) {
    rules::not_negative(spec, &["replicas", "minReadySeconds"], "spec", causes);
    let (selector, template) = (&spec["selector"], &spec["template"]);
    if rules::is_absent(selector) {
        causes.push(Cause::required("spec.selector", ""));
    }
    if template.is_null() {
        causes.push(Cause::required("spec.template", ""));
        return;
    }
    let labels = &template["metadata"]["labels"];
    let as_spec = json!({"matchLabels": selector});
    if !rules::is_absent(selector) && !rules::selects(&as_spec, labels) {
        let detail = "`selector` does not match template `labels`";
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            labels,
            detail,
        ));
    }
    workload::always_restarting(template, "ReplicationController", causes);
}

pub(super) fn daemon_set(spec: &Value, causes: &mut Vec<Cause>) {
    let (selector, template) = (&spec["selector"], &spec["template"]);
    // That there has to be one is said by what it does not select.
    let before = causes.len();
    rules::selector(selector, "spec.selector", causes);
    if causes.len() == before && !workload::says_nothing(selector) {
        workload::selected(selector, template, causes);
    }
    workload::empty_selector(selector, "daemonset", causes);
    workload::always_restarting(template, "DaemonSet", causes);
    rules::not_negative(spec, &["minReadySeconds"], "spec", causes);
    daemon_strategy(&spec["updateStrategy"], causes);
    rules::not_negative(spec, &["revisionHistoryLimit"], "spec", causes);
}

fn daemon_strategy(strategy: &Value, causes: &mut Vec<Cause>) {
    let rolling = &strategy["rollingUpdate"];
    match text(strategy, "type") {
        "OnDelete" | "" => {}
        "RollingUpdate" => {
            let path = "spec.updateStrategy.rollingUpdate";
            for field in ["maxUnavailable", "maxSurge"] {
                rules::share(&rolling[field], &format!("{path}.{field}"), causes);
            }
            let zero = |field: &str| rules::is_zero(&rolling[field]);
            match (zero("maxUnavailable"), zero("maxSurge")) {
                (true, true) => causes.push(Cause::required(
                    format!("{path}.maxUnavailable"),
                    "cannot be 0 when maxSurge is 0",
                )),
                (false, false) if !rolling["maxSurge"].is_null() => causes.push(Cause::invalid(
                    format!("{path}.maxSurge"),
                    &rolling["maxSurge"],
                    "may not be set when maxUnavailable is non-zero",
                )),
                _ => {}
            }
        }
        _ => causes.push(Cause::unsupported_shown(
            "spec.updateStrategy",
            &workload::shown_strategy(strategy),
            &["RollingUpdate", "OnDelete"],
        )),
    }
}

/// What was named before names were asked for keeps its service.
pub(super) fn stateful_set(spec: &Value, is_new: bool, causes: &mut Vec<Cause>) {
    let policy = text(spec, "podManagementPolicy");
    if !["", "OrderedReady", "Parallel"].contains(&policy) {
        let detail = "must be 'OrderedReady' or 'Parallel'";
        causes.push(Cause::invalid(
            "spec.podManagementPolicy",
            &json!(policy),
            detail,
        ));
    }
    stateful_strategy(&spec["updateStrategy"], causes);
    let retention = &spec["persistentVolumeClaimRetentionPolicy"];
    for field in ["whenDeleted", "whenScaled"] {
        let path = "spec.persistentVolumeClaimRetentionPolicy";
        rules::one_of(retention, field, &["Delete", "Retain"], path, causes);
    }
    let numbers = ["replicas", "minReadySeconds", "revisionHistoryLimit"];
    rules::not_negative(spec, &numbers, "spec", causes);
    rules::not_negative(&spec["ordinals"], &["start"], "spec.ordinals", causes);
    let service = text(spec, "serviceName");
    if is_new && !service.is_empty() {
        rules::label(service, "spec.serviceName".to_owned(), causes);
    }
    for (path, claim) in elements(spec, "volumeClaimTemplates", "spec") {
        storage::claim(&claim["spec"], &format!("{path}.spec"), causes);
    }
    workload::selecting(&with_claims(spec), "statefulset", causes);
}

fn stateful_strategy(strategy: &Value, causes: &mut Vec<Cause>) {
    let rolling = &strategy["rollingUpdate"];
    let first = json!(rolling["partition"].as_i64().unwrap_or_default());
    let shown = match rolling {
        Value::Null => "null".to_owned(),
        _ => go::structure(&[
            ("Partition", &first),
            ("MaxUnavailable", &rolling["maxUnavailable"]),
        ]),
    };
    match text(strategy, "type") {
        "OnDelete" if !rolling.is_null() => causes.push(Cause::invalid_shown(
            "spec.updateStrategy.rollingUpdate",
            &shown,
            "only allowed for updateStrategy 'RollingUpdate'",
        )),
        "" | "OnDelete" => {}
        "RollingUpdate" => {
            let path = "spec.updateStrategy.rollingUpdate";
            rules::not_negative(rolling, &["partition"], path, causes);
            let most = &rolling["maxUnavailable"];
            let path = format!("{path}.maxUnavailable");
            rules::share(most, &path, causes);
            if rules::is_zero(most) {
                causes.push(Cause::invalid(path, most, "cannot be 0"));
            }
        }
        kind => causes.push(Cause::invalid_shown(
            "spec.updateStrategy",
            &go::structure(&[("Type", &json!(kind)), ("RollingUpdate", &shown)]),
            "must be 'RollingUpdate' or 'OnDelete'",
        )),
    }
}

/// Its claims are volumes of its pods too.
fn with_claims(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let claims = spec["volumeClaimTemplates"].take();
    let pod = &mut spec["template"]["spec"];
    if !pod.is_object() {
        return spec;
    }
    if !pod["volumes"].is_array() {
        pod["volumes"] = json!([]);
    }
    let Some(volumes) = pod["volumes"].as_array_mut() else {
        return spec;
    };
    for claim in claims.as_array().into_iter().flatten() {
        let name = &claim["metadata"]["name"];
        volumes.retain(|volume| volume["name"] != *name);
        volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
    }
    spec
}

pub(super) fn stateful_set_changed(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|field, _| !STATEFUL_SET_MUTABLE.contains(&field.as_str()));
        }
        spec
    };
    if fixed(new) != fixed(old) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        causes.push(Cause::forbidden("spec", detail));
    }
}

pub(super) fn controller_revision(object: &Value, causes: &mut Vec<Cause>) {
    if object["data"].is_null() {
        causes.push(Cause::required("data", "data is mandatory"));
    }
    if let Some(revision) = object["revision"].as_i64().filter(|revision| *revision < 0) {
        let detail = rules::NOT_NEGATIVE;
        causes.push(Cause::invalid("revision", &json!(revision), detail));
    }
}
