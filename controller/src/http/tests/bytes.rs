//! Base64 over a connection: line breaks and stray bits come in by every verb, and nobody ever sees them.

use super::client::{MAPS, Server};
use coracle_api::{Key, kind, protobuf};
use serde_json::{Value, json};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

fn secret(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})
}

#[tokio::test]
async fn line_breaks_and_stray_bits_come_in_by_every_verb() {
    let server = Server::start().await;
    let one = format!("{SECRETS}/one");
    let (broken, stray) = ("aGVs\r\nbG8=\n", "aGVsbG9=");
    let post = secret("one", &json!({"a": broken})).to_string();
    let put = secret("one", &json!({"a": stray, "put": broken})).to_string();
    let part = |name: &str| json!({"data": {name: broken}}).to_string();
    let add = json!([{"op": "add", "path": "/data/json", "value": stray}]).to_string();
    let set = secret("one", &json!({"set": broken})).to_string();
    let yaml =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: two}\ndata:\n  a: |\n    aGVs\n    bG8=\n";
    let applied = format!("{one}?fieldManager=me");
    for (method, path, body, content, names) in [
        ("POST", SECRETS, post, "json", &["a"][..]),
        ("POST", SECRETS, yaml.to_owned(), "yaml", &["a"]),
        ("PUT", &one, put, "json", &["a", "put"]),
        ("PATCH", &one, add, "json-patch+json", &["a", "put", "json"]),
        (
            "PATCH",
            &one,
            part("m"),
            "merge-patch+json",
            &["a", "put", "json", "m"],
        ),
        (
            "PATCH",
            &one,
            part("s"),
            "strategic-merge-patch+json",
            &["a", "put", "json", "m", "s"],
        ),
        (
            "PATCH",
            &applied,
            set.clone(),
            "apply-patch+yaml",
            &["a", "put", "json", "m", "s", "set"],
        ),
    ] {
        let content = format!("application/{content}");
        let media = [("content-type", content.as_str())];
        let answer = server.ask_with(method, path, &body, &media).await;
        assert!(answer.status.is_success(), "{content}: {}", answer.text());
        let data: Value = names
            .iter()
            .map(|name| (*name, json!("aGVsbG8=")))
            .collect();
        assert_eq!(answer.json()["data"], data, "{method} {content}");
    }
    let media = [("content-type", "application/apply-patch+yaml")];
    let before = server.ask("GET", &one, "").await.json();
    let again = server.ask_with("PATCH", &applied, &set, &media).await;
    assert_eq!(again.json(), before, "nothing new");
    let held = server
        .registry
        .cache()
        .get(kind::SECRET, &Key::new("default", "one"));
    assert_eq!(held.unwrap().value()["data"], before["data"]);
    let only = [("accept", protobuf::MEDIA_TYPE)];
    let shown = server.ask_with("GET", &one, "", &only).await;
    let read = protobuf::decode(&shown.bytes).unwrap();
    assert_eq!(read["data"], before["data"]);
}

#[tokio::test]
async fn the_rest_is_refused_and_texts_are_texts() {
    let server = Server::start().await;
    for (text, at) in [
        ("aGVs\nbG8", 5),
        ("aGVs bG8=", 4),
        ("aGVs\n bG8=", 5),
        ("aGVs\nbG8=x", 9),
    ] {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "binaryData": {"a": text}});
        let refused = server.ask("POST", MAPS, body.to_string()).await;
        let why = format!("illegal base64 data at input byte {at}");
        assert_eq!(refused.status.as_u16(), 400, "{text}");
        assert!(refused.text().contains(&why), "{}", refused.text());
    }
    let mut texts = secret("texts", &json!({}));
    texts["stringData"] = json!({"a": "aGVs\nbG8=\n"});
    let made = server.ask("POST", SECRETS, texts.to_string()).await;
    assert_eq!(made.json()["data"], json!({"a": "YUdWcwpiRzg9Cg=="}));
}
