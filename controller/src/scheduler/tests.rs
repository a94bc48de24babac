//! The scheduler on a real registry, and its decisions on their own.

use super::*;
use crate::{events::Recorder, registry::Subresource, store::Embedded};
use coracle_api::Key;
use coracle_daemon::Clock;
use serde_json::{Value, json};
use std::time::Duration;

struct Bench {
    registry: Registry,
    tasks: Tasks,
    _dir: tempfile::TempDir,
}

async fn open() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let store = Arc::new(Embedded::open(dir.path()).unwrap());
    let registry = Registry::open(store, Clock::system(), &tasks).unwrap();
    registry.bootstrap().await.unwrap();
    Bench {
        registry,
        tasks,
        _dir: dir,
    }
}

impl Bench {
    async fn create(&self, kind: coracle_api::KindRef, value: Value) {
        let namespace = if kind.namespaced { "default" } else { "" };
        self.registry
            .create(&Context::system("test"), kind, namespace, value)
            .await
            .unwrap();
    }

    fn start(&self) {
        let recorder = Recorder::start(&self.registry, &self.tasks);
        let _stats = start(&self.registry, &recorder, &self.tasks);
    }

    /// Waits until `holds`, at most a while.
    async fn until(&self, what: &str, holds: impl Fn(&Registry) -> bool) {
        let mut newest = self.registry.cache().newest();
        let wait = async {
            while !holds(&self.registry) {
                newest.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .unwrap_or_else(|_| panic!("never: {what}"));
    }
}

fn node(name: &str, cpu: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "10"}}})
}

fn pod(name: &str, cpu: &str) -> Value {
    let container = json!({"name": "c", "image": "i:v1", "resources": {"requests": {"cpu": cpu}}});
    json!({"metadata": {"name": name, "labels": {"app": "x"}}, "spec": {"containers": [container]}})
}

fn node_of(registry: &Registry, name: &str) -> String {
    let pod = registry.cache().get(kind::POD, &Key::new("default", name));
    let pod = pod.map(|pod| pod.value()).unwrap_or_default();
    pod["spec"]["nodeName"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn condition(registry: &Registry, name: &str) -> Value {
    let pod = registry
        .cache()
        .get(kind::POD, &Key::new("default", name))
        .unwrap()
        .value();
    let conditions = pod["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let found = conditions
        .into_iter()
        .find(|condition| condition["type"] == "PodScheduled");
    found.unwrap_or_default()
}

fn event(registry: &Registry, reason: &str) -> Option<String> {
    let events = registry.cache().list(kind::EVENT, None);
    let mut values = events.iter().map(|event| event.value());
    let found = values.find(|event| event["reason"] == reason)?;
    found["message"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn pods_are_spread_and_events_say_so() {
    let bench = open().await;
    for name in ["a", "b", "c"] {
        bench.create(kind::NODE, node(name, "4")).await;
    }
    bench.start();
    for name in ["p1", "p2", "p3"] {
        bench.create(kind::POD, pod(name, "100m")).await;
    }
    let names = ["p1", "p2", "p3"];
    let all_bound =
        |registry: &Registry| names.iter().all(|name| !node_of(registry, name).is_empty());
    bench.until("all are bound", all_bound).await;
    let nodes: std::collections::BTreeSet<String> = names
        .iter()
        .map(|name| node_of(&bench.registry, name))
        .collect();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    bench
        .until("an event", |registry| {
            event(registry, "Scheduled").is_some()
        })
        .await;
    let said = event(&bench.registry, "Scheduled").unwrap();
    assert!(
        said.starts_with("Successfully assigned default/p"),
        "{said}"
    );
    assert_eq!(condition(&bench.registry, "p1")["status"], "True");
}

#[tokio::test]
async fn an_unschedulable_pod_says_why_and_goes_when_there_is_room() {
    let bench = open().await;
    bench.create(kind::NODE, node("small", "1")).await;
    let mut tainted = node("tainted", "8");
    tainted["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]);
    bench.create(kind::NODE, tainted).await;
    bench.create(kind::POD, pod("big", "2")).await;
    let mut foreign = pod("foreign", "1m");
    foreign["spec"]["schedulerName"] = json!("mine");
    bench.create(kind::POD, foreign).await;
    bench.start();
    let said = |registry: &Registry| condition(registry, "big")["status"] == "False";
    bench.until("a condition", said).await;
    let why = condition(&bench.registry, "big");
    let message =
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s).";
    assert_eq!(
        (&why["reason"], &why["message"]),
        (&json!("Unschedulable"), &json!(message))
    );
    bench
        .until("an event", |registry| {
            event(registry, "FailedScheduling").is_some()
        })
        .await;
    assert_eq!(event(&bench.registry, "FailedScheduling").unwrap(), message);

    let untaint = |node: &mut Value| {
        node["spec"]["taints"] = json!([]);
        Ok(())
    };
    let context = Context::system("test");
    let key = Key::cluster("tainted");
    let untainted = bench
        .registry
        .modify(&context, kind::NODE, &key, Subresource::None, untaint);
    untainted.await.unwrap();
    bench
        .until("it goes there", |registry| {
            node_of(registry, "big") == "tainted"
        })
        .await;
    assert_eq!(node_of(&bench.registry, "foreign"), "");
}

#[tokio::test]
async fn a_deleted_pod_makes_room() {
    let bench = open().await;
    bench.start();
    bench.create(kind::POD, pod("first", "800m")).await;
    let none = |registry: &Registry| {
        condition(registry, "first")["message"] == "no nodes available to schedule pods"
    };
    bench.until("there is no node", none).await;
    bench.create(kind::NODE, node("n", "1")).await;
    bench
        .until("the first has a node", |registry| {
            node_of(registry, "first") == "n"
        })
        .await;
    bench.create(kind::POD, pod("second", "800m")).await;
    let waits = |registry: &Registry| {
        condition(registry, "second")["message"] == "0/1 nodes are available: 1 Insufficient cpu."
    };
    bench.until("the second waits", waits).await;
    let first = bench
        .registry
        .cache()
        .get(kind::POD, &Key::new("default", "first"))
        .unwrap();
    bench
        .registry
        .finish_delete(&first.key, first.uid())
        .await
        .unwrap();
    bench
        .until("the second has its place", |registry| {
            node_of(registry, "second") == "n"
        })
        .await;
}

#[tokio::test]
async fn a_measured_run_binds_every_pod() {
    let bench = open().await;
    let took = measure::measure(&bench.registry, &bench.tasks, 120, 300)
        .await
        .unwrap();
    assert!(took > Duration::ZERO);
    let pods = bench.registry.cache().list(kind::POD, None);
    assert!(
        pods.iter()
            .all(|pod| !node_of(&bench.registry, &pod.key.name).is_empty())
    );
}

#[test]
fn larger_clusters_are_sampled() {
    let cases = [
        (1, usize::MAX),
        (99, usize::MAX),
        (100, 100),
        (1000, 420),
        (5000, 500),
        (10_000, 500),
    ];
    for (nodes, expected) in cases {
        assert_eq!(sample(nodes), expected, "{nodes}");
    }
}
