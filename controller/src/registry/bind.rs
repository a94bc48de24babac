//! Bindings: a pod gets its node, once.
//!
//! Source: k8s.io/kubernetes `pkg/registry/core/pod/storage`.

use super::{Context, Decision, Registry, strategy};
use crate::cache::ChangeKind;
use coracle_api::{Key, StatusError, kind};
use serde_json::{Value, json};

impl Registry {
    /// Assigns a pod to a node.
    ///
    /// # Errors
    /// 404, or 409 when it is assigned already or is being deleted.
    pub async fn bind(&self, context: &Context, pod: &Key, node: &str) -> Result<(), StatusError> {
        self.bind_uid(context, pod, None, node).await
    }

    /// As [`Registry::bind`], but only the pod with this uid.
    ///
    /// # Errors
    /// As [`Registry::bind`]; 409 also when the pod is another one.
    pub async fn bind_uid(
        &self,
        context: &Context,
        pod: &Key,
        uid: Option<&str>,
        node: &str,
    ) -> Result<(), StatusError> {
        let time = coracle_api::time(self.clock.now());
        let bind = |value: &mut Value| {
            let actual = value["metadata"]["uid"].as_str().unwrap_or_default();
            if let Some(uid) = uid.filter(|uid| *uid != actual) {
                let why = format!(
                    "Precondition failed: UID in precondition: {uid}, UID in object meta: {actual}"
                );
                return Err(StatusError::conflict(kind::POD, &pod.name, &why));
            }
            if !value["metadata"]["deletionTimestamp"].is_null() {
                let why = format!(
                    "pod {} is being deleted, cannot be assigned to a host",
                    pod.name
                );
                return Err(StatusError::conflict(kind::POD, &pod.name, &why));
            }
            let assigned = value["spec"]["nodeName"].as_str().unwrap_or_default();
            if !assigned.is_empty() {
                let why = format!("pod {} is already assigned to node {assigned:?}", pod.name);
                return Err(StatusError::conflict(kind::POD, &pod.name, &why));
            }
            value["spec"]["nodeName"] = json!(node);
            strategy::set_condition(&mut value["status"], "PodScheduled", "True", &time);
            Ok(())
        };
        let written =
            self.committer
                .write(kind::POD, pod, context.target(false), |current, _others| {
                    let current =
                        current.ok_or_else(|| StatusError::not_found(kind::POD, &pod.name))?;
                    let mut value = current.value();
                    bind(&mut value)?;
                    Ok(Decision::Put(ChangeKind::Modified, value))
                });
        written.await.map(|_object| ())
    }
}
