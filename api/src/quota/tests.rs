//! What objects use, which of it counts, and where there is no room.

use super::*;
use serde_json::json;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn book(spec: &Value) -> Book {
    let quota = json!({"spec": spec});
    Book::new([("q", &quota)])
}

fn pod(resources: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}, "status": {"phase": "Pending"}})
}

/// What an object takes of everything that is asked after.
#[track_caller]
fn check_usage(of: KindRef, object: &Value, expected: &Value) {
    let names: serde_json::Map<String, Value> = expected
        .as_object()
        .unwrap()
        .keys()
        .map(|name| (name.clone(), json!("1k")))
        .collect();
    let mut book = book(&json!({"hard": names}));
    let charge = book.charge(of, object, now());
    book.post(&Charge::default(), &charge);
    let used = book.used("q", |_| true).unwrap();
    let used: serde_json::Map<String, Value> = used
        .into_iter()
        .map(|(name, amount)| (name, json!(amount.to_string())))
        .collect();
    assert_eq!(Value::Object(used), *expected);
    book.post(&charge, &Charge::default());
    let left = book.used("q", |_| true).unwrap();
    assert!(left.values().all(|amount| amount.milli_value() == 0));
}

#[test]
fn pods_use_what_they_ask_for() {
    let resources = json!({"requests": {"cpu": "500m", "memory": "64Mi", "example.com/gpio": "2", "hugepages-2Mi": "4Mi"}, "limits": {"cpu": "1"}});
    check_usage(
        kind::POD,
        &pod(resources),
        &json!({"pods": "1", "count/pods": "1", "cpu": "500m", "requests.cpu": "500m", "limits.cpu": "1", "memory": "64Mi",
            "limits.memory": "0", "requests.example.com/gpio": "2", "hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi", "services": "0"}),
    );
    let mut ended = pod(json!({"requests": {"cpu": "1"}}));
    ended["status"]["phase"] = json!("Succeeded");
    let only_counted = json!({"pods": "0", "count/pods": "1", "cpu": "0"});
    check_usage(kind::POD, &ended, &only_counted);
    let mut stuck = pod(json!({"requests": {"cpu": "1"}}));
    stuck["metadata"]["deletionTimestamp"] = json!("2025-12-31T23:59:00Z");
    stuck["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    check_usage(kind::POD, &stuck, &only_counted);
    stuck["metadata"]["deletionTimestamp"] = json!("2025-12-31T23:59:45Z");
    let counted = json!({"pods": "1", "count/pods": "1", "cpu": "1"});
    check_usage(kind::POD, &stuck, &counted);
    let charge = book(&json!({"hard": {"pods": "1"}})).charge(kind::POD, &stuck, now());
    assert_eq!(
        charge.until(),
        Some("2026-01-01T00:00:15Z".parse().unwrap())
    );
}

#[test]
fn services_use_ports() {
    let service = |spec: Value| json!({"spec": spec});
    let used = |ports: &str, balancers: &str| json!({"services": "1", "count/services": "1", "services.nodeports": ports, "services.loadbalancers": balancers});
    let ports = json!([{"port": 1}, {"port": 2, "nodePort": 30000}]);
    check_usage(
        kind::SERVICE,
        &service(json!({"type": "ClusterIP", "ports": ports})),
        &used("0", "0"),
    );
    check_usage(
        kind::SERVICE,
        &service(json!({"type": "NodePort", "ports": ports})),
        &used("2", "0"),
    );
    check_usage(
        kind::SERVICE,
        &service(json!({"type": "LoadBalancer", "ports": ports})),
        &used("2", "1"),
    );
    check_usage(
        kind::SERVICE,
        &service(
            json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": ports}),
        ),
        &used("1", "1"),
    );
}

#[test]
fn claims_use_storage_of_their_class() {
    let claim = json!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}});
    check_usage(
        kind::PERSISTENT_VOLUME_CLAIM,
        &claim,
        &json!({"persistentvolumeclaims": "1", "count/persistentvolumeclaims": "1", "requests.storage": "1Gi",
            "gold.storageclass.storage.k8s.io/requests.storage": "1Gi", "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
            "iron.storageclass.storage.k8s.io/requests.storage": "0"}),
    );
}

