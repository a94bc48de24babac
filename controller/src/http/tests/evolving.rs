//! Custom kinds whose definitions change under their objects.

use super::{
    client::{Answer, MAPS, Server},
    custom::{define, publish},
};
use http::StatusCode;
use serde_json::{Value, json};

const GADGETS: &str = "/apis/example.com/v1/gadgets";
const SECOND: &str = "/apis/example.com/v2/gadgets";
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

/// One version, whose `spec` has these properties.
fn version(name: &str, storage: bool, spec: &Value) -> Value {
    json!({"name": name, "served": true, "storage": storage,
    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
    "additionalPrinterColumns": [{"name": "Neu", "type": "string", "jsonPath": ".spec.neu"}],
    "selectableFields": spec.get("neu").map(|_| json!([{"jsonPath": ".spec.neu"}])),
    "schema": {"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "properties": spec},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
    }}}})
}

fn definition(versions: &[Value]) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "versions": versions,
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"}},
    })
}

fn text() -> Value {
    json!({"type": "string"})
}

fn count() -> Value {
    json!({"type": "integer", "default": 2})
}

fn gadget(version: &str, spec: &Value) -> Value {
    json!({"apiVersion": format!("example.com/{version}"), "kind": "Gadget", "metadata": {"name": "g"}, "spec": spec})
}

/// A server with an object of a definition that was changed since.
async fn changed() -> Server {
    let server = Server::start().await;
    let before = version("v1", true, &json!({"a": text(), "old": text()}));
    define(&server, &definition(&[before])).await;
    let made = gadget("v1", &json!({"a": "1", "old": "2"}));
    server.make(GADGETS, &made).await;
    let neu = json!({"type": "string", "default": "x"});
    let after = version(
        "v1",
        true,
        &json!({"a": text(), "neu": neu, "replicas": count()}),
    );
    publish(&server, &definition(&[after]));
    server
}

fn renewed() -> Value {
    json!({"a": "1", "neu": "x", "replicas": 2})
}

async fn patch(server: &Server, path: &str, patch: &Value) -> Answer {
    server
        .ask_with("PATCH", path, patch.to_string(), &[MERGE])
        .await
}

#[tokio::test]
async fn an_old_object_is_read_by_the_schema_there_is() {
    let server = changed().await;
    let one = format!("{GADGETS}/g");
    let got = server.ask("GET", &one, "").await.json();
    assert_eq!(got["spec"], renewed());
    let listed = server.ask("GET", GADGETS, "").await.json();
    assert_eq!(listed["items"][0]["spec"], renewed());
    let field = |value: &str| format!("{GADGETS}?fieldSelector=spec.neu%3D{value}");
    for (value, found) in [("x", 1), ("y", 0)] {
        let list = server.ask("GET", &field(value), "").await.json();
        assert_eq!(list["items"].as_array().unwrap().len(), found, "{value}");
    }
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = server.ask_with("GET", &one, "", &table).await.json();
    assert_eq!(table["rows"][0]["cells"][1], "x");
    let scale = server.ask("GET", &format!("{one}/scale"), "").await.json();
    assert_eq!(scale["spec"]["replicas"], 2);
    let mut lines = server.watch(&format!("{GADGETS}?watch=1"), &[]).await;
    let added = lines.next().await.unwrap();
    assert_eq!(added["object"]["spec"], renewed());
    assert_eq!(added["object"]["metadata"]["generation"], 1);
    let since = listed["metadata"]["resourceVersion"].as_str().unwrap();
    let before = format!("{GADGETS}?watch=1&fieldSelector=spec.neu%3Dx&resourceVersion={since}");
    let mut changes = server.watch(&before, &[]).await;
    let gone = server.ask("DELETE", &one, "").await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text());
    let deleted = changes.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    assert_eq!(deleted["object"]["spec"], renewed());
}

