//! What becomes of a node whose agent is gone, and of the pods on it.
//!
//! From the links and the Node objects: conditions, taints that follow from them, pods marked not ready,
//! pods evicted when they no longer tolerate the taints. Heartbeats never pass here.
//!
//! Silence is evidence about us: when many nodes go dark together, or all are, the nodes are marked but
//! no pod is evicted for it until some return ([`evict::frozen`]). A controller that just started evicts
//! nothing before the agents had time to come back, and counts every toleration from then.
//!
//! An agent that is connected speaks for itself: its conditions are never written here.

mod conditions;
mod evict;
mod memory;
mod taints;

use super::bound::{self, Bound};
use crate::{
    cache::{Change, ChangeKind},
    events::{EventType, Occurrence, Recorder, Reference},
    liveness::{Liveness, NodeLink, STARTUP_GRACE},
    object::Object,
    readiness,
    reconcile::{Loop, Next, Reconciler},
    registry::{Context, DeleteOptions, Registry, Subresource},
};
use coracle_api::{
    Key, KindRef, StatusError,
    k8s_openapi::api::core::v1::{Pod, Taint},
    kind,
};
use coracle_daemon::Tasks;
use evict::Verdict;
use futures_util::{StreamExt as _, stream};
use memory::Memory;
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Writes about the pods of one node that are under way together.
const WRITES_MAX: usize = 32;
/// While evictions are frozen, how often that is looked at again.
const FROZEN_PERIOD: Duration = Duration::from_secs(5);

/// The node lifecycle controller.
#[derive(Debug)]
pub(crate) struct NodeLifecycle {
    registry: Registry,
    liveness: Liveness,
    recorder: Recorder,
    memory: Memory,
}

impl Reconciler for NodeLifecycle {
    const NAME: &'static str = "nodelifecycle";
    type Key = Key;

    fn watches(&self) -> Vec<KindRef> {
        vec![kind::NODE, kind::POD]
    }

    fn keys(&self, change: &Change) -> Vec<Key> {
        if change.object.kind == kind::NODE {
            return vec![change.object.key.clone()];
        }
        // Pods matter on nodes that are in trouble only, which are few.
        if change.kind_of == ChangeKind::Deleted || self.memory.all_well() {
            return Vec::new();
        }
        let pod = change.object.typed::<Pod>();
        let node = pod.map(|pod| bound::node_of(&pod).to_owned());
        node.ok()
            .filter(|node| self.memory.is_in_trouble(node))
            .map(Key::cluster)
            .into_iter()
            .collect()
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let Some(object) = self.registry.cache().get(kind::NODE, key) else {
            self.forget(&key.name);
            return Ok(Next::AwaitChange);
        };
        let now = Instant::now();
        let Some(link) = self.judge(&object, now) else {
            let wait = self.liveness.settles_at().saturating_duration_since(now);
            return Ok(Next::After(wait.max(Duration::from_secs(1))));
        };
        let object = self.mark(object).await?;
        let object = self.taint(object).await?;
        let node = object.value();
        let mut no_execute = no_execute(&node);
        if link.is_connected() {
            // We hear it, so this one only waits for the agent's greeting to be written.
            no_execute.retain(|taint| taint.key != taints::UNREACHABLE);
        }
        let ready = conditions::ready(&node) == "True";
        if link.is_connected() && ready && no_execute.is_empty() {
            return self.all_is_well(&key.name).await;
        }
        self.memory.trouble(&key.name);
        let pods = bound::pods_of(self.registry.cache(), &key.name);
        if !link.is_connected() {
            self.mark_pods(&pods).await?;
        } else if ready {
            self.unmark_pods(&pods).await?;
        }
        self.evict(&key.name, no_execute, &pods).await
    }
}

