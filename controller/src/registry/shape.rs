//! What objects of a kind look like, built in or custom, and what patches make of them.

use super::{PatchForm, strategy::Unreadable};
use crate::{
    kinds::{self, Custom},
    object::Object,
};
use coracle_api::{
    KindRef, StatusError,
    go::printed,
    patch,
    schema::{
        self, Mismatch, Type, custom_kind_mismatch, custom_version_mismatch, mismatch, name_of,
    },
    status::Cause,
};
use serde_json::Value;
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

    /// An object as the kind that is written has it.
    pub(super) fn shown(&self, object: &Object) -> Value {
        kinds::shown(self.custom.as_deref(), object)
    }
}

/// What a patch, other than an applied one, makes of an object, as its client sees it.
pub(super) fn patched(
    shape: &Shape,
    current: &Value,
    form: PatchForm,
    body: &Value,
) -> Result<Value, StatusError> {
    let kind = shape.kind;
    match form {
        PatchForm::Json => patch::json::apply(current.clone(), body).map_err(refused_patch),
        PatchForm::Merge => Ok(patch::merge::apply(current.clone(), body.clone())),
        PatchForm::Strategic if kind.is_custom() => {
            // Nobody has said how its lists merge in this way.
            Err(StatusError::unsupported_media_type(&CUSTOM_PATCHES))
        }
        PatchForm::Strategic => patch::strategic::apply(shape.ty(), current.clone(), body.clone())
            .map_err(|error| {
                if error.is_bad_request() {
                    StatusError::bad_request(error.to_string())
                } else {
                    StatusError::plain(error.to_string())
                }
            }),
    }
}

/// What is said of a JSON patch that is none, or does not fit.
pub(crate) fn refused_patch(error: patch::json::Error) -> StatusError {
    match error {
        patch::json::Error::Malformed(_) => StatusError::bad_request(error.to_string()),
        // Upstream does not say which operation.
        patch::json::Error::Rejected { .. } => StatusError {
            code: 422,
            reason: "Invalid",
            message: "the server rejected our request due to an error in our request".to_owned(),
            details: None,
        },
    }
}

/// An object stays what it is, whatever a patch says. A strategic merge knows what it makes, and does not look.
pub(super) fn check_type(
    shape: &Shape,
    before: &Value,
    patched: &Value,
    form: PatchForm,
) -> Result<(), Refused> {
    let kind = shape.kind;
    if kind.is_custom() {
        // The version that is stored may be another one than the one that is asked for.
        if patched["apiVersion"] != before["apiVersion"]
            && let Some(why) = custom_version_mismatch(kind, patched)
        {
            return Err(Unreadable::new(why).into());
        }
        let Some(cause) = custom_kind_mismatch(kind, patched) else {
            return Ok(());
        };
        let name = patched["metadata"]["name"].as_str().unwrap_or_default();
        return Err(StatusError::invalid(kind, name, vec![cause]).into());
    }
    let wanted = (kind.group, kind.version, kind.kind);
    match mismatch(name_of(patched, wanted), wanted) {
        Some(Mismatch::Version(why) | Mismatch::Kind(why)) if form != PatchForm::Strategic => {
            Err(Unreadable::new(why).into())
        }
        _ => Ok(()),
    }
}

/// Why a patch makes nothing that can be looked at.
pub(super) enum Refused {
    /// What it makes is no object of the kind.
    Unreadable(Unreadable),
    /// Anything else.
    Status(StatusError),
}

impl From<Unreadable> for Refused {
    fn from(why: Unreadable) -> Self {
        Self::Unreadable(why)
    }
}

impl From<StatusError> for Refused {
    fn from(error: StatusError) -> Self {
        Self::Status(error)
    }
}

/// The answer. What came out of a patch is no object of the kind: the patch is to blame.
///
/// Source: k8s.io/apiserver `pkg/endpoints/handlers/patch.go`.
pub(super) fn blame(
    refused: Refused,
    shape: &Shape,
    shown: &Value,
    form: PatchForm,
    body: &Value,
) -> StatusError {
    let why = match refused {
        Refused::Unreadable(why) => why,
        Refused::Status(error) => return error,
    };
    let value = match form {
        // Made once more, as it is gone: this is for those who err.
        PatchForm::Json | PatchForm::Merge => match patched(shape, shown, form, body) {
            Ok(patched) => patched.to_string(),
            Err(error) => return error,
        },
        PatchForm::Strategic => printed(body),
    };
    let cause = Cause::invalid("patch", &Value::String(value), why.why());
    StatusError::invalid_patch(cause)
}
