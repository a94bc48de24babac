//! `metrics.k8s.io/v1beta1`: what nodes and pods use, from what the agents measure.
//!
//! CPU is a rate between the last two samples of a node; memory is the newest sample.

pub(crate) mod schema;

use super::{
    Body, Call, State, error,
    negotiate::{self, Format},
    query::ListOptions,
    respond,
    route::RequestInfo,
    select::Selection,
};
use crate::object::Object;
use coracle_api::{Key, KindRef, kind, status::StatusError};
use coracle_link::node::NodeUsage;
use http::Response;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc, time::Duration};

pub(crate) use coracle_link::node::ContainerUsage;

pub(crate) const GROUP: &str = "metrics.k8s.io";
pub(crate) const VERSION: &str = "v1beta1";
/// Name, kind, namespaced.
pub(crate) const RESOURCES: [(&str, &str, bool); 2] = [
    ("nodes", "NodeMetrics", false),
    ("pods", "PodMetrics", true),
];
/// How often the newest sample is looked at; agents report every 10 s or less often.
const SAMPLE_PERIOD: Duration = Duration::from_secs(5);

/// The last two samples of each node.
#[derive(Debug, Default)]
pub(crate) struct Usage(Mutex<HashMap<String, Window>>);

#[derive(Debug, Clone)]
struct Window {
    before: Option<Arc<NodeUsage>>,
    newest: Arc<NodeUsage>,
}

/// Takes samples until the tasks are asked to stop.
pub(crate) async fn sample(state: State) {
    let stop = state.tasks.stop().clone();
    loop {
        state.usage.take(state.links.node_stats());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SAMPLE_PERIOD) => {}
        }
    }
}

impl Usage {
    fn take(&self, stats: HashMap<String, NodeUsage>) {
        let mut windows = self.0.lock();
        windows.retain(|node, _| stats.contains_key(node));
        for (node, usage) in stats {
            match windows.get_mut(&node) {
                Some(window) if window.newest.time_ms == usage.time_ms => {}
                Some(window) => {
                    let older = std::mem::replace(&mut window.newest, Arc::new(usage));
                    window.before = Some(older);
                }
                None => {
                    windows.insert(
                        node,
                        Window {
                            before: None,
                            newest: Arc::new(usage),
                        },
                    );
                }
            }
        }
    }

    fn window(&self, node: &str) -> Option<Window> {
        self.0.lock().get(node).cloned()
    }

    fn all(&self) -> Vec<Window> {
        self.0.lock().values().cloned().collect()
    }
}

impl Window {
    fn span_ms(&self) -> i64 {
        self.before
            .as_ref()
            .map_or(0, |before| self.newest.time_ms - before.time_ms)
    }

    /// Thousandths of a core between two counters of CPU time, zero without two samples.
    fn nano_cores(&self, before: Option<u64>, newest: u64) -> u64 {
        let span = u64::try_from(self.span_ms()).unwrap_or(0);
        match before {
            // A restarted container counts from zero again.
            Some(before) if span > 0 => newest.saturating_sub(before).saturating_mul(1000) / span,
            _ => 0,
        }
    }

    fn head(&self, kind: &str, object: &Object) -> Value {
        let mut meta =
            json!({"name": object.key.name, "creationTimestamp": time(self.newest.time_ms)});
        if !object.key.namespace.is_empty() {
            meta["namespace"] = json!(object.key.namespace);
        }
        if let Some(labels) = &object.meta.labels {
            meta["labels"] = json!(labels);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a span of seconds is far below 2^52"
        )]
        let window = format!("{:.3}s", self.span_ms() as f64 / 1000.0);
        json!({
            "kind": kind,
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "metadata": meta,
            "timestamp": time(self.newest.time_ms),
            "window": window,
        })
    }

    fn node(&self, object: &Object) -> Value {
        let mut value = self.head("NodeMetrics", object);
        let before = self.before.as_ref().map(|before| before.cpu_nanos);
        value["usage"] = amounts(
            self.nano_cores(before, self.newest.cpu_nanos),
            self.newest.memory_bytes,
        );
        value
    }

    fn pod(&self, object: &Object) -> Option<Value> {
        let of_pod = |usage: &NodeUsage| -> Vec<ContainerUsage> {
            let own = usage
                .containers
                .iter()
                .filter(|one| one.pod_uid == object.uid());
            own.cloned().collect()
        };
        let newest = of_pod(&self.newest);
        if newest.is_empty() {
            return None;
        }
        let before = self
            .before
            .as_ref()
            .map(|before| of_pod(before))
            .unwrap_or_default();
        let containers: Vec<Value> = newest
            .iter()
            .map(|one| {
                let older = before.iter().find(|older| older.container == one.container);
                let cpu = self.nano_cores(older.map(|older| older.cpu_nanos), one.cpu_nanos);
                json!({"name": one.container, "usage": amounts(cpu, one.memory_bytes)})
            })
            .collect();
        let mut value = self.head("PodMetrics", object);
        value["containers"] = json!(containers);
        Some(value)
    }
}

