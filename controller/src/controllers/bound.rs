//! Which pods a node has, and how a pod is told that it was disturbed. Pure.

use crate::{cache::Cache, object::Object};
use coracle_api::{k8s_openapi::api::core::v1::Pod, kind};
use serde_json::{Value, json};
use std::sync::Arc;

/// A pod object with its typed form.
pub(super) type Bound = (Arc<Object>, Arc<Pod>);

/// The node a pod is bound to, or empty.
pub(super) fn node_of(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    spec.and_then(|spec| spec.node_name.as_deref())
        .unwrap_or_default()
}

/// All pods of a node. Walks over all pods, but decodes only those that name the node: for nodes that
/// need it, not for every change.
pub(super) fn pods_of(cache: &Cache, node: &str) -> Vec<Bound> {
    let all = cache.list(kind::POD, None);
    all.into_iter()
        .filter(|object| names(&object.raw, node))
        .filter_map(|object| {
            let pod = object.typed::<Pod>().ok()?;
            (node_of(&pod) == node).then_some((object, pod))
        })
        .collect()
}

/// Says in the status of a pod why it is ended from outside.
pub(super) fn disrupt(pod: &mut Value, reason: &str, message: &str, now: &str) {
    if !pod["status"]["conditions"].is_array() {
        pod["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = pod["status"]["conditions"].as_array_mut() else {
        return;
    };
    let same = |condition: &Value| {
        condition["type"] == "DisruptionTarget" && condition["status"] == "True"
    };
    if conditions.iter().any(same) {
        return;
    }
    conditions.retain(|condition| condition["type"] != "DisruptionTarget");
    conditions.push(
        json!({"type": "DisruptionTarget", "status": "True", "reason": reason,
        "message": message, "lastProbeTime": null, "lastTransitionTime": now}),
    );
}

/// Whether the name stands somewhere in the JSON, quoted.
fn names(raw: &[u8], node: &str) -> bool {
    let name = node.as_bytes();
    raw.windows(name.len() + 2).any(|window| {
        window[0] == b'"' && window[name.len() + 1] == b'"' && &window[1..=name.len()] == name
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::Revision;

    #[test]
    fn only_the_pods_bound_to_it() {
        let pod = |name: &str, node: &str| {
            let value = json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"nodeName": node, "containers": []}});
            Object::new(kind::POD, Revision(1), value).unwrap()
        };
        let pods = vec![
            pod("a", "n1"),
            pod("n1", "n2"),
            pod("b", "n11"),
            pod("c", "n1"),
        ];
        let cache = Cache::new(pods, Revision(1));
        let found: Vec<String> = pods_of(&cache, "n1")
            .iter()
            .map(|(object, _)| object.key.name.clone())
            .collect();
        assert_eq!(found, ["a", "c"]);
        assert!(pods_of(&cache, "").is_empty());
    }
}
