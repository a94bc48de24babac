//! What a node may not change of a Node or a pod, whatever roles say it may write.
//!
//! Source: k8s.io/kubernetes `plugin/pkg/admission/noderestriction`.

use super::{Subresource, rights::Write};
use coracle_api::kind;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Labels of Kubernetes' own that a node tells of itself.
const OWN_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];
/// And those under these names.
const OWN_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Why the node of this name may not make the change.
pub(super) fn forbids(node: &str, write: &Write<'_>) -> Option<String> {
    let old = write.old?;
    if write.kind == kind::NODE {
        return of_node(node, write, old);
    }
    if write.kind != kind::POD || write.part != Subresource::Status {
        return None;
    }
    if old["spec"]["nodeName"] != node {
        return Some(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    let has_changed = !changed_labels(write.new, old).is_empty();
    has_changed.then(|| format!("node {node:?} cannot update labels through pod status"))
}

fn of_node(node: &str, write: &Write<'_>, old: &Value) -> Option<String> {
    let other = &write.key.name;
    if other != node {
        return Some(format!(
            "node {node:?} is not allowed to modify node {other:?}"
        ));
    }
    let differs = |part: &str, field: &str| {
        let list = |of: &Value| of[part][field].as_array().cloned().unwrap_or_default();
        list(write.new) != list(old)
    };
    for (part, field) in [("spec", "taints"), ("metadata", "ownerReferences")] {
        if differs(part, field) {
            return Some(format!("node {node:?} is not allowed to modify {field}"));
        }
    }
    let changed = changed_labels(write.new, old);
    let forbidden: Vec<&str> = changed.into_iter().filter(|name| !is_own(name)).collect();
    (!forbidden.is_empty()).then(|| {
        let names = forbidden.join(", ");
        format!("node {node:?} is not allowed to modify labels: {names}")
    })
}

/// The labels that are new, gone or other ones.
fn changed_labels<'a>(new: &'a Value, old: &'a Value) -> BTreeSet<&'a str> {
    let (new, old) = (labels(new), labels(old));
    let names = new.into_iter().chain(old).flat_map(Map::keys);
    let value = |labels: Option<&'a Map<String, Value>>, name: &str| labels?.get(name);
    names
        .filter(|name| value(new, name) != value(old, name))
        .map(String::as_str)
        .collect()
}

fn labels(object: &Value) -> Option<&Map<String, Value>> {
    object["metadata"]["labels"].as_object()
}

/// Whether a node may tell this of itself.
fn is_own(label: &str) -> bool {
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    let is_in = |name: &str| {
        let rest = domain.strip_suffix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if is_in("node-restriction.kubernetes.io") {
        return false;
    }
    let is_reserved = is_in("kubernetes.io") || is_in("k8s.io");
    !is_reserved || OWN_LABELS.contains(&label) || OWN_DOMAINS.iter().any(|name| is_in(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::UserInfo;
    use coracle_api::Key;
    use serde_json::json;

    fn said(kind: coracle_api::KindRef, name: &str, old: &Value, new: &Value) -> Option<String> {
        let user = UserInfo::new("system:node:a", []);
        let write = Write {
            user: &user,
            kind,
            key: &Key::cluster(name),
            part: Subresource::Status,
            new,
            old: Some(old),
        };
        forbids("a", &write)
    }

    #[test]
    fn a_node_tells_little_of_itself_and_nothing_of_others() {
        let labels = |labels: Value| json!({"metadata": {"labels": labels}});
        let refused = |what: &str| Some(format!("node \"a\" is not allowed to modify {what}"));
        let old = labels(json!({"mine": "1"}));
        for (name, new, expected) in [
            ("a", old.clone(), None),
            (
                "a",
                labels(json!({"mine": "2", "kubernetes.io/arch": "wasm"})),
                None,
            ),
            ("a", labels(json!({"x.node.kubernetes.io/y": "1"})), None),
            ("a", json!({"metadata": {}}), None),
            (
                "a",
                labels(json!({"x.k8s.io/y": "1", "node-role.kubernetes.io/control-plane": ""})),
                refused("labels: node-role.kubernetes.io/control-plane, x.k8s.io/y"),
            ),
            (
                "a",
                labels(json!({"a.node-restriction.kubernetes.io/y": "1"})),
                refused("labels: a.node-restriction.kubernetes.io/y"),
            ),
            (
                "a",
                json!({"spec": {"taints": [{"key": "k"}]}}),
                refused("taints"),
            ),
            (
                "a",
                json!({"metadata": {"ownerReferences": [{"uid": "u"}]}}),
                refused("ownerReferences"),
            ),
            ("b", old.clone(), refused("node \"b\"")),
        ] {
            assert_eq!(said(kind::NODE, name, &old, &new), expected, "{name} {new}");
        }
    }

    #[test]
    fn a_node_changes_no_labels_of_its_pods() {
        let pod = |node: &str, labels: Value| json!({"metadata": {"labels": labels}, "spec": {"nodeName": node}});
        for (old, new, expected) in [
            (pod("a", json!({})), pod("a", Value::Null), None),
            (
                pod("a", json!({"l": "1"})),
                pod("a", json!({"l": "2"})),
                Some("node \"a\" cannot update labels through pod status"),
            ),
            (
                pod("b", json!({})),
                pod("b", json!({})),
                Some(
                    "node \"a\" can only update pod status for pods with spec.nodeName set to itself",
                ),
            ),
        ] {
            let said = said(kind::POD, "p", &old, &new);
            assert_eq!(said.as_deref(), expected, "{new}");
        }
    }
}
