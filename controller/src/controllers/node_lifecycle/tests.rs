//! The node lifecycle on a registry whose store answers at once, on a paused clock.

use super::*;
use crate::{
    reconcile,
    store::{Committed, Entry, Error as StoreError, Store, Write},
};
use coracle_api::Revision;
use coracle_daemon::{Clock, OnExit};
use rand::{SeedableRng as _, rngs::StdRng};

/// Keeps nothing and never waits, so that a paused clock only moves for timers.
#[derive(Debug)]
struct Void;

impl Store for Void {
    fn load(&self) -> Result<(Vec<Entry>, Revision), StoreError> {
        Ok((Vec::new(), Revision(0)))
    }
    fn write(&self, _write: Write) -> Committed {
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Cluster {
    registry: Registry,
    liveness: Liveness,
    tasks: Tasks,
}

impl Cluster {
    /// Nodes that are connected and ready.
    async fn of(nodes: &[&str]) -> Self {
        Self::at(Clock::system(), nodes).await
    }

    async fn at(clock: Clock, nodes: &[&str]) -> Self {
        let tasks = Tasks::new();
        let registry = Registry::open(Arc::new(Void), clock, &tasks).unwrap();
        registry.bootstrap().await.unwrap();
        let cluster = Self {
            registry,
            liveness: Liveness::new(),
            tasks,
        };
        for node in nodes {
            let value = json!({"metadata": {"name": node}, "status": {"conditions": [
                {"type": "Ready", "status": "True", "reason": "KubeletReady"}]}});
            cluster
                .registry
                .create(&context(), kind::NODE, "", value)
                .await
                .unwrap();
            cluster.liveness.connected(node);
        }
        cluster.start();
        cluster
    }

    fn start(&self) {
        let recorder = Recorder::start(&self.registry, &self.tasks);
        let lifecycle = NodeLifecycle::new(&self.registry, &self.liveness, &recorder);
        let rng = StdRng::seed_from_u64(1);
        let handle = reconcile::start(lifecycle, self.registry.cache(), &self.tasks, rng);
        let follow = follow_links(self.liveness.clone(), handle, self.tasks.clone());
        self.tasks.spawn("links", OnExit::Ignore, follow);
    }

    /// The agent is there again, and the link server has written its greeting.
    async fn come_back(&self, node: &str) {
        self.liveness.connected(node);
        let greet = |node: &mut Value| {
            node["status"]["conditions"][0]["status"] = json!("True");
            Ok(())
        };
        let (context, key) = (context(), Key::cluster(node));
        let greeted = self
            .registry
            .modify(&context, kind::NODE, &key, Subresource::Status, greet);
        greeted.await.unwrap();
    }

    /// A running pod on a node that stays this long on a dark one.
    async fn pod(&self, name: &str, node: &str, seconds: Option<i64>) {
        let tolerations: Vec<Value> = seconds
            .into_iter()
            .flat_map(|seconds| {
                [taints::NOT_READY, taints::UNREACHABLE].map(|key| {
                    json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds})
                })
            })
            .collect();
        let spec =
            json!({"containers": [{"name": "c", "image": "i:v1"}], "tolerations": tolerations});
        self.run(name, node, spec).await;
    }

