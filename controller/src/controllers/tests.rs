//! The controllers together, on a real store, with a node made of a task: it takes every pod, makes it
//! ready and lets go of it when it is deleted. Pods whose image says `broken` never get ready.

mod account_token;
mod certificates;
mod disruption;
mod owners;
mod quota;
mod readiness_gates;
mod services;

use super::*;
use crate::{
    auth,
    cache::{Cache, ChangeKind},
    object::Object,
    registry::{Context, DeleteOptions, Deleted, Propagation, Subresource},
    store::Embedded,
};
use coracle_api::{Key, KindRef, kind};
use coracle_daemon::Clock;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A level that is not reached in this time never will be.
const LIMIT: Duration = Duration::from_secs(60);

struct Cluster {
    registry: Registry,
    /// Empty: the node made of a task has no link, unless a test says so.
    liveness: Liveness,
    tasks: Tasks,
    accounts: Accounts,
    _dir: tempfile::TempDir,
}

fn me() -> Context {
    Context::system("test")
}

fn key(name: &str) -> Key {
    Key::new("default", name)
}

async fn start_cluster() -> Cluster {
    start_on(tempfile::tempdir().unwrap()).await
}

async fn start_on(dir: tempfile::TempDir) -> Cluster {
    let tasks = Tasks::new();
    let store = Arc::new(Embedded::open(dir.path()).unwrap());
    let registry = Registry::open(store, Clock::system(), &tasks).unwrap();
    registry.bootstrap().await.unwrap();
    let accounts = Accounts::new(
        auth::accounts::tests::key(),
        registry.cache().clone(),
        registry.clock().clone(),
    );
    let pki = Pki::open(&dir.path().join("pki"), Clock::system()).unwrap();
    let liveness = Liveness::new();
    let inputs = Inputs {
        registry: registry.clone(),
        events: Recorder::start(&registry, &tasks),
        liveness: liveness.clone(),
        ca_pem: "the CA".to_owned(),
        pki: Some(Arc::new(pki)),
        accounts: Some(accounts.clone()),
    };
    let _controllers = start(&inputs, &tasks);
    tasks.spawn(
        "node",
        OnExit::Ignore,
        node(registry.clone(), tasks.clone()),
    );
    Cluster {
        registry,
        liveness,
        tasks,
        accounts,
        _dir: dir,
    }
}

/// Stands in for scheduler and agents.
async fn node(registry: Registry, tasks: Tasks) {
    let mut newest = registry.cache().newest();
    loop {
        for pod in registry.cache().list(kind::POD, None) {
            run_pod(&registry, &pod).await;
        }
        tokio::select! {
            () = tasks.stop().cancelled() => return,
            changed = newest.changed() => if changed.is_err() { return },
        }
    }
}

async fn run_pod(registry: &Registry, pod: &Object) {
    let value = pod.value();
    // The pod may change or go at any time: the next look sees it.
    if value["spec"]["nodeName"].is_null() {
        let _raced = registry.bind(&me(), &pod.key, "node").await;
    } else if pod.is_deleting() {
        let _raced = registry.finish_delete(&pod.key, pod.uid()).await;
    } else if value["status"]["podIP"].is_null() {
        let image = value["spec"]["containers"][0]["image"].to_string();
        let ready = if image.contains("broken") {
            "False"
        } else {
            "True"
        };
        let report = |pod: &mut Value| {
            pod["status"]["phase"] = json!("Running");
            pod["status"]["podIP"] = json!("10.244.0.1");
            let conditions = ["Ready", "ContainersReady"].map(|kind| {
                json!({"type": kind, "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"})
            });
            pod["status"]["conditions"] = json!(conditions);
            Ok(())
        };
        let part = Subresource::Status;
        let _raced = registry
            .modify(&me(), kind::POD, &pod.key, part, report)
            .await;
    }
}

fn deployment(name: &str, replicas: i32, strategy: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "replicas": replicas, "strategy": strategy, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "hello:v1"}]}}}})
}

fn rolling() -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
}

impl Cluster {
    fn cache(&self) -> &Cache {
        self.registry.cache()
    }

    async fn create(&self, kind: KindRef, value: Value) -> Arc<Object> {
        let created = self.registry.create(&me(), kind, "default", value).await;
        created.unwrap()
    }

