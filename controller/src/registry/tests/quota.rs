//! Quotas at the door: exact, whatever comes at once, goes, ends or is started anew.

use super::*;
use coracle_daemon::OnExit;
use std::time::Duration;

async fn quota(registry: &Registry, hard: Value) {
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}});
    let context = me();
    let created = registry.create(&context, kind::RESOURCE_QUOTA, "default", quota);
    created.await.unwrap();
}

async fn create(registry: &Registry, name: &str) -> Result<(), StatusError> {
    let context = me();
    let created = registry.create(&context, kind::POD, "default", pod(name));
    created.await.map(|_pod| ())
}

#[track_caller]
fn check_refused(said: Result<(), StatusError>, why: &str) {
    let error = said.unwrap_err();
    assert_eq!((error.code, error.reason), (403, "Forbidden"));
    let told = error.message.split_once(" is forbidden: ").unwrap().1;
    assert_eq!(told, why);
}

fn full(pods: usize) -> String {
    format!("exceeded quota: q, requested: pods=1, used: pods={pods}, limited: pods={pods}")
}

fn used(registry: &Registry, name: &str) -> String {
    let usage = registry.quota_usage(&Key::new("default", "q")).unwrap();
    usage.used[name].clone()
}

async fn phase(registry: &Registry, name: &str, phase: &str) {
    let set = |pod: &mut Value| {
        pod["status"]["phase"] = json!(phase);
        Ok(())
    };
    let key = Key::new("default", name);
    let context = me();
    let written = registry.modify(&context, kind::POD, &key, Subresource::Status, set);
    written.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_at_once_five_pass() {
    let door = open().await;
    quota(&door.registry, json!({"pods": "5"})).await;
    let (done, mut results) = tokio::sync::mpsc::channel(20);
    for n in 0..20 {
        let (registry, done) = (door.registry.clone(), done.clone());
        door.tasks.spawn("writer", OnExit::Ignore, async move {
            let created = create(&registry, &format!("p{n}")).await;
            done.send(created).await.unwrap();
        });
    }
    let mut passed = 0;
    for _ in 0..20 {
        match results.recv().await.unwrap() {
            Ok(()) => passed += 1,
            refused @ Err(_) => check_refused(refused, &full(5)),
        }
    }
    assert_eq!(passed, 5);
    let there = door.registry.cache().list(kind::POD, Some("default"));
    assert_eq!(
        (there.len(), used(&door.registry, "pods").as_str()),
        (5, "5")
    );
}

#[tokio::test]
async fn a_dry_run_is_checked_and_not_charged() {
    let door = open().await;
    quota(&door.registry, json!({"pods": "1"})).await;
    let dry = Context {
        dry_run: true,
        ..me()
    };
    for name in ["a", "b"] {
        let tried = door.registry.create(&dry, kind::POD, "default", pod(name));
        tried.await.unwrap();
    }
    create(&door.registry, "a").await.unwrap();
    let tried = door.registry.create(&dry, kind::POD, "default", pod("b"));
    check_refused(tried.await.map(|_pod| ()), &full(1));
}

#[tokio::test]
async fn what_goes_or_ends_gives_back() {
    let door = open().await;
    let registry = &door.registry;
    quota(registry, json!({"pods": "1", "count/pods": "2"})).await;
    create(registry, "a").await.unwrap();
    check_refused(create(registry, "b").await, &full(1));
    let (a, options) = (Key::new("default", "a"), DeleteOptions::default());
    registry.bind(&me(), &a, "node").await.unwrap();
    let deleted = registry.delete(&me(), kind::POD, &a, options.clone()).await;
    let Deleted::Pending(pending) = deleted.unwrap() else {
        panic!("it has 30 seconds")
    };
    check_refused(create(registry, "b").await, &full(1));
    registry.finish_delete(&a, pending.uid()).await.unwrap();
    create(registry, "b").await.unwrap();
    phase(registry, "b", "Succeeded").await;
    create(registry, "c").await.unwrap();
    phase(registry, "c", "Failed").await;
    assert_eq!(used(registry, "pods"), "0");
    check_refused(
        create(registry, "d").await,
        "exceeded quota: q, requested: count/pods=1, used: count/pods=2, limited: count/pods=2",
    );
    phase(registry, "c", "Running").await;
    assert_eq!(used(registry, "pods"), "1");
}

#[tokio::test]
async fn a_pod_whose_node_is_lost_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (tasks, clock) = (
        Tasks::new(),
        Clock::manual("2026-01-01T00:00:00Z".parse().unwrap()),
    );
    let store = Arc::new(Embedded::open(dir.path()).unwrap());
    let registry = Registry::open(store, clock.clone(), &tasks).unwrap();
    registry.bootstrap().await.unwrap();
    quota(&registry, json!({"pods": "1"})).await;
    create(&registry, "a").await.unwrap();
    let (a, options) = (Key::new("default", "a"), DeleteOptions::default());
    registry.bind(&me(), &a, "node").await.unwrap();
    registry
        .delete(&me(), kind::POD, &a, options)
        .await
        .unwrap();
    clock.advance(Duration::from_secs(59));
    check_refused(create(&registry, "b").await, &full(1));
    let usage = registry.quota_usage(&Key::new("default", "q")).unwrap();
    assert_eq!(usage.until, Some("2026-01-01T00:01:00Z".parse().unwrap()));
    clock.advance(Duration::from_secs(2));
    create(&registry, "b").await.unwrap();
    assert_eq!(used(&registry, "pods"), "1");
    let uid = registry
        .cache()
        .get(kind::POD, &a)
        .unwrap()
        .uid()
        .to_owned();
    registry.finish_delete(&a, &uid).await.unwrap();
    assert_eq!(used(&registry, "pods"), "1", "it was given back once");
}

