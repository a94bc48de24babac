//! What runs pods and what scales it: ReplicationControllers, apps, batch and autoscalers.

use super::{
    AGE, Column, NAME, column, containers, human_duration, number, plain, selector, since,
    template, text,
};
use crate::KindRef;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Metrics of an autoscaler in its cell.
const METRICS_SHOWN: usize = 2;

const REPLICATION_CONTROLLER: &[Column] = super::REPLICA_SET;
const POD_TEMPLATE: &[Column] = &[
    NAME,
    column("Containers", "string", 0),
    column("Images", "string", 0),
    column("Pod Labels", "string", 0),
];
const DAEMON_SET: &[Column] = &[
    NAME,
    column("Desired", "integer", 0),
    column("Current", "integer", 0),
    column("Ready", "integer", 0),
    column("Up-to-date", "integer", 0),
    column("Available", "integer", 0),
    column("Node Selector", "string", 0),
    AGE,
    column("Containers", "string", 1),
    column("Images", "string", 1),
    column("Selector", "string", 1),
];
const STATEFUL_SET: &[Column] = &[
    NAME,
    column("Ready", "string", 0),
    AGE,
    column("Containers", "string", 1),
    column("Images", "string", 1),
];
const CONTROLLER_REVISION: &[Column] = &[
    NAME,
    column("Controller", "string", 0),
    column("Revision", "string", 0),
    AGE,
];
const JOB: &[Column] = &[
    NAME,
    column("Status", "string", 0),
    column("Completions", "string", 0),
    column("Duration", "string", 0),
    AGE,
    column("Containers", "string", 1),
    column("Images", "string", 1),
    column("Selector", "string", 1),
];
const CRON_JOB: &[Column] = &[
    NAME,
    column("Schedule", "string", 0),
    column("Timezone", "string", 0),
    column("Suspend", "boolean", 0),
    column("Active", "integer", 0),
    column("Last Schedule", "string", 0),
    AGE,
    column("Containers", "string", 1),
    column("Images", "string", 1),
    column("Selector", "string", 1),
];
const AUTOSCALER: &[Column] = &[
    NAME,
    column("Reference", "string", 0),
    column("Targets", "string", 0),
    column("MinPods", "string", 0),
    column("MaxPods", "string", 0),
    column("Replicas", "string", 0),
    AGE,
];

pub(super) fn columns(kind: KindRef) -> &'static [Column] {
    match kind.kind {
        "PodTemplate" => POD_TEMPLATE,
        "ReplicationController" => REPLICATION_CONTROLLER,
        "DaemonSet" => DAEMON_SET,
        "StatefulSet" => STATEFUL_SET,
        "ControllerRevision" => CONTROLLER_REVISION,
        "Job" => JOB,
        "CronJob" => CRON_JOB,
        _ => AUTOSCALER,
    }
}

pub(super) fn cells(kind: KindRef, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = json!(text(object, "/metadata/name"));
    let age = json!(since(text(object, "/metadata/creationTimestamp"), now));
    match kind.kind {
        "PodTemplate" => pod_template(object, name),
        "ReplicationController" => {
            let mut cells = vec![
                name,
                json!(number(object, "/spec/replicas")),
                json!(number(object, "/status/replicas")),
                json!(number(object, "/status/readyReplicas")),
                age,
            ];
            cells.extend(template(object));
            cells
        }
        "DaemonSet" => daemon_set(object, name, age),
        "StatefulSet" => {
            let ready = number(object, "/status/readyReplicas");
            let ready = format!("{ready}/{}", number(object, "/spec/replicas"));
            let [names, images] = containers(&object["spec"]["template"]);
            vec![name, json!(ready), age, names, images]
        }
        "ControllerRevision" => controller_revision(object, name, age),
        "Job" => job(object, age, now),
        "CronJob" => cron_job(object, age, now),
        _ => autoscaler(object, name, age),
    }
}

fn pod_template(object: &Value, name: Value) -> Vec<Value> {
    let [names, images] = containers(&object["template"]);
    let labels = selector(&object["template"]["metadata"]["labels"]);
    vec![name, names, images, json!(labels)]
}

fn daemon_set(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let counts = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    let mut cells = vec![name];
    cells.extend(counts.map(|count| json!(number(&object["status"], &format!("/{count}")))));
    let nodes = selector(&object["spec"]["template"]["spec"]["nodeSelector"]);
    cells.extend([json!(nodes), age]);
    cells.extend(template(object));
    cells
}