    async fn edit(&self, kind: KindRef, name: &str, change: impl Fn(&mut Value)) {
        let part = Subresource::None;
        let change = |value: &mut Value| {
            change(value);
            Ok(())
        };
        self.registry
            .modify(&me(), kind, &key(name), part, change)
            .await
            .unwrap();
    }

    async fn set_image(&self, name: &str, image: &str) {
        self.edit(kind::DEPLOYMENT, name, |value| {
            value["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        })
        .await;
    }

    async fn until(&self, what: &str, mut reached: impl FnMut(&Cache) -> bool) {
        let mut newest = self.cache().newest();
        let wait = newest.wait_for(|_| reached(self.cache()));
        let result = tokio::time::timeout(LIMIT, wait)
            .await
            .map(|seen| seen.is_ok());
        if result.is_err() {
            panic!("not reached: {what}{}", self.dump());
        }
    }

    fn dump(&self) -> String {
        let kinds = [
            kind::NAMESPACE,
            kind::DEPLOYMENT,
            kind::REPLICA_SET,
            kind::POD,
            kind::CERTIFICATE_SIGNING_REQUEST,
        ];
        let objects = kinds.iter().flat_map(|kind| self.cache().list(kind, None));
        let lines = objects.map(|object| {
            let value = object.value();
            format!(
                "\n{object:?}\n  {}\n  {}",
                value["metadata"], value["status"]
            )
        });
        lines.collect()
    }

    /// The rollout of the newest template is over, as `kubectl rollout status` decides.
    async fn rolled_out(&self, name: &str, replicas: i64) {
        let is_over = |cache: &Cache| {
            let Some(found) = cache.get(kind::DEPLOYMENT, &key(name)) else {
                return false;
            };
            let value = found.value();
            let number = |field: &str| value["status"][field].as_i64().unwrap_or(0);
            number("observedGeneration") == found.meta.generation.unwrap_or(0)
                && [
                    "replicas",
                    "updatedReplicas",
                    "readyReplicas",
                    "availableReplicas",
                ]
                .iter()
                .all(|field| number(field) == replicas)
                && condition(&value, "Progressing")["reason"] == "NewReplicaSetAvailable"
        };
        self.until(&format!("{name} has {replicas}"), is_over).await;
    }

    fn value(&self, kind: KindRef, name: &str) -> Value {
        self.cache().get(kind, &key(name)).unwrap().value()
    }

    fn sets(&self, name: &str) -> Vec<Value> {
        let all = self.cache().list(kind::REPLICA_SET, Some("default"));
        all.iter()
            .map(|set| set.value())
            .filter(|set| set["metadata"]["labels"]["app"] == name)
            .collect()
    }

    async fn delete(&self, kind: KindRef, name: &str, propagation: Propagation) -> Deleted {
        let options = DeleteOptions {
            propagation: Some(propagation),
            ..DeleteOptions::default()
        };
        let deleted = self.registry.delete(&me(), kind, &key(name), options).await;
        deleted.unwrap()
    }

    async fn messages(&self, reason: &str, count: usize) -> Vec<String> {
        let found = |cache: &Cache| -> Vec<String> {
            let events = cache.list(kind::EVENT, Some("default"));
            let values = events.iter().map(|event| event.value());
            values
                .filter(|event| event["reason"] == reason)
                .map(|event| event["message"].as_str().unwrap().to_owned())
                .collect()
        };
        let what = format!("{count} events {reason}");
        self.until(&what, |cache| found(cache).len() >= count).await;
        found(self.cache())
    }
}

fn condition<'a>(value: &'a Value, name: &str) -> &'a Value {
    let all = value["status"]["conditions"].as_array();
    let mut found = all.into_iter().flatten().filter(|one| one["type"] == name);
    found.next().unwrap_or(&Value::Null)
}

/// Replays what happened after `from` and checks the pods of a Deployment at every single change.
fn check_every_step(cluster: &Cluster, from: coracle_api::Revision, check: impl Fn(&[&Value])) {
    let mut pods: BTreeMap<Key, Value> = BTreeMap::new();
    let changes = cluster.cache().since(from).unwrap();
    let mut steps = 0;
    for change in changes {
        if change.object.kind != kind::POD {
            continue;
        }
        match change.kind_of {
            ChangeKind::Deleted => pods.remove(&change.object.key),
            ChangeKind::Added | ChangeKind::Modified => {
                pods.insert(change.object.key.clone(), change.object.value())
            }
        };
        let live: Vec<&Value> = pods
            .values()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .collect();
        check(&live);
        steps += 1;
    }
    assert!(steps > 0, "something happened");
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready")["status"] == "True"
}

#[tokio::test]
async fn a_deployment_lives() {
    let cluster = start_cluster().await;
    cluster
        .create(kind::DEPLOYMENT, deployment("web", 3, rolling()))
        .await;
    cluster.rolled_out("web", 3).await;
    let value = cluster.value(kind::DEPLOYMENT, "web");
    let revision = "deployment.kubernetes.io/revision";
    assert_eq!(value["metadata"]["annotations"][revision], "1");
    assert_eq!(condition(&value, "Available")["status"], "True");
    let set = &cluster.sets("web")[0];
    let hash = &set["metadata"]["labels"]["pod-template-hash"];
    let name = format!("web-{}", hash.as_str().unwrap());
    assert_eq!(set["metadata"]["name"], name);
    let message = format!("Scaled up replica set {name} from 0 to 3");
    assert_eq!(cluster.messages("ScalingReplicaSet", 1).await, [message]);
    assert_eq!(cluster.messages("SuccessfulCreate", 3).await.len(), 3);

    for size in [5, 2] {
        cluster
            .edit(kind::DEPLOYMENT, "web", |value| {
                value["spec"]["replicas"] = json!(size);
            })
            .await;
        cluster.rolled_out("web", size).await;
    }
    cluster.messages("SuccessfulDelete", 3).await;

    // A new template, and the old one again.
    cluster.set_image("web", "hello:v2").await;
    cluster.rolled_out("web", 2).await;
    assert_eq!(cluster.sets("web").len(), 2);
    cluster.set_image("web", "hello:v1").await;
    cluster.rolled_out("web", 2).await;
    let value = cluster.value(kind::DEPLOYMENT, "web");
    assert_eq!(value["metadata"]["annotations"][revision], "3");
    let set = cluster.value(kind::REPLICA_SET, &name);
    assert_eq!(set["metadata"]["annotations"][revision], "3");
    let history = "deployment.kubernetes.io/revision-history";
    assert_eq!(set["metadata"]["annotations"][history], "1");
    assert_eq!(cluster.sets("web").len(), 2);
    let Cluster {
        registry,
        tasks,
        _dir,
        ..
    } = cluster;
    drop(registry);
    assert!(tasks.shut_down(Duration::from_secs(10)).await, "all end");
}

#[tokio::test]
async fn a_rollout_keeps_its_limits_at_every_step() {
    let cluster = start_cluster().await;
    let strategy =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}});
    cluster
        .create(kind::DEPLOYMENT, deployment("web", 6, strategy))
        .await;
    cluster.rolled_out("web", 6).await;
    let from = cluster.cache().revision();
    let there = cluster.cache().list(kind::POD, Some("default")).len();
    assert_eq!(there, 6);
    // Touch every pod, so that the replay begins with all of them.
    for pod in cluster.cache().list(kind::POD, Some("default")) {
        cluster
            .edit(kind::POD, &pod.key.name, |pod| {
                pod["metadata"]["annotations"]["seen"] = json!("yes");
            })
            .await;
    }
    let touched = cluster.cache().revision();
    cluster.set_image("web", "hello:v2").await;
    cluster.rolled_out("web", 6).await;
    let begun = std::cell::Cell::new(0);
    check_every_step(&cluster, from, |live| {
        begun.set(begun.get() + 1);
        assert!(live.len() <= 8, "{} pods", live.len());
        if begun.get() >= 6 {
            let ready = live.iter().filter(|pod| is_ready(pod)).count();
            assert!(ready >= 5, "only {ready} are ready at step {}", begun.get());
        }
    });
    assert!(cluster.cache().revision() > touched);
}

