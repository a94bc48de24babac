//! Quotas: what is allowed and what is taken, in their status.
//!
//! Counts nothing: the registry does, with every write. This controller copies what it says to where people look, also
//! after a start and when time alone makes a difference.
//!
//! Source: k8s.io/kubernetes `pkg/controller/resourcequota`.

use crate::{
    cache::Change,
    reconcile::{Next, Reconciler},
    registry::{Context, QuotaUsage, Registry, Subresource},
};
use coracle_api::{Key, StatusError, kind};
use serde_json::{Value, json};
use std::time::Duration;

/// The reconciler; its keys are quotas.
#[derive(Debug)]
pub(super) struct ResourceQuotas {
    pub(super) registry: Registry,
}

impl Reconciler for ResourceQuotas {
    const NAME: &'static str = "resourcequota";
    type Key = Key;

    const WATCHES_ALL: bool = true;

    fn keys(&self, change: &Change) -> Vec<Key> {
        let object = &change.object;
        if object.kind == kind::CUSTOM_RESOURCE_DEFINITION {
            // A name that was nothing may be a kind now.
            let quotas = self.registry.cache().list(kind::RESOURCE_QUOTA, None);
            return quotas.iter().map(|quota| quota.key.clone()).collect();
        }
        if !object.kind.namespaced || object.kind == kind::EVENT {
            return Vec::new();
        }
        let namespace = Some(object.key.namespace.as_str());
        let quotas = self.registry.cache().list(kind::RESOURCE_QUOTA, namespace);
        quotas.iter().map(|quota| quota.key.clone()).collect()
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let of = kind::RESOURCE_QUOTA;
        let Some(quota) = self.registry.cache().get(of, key) else {
            return Ok(Next::AwaitChange);
        };
        // A quota that is there is counted by now: what nobody sees yet is in it.
        let Some(usage) = self.registry.quota_usage(key) else {
            return Ok(Next::AwaitChange);
        };
        let value = quota.value();
        if plan(&value, &usage).is_some() {
            let context = Context::system("resourcequota-controller");
            let write = |current: &mut Value| {
                if let Some(status) = plan(current, &usage) {
                    current["status"] = status;
                }
                Ok(())
            };
            let part = Subresource::Status;
            let written = self.registry.modify(&context, of, key, part, write).await;
            match written {
                Err(error) if error.code != 404 => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        let now = self.registry.clock().now();
        Ok(usage.until.map_or(Next::AwaitChange, |until| {
            let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            Next::After(left + Duration::from_secs(1))
        }))
    }
}

/// The status that a quota shall have, if it has another one.
fn plan(quota: &Value, usage: &QuotaUsage) -> Option<Value> {
    let hard = match &quota["spec"]["hard"] {
        Value::Null => json!({}),
        hard => hard.clone(),
    };
    let status = json!({"hard": hard, "used": usage.used});
    (quota["status"] != status).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_what_is_allowed_and_taken() {
        let usage = QuotaUsage {
            used: [("pods".to_owned(), "1".to_owned())].into(),
            until: None,
        };
        let mut quota = json!({"spec": {"hard": {"pods": "2"}}, "status": {}});
        let status = plan(&quota, &usage).unwrap();
        assert_eq!(
            status,
            json!({"hard": {"pods": "2"}, "used": {"pods": "1"}})
        );
        quota["status"] = status;
        assert_eq!(plan(&quota, &usage), None);
        quota["spec"]["hard"]["pods"] = json!("3");
        assert!(plan(&quota, &usage).is_some());
    }
}
