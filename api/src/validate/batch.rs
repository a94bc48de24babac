//! Jobs and CronJobs.
//!
//! Source: k8s.io/kubernetes `pkg/apis/batch/validation`.

mod policy;

pub(super) use policy::{common as common_index, number_of as number_of_indexes};

use super::{cron, is_dns_label, pod, rules, text};
use crate::status::Cause;
use serde_json::{Value, json};

/// A CronJob's Jobs add a time of 11 characters to its name, and a Job's name has at most 63.
const CRON_JOB_NAME_MAX: usize = 52;
/// Pods at a time of a Job that counts its pods, as upstream.
const INDEXED_PARALLELISM_MAX: i64 = 100_000;
/// Indexes of it that may fail.
const FAILED_INDEXES_MAX: i64 = 100_000;
/// From so many completions on, one that counts the failures of each has less.
const COMPLETIONS_MANY: i64 = 100_000;
const OF_MANY_MAX: i64 = 10_000;
const MANAGED_BY_BYTES_MAX: usize = 63;
/// Labels of a Job's pods that were made: two by its uid, two by its name.
const MADE_LABELS: [(&str, &str); 4] = [
    ("controller-uid", "uid"),
    ("job-name", "name"),
    ("batch.kubernetes.io/controller-uid", "uid"),
    ("batch.kubernetes.io/job-name", "name"),
];
/// Of a Job's spec these never change, beside its selector.
const JOB_IMMUTABLE: [&str; 5] = [
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
];

pub(super) fn job(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    generated_selector(object, causes);
    job_spec(spec, "spec", causes);
    if spec["selector"].is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else {
        rules::selector(&spec["selector"], "spec.selector", causes);
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if !rules::selects(&spec["selector"], labels) {
        let detail = "`selector` does not match template `labels`";
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            labels,
            detail,
        ));
    }
    host_names(object, causes);
}

/// The pods of a Job that counts them are named after it, and so are their hosts.
fn host_names(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let completions = spec["completions"].as_i64().unwrap_or_default();
    if text(spec, "completionMode") != "Indexed" || completions <= 0 {
        return;
    }
    let name = text(&object["metadata"], "name");
    let last = format!("{name}-{}", completions - 1);
    if !is_dns_label(&last) {
        let detail = format!("will not able to create pod with invalid DNS label: {last}");
        causes.push(Cause::invalid("metadata.name", &json!(name), &detail));
    }
}

/// A selector that nobody asked to choose is the one that was made.
fn generated_selector(object: &Value, causes: &mut Vec<Cause>) {
    let (spec, meta) = (&object["spec"], &object["metadata"]);
    if spec["manualSelector"] == json!(true) || spec["selector"].is_null() {
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let mut expected = json!({});
    for (key, field) in MADE_LABELS {
        let path = format!("spec.template.metadata.labels[{key}]");
        let detail = format!("must be '{}'", text(meta, field));
        if labels[key].is_null() {
            causes.push(Cause::required(path, &detail));
        } else if labels[key] != meta[field] {
            causes.push(Cause::invalid(path, labels, &detail));
        }
        expected[key] = meta[field].clone();
    }
    if !rules::selects(&spec["selector"], &expected) {
        let detail = "`selector` not auto-generated";
        causes.push(Cause::invalid("spec.selector", &spec["selector"], detail));
    }
}

fn job_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let numbers = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    rules::not_negative(spec, &numbers, path, causes);
    if !spec["maxFailedIndexes"].is_null() && spec["backoffLimitPerIndex"].is_null() {
        let detail = "when maxFailedIndexes is specified";
        causes.push(Cause::required(
            format!("{path}.backoffLimitPerIndex"),
            detail,
        ));
    }
    managed_by(spec, path, causes);
    let modes = ["NonIndexed", "Indexed"];
    rules::one_of(spec, "completionMode", &modes, path, causes);
    match text(spec, "completionMode") {
        "Indexed" => indexed(spec, path, causes),
        "" | "NonIndexed" => {
            for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
                needs_indexes(&spec[field], format!("{path}.{field}"), causes);
            }
        }
        // Said already.
        _ => {}
    }
    policy::on_failure(spec, path, causes);
    match text(spec, "completionMode") {
        "Indexed" => policy::on_success(spec, path, causes),
        _ => needs_indexes(
            &spec["successPolicy"],
            format!("{path}.successPolicy"),
            causes,
        ),
    }
    let policies: &[&str] = if spec["podFailurePolicy"].is_null() {
        &["Failed", "TerminatingOrFailed"]
    } else {
        &["Failed"]
    };
    rules::one_of(spec, "podReplacementPolicy", policies, path, causes);
    let template = format!("{path}.template");
    pod::template(&spec["template"], &template, causes);
    restart_policy(spec, &format!("{template}.spec.restartPolicy"), causes);
}

