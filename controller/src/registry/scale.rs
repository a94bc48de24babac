//! `/scale`: the replicas of an object, wherever it has them, as an `autoscaling/v1` Scale.
//!
//! Source: k8s.io/kubernetes `pkg/registry/apps/deployment/storage`, k8s.io/apiextensions-apiserver
//! `pkg/registry/customresource`.

use super::{Context, Patch, Registry, Subresource, managers, settle, strategy};
use crate::{kinds::Custom, object::Object};
use coracle_api::{Key, KindRef, StatusError, apply::Scaled, crd::scale::about, schema, selector};
use serde_json::{Value, json};
use std::sync::Arc;

/// The Scale of an object; without replicas where a custom one has none.
///
/// # Errors
/// When what a definition says are its replicas is something else (500).
pub(crate) fn of(custom: Option<&Custom>, object: &Value) -> Result<Value, StatusError> {
    if let Some(scale) = custom.and_then(|custom| custom.version.scale.as_ref()) {
        let read = scale.read(object);
        return read.map_err(|wrong| StatusError::internal(wrong.to_string()));
    }
    Ok(json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": about(object),
        "spec": {"replicas": object["spec"]["replicas"].as_i64().unwrap_or(1)},
        "status": {
            "replicas": object["status"]["replicas"].as_i64().unwrap_or(0),
            "selector": selector::to_text(&object["spec"]["selector"]),
        },
    }))
}

/// Reads a Scale that somebody sent, or that a patch made, as strictly as its sender asks.
///
/// # Errors
/// Why it is no Scale.
pub(crate) fn decode(context: &Context, scale: &mut Value) -> Result<(), String> {
    let judged = strategy::judge(context, schema::check_scale(scale));
    judged.map_err(|why| why.why().to_owned())
}

impl Registry {
    /// Server-side apply of a Scale.
    pub(super) async fn apply_scale(
        &self,
        context: &Context,
        kind: KindRef,
        key: &Key,
        patch: &Patch,
    ) -> Result<Arc<Object>, StatusError> {
        let now = self.clock.now();
        let part = Subresource::Scale;
        let path = |api_version: &str| self.replicas_path(kind, api_version);
        self.committer
            .write(kind, key, context.target(false), |current, others| {
                let current = current.ok_or_else(|| StatusError::not_found(kind, &key.name))?;
                let shape = self.shape(kind);
                let old = shape.shown(&current);
                let shown = of(shape.custom.as_deref(), &old)?;
                let live = (&old, &shown);
                let Scaled { scale, managers } =
                    managers::apply_scale(context, kind, live, patch, &path, now)?;
                if scale["spec"]["replicas"].is_null() {
                    return Err(unset(shape.custom.as_deref()));
                }
                let mut new = self.admit(context, (kind, part), (&current, &old, others), scale)?;
                managers::put(&mut new, managers);
                Ok(settle(kind, current, &old, new))
            })
            .await
    }

    /// Where the objects of a version have their replicas.
    fn replicas_path(&self, kind: KindRef, api_version: &str) -> Option<Vec<String>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if group != kind.group {
            return None;
        }
        if !kind.is_custom() {
            let path = ["spec", "replicas"].map(str::to_owned);
            return (version == kind.version).then(|| path.to_vec());
        }
        let custom = self.cache.kinds().version(group, version, kind.plural)?;
        let scale = custom.version.scale.as_ref()?;
        Some(scale.path().map(str::to_owned).collect())
    }
}

fn unset(custom: Option<&Custom>) -> StatusError {
    let scale = custom.and_then(|custom| custom.version.scale.as_ref());
    let path = scale.map_or(".spec.replicas", |scale| scale.replicas_path());
    StatusError::bad_request(format!("the spec replicas field {path:?} cannot be empty"))
}
