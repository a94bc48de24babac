//! The rules of the door, on a real store.

mod admission;
mod custom;
mod deep;
mod quota;
mod services;

use super::*;
use crate::store::Embedded;

struct Door {
    registry: Registry,
    store: Arc<Embedded>,
    tasks: Tasks,
    dir: tempfile::TempDir,
}

/// Stops and starts on the same data.
async fn reopen(door: Door) -> Door {
    let Door {
        registry,
        store,
        tasks,
        dir,
    } = door;
    drop((registry, store));
    assert!(tasks.shut_down(std::time::Duration::from_secs(5)).await);
    open_on(dir)
}

fn open_on(dir: tempfile::TempDir) -> Door {
    let tasks = Tasks::new();
    let store = Arc::new(Embedded::open(dir.path()).unwrap());
    let registry = Registry::open(Arc::clone(&store) as _, Clock::system(), &tasks).unwrap();
    Door {
        registry,
        store,
        tasks,
        dir,
    }
}

async fn open() -> Door {
    let door = open_on(tempfile::tempdir().unwrap());
    door.registry.bootstrap().await.unwrap();
    door
}

fn me() -> Context {
    Context {
        field_validation: FieldValidation::Strict,
        ..Context::system("test")
    }
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i:v1"}]}})
}

#[tokio::test]
async fn create_update_and_conflict() {
    let door = open().await;
    let key = Key::new("default", "a");
    let created = door
        .registry
        .create(&me(), kind::POD, "default", pod("a"))
        .await
        .unwrap();
    assert_eq!(created.meta.generation, Some(1));
    assert_eq!(created.value()["status"]["qosClass"], "BestEffort");
    let error = door
        .registry
        .create(&me(), kind::POD, "default", pod("a"))
        .await
        .unwrap_err();
    assert_eq!(error.reason, "AlreadyExists");

    let mut stale = created.value();
    let relabel = |value: &mut Value| {
        value["metadata"]["labels"] = json!({"a": "b"});
        Ok(())
    };
    door.registry
        .modify(&me(), kind::POD, &key, Subresource::None, relabel)
        .await
        .unwrap();
    stale["metadata"]["labels"] = json!({"c": "d"});
    let error = door
        .registry
        .update(&me(), kind::POD, &key, Subresource::None, stale)
        .await
        .unwrap_err();
    assert_eq!((error.code, error.reason), (409, "Conflict"));
}

#[tokio::test]
async fn bad_objects_are_refused_with_their_fields() {
    let door = open().await;
    let mut bad = pod("a");
    bad["spec"]["containers"][0]["imagee"] = json!("x");
    let error = door
        .registry
        .create(&me(), kind::POD, "default", bad)
        .await
        .unwrap_err();
    assert_eq!(error.code, 400);
    assert!(
        error
            .message
            .contains("unknown field \"spec.containers[0].imagee\""),
        "{error}"
    );
    let error = door
        .registry
        .create(&me(), kind::POD, "default", pod("Not_A_Name"))
        .await
        .unwrap_err();
    assert_eq!(error.code, 422);
    assert_eq!(error.details.unwrap().causes[0].field, "metadata.name");
    let error = door
        .registry
        .create(&me(), kind::POD, "nowhere", pod("a"))
        .await
        .unwrap_err();
    assert_eq!(error.message, "namespaces \"nowhere\" not found");
}

#[tokio::test]
async fn the_status_is_a_part_of_its_own() {
    let door = open().await;
    let key = Key::new("default", "a");
    door.registry
        .create(&me(), kind::POD, "default", pod("a"))
        .await
        .unwrap();
    let both = |value: &mut Value| {
        value["status"]["phase"] = json!("Running");
        value["metadata"]["labels"] = json!({"x": "y"});
        Ok(())
    };
    let written = door
        .registry
        .modify(&me(), kind::POD, &key, Subresource::Status, both)
        .await
        .unwrap();
    assert_eq!(written.value()["status"]["phase"], "Running");
    let labels = written.meta.labels.as_ref().unwrap();
    assert_eq!(labels["x"], "y", "a pod's labels come with its status");
    assert_eq!(
        written.meta.generation,
        Some(1),
        "a status is no new generation"
    );
}