fn needs_indexes(value: &Value, path: String, causes: &mut Vec<Cause>) {
    if !value.is_null() {
        let detail = "requires indexed completion mode";
        causes.push(Cause::invalid(path, value, detail));
    }
}

/// The name of a controller elsewhere.
fn managed_by(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(name) = spec["managedBy"].as_str() else {
        return;
    };
    let field = format!("{path}.managedBy");
    rules::domain_prefixed(name, &field, causes);
    if name.len() > MANAGED_BY_BYTES_MAX {
        causes.push(Cause::too_long(field, MANAGED_BY_BYTES_MAX));
    }
}

fn indexed(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let completions = spec["completions"].as_i64();
    if completions.is_none() {
        let detail = "when completion mode is Indexed";
        causes.push(Cause::required(format!("{path}.completions"), detail));
    }
    let no_more_than = |field: &str, max: i64, detail: &str, causes: &mut Vec<Cause>| {
        if spec[field].as_i64().is_some_and(|number| number > max) {
            let path = format!("{path}.{field}");
            let detail = format!("must be less than or equal to {detail}");
            causes.push(Cause::invalid(path, &spec[field], &detail));
        }
    };
    let detail = format!("{INDEXED_PARALLELISM_MAX} when completion mode is Indexed");
    no_more_than("parallelism", INDEXED_PARALLELISM_MAX, &detail, causes);
    if let Some(completions) = completions {
        no_more_than("maxFailedIndexes", completions, "completions", causes);
    }
    let detail = FAILED_INDEXES_MAX.to_string();
    no_more_than("maxFailedIndexes", FAILED_INDEXES_MAX, &detail, causes);
    let is_many = completions.is_some_and(|completions| completions > COMPLETIONS_MANY);
    if !is_many || spec["backoffLimitPerIndex"].is_null() {
        return;
    }
    if spec["maxFailedIndexes"].is_null() {
        let detail = format!("must be specified when completions is above {COMPLETIONS_MANY}");
        let field = format!("{path}.maxFailedIndexes");
        causes.push(Cause::required(field, &detail));
    }
    let detail = format!(
        "{OF_MANY_MAX} when completions are above {COMPLETIONS_MANY} and used with backoff limit per index"
    );
    no_more_than("parallelism", OF_MANY_MAX, &detail, causes);
    no_more_than("maxFailedIndexes", OF_MANY_MAX, &detail, causes);
}

fn restart_policy(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let policy = text(&spec["template"]["spec"], "restartPolicy");
    match policy {
        "" | "Always" => {
            let detail = "valid values: \"OnFailure\", \"Never\"";
            causes.push(Cause::required(path, detail));
        }
        "OnFailure" if !spec["podFailurePolicy"].is_null() => causes.push(Cause::invalid(
            path,
            &json!(policy),
            "only \"Never\" is supported when podFailurePolicy is specified",
        )),
        "OnFailure" | "Never" => {}
        other => {
            let policies = ["OnFailure", "Never"];
            causes.push(Cause::unsupported(path, &json!(other), &policies));
        }
    }
}

pub(super) fn job_changed(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (new, was) = (&new["spec"], &old["spec"]);
    let indexed = text(new, "completionMode") == "Indexed";
    let (now, before) = (&new["completions"], &was["completions"]);
    if !indexed {
        rules::immutable(now, before, "spec.completions", causes);
    } else if now != before && !now.is_null() && *now != new["parallelism"] {
        let detail = "can only be modified in tandem with spec.parallelism";
        causes.push(Cause::invalid("spec.completions", now, detail));
    }
    let selector = &new["selector"];
    rules::immutable(selector, &was["selector"], "spec.selector", causes);
    let waits = was["suspend"] == json!(true) && old["status"]["startTime"].is_null();
    let fixed = |spec: &Value| {
        let mut template = spec["template"].clone();
        if waits {
            unfix(&mut template);
        }
        template
    };
    if fixed(new) != fixed(was) {
        let detail = rules::IMMUTABLE;
        causes.push(Cause::invalid("spec.template", &new["template"], detail));
    }
    for field in JOB_IMMUTABLE {
        rules::immutable(&new[field], &was[field], &format!("spec.{field}"), causes);
    }
}

