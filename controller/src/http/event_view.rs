//! `events.k8s.io/v1 Event` as a view of the stored `v1 Event`: other names for the same fields.
//!
//! Pure. For every kind that is not such a view both directions change nothing.

use coracle_api::{Kind, KindRef};
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

fn is_view(kind: &Kind) -> bool {
    kind.group == "events.k8s.io"
}

/// A stored object as `kind` shows it.
pub(crate) fn shown(kind: KindRef, mut value: Value) -> Value {
    if is_view(kind) {
        for (shown, stored) in NAMES {
            rename(&mut value, stored, shown);
        }
        value["apiVersion"] = kind.api_version().into();
    }
    value
}

/// A body, or a patch that has an object's form, of `kind` as it is stored.
pub(crate) fn stored(kind: KindRef, mut value: Value) -> Value {
    if !is_view(kind) {
        return value;
    }
    for (shown, stored) in NAMES {
        rename(&mut value, shown, stored);
    }
    if value.get("apiVersion").is_some() {
        value["apiVersion"] = kind.storage().api_version().into();
    }
    for operation in value.as_array_mut().into_iter().flatten() {
        for field in ["path", "from"] {
            let Some(path) = operation.get(field).and_then(Value::as_str) else {
                continue;
            };
            let mut parts = path.splitn(3, '/').map(str::to_owned).collect::<Vec<_>>();
            if let Some(name) = parts.get_mut(1)
                && let Some((_, stored)) = NAMES.iter().find(|(shown, _)| shown == name)
            {
                (*stored).clone_into(name);
            }
            operation[field] = parts.join("/").into();
        }
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
    use super::*;
    use coracle_api::kind;
    use serde_json::json;

    #[test]
    fn both_ways() {
        let new = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "note": "text",
            "regarding": {"name": "p"},
            "reportingController": "c",
            "reason": "R",
        });
        let old = stored(kind::EVENTS_EVENT, new.clone());
        assert_eq!(old["apiVersion"], "v1");
        assert_eq!(
            (&old["message"], &old["involvedObject"]["name"]),
            (&json!("text"), &json!("p"))
        );
        assert_eq!(shown(kind::EVENTS_EVENT, old), new);
        let patch = json!([{"op": "replace", "path": "/note", "value": "x"}]);
        assert_eq!(stored(kind::EVENTS_EVENT, patch)[0]["path"], "/message");
        assert_eq!(stored(kind::POD, json!({"note": 1})), json!({"note": 1}));
    }
}
