//! `scale`: the replicas of a workload as an `autoscaling/v1 Scale`.

use super::{
    super::{Body, Call, decode, decode::PatchType, error, negotiate::Format, respond},
    Target, identity, options,
};
use crate::{
    kinds,
    object::Object,
    registry::{Patch, PatchKind, Subresource, refused_patch, scale, version_of},
};
use coracle_api::{
    go::found,
    patch,
    schema::{Mismatch, SCALE, mismatch, name_of},
    status::{Cause, StatusError},
    table,
};
use http::Response;
use serde_json::{Value, json};

/// GET, PUT and PATCH.
pub(super) async fn scale(
    target: &Target<'_>,
    mut call: Call,
) -> Result<Response<Body>, StatusError> {
    if target.info.verb == "get" {
        let object = target.object()?;
        return Ok(shown(target, of(target, &object)?));
    }
    let mut wanted = match target.info.verb {
        "update" => decode::object(&mut call, "Scale").await?,
        _ => {
            let (kind, body) = decode::patch(&mut call).await?;
            let current = || of(target, &*target.object()?);
            match kind {
                PatchType::Apply => return apply(target, &call, body).await,
                PatchType::Json => patch::json::apply(current()?, &body).map_err(refused_patch)?,
                // A Scale has no lists: the others mean the same.
                PatchType::Merge | PatchType::Strategic => patch::merge::apply(current()?, body),
            }
        }
    };
    check_place(target, &wanted)?;
    let context = options::context(&call)?;
    let sent = wanted.clone();
    if let Err(why) = scale::decode(&context, &mut wanted) {
        return Err(unreadable(target, &sent, &why));
    }
    let replicas = replicas(target, &wanted)?;
    let sent = |field: &str| {
        wanted["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let (uid, version) = (sent("uid"), version_of(&sent("resourceVersion"))?);
    let kind = target.kind;
    let name = &target.info.name;
    let modify = |value: &mut Value| {
        let is = |field: &str| value["metadata"][field].as_str().unwrap_or_default();
        if !uid.is_empty() && uid != is("uid") {
            return Err(StatusError::conflict(
                kind,
                name,
                &format!(
                    "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                    is("uid")
                ),
            ));
        }
        let is_other = version > 0 && version.to_string() != is("resourceVersion");
        if target.info.verb == "update" && is_other {
            return Err(StatusError::stale(kind, name));
        }
        value["spec"]["replicas"] = json!(replicas);
        Ok(())
    };
    let object = target
        .state
        .registry
        .modify(&context, kind, &target.key(), Subresource::Scale, modify)
        .await?;
    let mut response = shown(target, of(target, &object)?);
    respond::warn(&mut response, &context.warnings.lock());
    Ok(response)
}

/// Server-side apply of the one field that a Scale has.
async fn apply(
    target: &Target<'_>,
    call: &Call,
    body: Value,
) -> Result<Response<Body>, StatusError> {
    options::require_manager(call)?;
    identity::check_applied_as(SCALE, &body)?;
    check_place(target, &body)?;
    if body["spec"]["replicas"].is_i64() {
        replicas(target, &body)?;
    }
    let context = options::context(call)?;
    if !context.duplicates.is_empty() {
        return Err(decode::twice_applied(&context.duplicates));
    }
    let patch = Patch {
        kind: PatchKind::Apply,
        body,
        force: call.query.flag("force"),
    };
    let (object, _never_created) = target
        .state
        .registry
        .patch(
            &context,
            target.kind,
            &target.key(),
            Subresource::Scale,
            patch,
        )
        .await?;
    let mut response = shown(target, of(target, &object)?);
    respond::warn(&mut response, &context.warnings.lock());
    Ok(response)
}

/// A Scale, or a table of it.
///
/// Source: k8s.io/kubernetes `pkg/printers/internalversion`, `scaleColumnDefinitions`.
fn shown(target: &Target<'_>, scale: Value) -> Response<Body> {
    let Format::Table(meta) = target.format else {
        return respond::ok(&scale);
    };
    // As upstream: not even the name has a format.
    let column = |name: &str, kind: &str, about: &str| json!({"name": name, "type": kind, "format": "", "description": about, "priority": 0});
    let about = &scale["metadata"];
    let created = about["creationTimestamp"].as_str().unwrap_or_default();
    let age = table::since(created, target.state.registry.clock().now());
    let object = json!({"kind": "PartialObjectMetadata", "apiVersion": meta.api_version(), "metadata": about});
    respond::ok(&json!({
        "kind": "Table",
        "apiVersion": meta.api_version(),
        "metadata": {"resourceVersion": about["resourceVersion"]},
        "columnDefinitions": [
            column("Name", "string", table::ABOUT_NAME),
            column("Desired", "integer", ""),
            column("Available", "integer", ""),
            column("Age", "string", table::ABOUT_AGE),
        ],
        "rows": [{
            "cells": [about["name"], scale["spec"]["replicas"], scale["status"]["replicas"], age],
            "object": object,
        }],
    }))
}

/// What is sent has to be a Scale, of this object.
fn check_place(target: &Target<'_>, wanted: &Value) -> Result<(), StatusError> {
    if let Some(Mismatch::Version(why) | Mismatch::Kind(why)) =
        mismatch(name_of(wanted, SCALE), SCALE)
    {
        return Err(unreadable(target, wanted, &why));
    }
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    if name.is_empty() || name == target.info.name {
        return Ok(());
    }
    Err(StatusError::other_name(name, &target.info.name))
}

/// How many are asked for. As upstream: an absent number is zero.
fn replicas(target: &Target<'_>, wanted: &Value) -> Result<i32, StatusError> {
    let sent = &wanted["spec"]["replicas"];
    let Ok(replicas) = i32::try_from(sent.as_i64().unwrap_or(0)) else {
        let found = found(sent);
        let why = format!(
            "json: cannot unmarshal {found} into Go struct field ScaleSpec.spec.replicas of type int32"
        );
        return Err(unreadable(target, wanted, &why));
    };
    if replicas >= 0 {
        return Ok(replicas);
    }
    let why = "must be greater than or equal to 0";
    let cause = Cause::invalid("spec.replicas", sent, why);
    Err(StatusError::invalid_part(
        ("autoscaling", "Scale"),
        &target.info.name,
        vec![cause],
    ))
}

/// The body is to blame, or the patch that made this of the Scale.
fn unreadable(target: &Target<'_>, wanted: &Value, why: &str) -> StatusError {
    if target.info.verb == "update" {
        return error::bad_request(format!(
            "Scale in version \"v1\" cannot be handled as a Scale: {why}"
        ));
    }
    let shown = Value::String(wanted.to_string());
    StatusError::invalid_patch(Cause::invalid("patch", &shown, why))
}

/// The Scale of a workload.
fn of(target: &Target<'_>, object: &Object) -> Result<Value, StatusError> {
    let custom = target.state.registry.cache().kinds().custom_of(target.kind);
    let value = kinds::shown(custom.as_deref(), object);
    let scale = scale::of(custom.as_deref(), &value)?;
    if !scale["spec"]["replicas"].is_null() {
        return Ok(scale);
    }
    let place = custom.as_ref().and_then(|of| of.version.scale.as_ref());
    let path = place.map_or("", |place| place.replicas_path());
    let why = format!("the spec replicas field {path:?} does not exist");
    Err(StatusError::internal(why))
}
