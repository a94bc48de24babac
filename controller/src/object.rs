//! An object as the cache holds it: encoded once, shared; decoded for as long as somebody looks at it.

mod recent;

use crate::kinds::SchemaId;
use bytes::Bytes;
use coracle_api::{
    Key, KindRef, Revision, StatusError,
    go::{DEPTH_MAX, is_deeper, to_json},
    k8s_openapi::{Metadata, apimachinery::pkg::apis::meta::v1::ObjectMeta},
};
use parking_lot::Mutex;
use recent::Decoded;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
};

const MANAGED_FIELDS: &str = "managedFields";
/// What a schema makes of an object is kept beside it if it takes no more than so many times its bytes, and these: a small
/// object with large defaults would take memory that nobody counts.
const NORMAL_TIMES_MAX: usize = 2;
const NORMAL_BYTES: usize = 4 * 1024;

/// An object at a revision. Never changes; a write makes a new one.
pub struct Object {
    /// Its row in the table of kinds: the stored one, for kinds that share objects.
    pub kind: KindRef,
    /// Namespace and name.
    pub key: Key,
    /// When it was written.
    pub revision: Revision,
    /// Its metadata, without managers.
    pub meta: ObjectMeta,
    /// The JSON that clients get, `resourceVersion` included.
    pub raw: Bytes,
    /// Four times as large as the JSON, and looked at when the object is new: not kept here.
    typed: Mutex<Option<Weak<Decoded>>>,
    /// What is asked of it again and again, in a few hundred bytes.
    brief: OnceLock<Arc<Decoded>>,
    /// Of an object of a custom kind: what its definition's schema made of it last.
    normal: Mutex<Option<Box<Normal>>>,
}

/// What a schema makes of an object.
struct Normal {
    schema: SchemaId,
    /// None: the object as it is.
    form: Option<Arc<Object>>,
}

impl fmt::Debug for Object {
    // Never the content: it may be a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} @{}", self.kind.kind, self.key, self.revision)
    }
}

impl Object {
    /// Makes an object of `value`, stamped with `revision`; with none for revision 0, of an object
    /// that was only tried to be created.
    ///
    /// # Errors
    /// When the metadata has a field of a wrong type, or it nests so deep that nobody could read it again.
    pub fn new(kind: KindRef, revision: Revision, mut value: Value) -> Result<Self, StatusError> {
        value["apiVersion"] = kind.api_version().into();
        value["kind"] = kind.kind.into();
        if revision.0 > 0 {
            value["metadata"]["resourceVersion"] = revision.to_string().into();
        } else if let Some(meta) = value["metadata"].as_object_mut() {
            meta.remove("resourceVersion");
        }
        // Here and not where it came from: the managers of its fields nest deeper than the fields.
        if is_deeper(&value, DEPTH_MAX) {
            return Err(StatusError::bad_request(format!(
                "exceeded max depth: with its metadata.managedFields, the object has more than {DEPTH_MAX} levels"
            )));
        }
        // Larger than all the rest, and only ever read from the JSON.
        let managers = value["metadata"]
            .as_object_mut()
            .and_then(|meta| meta.remove(MANAGED_FIELDS));
        let meta = ObjectMeta::deserialize(&value["metadata"])
            .map_err(|error| StatusError::bad_request(format!("metadata: {error}")))?;
        if let Some(managers) = managers {
            value["metadata"][MANAGED_FIELDS] = managers;
        }
        let key = Key::new(
            meta.namespace.clone().unwrap_or_default(),
            meta.name.clone().unwrap_or_default(),
        );
        // Without the room that the text had to grow: there are many of these, for long.
        let raw = Bytes::from(to_json(&value).into_boxed_slice());
        Ok(Self {
            kind,
            key,
            revision,
            meta,
            raw,
            typed: Mutex::default(),
            brief: OnceLock::new(),
            normal: Mutex::default(),
        })
    }

    /// The same, known to be as a schema would make it.
    pub(crate) fn decided_under(self, schema: SchemaId) -> Self {
        let normal = Normal { schema, form: None };
        *self.normal.lock() = Some(Box::new(normal));
        self
    }