#[tokio::test]
async fn a_start_counts_what_is_on_disk() {
    let door = open().await;
    quota(&door.registry, json!({"pods": "2"})).await;
    for name in ["a", "b"] {
        create(&door.registry, name).await.unwrap();
    }
    let Door { registry, .. } = &reopen(door).await;
    check_refused(create(registry, "c").await, &full(2));
    assert_eq!(used(registry, "pods"), "2");
}

#[tokio::test]
async fn a_changed_quota_counts_at_once() {
    let door = open().await;
    let registry = &door.registry;
    create(registry, "before").await.unwrap();
    quota(registry, json!({"pods": "1"})).await;
    check_refused(create(registry, "b").await, &full(1));
    let (of, key) = (kind::RESOURCE_QUOTA, Key::new("default", "q"));
    let more = |quota: &mut Value| {
        quota["spec"]["hard"]["pods"] = json!("2");
        Ok(())
    };
    let context = me();
    let raised = registry.modify(&context, of, &key, Subresource::None, more);
    raised.await.unwrap();
    create(registry, "b").await.unwrap();
    check_refused(create(registry, "c").await, &full(2));
    let options = DeleteOptions::default();
    registry.delete(&me(), of, &key, options).await.unwrap();
    create(registry, "c").await.unwrap();
    assert_eq!(registry.quota_usage(&key), None);
}

#[tokio::test]
async fn a_service_that_wants_more_is_asked() {
    let door = open().await;
    let registry = &door.registry;
    quota(
        registry,
        json!({"services": "1", "services.nodeports": "0"}),
    )
    .await;
    let service =
        |name: &str| json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    let context = me();
    registry
        .create(&context, kind::SERVICE, "default", service("a"))
        .await
        .unwrap();
    let refused = registry.create(&context, kind::SERVICE, "default", service("b"));
    check_refused(
        refused.await.map(|_service| ()),
        "exceeded quota: q, requested: services=1, used: services=1, limited: services=1",
    );
    let (key, part) = (Key::new("default", "a"), Subresource::None);
    let expose = |service: &mut Value| {
        service["spec"]["type"] = json!("NodePort");
        Ok(())
    };
    let changed = registry.modify(&context, kind::SERVICE, &key, part, expose);
    check_refused(
        changed.await.map(|_service| ()),
        "exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=0, limited: services.nodeports=0",
    );
}

#[tokio::test]
async fn an_applied_object_is_counted_and_events_are_not() {
    let door = open().await;
    let registry = &door.registry;
    quota(registry, json!({"configmaps": "0", "count/events": "0"})).await;
    let patch = Patch {
        kind: PatchKind::Apply,
        body: json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}),
        force: false,
    };
    let context = Context {
        field_manager: Some("me".to_owned()),
        ..me()
    };
    let key = Key::new("default", "m");
    let applied = registry.patch(&context, kind::CONFIG_MAP, &key, Subresource::None, patch);
    check_refused(
        applied.await.map(|_map| ()),
        "exceeded quota: q, requested: configmaps=1, used: configmaps=0, limited: configmaps=0",
    );
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}, "reason": "Started"});
    let told = registry.create(&context, kind::EVENT, "default", event);
    told.await.unwrap();
    let usage = registry.quota_usage(&Key::new("default", "q")).unwrap();
    assert_eq!(usage.used.keys().collect::<Vec<_>>(), ["configmaps"]);
}