#[tokio::test]
async fn recreate_never_mixes_templates() {
    let cluster = start_cluster().await;
    let strategy = json!({"type": "Recreate"});
    cluster
        .create(kind::DEPLOYMENT, deployment("web", 3, strategy))
        .await;
    cluster.rolled_out("web", 3).await;
    let from = cluster.cache().revision();
    cluster.set_image("web", "hello:v2").await;
    cluster.rolled_out("web", 3).await;
    let mut there: BTreeMap<Key, String> = BTreeMap::new();
    for change in cluster.cache().since(from).unwrap() {
        if change.object.kind != kind::POD {
            continue;
        }
        let image = change.object.value()["spec"]["containers"][0]["image"].to_string();
        match change.kind_of {
            ChangeKind::Deleted => there.remove(&change.object.key),
            ChangeKind::Added | ChangeKind::Modified => {
                there.insert(change.object.key.clone(), image)
            }
        };
        let images: BTreeSet<&String> = there.values().collect();
        assert!(images.len() <= 1, "{images:?}");
    }
}

#[tokio::test]
async fn pause_and_resume() {
    let cluster = start_cluster().await;
    cluster
        .create(kind::DEPLOYMENT, deployment("web", 2, rolling()))
        .await;
    cluster.rolled_out("web", 2).await;
    cluster
        .edit(kind::DEPLOYMENT, "web", |value| {
            value["spec"]["paused"] = json!(true);
        })
        .await;
    cluster.set_image("web", "hello:v2").await;
    let paused = |cache: &Cache| {
        let found = cache.get(kind::DEPLOYMENT, &key("web")).unwrap();
        let value = found.value();
        condition(&value, "Progressing")["reason"] == "DeploymentPaused"
            && value["status"]["observedGeneration"] == json!(found.meta.generation)
    };
    cluster.until("the pause is told", paused).await;
    assert_eq!(cluster.sets("web").len(), 1, "no rollout while paused");
    cluster
        .edit(kind::DEPLOYMENT, "web", |value| {
            value["spec"]["paused"] = json!(false);
        })
        .await;
    cluster.rolled_out("web", 2).await;
    assert_eq!(cluster.sets("web").len(), 2);
}

