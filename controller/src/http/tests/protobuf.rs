//! Clients that speak protobuf: bodies, answers and watches; and bodies that are hostile.

use super::client::{MAPS, Server, config_map};
use crate::{
    kinds,
    registry::{Context, Subresource},
};
use coracle_api::{Key, kind, protobuf};
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const MEDIA: (&str, &str) = ("content-type", protobuf::MEDIA_TYPE);
const ONLY: (&str, &str) = ("accept", protobuf::MEDIA_TYPE);

fn map(name: &str) -> Value {
    serde_json::from_str(&config_map(name, json!({"a": "b"}))).unwrap()
}

#[tokio::test]
async fn objects_come_and_go() {
    let server = Server::start().await;
    let body = protobuf::encode(&map("one")).unwrap();
    let made = server.ask_with("POST", MAPS, &body, &[MEDIA]).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(made.json()["data"]["a"], "b", "JSON unless asked otherwise");

    let path = format!("{MAPS}/one");
    let read = server.ask_with("GET", &path, "", &[ONLY]).await;
    assert_eq!(read.headers["content-type"], protobuf::MEDIA_TYPE);
    let mut object = protobuf::decode(&read.bytes).unwrap();
    assert_eq!(object, server.ask("GET", &path, "").await.json());

    object["data"]["a"] = json!("c");
    let body = protobuf::encode(&object).unwrap();
    let put = server.ask_with("PUT", &path, &body, &[MEDIA, ONLY]).await;
    let put = protobuf::decode(&put.bytes).unwrap();
    assert_eq!(put["data"]["a"], "c");

    let list = server.ask_with("GET", MAPS, "", &[ONLY]).await;
    let list = protobuf::decode(&list.bytes).unwrap();
    assert_eq!(
        (
            list["kind"].as_str(),
            list["items"].as_array().unwrap().len()
        ),
        (Some("ConfigMapList"), 1)
    );

    let stale = server.ask_with("PUT", &path, &body, &[MEDIA, ONLY]).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    assert_eq!(
        protobuf::decode(&stale.bytes).unwrap()["reason"],
        "Conflict"
    );

    let options =
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "other"}});
    let options = protobuf::encode(&options).unwrap();
    let refused = server.ask_with("DELETE", &path, &options, &[MEDIA]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
}

/// Protobuf has no empty lists: who writes back what was read changes nothing, and is not refused where nothing may change.
#[tokio::test]
async fn an_empty_list_is_none() {
    let server = Server::start().await;
    let path = "/apis/storage.k8s.io/v1/csinodes";
    let node = json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "n"},
        "spec": {"drivers": [{"name": "d", "nodeID": "n", "topologyKeys": []}]}});
    let made = server.ask("POST", path, &node.to_string()).await.json();
    assert_eq!(made["spec"]["drivers"][0]["topologyKeys"], json!(null));

    let path = format!("{path}/n");
    let read = server.ask_with("GET", &path, "", &[ONLY]).await;
    let put = server.ask_with("PUT", &path, &read.bytes, &[MEDIA]).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text());
    assert_eq!(put.json(), made);
}

#[tokio::test]
async fn a_watch_is_frames() {
    let server = Server::start().await;
    server
        .ask("POST", MAPS, &config_map("one", json!({})))
        .await;
    let bearer = format!("Bearer {}", server.admin);
    let path = format!(
        "{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
    );
    let headers = [
        ("authorization", bearer.as_str()),
        ("accept", "application/vnd.kubernetes.protobuf;stream=watch"),
    ];
    let response = server.open("GET", &path, "", &headers).await;
    assert_eq!(
        response.headers()["content-type"],
        "application/vnd.kubernetes.protobuf;stream=watch"
    );
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (frame, after) = after.split_at(u32::from_be_bytes(*len) as usize);
        frames.push(String::from_utf8_lossy(frame).into_owned());
        rest = after;
    }
    assert!(
        frames[0].contains("ADDED") && frames[0].contains("one"),
        "{frames:?}"
    );
    assert!(
        frames[1].contains("BOOKMARK") && frames[1].contains("k8s.io/initial-events-end"),
        "{frames:?}"
    );
}

