//! From what the store holds to objects.

use super::{Error, store_key};
use crate::{
    kinds::{self, Kinds},
    object::Object,
    store,
};
use coracle_api::{Key, StatusError, kind};
use serde_json::Value;

/// The kinds that a store knows: the custom ones are told by the definitions in it.
pub(super) fn known_kinds(entries: &[store::Entry]) -> Result<Kinds, Error> {
    let kinds = Kinds::default();
    let prefix = store_key(kind::CUSTOM_RESOURCE_DEFINITION, &Key::cluster(""));
    for entry in entries
        .iter()
        .filter(|entry| entry.key.starts_with(&prefix))
    {
        let unreadable = |why: String| Error::Object {
            key: entry.key.clone(),
            source: StatusError::bad_request(why),
        };
        let crd: Value =
            serde_json::from_slice(&entry.value).map_err(|error| unreadable(error.to_string()))?;
        let versions = kinds::versions(&crd).map_err(|error| unreadable(error.to_string()))?;
        kinds.set(
            crd["metadata"]["name"].as_str().unwrap_or_default(),
            versions,
        );
    }
    Ok(kinds)
}

/// An object as the store has it.
pub(super) fn read(kinds: &Kinds, entry: store::Entry) -> Result<Object, Error> {
    let unreadable = |source| Error::Object {
        key: entry.key.clone(),
        source,
    };
    let group_resource = entry
        .key
        .strip_prefix("/registry/")
        .and_then(|rest| rest.split('/').next());
    let value: Value = serde_json::from_slice(&entry.value)
        .map_err(|error| unreadable(StatusError::bad_request(error.to_string())))?;
    let api_version = value["apiVersion"].as_str().unwrap_or_default();
    let kind = group_resource
        .and_then(|name| kinds.reading_row(name, api_version))
        .ok_or_else(|| unreadable(StatusError::bad_request("unknown kind")))?;
    Object::new(kind, entry.revision, value).map_err(unreadable)
}