#[test]
fn everything_else_is_counted_by_its_name() {
    let none = json!({});
    check_usage(
        kind::CONFIG_MAP,
        &none,
        &json!({"configmaps": "1", "count/configmaps": "1", "count/secrets": "0"}),
    );
    check_usage(
        kind::DEPLOYMENT,
        &none,
        &json!({"count/deployments.apps": "1", "count/deployments": "0"}),
    );
    check_usage(kind::EVENT, &none, &json!({"count/events": "0"}));
    check_usage(
        kind::EVENTS_EVENT,
        &none,
        &json!({"count/events.events.k8s.io": "0", "count/events": "0"}),
    );
    assert!(!tracks(kind::SERVICE_ACCOUNT, "serviceaccounts"));
}

#[track_caller]
fn check(spec: &Value, used: &[(KindRef, Value)], new: (KindRef, Value), expected: &str) {
    let mut book = book(spec);
    for (of, object) in used {
        let charge = book.charge(of, object, now());
        book.post(&Charge::default(), &charge);
    }
    let charge = book.charge(new.0, &new.1, now());
    let said = book.check((new.0, &new.1), &Charge::default(), &charge);
    assert_eq!(said.err().unwrap_or_default(), expected);
}

#[test]
fn room_and_none() {
    let cpu = |amount: &str| (kind::POD, pod(json!({"requests": {"cpu": amount}})));
    let bare = (kind::POD, pod(json!({})));
    let two = json!({"hard": {"pods": "2"}});
    check(&two, std::slice::from_ref(&bare), bare.clone(), "");
    check(
        &two,
        &[bare.clone(), bare.clone()],
        bare.clone(),
        "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2",
    );
    let both = json!({"hard": {"pods": "1", "requests.cpu": "1", "memory": "1Gi"}});
    check(
        &both,
        &[cpu("600m")],
        (
            kind::POD,
            pod(json!({"requests": {"cpu": "500m", "memory": "1Mi"}})),
        ),
        "exceeded quota: q, requested: pods=1,requests.cpu=500m, used: pods=1,requests.cpu=600m, limited: pods=1,requests.cpu=1",
    );
    check(
        &json!({"hard": {"configmaps": "0"}}),
        &[],
        (kind::CONFIG_MAP, json!({})),
        "exceeded quota: q, requested: configmaps=1, used: configmaps=0, limited: configmaps=0",
    );
}

#[test]
fn what_is_counted_must_be_said() {
    let quota =
        json!({"hard": {"cpu": "1", "limits.memory": "1Gi", "requests.ephemeral-storage": "1Gi"}});
    check(
        &quota,
        &[],
        (kind::POD, pod(json!({}))),
        "failed quota: q: must specify cpu for: c; limits.memory for: c",
    );
    let mut two = pod(json!({"requests": {"cpu": "1m"}}));
    two["spec"]["initContainers"] = json!([{"name": "b"}]);
    check(
        &quota,
        &[],
        (kind::POD, two),
        "failed quota: q: must specify cpu for: b; limits.memory for: b,c",
    );
    let mut whole = pod(json!({}));
    whole["spec"]["resources"] = json!({"requests": {"cpu": "2"}});
    check(
        &quota,
        &[],
        (kind::POD, whole),
        "exceeded quota: q, requested: cpu=2, used: cpu=0, limited: cpu=1",
    );
}