fn amounts(nano_cores: u64, memory_bytes: u64) -> Value {
    json!({"cpu": format!("{nano_cores}n"), "memory": format!("{}Ki", memory_bytes / 1024)})
}

fn time(millis: i64) -> String {
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    coracle_api::time(at)
}

/// Answers a request for this group.
pub(crate) fn answer(
    state: &State,
    info: &RequestInfo,
    call: &Call,
) -> Result<Response<Body>, StatusError> {
    let kind = match info.resource.as_str() {
        "nodes" => kind::NODE,
        "pods" => kind::POD,
        _ => return Err(error::no_such_resource()),
    };
    // What is of the whole cluster is not to be had by a right in one namespace.
    let elsewhere = !kind.namespaced && !info.namespace.is_empty();
    if !info.subresource.is_empty() || elsewhere {
        return Err(error::no_such_resource());
    }
    // A table of these has no columns of ours: plain JSON, or nothing.
    if negotiate::format(call.accept(), true)
        .is_none_or(|format| format != Format::Json && !negotiate::takes_json(call.accept()))
    {
        return Err(error::not_acceptable());
    }
    match info.verb {
        "get" => one(state, kind, info),
        "list" => list(state, kind, info, call),
        _ => Err(error::method_not_allowed()),
    }
}

fn one(state: &State, kind: KindRef, info: &RequestInfo) -> Result<Response<Body>, StatusError> {
    let namespace = if kind.namespaced {
        info.namespace.clone()
    } else {
        String::new()
    };
    let key = Key {
        namespace,
        name: info.name.clone(),
    };
    let missing = || {
        let resource = format!("{}.{GROUP}", info.resource);
        error::status(
            404,
            "NotFound",
            format!("{resource} {:?} not found", info.name),
        )
    };
    let object = state.registry.cache().get(kind, &key).ok_or_else(missing)?;
    let found = measure(state, &object).ok_or_else(missing)?;
    Ok(respond::ok(&found))
}

fn list(
    state: &State,
    kind: KindRef,
    info: &RequestInfo,
    call: &Call,
) -> Result<Response<Body>, StatusError> {
    let options = ListOptions::parse(&call.query, false)?;
    let selection = Selection::new(
        state.registry.cache().kinds(),
        kind,
        &info.namespace,
        &options,
    )?;
    let cache = state.registry.cache();
    let items: Vec<Value> = cache
        .list(kind, selection.namespace.as_deref())
        .iter()
        .filter(|object| selection.matches(object))
        .filter_map(|object| measure(state, object))
        .collect();
    let name = if kind.namespaced {
        "PodMetricsList"
    } else {
        "NodeMetricsList"
    };
    Ok(respond::ok(&json!({
        "kind": name,
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "metadata": {},
        "items": items,
    })))
}

fn measure(state: &State, object: &Object) -> Option<Value> {
    if object.kind == kind::NODE {
        return state
            .usage
            .window(&object.key.name)
            .map(|window| window.node(object));
    }
    state
        .usage
        .all()
        .iter()
        .find_map(|window| window.pod(object))
}

/// Whether a condition of an object is true.
pub(crate) fn condition(value: &Value, name: &str) -> bool {
    let conditions = value["status"]["conditions"].as_array();
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|one| one["type"] == name && one["status"] == "True")
    })
}

/// Restarts of a pod's containers.
pub(crate) fn restarts(pod: &Value) -> u64 {
    let statuses = pod["status"]["containerStatuses"].as_array();
    statuses
        .into_iter()
        .flatten()
        .filter_map(|one| one["restartCount"].as_u64())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_a_rate_between_the_last_two_samples() {
        let usage = Usage::default();
        let at = |time_ms, cpu_nanos| {
            HashMap::from([(
                "n".to_owned(),
                NodeUsage {
                    time_ms,
                    cpu_nanos,
                    ..NodeUsage::default()
                },
            )])
        };
        usage.take(at(1_000, 500));
        let window = usage.window("n").unwrap();
        assert_eq!(window.nano_cores(None, 500), 0);
        usage.take(at(1_000, 500));
        usage.take(at(3_000, 1_000_000_500));
        let window = usage.window("n").unwrap();
        let before = window.before.as_ref().map(|before| before.cpu_nanos);
        assert_eq!(
            window.nano_cores(before, window.newest.cpu_nanos),
            500_000_000
        );
        assert_eq!(window.nano_cores(Some(9), 3), 0);
        usage.take(HashMap::new());
        assert!(usage.window("n").is_none());
    }
}
