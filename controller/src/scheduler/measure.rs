//! A measured run of the scheduler, for the bench: nodes and pods exist before the clock starts, and it
//! stops when the last binding is durable.

use crate::{
    events::Recorder,
    registry::{Context, Registry},
};
use coracle_api::{StatusError, kind};
use coracle_daemon::Tasks;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Writes under way while the cluster is made.
const WRITES: usize = 256;
/// Pods that one node takes, as upstream's default.
const PODS_PER_NODE: usize = 110;

/// Makes `nodes` nodes and `pods` pods, starts a scheduler and waits until every pod has a node.
/// The registry is to be an empty one with its namespaces made.
///
/// # Errors
/// When a write is refused.
///
/// # Panics
/// Never returns while some pods fit nowhere: give it 110 pods a node at most.
pub async fn measure(
    registry: &Registry,
    tasks: &Tasks,
    nodes: usize,
    pods: usize,
) -> Result<Duration, StatusError> {
    let made = (0..nodes)
        .map(|n| (kind::NODE, "", node(n)))
        .chain((0..pods).map(|n| (kind::POD, "default", pod(n))));
    let context = Context::system("bench");
    stream::iter(made)
        .map(|(kind, namespace, value)| registry.create(&context, kind, namespace, value))
        .buffer_unordered(WRITES)
        .try_for_each(|_object| async { Ok(()) })
        .await?;
    let mut newest = registry.cache().newest();
    let mut position = registry.cache().revision();
    let mut bound = 0;
    let started = Instant::now();
    let _stats = super::start(registry, &Recorder::start(registry, tasks), tasks);
    while bound < pods {
        if newest.changed().await.is_err() {
            return Err(StatusError::unavailable("the controller is stopping"));
        }
        match registry.cache().since(position) {
            Ok(changes) => {
                for change in changes {
                    position = change.revision;
                    let before = change.previous.as_ref();
                    let new = before.is_some_and(|before| !has_node(&before.raw));
                    let is_pod = change.object.kind == kind::POD;
                    bound += usize::from(is_pod && new && has_node(&change.object.raw));
                }
            }
            Err(_too_old) => {
                let (all, revision) = registry.cache().list_at(kind::POD, None);
                bound = all.iter().filter(|pod| has_node(&pod.raw)).count();
                position = revision;
            }
        }
    }
    Ok(started.elapsed())
}

/// Cheap, for it runs beside what is measured.
fn has_node(raw: &[u8]) -> bool {
    const FIELD: &[u8] = b"\"nodeName\":\"";
    raw.windows(FIELD.len()).any(|window| window == FIELD)
}

fn node(n: usize) -> Value {
    let room = json!({"cpu": "4", "memory": "32Gi", "pods": PODS_PER_NODE.to_string()});
    json!({
        "metadata": {"name": format!("node-{n}")},
        "status": {"capacity": room, "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn pod(n: usize) -> Value {
    let container = json!({"name": "c", "image": "hello:v1",
        "resources": {"requests": {"cpu": "10m", "memory": "20Mi"}}});
    json!({"metadata": {"name": format!("pod-{n}"), "labels": {"app": "bench"}}, "spec": {"containers": [container]}})
}
