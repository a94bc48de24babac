//! The ConfigMap `kube-system/extension-apiserver-authentication`: by which CA the certificates of clients are
//! known, for servers that stand beside this one and ask it who may what.
//!
//! Without upstream's `requestheader-*`: these tell such a server whom to believe when the front passes a request on
//! in somebody's name. This API passes none on (there are no APIServices), and has no CA for it; upstream leaves the
//! fields out as well where it is started without one. A field that somebody else wrote stays. Source: k8s.io/kubernetes
//! `pkg/controlplane/controller/clusterauthenticationtrust`.

use crate::registry::{Context, Registry, Subresource};
use coracle_api::{Key, StatusError, kind};
use serde_json::json;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
const FIELD: &str = "client-ca-file";

/// Writes it, where it is not there or names another CA.
///
/// # Errors
/// When the registry refuses.
pub(crate) async fn announce(registry: &Registry, ca_pem: &str) -> Result<(), StatusError> {
    let (of, context) = (kind::CONFIG_MAP, Context::system("apiserver"));
    let key = Key::new(NAMESPACE, NAME);
    let changed = registry.modify(&context, of, &key, Subresource::None, |map| {
        map["data"][FIELD] = json!(ca_pem);
        Ok(())
    });
    match changed.await {
        Err(error) if error.code == 404 => {
            let map = json!({"metadata": {"name": NAME}, "data": {FIELD: ca_pem}});
            let created = registry.create(&context, of, NAMESPACE, map);
            created.await.map(|_map| ())
        }
        other => other.map(|_map| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{registry::DeleteOptions, store::Embedded};
    use coracle_daemon::{Clock, Tasks};
    use std::sync::Arc;

    #[tokio::test]
    async fn the_ca_comes_back_and_what_others_wrote_stays() {
        let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
        let store = Arc::new(Embedded::open(dir.path()).unwrap());
        let registry = Registry::open(store, Clock::system(), &tasks).unwrap();
        registry.bootstrap().await.unwrap();
        let (of, key) = (kind::CONFIG_MAP, Key::new(NAMESPACE, NAME));
        let context = Context::system("test");
        let data = || registry.cache().get(of, &key).unwrap().value()["data"].clone();

        announce(&registry, "ours").await.unwrap();
        assert_eq!(data(), json!({FIELD: "ours"}));
        let before = registry.cache().revision();
        announce(&registry, "ours").await.unwrap();
        assert_eq!(registry.cache().revision(), before, "nothing to write");

        let theirs = json!({FIELD: "theirs", "requestheader-allowed-names": "[]"});
        let spoil = registry.modify(&context, of, &key, Subresource::None, |map| {
            map["data"] = theirs.clone();
            Ok(())
        });
        spoil.await.unwrap();
        announce(&registry, "ours").await.unwrap();
        let mended = json!({FIELD: "ours", "requestheader-allowed-names": "[]"});
        assert_eq!(data(), mended);

        let options = DeleteOptions::default();
        registry.delete(&context, of, &key, options).await.unwrap();
        announce(&registry, "ours").await.unwrap();
        assert_eq!(data(), json!({FIELD: "ours"}));
    }
}