#[tokio::test]
async fn a_broken_template_never_takes_the_good_pods_away_and_is_undone() {
    let cluster = start_cluster().await;
    cluster
        .create(kind::DEPLOYMENT, deployment("web", 3, rolling()))
        .await;
    cluster.rolled_out("web", 3).await;
    cluster.set_image("web", "broken:v2").await;
    let stuck = |cache: &Cache| {
        let value = cache.get(kind::DEPLOYMENT, &key("web")).unwrap().value();
        value["status"]["updatedReplicas"] == 1 && value["status"]["replicas"] == 4
    };
    cluster.until("one broken pod is there", stuck).await;
    let ready = cluster.cache().list(kind::POD, Some("default"));
    let ready = ready.iter().filter(|pod| is_ready(&pod.value())).count();
    assert_eq!(ready, 3);
    cluster.set_image("web", "hello:v1").await;
    cluster.rolled_out("web", 3).await;
}

#[tokio::test]
async fn a_pod_that_is_relabelled_is_released_and_one_that_fits_is_adopted() {
    let cluster = start_cluster().await;
    cluster
        .create(kind::DEPLOYMENT, deployment("web", 2, rolling()))
        .await;
    cluster.rolled_out("web", 2).await;
    let pods = cluster.cache().list(kind::POD, Some("default"));
    let first = pods[0].key.name.clone();
    cluster
        .edit(kind::POD, &first, |pod| {
            pod["metadata"]["labels"]["app"] = json!("debug");
        })
        .await;
    let released = |cache: &Cache| {
        let pods = cache.list(kind::POD, Some("default"));
        pods.len() == 3
            && cache
                .get(kind::POD, &key(&first))
                .is_some_and(|pod| pod.controller_uid().is_none())
    };
    cluster.until("released and replaced", released).await;
    cluster.rolled_out("web", 2).await;
    cluster
        .edit(kind::POD, &first, |pod| {
            pod["metadata"]["labels"]["app"] = json!("web");
        })
        .await;
    let two = |cache: &Cache| {
        let pods = cache.list(kind::POD, Some("default"));
        pods.len() == 2 && pods.iter().all(|pod| pod.controller_uid().is_some())
    };
    cluster
        .until("adopted, and one too many deleted", two)
        .await;
}

