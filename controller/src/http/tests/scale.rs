//! `/scale`: where the replicas are, who manages them, and how strictly it is read.

use super::{
    client::{Answer, Server},
    custom::define,
};
use http::StatusCode;
use serde_json::{Value, json};

const WIDGETS: &str = "/apis/example.com/v1/widgets";
const WEB: &str = "/apis/apps/v1/namespaces/default/deployments";
const APPLY: [(&str, &str); 1] = [("content-type", "application/apply-patch+yaml")];
const MERGE: [(&str, &str); 1] = [("content-type", "application/merge-patch+json")];

/// A kind with its replicas at `.spec.n`, and with `/status` or without.
fn definition(subresources: &Value) -> Value {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"n": {"type": "integer"}, "a": {"type": "string"}}},
        "status": {"type": "object", "properties": {"n": {"type": "integer"}}},
    }});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": subresources,
                "schema": {"openAPIV3Schema": schema}}]},
    })
}

fn widget(name: &str, rest: Value) -> Value {
    let mut widget = rest;
    widget["apiVersion"] = json!("example.com/v1");
    widget["kind"] = json!("Widget");
    widget["metadata"]["name"] = json!(name);
    widget
}

fn scale(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name}, "spec": spec})
}

async fn apply(server: &Server, path: &str, query: &str, body: &Value) -> Answer {
    let path = format!("{path}?fieldManager={query}");
    server
        .ask_with("PATCH", &path, body.to_string(), &APPLY)
        .await
}

async fn serve_widgets(server: &Server) {
    let scale = json!({"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"});
    define(server, &definition(&json!({"status": {}, "scale": scale}))).await;
}