/// Where pods shall run may change while none was made.
fn unfix(template: &mut Value) {
    let remove = |of: &mut Value, fields: &[&str]| {
        if let Some(map) = of.as_object_mut() {
            map.retain(|field, _| !fields.contains(&field.as_str()));
        }
    };
    remove(&mut template["metadata"], &["annotations", "labels"]);
    let directives = ["nodeSelector", "tolerations", "schedulingGates"];
    let spec = &mut template["spec"];
    remove(spec, &directives);
    remove(&mut spec["affinity"], &["nodeAffinity"]);
    if rules::is_absent(&spec["affinity"]) {
        remove(spec, &["affinity"]);
    }
}

pub(super) fn cron_job(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let (spec, was) = (&object["spec"], old.map(|old| &old["spec"]));
    schedule(spec, was, causes);
    rules::not_negative(spec, &["startingDeadlineSeconds"], "spec", causes);
    if was.is_none_or(|was| was["timeZone"] != spec["timeZone"]) {
        time_zone(&spec["timeZone"], causes);
    }
    let policies = ["Allow", "Forbid", "Replace"];
    rules::one_of(spec, "concurrencyPolicy", &policies, "spec", causes);
    let job = &spec["jobTemplate"]["spec"];
    let path = "spec.jobTemplate.spec";
    job_spec(job, path, causes);
    if !job["selector"].is_null() {
        causes.push(Cause::invalid(
            format!("{path}.selector"),
            &job["selector"],
            "`selector` will be auto-generated",
        ));
    }
    if job["manualSelector"] == json!(true) {
        let field = format!("{path}.manualSelector");
        causes.push(Cause::unsupported(field, &json!(true), &["nil", "false"]));
    }
    let limits = ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"];
    rules::not_negative(spec, &limits, "spec", causes);
    // One that was made before this rule may be changed.
    let name = text(&object["metadata"], "name");
    if old.is_none() && name.len() > CRON_JOB_NAME_MAX {
        let detail = format!("must be no more than {CRON_JOB_NAME_MAX} characters");
        causes.push(Cause::invalid("metadata.name", &json!(name), &detail));
    }
}

/// A zone in the schedule is let be where there always was one.
fn schedule(spec: &Value, was: Option<&Value>, causes: &mut Vec<Cause>) {
    let (schedule, path) = (text(spec, "schedule"), "spec.schedule");
    if schedule.is_empty() {
        causes.push(Cause::required(path, ""));
        return;
    }
    let zoned = |schedule: &str| schedule.contains("TZ");
    let problem = match was.is_some_and(|was| zoned(text(was, "schedule"))) {
        true if !spec["timeZone"].is_null() => {
            "cannot use both timeZone field and TZ or CRON_TZ in schedule"
        }
        true => "",
        false => "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
    };
    if let Some(why) = cron::refused(schedule) {
        causes.push(Cause::invalid(path, &json!(schedule), &why));
    }
    if zoned(schedule) && !problem.is_empty() {
        causes.push(Cause::invalid(path, &json!(schedule), problem));
    }
}

fn time_zone(zone: &Value, causes: &mut Vec<Cause>) {
    let Some(name) = zone.as_str() else {
        return;
    };
    let path = "spec.timeZone";
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 14
            && !part.starts_with('-')
            && !matches!(part, "." | "..")
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-_+".contains(&b))
    };
    if name.is_empty() {
        let detail = "timeZone must be nil or non-empty string";
        causes.push(Cause::invalid(path, zone, detail));
    } else if !name.split('/').all(part) {
        let detail = format!("unknown time zone {name}");
        causes.push(Cause::invalid(path, zone, &detail));
    } else {
        if name.eq_ignore_ascii_case("Local") {
            let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
            causes.push(Cause::invalid(path, zone, detail));
        }
        if let Some(why) = cron::unknown_zone(name) {
            causes.push(Cause::invalid(path, zone, &why));
        }
    }
}
