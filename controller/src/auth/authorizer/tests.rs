//! Who may what, from objects as the cache holds them.

use super::*;
use crate::{
    auth::{ANONYMOUS, MASTERS},
    object::Object,
};
use coracle_api::Revision;
use serde_json::{Value, json};

fn object(kind: KindRef, namespace: &str, name: &str, mut value: Value) -> Object {
    value["metadata"] = json!({"name": name, "namespace": namespace});
    Object::new(kind, Revision(1), value).unwrap()
}

fn binding(role_kind: &str, role: &str, subjects: Value) -> Value {
    json!({"roleRef": {"apiGroup": kind::RBAC, "kind": role_kind, "name": role}, "subjects": subjects})
}

fn authorizer() -> Authorizer {
    let reads = |resource: &str| json!({"rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": [resource]}]});
    let user = |name: &str| json!([{"kind": "User", "name": name}]);
    let objects = vec![
        object(kind::CLUSTER_ROLE, "", "pods", reads("pods")),
        object(kind::ROLE, "n", "maps", reads("configmaps")),
        object(kind::ROLE, "m", "maps", reads("secrets")),
        object(
            kind::CLUSTER_ROLE,
            "",
            "paths",
            json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}]}),
        ),
        object(
            kind::CLUSTER_ROLE_BINDING,
            "",
            "everywhere",
            binding("ClusterRole", "pods", user("cara")),
        ),
        object(
            kind::CLUSTER_ROLE_BINDING,
            "",
            "metrics",
            binding("ClusterRole", "paths", user("cara")),
        ),
        object(
            kind::CLUSTER_ROLE_BINDING,
            "",
            "all",
            binding(
                "ClusterRole",
                "pods",
                json!([{"kind": "Group", "name": "system:unauthenticated"}]),
            ),
        ),
        object(
            kind::ROLE_BINDING,
            "n",
            "pods",
            binding("ClusterRole", "pods", user("ann")),
        ),
        object(
            kind::ROLE_BINDING,
            "n",
            "paths",
            binding("ClusterRole", "paths", user("ann")),
        ),
        object(
            kind::ROLE_BINDING,
            "n",
            "maps",
            binding("Role", "maps", user("ann")),
        ),
        object(
            kind::ROLE_BINDING,
            "n",
            "lost",
            binding("Role", "lost", user("bob")),
        ),
    ];
    Authorizer::new(Cache::new(objects, Revision(1)))
}

#[track_caller]
fn check(
    user: &UserInfo,
    (verb, resource, namespace): (&str, &str, &str),
    allowed: bool,
    reason: &str,
) {
    let asked = Attributes {
        verb,
        resource,
        namespace,
        ..Attributes::default()
    };
    let reason = reason.to_owned();
    assert_eq!(
        authorizer().decide(user, &asked),
        Decision { allowed, reason }
    );
}

#[test]
fn roles_count_where_they_are_bound() {
    let (ann, bob, cara) = (
        UserInfo::new("ann", []),
        UserInfo::new("bob", []),
        UserInfo::new("cara", []),
    );
    let of_ann = "RBAC: allowed by RoleBinding \"pods/n\" of ClusterRole \"pods\" to User \"ann\"";
    check(&ann, ("get", "pods", "n"), true, of_ann);
    check(&ann, ("get", "pods", "m"), false, "");
    check(&ann, ("list", "pods", ""), false, "");
    let of_role = "RBAC: allowed by RoleBinding \"maps/n\" of Role \"maps\" to User \"ann\"";
    check(&ann, ("get", "configmaps", "n"), true, of_role);
    check(&ann, ("get", "secrets", "n"), false, "");
    let of_cara = "RBAC: allowed by ClusterRoleBinding \"everywhere\" of ClusterRole \"pods\" to User \"cara\"";
    check(&cara, ("list", "pods", ""), true, of_cara);
    check(&cara, ("list", "pods", "m"), true, of_cara);
    check(&cara, ("delete", "pods", "m"), false, "");
    let lost = "RBAC: role.rbac.authorization.k8s.io \"lost\" not found";
    check(&bob, ("get", "pods", "n"), false, lost);
    check(&bob, ("get", "pods", "m"), false, "");
}

#[test]
fn masters_may_all_and_strangers_nothing() {
    let root = UserInfo::new("root", [MASTERS.to_owned()]);
    check(&root, ("anything", "atall", ""), true, "");
    // Also not what somebody bound to them.
    check(&UserInfo::anonymous(), ("get", "pods", "n"), false, "");
    let named = UserInfo::new(ANONYMOUS, ["system:unauthenticated".to_owned()]);
    check(&named, ("get", "pods", "n"), false, "");
}

#[test]
fn paths_are_bound_for_the_cluster() {
    for (user, path, allowed) in [
        ("cara", "/metrics", true),
        ("cara", "/other", false),
        // A binding in a namespace says nothing of a path.
        ("ann", "/metrics", false),
        ("ann", "/healthz", true),
        (ANONYMOUS, "/livez/ping", true),
        (ANONYMOUS, "/version", true),
        (ANONYMOUS, "/healthzz", false),
        (ANONYMOUS, "/apis", false),
    ] {
        let asked = Attributes {
            verb: "get",
            path,
            ..Attributes::default()
        };
        let user = UserInfo {
            name: user.to_owned(),
            ..UserInfo::default()
        };
        assert_eq!(
            authorizer().allows(&user, &asked),
            allowed,
            "{} {path}",
            user.name
        );
    }
}

#[test]
fn all_rules_of_a_user() {
    let (rules, problems) = authorizer().rules_for(&UserInfo::new("ann", []), "n");
    assert_eq!((rules.len(), problems.as_str()), (3, ""));
    let (rules, problems) = authorizer().rules_for(&UserInfo::new("bob", []), "n");
    assert!(rules.is_empty() && problems.contains("\"lost\" not found"));
    assert!(authorizer().rules_of("Role", "maps", "n").is_ok());
    assert_eq!(
        authorizer().rules_of("Role", "maps", "").unwrap_err().code,
        404
    );
}

/// A request looks at what is bound to its user and groups: the other bindings are never touched.
#[test]
fn a_request_sees_its_own_bindings_only() {
    let subject = |n: usize| json!([{"kind": "User", "name": format!("user{n}")}]);
    let rules = json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
    let mut objects = vec![object(kind::CLUSTER_ROLE, "", "pods", rules)];
    objects.extend((0..10_000).map(|n| {
        let bound = binding("ClusterRole", "pods", subject(n));
        object(kind::ROLE_BINDING, "n", &format!("b{n}"), bound)
    }));
    let authorizer = Authorizer::new(Cache::new(objects, Revision(1)));
    let user = UserInfo::new("user77", []);
    let seen: Vec<String> = authorizer
        .grants(&user, "n")
        .map(|(grant, _)| grant.source.clone())
        .collect();
    assert_eq!(
        seen,
        ["RoleBinding \"b77/n\" of ClusterRole \"pods\" to User \"user77\""]
    );
}
