//! What objects of a kind look like, built in or custom, and what patches make of them.

use super::{Patch, PatchForm, custom, strategy};
use crate::kinds::Custom;
use coracle_api::{
    KindRef, StatusError, patch,
    schema::{self, Type},
    status::Cause,
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
            patch::json::Error::Rejected { .. } => {
                let cause = Cause {
                    reason: "FieldValueInvalid",
                    message: error.to_string(),
                    field: "patch".to_owned(),
                };
                StatusError::invalid(
                    kind,
                    current["metadata"]["name"].as_str().unwrap_or_default(),
                    vec![cause],
                )
            }
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
