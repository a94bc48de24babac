//! Removes pods that nobody else will: of nodes that are gone, ended ones when there are too many, and
//! ones that were deleted before they ever had a node.
//!
//! Pods that are being deleted on a node that cannot be reached stay, as upstream: they may still run.
//! They go when the node returns, is deleted, is tainted `out-of-service`, or by force.
//!
//! Source: k8s.io/kubernetes `pkg/controller/podgc`.

use super::bound;
use crate::{
    cache::{Change, ChangeKind},
    object::Object,
    reconcile::{Next, Reconciler},
    registry::{Context, DeleteOptions, Registry, Subresource},
};
use coracle_api::{
    Key, KindRef, StatusError,
    k8s_openapi::api::core::v1::{Node, Pod},
    kind,
};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How often to look, as upstream.
const PERIOD: Duration = Duration::from_secs(20);
/// A node must be missing this long before its pods are taken for lost, as upstream.
const MISSING_MIN: Duration = Duration::from_secs(40);
/// Ended pods that are kept, as upstream.
const ENDED_MAX: usize = 12_500;
/// Deletions under way.
const WRITES_MAX: usize = 32;
/// The taint that says that a node is off for certain.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// The collector of pods.
#[derive(Debug)]
pub(crate) struct PodGc {
    registry: Registry,
    /// Nodes that pods name and nobody knows, since when.
    missing: Mutex<HashMap<String, Instant>>,
}

/// A pod, as far as the collector cares.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    key: Key,
    uid: String,
    node: String,
    deleting: bool,
    ended: bool,
    created: Option<Timestamp>,
}

/// Why a pod goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Its node is gone.
    NodeGone,
    /// Its node is off for certain.
    OutOfService,
    /// It was deleted before it had a node.
    Unscheduled,
    /// It has ended, and there are too many of those.
    TooMany,
}

/// What to remove. `gone` and `off` are the nodes that are.
fn plan<'a>(
    pods: &'a [Facts],
    gone: &HashSet<String>,
    off: &HashSet<String>,
    ended_max: usize,
) -> Vec<(&'a Facts, Why)> {
    let mut actions = Vec::new();
    let mut ended: Vec<&Facts> = Vec::new();
    for pod in pods {
        if gone.contains(&pod.node) {
            actions.push((pod, Why::NodeGone));
        } else if pod.deleting && off.contains(&pod.node) {
            actions.push((pod, Why::OutOfService));
        } else if pod.deleting && pod.node.is_empty() {
            actions.push((pod, Why::Unscheduled));
        } else if pod.ended {
            ended.push(pod);
        }
    }
    let too_many = ended.len().saturating_sub(ended_max);
    ended.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
    actions.extend(
        ended
            .into_iter()
            .take(too_many)
            .map(|pod| (pod, Why::TooMany)),
    );
    actions
}

impl Reconciler for PodGc {
    const NAME: &'static str = "podgc";
    type Key = Key;

    fn watches(&self) -> Vec<KindRef> {
        vec![kind::NODE]
    }

    /// One key stands for the whole cluster.
    fn keys(&self, change: &Change) -> Vec<Key> {
        let concerns = change.kind_of != ChangeKind::Modified;
        concerns.then(everything).into_iter().collect()
    }

    async fn reconcile(&self, _key: &Key) -> Result<Next, StatusError> {
        let now = Instant::now();
        let (known, off) = self.nodes();
        let pods: Vec<Facts> = self
            .registry
            .cache()
            .list(kind::POD, None)
            .iter()
            .filter_map(facts)
            .collect();
        let gone = self.gone(&pods, &known, now);
        let actions: Vec<(Facts, Why)> = plan(&pods, &gone, &off, ENDED_MAX)
            .into_iter()
            .map(|(pod, why)| (pod.clone(), why))
            .collect();
        let all = stream::iter(actions)
            .map(|(pod, why)| self.remove(pod, why))
            .buffer_unordered(WRITES_MAX);
        all.fold(Ok(()), |result, one| std::future::ready(result.and(one)))
            .await?;
        Ok(Next::After(PERIOD))
    }
}

