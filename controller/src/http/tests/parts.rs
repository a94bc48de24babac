//! What writes to `/status` and `/approval` change of metadata, and what they leave.

use super::{client::Server, custom::define};
use serde_json::{Value, json};

const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");
const APPLY: (&str, &str) = ("content-type", "application/apply-patch+yaml");
const IN_DEFAULT: &str = "namespaces/default";

/// Where the kinds are, an object of each, and what a write to `/status` leaves of its metadata.
fn kinds() -> Vec<(String, Value, &'static [&'static str])> {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let workload = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let core = |plural: &str| format!("/api/v1/{plural}");
    let namespaced = |group: &str, plural: &str| format!("/{group}/{IN_DEFAULT}/{plural}");
    let source = json!({"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment"});
    vec![
        (core("nodes"), json!({}), &[]),
        (
            namespaced("api/v1", "services"),
            json!({"spec": {"ports": [{"port": 80}]}}),
            &[],
        ),
        (
            namespaced("api/v1", "pods"),
            json!({"spec": template["spec"]}),
            &["ownerReferences"],
        ),
        (
            namespaced("apis/apps/v1", "deployments"),
            json!({"spec": workload}),
            &["labels"],
        ),
        (
            namespaced("apis/apps/v1", "replicasets"),
            json!({"spec": workload}),
            &[],
        ),
        (
            namespaced("apis/apps/v1", "daemonsets"),
            json!({"spec": workload}),
            &[],
        ),
        (
            "/apis/storage.k8s.io/v1/volumeattachments".to_owned(),
            json!({"apiVersion": source["apiVersion"], "spec": {"attacher": "a.com", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}),
            &["annotations", "finalizers", "labels", "ownerReferences"],
        ),
        (
            "/apis/example.com/v1/things".to_owned(),
            json!({"apiVersion": "example.com/v1", "kind": "Thing"}),
            &["annotations", "finalizers", "labels", "ownerReferences"],
        ),
    ]
}

async fn serve_things(server: &Server) {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let names =
        json!({"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"});
    let version = json!({"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}});
    let spec =
        json!({"group": "example.com", "scope": "Cluster", "names": names, "versions": [version]});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"}, "spec": spec});
    define(server, &definition).await;
}

fn metadata() -> Value {
    json!({
        "annotations": {"note": "1"},
        "finalizers": ["example.com/hold"],
        "labels": {"l": "1"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "u"}],
    })
}

/// Which metadata of an object were written.
#[track_caller]
fn check(object: &Value, kept: &[&str], what: &str) {
    for (name, value) in metadata().as_object().unwrap() {
        let expected = match kept.contains(&name.as_str()) {
            true => &Value::Null,
            false => value,
        };
        let mut found = object["metadata"][name].clone();
        // Written by the controller itself.
        if let Some(map) = found.as_object_mut() {
            map.remove("deprecated.daemonset.template.generation");
        }
        assert_eq!(&found, expected, "{what}: {name}");
    }
}

#[tokio::test]
async fn a_status_is_written_with_the_metadata_that_upstream_takes() {
    let server = Server::start().await;
    serve_things(&server).await;
    for (path, object, kept) in kinds() {
        for (name, kind) in [("a", MERGE), ("b", APPLY), ("c", MERGE)] {
            let mut made = object.clone();
            made["metadata"] = json!({"name": name});
            server.make(&path, &made).await;
            let one = format!("{path}/{name}/status");
            let mut got = server.ask("GET", &one, "").await.json();
            let answer = if name == "c" {
                for (field, value) in metadata().as_object().unwrap() {
                    got["metadata"][field] = value.clone();
                }
                server.ask("PUT", &one, got.to_string()).await
            } else {
                let body = json!({"apiVersion": got["apiVersion"], "kind": got["kind"], "metadata": metadata()});
                let query = format!("{one}?fieldManager=me");
                server
                    .ask_with("PATCH", &query, body.to_string(), &[kind])
                    .await
            };
            assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text());
            check(&answer.json(), kept, &one);
        }
    }
}

#[tokio::test]
async fn a_bad_label_is_refused_at_the_status_too() {
    let server = Server::start().await;
    server
        .make("/api/v1/nodes", &json!({"metadata": {"name": "n"}}))
        .await;
    let bad = json!({"metadata": {"labels": {"l": "no label!"}}}).to_string();
    let refused = server
        .ask_with("PATCH", "/api/v1/nodes/n/status", bad, &[MERGE])
        .await;
    assert_eq!(refused.status.as_u16(), 422, "{}", refused.text());
}

#[tokio::test]
async fn an_approval_is_written_with_metadata_and_without_a_certificate() {
    let server = Server::start().await;
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = crate::pki::test_request("ann", &["people"]);
    let request = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, request);
    let spec =
        json!({"request": request, "signerName": "example.com/s", "usages": ["client auth"]});
    let made = json!({"metadata": {"name": "r"}, "spec": spec});
    server.make(path, &made).await;
    let approved = json!({"type": "Approved", "status": "True", "reason": "Tried"});
    let body = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": metadata(),
        "status": {"conditions": [approved], "certificate": "bm8="}});
    let one = format!("{path}/r/approval?fieldManager=me");
    for kind in [MERGE, APPLY] {
        let answer = server
            .ask_with("PATCH", &one, body.to_string(), &[kind])
            .await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
        let answer = answer.json();
        check(&answer, &[], "approval");
        assert_eq!(answer["status"]["conditions"][0]["type"], "Approved");
        assert_eq!(answer["status"]["certificate"], Value::Null);
    }
}
