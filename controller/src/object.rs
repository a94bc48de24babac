//! An object as the cache holds it: encoded once, decoded once, shared.

use bytes::Bytes;
use coracle_api::{
    Key, KindRef, Revision, StatusError,
    k8s_openapi::{Metadata, apimachinery::pkg::apis::meta::v1::ObjectMeta},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
};

const MANAGED_FIELDS: &str = "managedFields";

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
    typed: OnceLock<Arc<dyn Any + Send + Sync>>,
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
    /// When the metadata has a field of a wrong type.
    pub fn new(kind: KindRef, revision: Revision, mut value: Value) -> Result<Self, StatusError> {
        value["apiVersion"] = kind.api_version().into();
        value["kind"] = kind.kind.into();
        if revision.0 > 0 {
            value["metadata"]["resourceVersion"] = revision.to_string().into();
        } else if let Some(meta) = value["metadata"].as_object_mut() {
            meta.remove("resourceVersion");
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
        let raw = Bytes::from(value.to_string().into_bytes().into_boxed_slice());
        Ok(Self {
            kind,
            key,
            revision,
            meta,
            raw,
            typed: OnceLock::new(),
        })
    }

    /// Its typed form without managers, decoded the first time it is asked for.
    ///
    /// # Errors
    /// When the object does not have the shape of `T`.
    pub fn typed<T>(&self) -> Result<Arc<T>, StatusError>
    where
        T: DeserializeOwned + Metadata<Ty = ObjectMeta> + Send + Sync + 'static,
    {
        if let Some(typed) = self
            .typed
            .get()
            .and_then(|typed| Arc::clone(typed).downcast::<T>().ok())
        {
            return Ok(typed);
        }
        let mut typed: T = serde_json::from_slice(&self.raw).map_err(|error| {
            StatusError::internal(format!("{} {}: {error}", self.kind.kind, self.key))
        })?;
        typed.metadata_mut().managed_fields = None;
        let typed = Arc::new(typed);
        // Another type may hold the place already; then this one is decoded anew each time.
        let _taken = self.typed.set(typed.clone());
        Ok(typed)
    }

    /// Its working form; a copy.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.raw).unwrap_or_default()
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
