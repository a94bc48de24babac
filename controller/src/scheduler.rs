//! The scheduler: which node a pod goes to.
//!
//! One task owns the snapshot of the nodes and the queue of pods. It follows the cache change by change,
//! decides for one pod at a time with pure functions ([`filter`], [`score`]), takes the decision as done
//! (the pod is *assumed* on its node) and binds through the registry, many bindings being under way at
//! once. A binding that fails is taken back. The task never waits for a write.
//!
//! Filters: cordon, taints, node selector and required affinity, host ports, resources. Scores: taints,
//! preferred affinity, spread, room. Not here yet: pod affinity, explicit topology spread constraints,
//! preemption.

mod filter;
pub mod measure;
mod pod;
mod queue;
mod report;
mod score;
mod snapshot;
mod stats;

pub use stats::Stats;

use crate::{
    cache::{Change, ChangeKind},
    events::Recorder,
    object::Object,
    registry::{Context, Registry},
};
use coracle_api::{Revision, StatusError, k8s_openapi::api::core::v1::Node, kind};
use coracle_daemon::{OnExit, Tasks};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use pod::PodInfo;
use queue::{Queue, Wake};
use report::Reporter;
use snapshot::{NodeFacts, Snapshot};
use stats::Attempt;
use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

/// Bindings under way: enough to fill the commits of the store, few enough to leave room for others.
const BINDINGS_MAX: usize = 512;
/// Pods decided for before the task looks at changes and answers again.
const BATCH_MAX: usize = 64;
/// With at least this many nodes, not all are looked at for each pod.
const SAMPLE_NODES_MIN: usize = 100;
/// Share of the nodes that must be found feasible then, percent; upstream's rule: it falls with size.
const SAMPLE_PERCENT_MAX: usize = 50;
/// And never below.
const SAMPLE_PERCENT_MIN: usize = 5;

/// Starts the scheduler. It ends when the tasks are asked to stop.
pub fn start(registry: &Registry, recorder: &Recorder, tasks: &Tasks) -> Stats {
    let stats = Stats::default();
    let scheduler = Scheduler {
        reporter: Reporter::start(registry, recorder, tasks),
        registry: registry.clone(),
        snapshot: Snapshot::default(),
        queue: Queue::default(),
        stats: stats.clone(),
        first: 0,
        position: None,
        bindings: FuturesUnordered::new(),
    };
    tasks.spawn("scheduler", OnExit::Shutdown, scheduler.run(tasks.clone()));
    stats
}

/// Why no node was good: how many were out for each reason, in upstream's words.
#[derive(Debug, PartialEq, Eq)]
struct Unfit {
    message: String,
    cured_by: Wake,
}

/// Chooses a node for a pod, starting to look at slot `first`; with how many slots were looked at.
fn decide(pod: &PodInfo, snapshot: &Snapshot, first: usize) -> (Result<usize, Unfit>, usize) {
    let slots = snapshot.slots();
    let wanted = sample(snapshot.known());
    let mut feasible = Vec::new();
    let mut reasons: HashMap<filter::Reason, usize> = HashMap::new();
    let mut looked_at = 0;
    for slot in (0..slots).map(|at| (first + at) % slots) {
        looked_at += 1;
        let Some((node, facts)) = snapshot.node(slot) else {
            continue;
        };
        match filter::check(pod, node, facts) {
            Ok(()) => feasible.push(slot),
            Err(why) => why.into_iter().for_each(|why| {
                *reasons.entry(why).or_default() += 1;
            }),
        }
        if feasible.len() >= wanted {
            break;
        }
    }
    let best = score::best(pod, snapshot, &feasible);
    let result = best.ok_or_else(|| unfit(snapshot.known(), &reasons));
    (result, looked_at)
}

/// How many feasible nodes are enough to choose from.
fn sample(nodes: usize) -> usize {
    if nodes < SAMPLE_NODES_MIN {
        return usize::MAX;
    }
    let percent = SAMPLE_PERCENT_MAX
        .saturating_sub(nodes / 125)
        .max(SAMPLE_PERCENT_MIN);
    (nodes * percent / 100).max(SAMPLE_NODES_MIN)
}