#[tokio::test]
async fn a_bound_pod_gets_time_and_an_unbound_one_goes_at_once() {
    let door = open().await;
    for name in ["a", "b"] {
        door.registry
            .create(&me(), kind::POD, "default", pod(name))
            .await
            .unwrap();
    }
    let (a, b) = (Key::new("default", "a"), Key::new("default", "b"));
    let deleted = door
        .registry
        .delete(&me(), kind::POD, &a, DeleteOptions::default())
        .await
        .unwrap();
    assert!(matches!(deleted, Deleted::Gone(_)));
    door.registry.bind(&me(), &b, "node").await.unwrap();
    assert_eq!(
        door.registry
            .bind(&me(), &b, "other")
            .await
            .unwrap_err()
            .code,
        409
    );
    let deleted = door
        .registry
        .delete(&me(), kind::POD, &b, DeleteOptions::default())
        .await
        .unwrap();
    let Deleted::Pending(pending) = deleted else {
        panic!("it has 30 seconds")
    };
    assert_eq!(pending.meta.deletion_grace_period_seconds, Some(30));
    door.registry
        .finish_delete(&b, pending.uid())
        .await
        .unwrap();
    assert!(door.registry.cache().get(kind::POD, &b).is_none());
}

#[tokio::test]
async fn finalizers_hold_and_release() {
    let door = open().await;
    let key = Key::new("default", "m");
    let map = json!({"metadata": {"name": "m", "finalizers": ["example.com/hold"]}});
    door.registry
        .create(&me(), kind::CONFIG_MAP, "default", map)
        .await
        .unwrap();
    let deleted = door
        .registry
        .delete(&me(), kind::CONFIG_MAP, &key, DeleteOptions::default())
        .await
        .unwrap();
    assert!(matches!(deleted, Deleted::Pending(_)));
    let release = |value: &mut Value| {
        value["metadata"]["finalizers"] = json!([]);
        Ok(())
    };
    door.registry
        .modify(&me(), kind::CONFIG_MAP, &key, Subresource::None, release)
        .await
        .unwrap();
    assert!(door.registry.cache().get(kind::CONFIG_MAP, &key).is_none());
}

#[tokio::test]
async fn a_deletion_carries_its_policy_as_a_finalizer() {
    let door = open().await;
    let key = Key::new("default", "m");
    let map = json!({"metadata": {"name": "m"}});
    door.registry
        .create(&me(), kind::CONFIG_MAP, "default", map)
        .await
        .unwrap();
    let mut seen = Vec::new();
    for propagation in [
        Propagation::Foreground,
        Propagation::Orphan,
        Propagation::Background,
    ] {
        let options = DeleteOptions {
            propagation: Some(propagation),
            ..DeleteOptions::default()
        };
        let deleted = door
            .registry
            .delete(&me(), kind::CONFIG_MAP, &key, options)
            .await
            .unwrap();
        seen.push(match deleted {
            Deleted::Pending(object) => object.meta.finalizers.clone().unwrap().join(","),
            Deleted::Gone(_) => "gone".to_owned(),
        });
    }
    assert_eq!(seen, ["foregroundDeletion", "orphan", "gone"]);
}

