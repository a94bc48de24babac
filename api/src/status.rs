//! `metav1.Status`: the one error the API answers with, in upstream's words.
//!
//! Source: k8s.io/apimachinery `pkg/api/errors`. Codes are HTTP's.

use crate::KindRef;
use serde_json::{Value, json};
use std::collections::HashSet;

/// Of all causes of one error. What nobody reads to the end costs memory until it was sent.
const CAUSES_BYTES_MAX: usize = 1024 * 1024;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, ...
    pub reason: &'static str,
    /// Sentence as upstream prints it after the field: `Invalid value: "x": must be ...`.
    pub message: String,
    /// `spec.replicas`; empty where it is about no field.
    pub field: String,
}

impl Cause {
    /// `Required value`, with an optional detail.
    #[must_use]
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self {
            reason: "FieldValueRequired",
            message,
            field: field.into(),
        }
    }

    /// `Invalid value: VALUE: DETAIL`, or without a detail where it is empty.
    #[must_use]
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::invalid_shown(field, &value.to_string(), detail)
    }

    /// As [`Cause::invalid`], of what is shown in another form than it is written in.
    #[must_use]
    pub fn invalid_shown(field: impl Into<String>, shown: &str, detail: &str) -> Self {
        let message = if detail.is_empty() {
            format!("Invalid value: {shown}")
        } else {
            format!("Invalid value: {shown}: {detail}")
        };
        Self {
            reason: "FieldValueInvalid",
            message,
            field: field.into(),
        }
    }

    /// `Invalid value: DETAIL`, of something that is not said again.
    #[must_use]
    pub fn invalid_unsaid(field: impl Into<String>, detail: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {detail}"),
            field: field.into(),
        }
    }

    /// `Unsupported value: VALUE: supported values: "A", "B"`.
    #[must_use]
    pub fn unsupported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        Self::unsupported_shown(field, &value.to_string(), supported)
    }

    /// As [`Cause::unsupported`], of what is shown in another form than it is written in.
    #[must_use]
    pub fn unsupported_shown(field: impl Into<String>, shown: &str, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let message = format!(
            "Unsupported value: {shown}: supported values: {}",
            list.join(", ")
        );
        Self {
            reason: "FieldValueNotSupported",
            message,
            field: field.into(),
        }
    }

    /// `Duplicate value: VALUE`.
    #[must_use]
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            message: format!("Duplicate value: {value}"),
            field: field.into(),
        }
    }

    /// `Not found: VALUE`.
    #[must_use]
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueNotFound",
            message: format!("Not found: {value}"),
            field: field.into(),
        }
    }

    /// `Forbidden: DETAIL`.
    #[must_use]
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {detail}"),
            field: field.into(),
        }
    }

    /// `Internal error: DETAIL`.
    #[must_use]
    pub fn internal(field: impl Into<String>, detail: &str) -> Self {
        Self {
            reason: "InternalError",
            message: format!("Internal error: {detail}"),
            field: field.into(),
        }
    }

    /// `Too many: COUNT: must have at most MAX items`.
    #[must_use]
    pub fn too_many(field: impl Into<String>, count: usize, max: usize) -> Self {
        Self {
            reason: "FieldValueTooMany",
            message: format!("Too many: {count}: must have at most {max} items"),
            field: field.into(),
        }
    }

    /// `Too long: may not be more than N bytes`.
    #[must_use]
    pub fn too_long(field: impl Into<String>, bytes_max: usize) -> Self {
        let message = format!("Too long: may not be more than {bytes_max} bytes");
        Self {
            reason: "FieldValueTooLong",
            message,
            field: field.into(),
        }
    }
}

/// What the error is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// Name of the object.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Its kind; upstream writes the plural resource in most errors.
    pub kind: String,
    /// Its uid.
    pub uid: String,
    /// What is wrong.
    pub causes: Vec<Cause>,
    /// Seconds to wait.
    pub retry_after_secs: u32,
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StatusError {
    /// HTTP status code.
    pub code: u16,
    /// `NotFound`, `Conflict`, ...
    pub reason: &'static str,
    /// For a person.
    pub message: String,
    /// What it is about.
    pub details: Option<Box<Details>>,
}

