//! Watches over a connection.

use super::client::{MAPS, Server, config_map};
use crate::auth::{MASTERS, UserInfo};
use coracle_api::kind;
use http::StatusCode;
use serde_json::{Value, json};
use std::{net::Ipv4Addr, time::Duration};
use tokio::time::timeout;

#[tokio::test]
async fn a_watch_starts_with_the_state_and_goes_on() {
    let server = Server::start().await;
    server.ask("POST", MAPS, &config_map("a", json!({}))).await;
    let mut lines = server.watch(&format!("{MAPS}?watch=true"), &[]).await;
    assert_eq!(lines.brief().await, "ADDED a");
    server.ask("POST", MAPS, &config_map("b", json!({}))).await;
    assert_eq!(lines.brief().await, "ADDED b");
    let merge = [("content-type", "application/merge-patch+json")];
    server
        .ask_with(
            "PATCH",
            &format!("{MAPS}/a"),
            "{\"data\":{\"x\":\"y\"}}",
            &merge,
        )
        .await;
    assert_eq!(lines.brief().await, "MODIFIED a");
    server.ask("DELETE", &format!("{MAPS}/b"), "").await;
    assert_eq!(lines.brief().await, "DELETED b");
}

#[tokio::test]
async fn a_watch_from_a_revision_repeats_nothing() {
    let server = Server::start().await;
    server.ask("POST", MAPS, &config_map("a", json!({}))).await;
    let version = server.ask("GET", MAPS, "").await.json()["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    server.ask("POST", MAPS, &config_map("b", json!({}))).await;
    let path = format!(
        "{MAPS}?watch=true&resourceVersion={version}&timeoutSeconds=1&allowWatchBookmarks=true"
    );
    let mut lines = server.watch(&path, &[]).await;
    assert_eq!(lines.brief().await, "ADDED b");
    let bookmark = lines.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert!(
        bookmark["object"]["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            > version.as_str()
    );
    assert_eq!(lines.brief().await, "end");
}

#[tokio::test]
async fn initial_events_end_in_an_annotated_bookmark() {
    let server = Server::start().await;
    server.ask("POST", MAPS, &config_map("a", json!({}))).await;
    let path = format!(
        "{MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut lines = server.watch(&path, &[]).await;
    assert_eq!(lines.brief().await, "ADDED a");
    let bookmark = lines.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(
        bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    server.ask("POST", MAPS, &config_map("b", json!({}))).await;
    assert_eq!(lines.brief().await, "ADDED b");
}

#[tokio::test]
async fn a_state_of_the_future_is_waited_for_and_not_made_up() {
    let server = Server::start().await;
    server.ask("POST", MAPS, &config_map("a", json!({}))).await;
    let all = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let path = format!("{MAPS}?{all}&resourceVersion=99999999");
    let mut lines = server.watch(&path, &[]).await;
    let refused = lines.next().await.unwrap();
    assert_eq!(
        (&refused["type"], &refused["object"]["code"]),
        (&json!("ERROR"), &json!(504))
    );
    assert_eq!(lines.brief().await, "end");
    // Without the state there is nothing to wait for, and nothing to make up.
    let path = format!(
        "{MAPS}?watch=true&allowWatchBookmarks=true&resourceVersion=99999999&timeoutSeconds=1"
    );
    let mut lines = server.watch(&path, &[]).await;
    let bookmark = lines.next().await.unwrap();
    assert_ne!(
        bookmark["object"]["metadata"]["resourceVersion"],
        "99999999"
    );
}

#[tokio::test]
async fn leaving_a_selection_is_a_deletion() {
    let server = Server::start().await;
    server
        .ask("POST", MAPS, &config_map("a", json!({"tier": "x"})))
        .await;
    let mut lines = server
        .watch(&format!("{MAPS}?watch=true&labelSelector=tier%3Dx"), &[])
        .await;
    assert_eq!(lines.brief().await, "ADDED a");
    let merge = [("content-type", "application/merge-patch+json")];
    let path = format!("{MAPS}/a");
    let moved = server
        .ask_with(
            "PATCH",
            &path,
            "{\"metadata\":{\"labels\":{\"tier\":\"y\"}}}",
            &merge,
        )
        .await
        .json();
    let gone = lines.next().await.unwrap();
    assert_eq!(
        (
            gone["type"].clone(),
            gone["object"]["metadata"]["labels"]["tier"].clone()
        ),
        (json!("DELETED"), json!("x"))
    );
    assert_eq!(
        gone["object"]["metadata"]["resourceVersion"],
        moved["metadata"]["resourceVersion"]
    );
    server
        .ask_with(
            "PATCH",
            &path,
            "{\"metadata\":{\"labels\":{\"tier\":\"x\"}}}",
            &merge,
        )
        .await;
    assert_eq!(lines.brief().await, "ADDED a");
}

#[tokio::test]
async fn what_watches_share_is_to_each_what_it_selects() {
    let server = Server::start().await;
    let accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let accept = [("accept", accept)];
    let all = format!("{MAPS}?watch=true");
    let mut one = server.watch(&all, &accept).await;
    let mut other = server.watch(&all, &accept).await;
    let selecting = format!("{all}&labelSelector=tier%3Dx");
    let mut selecting = server.watch(&selecting, &accept).await;
    let mut whole = server.watch(&all, &[]).await;
    let path = format!("{MAPS}/a");
    let map = |tier: &str| config_map("a", json!({"tier": tier}));
    server.ask("POST", MAPS, &map("y")).await;
    server.ask("PUT", &path, &map("x")).await;
    server.ask("DELETE", &path, "").await;
    for lines in [&mut one, &mut other] {
        for word in ["ADDED a", "MODIFIED a", "DELETED a"] {
            assert_eq!(lines.brief().await, word);
        }
    }
    let event = selecting.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["kind"]),
        (&json!("ADDED"), &json!("PartialObjectMetadata"))
    );
    assert_eq!(selecting.brief().await, "DELETED a");
    assert_eq!(
        whole.next().await.unwrap()["object"]["kind"],
        json!("ConfigMap")
    );
}

#[tokio::test]
async fn a_watch_in_tables_has_headers_once() {
    let server = Server::start().await;
    server.ask("POST", MAPS, &config_map("a", json!({}))).await;
    server.ask("POST", MAPS, &config_map("b", json!({}))).await;
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let mut lines = server.watch(&format!("{MAPS}?watch=true"), &accept).await;
    let first = lines.next().await.unwrap();
    assert_eq!(
        (
            first["object"]["kind"].clone(),
            first["object"]["rows"][0]["cells"][0].clone()
        ),
        (json!("Table"), json!("a"))
    );
    assert_ne!(first["object"]["columnDefinitions"], json!([]));
    let second = lines.next().await.unwrap();
    assert_eq!(second["object"]["columnDefinitions"], json!([]));
}

#[tokio::test]
async fn bad_options_are_refused_before_the_stream() {
    let server = Server::start().await;
    for query in [
        "sendInitialEvents=true",
        "resourceVersion=abc",
        "fieldSelector=spec.x%3Dy",
    ] {
        let answer = server
            .ask("GET", &format!("{MAPS}?watch=true&{query}"), "")
            .await;
        assert!(
            matches!(
                answer.status,
                StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
            ),
            "{query}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn stopping_ends_watches() {
    let server = Server::start().await;
    let mut lines = server.watch(&format!("{MAPS}?watch=true"), &[]).await;
    server.tasks.stop().cancel();
    assert_eq!(lines.brief().await, "end");
}

/// Lets `subject` watch ConfigMaps in the namespace `default`, by a binding called `maps`.
async fn grant(server: &Server, subject: Value) {
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let rules = json!([{"verbs": ["watch"], "apiGroups": [""], "resources": ["configmaps"]}]);
    let role = json!({"metadata": {"name": "maps"}, "rules": rules});
    let binding = json!({"metadata": {"name": "maps"}, "subjects": [subject],
        "roleRef": {"kind": "Role", "name": "maps"}});
    server.make(&format!("{RBAC}/roles"), &role).await;
    server.make(&format!("{RBAC}/rolebindings"), &binding).await;
}

#[tokio::test]
async fn a_watch_ends_with_the_binding_that_allowed_it() {
    const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    let server = Server::start().await;
    grant(&server, json!({"kind": "User", "name": "reader"})).await;
    let path = format!("{MAPS}?watch=true");
    let mut lines = server.watch_as(&server.reader, &path, &[]).await;
    server.ask("POST", MAPS, &config_map("a", json!({}))).await;
    assert_eq!(lines.brief().await, "ADDED a");
    // A change of rights that leaves this one as it is.
    let other = json!({"metadata": {"name": "other"}, "rules": []});
    server.make(ROLES, &other).await;
    server.ask("POST", MAPS, &config_map("b", json!({}))).await;
    assert_eq!(lines.brief().await, "ADDED b");
    let binding = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/maps";
    let gone = server.ask("DELETE", binding, "").await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text());
    server.ask("POST", MAPS, &config_map("c", json!({}))).await;
    let last = lines.next().await.unwrap();
    assert_eq!(
        (&last["type"], &last["object"]["code"]),
        (&json!("ERROR"), &json!(403)),
        "{last}"
    );
    let message = last["object"]["message"].as_str().unwrap();
    assert!(
        message.contains("User \"reader\" cannot watch resource \"configmaps\""),
        "{message}"
    );
    assert_eq!(lines.brief().await, "end");
}

#[tokio::test]
async fn a_watch_ends_with_the_account_of_its_token() {
    const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
    let server = Server::start().await;
    server
        .make(ACCOUNTS, &json!({"metadata": {"name": "robot"}}))
        .await;
    let account = json!({"kind": "ServiceAccount", "name": "robot", "namespace": "default"});
    grant(&server, account).await;
    let token = server
        .ask("POST", &format!("{ACCOUNTS}/robot/token"), "{\"spec\":{}}")
        .await;
    let token = token.json()["status"]["token"].as_str().unwrap().to_owned();
    let mut lines = server
        .watch_as(&token, &format!("{MAPS}?watch=true"), &[])
        .await;
    server.ask("POST", MAPS, &config_map("a", json!({}))).await;
    assert_eq!(lines.brief().await, "ADDED a");
    server.ask("DELETE", &format!("{ACCOUNTS}/robot"), "").await;
    let last = lines.next().await.unwrap();
    assert_eq!(
        (&last["type"], &last["object"]["code"]),
        (&json!("ERROR"), &json!(401))
    );
    assert_eq!(lines.brief().await, "end");
}

#[tokio::test]
async fn a_watch_ends_with_the_secret_of_its_token() {
    const SECRETS: &str = "/api/v1/namespaces/default/secrets";
    let server = Server::start().await;
    let account = json!({"kind": "ServiceAccount", "name": "default", "namespace": "default"});
    grant(&server, account).await;
    let key = coracle_api::Key::new("default", "default");
    let account = server.registry.cache().get(kind::SERVICE_ACCOUNT, &key);
    let token = server.accounts.issue_lasting(&account.unwrap(), "kept");
    let token = token.unwrap();
    // Its controller would have written this.
    let secret = json!({
        "metadata": {"name": "kept", "annotations": {"kubernetes.io/service-account.name": "default"}},
        "type": "kubernetes.io/service-account-token",
        "stringData": {"token": token.as_str()},
    });
    server.make(SECRETS, &secret).await;
    let path = format!("{MAPS}?watch=true");
    let mut lines = server.watch_as(&token, &path, &[]).await;
    server.ask("POST", MAPS, &config_map("a", json!({}))).await;
    assert_eq!(lines.brief().await, "ADDED a");
    server.ask("DELETE", &format!("{SECRETS}/kept"), "").await;
    let last = lines.next().await.unwrap();
    assert_eq!(
        (&last["type"], &last["object"]["code"]),
        (&json!("ERROR"), &json!(401))
    );
    assert_eq!(lines.brief().await, "end");
}

#[tokio::test]
async fn a_watch_ends_some_time_after_its_token() {
    let server = Server::start().await;
    let mut lines = server.watch(&format!("{MAPS}?watch=true"), &[]).await;
    server.forget_tokens();
    // Nothing changes in the cluster: the watch asks by itself.
    let last = lines.next().await.unwrap();
    assert_eq!(last["object"]["reason"], "Unauthorized");
    assert_eq!(lines.brief().await, "end");
}

/// What a client does not read takes room of its share. A watch that finds none waits where it is, and loses nothing.
#[tokio::test]
async fn a_large_event_waits_for_room() {
    let server = Server::start().await;
    let admin = UserInfo::new("admin", [MASTERS.to_owned()]);
    let sender = server
        .state
        .outbox
        .sender(&admin, Ipv4Addr::LOCALHOST.into());
    let taken: Vec<_> = std::iter::from_fn(|| sender.room(None, 1 << 20)).collect();

    let forms = [
        "application/json",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    ];
    let path = format!("{MAPS}?watch=true&allowWatchBookmarks=true");
    let mut watches = Vec::new();
    for accept in forms {
        watches.push(server.watch(&path, &[("accept", accept)]).await);
    }
    let large = "x".repeat(1 << 20);
    for (name, text) in [("a", "x"), ("b", large.as_str()), ("c", "x")] {
        let map = json!({"metadata": {"name": name}, "data": {"a": text}});
        server.make(MAPS, &map).await;
    }
    for accept in forms {
        watches.push(server.watch(&path, &[("accept", accept)]).await);
    }
    for lines in &mut watches {
        let first = lines.next().await.unwrap();
        assert_eq!(name_of(&first), "a");
        let second = timeout(Duration::from_millis(100), lines.next()).await;
        assert!(second.is_err(), "{:?}", second.map(|event| event.is_some()));
    }
    drop(taken);
    for lines in &mut watches {
        for name in ["b", "c"] {
            assert_eq!(name_of(&lines.next().await.unwrap()), name);
        }
    }
}

/// Of an event, or of the only row of its table.
fn name_of(event: &Value) -> &Value {
    let object = &event["object"];
    let held = object.pointer("/rows/0/object").unwrap_or(object);
    &held["metadata"]["name"]
}
