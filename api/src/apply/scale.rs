//! `/scale` of an object: a Scale is applied, and the object's managers of its replicas are the Scale's.
//!
//! Source: apimachinery `pkg/util/managedfields`, `ScaleHandler`.

use super::{
    Error, Writer, check,
    fields::{FieldSet, field},
    managed::{Entry, Managed},
    merged,
};
use crate::schema;
use serde_json::Value;

/// The version of a Scale.
const SCALE: &str = "autoscaling/v1";

/// Where the objects of an `apiVersion` have their replicas; none where it is not known, or they have none.
pub type ReplicasPath<'a> = &'a dyn Fn(&str) -> Option<Vec<String>>;

/// What an applied Scale makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaled {
    /// The Scale.
    pub scale: Value,
    /// The managers of the object; none when it has none.
    pub managers: Option<Value>,
}

/// What `config`, a Scale that is applied by `writer`, makes of `scale`, which is the Scale of `live`.
///
/// # Errors
/// When it is no Scale, or, without `force`, when it changes replicas that others manage.
pub fn apply_scale(
    (live, scale): (&Value, &Value),
    config: &Value,
    writer: Writer<'_>,
    force: bool,
    path: ReplicasPath<'_>,
) -> Result<Scaled, Error> {
    let ty = schema::scale_type();
    check(ty, config)?;
    let managed = Managed::decode(live).map_err(Error::Malformed)?;
    let mut of_scale = to_scale(&managed, path);
    let applier = Writer {
        api_version: SCALE,
        ..writer
    };
    let mut new = merged(ty, scale, config, &mut of_scale, (applier, force))?;
    let replicas = &scale["spec"]["replicas"];
    if new["spec"]["replicas"].is_null() && !replicas.is_null() {
        // Who applies no number any more lets go of it; it is nobody's wish that nothing runs.
        new["spec"]["replicas"] = replicas.clone();
    }
    let managed = to_object(&managed, &of_scale, writer.api_version, path);
    let managers = (!managed.is_empty()).then(|| managed.encode());
    Ok(Scaled {
        scale: new,
        managers,
    })
}

fn replicas_of_scale() -> Vec<String> {
    vec![field("spec"), field("replicas")]
}

/// Where an entry has the replicas, if it has them.
fn replicas_in(entry: &Entry, path: ReplicasPath<'_>) -> Option<Vec<String>> {
    let names = path(&entry.api_version)?;
    let path: Vec<String> = names.iter().map(|name| field(name)).collect();
    entry.set.contains(&path).then_some(path)
}

/// The managers of the replicas, as managers of a Scale.
fn to_scale(managed: &Managed, path: ReplicasPath<'_>) -> Managed {
    let mut of_scale = Managed::default();
    for (id, entry) in managed.entries() {
        if replicas_in(entry, path).is_some() {
            let set = FieldSet::of(&replicas_of_scale());
            let entry = Entry::new(SCALE, set, entry.time.clone());
            of_scale.put(id.of_version(SCALE), entry);
        }
    }
    of_scale
}

/// The object's managers, when those of its Scale have become these.
fn to_object(
    managed: &Managed,
    of_scale: &Managed,
    api_version: &str,
    path: ReplicasPath<'_>,
) -> Managed {
    let (mut new, mut left) = (Managed::default(), of_scale.clone());
    for (id, entry) in managed.entries() {
        let mut entry = entry.clone();
        let has_them = |of: Entry| of.set.contains(&replicas_of_scale());
        if let Some(path) = replicas_in(&entry, path)
            && !left.take(&id.of_version(SCALE)).is_some_and(has_them)
        {
            entry.set = entry.set.difference(&FieldSet::of(&path));
        }
        new.put(id.clone(), entry);
    }
    let names = path(api_version).unwrap_or_default();
    let replicas: Vec<String> = names.iter().map(|name| field(name)).collect();
    for (id, entry) in left.entries() {
        if !entry.set.contains(&replicas_of_scale()) {
            continue;
        }
        let id = id.of_version(api_version);
        let mut set = FieldSet::of(&replicas);
        if let Some(before) = new.take(&id) {
            set = set.union(&before.set);
        }
        new.put(id, Entry::new(api_version, set, entry.time.clone()));
    }
    new
}

#[cfg(test)]
mod tests;
