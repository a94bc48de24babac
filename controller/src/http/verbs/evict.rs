//! `pods/eviction`: a deletion that asks the pod's budget first.

use super::{
    super::{Body, Call, decode, error, respond},
    Target, options, remove,
};
use coracle_api::status::StatusError;
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// POST of a `policy/v1 Eviction`.
pub(super) async fn evict(
    target: &Target<'_>,
    mut call: Call,
) -> Result<Response<Body>, StatusError> {
    let body = decode::object(&mut call, "Eviction").await?;
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let kind = text(&body, "kind");
    if !matches!(kind.as_str(), "" | "Eviction") {
        return Err(error::bad_request(format!(
            "not an Eviction object: {kind}"
        )));
    }
    let named = body.get("metadata").map(|meta| text(meta, "name"));
    if named.is_some_and(|name| !name.is_empty() && name != target.info.name) {
        return Err(error::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    let mut context = options::context(&call)?;
    let asked = body.get("deleteOptions").cloned().unwrap_or_default();
    let options = remove::parse(&asked, &call.query, &mut context)?;
    let evicted = target
        .state
        .registry
        .evict(&context, &target.key(), options)
        .await;
    evicted?;
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