/// Wakes the loop for each node whose link changed. Ends with the tasks.
pub(crate) async fn follow_links(liveness: Liveness, reconciler: Loop<Key>, tasks: Tasks) {
    let mut changes = liveness.changes();
    let mut seen: HashMap<String, NodeLink> = HashMap::new();
    loop {
        let new: HashMap<String, NodeLink> = liveness.all().into_iter().collect();
        let changed = new
            .iter()
            .filter(|(node, link)| seen.get(*node) != Some(link));
        let gone = seen.keys().filter(|node| !new.contains_key(*node));
        for node in changed.map(|(node, _)| node).chain(gone) {
            reconciler.wake(Key::cluster(node));
        }
        seen = new;
        tokio::select! {
            () = tasks.stop().cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

impl NodeLifecycle {
    pub(crate) fn new(registry: &Registry, liveness: &Liveness, recorder: &Recorder) -> Self {
        Self {
            registry: registry.clone(),
            liveness: liveness.clone(),
            recorder: recorder.clone(),
            memory: Memory::new(liveness.settles_at(), marked_nodes(registry)),
        }
    }

    /// The link as it counts: a node that was created a moment ago may be one whose agent joins.
    fn judge(&self, node: &Object, now: Instant) -> Option<NodeLink> {
        let known = self.liveness.get(&node.key.name);
        let created = node.meta.creation_timestamp.as_ref().map(|time| time.0);
        let age = created.map(|created| self.registry.clock().now().duration_since(created));
        let grace = jiff::SignedDuration::try_from(STARTUP_GRACE).unwrap_or_default();
        if known.is_none() && age.is_some_and(|age| age < grace) {
            return None;
        }
        self.liveness.judge(&node.key.name, now)
    }

    /// Writes the conditions that follow from the link.
    async fn mark(&self, object: Arc<Object>) -> Result<Arc<Object>, StatusError> {
        let before = object.value();
        let now = coracle_api::time(self.registry.clock().now());
        let change = |node: &mut Value| {
            // Looked at again here: an agent that connects in between has the last word.
            let link = self.judge(&object, Instant::now());
            if let Some(new) = link.and_then(|link| conditions::plan(node, link, &now)) {
                node["status"]["conditions"] = new;
            }
            Ok(())
        };
        let mut probe = before.clone();
        change(&mut probe)?;
        if probe == before {
            return Ok(object);
        }
        let context = context();
        let written = self.registry.modify(
            &context,
            kind::NODE,
            &object.key,
            Subresource::Status,
            change,
        );
        let written = written.await?;
        let (was, is) = (conditions::ready(&before).to_owned(), written.value());
        if was != "Unknown" && was != "False" && conditions::ready(&is) != "True" {
            let name = &object.key.name;
            tracing::info!(node = name, "a node's agent is gone");
            let message = format!("Node {name} status is now: NodeNotReady");
            self.tell(
                Reference::to(&written),
                EventType::Normal,
                "NodeNotReady",
                message,
            );
        }
        Ok(written)
    }

    /// Writes the taints that follow from the conditions.
    async fn taint(&self, object: Arc<Object>) -> Result<Arc<Object>, StatusError> {
        let now = coracle_api::time(self.registry.clock().now());
        if taints::plan(&object.value(), &now).is_none() {
            return Ok(object);
        }
        let change = |node: &mut Value| {
            if let Some(new) = taints::plan(node, &now) {
                node["spec"]["taints"] = new;
            }
            Ok(())
        };
        let context = context();
        let written =
            self.registry
                .modify(&context, kind::NODE, &object.key, Subresource::None, change);
        written.await
    }

    /// The node is gone from the API.
    fn forget(&self, node: &str) {
        self.memory.forget(node);
        // An agent that is still connected is its session's matter, and ends with a loss.
        if self
            .liveness
            .get(node)
            .is_some_and(|link| !link.is_connected())
        {
            self.liveness.forget(node);
        }
    }

    /// Back to normal: takes back what was done to the pods.
    async fn all_is_well(&self, node: &str) -> Result<Next, StatusError> {
        let known = self.memory.was_in_trouble(node);
        if !known {
            return Ok(Next::AwaitChange);
        }
        let pods = bound::pods_of(self.registry.cache(), node);
        self.unmark_pods(&pods).await?;
        self.cancel(&self.memory.well(node), &pods);
        Ok(Next::AwaitChange)
    }

    async fn mark_pods(&self, pods: &[Bound]) -> Result<(), StatusError> {
        let ready = |(_, pod): &&Bound| condition(pod, "Ready") == Some("True");
        let all = stream::iter(objects(pods.iter().filter(ready))).map(|object| async move {
            if self.change_ready(&object, darken).await? {
                let message = "Node is not ready".to_owned();
                self.tell(
                    Reference::to(&object),
                    EventType::Warning,
                    "NodeNotReady",
                    message,
                );
            }
            Ok(())
        });
        gather(all).await
    }

    /// Takes back what [`Self::mark_pods`] did: an agent does not repeat what it knows to have arrived. A pod
    /// whose readiness gates are not true stays as it is.
    async fn unmark_pods(&self, pods: &[Bound]) -> Result<(), StatusError> {
        let ours = |(object, pod): &&Bound| !object.is_deleting() && is_marked(pod);
        let all = stream::iter(objects(pods.iter().filter(ours))).map(|object| async move {
            self.change_ready(&object, readiness::settle)
                .await
                .map(|_done| ())
        });
        gather(all).await
    }

    /// Changes the condition `Ready` of a pod; false when it is another one, gone, or changed by now.
    async fn change_ready(
        &self,
        pod: &Object,
        to: fn(&mut Value, &str) -> bool,
    ) -> Result<bool, StatusError> {
        let now = coracle_api::time(self.registry.clock().now());
        let mut done = false;
        let change = |value: &mut Value| {
            done = value["metadata"]["uid"] == pod.uid() && to(value, &now);
            Ok(())
        };
        let context = context();
        let written =
            self.registry
                .modify(&context, kind::POD, &pod.key, Subresource::Status, change);
        let written = written.await;
        absent(written.map(|_pod| ()))?;
        Ok(done)
    }

    /// Deletes the pods whose time on the node is over; says when to look again.
    async fn evict(
        &self,
        node: &str,
        no_execute: Vec<Taint>,
        pods: &[Bound],
    ) -> Result<Next, StatusError> {
        let now = Instant::now();
        let links = || self.all_links(now);
        let frozen = self
            .memory
            .frozen(*self.liveness.changes().borrow(), now, links);
        let taints = self.memory.count_from(node, no_execute, now);
        let held = frozen && taints.iter().any(|(taint, _)| is_silence(taint));
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        let mut waiting = HashSet::new();
        for bound in pods.iter().filter(|(object, _)| !object.is_deleting()) {
            let spec = bound.1.spec.as_ref();
            let tolerations = spec
                .and_then(|spec| spec.tolerations.as_deref())
                .unwrap_or_default();
            match evict::judge(&taints, tolerations) {
                Verdict::Stay => {}
                Verdict::At(at) => {
                    waiting.insert(bound.0.uid().to_owned());
                    if at <= now && !held {
                        due.push(bound);
                    } else {
                        next = Some(next.map_or(at, |next| next.min(at)));
                    }
                }
            }
        }
        self.cancel(&self.memory.wait_for(node, waiting), pods);
        let evicted = stream::iter(objects(due)).map(|object| self.evict_one(object));
        gather(evicted).await?;
        Ok(match next {
            _ if held => Next::After(FROZEN_PERIOD),
            Some(next) => Next::After(next.saturating_duration_since(Instant::now())),
            None => Next::AwaitChange,
        })
    }

    async fn evict_one(&self, pod: Arc<Object>) -> Result<(), StatusError> {
        let message = format!("Marking for deletion Pod {}", pod.key);
        self.tell_eviction(Reference::to(&pod), message);
        let now = coracle_api::time(self.registry.clock().now());
        let disrupt = |value: &mut Value| {
            if value["metadata"]["uid"] == pod.uid() {
                bound::disrupt(
                    value,
                    "DeletionByTaintManager",
                    "Taint manager: deleting due to NoExecute taint",
                    &now,
                );
            }
            Ok(())
        };
        let context = context();
        let marked =
            self.registry
                .modify(&context, kind::POD, &pod.key, Subresource::Status, disrupt);
        absent(marked.await.map(|_pod| ()))?;
        let options = DeleteOptions {
            uid: Some(pod.uid().to_owned()),
            ..DeleteOptions::default()
        };
        let deleted = self.registry.delete(&context, kind::POD, &pod.key, options);
        absent(deleted.await.map(|_deleted| ()))
    }

    /// Says of pods that waited for their eviction and are there still that they may stay.
    fn cancel(&self, spared: &HashSet<String>, pods: &[Bound]) {
        for (object, _) in pods {
            if spared.contains(object.uid()) && !object.is_deleting() {
                let message = format!("Cancelling deletion of Pod {}", object.key);
                self.tell_eviction(Reference::to(object), message);
            }
        }
    }

    fn all_links(&self, now: Instant) -> Vec<NodeLink> {
        let nodes = self.registry.cache().list(kind::NODE, None);
        nodes
            .iter()
            .filter_map(|node| self.judge(node, now))
            .collect()
    }

    fn tell(&self, about: Reference, event_type: EventType, reason: &str, message: String) {
        self.recorder.record(Occurrence {
            about,
            event_type,
            reason: reason.to_owned(),
            message,
            component: "node-controller",
            host: String::new(),
        });
    }

    fn tell_eviction(&self, about: Reference, message: String) {
        self.recorder.record(Occurrence {
            about,
            event_type: EventType::Normal,
            reason: "TaintManagerEviction".to_owned(),
            message,
            component: "taint-eviction-controller",
            host: String::new(),
        });
    }
}

/// The nodes with pods that an earlier controller marked as not ready.
fn marked_nodes(registry: &Registry) -> HashSet<String> {
    let pods = registry.cache().list(kind::POD, None);
    let typed = pods.iter().filter_map(|pod| pod.typed::<Pod>().ok());
    typed
        .filter(|pod| is_marked(pod))
        .map(|pod| bound::node_of(&pod).to_owned())
        .collect()
}

/// A pod that is ready is not; whether that changed anything.
fn darken(pod: &mut Value, now: &str) -> bool {
    let conditions = pod["status"]["conditions"].as_array_mut();
    let mut conditions = conditions.into_iter().flatten();
    let ready = conditions.find(|one| one["type"] == "Ready");
    let Some(ready) = ready.filter(|ready| ready["status"] == "True") else {
        return false;
    };
    ready["status"] = json!("False");
    ready["lastTransitionTime"] = json!(now);
    true
}

/// The agent said that the containers are ready; that the pod is not was said here, or of its gates.
fn is_marked(pod: &Pod) -> bool {
    condition(pod, "Ready") == Some("False") && condition(pod, "ContainersReady") == Some("True")
}

fn context() -> Context {
    Context::system("node-controller")
}

/// A taint that says no more than that we do not hear the node.
fn is_silence(taint: &Taint) -> bool {
    matches!(taint.key.as_str(), taints::UNREACHABLE | taints::NOT_READY)
}

fn no_execute(node: &Value) -> Vec<Taint> {
    let all = node["spec"]["taints"].as_array();
    all.into_iter()
        .flatten()
        .filter(|taint| taint["effect"] == "NoExecute")
        .filter_map(|taint| Taint::deserialize(taint).ok())
        .collect()
}

fn condition<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let status = pod.status.as_ref()?;
    let all = status.conditions.as_deref().unwrap_or_default();
    let found = all.iter().find(|condition| condition.type_ == name)?;
    Some(&found.status)
}

/// The objects alone, as handles of their own.
fn objects<'a>(pods: impl IntoIterator<Item = &'a Bound>) -> Vec<Arc<Object>> {
    pods.into_iter()
        .map(|(object, _)| Arc::clone(object))
        .collect()
}

/// What is gone or another by now needs no more.
fn absent(result: Result<(), StatusError>) -> Result<(), StatusError> {
    match result {
        Err(error) if matches!(error.code, 404 | 409) => Ok(()),
        other => other,
    }
}

/// Does all, a few at a time, and fails with the first failure once all are done.
async fn gather<F: Future<Output = Result<(), StatusError>>>(
    all: impl stream::Stream<Item = F>,
) -> Result<(), StatusError> {
    let all = all.buffer_unordered(WRITES_MAX);
    all.fold(Ok(()), |result, one| std::future::ready(result.and(one)))
        .await
}

#[cfg(test)]
mod tests;
