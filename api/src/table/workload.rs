//! What runs pods and what scales it: ReplicationControllers, apps, batch and autoscalers.

use super::{
    AGE, CONTAINERS, Column, IMAGES, NAME, UNKNOWN, column, containers, human_duration, labels,
    number, plain, quantity, replicas, selector, since, template, text,
};
use crate::KindRef;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Metrics of an autoscaler in its cell.
const METRICS_SHOWN: usize = 2;

const REPLICATION_CONTROLLER: &[Column] = super::REPLICA_SET;
const POD_TEMPLATE: &[Column] = &[
    NAME,
    Column {
        priority: 0,
        ..CONTAINERS
    },
    Column {
        priority: 0,
        ..IMAGES
    },
    column("Pod Labels", "string", 0).about("The labels for the pod template."),
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
    CONTAINERS,
    IMAGES,
    column("Selector", "string", 1),
];
const STATEFUL_SET: &[Column] = &[
    NAME,
    column("Ready", "string", 0).about("Number of the pod with ready state"),
    AGE,
    CONTAINERS,
    IMAGES,
];
const CONTROLLER_REVISION: &[Column] = &[
    NAME,
    column("Controller", "string", 0).about("Controller of the object"),
    column("Revision", "string", 0),
    AGE,
];
const JOB: &[Column] = &[
    NAME,
    column("Status", "string", 0).about("Status of the job."),
    column("Completions", "string", 0),
    column("Duration", "string", 0).about("Time required to complete the job."),
    AGE,
    CONTAINERS,
    IMAGES,
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
    CONTAINERS,
    IMAGES,
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
            let mut cells = replicas(object, name, age);
            cells.extend(containers(&object["spec"]["template"]));
            cells.push(json!(labels(&object["spec"]["selector"])));
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
    let labels = labels(&object["template"]["metadata"]["labels"]);
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
    let nodes = labels(&object["spec"]["template"]["spec"]["nodeSelector"]);
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
            let kind = match text(owner, "/apiVersion").split_once('/') {
                Some((group, _)) => format!("{}.{group}", text(owner, "/kind")),
                None => text(owner, "/kind").to_owned(),
            };
            format!("{}/{}", kind.to_lowercase(), text(owner, "/name"))
        },
    );
    let revision = number(object, "/revision");
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
            .find(|condition| condition["type"] == name)
            .is_some_and(|condition| condition["status"] == "True")
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
    let (field, is_named) = match text(spec, "/type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let (target, now) = (&spec[field]["target"], &status[field]["current"]);
    let is_average = !target["averageValue"].is_null();
    let is_outer = matches!(field, "external" | "object");
    // What upstream prints where it follows no pointer.
    let wanted = |name: &str| quantity(&target[name], "<nil>");
    let current = |name: &str| match (status[field].is_null(), is_outer && is_average) {
        (false, false) => quantity(&now[name], "<nil>"),
        _ => quantity(&now[name], UNKNOWN),
    };
    let percent = |of: &Value, none: &str| match of["averageUtilization"].as_i64() {
        Some(number) => format!("{number}%"),
        None => none.to_owned(),
    };
    let pair = if is_average || field == "pods" {
        format!("{}/{}", current("averageValue"), wanted("averageValue"))
    } else if is_outer {
        format!("{}/{}", current("value"), wanted("value"))
    } else {
        format!("{}/{}", percent(now, UNKNOWN), percent(target, "<auto>"))
    };
    match (is_named, is_outer && is_average) {
        (true, _) => format!("{}: {pair}", text(&spec[field], "/name")),
        (false, true) => format!("{pair} (avg)"),
        (false, false) => pair,
    }
}
