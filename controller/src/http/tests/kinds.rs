//! What single kinds do differently, over a connection: evictions, second views, warnings.

use super::client::Server;
use http::StatusCode;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn an_eviction_asks_the_budget() {
    let server = Server::start().await;
    let pod = json!({"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:v1"}]}});
    server.ask("POST", PODS, &pod.to_string()).await;
    let running = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let merge = [("content-type", "application/merge-patch+json")];
    let path = format!("{PODS}/p/status");
    let patched = server
        .ask_with("PATCH", &path, &running.to_string(), &merge)
        .await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text());
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}});
    let made = server.ask("POST", budgets, &budget.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());

    let evict = format!("{PODS}/p/eviction");
    let eviction = |name: &str| {
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})
            .to_string()
    };
    // Nobody has looked at the budget yet: this server runs without controllers.
    let refused = server.ask("POST", &evict, &eviction("p")).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let why = "Cannot evict pod as it would violate the pod's disruption budget.";
    assert_eq!(refused.json()["message"], why);
    let cause = json!([{"reason": "DisruptionBudget", "message": "The disruption budget b is still being processed by the server."}]);
    assert_eq!(refused.json()["details"]["causes"], cause);
    assert_eq!(refused.headers["retry-after"], "10");
    let wrong = server.ask("POST", &evict, &eviction("q")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let read = server.ask("GET", &evict, "").await;
    assert_eq!(read.status, StatusCode::METHOD_NOT_ALLOWED);

    let counted = json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 1}});
    let path = format!("{budgets}/b/status");
    server
        .ask_with("PATCH", &path, &counted.to_string(), &merge)
        .await;
    let tried = server
        .ask("POST", &format!("{evict}?dryRun=All"), &eviction("p"))
        .await;
    assert_eq!(tried.status, StatusCode::CREATED, "{}", tried.text());
    let evicted = server.ask("POST", &evict, &eviction("p")).await;
    assert_eq!(
        (evicted.status, evicted.json()["status"].clone()),
        (StatusCode::CREATED, json!("Success"))
    );
    let left = server.ask("GET", &format!("{budgets}/b"), "").await.json();
    assert_eq!(left["status"]["disruptionsAllowed"], 0);
    assert!(left["status"]["disruptedPods"]["p"].is_string());
    let gone = server.ask("GET", &format!("{PODS}/p"), "").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_autoscaler_has_two_views() {
    let server = Server::start().await;
    let path = |version: &str| {
        format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers")
    };
    let scaler = json!({"metadata": {"name": "s"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"},
        "maxReplicas": 3, "targetCPUUtilizationPercentage": 60, "nonsense": 1}});
    let made = server.ask("POST", &path("v1"), &scaler.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let warning = made.headers["warning"].to_str().unwrap_or_default();
    assert!(warning.contains("spec.nonsense"), "{warning}");
    assert_eq!(made.json()["apiVersion"], "autoscaling/v1");
    let one = |version: &str| format!("{}/s", path(version));
    let new = server.ask("GET", &one("v2"), "").await.json();
    let metric = &new["spec"]["metrics"][0]["resource"];
    assert_eq!(metric["target"]["averageUtilization"], 60);
    let patch =
        json!([{"op": "replace", "path": "/spec/targetCPUUtilizationPercentage", "value": 70}]);
    let kind = [("content-type", "application/json-patch+json")];
    let patched = server
        .ask_with("PATCH", &one("v1"), &patch.to_string(), &kind)
        .await;
    let share = |value: &Value| value["spec"]["targetCPUUtilizationPercentage"].clone();
    assert_eq!(share(&patched.json()), 70, "{}", patched.text());
    let list = server.ask("GET", &path("v1"), "").await.json();
    assert_eq!(share(&list["items"][0]), 70);
    let hidden = json!({"autoscaling.alpha.kubernetes.io/metrics": "[{\"type\":\"Pods\",\"pods\":{\"targetAverageValue\":{}}}]"});
    let merge = [("content-type", "application/merge-patch+json")];
    let bad = json!({"metadata": {"annotations": hidden}}).to_string();
    let refused = server.ask_with("PATCH", &one("v1"), &bad, &merge).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn a_kind_on_its_way_out_says_so() {
    let server = Server::start().await;
    let list = server
        .ask("GET", "/api/v1/namespaces/default/endpoints", "")
        .await;
    let warning =
        "299 - \"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\"";
    assert_eq!(list.headers["warning"], warning);
    let pods = server.ask("GET", PODS, "").await;
    assert!(pods.headers.get("warning").is_none());
}

#[tokio::test]
async fn a_pod_is_made_as_its_class_says_and_hardly_changes() {
    let server = Server::start().await;
    let class = json!({"metadata": {"name": "wasm"}, "handler": "wasm", "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"wasm": "yes"}}});
    let classes = "/apis/node.k8s.io/v1/runtimeclasses";
    let made = server.ask("POST", classes, &class.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let pod = |class: &str| {
        json!({"metadata": {"name": "p"}, "spec": {"runtimeClassName": class, "containers": [{"name": "c", "image": "i:v1"}]}})
            .to_string()
    };
    let refused = server.ask("POST", PODS, &pod("nope")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let why = "pods \"p\" is forbidden: pod rejected: RuntimeClass \"nope\" not found";
    assert_eq!(refused.json()["message"], why);
    let made = server.ask("POST", PODS, &pod("wasm")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let spec = &made.json()["spec"];
    assert_eq!(spec["overhead"], json!({"cpu": "250m"}));
    assert_eq!(spec["nodeSelector"], json!({"wasm": "yes"}));

    let path = format!("{PODS}/p");
    let merge = [("content-type", "application/merge-patch+json")];
    for (spec, code) in [
        (json!({"nodeName": "n"}), 422),
        (json!({"terminationGracePeriodSeconds": 1}), 422),
        (
            json!({"ephemeralContainers": [{"name": "d", "image": "i:v1"}]}),
            422,
        ),
        (json!({"activeDeadlineSeconds": 9}), 200),
    ] {
        let patch = json!({"spec": spec}).to_string();
        let answer = server.ask_with("PATCH", &path, &patch, &merge).await;
        assert_eq!(answer.status.as_u16(), code, "{patch}: {}", answer.text());
    }
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    let bound = server
        .ask("POST", &format!("{path}/binding"), &binding.to_string())
        .await;
    assert_eq!(bound.status, StatusCode::CREATED, "{}", bound.text());
}

#[tokio::test]
async fn a_status_is_checked() {
    let server = Server::start().await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i:v1"}]}});
    server.ask("POST", PODS, &pod.to_string()).await;
    let node = json!({"metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24"}});
    let made = server.ask("POST", "/api/v1/nodes", &node.to_string()).await;
    assert_eq!(made.json()["spec"]["podCIDRs"], json!(["10.0.0.0/24"]));
    let merge = [("content-type", "application/merge-patch+json")];
    for (path, patch, words) in [
        (
            "/api/v1/namespaces/default/status",
            json!({"status": {"phase": "Foo"}}),
            "Namespace \"default\" is invalid: status.Phase: Invalid value: \"Foo\": may only be 'Active' if `deletionTimestamp` is empty",
        ),
        (
            "/api/v1/namespaces/default/pods/p/status",
            json!({"status": {"podIPs": [{"ip": "x"}]}}),
            "Pod \"p\" is invalid: status.podIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
        (
            "/api/v1/nodes/n/status",
            json!({"status": {"capacity": {"cpu": "-1"}}}),
            "Node \"n\" is invalid: [status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0, status.allocatable.cpu: Invalid value: \"-1\": must be greater than or equal to 0]",
        ),
        (
            "/api/v1/nodes/n",
            json!({"spec": {"podCIDR": "10.0.1.0/24"}}),
            "Node \"n\" is invalid: spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
        ),
    ] {
        let refused = server
            .ask_with("PATCH", path, &patch.to_string(), &merge)
            .await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(refused.json()["message"], words);
    }
    // The class of a pod is not for a status to leave out.
    let running = json!({"status": {"phase": "Running", "qosClass": null, "podIP": "10.0.0.1"}});
    let path = format!("{PODS}/p/status");
    let told = server
        .ask_with("PATCH", &path, &running.to_string(), &merge)
        .await;
    let status = &told.json()["status"];
    assert_eq!(status["qosClass"], "BestEffort");
    assert_eq!(status["podIPs"], json!([{"ip": "10.0.0.1"}]));
}

#[tokio::test]
async fn a_client_is_warned_of_what_it_writes() {
    let server = Server::start().await;
    let twice = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i:v1", "env": twice}]}});
    let made = server.ask("POST", PODS, &pod.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(
        made.headers["warning"],
        "299 - \"spec.containers[0].env[1]: hides previous definition of \\\"A\\\", which may be dropped when using apply\""
    );
}
