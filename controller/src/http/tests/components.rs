//! The parts of the control plane, over a connection.

use super::client::Server;
use http::StatusCode;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/componentstatuses";

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn all_of_them_are_well_and_have_no_version() {
    let server = Server::start().await;
    let answer = server.ask("GET", PATH, "").await;
    assert_eq!(
        answer.headers["warning"],
        "299 - \"v1 ComponentStatus is deprecated in v1.19+\""
    );
    let list = answer.json();
    assert_eq!(list["kind"], "ComponentStatusList");
    assert_eq!(list["metadata"], json!({}));
    assert_eq!(names(&list), ["controller-manager", "etcd-0", "scheduler"]);
    let one = server
        .ask("GET", &format!("{PATH}/etcd-0"), "")
        .await
        .json();
    assert_eq!(
        one,
        json!({"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": "etcd-0"},
            "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]})
    );
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = server.ask_with("GET", PATH, "", &table).await.json();
    assert_eq!(
        table["rows"][2]["cells"],
        json!(["scheduler", "Healthy", "ok", ""])
    );
    assert_eq!(table["metadata"], json!({}));
}

#[tokio::test]
async fn selected_and_refused() {
    let server = Server::start().await;
    for (query, expected) in [
        (
            "fieldSelector=metadata.name%3Dscheduler",
            &["scheduler"][..],
        ),
        (
            "fieldSelector=metadata.name!%3Dscheduler",
            &["controller-manager", "etcd-0"],
        ),
        ("labelSelector=a%3Db", &[]),
    ] {
        let list = server.ask("GET", &format!("{PATH}?{query}"), "").await;
        assert_eq!(names(&list.json()), expected, "{query}");
    }
    let none = server.ask("GET", &format!("{PATH}/kubelet"), "").await;
    assert_eq!(none.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(none.json()["message"], "Component not found: kubelet");
    assert_eq!(none.json()["reason"], Value::Null);
    for (method, path, code) in [
        ("POST", PATH, 405),
        ("DELETE", "/api/v1/componentstatuses/etcd-0", 405),
        ("GET", "/api/v1/componentstatuses?watch=true", 405),
        ("GET", "/api/v1/namespaces/default/componentstatuses", 404),
        ("GET", "/api/v1/componentstatuses/etcd-0/status", 404),
        ("GET", "/api/v1/componentstatuses?fieldSelector=a%3Db", 400),
    ] {
        let answer = server.ask(method, path, "{}").await;
        assert_eq!(answer.status.as_u16(), code, "{method} {path}");
    }
    let bearer = format!("Bearer {}", server.reader);
    let headers = [("authorization", bearer.as_str())];
    let refused = server.ask_as("GET", PATH, "", &headers).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}