#[test]
fn only_what_an_update_adds_is_asked_for() {
    let mut book = book(&json!({"hard": {"services": "0", "services.nodeports": "1"}}));
    let service = |kind: &str| json!({"spec": {"type": kind, "ports": [{"port": 1}, {"port": 2}]}});
    let before = book.charge(kind::SERVICE, &service("ClusterIP"), now());
    book.post(&Charge::default(), &before);
    let same = (kind::SERVICE, &service("ClusterIP"));
    assert_eq!(book.check(same, &before, &before), Ok(()));
    let more = service("NodePort");
    let after = book.charge(kind::SERVICE, &more, now());
    assert_eq!(
        book.check((kind::SERVICE, &more), &before, &after),
        Err("exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, limited: services.nodeports=1".to_owned())
    );
    assert_eq!(book.check((kind::SERVICE, &more), &after, &before), Ok(()));
}

/// Which of these pods a quota with a scope counts.
#[test]
fn scopes() {
    let with = |change: fn(&mut Value)| {
        let mut pod = pod(json!({}));
        change(&mut pod);
        pod
    };
    let pods = [
        with(|_| {}),
        with(|pod| pod["spec"]["activeDeadlineSeconds"] = json!(5)),
        with(|pod| pod["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1"}})),
        with(|pod| pod["spec"]["priorityClassName"] = json!("high")),
        with(|pod| pod["spec"]["priorityClassName"] = json!("low")),
        with(|pod| {
            pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
                json!([{"namespaces": ["other"]}]);
        }),
    ];
    let scopes = |names: Value| json!({"hard": {"pods": "9"}, "scopes": names});
    let selector = |operator: &str, values: Value| {
        let one = json!({"scopeName": "PriorityClass", "operator": operator, "values": values});
        json!({"hard": {"pods": "9"}, "scopeSelector": {"matchExpressions": [one]}})
    };
    for (spec, expected) in [
        (scopes(json!([])), [1, 1, 1, 1, 1, 1]),
        (scopes(json!(["Terminating"])), [0, 1, 0, 0, 0, 0]),
        (scopes(json!(["NotTerminating"])), [1, 0, 1, 1, 1, 1]),
        (scopes(json!(["BestEffort"])), [1, 1, 0, 1, 1, 1]),
        (
            scopes(json!(["NotBestEffort", "NotTerminating"])),
            [0, 0, 1, 0, 0, 0],
        ),
        (scopes(json!(["PriorityClass"])), [0, 0, 0, 1, 1, 0]),
        (
            scopes(json!(["CrossNamespacePodAffinity"])),
            [0, 0, 0, 0, 0, 1],
        ),
        (selector("In", json!(["high"])), [0, 0, 0, 1, 0, 0]),
        (selector("NotIn", json!(["high"])), [1, 1, 1, 0, 1, 1]),
        (selector("Exists", json!([])), [0, 0, 0, 1, 1, 0]),
        (selector("DoesNotExist", json!([])), [1, 1, 1, 0, 0, 1]),
    ] {
        let book = book(&spec);
        let counted = pods.each_ref().map(|pod| {
            let charge = book.charge(kind::POD, pod, now());
            usize::from(!charge.is_empty())
        });
        assert_eq!(counted, expected, "{spec}");
        let map = book.charge(kind::CONFIG_MAP, &json!({}), now());
        assert!(map.is_empty());
    }
}

#[test]
fn each_quota_has_its_say() {
    let (roomy, full) = (
        json!({"spec": {"hard": {"pods": "5"}}}),
        json!({"spec": {"hard": {"pods": "0"}}}),
    );
    let book = Book::new([("a", &roomy), ("b", &full)]);
    let pod = pod(json!({}));
    let charge = book.charge(kind::POD, &pod, now());
    assert_eq!(
        book.check((kind::POD, &pod), &Charge::default(), &charge),
        Err("exceeded quota: b, requested: pods=1, used: pods=0, limited: pods=0".to_owned())
    );
    assert_eq!(book.used("c", |_| true), None);
    let used = book.used("a", |name| name != "pods").unwrap();
    assert!(used.is_empty());
}