async fn make_web(server: &Server) {
    let web = json!({"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    server.make(WEB, &web).await;
}

#[tokio::test]
async fn replicas_are_applied_where_they_are() {
    let server = Server::start().await;
    serve_widgets(&server).await;
    let made = widget("w", json!({"spec": {"n": 2, "a": "x"}}));
    server
        .make(&format!("{WIDGETS}?fieldManager=edit"), &made)
        .await;
    let one = format!("{WIDGETS}/w/scale");
    let four = scale("w", &json!({"replicas": 4}));
    let refused = apply(&server, &one, "hpa", &four).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    assert_eq!(
        refused.json()["details"]["causes"][0]["field"],
        ".spec.replicas"
    );
    let scaled = apply(&server, &one, "hpa&force=true", &four).await;
    assert_eq!(scaled.status, StatusCode::OK, "{}", scaled.text());
    assert_eq!(scaled.json()["spec"]["replicas"], 4);
    let got = server.ask("GET", &format!("{WIDGETS}/w"), "").await.json();
    assert_eq!(got["spec"], json!({"n": 4, "a": "x"}));
    let entries = &got["metadata"]["managedFields"];
    let found: Vec<_> = ["manager", "subresource", "fieldsV1"]
        .map(|name| entries[0][name].clone())
        .into();
    assert_eq!(
        found,
        [json!("hpa"), json!("scale"), json!({"f:spec": {"f:n": {}}})]
    );
    assert_eq!(
        entries[1]["fieldsV1"]["f:spec"],
        json!({".": {}, "f:a": {}})
    );
    // Who lets go of the replicas does not take them away.
    let nothing = scale("w", &json!({}));
    let left = apply(&server, &one, "hpa", &nothing).await;
    assert_eq!(left.json()["spec"]["replicas"], 4, "{}", left.text());
    let got = server.ask("GET", &format!("{WIDGETS}/w"), "").await.json();
    assert_eq!(got["spec"]["n"], 4);
    assert_eq!(
        got["metadata"]["managedFields"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn replicas_that_were_never_said_are_applied() {
    let server = Server::start().await;
    serve_widgets(&server).await;
    server
        .make(WIDGETS, &widget("w", json!({"spec": {}})))
        .await;
    let one = format!("{WIDGETS}/w/scale");
    let empty = apply(&server, &one, "hpa", &scale("w", &json!({}))).await;
    let said = "the spec replicas field \".spec.n\" cannot be empty";
    assert_eq!(
        (empty.status.as_u16(), &empty.json()["message"]),
        (400, &json!(said))
    );
    let scaled = apply(&server, &one, "hpa", &scale("w", &json!({"replicas": 4}))).await;
    assert_eq!(scaled.json()["spec"]["replicas"], 4, "{}", scaled.text());
}

#[tokio::test]
async fn a_misspelt_or_missing_field_scales_nothing() {
    let server = Server::start().await;
    make_web(&server).await;
    let one = format!("{WEB}/web/scale");
    let misspelt = scale("web", &json!({"replica": 4}));
    for query in ["hpa&force=true", "hpa&force=true&fieldValidation=Ignore"] {
        let refused = apply(&server, &one, query, &misspelt).await;
        assert_eq!(refused.status.as_u16(), 500, "{}", refused.text());
        let said = "failed to create typed patch object (/web; autoscaling/v1, Kind=Scale): .spec.replica: field not declared in schema";
        assert_eq!(refused.json()["message"], said);
    }
    let mut bare = scale("web", &json!({}));
    bare.as_object_mut().unwrap().remove("spec");
    for (body, code) in [
        (bare, 200),
        (scale("web", &json!({"replicas": "4"})), 500),
        (scale("web", &json!({"replicas": -1})), 422),
        (json!({"spec": {"replicas": 4}}), 400),
        (scale("other", &json!({"replicas": 4})), 400),
    ] {
        let answer = apply(&server, &one, "hpa&force=true", &body).await;
        assert_eq!(answer.status.as_u16(), code, "{}", answer.text());
    }
    let got = server.ask("GET", &one, "").await.json();
    assert_eq!(got["spec"]["replicas"], 2);
}

#[tokio::test]
async fn a_scale_is_read_as_strictly_as_is_asked() {
    let server = Server::start().await;
    make_web(&server).await;
    let put = scale("web", &json!({"replicas": 3, "replica": 4}));
    let merge = json!({"spec": {"replica": 4}});
    let unknown = "unknown field \"spec.replica\"";
    for (method, headers, body, strict) in [
        ("PUT", &[][..], &put, 400),
        ("PATCH", &MERGE[..], &merge, 422),
    ] {
        let send = async |validation: &str| {
            let path = format!("{WEB}/web/scale?fieldValidation={validation}");
            server
                .ask_with(method, &path, body.to_string(), headers)
                .await
        };
        let refused = send("Strict").await;
        assert_eq!(refused.status.as_u16(), strict, "{}", refused.text());
        let message = refused.json()["message"].as_str().unwrap().to_owned();
        let said = format!("strict decoding error: {unknown}");
        assert!(message.ends_with(&said), "{message}");
        let warned = send("Warn").await;
        assert_eq!(warned.status.as_u16(), 200, "{}", warned.text());
        let warning = warned.headers["warning"].to_str().unwrap();
        assert!(warning.contains("unknown field"), "{warning}");
        let ignored = send("Ignore").await;
        assert_eq!(ignored.status.as_u16(), 200, "{}", ignored.text());
        assert!(ignored.headers.get("warning").is_none());
    }
}

#[tokio::test]
async fn a_status_without_a_subresource_is_applied() {
    let server = Server::start().await;
    define(&server, &definition(&json!({}))).await;
    let one = format!("{WIDGETS}/w");
    for n in [1, 2] {
        let body = widget("w", json!({"spec": {"a": "x"}, "status": {"n": n}}));
        let applied = apply(&server, &one, "one", &body).await;
        assert!(applied.status.is_success(), "{}", applied.text());
        assert_eq!(applied.json()["status"]["n"], n);
    }
    let got = server.ask("GET", &one, "").await.json();
    let owned = &got["metadata"]["managedFields"][0]["fieldsV1"];
    assert_eq!(owned["f:status"], json!({"f:n": {}}));
}
