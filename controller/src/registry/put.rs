//! PUT: the whole of an object, or one of its parts; of some kinds also an object that was not there.
//!
//! Source: k8s.io/kubernetes `pkg/registry/*/*/strategy.go`, `AllowCreateOnUpdate` and `AllowUnconditionalUpdate`.

use super::{Context, Decision, Others, Registry, Subresource, pod_security, rights, service};
use crate::{cache::ChangeKind, object::Object};
use coracle_api::{Key, KindRef, StatusError, go::parse_uint, kind, status::Cause};
use serde_json::{Value, json};
use std::sync::Arc;

/// Kinds that a PUT creates where there is none.
fn creates() -> [KindRef; 10] {
    [
        kind::ENDPOINTS,
        kind::EVENT,
        kind::LIMIT_RANGE,
        kind::SERVICE,
        kind::LEASE,
        kind::RUNTIME_CLASS,
        kind::ROLE,
        kind::CLUSTER_ROLE,
        kind::ROLE_BINDING,
        kind::CLUSTER_ROLE_BINDING,
    ]
}

/// Built-in kinds whose PUT has to name the version that it replaces; all custom ones have to as well.
fn conditional() -> [KindRef; 8] {
    [
        kind::LEASE,
        kind::RUNTIME_CLASS,
        kind::POD_DISRUPTION_BUDGET,
        kind::CSI_DRIVER,
        kind::CSI_NODE,
        kind::CSI_STORAGE_CAPACITY,
        kind::VOLUME_ATTACHMENT,
        kind::CUSTOM_RESOURCE_DEFINITION,
    ]
}

/// The number of a version that a client names; 0 is none. Upstream has no word for what is no number.
///
/// # Errors
/// 500, in the words of Go's parser.
pub(crate) fn version_of(text: &str) -> Result<u64, StatusError> {
    match text {
        "" => Ok(0),
        text => parse_uint(text).map_err(StatusError::plain),
    }
}

/// Refuses a write without a version where there has to be one.
pub(super) fn check_versioned(of: KindRef, name: &str) -> Result<(), StatusError> {
    if !of.is_custom() && !conditional().contains(&of.storage()) {
        return Ok(());
    }
    let cause = Cause {
        reason: "FieldValueInvalid",
        message: "Invalid value: 0: must be specified for an update".to_owned(),
        field: "metadata.resourceVersion".to_owned(),
    };
    let mut refused = StatusError::invalid(of, name, vec![cause]);
    // As upstream, which names the resource here and not the kind.
    refused.message = refused.message.replacen(of.kind, of.plural, 1);
    if let Some(details) = &mut refused.details {
        of.plural.clone_into(&mut details.kind);
    }
    Err(refused)
}

/// An object stays where it is, whatever a patch says.
pub(super) fn check_same(key: &Key, value: &Value) -> Result<(), StatusError> {
    let meta = &value["metadata"];
    let text = |name: &str| meta[name].as_str().unwrap_or_default();
    let namespace = text("namespace");
    if !namespace.is_empty() && !key.namespace.is_empty() && namespace != key.namespace {
        return Err(StatusError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    match text("name") {
        "" => Err(StatusError::nameless(&key.name)),
        name if name != key.name => Err(StatusError::other_name(name, &key.name)),
        _ => Ok(()),
    }
}

impl Registry {
    /// Replaces an object, or a part of it; true with the object when it was created.
    ///
    /// # Errors
    /// As upstream: 400, 403, 404, 409 (stale), 422.
    pub async fn update(
        &self,
        context: &Context,
        kind: KindRef,
        key: &Key,
        part: Subresource,
        mut value: Value,
    ) -> Result<(Arc<Object>, bool), StatusError> {
        if part != Subresource::Scale {
            value = self.decode(context, kind, value)?;
        }
        let (asked, kind) = (kind, kind.written_as());
        let (mut created, mut tightened) = (false, None);
        let written = self
            .committer
            .write(
                kind,
                key,
                context.target(false),
                |current, others| match current {
                    None if part == Subresource::None && creates().contains(&kind) => {
                        created = true;
                        let value = self.create_put(context, asked, key, value.clone(), others)?;
                        Ok(Decision::Put(ChangeKind::Added, value))
                    }
                    current => {
                        let before = current.clone();
                        let put = |_old: &Value| Ok(value.clone());
                        let step =
                            self.step(context, (asked, part), (key, current, others), put)?;
                        tightened = pod_security::tightened_by(kind, before.as_deref(), &step);
                        Ok(step)
                    }
                },
            )
            .await?;
        pod_security::warn_of_pods(&self.cache, context, key, tightened).await;
        Ok((written, created))
    }

    fn create_put(
        &self,
        context: &Context,
        asked: KindRef,
        key: &Key,
        mut value: Value,
        others: Others<'_>,
    ) -> Result<Value, StatusError> {
        let kind = asked.written_as();
        rights::may_create(&self.authorizer, &context.user, kind, key)?;
        // The version that was to be replaced is gone, whichever it was.
        if let Some(meta) = value["metadata"].as_object_mut()
            && let Some(version) = meta.remove("resourceVersion")
        {
            version_of(version.as_str().unwrap_or_default())?;
        }
        value["metadata"]["name"] = json!(key.name);
        let value = self.owned(context, kind, value);
        let value = self.prepare_create(context, asked, &key.namespace, value)?;
        service::allocate(others, kind, value, None)
    }
}
