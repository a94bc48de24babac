//! Custom kinds over a connection: the rules of their definitions.

use super::client::Server;
use crate::kinds;
use http::StatusCode;
use serde_json::{Value, json};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/widgets";

/// A definition with rules for its `spec`.
fn definition(rules: &Value) -> Value {
    let spec = json!({"type": "object", "required": ["version"], "x-kubernetes-validations": rules, "properties": {
        "version": {"type": "string", "maxLength": 64},
        "maxLimit": {"type": "integer"},
    }});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": spec},
            }}}]},
    })
}

/// Has the kind served, as the controller of definitions would that does not run here.
async fn serve(server: &Server, rules: &Value) {
    define(server, &definition(rules)).await;
}

/// Has a definition stored and served.
pub(super) async fn define(server: &Server, body: &Value) {
    let made = server.ask("POST", DEFINITIONS, &body.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let established = established(&made.json());
    let name = established["metadata"]["name"].as_str().unwrap_or_default();
    let path = format!("{DEFINITIONS}/{name}/status");
    let put = server.ask("PUT", &path, &established.to_string()).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text());
    publish(server, &established);
}

/// Has a definition served that says something else now.
pub(super) fn publish(server: &Server, body: &Value) {
    let established = established(body);
    let versions = kinds::versions(&established).unwrap();
    let name = established["metadata"]["name"].as_str().unwrap_or_default();
    server.registry.cache().kinds().set(name, versions);
}

fn established(body: &Value) -> Value {
    let is_true = |kind: &str| json!({"type": kind, "status": "True", "reason": "Tried", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"});
    let mut established = body.clone();
    established["status"] = json!({"acceptedNames": body["spec"]["names"], "storedVersions": ["v1"],
        "conditions": [is_true("NamesAccepted"), is_true("Established")]});
    established
}

#[tokio::test]
async fn a_rule_compares_versions() {
    let server = Server::start().await;
    let rules = json!([
        {"rule": "isSemver(self.version, true)", "message": "is no version"},
        {"rule": "!isSemver(self.version, true) || !semver(self.version, true).isLessThan(semver('1.2.0'))", "message": "is too old"},
        {"rule": "!has(oldSelf.version) || semver(self.version, true).compareTo(semver(oldSelf.version, true)) >= 0", "message": "may not go back"},
    ]);
    serve(&server, &rules).await;
    let widget = |version: &str| {
        let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"version": version}});
        widget.to_string()
    };
    for (version, why) in [("latest", "is no version"), ("v1.1", "is too old")] {
        let refused = server.ask("POST", WIDGETS, &widget(version)).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{version}"
        );
        assert_eq!(
            refused.json()["message"],
            format!("Widget.example.com \"a\" is invalid: spec: Invalid value: {why}"),
        );
    }
    let made = server.ask("POST", WIDGETS, &widget("v1.2")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let one = format!("{WIDGETS}/a");
    let merge = [("content-type", "application/merge-patch+json")];
    for (version, code) in [
        ("1.10.0-rc.1", StatusCode::OK),
        ("1.9.9", StatusCode::UNPROCESSABLE_ENTITY),
        ("1.10.0", StatusCode::OK),
    ] {
        let patch = json!({"spec": {"version": version}}).to_string();
        let patched = server.ask_with("PATCH", &one, &patch, &merge).await;
        assert_eq!(patched.status, code, "{}", patched.text());
    }
}

/// Upstream tells it before it looks at the verb.
#[tokio::test]
async fn a_version_on_its_way_out_says_so_whatever_is_asked() {
    let server = Server::start().await;
    let mut body = definition(&json!([]));
    let version = &mut body["spec"]["versions"][0];
    version["deprecated"] = json!(true);
    version["subresources"] = json!({"status": {}});
    define(&server, &body).await;
    let widget = r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"version":"1","x":1}}"#;
    let one = format!("{WIDGETS}/a");
    let watch = format!("{WIDGETS}?watch=true&timeoutSeconds=1");
    for (method, path, body, code) in [
        ("GET", WIDGETS, "", StatusCode::OK),
        ("GET", one.as_str(), "", StatusCode::NOT_FOUND),
        ("POST", WIDGETS, widget, StatusCode::CREATED),
        ("GET", &one, "", StatusCode::OK),
        ("GET", &format!("{one}/status"), "", StatusCode::OK),
        ("GET", &watch, "", StatusCode::OK),
        ("DELETE", &one, "", StatusCode::OK),
    ] {
        let answer = server.ask(method, path, body).await;
        assert_eq!(answer.status, code, "{method} {path}: {}", answer.text());
        let said: Vec<_> = answer.headers.get_all("warning").iter().collect();
        let own = "299 - \"example.com/v1 Widget is deprecated\"";
        assert_eq!(said[0], own, "{method} {path}");
        let told = said.iter().filter(|said| **said == own).count();
        assert_eq!(told, 1, "{method} {path}");
    }
}

