//! Gates of pods are set through the API: `Ready` and the endpoints of a Service follow.

use super::*;
use crate::{
    controllers::readiness_gate::ReadinessGates,
    reconcile::Next,
    registry::{Patch, PatchForm, PatchKind},
};

const GATES: [&str; 2] = ["k8s.io/test-condition1", "k8s.io/test-condition2"];

fn gated(name: &str, image: &str) -> Value {
    let gates = GATES.map(|gate| json!({"conditionType": gate}));
    json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {"readinessGates": gates,
        "containers": [{"name": "c", "image": image, "ports": [{"containerPort": 8080}]}]}})
}

impl Cluster {
    async fn gate(&self, pod: &str, gate: &str, status: &str) {
        let set = json!({"status": {"conditions": [{"type": gate, "status": status}]}});
        let patch = Patch {
            kind: PatchKind::Change(PatchForm::Strategic),
            body: set,
            force: false,
        };
        let (context, pod, part) = (me(), key(pod), Subresource::Status);
        let patched = self.registry.patch(&context, kind::POD, &pod, part, patch);
        patched.await.unwrap();
    }

    /// The pod says so, and so do the slice and the Endpoints of the Service `web`.
    async fn until_ready(&self, pod: &str, status: &str) -> Value {
        let count = usize::from(status == "True");
        let follows = |cache: &Cache| {
            let pod = cache.get(kind::POD, &key(pod));
            let says = pod.is_some_and(|pod| condition(&pod.value(), "Ready")["status"] == status);
            says && ready_endpoints(cache) == (count, count)
        };
        self.until(&format!("ready: {status}"), follows).await;
        condition(&self.value(kind::POD, pod), "Ready").clone()
    }
}

/// How many endpoints are ready, by the slices and by the Endpoints.
fn ready_endpoints(cache: &Cache) -> (usize, usize) {
    let slices = cache.list(kind::ENDPOINT_SLICE, Some("default"));
    let values: Vec<Value> = slices.iter().map(|slice| slice.value()).collect();
    let endpoints = values
        .iter()
        .filter_map(|slice| slice["endpoints"].as_array());
    let ready = endpoints
        .flatten()
        .filter(|one| one["conditions"]["ready"] == true)
        .count();
    let old = cache.get(kind::ENDPOINTS, &key("web"));
    let addresses = old.and_then(|old| {
        let value = old.value();
        value["subsets"][0]["addresses"].as_array().map(Vec::len)
    });
    (ready, addresses.unwrap_or_default())
}

async fn cluster_with_service() -> Cluster {
    let cluster = start_cluster().await;
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080}]}});
    cluster.create(kind::SERVICE, service).await;
    cluster
}

#[tokio::test]
async fn ready_and_endpoints_follow_the_gates() {
    let cluster = cluster_with_service().await;
    cluster.liveness.connected("node");
    cluster.create(kind::POD, gated("p", "hello:v1")).await;
    let ready = cluster.until_ready("p", "False").await;
    assert_eq!(ready["reason"], "ReadinessGatesNotReady");
    let absent = GATES.map(|gate| {
        format!("corresponding condition of pod readiness gate {gate:?} does not exist.")
    });
    assert_eq!(ready["message"], absent.join(", "));
    cluster.gate("p", GATES[0], "True").await;
    let is_told = |cache: &Cache| {
        let pod = cache.get(kind::POD, &key("p")).unwrap().value();
        condition(&pod, "Ready")["message"] == absent[1].as_str()
    };
    cluster.until("one gate is left", is_told).await;
    cluster.gate("p", GATES[1], "True").await;
    let ready = cluster.until_ready("p", "True").await;
    assert_eq!(
        (&ready["reason"], &ready["message"]),
        (&Value::Null, &Value::Null)
    );
    cluster.gate("p", GATES[0], "False").await;
    let ready = cluster.until_ready("p", "False").await;
    let untrue =
        "the status of pod readiness gate \"k8s.io/test-condition1\" is not \"True\", but False";
    assert_eq!(ready["message"], untrue);
    cluster.gate("p", GATES[0], "True").await;
    cluster.until_ready("p", "True").await;
}

#[tokio::test]
async fn nothing_is_written_for_a_node_that_is_away_nor_when_nothing_changes() {
    let cluster = cluster_with_service().await;
    cluster.create(kind::POD, gated("p", "hello:v1")).await;
    cluster.create(kind::POD, gated("q", "broken:v1")).await;
    let has_run = |name: &str, cache: &Cache| {
        let pod = cache.get(kind::POD, &key(name)).unwrap().value();
        !condition(&pod, "Ready").is_null()
    };
    for name in ["p", "q"] {
        cluster.until("it runs", |cache| has_run(name, cache)).await;
    }
    let gates = ReadinessGates {
        registry: cluster.registry.clone(),
        liveness: cluster.liveness.clone(),
    };
    let revision = |name: &str| cluster.cache().get(kind::POD, &key(name)).unwrap().revision;
    let before = ["p", "q"].map(revision);
    let held = gates.reconcile(&key("p")).await.unwrap();
    assert!(matches!(held, Next::After(_)), "{held:?}");
    let unready = gates.reconcile(&key("q")).await.unwrap();
    assert_eq!(unready, Next::AwaitChange, "its containers are not ready");
    assert_eq!(["p", "q"].map(revision), before);

    cluster.liveness.connected("node");
    gates.reconcile(&key("p")).await.unwrap();
    cluster.until_ready("p", "False").await;
    let settled = revision("p");
    assert_eq!(gates.reconcile(&key("p")).await.unwrap(), Next::AwaitChange);
    assert_eq!(revision("p"), settled);
}
