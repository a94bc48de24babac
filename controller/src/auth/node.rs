//! What a node may do over HTTPS: read its own Node and its own pods, and tell of itself.
//!
//! An agent does its work over the link, so this is the least that a client with a node's certificate
//! needs. Everything else is denied until it is granted. Source: k8s.io/kubernetes `plugin/pkg/auth/authorizer/node`,
//! `plugin/pkg/admission/noderestriction`.

use super::{Attributes, UserInfo};
use crate::{
    cache::Cache,
    pki::{NODE_USER_PREFIX, NODES},
};
use coracle_api::{Key, k8s_openapi::api::core::v1::Pod, kind, selector::FieldSelector};

/// Where nodes renew their leases.
const LEASES: &str = "kube-node-lease";

/// The node that a user is.
#[must_use]
pub fn name_of(user: &UserInfo) -> Option<&str> {
    let name = user.name.strip_prefix(NODE_USER_PREFIX)?;
    (!name.is_empty() && user.groups.iter().any(|group| group == NODES)).then_some(name)
}

/// Whether the user is a node and may do this as one.
pub(super) fn allows(cache: &Cache, user: &UserInfo, asked: &Attributes<'_>) -> bool {
    let Some(node) = name_of(user) else {
        return false;
    };
    match (asked.group, asked.resource, asked.subresource) {
        ("", "nodes", "") => reads(asked.verb) && asked.name == node,
        ("", "pods", "") if asked.verb == "get" => is_own_pod(cache, node, asked),
        ("", "pods", "") => reads(asked.verb) && selects_node(asked.fields, node),
        ("" | "events.k8s.io", "events", "") => asked.verb == "create",
        // Whose certificate it may be is in the body; the registry looks there.
        ("certificates.k8s.io", "certificatesigningrequests", "") => {
            asked.verb == "create" || reads(asked.verb)
        }
        ("coordination.k8s.io", "leases", "") if asked.namespace == LEASES => match asked.verb {
            // Whose it is stands in the body; `restricts` looks there.
            "create" => true,
            "get" | "update" | "patch" => asked.name == node,
            _ => false,
        },
        _ => false,
    }
}

fn reads(verb: &str) -> bool {
    matches!(verb, "get" | "list" | "watch")
}

fn is_own_pod(cache: &Cache, node: &str, asked: &Attributes<'_>) -> bool {
    let key = Key::new(asked.namespace, asked.name);
    let Some(pod) = cache.get(kind::POD, &key) else {
        return false;
    };
    pod.typed::<Pod>().is_ok_and(|pod| {
        let spec = pod.spec.as_ref();
        spec.and_then(|spec| spec.node_name.as_deref()) == Some(node)
    })
}

/// Whether a selector can only select pods of the node.
fn selects_node(fields: &str, node: &str) -> bool {
    !fields.is_empty()
        && FieldSelector::parse(fields)
            .is_ok_and(|selector| selector.required("spec.nodeName") == Some(node))
}

/// Why a node may not create an object of this name, where its name says whose it is.
#[must_use]
pub fn restricts(user: &UserInfo, group: &str, resource: &str, key: &Key) -> Option<String> {
    let node = name_of(user)?;
    let is_lease = (group, resource) == ("coordination.k8s.io", "leases");
    (is_lease && (key.namespace != LEASES || key.name != node)).then(|| {
        format!("can only access node lease with the same name as the requesting node {node:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;
    use coracle_api::Revision;
    use serde_json::json;

    #[test]
    fn a_node_has_its_own_and_nothing_else() {
        let pod = |name: &str, node: &str| {
            let value = json!({"metadata": {"name": name, "namespace": "d"}, "spec": {"nodeName": node, "containers": []}});
            Object::new(kind::POD, Revision(1), value).unwrap()
        };
        let cache = Cache::new(vec![pod("mine", "a"), pod("other", "b")], Revision(1));
        let node = UserInfo::new("system:node:a", [NODES.to_owned()]);
        for (text, fields, allowed) in [
            ("get nodes a -", "", true),
            ("list nodes a -", "", true),
            ("get nodes b -", "", false),
            ("list nodes - -", "", false),
            ("patch nodes a -", "", false),
            ("get pods mine d", "", true),
            ("get pods other d", "", false),
            ("get pods none d", "", false),
            ("get pods mine e", "", false),
            ("list pods - -", "spec.nodeName=a", true),
            (
                "watch pods - d",
                "spec.nodeName==a,status.phase!=Failed",
                true,
            ),
            ("list pods - -", "spec.nodeName=b", false),
            ("list pods - -", "spec.nodeName!=b", false),
            ("list pods - -", "", false),
            ("deletecollection pods - d", "spec.nodeName=a", false),
            ("delete pods mine d", "", false),
            ("create events - d", "", true),
            ("list events - d", "", false),
            ("get secrets s d", "", false),
            ("create pods - d", "", false),
        ] {
            let words: Vec<&str> = text
                .split(' ')
                .map(|word| if word == "-" { "" } else { word })
                .collect();
            let asked = Attributes {
                verb: words[0],
                resource: words[1],
                name: words[2],
                namespace: words[3],
                fields,
                ..Attributes::default()
            };
            assert_eq!(allows(&cache, &node, &asked), allowed, "{text} {fields}");
            for other in [
                UserInfo::new("system:node:a", []),
                UserInfo::new("a", [NODES.to_owned()]),
                UserInfo::new("system:node:", [NODES.to_owned()]),
            ] {
                assert!(!allows(&cache, &other, &asked), "{text} as {}", other.name);
            }
        }
    }

    #[test]
    fn certificates() {
        let cache = Cache::new(Vec::new(), Revision(1));
        let node = UserInfo::new("system:node:a", [NODES.to_owned()]);
        for (verb, subresource, allowed) in [
            ("create", "", true),
            ("watch", "", true),
            ("delete", "", false),
            ("update", "approval", false),
            ("create", "nodeclient", false),
        ] {
            let asked = Attributes {
                verb,
                group: "certificates.k8s.io",
                resource: "certificatesigningrequests",
                subresource,
                ..Attributes::default()
            };
            assert_eq!(
                allows(&cache, &node, &asked),
                allowed,
                "{verb} {subresource}"
            );
        }
    }

    #[test]
    fn leases() {
        let cache = Cache::new(Vec::new(), Revision(1));
        let node = UserInfo::new("system:node:a", [NODES.to_owned()]);
        for (verb, name, namespace, allowed) in [
            ("get", "a", LEASES, true),
            ("update", "a", LEASES, true),
            ("patch", "b", LEASES, false),
            ("create", "", LEASES, true),
            ("create", "", "default", false),
            ("delete", "a", LEASES, false),
            ("list", "", LEASES, false),
        ] {
            let asked = Attributes {
                verb,
                group: "coordination.k8s.io",
                resource: "leases",
                name,
                namespace,
                ..Attributes::default()
            };
            assert_eq!(
                allows(&cache, &node, &asked),
                allowed,
                "{verb} {namespace}/{name}"
            );
        }
        let create = |name: &str| {
            restricts(
                &node,
                "coordination.k8s.io",
                "leases",
                &Key::new(LEASES, name),
            )
        };
        assert_eq!(create("a"), None);
        assert!(create("b").is_some());
        let ann = UserInfo::new("ann", []);
        assert_eq!(
            restricts(&ann, "coordination.k8s.io", "leases", &Key::new("x", "b")),
            None
        );
    }
}