#[tokio::test]
async fn an_old_object_is_written_by_the_schema_there_is() {
    let server = changed().await;
    let one = format!("{GADGETS}/g");
    let got = server.ask("GET", &one, "").await.json();
    let written = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let nothing = patch(&server, &one, &json!({})).await.json();
    assert_eq!(written(&nothing), written(&got), "nothing is written");
    let labelled = patch(&server, &one, &json!({"metadata": {"labels": {"l": "m"}}})).await;
    assert_eq!(labelled.status, StatusCode::OK, "{}", labelled.text());
    assert!(labelled.headers.get("warning").is_none());
    assert_eq!(labelled.json()["metadata"]["generation"], 1);
    assert_eq!(labelled.json()["spec"], renewed());
    let apply = [("content-type", "application/apply-patch+yaml")];
    let applied = gadget("v1", &json!({"neu": "y"}));
    let path = format!("{one}?fieldManager=me&force=true&fieldValidation=Strict");
    let applied = server
        .ask_with("PATCH", &path, applied.to_string(), &apply)
        .await;
    assert_eq!(applied.status, StatusCode::OK, "{}", applied.text());
    assert_eq!(
        applied.json()["spec"],
        json!({"a": "1", "neu": "y", "replicas": 2})
    );
    let status = json!({"status": {"replicas": 5}});
    let told = patch(&server, &format!("{one}/status"), &status).await;
    assert_eq!(told.json()["status"]["replicas"], 5, "{}", told.text());
    // The field that was dropped is there again, and what the last write left of it.
    let again = json!({"a": text(), "old": text()});
    publish(&server, &definition(&[version("v1", true, &again)]));
    let got = server.ask("GET", &one, "").await.json();
    assert_eq!(got["spec"], json!({"a": "1"}));
}

#[tokio::test]
async fn each_version_shows_what_it_knows() {
    let server = Server::start().await;
    let first = version("v1", true, &json!({"a": text(), "old": text()}));
    let second = version("v2", false, &json!({"a": text(), "neu": text()}));
    define(&server, &definition(&[first, second])).await;
    let made = gadget("v1", &json!({"a": "1", "old": "2"}));
    server.make(GADGETS, &made).await;
    let one = format!("{SECOND}/g");
    let got = server.ask("GET", &one, "").await.json();
    assert_eq!(got["apiVersion"], "example.com/v2");
    assert_eq!(got["spec"], json!({"a": "1"}));
    let strict = format!("{one}?fieldValidation=Strict");
    let put = server.ask("PUT", &strict, got.to_string()).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text());
    assert_eq!(put.json()["spec"], json!({"a": "1"}));
    let first = |answer: Answer| answer.json()["spec"].clone();
    let old = first(server.ask("GET", &format!("{GADGETS}/g"), "").await);
    assert_eq!(old, json!({"a": "1", "old": "2"}), "nothing was written");
    let label = json!({"metadata": {"labels": {"l": "m"}}});
    let labelled = patch(&server, &strict, &label).await;
    assert_eq!(labelled.status, StatusCode::OK, "{}", labelled.text());
    assert_eq!(labelled.json()["metadata"]["generation"], 1);
    let told = patch(
        &server,
        &format!("{one}/status"),
        &json!({"status": {"replicas": 5}}),
    )
    .await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text());
    assert_eq!(told.json()["status"]["replicas"], 5);
    // What the stored version does not know is not stored.
    let neu = patch(&server, &one, &json!({"spec": {"a": "2", "neu": "3"}})).await;
    assert_eq!(neu.json()["spec"], json!({"a": "2"}), "{}", neu.text());
    let old = first(server.ask("GET", &format!("{GADGETS}/g"), "").await);
    assert_eq!(old, json!({"a": "2"}));
}

#[tokio::test]
async fn who_watches_has_to_list_again() {
    let server = changed().await;
    let mut lines = server.watch(&format!("{GADGETS}?watch=1"), &[]).await;
    assert_eq!(lines.brief().await, "ADDED g");
    // The same said again changes nothing.
    let neu = json!({"type": "string", "default": "x"});
    let same = json!({"a": text(), "neu": neu, "replicas": count()});
    publish(&server, &definition(&[version("v1", true, &same)]));
    let label = json!({"metadata": {"labels": {"l": "m"}}});
    patch(&server, &format!("{GADGETS}/g"), &label).await;
    assert_eq!(lines.brief().await, "MODIFIED g");
    let other = json!({"a": text()});
    publish(&server, &definition(&[version("v1", true, &other)]));
    // Any write wakes it.
    let map = json!({"metadata": {"name": "m"}});
    server.make(MAPS, &map).await;
    let error = lines.next().await.unwrap();
    assert_eq!(error["type"], "ERROR");
    assert_eq!(error["object"]["code"], 410);
    assert!(lines.next().await.is_none());
}
