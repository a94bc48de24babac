//! Counting requests, and `/metrics`: what is counted plus what the cache and the links know.

use super::{Body, State, respond, route::RequestInfo, usage};
use crate::{
    kinds::Kinds,
    metrics::{Metrics, Request, Text},
};
use coracle_api::kind;
use http::{HeaderValue, Method, Response, StatusCode, header};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// A request on its way to be counted.
pub(crate) struct Counted {
    verb: &'static str,
    resource: String,
    stream: bool,
}

impl Counted {
    /// Labels come from our own tables, never from the URL.
    pub(crate) fn new(kinds: &Kinds, info: Option<&RequestInfo>, method: &Method) -> Self {
        let Some(info) = info else {
            let verb = match *method {
                Method::GET => "get",
                Method::HEAD => "head",
                Method::POST => "create",
                _ => "other",
            };
            return Self {
                verb,
                resource: String::new(),
                stream: false,
            };
        };
        let known = kinds.find(&info.group, &info.version, &info.resource);
        let resource = match known {
            None => "other".to_owned(),
            Some(kind) => {
                let sub = kind
                    .subresources
                    .iter()
                    .find(|sub| sub.name == info.subresource);
                sub.map_or_else(
                    || kind.plural.to_owned(),
                    |sub| format!("{}/{}", kind.plural, sub.name),
                )
            }
        };
        Self {
            verb: info.verb,
            resource,
            stream: info.is_stream(),
        }
    }

    /// Counts it.
    pub(crate) fn finish(self, metrics: &Metrics, status: StatusCode, started: Instant) {
        let took = (!self.stream).then(|| started.elapsed());
        let request = Request {
            verb: self.verb,
            resource: self.resource,
            code: status.as_u16(),
        };
        metrics.request(request, took);
    }
}

/// `/metrics`.
pub(crate) fn metrics(state: &State) -> Response<Body> {
    let mut text = Text::default();
    state.metrics.write(&mut text);
    cluster(state, &mut text);
    state.links.write_metrics(&mut text);
    guests(state, &mut text);
    let mut response = respond::text(StatusCode::OK, text.finish());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}

fn cluster(state: &State, text: &mut Text) {
    let cache = state.registry.cache();
    text.one(
        "coracle_revision",
        "counter",
        "Revision of the store.",
        cache.revision().0,
    );
    let nodes = cache.list(kind::NODE, None);
    let linked = nodes
        .iter()
        .filter(|node| state.links.connected(&node.key.name))
        .count();
    text.one(
        "coracle_link_sessions",
        "gauge",
        "Nodes with an open link.",
        linked,
    );
    let ready = nodes
        .iter()
        .filter(|node| usage::condition(&node.value(), "Ready"))
        .count();
    text.family("coracle_nodes", "gauge", "Nodes by readiness.");
    text.sample("coracle_nodes", &[("ready", "true")], ready);
    text.sample("coracle_nodes", &[("ready", "false")], nodes.len() - ready);
    let mut phases: BTreeMap<String, usize> = BTreeMap::new();
    for phase in ["Pending", "Running", "Succeeded", "Failed", "Unknown"] {
        phases.insert(phase.to_owned(), 0);
    }
    let mut restarts = 0;
    for pod in cache.list(kind::POD, None) {
        let value = pod.value();
        let phase = value["status"]["phase"].as_str().unwrap_or("Pending");
        // Only the five phases: a label with any other value would have no bound.
        let phase = if phases.contains_key(phase) {
            phase
        } else {
            "Unknown"
        };
        *phases.entry(phase.to_owned()).or_default() += 1;
        restarts += usage::restarts(&value);
    }
    text.family("coracle_pods", "gauge", "Pods by phase.");
    for (phase, count) in phases {
        text.sample("coracle_pods", &[("phase", &phase)], count);
    }
    text.one(
        "coracle_container_restarts",
        "gauge",
        "Restarts of all existing pods.",
        restarts,
    );
}

/// What agents measure of their containers; bounded by the pods that run.
fn guests(state: &State, text: &mut Text) {
    let nodes: BTreeMap<_, _> = state.links.node_stats().into_iter().collect();
    text.family(
        "coracle_node_cpu_seconds_total",
        "counter",
        "CPU time of an agent.",
    );
    for (node, stats) in &nodes {
        text.sample(
            "coracle_node_cpu_seconds_total",
            &[("node", node)],
            seconds(stats.cpu_nanos),
        );
    }
    text.family(
        "coracle_node_memory_bytes",
        "gauge",
        "Resident memory of an agent.",
    );
    for (node, stats) in &nodes {
        text.sample(
            "coracle_node_memory_bytes",
            &[("node", node)],
            stats.memory_bytes,
        );
    }
    let containers: Vec<_> = nodes
        .iter()
        .flat_map(|(node, stats)| stats.containers.iter().map(move |one| (node, one)))
        .collect();
    let mut family =
        |name: &str, kind: &str, help: &str, value: fn(&usage::ContainerUsage) -> f64| {
            text.family(name, kind, help);
            for (node, one) in &containers {
                let labels = [
                    ("namespace", one.namespace.as_str()),
                    ("pod", one.pod.as_str()),
                    ("container", one.container.as_str()),
                    ("node", node.as_str()),
                ];
                text.sample(name, &labels, value(one));
            }
        };
    family(
        "coracle_guest_requests_total",
        "counter",
        "HTTP requests served by a guest.",
        |one| count(one.requests),
    );
    family(
        "coracle_guest_traps_total",
        "counter",
        "HTTP requests that ended in a trap.",
        |one| count(one.traps),
    );
    family(
        "coracle_guest_cpu_seconds_total",
        "counter",
        "CPU time of a guest.",
        |one| seconds(one.cpu_nanos),
    );
    family(
        "coracle_guest_memory_bytes",
        "gauge",
        "Memory of a guest.",
        |one| count(one.memory_bytes),
    );
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' numbers are floats")]
fn count(number: u64) -> f64 {
    number as f64
}

fn seconds(nanos: u64) -> f64 {
    count(nanos) / 1e9
}
