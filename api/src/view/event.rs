//! `events.k8s.io/v1 Event` as a view of the stored `v1 Event`: other names for the same fields.

use serde_json::Value;

/// Name in `events.k8s.io/v1`, name in `v1`.
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

pub(super) fn shown(mut value: Value) -> Value {
    for (shown, stored) in NAMES {
        rename(&mut value, stored, shown);
    }
    value
}

pub(super) fn stored(mut value: Value) -> Value {
    for (shown, stored) in NAMES {
        rename(&mut value, shown, stored);
    }
    value
}

fn rename(value: &mut Value, from: &str, to: &str) {
    if let Some(fields) = value.as_object_mut()
        && let Some(field) = fields.remove(from)
    {
        fields.insert(to.to_owned(), field);
    }
}

#[cfg(test)]
mod tests {
    use crate::{kind, view};
    use serde_json::json;

    #[test]
    fn both_ways() {
        let new = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {},
            "note": "text",
            "regarding": {"name": "p"},
            "reportingController": "c",
            "reason": "R",
            "eventTime": null,
            "deprecatedSource": {},
            "deprecatedFirstTimestamp": null,
            "deprecatedLastTimestamp": null,
        });
        let old = view::stored(kind::EVENTS_EVENT, new.clone());
        assert_eq!(old["apiVersion"], "v1");
        assert_eq!(
            (&old["message"], &old["involvedObject"]["name"]),
            (&json!("text"), &json!("p"))
        );
        assert_eq!(view::shown(kind::EVENTS_EVENT, old.clone()), new);
        // Only `v1` writes one that nobody said.
        let mut old = old;
        old["reportingInstance"] = json!("");
        assert_eq!(view::shown(kind::EVENTS_EVENT, old), new);
    }
}