#[tokio::test]
async fn deletion_reaches_the_dependents_as_asked() {
    let cluster = start_cluster().await;
    for name in ["background", "foreground", "orphan"] {
        cluster
            .create(kind::DEPLOYMENT, deployment(name, 2, rolling()))
            .await;
        cluster.rolled_out(name, 2).await;
    }
    let pods_of = |cache: &Cache, name: &str| {
        let pods = cache.list(kind::POD, Some("default"));
        pods.iter()
            .filter(|pod| pod.value()["metadata"]["labels"]["app"] == name)
            .count()
    };
    let sets_of = |cache: &Cache, name: &str| {
        let sets = cache.list(kind::REPLICA_SET, Some("default"));
        sets.iter()
            .filter(|set| set.value()["metadata"]["labels"]["app"] == name)
            .count()
    };
    let gone = cluster
        .delete(kind::DEPLOYMENT, "background", Propagation::Background)
        .await;
    assert!(matches!(gone, Deleted::Gone(_)));
    let empty = |cache: &Cache| pods_of(cache, "background") + sets_of(cache, "background") == 0;
    cluster.until("background", empty).await;

    let from = cluster.cache().revision();
    let pending = cluster
        .delete(kind::DEPLOYMENT, "foreground", Propagation::Foreground)
        .await;
    assert!(matches!(pending, Deleted::Pending(_)));
    let is_gone = |cache: &Cache| cache.get(kind::DEPLOYMENT, &key("foreground")).is_none();
    cluster.until("foreground", is_gone).await;
    let ends: Vec<&str> = cluster
        .cache()
        .since(from)
        .unwrap()
        .iter()
        .filter(|change| change.kind_of == ChangeKind::Deleted)
        .map(|change| change.object.kind.kind)
        .collect();
    assert_eq!(ends, ["Pod", "Pod", "ReplicaSet", "Deployment"]);

    cluster
        .delete(kind::DEPLOYMENT, "orphan", Propagation::Orphan)
        .await;
    let is_gone = |cache: &Cache| cache.get(kind::DEPLOYMENT, &key("orphan")).is_none();
    cluster.until("orphan", is_gone).await;
    let set = &cluster.sets("orphan")[0];
    let owners = set["metadata"]["ownerReferences"].as_array();
    assert!(owners.is_none_or(Vec::is_empty), "{set}");
    assert_eq!(pods_of(cluster.cache(), "orphan"), 2);
}

#[tokio::test]
async fn a_circle_of_owners_goes_too() {
    let cluster = start_cluster().await;
    let names = ["one", "other"];
    for name in names {
        let map = json!({"metadata": {"name": name}});
        cluster.create(kind::CONFIG_MAP, map).await;
    }
    let uid_of = |name| {
        let found = cluster.cache().get(kind::CONFIG_MAP, &key(name));
        found.unwrap().uid().to_owned()
    };
    for (name, owner) in [names, [names[1], names[0]]].map(|pair| (pair[0], pair[1])) {
        let uid = uid_of(owner);
        let owners = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid, "blockOwnerDeletion": true,
        }]);
        cluster
            .edit(kind::CONFIG_MAP, name, |map| {
                map["metadata"]["ownerReferences"] = owners.clone();
            })
            .await;
    }
    cluster
        .delete(kind::CONFIG_MAP, "one", Propagation::Foreground)
        .await;
    let gone = |cache: &Cache| {
        let found = |name: &&str| cache.get(kind::CONFIG_MAP, &key(name)).is_some();
        !names.iter().any(found)
    };
    cluster.until("the end of both", gone).await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one life of a namespace")]