#[tokio::test]
async fn a_definition_with_a_mixed_list_or_a_dear_message_is_refused() {
    let server = Server::start().await;
    let cases = [
        (
            json!([{"rule": "[1, 'a'].size() == 2"}]),
            "compilation failed: ERROR: <input>:1:5: expected type 'int' but found 'string'",
        ),
        // As the documentation has it: upstream refuses it too.
        (
            json!([{"rule": "true", "messageExpression": "\"x exceeded max limit of \" + string(self.maxLimit)"}]),
            "estimated messageExpression cost exceeds budget by factor of more than 100x",
        ),
    ];
    for (rules, why) in cases {
        let body = definition(&rules).to_string();
        let refused = server.ask("POST", DEFINITIONS, &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{rules}");
        assert!(refused.text().contains(why), "{}", refused.text());
    }
}

#[tokio::test]
async fn numbers_and_metadata_are_read_as_upstream_reads_them() {
    let server = Server::start().await;
    serve(&server, &json!([{"rule": "true"}])).await;
    let widget = r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a","labels":{"team":null},"annotations":null},
        "spec":{"version":"1.0.0","maxLimit":1e3}}"#;
    let made = server.ask("POST", WIDGETS, widget).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let text = made.text();
    assert!(
        text.contains(r#""maxLimit":1000"#) && !text.contains("1000.0"),
        "{text}"
    );
    let metadata = &made.json()["metadata"];
    assert_eq!(metadata["labels"], json!({"team": ""}));
    assert!(metadata.get("annotations").is_none(), "{metadata}");

    let one = format!("{WIDGETS}/a");
    let merge = [("content-type", "application/merge-patch+json")];
    let same = server
        .ask_with("PATCH", &one, r#"{"spec":{"maxLimit":1000.0}}"#, &merge)
        .await;
    assert_eq!(
        same.json()["metadata"]["resourceVersion"],
        metadata["resourceVersion"]
    );
    let apply = [("content-type", "application/apply-patch+yaml")];
    let applied = r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"maxLimit":1000.0}}"#;
    let applied = server
        .ask_with(
            "PATCH",
            &format!("{one}?fieldManager=other"),
            applied,
            &apply,
        )
        .await;
    assert_eq!(
        applied.status,
        StatusCode::OK,
        "no conflict: {}",
        applied.text()
    );
    assert_eq!(applied.json()["spec"]["maxLimit"], json!(1000));
}

/// An object within an object has a type and metadata, whatever its schema declares.
#[tokio::test]
async fn an_embedded_object_is_applied() {
    let server = Server::start().await;
    let mut body = definition(&json!([]));
    let embedded = json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {
        "spec": {"type": "object", "properties": {"a": {"type": "string"}}}}});
    body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = json!({
        "type": "object", "properties": {"template": embedded, "list": {"type": "array", "items": embedded}}});
    define(&server, &body).await;
    let apply = [("content-type", "application/apply-patch+yaml")];
    let path = format!("{WIDGETS}/w?fieldManager=me");
    let held = json!({"apiVersion": "foo/v1", "kind": "Sub", "metadata": {"name": "s", "labels": {"a": "b"}}, "spec": {"a": "b"}});
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
        "spec": {"template": held, "list": [held]}});
    for _ in 0..2 {
        let applied = server
            .ask_with("PATCH", &path, widget.to_string(), &apply)
            .await;
        assert!(applied.status.is_success(), "{}", applied.text());
        assert_eq!(applied.json()["spec"], widget["spec"]);
    }
    let mut unknown = widget;
    unknown["spec"]["template"]["data"] = json!({});
    let refused = server
        .ask_with("PATCH", &path, unknown.to_string(), &apply)
        .await;
    let why = ".spec.template.data: field not declared in schema";
    assert!(refused.text().contains(why), "{}", refused.text());
}
