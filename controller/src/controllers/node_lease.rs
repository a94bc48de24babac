//! The Leases of nodes, as a kubelet keeps them: for those who look there whether a node lives.
//!
//! Written for agents, from what the link knows. The registry keeps Leases of this namespace in memory
//! only, so that heartbeats never reach the disk.

use crate::{
    liveness::Liveness,
    object::Object,
    registry::{Context, Registry, Subresource},
};
use coracle_api::{Key, StatusError, kind};
use coracle_daemon::Tasks;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// Where node Leases are.
const NAMESPACE: &str = "kube-node-lease";
/// How often they are renewed, as a kubelet does.
const PERIOD: Duration = Duration::from_secs(10);
/// How long one holds, seconds, as upstream's default.
const DURATION_SECS: u32 = 40;

/// Renews the Leases of connected nodes until the tasks are asked to stop.
pub(crate) async fn renew(registry: Registry, liveness: Liveness, tasks: Tasks) {
    loop {
        tokio::select! {
            () = tasks.stop().cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
        for (node, link) in liveness.all() {
            let object = registry.cache().get(kind::NODE, &Key::cluster(&*node));
            let Some(object) = object.filter(|_| link.is_connected()) else {
                continue;
            };
            if let Err(error) = renew_one(&registry, &object).await {
                tracing::warn!(node, %error, "cannot renew a node's lease");
            }
        }
    }
}

async fn renew_one(registry: &Registry, node: &Object) -> Result<(), StatusError> {
    let context = Context::system("node-lease");
    let now = micros(registry.clock().now());
    let key = Key::new(NAMESPACE, &*node.key.name);
    let change = |lease: &mut Value| {
        lease["spec"]["renewTime"] = json!(now);
        Ok(())
    };
    let renewed = registry.modify(&context, kind::LEASE, &key, Subresource::None, change);
    match renewed.await {
        Err(error) if error.code == 404 => {
            let lease = lease(node, &now);
            let made = registry.create(&context, kind::LEASE, NAMESPACE, lease);
            made.await.map(|_lease| ())
        }
        other => other.map(|_lease| ()),
    }
}

fn lease(node: &Object, now: &str) -> Value {
    let name = &node.key.name;
    json!({
        "metadata": {"name": name, "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node.uid()}]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": DURATION_SECS, "renewTime": now},
    })
}

/// As the API prints a `MicroTime`.
fn micros(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Embedded;
    use coracle_daemon::{Clock, OnExit};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_lease_is_made_and_renewed_and_never_stored() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks::new();
        let store = Arc::new(Embedded::open(dir.path()).unwrap());
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let registry = Registry::open(store, clock.clone(), &tasks).unwrap();
        registry.bootstrap().await.unwrap();
        let context = Context::system("test");
        let node = json!({"metadata": {"name": "n1"}});
        let node = registry
            .create(&context, kind::NODE, "", node)
            .await
            .unwrap();
        renew_one(&registry, &node).await.unwrap();
        clock.advance(PERIOD);
        renew_one(&registry, &node).await.unwrap();
        let key = Key::new(NAMESPACE, "n1");
        let lease = registry.cache().get(kind::LEASE, &key).unwrap().value();
        assert_eq!(lease["spec"]["renewTime"], "1970-01-01T00:00:10.000000Z");
        assert_eq!(lease["metadata"]["ownerReferences"][0]["uid"], node.uid());
        drop(registry);
        assert!(tasks.shut_down(Duration::from_secs(5)).await);
        let tasks = Tasks::new();
        let store = Arc::new(Embedded::open(dir.path()).unwrap());
        let registry = Registry::open(store, Clock::system(), &tasks).unwrap();
        assert!(registry.cache().get(kind::LEASE, &key).is_none());
        tasks.spawn(
            "leases",
            OnExit::Ignore,
            renew(registry, Liveness::new(), tasks.clone()),
        );
        assert!(tasks.shut_down(Duration::from_secs(5)).await);
    }
}
