//! Server-side apply: who manages which field, and what an applied configuration makes of an object.
//!
//! Two pure functions: [`track`] after any other write, [`apply`] for an apply patch. Neither ever looks at
//! what a field means; the type says how it merges. The caller gives the time.
//! Source: Kubernetes documentation, "Server-Side Apply"; structured-merge-diff `merge`; apimachinery
//! `pkg/util/managedfields`.

mod config;
mod fields;
mod managed;
mod merge;
mod scale;
mod walk;

use crate::{schema::Type, status::Cause};
use fields::FieldSet;
use managed::{Entry, Id, Managed, Operation};
pub use scale::{ReplicasPath, Scaled, apply_scale};
use serde_json::{Map, Value, json};

/// Where `kubectl apply` without `--server-side` keeps what it applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The manager that takes over what the annotation says.
const KUBECTL: &str = "kubectl";
/// Whose fields those are that were there before anybody applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Who writes, and which part of an object.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The field manager.
    pub manager: &'a str,
    /// `apps/v1`.
    pub api_version: &'a str,
    /// `status`, `scale`, or empty for the object itself.
    pub subresource: &'a str,
    /// What a write to this part leaves as it is, whatever it says: a field, and one below it or nothing for all of it.
    pub leaves: &'a [(&'a str, &'a str)],
    /// Now, as the API prints times.
    pub time: &'a str,
}

/// A field that somebody else manages with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    manager: String,
    path: String,
}

/// Why a configuration is not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no configuration.
    #[error("{0}")]
    Malformed(String),
    /// It does not fit the type; each line starts with a path.
    #[error("{0}")]
    Mistyped(String),
    /// Others manage what it changes.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
}

impl Error {
    /// The conflicts as the causes of a status.
    #[must_use]
    pub fn causes(&self) -> Vec<Cause> {
        let Self::Conflicts(conflicts) = self else {
            return Vec::new();
        };
        let cause = |conflict: &Conflict| Cause {
            reason: "FieldManagerConflict",
            message: format!("conflict with {}", conflict.manager),
            field: conflict.path.clone(),
        };
        conflicts.iter().map(cause).collect()
    }
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [one] = conflicts {
        return format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            one.manager, one.path
        );
    }
    let mut lines: Vec<String> = Vec::new();
    let mut manager = "";
    for conflict in conflicts {
        if conflict.manager != manager {
            manager = &conflict.manager;
            lines.push(format!("conflicts with {manager}:"));
        }
        lines.push(format!("- {}", conflict.path));
    }
    format!(
        "Apply failed with {} conflicts: {}",
        conflicts.len(),
        lines.join("\n")
    )
}

/// Notes in `new` who manages what, after a write that was no apply: `live` is what was there before, if
/// anything. Without a writer changed fields only lose their managers.
///
/// What has no managers when it changes gets none: it was made by a part of the system, or a client took
/// them away; the first apply begins to count.
pub fn track(ty: Type<'_>, live: Option<&Value>, new: &mut Value, writer: Option<Writer<'_>>) {
    let asked = take_managed_fields(new);
    let of_live = || live.map(Managed::decode).and_then(Result::ok);
    let on_part = writer.is_some_and(|writer| !writer.subresource.is_empty());
    let mut managed = match asked {
        // An empty list, or one empty entry, is a client's wish to forget.
        Some(asked) if !on_part && is_reset(&asked) => Managed::default(),
        Some(asked) if !on_part => Managed::of_entries(&asked)
            .ok()
            .filter(|managed| !managed.is_empty())
            .or_else(of_live)
            .unwrap_or_default(),
        _ => of_live().unwrap_or_default(),
    };
    if managed.is_empty() && (live.is_some() || writer.is_none()) {
        return;
    }
    let nothing = nothing_of(new);
    managed.settle(ty);
    note_update(ty, live.unwrap_or(&nothing), new, &mut managed, writer);
    managed.cap();
    put_managed_fields(new, &managed);
}

/// What `config`, applied by `writer`, makes of `live` (an empty object where there is none yet).
///
/// # Errors
/// When the configuration does not fit the type, or, without `force`, when it changes what others manage.
pub fn apply(
    ty: Type<'_>,
    live: &Value,
    config: &Value,
    writer: Writer<'_>,
    force: bool,
) -> Result<Value, Error> {
    check(ty, config)?;
    let mut managed = Managed::decode(live).map_err(Error::Malformed)?;
    let mut live = live.clone();
    take_managed_fields(&mut live);
    let mut new = merged(ty, &live, config, &mut managed, (writer, force))?;
    if writer.manager == KUBECTL {
        renew_last_applied(&mut new, config);
    }
    put_managed_fields(&mut new, &managed);
    Ok(new)
}

/// Whether it is a configuration of this type.
fn check(ty: Type<'_>, config: &Value) -> Result<(), Error> {
    if config["metadata"]
        .get("managedFields")
        .is_some_and(|fields| !fields.is_null())
    {
        let why = "metadata.managedFields must be nil";
        return Err(Error::Malformed(why.to_owned()));
    }
    config::check(ty, config).map_err(Error::Mistyped)
}