impl StatusError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
        }
    }

    fn about(mut self, kind: KindRef, name: &str) -> Self {
        self.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: kind.group.to_owned(),
            kind: kind.plural.to_owned(),
            ..Details::default()
        }));
        self
    }

    /// With a cause, for those who look for one.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Self {
        let details = self.details.get_or_insert_default();
        details.causes.push(cause);
        self
    }

    /// 404 for an object.
    #[must_use]
    pub fn not_found(kind: KindRef, name: &str) -> Self {
        Self::new(
            404,
            "NotFound",
            format!("{} {name:?} not found", kind.group_resource()),
        )
        .about(kind, name)
    }

    /// 404 for a path that is nothing.
    #[must_use]
    pub fn no_resource() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    /// 409 on create.
    #[must_use]
    pub fn already_exists(kind: KindRef, name: &str) -> Self {
        Self::new(
            409,
            "AlreadyExists",
            format!("{} {name:?} already exists", kind.group_resource()),
        )
        .about(kind, name)
    }

    /// 409 on a stale write.
    #[must_use]
    pub fn conflict(kind: KindRef, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {why}",
            kind.group_resource()
        );
        Self::new(409, "Conflict", message).about(kind, name)
    }

    /// 409 as upstream words a stale resourceVersion.
    #[must_use]
    pub fn stale(kind: KindRef, name: &str) -> Self {
        Self::conflict(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 when applied fields are managed by others.
    #[must_use]
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Self {
        let mut error = Self::new(409, "Conflict", message);
        error.details = Some(Box::new(Details {
            causes,
            ..Details::default()
        }));
        error
    }

    /// 500 without a reason: what upstream answers for a fault of the client that it has no word for.
    #[must_use]
    pub fn plain(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// 422 with causes.
    #[must_use]
    pub fn invalid(kind: KindRef, name: &str, causes: Vec<Cause>) -> Self {
        Self::invalid_of((kind.group, kind.kind), name, causes)
    }

    /// 422 for the options of a request: `ListOptions`, `PatchOptions`, ...
    #[must_use]
    pub fn invalid_options(options: &str, causes: Vec<Cause>) -> Self {
        Self::invalid_of(("meta.k8s.io", options), "", causes)
    }

    /// 422 for a patch that makes no object of its kind; upstream says no name and no kind then.
    #[must_use]
    pub fn invalid_patch(cause: Cause) -> Self {
        Self::invalid_of(("", ""), "", vec![cause])
    }

    /// 422 for what has no row: group and kind.
    #[must_use]
    pub fn invalid_part(of: (&str, &str), name: &str, causes: Vec<Cause>) -> Self {
        Self::invalid_of(of, name, causes)
    }

    fn invalid_of((group, kind): (&str, &str), name: &str, mut causes: Vec<Cause>) -> Self {
        let untold = cut(&mut causes);
        // The same words are said once; the causes have them all.
        let (mut listed, mut said) = (Vec::new(), HashSet::new());
        for cause in &causes {
            let words = format!("{}: {}", cause.field, cause.message);
            if said.insert(words.clone()) {
                listed.push(words);
            }
        }
        if untold > 0 {
            listed.push(format!("and {untold} more"));
        }
        let list = match listed.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        };
        let mut error = Self::new(
            422,
            "Invalid",
            format!("{qualified} {name:?} is invalid: {list}"),
        );
        error.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..Details::default()
        }));
        error
    }

    /// 400 for what cannot be read as an object of its kind.
    #[must_use]
    pub fn unreadable(kind: KindRef, why: &str) -> Self {
        let (name, version) = (kind.kind, kind.version);
        Self::bad_request(format!(
            "{name} in version {version:?} cannot be handled as a {name}: {why}"
        ))
    }

    /// 400.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 400 for an object that does not say which it is.
    #[must_use]
    pub fn nameless(name: &str) -> Self {
        Self::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))
    }

    /// 400 for an object that says it is another one.
    #[must_use]
    pub fn other_name(sent: &str, name: &str) -> Self {
        Self::bad_request(format!(
            "the name of the object ({sent}) does not match the name on the URL ({name})"
        ))
    }

    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 with upstream's frame: `pods "x" is forbidden: WHY`.
    #[must_use]
    pub fn forbidden(kind: KindRef, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{} is forbidden: {why}", kind.group_resource())
        } else {
            format!("{} {name:?} is forbidden: {why}", kind.group_resource())
        };
        Self::new(403, "Forbidden", message).about(kind, name)
    }

    /// 403 in free words.
    #[must_use]
    pub fn forbidden_text(message: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 406.
    #[must_use]
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!(
            "only the following media types are accepted: {}",
            accepted.join(", ")
        );
        Self::new(406, "NotAcceptable", message)
    }

    /// 410 for a revision that is no longer known.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413.
    #[must_use]
    pub fn too_large(bytes_max: usize) -> Self {
        let message = format!("Request entity too large: limit is {bytes_max}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// 415.
    #[must_use]
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 429 with the seconds to wait.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>, retry_after_secs: u32) -> Self {
        let mut error = Self::new(429, "TooManyRequests", message);
        error.details = Some(Box::new(Details {
            retry_after_secs,
            ..Details::default()
        }));
        error
    }

    /// 500.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
    }

    /// 503.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 504.
    #[must_use]
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(504, "Timeout", message)
    }

    /// The object on the wire.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = details_json(details);
        }
        status
    }
}