#[tokio::test]
async fn generations_count_what_controllers_act_on() {
    let door = open().await;
    let key = Key::new("default", "d");
    let deployment = json!({"metadata": {"name": "d", "finalizers": ["example.com/hold"]}, "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod("a")["spec"]}}});
    door.registry
        .create(&me(), kind::DEPLOYMENT, "default", deployment)
        .await
        .unwrap();
    let annotate = |value: &mut Value| {
        value["metadata"]["annotations"]["x"] = json!("y");
        Ok(())
    };
    let generation = |object: Arc<Object>| object.meta.generation.unwrap();
    let part = Subresource::Status;
    let told = door
        .registry
        .modify(&me(), kind::DEPLOYMENT, &key, part, annotate)
        .await
        .unwrap();
    assert_eq!(told.meta.annotations.as_ref().unwrap()["x"], "y");
    assert_eq!(generation(told), 1, "the controller's own word");
    let again = |value: &mut Value| {
        value["metadata"]["annotations"]["x"] = json!("z");
        Ok(())
    };
    let part = Subresource::None;
    let changed = door
        .registry
        .modify(&me(), kind::DEPLOYMENT, &key, part, again)
        .await
        .unwrap();
    assert_eq!(generation(changed), 2, "as upstream: annotations count");
    let options = DeleteOptions::default();
    let deleted = door
        .registry
        .delete(&me(), kind::DEPLOYMENT, &key, options)
        .await
        .unwrap();
    let Deleted::Pending(deleted) = deleted else {
        panic!("it is held")
    };
    assert_eq!(generation(deleted), 3);
}

/// Who forwards to a Service finds its slices by their labels.
#[tokio::test]
async fn labels_of_slices_count_too() {
    let door = open().await;
    let key = Key::new("default", "s");
    let slice =
        json!({"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": [], "ports": []});
    let created = door
        .registry
        .create(&me(), kind::ENDPOINT_SLICE, "default", slice)
        .await
        .unwrap();
    assert_eq!(created.meta.generation, Some(1));
    for (field, generation) in [("annotations", 1), ("labels", 2)] {
        let set = |value: &mut Value| {
            value["metadata"][field] = json!({"a": "b"});
            Ok(())
        };
        let part = Subresource::None;
        let changed = door
            .registry
            .modify(&me(), kind::ENDPOINT_SLICE, &key, part, set)
            .await
            .unwrap();
        assert_eq!(changed.meta.generation, Some(generation), "{field}");
    }
}

/// What Go leaves out is not stored, so that writing it out changes nothing.
#[tokio::test]
async fn what_is_only_written_out_is_no_change() {
    let door = open().await;
    let key = Key::new("default", "d");
    let container = json!({"name": "c", "image": "i:v1", "tty": false,
        "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": false}]});
    let spec = json!({"hostNetwork": false, "containers": [container], "volumes": [{"name": "v", "emptyDir": {}}]});
    let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d"}, "spec": {
        "minReadySeconds": 0, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}, "creationTimestamp": null}, "spec": spec}}});
    let context = Context {
        field_manager: Some("me".to_owned()),
        ..me()
    };
    let put = async |set: &Value| {
        let part = Subresource::None;
        let put = door
            .registry
            .update(&context, kind::DAEMON_SET, &key, part, set.clone());
        put.await.unwrap().0
    };
    let apply = async |set: &Value| {
        let patch = Patch {
            kind: PatchKind::Apply,
            body: set.clone(),
            force: true,
        };
        let part = Subresource::None;
        let applied = door
            .registry
            .patch(&context, kind::DAEMON_SET, &key, part, patch);
        applied.await.unwrap().0
    };
    let counted = |object: &Object| object.value()["metadata"]["annotations"].clone();
    let made = apply(&set).await;
    assert_eq!(apply(&set).await.revision, made.revision);
    let once = put(&set).await;
    assert_eq!(put(&set).await.revision, once.revision);
    assert_eq!(counted(&once), counted(&made));
    assert_eq!(once.meta.generation, Some(1));
    let mut other = set;
    other["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    let changed = put(&other).await;
    assert_ne!(counted(&changed), counted(&made));
    assert_eq!(changed.meta.generation, Some(2));
}

