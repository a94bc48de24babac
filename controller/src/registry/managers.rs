//! Field managers: who wrote which field, beside every write.
//!
//! A part of the system writes without a manager: what it creates has none until somebody applies to it, and
//! what it changes of others' objects is taken from them without an entry of its own (docs/adr/0003).

use super::{Context, Patch, Subresource, parts};
use coracle_api::{
    Kind, KindRef, StatusError,
    apply::{self, Error, ReplicasPath, Scaled, Writer},
    schema::{SCALE, Type, TypeName},
};
use jiff::Timestamp;
use serde_json::Value;

const MANAGED_FIELDS: &str = "managedFields";

fn subresource(part: Subresource) -> &'static str {
    match part {
        Subresource::None => "",
        Subresource::Status => "status",
        Subresource::Scale => "scale",
        Subresource::Finalize => "finalize",
        Subresource::Approval => "approval",
    }
}

/// The managers of an object, if it has any.
pub(super) fn of(object: &Value) -> Option<Value> {
    let managers = object["metadata"].get(MANAGED_FIELDS);
    managers.filter(|managers| !managers.is_null()).cloned()
}

/// Gives an object these managers and no others.
pub(super) fn put(object: &mut Value, managers: Option<Value>) {
    let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    match managers {
        Some(managers) => meta.insert(MANAGED_FIELDS.to_owned(), managers),
        None => meta.remove(MANAGED_FIELDS),
    };
}

/// Notes in `new` what a write that was no apply changed.
pub(super) fn track(
    context: &Context,
    (kind, part): (KindRef, Subresource),
    ty: Type<'_>,
    live: Option<&Value>,
    new: &mut Value,
    now: Timestamp,
) {
    let time = coracle_api::time(now);
    let api_version = kind.api_version();
    let writer = context.field_manager.as_deref().map(|manager| Writer {
        manager,
        api_version: &api_version,
        subresource: subresource(part),
        leaves: &[],
        time: &time,
    });
    let status = match live {
        // A new object's status is the server's.
        None if kind.status_split() => new.as_object_mut().and_then(|map| map.remove("status")),
        _ => None,
    };
    apply::track(ty, live, new, writer);
    if let Some(status) = status {
        new["status"] = status;
    }
}

/// What an apply patch makes of the object, with its managers; none is there yet where `live` is empty.
pub(super) fn apply(
    context: &Context,
    (kind, part): (KindRef, Subresource),
    ty: Type<'_>,
    live: &Value,
    patch: &Patch,
    now: Timestamp,
) -> Result<Value, StatusError> {
    let time = coracle_api::time(now);
    let api_version = kind.api_version();
    let leaves = parts::leaves(kind, part, &patch.body);
    let writer = Writer {
        manager: context.field_manager.as_deref().unwrap_or_default(),
        api_version: &api_version,
        subresource: subresource(part),
        leaves: &leaves,
        time: &time,
    };
    let applied = apply::apply(ty, live, &patch.body, writer, patch.force);
    applied.map_err(|error| refused(error, patch, (kind.group, kind.version, kind.kind)))
}

/// The same of a Scale; `live` is the object and its Scale.
pub(super) fn apply_scale(
    context: &Context,
    kind: KindRef,
    live: (&Value, &Value),
    patch: &Patch,
    path: ReplicasPath<'_>,
    now: Timestamp,
) -> Result<Scaled, StatusError> {
    let time = coracle_api::time(now);
    let api_version = kind.api_version();
    let writer = Writer {
        manager: context.field_manager.as_deref().unwrap_or_default(),
        api_version: &api_version,
        subresource: subresource(Subresource::Scale),
        leaves: &[],
        time: &time,
    };
    let scaled = apply::apply_scale(live, &patch.body, writer, patch.force, path);
    scaled.map_err(|error| refused(error, patch, SCALE))
}

fn refused(error: Error, patch: &Patch, of: TypeName<'_>) -> StatusError {
    match error {
        Error::Malformed(_) => StatusError::bad_request(error.to_string()),
        Error::Mistyped(_) => {
            let text = |name: &str| patch.body["metadata"][name].as_str().unwrap_or_default();
            let (namespace, name) = (text("namespace"), text("name"));
            StatusError::plain(format!(
                "failed to create typed patch object ({namespace}/{name}; {}): {error}",
                Kind::full_name(of)
            ))
        }
        Error::Conflicts(_) => StatusError::apply_conflict(error.to_string(), error.causes()),
    }
}
