//! A pod runs as a service account, which must be there.
//!
//! No token is mounted: a guest gets nothing that was not granted. Source: k8s.io/kubernetes
//! `plugin/pkg/admission/serviceaccount`.

use super::{Context, Registry};
use crate::cache::Cache;
use coracle_api::{Key, StatusError, k8s_openapi::api::core::v1::ServiceAccount, kind};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a new namespace's account is waited for: its controller writes it right after the namespace.
const ACCOUNT_WAIT: Duration = Duration::from_millis(500);

fn key_of(namespace: &str, pod: &Value) -> Key {
    let name = pod["spec"]["serviceAccountName"].as_str();
    Key::new(
        namespace,
        name.filter(|name| !name.is_empty()).unwrap_or("default"),
    )
}

/// Waits a moment for the account of a pod.
pub(super) async fn wait(cache: &Cache, namespace: &str, pod: &Value) {
    let key = key_of(namespace, pod);
    let mut newest = cache.newest();
    let found = async {
        while cache.get(kind::SERVICE_ACCOUNT, &key).is_none() && newest.changed().await.is_ok() {}
    };
    // Whether it came is for `admit` to see.
    let _elapsed = tokio::time::timeout(ACCOUNT_WAIT, found).await;
}

/// Refuses a pod whose account is not there, and gives it the account's secrets for images.
pub(super) fn admit(cache: &Cache, pod: &mut Value) -> Result<(), StatusError> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let key = key_of(namespace, pod);
    let Some(account) = cache.get(kind::SERVICE_ACCOUNT, &key) else {
        let why = format!(
            "error looking up service account {}/{}: serviceaccount {:?} not found",
            key.namespace, key.name, key.name
        );
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        return Err(StatusError::forbidden(kind::POD, name, &why));
    };
    let secrets = account
        .typed::<ServiceAccount>()
        .ok()
        .and_then(|account| account.image_pull_secrets.clone())
        .unwrap_or_default();
    let own = pod["spec"]["imagePullSecrets"].as_array();
    if own.is_none_or(Vec::is_empty) && !secrets.is_empty() {
        pod["spec"]["imagePullSecrets"] = json!(secrets);
    }
    Ok(())
}

/// Makes a namespace's account `default` as its controller would a moment later: the first pod may come before.
pub(super) async fn ensure_default(
    registry: &Registry,
    context: &Context,
    namespace: &str,
) -> Result<(), StatusError> {
    let (cache, key) = (registry.cache(), Key::new(namespace, "default"));
    let found = cache.get(kind::NAMESPACE, &Key::cluster(namespace));
    let is_open = found.is_some_and(|namespace| !namespace.is_deleting());
    if !is_open || cache.get(kind::SERVICE_ACCOUNT, &key).is_some() {
        return Ok(());
    }
    let account = json!({"metadata": {"name": key.name}});
    match registry
        .create(context, kind::SERVICE_ACCOUNT, namespace, account)
        .await
    {
        Err(error) if error.reason != "AlreadyExists" => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}
