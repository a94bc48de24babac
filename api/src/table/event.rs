//! Events, as they are printed. Those of `events.k8s.io` are a view of the same objects.

use super::{Column, NAME, UNKNOWN, column, number, since, text};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const COLUMNS: &[Column] = &[
    column("Last Seen", "string", 0),
    column("Type", "string", 0),
    column("Reason", "string", 0),
    column("Object", "string", 0),
    column("Subobject", "string", 1),
    column("Source", "string", 1),
    column("Message", "string", 0),
    column("First Seen", "string", 1),
    column("Count", "string", 1),
    Column {
        priority: 1,
        ..NAME
    },
];

pub(super) fn cells(object: &Value, name: Value, now: Timestamp) -> Vec<Value> {
    let age = |path: &str| since(text(object, path), now);
    let known = |path: &str| Some(age(path)).filter(|age| age != UNKNOWN);
    let first = known("/firstTimestamp").unwrap_or_else(|| age("/eventTime"));
    let (last, count) = if object["series"].is_null() {
        let last = known("/lastTimestamp").unwrap_or_else(|| first.clone());
        // What happened once has no count in the new form of Events.
        let count = match number(object, "/count") {
            0 => 1,
            count => count,
        };
        (last, count)
    } else {
        let last = age("/series/lastObservedTime");
        (last, number(object, "/series/count"))
    };
    vec![
        json!(last),
        json!(text(object, "/type")),
        json!(text(object, "/reason")),
        json!(subject(object)),
        json!(text(object, "/involvedObject/fieldPath")),
        json!(source(object)),
        json!(text(object, "/message").trim()),
        json!(first),
        json!(count),
        name,
    ]
}

fn subject(event: &Value) -> String {
    let kind = text(event, "/involvedObject/kind").to_lowercase();
    match text(event, "/involvedObject/name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

/// Who reports it, and from where.
fn source(event: &Value) -> String {
    let first_of = |paths: [&str; 2]| match text(event, paths[0]) {
        "" => text(event, paths[1]),
        found => found,
    };
    let component = first_of(["/source/component", "/reportingComponent"]);
    match first_of(["/source/host", "/reportingInstance"]) {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    }
}