async fn a_namespace_has_what_it_needs_and_ends_with_all_it_holds() {
    let cluster = start_cluster().await;
    let namespace = json!({"metadata": {"name": "shop"}});
    let (registry, of) = (&cluster.registry, kind::NAMESPACE);
    registry.create(&me(), of, "", namespace).await.unwrap();
    let (account, map) = (
        Key::new("shop", "default"),
        Key::new("shop", "kube-root-ca.crt"),
    );
    let equipped = |cache: &Cache| {
        cache.get(kind::SERVICE_ACCOUNT, &account).is_some()
            && cache
                .get(kind::CONFIG_MAP, &map)
                .is_some_and(|map| map.value()["data"]["ca.crt"] == "the CA")
    };
    cluster.until("account and CA", equipped).await;
    let web = deployment("web", 2, rolling());
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    for (kind, value) in [(kind::DEPLOYMENT, web), (kind::CONFIG_MAP, held)] {
        registry.create(&me(), kind, "shop", value).await.unwrap();
    }
    let running = |cache: &Cache| {
        let pods = cache.list(kind::POD, Some("shop"));
        pods.len() == 2 && pods.iter().all(|pod| is_ready(&pod.value()))
    };
    cluster.until("pods in the namespace", running).await;
    let name = Key::cluster("shop");
    let options = DeleteOptions::default();
    registry.delete(&me(), of, &name, options).await.unwrap();
    let waits = |cache: &Cache| {
        let Some(found) = cache.get(kind::NAMESPACE, &name) else {
            return false;
        };
        let value = found.value();
        let remaining = condition(&value, "NamespaceFinalizersRemaining")["message"].to_string();
        let content = condition(&value, "NamespaceContentRemaining")["message"].to_string();
        remaining.contains("example.com/hold in 1 resource instances")
            && content.contains("remaining: configmaps. has 1 resource instances\"")
    };
    cluster.until("only the held map is left", waits).await;
    let refused = registry
        .create(
            &me(),
            kind::CONFIG_MAP,
            "shop",
            json!({"metadata": {"name": "x"}}),
        )
        .await
        .unwrap_err();
    assert_eq!(refused.code, 403);
    let release = |value: &mut Value| {
        value["metadata"]["finalizers"] = json!([]);
        Ok(())
    };
    let (held, part) = (Key::new("shop", "held"), Subresource::None);
    registry
        .modify(&me(), kind::CONFIG_MAP, &held, part, release)
        .await
        .unwrap();
    let is_gone = |cache: &Cache| cache.get(kind::NAMESPACE, &name).is_none();
    cluster.until("the namespace is gone", is_gone).await;
    for of in registry
        .cache()
        .kinds()
        .stored()
        .into_iter()
        .filter(|kind| kind.namespaced)
    {
        assert_eq!(
            cluster.cache().list(of, Some("shop")).len(),
            0,
            "{}",
            of.kind
        );
    }
}

#[tokio::test]
async fn a_service_follows_its_pods() {
    let cluster = start_cluster().await;
    cluster
        .create(kind::DEPLOYMENT, deployment("web", 2, rolling()))
        .await;
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    cluster.create(kind::SERVICE, service).await;
    let ready = |cache: &Cache| -> usize {
        let slices = cache.list(kind::ENDPOINT_SLICE, Some("default"));
        let ours = slices.iter().map(|slice| slice.value()).filter(|slice| {
            let labels = &slice["metadata"]["labels"];
            labels["kubernetes.io/service-name"] == "web" && slice["ports"][0]["port"] == 8080
        });
        ours.map(|slice| {
            let endpoints = slice["endpoints"].as_array().cloned().unwrap_or_default();
            endpoints
                .iter()
                .filter(|one| one["conditions"]["ready"] == true)
                .count()
        })
        .sum()
    };
    cluster
        .until("two endpoints", |cache| ready(cache) == 2)
        .await;
    cluster
        .edit(kind::DEPLOYMENT, "web", |value| {
            value["spec"]["replicas"] = json!(1);
        })
        .await;
    cluster
        .until("one endpoint", |cache| ready(cache) == 1)
        .await;
    let one = |cache: &Cache| {
        let endpoints = cache.get(kind::ENDPOINTS, &key("web"));
        let endpoints = endpoints
            .map(|endpoints| endpoints.value())
            .unwrap_or_default();
        let addresses = endpoints["subsets"][0]["addresses"]
            .as_array()
            .map(Vec::len);
        addresses == Some(1) && endpoints["subsets"][0]["ports"][0]["port"] == 8080
    };
    cluster.until("one address", one).await;
    cluster
        .delete(kind::SERVICE, "web", Propagation::Background)
        .await;
    let none = |cache: &Cache| {
        cache.list(kind::ENDPOINT_SLICE, Some("default")).is_empty()
            && cache.get(kind::ENDPOINTS, &key("web")).is_none()
    };
    cluster.until("the slices go with the service", none).await;
}

#[tokio::test]
async fn a_pod_in_a_new_namespace_waits_for_its_account() {
    let cluster = start_cluster().await;
    let registry = &cluster.registry;
    for round in 0..5 {
        let name = format!("new{round}");
        let namespace = json!({"metadata": {"name": name}});
        registry
            .create(&me(), kind::NAMESPACE, "", namespace)
            .await
            .unwrap();
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "hello:v1"}]}});
        registry.create(&me(), kind::POD, &name, pod).await.unwrap();
    }
}
