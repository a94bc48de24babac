//! Events by both of their groups: one stored form, two rules.

use super::client::Server;
use http::StatusCode;
use serde_json::{Value, json};

const CORE: &str = "/api/v1/namespaces/default/events";
const OWN: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

fn whole(name: &str) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": name},
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "eventTime": "2026-01-02T03:04:05.000000Z",
        "reportingController": "example.com/tester", "reportingInstance": "tester-0",
        "action": "Trying", "reason": "Tried", "type": "Normal", "note": "note",
    })
}

#[tokio::test]
async fn the_group_that_is_asked_decides() {
    let server = Server::start().await;
    let half = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "half"}, "type": "Odd", "eventTime": null});
    let refused = server.ask("POST", OWN, &half.to_string()).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        refused.json()["message"],
        "Event \"half\" is invalid: [eventTime: Required value, type: Invalid value: \"\": has invalid value: Odd]"
    );
    let half = json!({"metadata": {"name": "half"}, "involvedObject": {}, "type": "Odd"});
    let made = server.ask("POST", CORE, &half.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());

    let made = server.ask("POST", OWN, &whole("one").to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    // A PUT that creates is a create.
    let mut other = whole("two");
    other["deprecatedCount"] = json!(1);
    let put = server
        .ask("PUT", &format!("{OWN}/two"), &other.to_string())
        .await;
    assert_eq!(put.status, StatusCode::UNPROCESSABLE_ENTITY);

    let note = json!({"note": "other"}).to_string();
    let path = format!("{OWN}/one");
    let refused = server.ask_with("PATCH", &path, &note, &[MERGE]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        refused.json()["message"],
        "Event \"one\" is invalid: message: Invalid value: \"other\": field is immutable"
    );
    let apply = [("content-type", "application/apply-patch+yaml")];
    let mut applied = whole("one");
    applied["note"] = json!("other");
    let forced = format!("{path}?fieldManager=me&force=true");
    let refused = server
        .ask_with("PATCH", &forced, applied.to_string(), &apply)
        .await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text()
    );
    let series = json!({"series": {"count": 2, "lastObservedTime": "2026-01-02T03:04:06.000000Z"}});
    let counted = server
        .ask_with("PATCH", &path, series.to_string(), &[MERGE])
        .await;
    assert_eq!(counted.status, StatusCode::OK, "{}", counted.text());
    let message = json!({"message": "other"}).to_string();
    let core = server
        .ask_with("PATCH", &format!("{CORE}/one"), &message, &[MERGE])
        .await;
    assert_eq!(core.status, StatusCode::OK, "{}", core.text());
}