/// The same with the managers apart; `live` has none in it.
fn merged(
    ty: Type<'_>,
    live: &Value,
    config: &Value,
    managed: &mut Managed,
    (writer, force): (Writer<'_>, bool),
) -> Result<Value, Error> {
    let config = without(config, writer.leaves);
    managed.settle(ty);
    if managed.is_empty() {
        let before = Writer {
            manager: BEFORE_FIRST_APPLY,
            ..writer
        };
        let (nothing, seen) = (nothing_of(live), without(live, writer.leaves));
        note_update(ty, &nothing, &seen, managed, Some(before));
    }
    let id = Id::new(writer, Operation::Apply);
    let last = managed.take(&id);
    let set = walk::set_of(ty, &config);
    let merged = merge::merge(ty, live, &config);
    let new = match &last {
        Some(last) => merge::prune(ty, &merged, &last.set, &set, managed),
        None => merged,
    };
    let changes = walk::compare(ty, live, &new);
    let found = managed.conflicts(&changes);
    let stands = !force && !is_taken_over(ty, live, writer, &found);
    if stands && !found.is_empty() {
        return Err(Error::Conflicts(managed.describe(&found)));
    }
    managed.give_up(&changes);
    let changed = new != *live;
    let time = match last {
        Some(last) if !changed => last.time,
        _ => Some(writer.time.to_owned()),
    };
    let set = set.difference(&fields::unmanaged());
    managed.put(id, Entry::new(writer.api_version, set, time));
    Ok(new)
}

/// What an object was before it was there: what is null in it, upstream's servers always write, and nobody manages it.
fn nothing_of(object: &Value) -> Value {
    let fields = object.as_object().into_iter().flatten();
    let nulls = fields.filter(|(_, value)| value.is_null());
    Value::Object(nulls.map(|(name, _)| (name.clone(), Value::Null)).collect())
}

/// Moves what changed between two states to the writer.
fn note_update(
    ty: Type<'_>,
    live: &Value,
    new: &Value,
    managed: &mut Managed,
    writer: Option<Writer<'_>>,
) {
    let changes = walk::compare(ty, live, new);
    managed.give_up(&changes);
    let Some(writer) = writer else {
        return;
    };
    let own = changes.set.difference(&fields::unmanaged());
    if own.is_empty() {
        return;
    }
    let id = Id::new(writer, Operation::Update);
    let own = match managed.take(&id) {
        Some(before) => before.set.union(&own),
        None => own,
    };
    let entry = Entry::new(writer.api_version, own, Some(writer.time.to_owned()));
    managed.put(id, entry);
}

/// An object without these fields: a write to a part says nothing of the rest.
fn without(object: &Value, fields: &[(&str, &str)]) -> Value {
    let mut object = object.clone();
    for (name, below) in fields {
        let (holder, field) = match *below {
            "" => (Some(&mut object), name),
            _ => (object.get_mut(name), below),
        };
        if let Some(map) = holder.and_then(Value::as_object_mut) {
            map.remove(*field);
        }
    }
    object
}

/// Whether all conflicts are about fields that `kubectl apply` without `--server-side` wrote last: those
/// belong to the same person.
fn is_taken_over(
    ty: Type<'_>,
    live: &Value,
    writer: Writer<'_>,
    conflicts: &[(Id, FieldSet)],
) -> bool {
    if writer.manager != KUBECTL {
        return false;
    }
    let text = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let Some(last) = text.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return false;
    };
    if last["apiVersion"] != writer.api_version {
        return false;
    }
    let changes = walk::compare(ty, &last, live);
    let own = walk::set_of(ty, &last)
        .difference(&changes.set)
        .difference(&changes.removed);
    conflicts
        .iter()
        .all(|(_, fields)| fields.difference(&own).is_empty())
}

fn renew_last_applied(object: &mut Value, config: &Value) {
    let annotation = object
        .get_mut("metadata")
        .and_then(|meta| meta.get_mut("annotations")?.get_mut(LAST_APPLIED));
    let Some(annotation) =
        annotation.filter(|text| text.as_str().is_some_and(|text| !text.is_empty()))
    else {
        return;
    };
    let mut config = config.clone();
    let annotations = config
        .get_mut("metadata")
        .and_then(|meta| meta.get_mut("annotations")?.as_object_mut());
    if let Some(annotations) = annotations {
        annotations.remove(LAST_APPLIED);
    }
    *annotation = json!(format!("{config}\n"));
}

fn take_managed_fields(object: &mut Value) -> Option<Value> {
    object
        .get_mut("metadata")?
        .as_object_mut()?
        .remove("managedFields")
}

fn is_reset(entries: &Value) -> bool {
    match entries.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([one]) => one.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

fn put_managed_fields(object: &mut Value, managed: &Managed) {
    take_managed_fields(object);
    if managed.is_empty() {
        return;
    }
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.insert("managedFields".to_owned(), managed.encode());
    }
}

#[cfg(test)]
mod tests;
