//! Writes over a connection.

use super::client::{MAPS, Server, config_map};
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_config_map_lives() {
    let server = Server::start().await;
    let made = server
        .ask("POST", MAPS, &config_map("one", json!({})))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(made.json()["kind"], "ConfigMap");
    let path = format!("{MAPS}/one");
    let read = server.ask("GET", &path, "").await;
    assert_eq!(
        (read.status, read.json()["data"]["a"].clone()),
        (StatusCode::OK, json!("b"))
    );

    let again = server
        .ask("POST", MAPS, &config_map("one", json!({})))
        .await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.json()["reason"], "AlreadyExists");

    let mut newer = read.json();
    newer["data"]["a"] = json!("c");
    let updated = server.ask("PUT", &path, &newer.to_string()).await;
    assert_eq!(
        (updated.status, updated.json()["data"]["a"].clone()),
        (StatusCode::OK, json!("c"))
    );
    let stale = server.ask("PUT", &path, &newer.to_string()).await;
    assert_eq!(
        (stale.status, stale.json()["reason"].clone()),
        (StatusCode::CONFLICT, json!("Conflict"))
    );

    let merge = [("content-type", "application/merge-patch+json")];
    let patched = server
        .ask_with("PATCH", &path, "{\"data\":{\"d\":\"e\"}}", &merge)
        .await;
    assert_eq!(
        (patched.status, patched.json()["data"]["d"].clone()),
        (StatusCode::OK, json!("e"))
    );

    let gone = server.ask("DELETE", &path, "").await;
    assert_eq!(
        (gone.status, gone.json()["status"].clone()),
        (StatusCode::OK, json!("Success"))
    );
    assert_eq!(gone.json()["details"]["kind"], "configmaps");
    let missing = server.ask("GET", &path, "").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.json()["message"], "configmaps \"one\" not found");
    assert_eq!(
        missing.json()["details"],
        json!({"name": "one", "kind": "configmaps"})
    );
}

#[tokio::test]
async fn yaml_is_read_too() {
    let server = Server::start().await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\ndata:\n  k: v\n";
    let made = server
        .ask_with("POST", MAPS, yaml, &[("content-type", "application/yaml")])
        .await;
    assert_eq!(
        (made.status, made.json()["data"]["k"].clone()),
        (StatusCode::CREATED, json!("v"))
    );
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let server = Server::start().await;
    for (name, tier) in [("a", "x"), ("b", "y"), ("c", "x")] {
        server
            .ask("POST", MAPS, &config_map(name, json!({"tier": tier})))
            .await;
    }
    let removed = server
        .ask("DELETE", &format!("{MAPS}?labelSelector=tier%3Dx"), "")
        .await;
    assert_eq!(removed.status, StatusCode::OK);
    assert_eq!(removed.json()["items"].as_array().unwrap().len(), 2);
    let left = server.ask("GET", MAPS, "").await.json();
    assert_eq!(left["items"][0]["metadata"]["name"], "b");
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}

/// Method, path, media type, body, and the code and reason of the answer.
type Refused = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u16,
    &'static str,
);

const JSON: &str = "application/json";
const ONE: &str = "/api/v1/namespaces/default/configmaps/a";

#[rustfmt::skip]
const REFUSED: [Refused; 18] = [
    ("POST", MAPS, JSON, "", 400, "BadRequest"),
    ("POST", MAPS, JSON, "{", 400, "BadRequest"),
    ("POST", MAPS, JSON, "[]", 400, "BadRequest"),
    ("POST", MAPS, "application/vnd.kubernetes.protobuf", "k8s", 400, "BadRequest"),
    ("POST", MAPS, "application/cbor", "k8s", 415, "UnsupportedMediaType"),
    ("POST", MAPS, JSON, "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}", 400, "BadRequest"),
    ("POST", MAPS, JSON, "{\"metadata\":{\"name\":\"x_y\"}}", 422, "Invalid"),
    ("POST", "/api/v1/namespaces/default/configmaps?dryRun=Some", JSON, "{\"metadata\":{\"name\":\"d\"}}", 422, "Invalid"),
    ("POST", "/api/v1/configmaps", JSON, "{}", 405, "MethodNotAllowed"),
    ("PUT", MAPS, JSON, "{}", 405, "MethodNotAllowed"),
    ("PATCH", ONE, JSON, "{}", 415, "UnsupportedMediaType"),
    ("PATCH", ONE, "application/apply-patch+yaml", "{}", 422, "Invalid"),
    ("GET", "/api/v1/namespaces/default/nothings", JSON, "", 404, "NotFound"),
    ("GET", "/apis/nothing/v1/things", JSON, "", 404, "NotFound"),
    ("GET", "/api/v1/namespaces/default/nodes", JSON, "", 404, "NotFound"),
    ("GET", "/api/v1/namespaces/default/pods/p/nothing", JSON, "", 404, "NotFound"),
    ("DELETE", "/api/v1/namespaces/default/pods/p/log", JSON, "", 405, "MethodNotAllowed"),
    ("DELETE", "/api/v1/namespaces", JSON, "", 405, "MethodNotAllowed"),
];

#[tokio::test]
async fn what_cannot_be_done_is_said_as_a_status() {
    let server = Server::start().await;
    for (method, path, media, body, code, reason) in REFUSED {
        let answer = server
            .ask_with(method, path, body, &[("content-type", media)])
            .await;
        let status = answer.json();
        assert_eq!(
            answer.status.as_u16(),
            code,
            "{method} {path} {body}: {status}"
        );
        assert_eq!(
            (&status["kind"], &status["reason"]),
            (&json!("Status"), &json!(reason))
        );
        assert_eq!(status["code"], code);
    }
}

#[tokio::test]
async fn a_body_over_three_mebibytes_is_refused() {
    let server = Server::start().await;
    let large = "x".repeat(3 * 1024 * 1024 + 1);
    let answer = server.ask("POST", MAPS, &large).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.json()["reason"], "RequestEntityTooLarge");
}

#[tokio::test]
async fn a_deployment_is_scaled() {
    let server = Server::start().await;
    let base = "/apis/apps/v1/namespaces/default/deployments";
    let body = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {"containers": [{"name": "c", "image": "hello:v1"}]},
            },
        },
    });
    let made = server.ask("POST", base, &body.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let path = format!("{base}/d/scale");
    let mut scale = server.ask("GET", &path, "").await.json();
    assert_eq!(
        (scale["kind"].clone(), scale["spec"]["replicas"].clone()),
        (json!("Scale"), json!(2))
    );
    assert_eq!(scale["status"]["selector"], "app=d");
    scale["spec"]["replicas"] = json!(5);
    let scaled = server.ask("PUT", &path, &scale.to_string()).await;
    assert_eq!(
        (scaled.status, scaled.json()["spec"]["replicas"].clone()),
        (StatusCode::OK, json!(5))
    );
    let stale = server.ask("PUT", &path, &scale.to_string()).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    let merge = [("content-type", "application/merge-patch+json")];
    let patched = server
        .ask_with("PATCH", &path, "{\"spec\":{\"replicas\":1}}", &merge)
        .await;
    assert_eq!(patched.json()["spec"]["replicas"], 1, "{}", patched.text());
    let refused = server
        .ask_with("PATCH", &path, "{\"spec\":{\"replicas\":-1}}", &merge)
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
}