fn controller_revision(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    let owner = owners
        .into_iter()
        .flatten()
        .find(|owner| owner["controller"] == json!(true));
    let controller = owner.map_or_else(
        || "<none>".to_owned(),
        |owner| {
            let kind = text(owner, "/kind").to_lowercase();
            match text(owner, "/apiVersion").split_once('/') {
                Some((group, _)) => format!("{kind}.{group}/{}", text(owner, "/name")),
                None => format!("{kind}/{}", text(owner, "/name")),
            }
        },
    );
    let revision = number(object, "/revision").to_string();
    vec![name, json!(controller), json!(revision), age]
}

fn job(object: &Value, age: Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let succeeded = number(status, "/succeeded");
    let completions = match (spec["completions"].as_i64(), number(spec, "/parallelism")) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let time = |field: &str| text(status, field).parse::<Timestamp>().ok();
    let duration = time("/startTime").map_or_else(String::new, |started| {
        let ended = time("/completionTime").unwrap_or(now);
        human_duration(ended.duration_since(started).as_secs())
    });
    let [names, images, selector] = template(object);
    vec![
        json!(text(object, "/metadata/name")),
        json!(job_status(object)),
        json!(completions),
        json!(duration),
        age,
        names,
        images,
        selector,
    ]
}

fn job_status(object: &Value) -> &'static str {
    let is = |name: &str| {
        let conditions = object["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == name && condition["status"] == "True")
    };
    let going = !object["metadata"]["deletionTimestamp"].is_null();
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if going => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () => "Running",
    }
}

fn cron_job(object: &Value, age: Value, now: Timestamp) -> Vec<Value> {
    let last = match text(object, "/status/lastScheduleTime") {
        "" => "<none>".to_owned(),
        time => since(time, now),
    };
    let suspend = match object["spec"]["suspend"].as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    let active = object["status"]["active"].as_array().map_or(0, Vec::len);
    let job = &object["spec"]["jobTemplate"]["spec"];
    let [names, images] = containers(&job["template"]);
    vec![
        json!(text(object, "/metadata/name")),
        json!(text(object, "/spec/schedule")),
        json!(plain(&object["spec"]["timeZone"], "<none>")),
        json!(suspend),
        json!(active),
        json!(last),
        age,
        names,
        images,
        json!(selector(&job["selector"])),
    ]
}

fn autoscaler(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let spec = &object["spec"];
    let target = &spec["scaleTargetRef"];
    let reference = format!("{}/{}", text(target, "/kind"), text(target, "/name"));
    vec![
        name,
        json!(reference),
        json!(metrics(
            &spec["metrics"],
            &object["status"]["currentMetrics"]
        )),
        json!(plain(&spec["minReplicas"], "<unset>")),
        json!(number(spec, "/maxReplicas")),
        json!(number(object, "/status/currentReplicas")),
        age,
    ]
}

/// Current and wanted value of each metric.
fn metrics(specs: &Value, current: &Value) -> String {
    let Some(specs) = specs.as_array().filter(|specs| !specs.is_empty()) else {
        return "<none>".to_owned();
    };
    let shown: Vec<String> = specs
        .iter()
        .enumerate()
        .take(METRICS_SHOWN)
        .map(|(index, spec)| metric(spec, &current[index]))
        .collect();
    let more = specs.len().saturating_sub(METRICS_SHOWN);
    let list = shown.join(", ");
    if more == 0 {
        list
    } else {
        format!("{list} + {more} more...")
    }
}

fn metric(spec: &Value, status: &Value) -> String {
    let (field, by_name) = match text(spec, "/type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let (target, now) = (&spec[field]["target"], &status[field]["current"]);
    let average = !target["averageValue"].is_null();
    let value = |of: &Value, name: &str| plain(&of[name], "<unknown>");
    let percent = |of: &Value, none: &str| match of["averageUtilization"].as_i64() {
        Some(number) => format!("{number}%"),
        None => none.to_owned(),
    };
    let pair = match (by_name, average || field == "pods") {
        (_, true) => format!(
            "{}/{}",
            value(now, "averageValue"),
            value(target, "averageValue")
        ),
        (true, false) => format!(
            "{}/{}",
            percent(now, "<unknown>"),
            percent(target, "<auto>")
        ),
        (false, false) => format!("{}/{}", value(now, "value"), value(target, "value")),
    };
    match (by_name, average && field != "pods") {
        (true, _) => format!("{}: {pair}", text(&spec[field], "/name")),
        (false, true) => format!("{pair} (avg)"),
        (false, false) => pair,
    }
}
