//! DELETE of one object and of a collection.

use super::{
    super::{
        Body, Call, decode, error, list,
        query::{ListOptions, Query},
        respond,
    },
    Target, options,
};
use crate::registry::{Context, DeleteOptions, Deleted, Propagation};
use coracle_api::{
    Kind, KindRef,
    go::type_of,
    schema::{is_type, name_of},
    status::{Cause, StatusError},
};
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// DELETE of one object.
pub(super) async fn delete(
    target: &Target<'_>,
    mut call: Call,
) -> Result<Response<Body>, StatusError> {
    let (body, options, context) = read(&mut call, target.kind).await?;
    let key = target.key();
    let deleted = target
        .state
        .registry
        .delete(&context, target.kind.written_as(), &key, options)
        .await?;
    let include = call.query.get("includeObject");
    let mut response = match deleted {
        Deleted::Pending(object) => {
            // As upstream: only for who asked in the old words.
            let status = if orphans(&body, &call.query) == Some(false) {
                StatusCode::ACCEPTED
            } else {
                StatusCode::OK
            };
            target.show(status, &object, include)
        }
        Deleted::Gone(object) if target.kind.returns_deleted() => {
            target.show(StatusCode::OK, &object, include)
        }
        Deleted::Gone(object) => respond::ok(&json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details(target.kind, &key.name, object.uid()),
        })),
    };
    respond::warn(&mut response, &context.warnings.lock());
    Ok(response)
}

fn details(kind: &Kind, name: &str, uid: &str) -> Value {
    let mut details = json!({"name": name, "kind": kind.plural, "uid": uid});
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    details
}

/// DELETE of everything that is selected; with a limit, of a page of it.
///
/// Source: k8s.io/apiserver `pkg/registry/generic/registry/store.go`, `DeleteCollection`.
pub(super) async fn delete_collection(
    target: &Target<'_>,
    mut call: Call,
) -> Result<Response<Body>, StatusError> {
    let mut list_options = ListOptions::parse(&call.query, false)?;
    // As upstream, which always lists in pages: a version without a match is that very one.
    if list_options.limit == 0 {
        list_options.limit = usize::MAX;
    }
    let selection = super::super::select::Selection::new(
        target.state.registry.cache().kinds(),
        target.kind,
        &target.info.namespace,
        &list_options,
    )?;
    let (_body, options, context) = read(&mut call, target.kind).await?;
    let state = target.state;
    let cache = state.registry.cache();
    let page = match list::page(cache, target.kind, &selection, &list_options).await {
        Ok(page) => page,
        Err(error) => return list::refused(error, &list_options),
    };
    let mut removed = Vec::new();
    for object in page.objects {
        let deleted = state
            .registry
            .delete(
                &context,
                target.kind.written_as(),
                &object.key,
                options.clone(),
            )
            .await;
        match deleted {
            Ok(Deleted::Gone(object) | Deleted::Pending(object)) => removed.push(object),
            // Somebody else was faster.
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    let shown = target
        .render(call.query.get("includeObject"))
        .list(&removed, &page.meta);
    let mut response = respond::json_bytes(StatusCode::OK, shown);
    respond::warn(&mut response, &context.warnings.lock());
    Ok(response)
}

/// Options from the body, else from the query.
async fn read(
    call: &mut Call,
    of: KindRef,
) -> Result<(Value, DeleteOptions, Context), StatusError> {
    let body = decode::optional_object(call).await?.unwrap_or_default();
    check_type(&body, of)?;
    let mut context = options::context(call)?;
    let options = parse(&body, &call.query, &mut context)?;
    Ok((body, options, context))
}

/// The body of a DELETE is nothing but options, of any group: something else must not delete anything.
fn check_type(body: &Value, of: KindRef) -> Result<(), StatusError> {
    let wanted = ("meta.k8s.io", "v1", "DeleteOptions");
    let said = name_of(body, wanted);
    let is_own = (said.0, said.1) == (of.group, of.version);
    if said.2 == wanted.2 && (is_own || said == wanted || is_type(said)) {
        return Ok(());
    }
    let version = text(body, "apiVersion");
    Err(error::bad_request(format!(
        "no kind {:?} is registered for version {version:?} in scheme \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:33\"",
        said.2
    )))
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The old form of the propagation policy.
fn orphans(body: &Value, query: &Query) -> Option<bool> {
    let sent = body.get("orphanDependents").and_then(Value::as_bool);
    sent.or_else(|| query.truth("orphanDependents"))
}

/// How to delete; the context learns whether it is only tried.
///
/// Source: k8s.io/apimachinery `pkg/apis/meta/v1/validation`, `ValidateDeleteOptions`.
pub(super) fn parse(
    body: &Value,
    query: &Query,
    context: &mut Context,
) -> Result<DeleteOptions, StatusError> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let mistyped = |value: &Value, field: &str, wanted: &str| {
        let found = type_of(value);
        error::bad_request(format!(
            "json: cannot unmarshal {found} into Go struct field DeleteOptions.{field} of type {wanted}"
        ))
    };
    let field = "gracePeriodSeconds";
    let grace = match body.get(field) {
        Some(seconds) if !seconds.is_null() => {
            let number = seconds.as_i64();
            Some(number.ok_or_else(|| mistyped(seconds, field, "int64"))?)
        }
        _ => query.number(field)?,
    };
    let mut causes = Vec::new();
    let orphan = orphans(body, query);
    let policy = text("propagationPolicy").or(query.get("propagationPolicy"));
    let policy = policy.filter(|policy| !policy.is_empty());
    let propagation = match policy {
        None => orphan.map(|orphan| match orphan {
            true => Propagation::Orphan,
            false => Propagation::Background,
        }),
        Some("Orphan") => Some(Propagation::Orphan),
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some(other) => {
            let known = ["Foreground", "Background", "Orphan", "nil"];
            causes.push(Cause::unsupported(
                "propagationPolicy",
                &json!(other),
                &known,
            ));
            None
        }
    };
    if let (Some(policy), Some(_)) = (policy, orphan) {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        causes.insert(0, Cause::invalid("propagationPolicy", &json!(policy), why));
    }
    let dry = body.get("dryRun").and_then(Value::as_array);
    let dry: Vec<&str> = dry
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    causes.extend(options::wrong_dry_run(&dry));
    if !causes.is_empty() {
        return Err(StatusError::invalid_options("DeleteOptions", causes));
    }
    context.dry_run |= !dry.is_empty();
    let condition = |name: &str| body["preconditions"][name].as_str().map(str::to_owned);
    Ok(DeleteOptions {
        // As upstream: less than nothing is a second.
        grace_period_seconds: grace.map(|seconds| if seconds < 0 { 1 } else { seconds }),
        propagation,
        uid: condition("uid"),
        resource_version: condition("resourceVersion"),
        dry_run: context.dry_run,
    })
}
