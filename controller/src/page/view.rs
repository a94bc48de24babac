//! What the status page shows, as one JSON snapshot.
//!
//! Names, states and events only; every list is cut at a length a browser draws at once.

use crate::{cache::Cache, http::usage};
use coracle_api::kind;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;

const NODES_MAX: usize = 200;
const WORKLOADS_MAX: usize = 200;
const PODS_MAX: usize = 300;
const EVENTS_MAX: usize = 40;

/// The snapshot.
pub(super) fn snapshot(cache: &Cache, now: Timestamp) -> Value {
    let pods: Vec<Value> = cache
        .list(kind::POD, None)
        .iter()
        .map(|pod| pod.value())
        .collect();
    let mut pods_of: HashMap<&str, usize> = HashMap::new();
    for pod in &pods {
        if let Some(node) = pod["spec"]["nodeName"].as_str() {
            *pods_of.entry(node).or_default() += 1;
        }
    }
    let nodes: Vec<Value> = cache
        .list(kind::NODE, None)
        .iter()
        .map(|node| node.value())
        .collect();
    json!({
        "time": now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        "nodes_total": nodes.len(),
        "nodes_ready": nodes.iter().filter(|node| usage::condition(node, "Ready")).count(),
        "nodes": nodes.iter().take(NODES_MAX).map(|one| node(one, &pods_of, now)).collect::<Vec<_>>(),
        "workloads": workloads(cache, now),
        "pods_total": pods.len(),
        "pods": pods.iter().take(PODS_MAX).map(|one| pod(one, now)).collect::<Vec<_>>(),
        "events": events(cache, now),
    })
}

fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter()
        .try_fold(value, |value, part| value.get(part))
        .and_then(Value::as_str)
        .unwrap_or("")
}

/// Seconds since a time, or null.
fn age(time: &str, now: Timestamp) -> Value {
    match time.parse::<Timestamp>() {
        Ok(time) => json!(now.as_second().saturating_sub(time.as_second())),
        Err(_none) => Value::Null,
    }
}

fn node(value: &Value, pods_of: &HashMap<&str, usize>, now: Timestamp) -> Value {
    let name = text(value, &["metadata", "name"]);
    let ready = usage::condition(value, "Ready");
    let mut status = if ready { "Ready" } else { "NotReady" }.to_owned();
    if value["spec"]["unschedulable"] == true {
        status.push_str(", SchedulingDisabled");
    }
    let info = |field| text(value, &["status", "nodeInfo", field]);
    json!({
        "name": name,
        "ready": ready,
        "status": status,
        "pods": pods_of.get(name).copied().unwrap_or(0),
        "agent": info("kubeletVersion"),
        "platform": format!("{}/{}", info("operatingSystem"), info("architecture")),
        "age": age(text(value, &["metadata", "creationTimestamp"]), now),
    })
}

fn workloads(cache: &Cache, now: Timestamp) -> Vec<Value> {
    cache
        .list(kind::DEPLOYMENT, None)
        .iter()
        .take(WORKLOADS_MAX)
        .map(|object| {
            let value = object.value();
            let containers = value["spec"]["template"]["spec"]["containers"].as_array();
            let images: Vec<&str> = containers
                .into_iter()
                .flatten()
                .map(|one| text(one, &["image"]))
                .collect();
            json!({
                "namespace": object.key.namespace,
                "name": object.key.name,
                "desired": value["spec"]["replicas"].as_u64().unwrap_or(1),
                "ready": value["status"]["readyReplicas"].as_u64().unwrap_or(0),
                "image": images.join(", "),
                "age": age(text(&value, &["metadata", "creationTimestamp"]), now),
            })
        })
        .collect()
}

fn pod(value: &Value, now: Timestamp) -> Value {
    let statuses: Vec<&Value> = value["status"]["containerStatuses"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let mut status = text(value, &["status", "phase"]).to_owned();
    for one in &statuses {
        let reason = ["waiting", "terminated"]
            .iter()
            .map(|state| text(one, &["state", state, "reason"]))
            .find(|reason| !reason.is_empty());
        if let Some(reason) = reason {
            reason.clone_into(&mut status);
        }
    }
    if !value["metadata"]["deletionTimestamp"].is_null() {
        "Terminating".clone_into(&mut status);
    }
    let ready = statuses.iter().filter(|one| one["ready"] == true).count();
    let total = value["spec"]["containers"].as_array().map_or(0, Vec::len);
    let look = match status.as_str() {
        "Running" if ready == total => "good",
        "Completed" | "Succeeded" => "",
        "Running" | "Pending" | "ContainerCreating" | "Terminating" => "busy",
        _ => "bad",
    };
    json!({
        "namespace": text(value, &["metadata", "namespace"]),
        "name": text(value, &["metadata", "name"]),
        "status": status,
        "look": look,
        "ready": format!("{ready}/{total}"),
        "restarts": usage::restarts(value),
        "node": text(value, &["spec", "nodeName"]),
        "age": age(text(value, &["metadata", "creationTimestamp"]), now),
    })
}

fn events(cache: &Cache, now: Timestamp) -> Vec<Value> {
    let mut events = cache.list(kind::EVENT, None);
    events.sort_by_key(|event| std::cmp::Reverse(event.revision));
    let newest = events.iter().take(EVENTS_MAX);
    newest
        .map(|object| {
            let value = object.value();
            let times = [
                text(&value, &["lastTimestamp"]),
                text(&value, &["eventTime"]),
                text(&value, &["metadata", "creationTimestamp"]),
            ];
            let time = times
                .into_iter()
                .find(|time| !time.is_empty())
                .unwrap_or("");
            let involved = |field| text(&value, &["involvedObject", field]);
            json!({
                "age": age(time, now),
                "type": text(&value, &["type"]),
                "reason": text(&value, &["reason"]),
                "object": format!("{} {}", involved("kind"), involved("name")),
                "message": text(&value, &["message"]),
            })
        })
        .collect()
}
