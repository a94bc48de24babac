//! Server-side apply over a connection: codes, causes, parts and what the system leaves uncounted.

use super::client::{Answer, MAPS, Server};
use crate::registry::{Context, Subresource};
use coracle_api::{Key, kind};
use http::StatusCode;
use serde_json::{Value, json};

const APPLY: [(&str, &str); 1] = [("content-type", "application/apply-patch+yaml")];
const WEB: &str = "/apis/apps/v1/namespaces/default/deployments/web";

async fn apply(server: &Server, path: &str, query: &str, body: &Value) -> Answer {
    let path = format!("{path}?{query}");
    server
        .ask_with("PATCH", &path, &body.to_string(), &APPLY)
        .await
}

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

fn web(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
}

fn full() -> Value {
    web(
        json!({"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}),
    )
}

#[tokio::test]
async fn codes_and_causes() {
    let server = Server::start().await;
    let path = format!("{MAPS}/c");
    let made = apply(&server, &path, "fieldManager=one", &map(json!({"a": "1"}))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let again = apply(&server, &path, "fieldManager=one", &map(json!({"a": "1"}))).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, made.json()));

    let refused = apply(&server, &path, "fieldManager=two", &map(json!({"a": "2"}))).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.json()["reason"], "Conflict");
    assert_eq!(
        refused.json()["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.a"}])
    );
    let forced = apply(
        &server,
        &path,
        "fieldManager=two&force=true",
        &map(json!({"a": "2"})),
    )
    .await;
    assert_eq!(forced.json()["data"], json!({"a": "2"}));

    for (query, body, code, words) in [
        ("", map(json!({})), 422, "fieldManager: Required value"),
        (
            "fieldManager=one",
            json!({"metadata": {"name": "c"}}),
            400,
            "invalid object type: /, Kind=",
        ),
        (
            "fieldManager=one",
            map(json!({"a": 1})),
            500,
            "failed to create typed patch object (/c; /v1, Kind=ConfigMap): .data.a: expected string",
        ),
        (
            "fieldManager=one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "managedFields": []}}),
            400,
            "metadata.managedFields must be nil",
        ),
    ] {
        let refused = apply(&server, &path, query, &body).await;
        assert_eq!(refused.status.as_u16(), code, "{}", refused.text());
        assert!(refused.text().contains(words), "{}", refused.text());
    }
    let absent = apply(
        &server,
        &format!("{WEB}/status"),
        "fieldManager=one",
        &web(json!({})),
    )
    .await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    let dry = apply(&server, WEB, "fieldManager=one&dryRun=All", &full()).await;
    assert_eq!(dry.status, StatusCode::CREATED, "{}", dry.text());
    assert_eq!(
        server.ask("GET", WEB, "").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn parts_have_managers_of_their_own() {
    let server = Server::start().await;
    apply(&server, WEB, "fieldManager=one", &full()).await;
    let mut status = web(json!({"replicas": 9}));
    status["status"] = json!({"replicas": 1});
    let done = apply(
        &server,
        &format!("{WEB}/status"),
        "fieldManager=two",
        &status,
    )
    .await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text());
    assert_eq!(
        (
            &done.json()["spec"]["replicas"],
            &done.json()["status"]["replicas"]
        ),
        (&json!(2), &json!(1))
    );

    let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 5}});
    let refused = apply(
        &server,
        &format!("{WEB}/scale"),
        "fieldManager=three",
        &scale,
    )
    .await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    let scaled = apply(
        &server,
        &format!("{WEB}/scale"),
        "fieldManager=three&force=true",
        &scale,
    )
    .await;
    assert_eq!(scaled.json()["spec"]["replicas"], 5, "{}", scaled.text());
    let managers: Vec<(Value, Value)> =
        server.ask("GET", WEB, "").await.json()["metadata"]["managedFields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry["manager"].clone(), entry["subresource"].clone()))
            .collect();
    for (manager, part) in [
        ("one", Value::Null),
        ("two", json!("status")),
        ("three", json!("scale")),
    ] {
        assert!(managers.contains(&(json!(manager), part)), "{managers:?}");
    }
}

#[tokio::test]
async fn the_system_takes_fields_and_has_no_entry() {
    let server = Server::start().await;
    apply(&server, WEB, "fieldManager=one", &full()).await;
    let context = Context::system("some-controller");
    let key = Key::new("default", "web");
    let three = |value: &mut Value| {
        value["spec"]["replicas"] = json!(3);
        Ok(())
    };
    let modified =
        server
            .registry
            .modify(&context, kind::DEPLOYMENT, &key, Subresource::None, three);
    let fields = modified.await.unwrap().value()["metadata"]["managedFields"].clone();
    assert_eq!(fields.as_array().unwrap().len(), 1);
    assert!(
        fields[0]["fieldsV1"]["f:spec"]["f:replicas"].is_null(),
        "{fields}"
    );
    let back = apply(&server, WEB, "fieldManager=one", &full()).await;
    assert_eq!(back.json()["spec"]["replicas"], 2, "{}", back.text());
}

#[tokio::test]
async fn what_the_server_adds_belongs_to_nobody() {
    let server = Server::start().await;
    let container = json!([{"name": "c", "image": "hello:v1"}]);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": container}});
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": container}}}});
    for (path, body, owned, not_owned) in [
        (
            "/api/v1/namespaces/default/pods",
            pod,
            &["f:containers", "f:enableServiceLinks", "f:restartPolicy"][..],
            &[
                "f:tolerations",
                "f:priority",
                "f:preemptionPolicy",
                "f:serviceAccountName",
                "f:serviceAccount",
            ][..],
        ),
        (
            "/apis/batch/v1/namespaces/default/jobs",
            job,
            &["f:completionMode", "f:backoffLimit", "f:template"],
            &["f:selector"],
        ),
    ] {
        let made = server.ask("POST", path, &body.to_string()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        let made = made.json();
        let fields = made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].clone();
        for name in owned {
            assert!(fields[*name].is_object(), "{name}: {fields}");
        }
        for name in not_owned {
            let is_there = !made["spec"][&name[2..]].is_null();
            assert!(is_there && fields[*name].is_null(), "{name}: {made}");
        }
        let labels = &fields["f:template"]["f:metadata"]["f:labels"];
        assert!(labels.is_null(), "{labels}");
    }
}

#[tokio::test]
async fn who_applies_nothing_any_more_leaves_no_list() {
    let server = Server::start().await;
    let path = format!("{MAPS}/c");
    apply(&server, &path, "fieldManager=one", &map(json!({"a": "1"}))).await;
    let nothing = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    let left = apply(&server, &path, "fieldManager=one", &nothing).await;
    assert_eq!(left.status, StatusCode::OK, "{}", left.text());
    assert_eq!(left.json()["data"], Value::Null);
    assert!(!left.text().contains("managedFields"), "{}", left.text());
}
