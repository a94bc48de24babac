//! Custom kinds and their definitions: what a write of them needs beside what every write needs.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/registry`.

use super::{
    Context, Subresource,
    strategy::{self, Unreadable},
};
use crate::{cache::Cache, kinds::Custom};
use coracle_api::{
    KindRef, StatusError,
    crd::{self, definition},
    go::settle_numbers,
    kind, schema,
    status::Cause,
};
use serde_json::{Value, json};

/// Reads numbers as upstream does, drops what the schema does not know, and fills in what it says.
pub(super) fn decode(
    context: &Context,
    custom: &Custom,
    value: &mut Value,
) -> Result<(), Unreadable> {
    let of = custom.kind;
    if !value.is_object() {
        return Err(strategy::no_object(value));
    }
    value["apiVersion"] = of.api_version().into();
    value["kind"] = of.kind.into();
    settle_numbers(value);
    let mut findings = schema::check_metadata(of, value);
    if findings.mistyped.is_none() {
        let dropped = custom.version.decode(value);
        let dropped = dropped.map_err(|error| Unreadable::new(error.to_string()))?;
        let unknown = dropped.iter().map(|path| format!("unknown field {path:?}"));
        findings.unknown.extend(unknown);
    }
    strategy::judge(context, findings)
}

/// An object of a kind that is going may not be created.
pub(super) fn may_create(cache: &Cache, custom: &Custom) -> Result<(), StatusError> {
    let definition = cache.get(kind::CUSTOM_RESOURCE_DEFINITION, &custom.definition());
    if definition.is_some_and(|definition| !definition.is_deleting()) {
        return Ok(());
    }
    let mut error = StatusError::method_not_allowed();
    "create not allowed while custom resource definition is terminating"
        .clone_into(&mut error.message);
    Err(error)
}

/// What is wrong with the next state of an object.
pub(super) fn problems(
    custom: &Custom,
    part: Subresource,
    new: &Value,
    old: Option<&Value>,
) -> Vec<Cause> {
    match (part, old) {
        (_, None) => custom.version.validate_create(new),
        (Subresource::Status, Some(old)) => custom.version.validate_status_update(new, old),
        (_, Some(old)) => custom.version.validate_update(new, old),
    }
}

/// The object with another number of replicas, where its definition says they are.
pub(super) fn set_replicas(
    custom: &Custom,
    old: &Value,
    replicas: i32,
) -> Result<Value, StatusError> {
    let Some(scale) = &custom.version.scale else {
        return Err(StatusError::no_resource());
    };
    let mut new = old.clone();
    scale
        .write(&mut new, replicas)
        .map_err(|error| StatusError::internal(error.to_string()))?;
    Ok(new)
}

/// Before a new definition is looked at.
pub(super) fn define(value: &mut Value) {
    definition::prepare_create(value);
}

/// Before an update of a definition is looked at.
pub(super) fn redefine(value: &mut Value, old: &Value) {
    definition::prepare_update(value, old);
}

/// What is wrong with a definition.
pub(super) fn definition_problems(
    part: Subresource,
    new: &Value,
    old: Option<&Value>,
) -> Vec<Cause> {
    match (part, old) {
        (_, None) => crd::validate_create(new),
        (Subresource::Status, _) => crd::validate_status_update(new),
        (_, Some(old)) => crd::validate_update(new, old),
    }
}

/// A definition waits for its objects to go.
pub(super) fn hold(of: KindRef, value: &mut Value) {
    if of != kind::CUSTOM_RESOURCE_DEFINITION {
        return;
    }
    let finalizers = &mut value["metadata"]["finalizers"];
    let name = json!(definition::CLEANUP_FINALIZER);
    match finalizers.as_array_mut() {
        Some(list) if list.contains(&name) => {}
        Some(list) => list.push(name),
        None => *finalizers = json!([name]),
    }
}
