//! DELETE of collections: a list with its options, each of which goes.

use super::client::{Answer, MAPS, Server, config_map};
use base64::Engine as _;
use http::StatusCode;
use serde_json::{Value, json};

const GONE: &str = "Expired";

fn names(list: &Value) -> String {
    let items = list["items"].as_array().unwrap();
    let names = items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap());
    names.collect::<Vec<_>>().join(" ")
}

/// Deletes, and says what is left.
async fn delete(server: &Server, query: &str) -> (Answer, String) {
    let answer = server.ask("DELETE", &format!("{MAPS}?{query}"), "").await;
    let left = server.ask("GET", MAPS, "").await.json();
    (answer, names(&left))
}

fn token(version: u64, start: &str) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": version, "start": start});
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token.to_string())
}

#[tokio::test]
async fn a_page_alone_goes() {
    let server = Server::start().await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        let labels = json!({"odd": if "ace".contains(name) { "1" } else { "0" }});
        server.ask("POST", MAPS, config_map(name, labels)).await;
    }
    let (dry, left) = delete(&server, "limit=2&dryRun=All").await;
    assert_eq!(names(&dry.json()), "a b");
    assert_eq!(left, "a b c d e f");
    let (first, left) = delete(&server, "limit=2").await;
    assert_eq!(
        (first.status, names(&first.json()).as_str()),
        (StatusCode::OK, "a b")
    );
    assert_eq!(left, "c d e f");
    let meta = first.json()["metadata"].clone();
    assert_eq!(meta["remainingItemCount"], 4);
    let token = meta["continue"].as_str().unwrap();
    let (second, left) = delete(&server, &format!("limit=1&continue={token}")).await;
    assert_eq!(
        (names(&second.json()).as_str(), left.as_str()),
        ("c", "d e f")
    );
    let (third, left) = delete(&server, "limit=1&labelSelector=odd%3D1").await;
    assert_eq!((names(&third.json()).as_str(), left.as_str()), ("e", "d f"));
    let (rest, left) = delete(&server, "").await;
    assert_eq!((names(&rest.json()).as_str(), left.as_str()), ("d f", ""));
    assert_eq!(rest.json()["metadata"].get("continue"), None);
}

#[tokio::test]
async fn what_cannot_be_listed_does_not_go() {
    let server = Server::start().await;
    for name in ["a", "b"] {
        server.ask("POST", MAPS, config_map(name, json!({}))).await;
    }
    let (old, future) = (token(1, "default/a"), token(1 << 60, "default/a"));
    let expired = (410, GONE);
    for (query, (code, reason)) in [
        ("resourceVersion=1".to_owned(), expired),
        (
            "resourceVersion=1&resourceVersionMatch=Exact".to_owned(),
            expired,
        ),
        (format!("continue={old}"), expired),
        (format!("continue={future}"), (504, "Timeout")),
        (format!("limit=1&continue={future}"), (504, "Timeout")),
        ("continue=xyz".to_owned(), (400, "BadRequest")),
        ("limit=abc".to_owned(), (400, "BadRequest")),
        ("resourceVersion=abc".to_owned(), (400, "BadRequest")),
        ("resourceVersionMatch=Exact".to_owned(), (422, "Invalid")),
    ] {
        let (refused, left) = delete(&server, &query).await;
        assert_eq!(refused.status.as_u16(), code, "{query}: {}", refused.text());
        let said = refused.json();
        assert_eq!(said["reason"], reason, "{query}");
        let goes_on = said["metadata"]["continue"].is_string();
        assert_eq!(
            goes_on,
            query.contains("continue") && code == 410,
            "{query}"
        );
        assert_eq!(left, "a b", "{query}");
        // A list answers the same, but that it takes an old version as the least.
        if query != "resourceVersion=1" {
            let listed = server.ask("GET", &format!("{MAPS}?{query}"), "").await;
            assert_eq!(
                (listed.status, listed.json()),
                (refused.status, said),
                "{query}"
            );
        }
    }
    let (gone, left) = delete(&server, "resourceVersion=0").await;
    assert_eq!((gone.status, left.as_str()), (StatusCode::OK, ""));
}