/// Leaves out the causes that are too much, but for the first; how many.
fn cut(causes: &mut Vec<Cause>) -> usize {
    let mut room = CAUSES_BYTES_MAX;
    let fits = |cause: &&Cause| {
        let size = cause.field.len() + cause.message.len();
        let left = room.checked_sub(size);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let told = causes.iter().take_while(fits).count().max(1);
    let untold = causes.len().saturating_sub(told);
    causes.truncate(told);
    untold
}

fn details_json(details: &Details) -> Value {
    let mut object = serde_json::Map::new();
    let texts = [
        ("name", &details.name),
        ("group", &details.group),
        ("kind", &details.kind),
        ("uid", &details.uid),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            object.insert(name.to_owned(), json!(text));
        }
    }
    if !details.causes.is_empty() {
        let cause = |cause: &Cause| {
            let mut shown = json!({"reason": cause.reason, "message": cause.message});
            if !cause.field.is_empty() {
                shown["field"] = json!(cause.field);
            }
            shown
        };
        object.insert(
            "causes".to_owned(),
            details.causes.iter().map(cause).collect(),
        );
    }
    if details.retry_after_secs > 0 {
        object.insert(
            "retryAfterSeconds".to_owned(),
            json!(details.retry_after_secs),
        );
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_does_not_outgrow_what_it_is_about() {
        let cause = Cause::required("spec.x", &"y".repeat(1000));
        let error = StatusError::invalid(crate::kind::POD, "p", vec![cause.clone(); 16_000]);
        let told = error.details.unwrap().causes.len();
        assert!((1000..1100).contains(&told), "{told}");
        let rest = format!(", and {} more]", 16_000 - told);
        assert!(error.message.ends_with(&rest));
        let large = Cause::required("spec.x", &"y".repeat(2 * CAUSES_BYTES_MAX));
        let error = StatusError::invalid(crate::kind::POD, "p", vec![large, cause]);
        assert_eq!(error.details.unwrap().causes.len(), 1);
    }
    use crate::kind;

    #[track_caller]
    fn check(error: &StatusError, code: u16, message: &str) {
        assert_eq!((error.code, error.message.as_str()), (code, message));
        assert_eq!(error.to_json()["kind"], "Status");
    }

    #[test]
    fn words_are_upstreams() {
        check(
            &StatusError::not_found(kind::POD, "a"),
            404,
            "pods \"a\" not found",
        );
        check(
            &StatusError::already_exists(kind::DEPLOYMENT, "a"),
            409,
            "deployments.apps \"a\" already exists",
        );
        check(
            &StatusError::invalid(
                kind::DEPLOYMENT,
                "a",
                vec![Cause::required("spec.selector", "")],
            ),
            422,
            "Deployment.apps \"a\" is invalid: spec.selector: Required value",
        );
        check(
            &StatusError::stale(kind::POD, "a"),
            409,
            "Operation cannot be fulfilled on pods \"a\": the object has been modified; please apply your changes to the latest version and try again",
        );
    }
}
