//! What objects of a kind look like, built in or custom, and what patches make of them.

use super::{Patch, PatchForm, custom, strategy};
use crate::kinds::Custom;
use coracle_api::{
    KindRef, StatusError, patch,
    schema::{self, Type},
    status::{Cause, Details},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// How custom objects are patched, as upstream lists it.
const CUSTOM_PATCHES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
];

/// What objects of a kind look like.
pub(super) struct Shape {
    pub(super) kind: KindRef,
    pub(super) custom: Option<Arc<Custom>>,
}

impl Shape {
    pub(super) fn ty(&self) -> Type<'_> {
        match &self.custom {
            Some(custom) => custom.merging(),
            None => schema::type_of(self.kind),
        }
    }

    /// An applied Scale says one thing of its object.
    pub(super) fn scale_patch(&self, patch: &Patch) -> Result<Patch, StatusError> {
        let replicas = strategy::replicas(self.kind, &patch.body, &patch.body)?;
        let mut body = json!({"spec": {"replicas": replicas}});
        if let Some(custom) = &self.custom {
            body = custom::set_replicas(custom, &json!({"spec": {}}), replicas)?;
        }
        Ok(Patch {
            body,
            ..patch.clone()
        })
    }
}

/// What a patch, other than an applied one, makes of an object.
pub(super) fn patched(
    shape: &Shape,
    current: &Value,
    form: PatchForm,
    body: &Value,
) -> Result<Value, StatusError> {
    let kind = shape.kind;
    match form {
        PatchForm::Json => patch::json::apply(current.clone(), body).map_err(|error| match error {
            patch::json::Error::Malformed(_) => StatusError::bad_request(error.to_string()),
            // Upstream does not say which operation.
            patch::json::Error::Rejected { .. } => StatusError {
                code: 422,
                reason: "Invalid",
                message: "the server rejected our request due to an error in our request"
                    .to_owned(),
                details: None,
            },
        }),
        PatchForm::Merge => Ok(patch::merge::apply(current.clone(), body.clone())),
        PatchForm::Strategic if kind.is_custom() => {
            // Nobody has said how its lists merge in this way.
            Err(StatusError::unsupported_media_type(&CUSTOM_PATCHES))
        }
        PatchForm::Strategic => patch::strategic::apply(shape.ty(), current.clone(), body.clone())
            .map_err(|error| StatusError::bad_request(error.to_string())),
    }
}

/// What came out of a patch is no object of the kind: the patch is to blame. Strict validation speaks for itself.
///
/// Source: k8s.io/apiserver `pkg/endpoints/handlers/patch.go`.
pub(super) fn unreadable(
    shape: &Shape,
    error: StatusError,
    shown: &Value,
    form: PatchForm,
    body: &Value,
) -> StatusError {
    if error.reason != "BadRequest" || !error.message.contains("json: cannot unmarshal") {
        return error;
    }
    let value = match form {
        // Made once more, as it is gone: this is for those who err.
        PatchForm::Json | PatchForm::Merge => match patched(shape, shown, form, body) {
            Ok(patched) => patched.to_string(),
            Err(error) => return error,
        },
        PatchForm::Strategic => printed(body),
    };
    let cause = Cause::invalid("patch", &Value::String(value), &error.message);
    StatusError {
        code: 422,
        reason: "Invalid",
        message: format!(" \"\" is invalid: patch: {}", cause.message),
        details: Some(Box::new(Details {
            causes: vec![cause],
            ..Details::default()
        })),
    }
}

/// As Go prints it with `%+v`.
fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(printed).collect();
            format!("[{}]", list.join(" "))
        }
        Value::Object(map) => {
            let fields = map
                .iter()
                .map(|(name, value)| format!("{name}:{}", printed(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}