fn unfit(nodes: usize, reasons: &HashMap<filter::Reason, usize>) -> Unfit {
    if nodes == 0 {
        return Unfit {
            message: "no nodes available to schedule pods".to_owned(),
            cured_by: Wake::ANYTHING,
        };
    }
    let mut parts: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    parts.sort();
    let message = format!("0/{nodes} nodes are available: {}.", parts.join(", "));
    let cured_by = reasons
        .keys()
        .fold(Wake::NOTHING, |all, reason| all | reason.cured_by());
    Unfit { message, cured_by }
}

/// The end of a binding.
struct Bound {
    pod: Arc<PodInfo>,
    node: String,
    result: Result<(), StatusError>,
}

struct Scheduler {
    registry: Registry,
    reporter: Reporter,
    snapshot: Snapshot,
    queue: Queue,
    stats: Stats,
    /// Where the next search starts, so that equal nodes take turns.
    first: usize,
    /// What has been seen of the cache; none before the first list.
    position: Option<Revision>,
    bindings: FuturesUnordered<BoxFuture<'static, Bound>>,
}

impl Scheduler {
    async fn run(mut self, tasks: Tasks) {
        let mut newest = self.registry.cache().newest();
        loop {
            self.read_changes();
            self.queue.advance(Instant::now());
            for _ in 0..BATCH_MAX {
                if self.bindings.len() >= BINDINGS_MAX {
                    break;
                }
                let Some(pod) = self.queue.pop() else { break };
                self.schedule(pod);
            }
            self.stats.pending(self.queue.depths());
            let due = self.queue.next_due();
            let more = self.queue.has_ready() && self.bindings.len() < BINDINGS_MAX;
            tokio::select! {
                () = tasks.stop().cancelled() => return,
                Some(bound) = self.bindings.next(), if !self.bindings.is_empty() => self.bound(bound),
                changed = newest.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                () = tokio::task::yield_now(), if more => {}
            }
        }
    }

    /// Decides for one pod and acts on it.
    fn schedule(&mut self, pod: Arc<PodInfo>) {
        let slots = self.snapshot.slots();
        let (chosen, looked_at) = decide(&pod, &self.snapshot, self.first);
        let chosen = chosen.and_then(|slot| {
            let node = self.snapshot.node(slot).map(|(node, _)| node.name.clone());
            node.ok_or_else(|| unfit(0, &HashMap::new()))
        });
        // One further also when all were looked at.
        self.first = (self.first + looked_at + usize::from(looked_at >= slots)) % slots.max(1);
        match chosen {
            Ok(node) => {
                self.snapshot.place(&pod.uid, &node, &pod.footprint);
                self.bind(pod, node);
            }
            Err(Unfit { message, cured_by }) => {
                tracing::debug!(
                    namespace = pod.key.namespace,
                    name = pod.key.name,
                    message,
                    "no node"
                );
                self.stats.count(Attempt::Unschedulable);
                self.reporter.unschedulable(&pod, message);
                self.queue.park(&pod.uid, cured_by, Instant::now());
            }
        }
    }

    fn bind(&self, pod: Arc<PodInfo>, node: String) {
        let registry = self.registry.clone();
        self.bindings.push(Box::pin(async move {
            let context = Context::system("kube-scheduler");
            let result = registry
                .bind_uid(&context, &pod.key, Some(&pod.uid), &node)
                .await;
            Bound { pod, node, result }
        }));
    }

    fn bound(&mut self, bound: Bound) {
        let Bound { pod, node, result } = bound;
        let Err(error) = result else {
            self.stats.count(Attempt::Scheduled);
            self.queue.remove(&pod.uid);
            self.reporter.scheduled(&pod, &node);
            return;
        };
        self.stats.count(Attempt::Error);
        let current = self.registry.cache().get(kind::POD, &pod.key);
        let current = current.filter(|current| current.uid() == &*pod.uid);
        if self.snapshot.remove(&pod.uid) {
            self.queue.wake(Wake::ROOM, Instant::now());
        }
        match (current, error.code) {
            // Deleted, or another scheduler was faster: what the cache says now is the truth.
            (None, _) => self.queue.remove(&pod.uid),
            (Some(current), 409) => {
                self.queue.remove(&pod.uid);
                self.see_pod(&current);
            }
            (Some(_), _) => {
                tracing::warn!(namespace = pod.key.namespace, name = pod.key.name, %error, "cannot bind");
                self.queue.rest(&pod.uid, Instant::now());
            }
        }
    }