#[tokio::test]
async fn a_watch_ends_at_an_event_that_has_no_frame() {
    let server = Server::start().await;
    let made = server
        .ask("POST", MAPS, &config_map("one", json!({})))
        .await;
    let version = made.json()["metadata"]["resourceVersion"].clone();
    // No client could write this.
    let odd = |value: &mut Value| {
        value["data"] = json!({"a": 5});
        Ok(())
    };
    let (context, key) = (Context::system("test"), Key::new("default", "one"));
    let written = server
        .registry
        .modify(&context, kind::CONFIG_MAP, &key, Subresource::None, odd)
        .await;
    assert!(written.is_ok());
    let after = format!("&resourceVersion={}", version.as_str().unwrap());
    // What was there at the start, and what was changed since; each of two that share what was encoded.
    for start in ["", &after, &after] {
        let path = format!("{MAPS}?watch=1&timeoutSeconds=5{start}");
        let frames = server.ask_with("GET", &path, "", &[ONLY]).await;
        let said = String::from_utf8_lossy(&frames.bytes).into_owned();
        assert!(said.contains("ERROR"), "{start}: {said}");
        assert!(said.contains("unable to encode watch object ConfigMap"));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let server = Server::start().await;
    for (headers, body, code) in [
        (&[MEDIA][..], &b"{}"[..], 400),
        (&[MEDIA], b"k8s\0\xff\xff", 400),
        (
            &[MEDIA],
            &protobuf::encode(
                &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}),
            )
            .unwrap(),
            400,
        ),
        (&[("content-type", "application/cbor")], b"\xa0", 415),
        (
            &[("content-type", "application/json")],
            b"{\"metadata\": {\"name\": \"\xff\"}}",
            422,
        ),
    ] {
        let refused = server.ask_with("POST", MAPS, body, headers).await;
        assert_eq!(refused.json()["code"], code, "{}", refused.text());
    }
    let table = [(
        "accept",
        "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1",
    )];
    let refused = server.ask_with("GET", MAPS, "", &table).await;
    assert_eq!(refused.status, StatusCode::NOT_ACCEPTABLE);
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster",
            "names": {"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {
                    "n": {"type": "integer", "default": 3, "enum": [3, 4]},
                    "map": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            }}}]},
    })
}

#[tokio::test]
async fn definitions_have_it_and_what_they_define_has_not() {
    let server = Server::start().await;
    let body = protobuf::encode(&definition()).unwrap();
    let made = server
        .ask_with("POST", DEFINITIONS, &body, &[MEDIA, ONLY])
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let made = protobuf::decode(&made.bytes).unwrap();
    let schema = &definition()["spec"]["versions"][0]["schema"];
    assert_eq!(&made["spec"]["versions"][0]["schema"], schema);
    let list = server.ask_with("GET", DEFINITIONS, "", &[ONLY]).await;
    let list = protobuf::decode(&list.bytes).unwrap();
    assert_eq!(list["kind"], "CustomResourceDefinitionList");
    assert_eq!(list["items"][0]["metadata"]["name"], "foos.example.com");
    let watch = format!(
        "{DEFINITIONS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
    );
    let frames = server.ask_with("GET", &watch, "", &[ONLY]).await;
    let frames = String::from_utf8_lossy(&frames.bytes).into_owned();
    assert!(
        frames.contains("ADDED") && frames.contains("foos.example.com"),
        "{frames}"
    );

    // No controller runs here that would do so.
    let mut established = made;
    let is_true = |kind: &str| json!({"type": kind, "status": "True", "reason": "Tried", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"});
    established["status"] = json!({"acceptedNames": definition()["spec"]["names"], "storedVersions": ["v1"],
        "conditions": [is_true("NamesAccepted"), is_true("Established")]});
    let body = protobuf::encode(&established).unwrap();
    let path = format!("{DEFINITIONS}/foos.example.com/status");
    let put = server.ask_with("PUT", &path, &body, &[MEDIA]).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text());
    let versions = kinds::versions(&established).unwrap();
    let kinds = server.registry.cache().kinds();
    kinds.set("foos.example.com", versions);
    let foos = "/apis/example.com/v1/foos";
    let served = server.ask("GET", foos, "").await;
    assert_eq!(served.status, StatusCode::OK, "{}", served.text());
    let foo = r#"{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"a"}}"#;
    // Refused before anything is done, and the refusal has it.
    for (verb, path, body) in [
        ("POST", foos, foo),
        ("GET", foos, ""),
        ("GET", &watch_of(foos), ""),
    ] {
        let refused = server.ask_with(verb, path, body, &[ONLY]).await;
        assert_eq!(refused.status, StatusCode::NOT_ACCEPTABLE, "{verb} {path}");
        let refused = protobuf::decode(&refused.bytes).unwrap();
        assert_eq!(
            refused["message"],
            "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        );
    }
    let either = [(
        "accept",
        "application/vnd.kubernetes.protobuf,application/yaml;q=0.5",
    )];
    let listed = server.ask_with("GET", foos, "", &either).await;
    assert_eq!(listed.headers["content-type"], "application/yaml");
    assert!(listed.text().contains("items: []"), "{}", listed.text());
    let watched = server.ask_with("GET", &watch_of(foos), "", &either).await;
    assert_eq!(watched.status, StatusCode::NOT_ACCEPTABLE);
}

fn watch_of(path: &str) -> String {
    format!("{path}?watch=1&timeoutSeconds=1")
}

#[tokio::test]
async fn a_field_that_stands_twice_is_named() {
    let server = Server::start().await;
    let twice = r#"{"metadata":{"name":"t"},"data":{"a":"1","a":"2"}}"#;
    let strict = server
        .ask("POST", &format!("{MAPS}?fieldValidation=Strict"), twice)
        .await;
    assert_eq!(strict.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        strict.json()["message"],
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \"data.a\""
    );
    let warned = server.ask("POST", MAPS, twice).await;
    assert_eq!(warned.status, StatusCode::CREATED);
    let warning = warned.headers["warning"].to_str().unwrap();
    assert_eq!(warning, "299 - \"duplicate field \\\"data.a\\\"\"");
    assert_eq!(warned.json()["data"]["a"], "2");
}