#[tokio::test]
async fn what_the_system_needs_stays() {
    let door = open().await;
    let error = door
        .registry
        .delete(
            &me(),
            kind::NAMESPACE,
            &Key::cluster("default"),
            DeleteOptions::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "namespaces \"default\" is forbidden: this namespace may not be deleted"
    );
    let error = door
        .registry
        .delete(
            &me(),
            kind::PRIORITY_CLASS,
            &Key::cluster("system-node-critical"),
            DeleteOptions::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (
            403,
            "priorityclasses.scheduling.k8s.io \"system-node-critical\" is forbidden: this is a system priority class and cannot be deleted"
        )
    );
}

#[tokio::test]
async fn services_get_addresses_and_ports() {
    let door = open().await;
    let service = |name: &str, node_port: Value| json!({"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": node_port}]}});
    let first = door
        .registry
        .create(&me(), kind::SERVICE, "default", service("a", json!(30080)))
        .await
        .unwrap()
        .value();
    let second = door
        .registry
        .create(&me(), kind::SERVICE, "default", service("b", Value::Null))
        .await
        .unwrap()
        .value();
    assert_ne!(first["spec"]["clusterIP"], second["spec"]["clusterIP"]);
    assert_eq!(second["spec"]["ports"][0]["nodePort"], 32767);
    let error = door
        .registry
        .create(&me(), kind::SERVICE, "default", service("c", json!(30080)))
        .await
        .unwrap_err();
    assert!(
        error.message.contains(
            "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"
        ),
        "{error}"
    );
}

