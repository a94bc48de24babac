//! Create, update, patch and bind.

use super::{
    super::{
        Body, Call, State, decode, decode::PatchType, error, negotiate, respond, route::RequestInfo,
    },
    Target, identity, options,
};
use crate::{
    object::Object,
    registry::{Context, Patch, PatchForm, PatchKind, Subresource},
};
use coracle_api::{
    Key, kind,
    patch::json::OPERATIONS_MAX,
    status::{Cause, StatusError},
};
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// POST on a collection.
pub(super) async fn create(
    target: &Target<'_>,
    mut call: Call,
) -> Result<Response<Body>, StatusError> {
    let body = decode::object(&mut call, target.kind.kind).await?;
    identity::check(target.kind, &body, &target.info.namespace, "")?;
    let context = options::context(&call)?;
    let namespace = if target.kind.namespaced {
        target.info.namespace.as_str()
    } else {
        ""
    };
    let kind = target.kind;
    let object = target
        .state
        .registry
        .create(&context, kind, namespace, body)
        .await?;
    Ok(written(
        target,
        &call,
        &context,
        StatusCode::CREATED,
        &object,
    ))
}

/// PUT on an object or on its status.
pub(super) async fn update(
    target: &Target<'_>,
    mut call: Call,
) -> Result<Response<Body>, StatusError> {
    let body = decode::object(&mut call, target.kind.kind).await?;
    identity::check(
        target.kind,
        &body,
        &target.info.namespace,
        &target.info.name,
    )?;
    if body["metadata"]["name"].as_str().is_none_or(str::is_empty) {
        return Err(StatusError::nameless(&target.info.name));
    }
    let context = options::context(&call)?;
    let part = part(&target.info.subresource)?;
    let key = target.key();
    let kind = target.kind;
    let (object, created) = target
        .state
        .registry
        .update(&context, kind, &key, part, body)
        .await?;
    let status = status_of(created);
    Ok(written(target, &call, &context, status, &object))
}

/// PATCH of any of the four types.
pub(super) async fn patch(
    target: &Target<'_>,
    mut call: Call,
) -> Result<Response<Body>, StatusError> {
    let (kind, body) = decode::patch(&mut call).await?;
    if let (PatchType::Json, Some(operations)) = (kind, body.as_array())
        && operations.len() > OPERATIONS_MAX
    {
        let message = format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            operations.len()
        );
        return Err(error::status(413, "RequestEntityTooLarge", message));
    }
    let force = call.query.flag("force");
    let kind = match kind {
        PatchType::Json => PatchKind::Change(PatchForm::Json),
        PatchType::Merge => PatchKind::Change(PatchForm::Merge),
        PatchType::Strategic => PatchKind::Change(PatchForm::Strategic),
        PatchType::Apply => {
            options::require_manager(&call)?;
            identity::check_applied(
                target.kind,
                &body,
                &target.info.namespace,
                &target.info.name,
            )?;
            PatchKind::Apply
        }
    };
    if force && kind != PatchKind::Apply {
        let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(StatusError::invalid_options("PatchOptions", vec![cause]));
    }
    let context = options::context(&call)?;
    if kind == PatchKind::Apply && !context.duplicates.is_empty() {
        return Err(decode::twice_applied(&context.duplicates));
    }
    let part = part(&target.info.subresource)?;
    let key = target.key();
    let patch = Patch { kind, body, force };
    let (object, created) = target
        .state
        .registry
        .patch(&context, target.kind, &key, part, patch)
        .await?;
    let status = status_of(created);
    Ok(written(target, &call, &context, status, &object))
}

fn status_of(created: bool) -> StatusCode {
    if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    }
}

/// The collection of bindings, which takes a POST and nothing else.
pub(super) async fn bindings(
    state: &State,
    info: &RequestInfo,
    call: Call,
) -> Result<Response<Body>, StatusError> {
    if !info.name.is_empty() {
        return Err(error::no_such_resource());
    }
    if info.verb != "create" || info.namespace.is_empty() {
        return Err(error::method_not_allowed());
    }
    let target = Target {
        state,
        info,
        kind: kind::POD,
        format: negotiate::format(call.accept(), true).ok_or_else(error::not_acceptable)?,
    };
    bind(&target, call).await
}

/// POST of a Binding, to a pod or to the collection of bindings.
pub(super) async fn bind(
    target: &Target<'_>,
    mut call: Call,
) -> Result<Response<Body>, StatusError> {
    let body = decode::object(&mut call, "Binding").await?;
    identity::check_type(&body, ("", "v1", "Binding"))?;
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let meta = body.get("metadata").cloned().unwrap_or_default();
    let named = text(&meta, "name");
    let name = if target.info.name.is_empty() {
        named.clone()
    } else {
        target.info.name.clone()
    };
    if name.is_empty() || (!named.is_empty() && named != name) {
        return Err(error::bad_request(
            "name in URL does not match name in Binding object",
        ));
    }
    let node = body
        .get("target")
        .map(|to| (text(to, "kind"), text(to, "name")));
    let Some((kind, node)) = node else {
        return Err(invalid_binding(&name, "target.name: Required value"));
    };
    if !matches!(kind.as_str(), "" | "Node") {
        let why = format!(
            "target.kind: Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\""
        );
        return Err(invalid_binding(&name, &why));
    }
    if node.is_empty() {
        return Err(invalid_binding(&name, "target.name: Required value"));
    }
    let context = options::context(&call)?;
    let key = Key {
        namespace: target.info.namespace.clone(),
        name,
    };
    target.state.registry.bind(&context, &key, &node).await?;
    let done = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "code": 201,
    });
    let mut response = respond::json(StatusCode::CREATED, &done);
    respond::warn(&mut response, &context.warnings.lock());
    Ok(response)
}

fn invalid_binding(name: &str, why: &str) -> StatusError {
    error::status(
        422,
        "Invalid",
        format!("Binding {name:?} is invalid: {why}"),
    )
}

fn part(subresource: &str) -> Result<Subresource, StatusError> {
    match subresource {
        "" => Ok(Subresource::None),
        "status" => Ok(Subresource::Status),
        "finalize" => Ok(Subresource::Finalize),
        "approval" => Ok(Subresource::Approval),
        _ => Err(error::method_not_allowed()),
    }
}

fn written(
    target: &Target<'_>,
    call: &Call,
    context: &Context,
    status: StatusCode,
    object: &Object,
) -> Response<Body> {
    let mut response = target.show(status, object, call.query.get("includeObject"));
    respond::warn(&mut response, &context.warnings.lock());
    response
}
