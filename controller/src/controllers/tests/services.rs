//! What becomes of a Service's slices and Endpoints when somebody changes them, or the Service.

use super::*;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

fn service(name: &str, selector: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": "web"}]}})
}

/// A pod with another number for the port: it is in a slice of its own.
fn pod(name: &str, port: u16) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {"containers": [
        {"name": "c", "image": "hello:v1", "ports": [{"name": "web", "containerPort": port}]}]}})
}

/// The slices that readers take for those of a Service: their names, and the ports of those with a ready endpoint.
fn slices_of(cache: &Cache, name: &str) -> BTreeMap<String, Option<i64>> {
    let slices = cache.list(kind::ENDPOINT_SLICE, Some("default"));
    let values = slices.iter().map(|slice| slice.value());
    let is_ours = |slice: &Value| {
        let labels = &slice["metadata"]["labels"];
        labels[SERVICE_NAME] == name && labels[MANAGED_BY] == "endpointslice-controller.k8s.io"
    };
    let told = |slice: Value| {
        let is_ready = slice["endpoints"][0]["conditions"]["ready"] == true;
        let port = slice["ports"][0]["port"].as_i64().filter(|_| is_ready);
        let name = slice["metadata"]["name"].as_str().unwrap_or_default();
        (name.to_owned(), port)
    };
    values.filter(is_ours).map(told).collect()
}

fn has_both(cache: &Cache) -> bool {
    let slices = slices_of(cache, "web");
    let ports: BTreeSet<Option<i64>> = slices.values().copied().collect();
    slices.len() == 2 && ports == BTreeSet::from([Some(8080), Some(9090)])
}

#[tokio::test]
async fn a_slice_that_is_taken_away_by_its_labels_is_replaced() {
    let cluster = start_cluster().await;
    cluster.create(kind::POD, pod("a", 8080)).await;
    cluster.create(kind::POD, pod("b", 9090)).await;
    let selected = service("web", json!({"app": "web"}));
    cluster.create(kind::SERVICE, selected).await;
    let other = service("other", json!({"app": "none"}));
    cluster.create(kind::SERVICE, other).await;
    cluster.until("both slices", has_both).await;
    for (label, value, stays) in [
        (SERVICE_NAME, Value::Null, true),
        (SERVICE_NAME, json!("nobody"), true),
        (SERVICE_NAME, json!("other"), false),
        (MANAGED_BY, json!("me"), true),
        (MANAGED_BY, Value::Null, true),
    ] {
        let slices = slices_of(cluster.cache(), "web");
        let taken = slices.into_keys().next().unwrap();
        let relabel = |slice: &mut Value| {
            let labels = slice["metadata"]["labels"].as_object_mut().unwrap();
            match &value {
                Value::Null => labels.remove(label),
                value => labels.insert(label.to_owned(), value.clone()),
            };
        };
        cluster.edit(kind::ENDPOINT_SLICE, &taken, relabel).await;
        let is_replaced = |cache: &Cache| {
            let is_there = cache.get(kind::ENDPOINT_SLICE, &key(&taken)).is_some();
            has_both(cache) && is_there == stays
        };
        let what = format!("both again after {label}: {value}");
        cluster.until(&what, is_replaced).await;
        assert!(!slices_of(cluster.cache(), "web").contains_key(&taken));
    }
}

#[tokio::test]
async fn a_service_that_loses_its_selector_keeps_its_endpoints_over_a_start() {
    let cluster = start_cluster().await;
    cluster.create(kind::POD, pod("a", 8080)).await;
    for name in ["plain", "named"] {
        let selected = service(name, json!({"app": "web"}));
        cluster.create(kind::SERVICE, selected).await;
    }
    let subsets = |cache: &Cache, name: &str| {
        let found = cache.get(kind::ENDPOINTS, &key(name));
        found.map(|found| found.value()["subsets"].take())
    };
    let is_ready = |name: &str, cache: &Cache| {
        subsets(cache, name).is_some_and(|subsets| subsets[0]["addresses"][0]["ip"] == "10.244.0.1")
    };
    for name in ["plain", "named"] {
        let is_ready = |cache: &Cache| is_ready(name, cache);
        cluster.until("an address", is_ready).await;
    }
    let take_selector = |service: &mut Value| service["spec"]["selector"] = Value::Null;
    cluster.edit(kind::SERVICE, "plain", take_selector).await;
    let make_name = |service: &mut Value| {
        service["spec"]["type"] = json!("ExternalName");
        service["spec"]["externalName"] = json!("example.com");
        service["spec"]["clusterIP"] = Value::Null;
        service["spec"]["clusterIPs"] = Value::Null;
    };
    cluster.edit(kind::SERVICE, "named", make_name).await;
    let before = ["plain", "named"].map(|name| subsets(cluster.cache(), name));
    for name in ["plain", "named"] {
        let is_kept = |cache: &Cache| {
            let changed = cache.get(kind::SERVICE, &key(name)).unwrap().revision;
            let endpoints = cache.get(kind::ENDPOINTS, &key(name));
            endpoints.is_some_and(|endpoints| endpoints.revision > changed)
        };
        cluster.until("they are kept", is_kept).await;
    }
    let cluster = restart(cluster).await;
    let after = ["plain", "named"].map(|name| subsets(cluster.cache(), name));
    assert_eq!(after, before);
}

async fn restart(cluster: Cluster) -> Cluster {
    let Cluster {
        registry,
        tasks,
        accounts,
        _dir,
        ..
    } = cluster;
    drop((registry, accounts));
    assert!(tasks.shut_down(Duration::from_secs(10)).await, "all end");
    start_on(_dir).await
}
