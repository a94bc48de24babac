//! Nulls in lists and maps over a connection: however one comes in, nobody ever sees it, and nothing breaks of it.

use super::client::{MAPS, Server};
use coracle_api::{
    Key,
    k8s_openapi::api::{core::v1::ConfigMap, rbac::v1::ClusterRole},
    kind, protobuf,
};
use http::StatusCode;
use serde_json::{Value, json};

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const ONLY: (&str, &str) = ("accept", protobuf::MEDIA_TYPE);

fn map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "labels": {"team": null},
        "annotations": {"note": null}}, "data": data})
}

#[tokio::test]
async fn a_map_of_texts_takes_them_by_every_verb() {
    let server = Server::start().await;
    let one = format!("{MAPS}/one");
    let media = |name: &'static str| [("content-type", name)];
    let sent = map(&json!({"a": null})).to_string();
    let next = |name: &str| map(&json!({"a": null, name: null})).to_string();
    let yaml =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two, labels: {team: }}\ndata:\n  a:\n";
    let add = json!([{"op": "add", "path": "/data/json", "value": null}]).to_string();
    let applied = format!("{one}?fieldManager=me&force=true");
    for (method, path, body, content, data) in [
        ("POST", MAPS, sent, "application/json", json!({"a": ""})),
        (
            "POST",
            MAPS,
            yaml.to_owned(),
            "application/yaml",
            json!({"a": ""}),
        ),
        (
            "PUT",
            one.as_str(),
            next("put"),
            "application/json",
            json!({"a": "", "put": ""}),
        ),
        (
            "PATCH",
            one.as_str(),
            add,
            "application/json-patch+json",
            json!({"a": "", "put": "", "json": ""}),
        ),
        (
            "PATCH",
            applied.as_str(),
            next("set"),
            "application/apply-patch+yaml",
            json!({"a": "", "put": "", "json": "", "set": ""}),
        ),
    ] {
        let answer = server.ask_with(method, path, &body, &media(content)).await;
        assert!(answer.status.is_success(), "{content}: {}", answer.text());
        let found = answer.json();
        assert_eq!(found["data"], data, "{method} {content}");
        assert_eq!(found["metadata"]["labels"], json!({"team": ""}));
    }
    let key = Key::new("default", "one");
    let held = server.registry.cache().get(kind::CONFIG_MAP, &key).unwrap();
    assert!(held.typed::<ConfigMap>().is_ok());
    let list = server.ask_with("GET", MAPS, "", &[ONLY]).await;
    assert_eq!(list.status, StatusCode::OK);
    let items = protobuf::decode(&list.bytes).unwrap()["items"].clone();
    assert_eq!(items.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn lists_of_texts_and_of_structs_take_them() {
    let server = Server::start().await;
    let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", null]});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "odd"}, "rules": [rule]});
    server.make(ROLES, &role).await;
    let one = format!("{ROLES}/odd");
    let strategic = [("content-type", "application/strategic-merge-patch+json")];
    let patch = json!({"rules": [rule, rule]}).to_string();
    let patched = server.ask_with("PATCH", &one, &patch, &strategic).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text());
    assert_eq!(patched.json()["rules"][1]["verbs"], json!(["get", ""]));
    let held = server
        .registry
        .cache()
        .get(kind::CLUSTER_ROLE, &Key::cluster("odd"));
    assert!(held.unwrap().typed::<ClusterRole>().is_ok());

    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "odd"}, "secrets": [null]});
    let path = "/api/v1/namespaces/default/serviceaccounts";
    server.make(path, &account).await;
    let found = server.ask("GET", &format!("{path}/odd"), "").await.json();
    assert_eq!(found["secrets"], json!([{}]));

    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "odd"}, "spec": {"nodeSelector": {"disk": null},
        "containers": [{"name": "c", "image": "i:v1", "args": [null], "resources": {"limits": {"cpu": null}}}]}});
    let pods = "/api/v1/namespaces/default/pods";
    server.make(pods, &pod).await;
    let found = server.ask("GET", &format!("{pods}/odd"), "").await.json();
    let container = &found["spec"]["containers"][0];
    assert_eq!(found["spec"]["nodeSelector"], json!({"disk": ""}));
    assert_eq!(container["args"], json!([""]));
    assert_eq!(container["resources"]["limits"], json!({"cpu": "0"}));
}

#[tokio::test]
async fn labels_of_a_template_take_them() {
    let server = Server::start().await;
    let labels = json!({"app": "web", "team": null});
    let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "i:v1"}]}}}});
    let path = "/apis/apps/v1/namespaces/default/deployments";
    server.make(path, &web).await;
    let found = server.ask("GET", &format!("{path}/web"), "").await.json();
    let read = json!({"app": "web", "team": ""});
    assert_eq!(found["spec"]["template"]["metadata"]["labels"], read);
    assert_eq!(found["spec"]["selector"]["matchLabels"], read);
}