    /// The object as a schema makes it; `make` is asked once, and says none where it changes nothing.
    pub(crate) fn under(
        self: &Arc<Self>,
        schema: SchemaId,
        make: impl FnOnce() -> Option<Self>,
    ) -> Arc<Self> {
        let itself = || Arc::clone(self);
        if let Some(known) = self.normal.lock().as_deref()
            && known.schema == schema
        {
            return known.form.clone().unwrap_or_else(itself);
        }
        let form = make().map(Arc::new);
        let shown = form.clone().unwrap_or_else(itself);
        if shown.raw.len() <= self.raw.len() * NORMAL_TIMES_MAX + NORMAL_BYTES {
            *self.normal.lock() = Some(Box::new(Normal { schema, form }));
        }
        shown
    }

    /// Its typed form without managers, decoded if nobody has it and it was not asked for lately.
    ///
    /// # Errors
    /// When the object does not have the shape of `T`.
    pub fn typed<T>(&self) -> Result<Arc<T>, StatusError>
    where
        T: DeserializeOwned + Metadata<Ty = ObjectMeta> + Send + Sync + 'static,
    {
        let held = self.typed.lock().as_ref().and_then(Weak::upgrade);
        if let Some(typed) = held.and_then(|held| held.downcast::<T>().ok()) {
            return Ok(typed);
        }
        let mut typed: T = serde_json::from_slice(&self.raw).map_err(|error| {
            StatusError::internal(format!("{} {}: {error}", self.kind.kind, self.key))
        })?;
        typed.metadata_mut().managed_fields = None;
        let typed = Arc::new(typed);
        let shared: Arc<Decoded> = Arc::clone(&typed) as _;
        *self.typed.lock() = Some(Arc::downgrade(&shared));
        recent::keep(shared);
        Ok(typed)
    }

    /// The little that somebody always wants to know of it, found out the first time and kept.
    ///
    /// # Errors
    /// What `read` says.
    pub fn brief<T>(
        &self,
        read: impl FnOnce() -> Result<T, StatusError>,
    ) -> Result<Arc<T>, StatusError>
    where
        T: Send + Sync + 'static,
    {
        let held = self.brief.get().cloned();
        if let Some(brief) = held.and_then(|held| held.downcast::<T>().ok()) {
            return Ok(brief);
        }
        let brief = Arc::new(read()?);
        // Another sort may hold the place already; then this one is found out anew each time.
        let _taken = self.brief.set(Arc::clone(&brief) as _);
        Ok(brief)
    }

    /// Its working form; a copy.
    #[must_use]
    pub fn value(&self) -> Value {
        // Cannot fail: no object is made that cannot be read again.
        serde_json::from_slice(&self.raw).unwrap_or_else(|error| {
            tracing::error!(kind = self.kind.kind, name = %self.key, %error, "an object cannot be read");
            Value::Null
        })
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.meta.uid.as_deref().unwrap_or_default()
    }

    /// The uid of the controller that owns it.
    #[must_use]
    pub fn controller_uid(&self) -> Option<&str> {
        let owners = self.meta.owner_references.as_ref()?;
        let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
        Some(&owner.uid)
    }

    /// Deletion has been asked for.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        self.meta.deletion_timestamp.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::{k8s_openapi::api::core::v1::ConfigMap, kind};
    use serde_json::json;

    #[test]
    fn a_decoded_form_is_shared_and_let_go() {
        let value = |name: &str| json!({"metadata": {"name": name, "namespace": "n"}});
        let make = |name: &str| Object::new(kind::CONFIG_MAP, Revision(1), value(name)).unwrap();
        let object = make("a");
        let one = object.typed::<ConfigMap>().unwrap();
        let two = object.typed::<ConfigMap>().unwrap();
        assert!(Arc::ptr_eq(&one, &two));
        drop((one, two));
        let is_held = || object.typed.lock().as_ref().unwrap().upgrade().is_some();
        assert!(is_held(), "it is kept for a while");
        for _ in 0..=recent::OBJECTS_MAX {
            make("b").typed::<ConfigMap>().unwrap();
        }
        assert!(!is_held());
        assert_eq!(
            object
                .typed::<ConfigMap>()
                .unwrap()
                .metadata
                .name
                .as_deref(),
            Some("a")
        );
    }
}
