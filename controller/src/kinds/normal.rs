//! Objects of custom kinds as their definitions have them now.
//!
//! An object was decided under the schema of its time. Whoever reads it sees what its version's schema makes of it now: made
//! at the first look after a change, kept beside what is stored, and never written by a read. An object that was decided
//! under the schema there is costs a comparison of two numbers.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/apiserver/customresource_handler.go`, `crdConversionRESTOptionsGetter`.

use super::{Custom, Kinds};
use crate::object::Object;
use coracle_api::KindRef;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Stands for the text of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SchemaId([u8; 16]);

impl SchemaId {
    pub(super) fn of(schema: &Value) -> Self {
        let digest: [u8; 32] = Sha256::digest(schema.to_string()).into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

/// Whether the JSON of an object is of this kind and version: a row may have changed in what else it says.
pub(crate) fn is_of(object: &Object, kind: KindRef) -> bool {
    let row = object.kind;
    row == kind
        || (row.is_custom()
            && (row.group, row.version, row.kind) == (kind.group, kind.version, kind.kind))
}

/// A normal object as its kind shows it, which may be custom.
pub(crate) fn shown(custom: Option<&Custom>, object: &Object) -> Value {
    match custom {
        Some(custom) => custom.shown(object),
        None => object.value(),
    }
}

impl Custom {
    /// A normal object as this version shows it.
    #[must_use]
    pub fn shown(&self, object: &Object) -> Value {
        let mut value = object.value();
        if !is_of(object, self.kind) {
            self.version.convert(&mut value);
        }
        value
    }

    /// Whether objects are the same by both.
    pub(crate) fn reads_as(&self, other: &Self) -> bool {
        self.schema == other.schema
    }

    /// What the schema makes of a stored object.
    fn normal(&self, object: Arc<Object>) -> Arc<Object> {
        object.under(self.schema, || {
            let stored = object.value();
            let mut value = stored.clone();
            if self.version.normalise(&mut value).is_err() {
                let of = self.kind.kind;
                tracing::warn!(kind = of, name = %object.key, "too many defaults: some are left out");
            }
            if value == stored {
                return None;
            }
            let normal = Object::new(self.kind, object.revision, value).ok()?;
            Some(normal.decided_under(self.schema))
        })
    }
}

impl Kinds {
    /// An object as its kind's definition has it now; of a built-in kind, the object.
    #[must_use]
    pub fn normal(&self, object: Arc<Object>) -> Arc<Object> {
        if !object.kind.is_custom() {
            return object;
        }
        match self.reading(object.kind) {
            Some(custom) => custom.normal(object),
            None => object,
        }
    }

    /// As [`Kinds::normal`], all objects of a kind.
    #[must_use]
    pub fn all_normal(&self, kind: KindRef, objects: Vec<Arc<Object>>) -> Vec<Arc<Object>> {
        if !kind.is_custom() {
            return objects;
        }
        // Nearly all are stored as the same version.
        let mut last: Option<(KindRef, Option<Arc<Custom>>)> = None;
        let normal = |object: Arc<Object>| {
            let row = object.kind;
            let held = last.take().filter(|(of, _)| *of == row);
            let (_, custom) = last.insert(held.unwrap_or_else(|| (row, self.reading(row))));
            match custom {
                Some(custom) => custom.normal(object),
                None => object,
            }
        };
        objects.into_iter().map(normal).collect()
    }

    /// Makes of the next state of an object what the version has of it that is stored; says under which schema.
    ///
    /// Never refuses: an object whose definition gives it too much must be able to go.
    pub(crate) fn at_rest(&self, kind: KindRef, value: &mut Value) -> Option<SchemaId> {
        let custom = self.custom_of(kind.storage())?;
        let _filled = custom.version.normalise(value);
        Some(custom.schema)
    }

    /// The row that an object of `plural.group` in this version is read by: the stored version's, where the definition has
    /// no such version any more.
    #[must_use]
    pub fn reading_row(&self, group_resource: &str, api_version: &str) -> Option<KindRef> {
        let row = self.by_group_resource(group_resource)?;
        let Some((group, version)) = api_version.split_once('/').filter(|_| row.is_custom()) else {
            return Some(row);
        };
        let state = self.0.read();
        let own = state.by_version.get(&[group, version, row.plural]);
        Some(own.map_or(row, |custom| custom.kind))
    }

    /// By which schema what was stored as a row is read.
    fn reading(&self, row: KindRef) -> Option<Arc<Custom>> {
        let state = self.0.read();
        let own = state.by_version.get(&[row.group, row.version, row.plural]);
        let stored = || {
            let of_definition = state.custom.get(&row.group_resource())?;
            let stored = of_definition.first()?.kind.storage();
            state.by_row.get(&stored)
        };
        own.or_else(stored).cloned()
    }
}
