//! What every namespace has: the ServiceAccount `default` and the CA's certificate.
//!
//! Source: k8s.io/kubernetes `pkg/controller/serviceaccount`, `pkg/controller/certificates/rootcacertpublisher`.

use crate::{
    cache::Change,
    reconcile::{Next, Reconciler},
    registry::{Context, Registry, Subresource},
};
use coracle_api::{Key, KindRef, StatusError, kind};
use serde_json::{Value, json};

const ACCOUNT: &str = "default";
const CA_MAP: &str = "kube-root-ca.crt";
pub(super) const CA_FIELD: &str = "ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

/// The reconciler; its keys are namespaces.
#[derive(Debug)]
pub(super) struct ServiceAccounts {
    pub(super) registry: Registry,
    pub(super) ca_pem: String,
}

impl Reconciler for ServiceAccounts {
    const NAME: &'static str = "serviceaccount";
    type Key = Key;

    fn watches(&self) -> Vec<KindRef> {
        vec![kind::NAMESPACE, kind::SERVICE_ACCOUNT, kind::CONFIG_MAP]
    }

    fn keys(&self, change: &Change) -> Vec<Key> {
        let object = &change.object;
        if object.kind == kind::NAMESPACE {
            return vec![object.key.clone()];
        }
        if object.key.name != ACCOUNT && object.key.name != CA_MAP {
            return Vec::new();
        }
        vec![Key::cluster(object.key.namespace.clone())]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let namespace = self.registry.cache().get(kind::NAMESPACE, key);
        if namespace.is_none_or(|namespace| namespace.is_deleting()) {
            return Ok(Next::AwaitChange);
        }
        self.ensure_account(&key.name).await?;
        self.ensure_ca(&key.name).await?;
        Ok(Next::AwaitChange)
    }
}

impl ServiceAccounts {
    async fn ensure_account(&self, namespace: &str) -> Result<(), StatusError> {
        let of = kind::SERVICE_ACCOUNT;
        let key = Key::new(namespace, ACCOUNT);
        if self.registry.cache().get(of, &key).is_some() {
            return Ok(());
        }
        let account = json!({"metadata": {"name": ACCOUNT}});
        self.create(of, namespace, account).await
    }

    async fn ensure_ca(&self, namespace: &str) -> Result<(), StatusError> {
        let of = kind::CONFIG_MAP;
        let key = Key::new(namespace, CA_MAP);
        let data = json!({CA_FIELD: self.ca_pem});
        let Some(found) = self.registry.cache().get(of, &key) else {
            let map = json!({
                "metadata": {"name": CA_MAP, "annotations": {"kubernetes.io/description": DESCRIPTION}},
                "data": data,
            });
            return self.create(of, namespace, map).await;
        };
        if found.value()["data"] == data || found.is_deleting() {
            return Ok(());
        }
        let context = Context::system("root-ca-cert-publisher");
        let restore = |value: &mut Value| {
            value["data"] = data.clone();
            Ok(())
        };
        self.registry
            .modify(&context, of, &key, Subresource::None, restore)
            .await
            .map(|_map| ())
    }

    async fn create(&self, of: KindRef, namespace: &str, value: Value) -> Result<(), StatusError> {
        let context = Context::system("serviceaccount-controller");
        match self.registry.create(&context, of, namespace, value).await {
            Err(error) if error.reason != "AlreadyExists" => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