impl PodGc {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            missing: Mutex::default(),
        }
    }

    /// The nodes there are, and those that are off for certain.
    fn nodes(&self) -> (HashSet<String>, HashSet<String>) {
        let nodes = self.registry.cache().list(kind::NODE, None);
        let off = nodes
            .iter()
            .filter(|object| object.typed::<Node>().is_ok_and(|node| is_off(&node)))
            .map(|object| object.key.name.clone())
            .collect();
        let known = nodes.iter().map(|object| object.key.name.clone());
        (known.collect(), off)
    }

    /// Nodes that have been missing long enough.
    fn gone(&self, pods: &[Facts], known: &HashSet<String>, now: Instant) -> HashSet<String> {
        let named = pods.iter().map(|pod| &pod.node);
        let missing: HashSet<&String> = named
            .filter(|node| !node.is_empty() && !known.contains(*node))
            .collect();
        let mut since = self.missing.lock();
        since.retain(|node, _| missing.contains(node));
        for node in missing {
            since.entry(node.clone()).or_insert(now);
        }
        let long = since
            .iter()
            .filter(|(_, since)| now >= **since + MISSING_MIN);
        long.map(|(node, _)| node.clone()).collect()
    }

    async fn remove(&self, pod: Facts, why: Why) -> Result<(), StatusError> {
        tracing::info!(
            namespace = pod.key.namespace,
            name = pod.key.name,
            node = pod.node,
            ?why,
            "removing a pod"
        );
        let context = Context::system("pod-garbage-collector");
        if matches!(why, Why::NodeGone | Why::OutOfService) && !pod.ended {
            let now = coracle_api::time(self.registry.clock().now());
            let end = |value: &mut Value| {
                if value["metadata"]["uid"] == pod.uid.as_str() {
                    value["status"]["phase"] = json!("Failed");
                    if why == Why::NodeGone {
                        let message = "PodGC: node no longer exists";
                        bound::disrupt(value, "DeletionByPodGC", message, &now);
                    }
                }
                Ok(())
            };
            let ended =
                self.registry
                    .modify(&context, kind::POD, &pod.key, Subresource::Status, end);
            absent(ended.await.map(|_pod| ()))?;
        }
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            uid: Some(pod.uid.clone()),
            ..DeleteOptions::default()
        };
        let deleted = self.registry.delete(&context, kind::POD, &pod.key, options);
        absent(deleted.await.map(|_deleted| ()))
    }
}

fn everything() -> Key {
    Key::cluster("all")
}

fn facts(object: &Arc<Object>) -> Option<Facts> {
    let pod = object.typed::<Pod>().ok()?;
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    Some(Facts {
        key: object.key.clone(),
        uid: object.uid().to_owned(),
        node: bound::node_of(&pod).to_owned(),
        deleting: object.is_deleting(),
        ended: matches!(phase, Some("Succeeded" | "Failed")),
        created: object.meta.creation_timestamp.as_ref().map(|time| time.0),
    })
}

fn is_off(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref());
    let tainted = taints
        .unwrap_or_default()
        .iter()
        .any(|taint| taint.key == OUT_OF_SERVICE);
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref());
    let mut ready = conditions
        .unwrap_or_default()
        .iter()
        .filter(|condition| condition.type_ == "Ready");
    tainted && ready.all(|condition| condition.status != "True")
}

/// What is gone or another by now needs no more.
fn absent(result: Result<(), StatusError>) -> Result<(), StatusError> {
    match result {
        Err(error) if matches!(error.code, 404 | 409) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, node: &str, deleting: bool, ended: bool) -> Facts {
        Facts {
            key: Key::new("n", name),
            uid: name.to_owned(),
            node: node.to_owned(),
            deleting,
            ended,
            created: None,
        }
    }

    #[test]
    fn what_goes_and_why() {
        let pods = [
            pod("runs", "there", false, false),
            pod("deleted", "there", true, false),
            pod("lost", "gone", false, false),
            pod("stuck", "off", true, false),
            pod("stays", "off", false, false),
            pod("never", "", true, false),
            pod("waits", "", false, false),
            pod("old", "there", false, true),
            pod("older", "there", false, true),
        ];
        let set = |name: &str| HashSet::from([name.to_owned()]);
        let actions = plan(&pods, &set("gone"), &set("off"), 1);
        let names: Vec<_> = actions
            .iter()
            .map(|(pod, why)| (pod.key.name.as_str(), *why))
            .collect();
        let expected = [
            ("lost", Why::NodeGone),
            ("stuck", Why::OutOfService),
            ("never", Why::Unscheduled),
            ("old", Why::TooMany),
        ];
        assert_eq!(names, expected);
    }
}
