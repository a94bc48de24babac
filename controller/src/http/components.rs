//! `componentstatuses`: how the parts of a control plane do, in the form that upstream had before health checks.
//!
//! Here the parts are one program, and none of them outlives another: who is answered is answered by all.

use super::{
    Body, Call, State, error, negotiate,
    query::ListOptions,
    render::{Include, ListMeta, Render},
    respond,
    route::RequestInfo,
    select::Selection,
};
use crate::object::Object;
use coracle_api::{Revision, schema::COMPONENT_STATUS, status::StatusError};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

/// What upstream calls them.
const NAMES: [&str; 3] = ["controller-manager", "etcd-0", "scheduler"];

/// Answers a request for them.
pub(crate) fn answer(
    state: &State,
    info: &RequestInfo,
    call: &Call,
) -> Result<Response<Body>, StatusError> {
    let kind = COMPONENT_STATUS;
    if !info.namespace.is_empty() || !info.subresource.is_empty() {
        return Err(error::no_such_resource());
    }
    if !kind.verbs.contains(&info.verb) {
        return Err(error::method_not_allowed());
    }
    let render = Render {
        kind,
        custom: None,
        format: negotiate::format(call.accept(), true).ok_or_else(error::not_acceptable)?,
        include: Include::parse(call.query.get("includeObject")),
        now: state.registry.clock().now(),
    };
    let is_well = !state.tasks.stop().is_cancelled();
    let shown = if info.verb == "get" {
        let known = NAMES.iter().find(|name| **name == info.name);
        let name = known.ok_or_else(|| missing(&info.name))?;
        render.object(&status(name, is_well)?)
    } else {
        let options = ListOptions::parse(&call.query, false)?;
        let kinds = state.registry.cache().kinds();
        let selection = Selection::new(kinds, kind, "", &options)?;
        let all = NAMES.iter().map(|name| status(name, is_well).map(Arc::new));
        let mut all = all.collect::<Result<Vec<_>, _>>()?;
        all.retain(|object| selection.matches(object));
        render.list(&all, &ListMeta::default())
    };
    let mut response = respond::json_bytes(StatusCode::OK, shown);
    respond::warn(&mut response, &[kind.deprecation.to_owned()]);
    Ok(response)
}

/// As upstream answers: it is no object that is missing.
fn missing(name: &str) -> StatusError {
    error::status(500, "", format!("Component not found: {name}"))
}

fn status(name: &str, is_well: bool) -> Result<Object, StatusError> {
    let value = json!({"metadata": {"name": name}, "conditions": [condition(is_well)]});
    Object::new(COMPONENT_STATUS, Revision(0), value)
}

fn condition(is_well: bool) -> Value {
    if is_well {
        json!({"type": "Healthy", "status": "True", "message": "ok"})
    } else {
        json!({"type": "Healthy", "status": "False", "error": "it is being stopped"})
    }
}