#[tokio::test]
async fn services_created_at_once_share_neither_address_nor_port() {
    let door = open().await;
    let create = async |n: usize| {
        let ports =
            json!([{"port": 80, "nodePort": if n < 2 { json!(30080) } else { Value::Null }}]);
        let service = json!({"metadata": {"name": format!("s{n}")}, "spec": {"type": "NodePort", "ports": ports}});
        door.registry
            .create(&me(), kind::SERVICE, "default", service)
            .await
    };
    let created = futures_util::future::join_all((0..20).map(create)).await;
    let refused = created.iter().filter(|result| result.is_err()).count();
    assert_eq!(refused, 1, "one of the two that asked for 30080");
    let specs: Vec<Value> = created
        .into_iter()
        .flatten()
        .map(|service| service.value()["spec"].take())
        .collect();
    for path in ["/clusterIP", "/ports/0/nodePort"] {
        let all: std::collections::BTreeSet<String> = specs
            .iter()
            .map(|spec| spec.pointer(path).unwrap().to_string())
            .collect();
        assert_eq!(all.len(), 19, "{path}: {all:?}");
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_and_revisions_go_on() {
    let door = open().await;
    let map = json!({"metadata": {"name": "m"}, "data": {"k": "v"}});
    let before = door
        .registry
        .create(&me(), kind::CONFIG_MAP, "default", map)
        .await
        .unwrap();
    let Door { registry, .. } = &reopen(door).await;
    let found = registry.cache().get(kind::CONFIG_MAP, &before.key).unwrap();
    assert_eq!(
        (found.uid(), found.revision),
        (before.uid(), before.revision)
    );
    assert!(registry.cache().revision() > before.revision);
    assert!(
        registry.cache().since(before.revision).is_err(),
        "a watch from before has to list again"
    );
}

#[tokio::test]
async fn concurrent_writers_never_lose_an_update() {
    let door = open().await;
    let map = json!({"metadata": {"name": "m"}, "data": {"n": "0"}});
    door.registry
        .create(&me(), kind::CONFIG_MAP, "default", map)
        .await
        .unwrap();
    let (done, mut counted) = tokio::sync::mpsc::channel(64);
    for _ in 0..64 {
        let (registry, done) = (door.registry.clone(), done.clone());
        door.tasks
            .spawn("writer", coracle_daemon::OnExit::Ignore, async move {
                let key = Key::new("default", "m");
                let add = |value: &mut Value| {
                    let n: u32 = value["data"]["n"].as_str().unwrap().parse().unwrap();
                    value["data"]["n"] = json!((n + 1).to_string());
                    Ok(())
                };
                registry
                    .modify(&me(), kind::CONFIG_MAP, &key, Subresource::None, add)
                    .await
                    .unwrap();
                done.send(()).await.unwrap();
            });
    }
    for _ in 0..64 {
        counted.recv().await.unwrap();
    }
    let found = door
        .registry
        .cache()
        .get(kind::CONFIG_MAP, &Key::new("default", "m"))
        .unwrap();
    assert_eq!(found.value()["data"]["n"], "64");
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let door = open().await;
    let context = Context {
        dry_run: true,
        ..me()
    };
    door.registry
        .create(&context, kind::POD, "default", pod("a"))
        .await
        .unwrap();
    assert!(
        door.registry
            .cache()
            .get(kind::POD, &Key::new("default", "a"))
            .is_none()
    );
}

#[tokio::test]
async fn what_stays_in_memory_reaches_no_disk_until_a_client_writes_it() {
    let door = open().await;
    let in_memory = Context {
        in_memory: true,
        ..me()
    };
    let on_disk = || {
        let (entries, _) = door.store.load().unwrap();
        let name = |entry: &crate::store::Entry| entry.key.contains("/events/");
        entries.iter().filter(|entry| name(entry)).count()
    };
    let event = |name: &str| {
        json!({"metadata": {"name": name}, "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
               "reason": "Started", "count": 1})
    };
    let count = |event: &mut Value| {
        event["count"] = json!(event["count"].as_i64().unwrap_or(0) + 1);
        Ok(())
    };
    let registry = &door.registry;
    for name in ["a", "b"] {
        let created = registry.create(&in_memory, kind::EVENT, "default", event(name));
        created.await.unwrap();
    }
    let (a, b) = (Key::new("default", "a"), Key::new("default", "b"));
    let part = Subresource::None;
    let counted = registry.modify(&in_memory, kind::EVENT, &a, part, count);
    assert_eq!(counted.await.unwrap().value()["count"], 2);
    assert_eq!(on_disk(), 0);

    // A client's word is durable, and so is what is said of it from then on.
    registry
        .modify(&me(), kind::EVENT, &a, part, count)
        .await
        .unwrap();
    assert_eq!(on_disk(), 1);
    let options = DeleteOptions::default();
    for key in [a, b] {
        let deleted = registry.delete(&in_memory, kind::EVENT, &key, options.clone());
        deleted.await.unwrap();
    }
    assert_eq!(on_disk(), 0);
    assert!(registry.cache().list(kind::EVENT, None).is_empty());
}

#[tokio::test]
async fn what_is_kept_outlives_a_start_and_is_written_once() {
    let door = open().await;
    let in_memory = Context {
        in_memory: true,
        ..me()
    };
    for name in ["a", "b"] {
        let endpoints =
            json!({"metadata": {"name": name}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}]}]});
        let made = door
            .registry
            .create(&in_memory, kind::ENDPOINTS, "default", endpoints);
        made.await.unwrap();
    }
    let (a, b) = (Key::new("default", "a"), Key::new("default", "b"));
    let kept = door.registry.keep(kind::ENDPOINTS, &a).await.unwrap();
    let again = door.registry.keep(kind::ENDPOINTS, &a).await.unwrap();
    assert_eq!(again.revision, kept.revision, "not written again");

    let door = reopen(door).await;
    let found = door.registry.cache().get(kind::ENDPOINTS, &a).unwrap();
    assert_eq!(found.value(), kept.value());
    assert!(door.registry.cache().get(kind::ENDPOINTS, &b).is_none());
    let again = door.registry.keep(kind::ENDPOINTS, &a).await.unwrap();
    assert_eq!(again.revision, found.revision, "not written again");
    let missing = door.registry.keep(kind::ENDPOINTS, &b).await;
    assert_eq!(missing.unwrap_err().code, 404);
}
