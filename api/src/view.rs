//! Kinds that are a second view of another kind's objects: one stored form, two shapes for clients.
//!
//! Pure. For every kind that is no such view both directions change nothing.

mod autoscaling;
mod event;

use crate::{KindRef, protobuf};
use serde_json::Value;

/// A stored object as `kind` shows it.
#[must_use]
pub fn shown(kind: KindRef, value: Value) -> Value {
    // Versions of a custom kind differ in their schemas alone, and which one is stored may have changed since.
    if kind.is_custom() {
        let mut value = value;
        value["apiVersion"] = kind.api_version().into();
        return value;
    }
    if kind.storage() == kind {
        return value;
    }
    let mut value = match kind.group {
        "autoscaling" => autoscaling::shown(value),
        _ => event::shown(value),
    };
    value["apiVersion"] = kind.api_version().into();
    // What the one always writes the other may leave out.
    protobuf::canonical(kind, &mut value);
    value
}

/// An object of `kind` as it is stored.
#[must_use]
pub fn stored(kind: KindRef, value: Value) -> Value {
    let stored = kind.storage();
    if stored == kind || kind.is_custom() {
        return value;
    }
    let mut value = match kind.group {
        "autoscaling" => autoscaling::stored(value),
        _ => event::stored(value),
    };
    if value.get("apiVersion").is_some() {
        value["apiVersion"] = stored.api_version().into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind;
    use serde_json::json;

    #[test]
    fn only_views_change_anything() {
        let value = json!({"apiVersion": "v1", "note": 1, "spec": {"metrics": []}});
        assert_eq!(stored(kind::POD, value.clone()), value);
        assert_eq!(shown(kind::EVENT, value.clone()), value);
        assert_eq!(shown(kind::HORIZONTAL_POD_AUTOSCALER, value.clone()), value);
    }
}
