//! Errors of the HTTP layer, and every error as a `metav1.Status` answer.
//!
//! Worded as upstream words them: clients and people look for these sentences.

use super::{Body, respond};
use coracle_api::{
    KindRef, Revision,
    status::{Cause, Details, StatusError},
};
use http::{Response, StatusCode, header};

/// An error without details.
pub(crate) fn status(code: u16, reason: &'static str, message: impl Into<String>) -> StatusError {
    StatusError {
        code,
        reason,
        message: message.into(),
        details: None,
    }
}

/// 400.
pub(crate) fn bad_request(message: impl Into<String>) -> StatusError {
    status(400, "BadRequest", message)
}

/// 404 for a path or a kind that does not exist.
pub(crate) fn no_such_resource() -> StatusError {
    StatusError {
        // Empty, but there: kubectl debug reads it without looking.
        details: Some(Box::default()),
        ..status(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
    }
}

/// 405.
pub(crate) fn method_not_allowed() -> StatusError {
    status(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    )
}

/// 406.
pub(crate) fn not_acceptable() -> StatusError {
    status(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml, \
         application/vnd.kubernetes.protobuf",
    )
}

/// 406 for a watch, which is made of frames.
pub(crate) fn not_acceptable_stream() -> StatusError {
    status(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json;stream=watch, \
         application/vnd.kubernetes.protobuf;stream=watch",
    )
}

/// 415.
pub(crate) fn unsupported_media_type(accepted: &[&str]) -> StatusError {
    status(
        415,
        "UnsupportedMediaType",
        format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        ),
    )
}

/// 413.
pub(crate) fn too_large_body(limit: usize) -> StatusError {
    status(
        413,
        "RequestEntityTooLarge",
        format!("Request entity too large: limit is {limit}"),
    )
}

/// 401, in upstream's one word.
pub(crate) fn unauthorized() -> StatusError {
    status(401, "Unauthorized", "Unauthorized")
}

/// 429 for a server that is busy.
pub(crate) fn too_many_requests() -> StatusError {
    let mut error = status(
        429,
        "TooManyRequests",
        "The server has received too many requests and has asked us to try again later",
    );
    error.details = Some(Box::new(Details {
        retry_after_secs: 1,
        ..Details::default()
    }));
    error
}

/// 503 for something behind this server that cannot be reached.
pub(crate) fn unavailable(message: impl Into<String>) -> StatusError {
    status(503, "ServiceUnavailable", message)
}

/// 504 for a request that took too long.
pub(crate) fn timed_out() -> StatusError {
    status(
        504,
        "Timeout",
        "Timeout: request did not complete within the allotted timeout",
    )
}

/// 410: the revision is no longer in the change log.
pub(crate) fn too_old(asked: Revision, oldest: Revision) -> StatusError {
    status(
        410,
        "Expired",
        format!("too old resource version: {asked} ({oldest})"),
    )
}

/// 504: a revision from the future.
pub(crate) fn too_large(asked: Revision, current: Revision) -> StatusError {
    let mut error = status(
        504,
        "Timeout",
        format!("Too large resource version: {asked}, current: {current}"),
    );
    error.details = Some(Box::new(Details {
        causes: vec![Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".to_owned(),
            field: String::new(),
        }],
        retry_after_secs: 1,
        ..Details::default()
    }));
    error
}

/// What was said of an object that is stored as another kind, in the words of the kind that was asked for.
pub(crate) fn of_view(kind: KindRef, mut refused: StatusError) -> StatusError {
    let stored = kind.storage();
    let about = refused.details.as_deref_mut();
    let Some(about) = about.filter(|about| {
        (&*about.group, &*about.kind) == (stored.group, stored.plural) && stored.group != kind.group
    }) else {
        return refused;
    };
    kind.group.clone_into(&mut about.group);
    let (was, is) = (stored.group_resource(), kind.group_resource());
    refused.message = refused
        .message
        .replacen(&format!("{was} \""), &format!("{is} \""), 1);
    refused
}

/// The answer.
pub(crate) fn reply(error: &StatusError) -> Response<Body> {
    let code = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond::json(code, &error.to_json());
    let wait = error
        .details
        .as_ref()
        .map_or(0, |details| details.retry_after_secs);
    if wait > 0 {
        respond::set(&mut response, header::RETRY_AFTER, &wait.to_string());
    }
    response
}
