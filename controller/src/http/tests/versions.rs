//! The version of an object that a write names: a number, as upstream reads it.

use super::client::{MAPS, Server, config_map};
use serde_json::{Value, json};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const NO_NUMBER: &str = "strconv.ParseUint: parsing \"abc\": invalid syntax";
const MISSING: &str = "leases.coordination.k8s.io \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update";

fn with_version(object: &Value, version: &str) -> String {
    let mut object = object.clone();
    object["metadata"]["resourceVersion"] = json!(version);
    object.to_string()
}

#[tokio::test]
async fn a_new_object_has_none() {
    let server = Server::start().await;
    for (name, version, code) in [
        ("a", "0", 201),
        ("b", "abc", 201),
        ("c", "-1", 201),
        ("d", "000", 201),
        ("e", "5", 500),
        ("f", "05", 500),
    ] {
        let map = serde_json::from_str(&config_map(name, json!({}))).unwrap();
        let made = server.ask("POST", MAPS, with_version(&map, version)).await;
        assert_eq!(made.status.as_u16(), code, "{version}: {}", made.text());
    }
}

#[tokio::test]
async fn a_write_replaces_the_one_that_it_names() {
    let server = Server::start().await;
    server
        .make(
            MAPS,
            &serde_json::from_str(&config_map("a", json!({}))).unwrap(),
        )
        .await;
    let lease = |name: &str| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}});
    server.make(LEASES, &lease("a")).await;
    let stale = "the object has been modified";
    for (path, version, code, why) in [
        (MAPS, "0", 200, ""),
        (MAPS, "00", 200, ""),
        (MAPS, "", 200, ""),
        (MAPS, "NEWEST", 200, ""),
        (MAPS, "000NEWEST", 200, ""),
        (MAPS, "7", 409, stale),
        (MAPS, "abc", 500, NO_NUMBER),
        (LEASES, "0", 422, MISSING),
        (LEASES, "", 422, MISSING),
        (LEASES, "00NEWEST", 200, ""),
        (LEASES, "7", 409, stale),
        (LEASES, "abc", 500, NO_NUMBER),
    ] {
        let path = format!("{path}/a");
        let now = server.ask("GET", &path, "").await.json();
        let newest = now["metadata"]["resourceVersion"].as_str().unwrap();
        let version = version.replace("NEWEST", newest);
        let body = with_version(&now, &version);
        let put = server.ask("PUT", &path, &body).await;
        assert_eq!(
            put.status.as_u16(),
            code,
            "{path} {version}: {}",
            put.text()
        );
        let said = put.json()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(said.contains(why), "{path} {version}: {said}");
    }
    // A PUT that creates: the version is read, and counts for nothing.
    for (version, code) in [("abc", 500), ("7", 201)] {
        let body = with_version(&lease("b"), version);
        let put = server.ask("PUT", &format!("{LEASES}/b"), &body).await;
        assert_eq!(put.status.as_u16(), code, "{version}: {}", put.text());
    }
}
