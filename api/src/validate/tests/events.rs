//! Events by both of their groups, as they are stored.

use super::*;

/// An Event that is whole by `events.k8s.io/v1`.
fn whole() -> Value {
    json!({
        "metadata": {"name": "a", "namespace": "n"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "n"},
        "eventTime": "2026-01-02T03:04:05.000000Z",
        "reportingComponent": "example.com/tester",
        "reportingInstance": "tester-0",
        "action": "Trying",
        "reason": "Tried",
        "type": "Normal",
        "message": "note",
    })
}

fn edited(edit: impl Fn(&mut Value)) -> Value {
    let mut event = whole();
    edit(&mut event);
    event
}

#[test]
fn of_the_core_group() {
    let event = |namespace: &str| json!({"metadata": {"namespace": "n"}, "involvedObject": {"namespace": namespace}});
    check(kind::EVENT, event("n"), &[]);
    let said = "does not match event.namespace";
    for namespace in ["m", ""] {
        let said = format!("involvedObject.namespace: Invalid value: \"{namespace}\": {said}");
        check(kind::EVENT, event(namespace), &[&said]);
    }
    // Any name that a path can hold, and nothing that a new one needs.
    let mut odd = event("n");
    odd["metadata"]["name"] = json!("Odd_Name:1");
    check(kind::EVENT, odd, &[]);
    // With a time it is a new one, by its old names.
    let timed = edited(|event| {
        event["action"] = json!("");
        event["reportingComponent"] = json!("a b");
        event["reportingInstance"] = json!("i".repeat(129));
        event["message"] = json!("m".repeat(1025));
        event["type"] = json!("Odd");
        event["count"] = json!(1);
    });
    check(
        kind::EVENT,
        timed,
        &[
            &format!(
                "reportingComponent: Invalid value: \"a b\": {}",
                meta::QUALIFIED_MESSAGE
            ),
            "reportingInstance: Invalid value: \"\": can have at most 128 characters",
            "action: Required value",
            "message: Invalid value: \"\": can have at most 1024 characters",
        ],
    );
}

#[test]
fn of_their_own_group() {
    check(kind::EVENTS_EVENT, whole(), &[]);
    let without_namespace = |namespace: &'static str| {
        edited(move |event| {
            event["metadata"]["namespace"] = json!(namespace);
            event["involvedObject"] = json!({"kind": "Node", "name": "n"});
        })
    };
    check(kind::EVENTS_EVENT, without_namespace("kube-system"), &[]);
    check(
        kind::EVENTS_EVENT,
        without_namespace("n"),
        &["involvedObject.namespace: Invalid value: \"\": does not match event.namespace"],
    );
    check(
        kind::EVENTS_EVENT,
        json!({"metadata": {"name": "a", "namespace": "n"}, "involvedObject": {"namespace": "n"}}),
        &[
            "eventTime: Required value",
            "type: Invalid value: \"\": has invalid value: ",
        ],
    );
    check(
        kind::EVENTS_EVENT,
        edited(|event| {
            let fields = [
                "reportingComponent",
                "reportingInstance",
                "action",
                "reason",
            ];
            for field in fields {
                event[field] = json!("");
            }
            event["type"] = json!("Odd");
            event["count"] = json!(1);
            event["firstTimestamp"] = json!("2026-01-02T03:04:05Z");
            event["lastTimestamp"] = json!("2026-01-02T03:04:05Z");
            event["source"] = json!({"host": "h"});
            event["series"] = json!({"count": 1});
        }),
        &[
            "reportingController: Required value",
            "reportingController: Invalid value: \"\": name part must be non-empty",
            &format!(
                "reportingController: Invalid value: \"\": {}",
                meta::QUALIFIED_MESSAGE
            ),
            "reportingInstance: Required value",
            "action: Required value",
            "reason: Required value",
            "series.count: Invalid value: \"\": should be at least 2",
            "series.lastObservedTime: Required value",
            "type: Invalid value: \"\": has invalid value: Odd",
            "firstTimestamp: Invalid value: \"\": needs to be unset",
            "lastTimestamp: Invalid value: \"\": needs to be unset",
            "count: Invalid value: \"\": needs to be unset",
            "source: Invalid value: \"\": needs to be unset",
        ],
    );
}

#[test]
fn nothing_but_its_series_changes() {
    let series = |event: &mut Value| {
        event["series"] = json!({"count": 2, "lastObservedTime": "2026-01-02T03:04:06.000000Z"});
    };
    check_change(kind::EVENTS_EVENT, whole(), series, &[]);
    check_change(
        kind::EVENTS_EVENT,
        whole(),
        |event| event["series"] = json!({"count": 1}),
        &["series.count", "series.lastObservedTime"],
    );
    check_change(
        kind::EVENTS_EVENT,
        whole(),
        |event| {
            event["count"] = json!(0);
            event["source"] = json!({});
            event["metadata"]["labels"] = json!({"a": "b"});
        },
        &[],
    );
    check_change(
        kind::EVENTS_EVENT,
        whole(),
        |event| {
            for field in ["reason", "message", "type", "action", "reportingInstance"] {
                event[field] = json!("Other");
            }
            event["involvedObject"]["name"] = json!("q");
            event["reportingComponent"] = json!("other");
            event["related"] = json!({"kind": "Node"});
            event["eventTime"] = json!("2027-01-02T03:04:05.000000Z");
        },
        &[
            "involvedObject",
            "reason",
            "message",
            "type",
            "eventTime",
            "action",
            "related",
            "reportingController",
            "reportingInstance",
        ],
    );
    // By the old group all of it may.
    check_change(
        kind::EVENT,
        whole(),
        |event| event["reason"] = json!("Other"),
        &[],
    );
}
