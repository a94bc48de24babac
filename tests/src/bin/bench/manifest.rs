//! What the bench applies.

use serde_json::{Value, json};

/// Where Deployments are.
pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
/// Where Pods are.
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
/// Where Services are.
pub(crate) const SERVICES: &str = "/api/v1/namespaces/default/services";

/// A Deployment of one container `c`; `container` has its image and whatever else.
pub(crate) fn deployment(name: &str, app: &str, replicas: usize, container: Value) -> Value {
    let labels = json!({"app": app, "bench": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec(container)},
        },
    })
}

/// A Pod that is restarted.
pub(crate) fn pod(name: &str, container: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec(container)})
}

fn spec(mut container: Value) -> Value {
    container["name"] = json!("c");
    json!({"terminationGracePeriodSeconds": 1, "containers": [container]})
}

/// `hello-http`, which says its pod's name, with limits as a careful person sets them.
pub(crate) fn hello() -> Value {
    json!({
        "image": "hello-http:v1",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": {"limits": {"cpu": "2", "memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "4Mi"}},
    })
}

/// A Service of type NodePort in front of the pods of `app`.
pub(crate) fn node_port(name: &str, app: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "type": "NodePort", "selector": {"app": app},
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "nodePort": port}],
        },
    })
}
