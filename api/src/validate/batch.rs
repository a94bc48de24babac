//! Jobs and CronJobs.

use super::{cron, pod, rules, text};
use crate::status::Cause;
use serde_json::{Value, json};

/// A CronJob's Jobs add a time of 11 characters to its name, and a Job's name has at most 63.
const CRON_JOB_NAME_MAX: usize = 52;
/// Pods at a time of a Job that counts its pods, as upstream.
const INDEXED_PARALLELISM_MAX: i64 = 100_000;
/// Of a Job's spec these never change.
const JOB_IMMUTABLE: [&str; 6] = [
    "selector",
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
];

pub(super) fn job(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    job_spec(spec, "spec", causes);
    generated_selector(object, causes);
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
}

/// A selector that nobody asked to choose is the one that was made.
fn generated_selector(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if spec["manualSelector"] == json!(true) || spec["selector"].is_null() {
        return;
    }
    let (uid, name) = (&object["metadata"]["uid"], &object["metadata"]["name"]);
    let expected = json!({
        "controller-uid": uid, "batch.kubernetes.io/controller-uid": uid,
        "job-name": name, "batch.kubernetes.io/job-name": name,
    });
    let labels = &spec["template"]["metadata"]["labels"];
    for key in expected.as_object().into_iter().flat_map(|map| map.keys()) {
        let found = &labels[key];
        let path = format!("spec.template.metadata.labels.{key}");
        if found.is_null() {
            let detail = format!("must be '{}'", text(&expected, key));
            causes.push(Cause::required(path, &detail));
        } else if *found != expected[key] {
            let detail = format!("must be '{}'", text(&expected, key));
            causes.push(Cause::invalid(path, found, &detail));
        }
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
    let modes = ["NonIndexed", "Indexed"];
    rules::one_of(spec, "completionMode", &modes, path, causes);
    if text(spec, "completionMode") == "Indexed" {
        indexed(spec, path, causes);
    } else {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"] {
            if !spec[field].is_null() {
                let detail = "requires indexed completion mode";
                causes.push(Cause::invalid(
                    format!("{path}.{field}"),
                    &spec[field],
                    detail,
                ));
            }
        }
    }
    let policies: &[&str] = if spec["podFailurePolicy"].is_null() {
        &["Failed", "TerminatingOrFailed"]
    } else {
        &["Failed"]
    };
    rules::one_of(spec, "podReplacementPolicy", policies, path, causes);
    let template = format!("{path}.template");
    if spec["template"].is_null() {
        causes.push(Cause::required(template, ""));
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    super::meta::labels(labels, &format!("{template}.labels"), causes);
    let pod = &spec["template"]["spec"];
    pod::template(pod, &format!("{template}.spec"), causes);
    restart_policy(spec, &format!("{template}.spec.restartPolicy"), causes);
}

fn indexed(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(completions) = spec["completions"].as_i64() else {
        let detail = "when completion mode is Indexed";
        causes.push(Cause::required(format!("{path}.completions"), detail));
        return;
    };
    let too_many = |field: &str, max: i64| spec[field].as_i64().filter(|number| *number > max);
    if let Some(number) = too_many("parallelism", INDEXED_PARALLELISM_MAX) {
        let detail = format!(
            "must be less than or equal to {INDEXED_PARALLELISM_MAX} when completion mode is Indexed"
        );
        causes.push(Cause::invalid(
            format!("{path}.parallelism"),
            &json!(number),
            &detail,
        ));
    }
    if let Some(number) = too_many("maxFailedIndexes", completions) {
        let detail = "must be less than or equal to completions";
        causes.push(Cause::invalid(
            format!("{path}.maxFailedIndexes"),
            &json!(number),
            detail,
        ));
    }
    if !spec["maxFailedIndexes"].is_null() && spec["backoffLimitPerIndex"].is_null() {
        let detail = "when maxFailedIndexes is specified";
        causes.push(Cause::required(
            format!("{path}.backoffLimitPerIndex"),
            detail,
        ));
    }
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
        // Said already, of pods as such.
        _ => {}
    }
}

pub(super) fn job_changed(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (new, was) = (&new["spec"], &old["spec"]);
    for field in JOB_IMMUTABLE {
        rules::immutable(&new[field], &was[field], &format!("spec.{field}"), causes);
    }
    let indexed = text(new, "completionMode") == "Indexed";
    let (now, before) = (&new["completions"], &was["completions"]);
    if !indexed {
        rules::immutable(now, before, "spec.completions", causes);
    } else if now != before && !now.is_null() && *now != new["parallelism"] {
        let detail = "can only be modified in tandem with spec.parallelism";
        causes.push(Cause::invalid("spec.completions", now, detail));
    }
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