    /// Takes in what changed since the last look, or everything when that is no longer known.
    fn read_changes(&mut self) {
        let cache = self.registry.cache();
        let changes = self.position.map(|position| cache.since(position));
        let Some(Ok(changes)) = changes else {
            self.list();
            return;
        };
        let mut wake = Wake::NOTHING;
        for change in changes {
            self.position = Some(change.revision);
            wake = wake | self.see(&change);
        }
        self.queue.wake(wake, Instant::now());
    }

    fn see(&mut self, change: &Change) -> Wake {
        let object = &change.object;
        let gone = change.kind_of == ChangeKind::Deleted;
        if object.kind == kind::NODE {
            if gone {
                self.snapshot.remove_node(&object.key.name);
                return Wake::NOTHING;
            }
            return self.see_node(object);
        }
        if object.kind != kind::POD {
            return Wake::NOTHING;
        }
        if gone {
            return self.forget_pod(object.uid());
        }
        self.see_pod(object)
    }

    fn see_node(&mut self, object: &Object) -> Wake {
        // Nodes are few and other parts want them decoded too.
        match object.typed::<Node>() {
            Ok(node) => self
                .snapshot
                .set_node(&object.key.name, NodeFacts::of(&node)),
            Err(error) => {
                tracing::warn!(node = object.key.name, %error, "cannot read a node");
                Wake::NOTHING
            }
        }
    }

    fn see_pod(&mut self, object: &Object) -> Wake {
        let pod = match PodInfo::of(object) {
            Ok(pod) => pod,
            Err(error) => {
                tracing::warn!(namespace = object.key.namespace, name = object.key.name, %error, "cannot read a pod");
                return Wake::NOTHING;
            }
        };
        if pod.ended {
            return self.forget_pod(&pod.uid);
        }
        if !pod.node.is_empty() {
            self.queue.remove(&pod.uid);
            let freed = self.snapshot.place(&pod.uid, &pod.node, &pod.footprint);
            return if freed { Wake::ROOM } else { Wake::NOTHING };
        }
        if pod.deleting || pod.not_ours {
            self.queue.remove(&pod.uid);
        } else {
            self.queue.put(Arc::new(pod));
        }
        Wake::NOTHING
    }

    fn forget_pod(&mut self, uid: &str) -> Wake {
        self.queue.remove(uid);
        if self.snapshot.remove(uid) {
            Wake::ROOM
        } else {
            Wake::NOTHING
        }
    }

    /// Builds everything anew. Bindings under way stay assumed until they end.
    fn list(&mut self) {
        let cache = self.registry.cache();
        // The position first: what changes in between is seen twice, which is harmless.
        self.position = Some(cache.revision());
        let (nodes, pods) = (cache.list(kind::NODE, None), cache.list(kind::POD, None));
        self.drop_missing(&nodes, &pods);
        for node in nodes {
            self.see_node(&node);
        }
        for pod in pods {
            self.see_pod(&pod);
        }
        self.queue.wake(Wake::ANYTHING, Instant::now());
    }

    /// Forgets what was deleted while the task was not looking.
    fn drop_missing(&mut self, nodes: &[Arc<Object>], pods: &[Arc<Object>]) {
        let pods: std::collections::HashSet<&str> = pods.iter().map(|pod| pod.uid()).collect();
        let known = self.queue.uids().chain(self.snapshot.pods());
        let gone: Vec<Arc<str>> = known
            .filter(|uid| !pods.contains::<str>(uid))
            .cloned()
            .collect();
        for uid in gone {
            self.forget_pod(&uid);
        }
        let there: std::collections::HashSet<&str> =
            nodes.iter().map(|node| node.key.name.as_str()).collect();
        for name in self.snapshot.names() {
            if !there.contains(name.as_str()) {
                self.snapshot.remove_node(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