    async fn run(&self, name: &str, node: &str, spec: Value) {
        let value = json!({"metadata": {"name": name}, "spec": spec});
        let key = Key::new("default", name);
        self.registry
            .create(&context(), kind::POD, "default", value)
            .await
            .unwrap();
        self.registry.bind(&context(), &key, node).await.unwrap();
        let run = |pod: &mut Value| {
            pod["status"] = json!({"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}]});
            Ok(())
        };
        let context = context();
        let running = self
            .registry
            .modify(&context, kind::POD, &key, Subresource::Status, run);
        running.await.unwrap();
    }

    /// A running pod with a readiness gate.
    async fn gated(&self, name: &str, node: &str) {
        let containers = json!([{"name": "c", "image": "i:v1"}]);
        let gates = json!([{"conditionType": "x/y"}]);
        let spec = json!({"containers": containers, "readinessGates": gates});
        self.run(name, node, spec).await;
    }

    /// Somebody sets the gate of a pod.
    async fn set_gate(&self, pod: &str, status: &str) {
        let set = |pod: &mut Value| {
            let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
            conditions.retain(|one| one["type"] != "x/y");
            conditions.push(json!({"type": "x/y", "status": status}));
            Ok(())
        };
        let (context, key) = (context(), Key::new("default", pod));
        let set = self
            .registry
            .modify(&context, kind::POD, &key, Subresource::Status, set);
        set.await.unwrap();
    }

    fn get(&self, kind: KindRef, key: &Key) -> Value {
        self.registry.cache().get(kind, key).unwrap().value()
    }

    fn node(&self, name: &str) -> Value {
        self.get(kind::NODE, &Key::cluster(name))
    }

    fn ready(&self, pod: &str) -> String {
        let pod = self.get(kind::POD, &Key::new("default", pod));
        let conditions = pod["status"]["conditions"].as_array().unwrap();
        let ready = conditions
            .iter()
            .find(|one| one["type"] == "Ready")
            .unwrap();
        ready["status"].as_str().unwrap().to_owned()
    }

    fn evicted(&self, pod: &str) -> bool {
        !self.get(kind::POD, &Key::new("default", pod))["metadata"]["deletionTimestamp"].is_null()
    }

    fn taints(&self, node: &str) -> Vec<String> {
        let node = self.node(node);
        let taints = node["spec"]["taints"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let text = |taint: &Value| format!("{}:{}", taint["key"], taint["effect"]).replace('"', "");
        taints.iter().map(text).collect()
    }

    fn said(&self, reason: &str) -> Vec<String> {
        let events = self.registry.cache().list(kind::EVENT, None);
        let values = events.iter().map(|event| event.value());
        let mut said: Vec<String> = values
            .filter(|event| event["reason"] == reason)
            .map(|event| event["message"].as_str().unwrap().to_owned())
            .collect();
        said.sort();
        said
    }

    /// Waits for a level in paused time; how long it took, seconds.
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) -> u64 {
        let started = Instant::now();
        let mut newest = self.registry.cache().newest();
        let wait = async {
            while !holds(self) {
                newest.changed().await.unwrap();
            }
        };
        let limit = Duration::from_secs(7200);
        tokio::time::timeout(limit, wait)
            .await
            .unwrap_or_else(|_| panic!("never: {what}"));
        started.elapsed().as_secs()
    }
}

fn dark(node: &'static str) -> impl Fn(&Cluster) -> bool {
    move |cluster| conditions::ready(&cluster.node(node)) == "Unknown"
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_is_marked_at_once_and_its_pods_leave_in_their_time() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    tokio::time::sleep(STARTUP_GRACE).await;
    cluster.pod("short", "a", Some(5)).await;
    cluster.pod("long", "a", None).await;
    cluster.pod("other", "b", Some(5)).await;
    cluster.liveness.lost("a");
    assert_eq!(cluster.until("a is unknown", dark("a")).await, 0);
    let unreachable = [
        "node.kubernetes.io/unreachable:NoSchedule",
        "node.kubernetes.io/unreachable:NoExecute",
    ];
    cluster
        .until("it is tainted", |c| c.taints("a") == unreachable)
        .await;
    assert_eq!(
        cluster
            .until("not ready", |c| c.ready("short") == "False"
                && c.ready("long") == "False")
            .await,
        0
    );
    assert_eq!(cluster.until("short goes", |c| c.evicted("short")).await, 5);
    assert!(!cluster.evicted("long"));
    assert_eq!(cluster.until("long goes", |c| c.evicted("long")).await, 295);
    assert!(!cluster.evicted("other") && cluster.ready("other") == "True");
    let pod = cluster.get(kind::POD, &Key::new("default", "short"));
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    assert!(
        conditions
            .iter()
            .any(|one| one["reason"] == "DeletionByTaintManager")
    );
    let said = [
        "Marking for deletion Pod default/long",
        "Marking for deletion Pod default/short",
    ];
    cluster
        .until("it is said", |c| c.said("TaintManagerEviction") == said)
        .await;
    cluster
        .until("it is said", |c| c.said("NodeNotReady").len() == 3)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_keeps_its_pods() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    cluster.pod("p", "a", None).await;
    cluster.liveness.lost("a");
    cluster
        .until("marked", |c| {
            c.ready("p") == "False" && c.taints("a").len() == 2
        })
        .await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    cluster.come_back("a").await;
    cluster
        .until("ready", |c| {
            c.ready("p") == "True" && c.taints("a").is_empty()
        })
        .await;
    cluster
        .until("it may stay", |c| {
            c.said("TaintManagerEviction") == ["Cancelling deletion of Pod default/p"]
        })
        .await;
    tokio::time::sleep(Duration::from_secs(400)).await;
    assert!(!cluster.evicted("p"));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_does_not_open_readiness_gates() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    for (pod, gate) in [("open", "True"), ("shut", "True"), ("opened", "False")] {
        cluster.gated(pod, "a").await;
        cluster.set_gate(pod, gate).await;
    }
    cluster.liveness.lost("a");
    let all_marked =
        |c: &Cluster| ["open", "shut", "opened"].map(|pod| c.ready(pod)) == ["False"; 3];
    cluster.until("marked", all_marked).await;
    cluster.set_gate("shut", "False").await;
    cluster.set_gate("opened", "True").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(all_marked(&cluster), "while the node is away");
    cluster.come_back("a").await;
    cluster
        .until("two are ready", |c| {
            ["open", "opened"].map(|pod| c.ready(pod)) == ["True"; 2]
        })
        .await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(cluster.ready("shut"), "False");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_left_is_not_ready_by_its_own_word() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    cluster.liveness.left("a");
    let stopped = |c: &Cluster| {
        c.taints("a")
            == [
                "node.kubernetes.io/not-ready:NoSchedule",
                "node.kubernetes.io/not-ready:NoExecute",
            ]
    };
    cluster.until("not ready", stopped).await;
    let ready = &cluster.node("a")["status"]["conditions"][0];
    assert_eq!(
        (&ready["status"], &ready["reason"]),
        (&json!("False"), &json!("KubeletNotReady"))
    );
}

#[tokio::test(start_paused = true)]
async fn when_many_go_dark_at_once_no_pod_is_evicted_until_some_return() {
    let cluster = Cluster::of(&["a", "b", "c", "d", "e"]).await;
    tokio::time::sleep(STARTUP_GRACE).await;
    for (pod, node) in [("pa", "a"), ("pb", "b"), ("pc", "c")] {
        cluster.pod(pod, node, Some(5)).await;
    }
    for node in ["a", "b", "c"] {
        cluster.liveness.lost(node);
    }
    cluster
        .until("all are marked", |c| {
            ["a", "b", "c"].iter().all(|node| c.taints(node).len() == 2)
        })
        .await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!cluster.evicted("pa") && !cluster.evicted("pb"));
    cluster.liveness.connected("c");
    let took = cluster
        .until("the dead are taken for dead", |c| {
            c.evicted("pa") && c.evicted("pb")
        })
        .await;
    assert!((5..=15).contains(&took), "{took}");
    assert!(!cluster.evicted("pc"));
}

#[tokio::test(start_paused = true)]
async fn a_long_silence_counts_in_the_end() {
    let cluster = Cluster::of(&["a", "b"]).await;
    cluster.pod("p", "a", Some(5)).await;
    for node in ["a", "b"] {
        cluster.liveness.lost(node);
    }
    let took = cluster.until("it is moved", |c| c.evicted("p")).await;
    assert!(
        took >= evict::FREEZE_MAX.as_secs() && took < evict::FREEZE_MAX.as_secs() + 20,
        "{took}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_just_started_waits_for_the_agents() {
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let mut cluster = Cluster::at(clock, &["a", "b", "c"]).await;
    cluster.pod("p", "a", Some(5)).await;
    cluster.liveness.lost("a");
    cluster.until("tainted", |c| c.taints("a").len() == 2).await;
    // A new controller on the same objects, an hour later: b and c return, a does not.
    cluster.tasks.stop().cancel();
    cluster.registry.clock().advance(Duration::from_secs(3600));
    let tasks = Tasks::new();
    let objects = cluster.registry.cache();
    let stored = [kind::NODE, kind::POD, kind::NAMESPACE]
        .iter()
        .flat_map(|kind| objects.list(kind, None))
        .map(|object| Entry {
            key: format!(
                "/registry/{}/{}/{}",
                object.kind.plural, object.key.namespace, object.key.name
            ),
            value: object.raw.to_vec(),
            revision: object.revision,
        })
        .collect();
    let store = Arc::new(Kept(stored));
    let registry = Registry::open(store, cluster.registry.clock().clone(), &tasks).unwrap();
    (cluster.registry, cluster.tasks, cluster.liveness) = (registry, tasks, Liveness::new());
    cluster.start();
    for node in ["b", "c"] {
        cluster.liveness.connected(node);
    }
    let took = cluster.until("it goes", |c| c.evicted("p")).await;
    assert_eq!(took, STARTUP_GRACE.as_secs() + 5);
}

#[derive(Debug)]
struct Kept(Vec<Entry>);

impl Store for Kept {
    fn load(&self) -> Result<(Vec<Entry>, Revision), StoreError> {
        Ok((self.0.clone(), Revision(1000)))
    }
    fn write(&self, _write: Write) -> Committed {
        Box::pin(std::future::ready(Ok(())))
    }
}
