//! What this node and its containers use, for `kubectl top` and the controller's metrics.

use crate::{Shared, node_status};
use coracle_link::node::{ContainerUsage, NodeUsage};

/// Use so far, now.
pub(crate) fn usage(shared: &Shared) -> NodeUsage {
    let containers = shared
        .network
        .sandboxes(|uid, namespace, pod, container, sandbox| {
            let used = sandbox.usage();
            ContainerUsage {
                pod_uid: uid.to_owned(),
                namespace: namespace.to_owned(),
                pod: pod.to_owned(),
                container: container.to_owned(),
                cpu_nanos: used.cpu_nanos,
                memory_bytes: used.memory_bytes + used.code_bytes,
                requests: used.requests,
                traps: used.traps,
            }
        });
    NodeUsage {
        cpu_nanos: node_status::process_cpu_nanos(),
        memory_bytes: node_status::process_memory_bytes(),
        time_ms: shared.clock.unix_millis(),
        containers,
    }
}
