//! Keeps `Ready` of pods with readiness gates in step with the gates' conditions, which anybody may set.
//!
//! An agent reports what it observes and is not told of conditions; a change of them through the API is
//! this controller's matter. It writes for nodes whose agent is there only: while a link is lost, the
//! node lifecycle has the word, and it takes it back by the same rule.
//!
//! Source: k8s.io/kubernetes `pkg/kubelet/status`.

use crate::{
    cache::{Change, ChangeKind},
    liveness::Liveness,
    readiness,
    reconcile::{Next, Reconciler},
    registry::{Context, Registry, Subresource},
};
use coracle_api::{Key, KindRef, StatusError, k8s_openapi::api::core::v1::Pod, kind};
use serde_json::Value;
use std::time::Duration;

/// A pod whose node is away and that would change is looked at again after this.
const HELD_PERIOD: Duration = Duration::from_secs(5);

/// The reconciler; its keys are pods with gates.
#[derive(Debug)]
pub(super) struct ReadinessGates {
    pub(super) registry: Registry,
    pub(super) liveness: Liveness,
}

impl Reconciler for ReadinessGates {
    const NAME: &'static str = "readinessgate";
    type Key = Key;

    fn watches(&self) -> Vec<KindRef> {
        vec![kind::POD]
    }

    fn keys(&self, change: &Change) -> Vec<Key> {
        if change.kind_of == ChangeKind::Deleted {
            return Vec::new();
        }
        let gated = change.object.typed().is_ok_and(|pod| is_gated(&pod));
        Vec::from_iter(gated.then(|| change.object.key.clone()))
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let Some(object) = self.registry.cache().get(kind::POD, key) else {
            return Ok(Next::AwaitChange);
        };
        let now = coracle_api::time(self.registry.clock().now());
        let mut probe = object.value();
        if !readiness::settle(&mut probe, &now) {
            return Ok(Next::AwaitChange);
        }
        let mut held = false;
        let settle = |pod: &mut Value| {
            // Looked at here: the link may be lost by now.
            held = !self.is_heard(pod);
            if !held {
                readiness::settle(pod, &now);
            }
            Ok(())
        };
        let context = Context::system("readiness-gate-controller");
        let part = Subresource::Status;
        let written = self
            .registry
            .modify(&context, kind::POD, key, part, settle)
            .await;
        match written {
            Err(error) if error.code != 404 => Err(error),
            Ok(_) if held => Ok(Next::After(HELD_PERIOD)),
            Ok(_) | Err(_) => Ok(Next::AwaitChange),
        }
    }
}

impl ReadinessGates {
    /// Whether the agent of a pod's node is there.
    fn is_heard(&self, pod: &Value) -> bool {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let link = self.liveness.get(node);
        link.is_some_and(|link| link.is_connected())
    }
}

fn is_gated(pod: &Pod) -> bool {
    let gates = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.readiness_gates.as_ref());
    gates.is_some_and(|gates| !gates.is_empty())
}
