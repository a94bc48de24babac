//! To whom the first roles are bound.

use super::named;
use coracle_api::kind;
use serde_json::{Value, json};

/// Kind and name of each.
type Subjects = &'static [(&'static str, &'static str)];

const USER: &str = "User";
const GROUP: &str = "Group";
const EVERYONE: Subjects = &[(GROUP, "system:authenticated")];

/// Role (the binding is called as it) and subjects, for the whole cluster.
const CLUSTER: &[(&str, Subjects)] = &[
    ("cluster-admin", &[(GROUP, "system:masters")]),
    ("system:basic-user", EVERYONE),
    ("system:discovery", EVERYONE),
    ("system:monitoring", &[(GROUP, "system:monitoring")]),
    (
        "system:public-info-viewer",
        &[
            (GROUP, "system:authenticated"),
            (GROUP, "system:unauthenticated"),
        ],
    ),
    (
        "system:service-account-issuer-discovery",
        &[(GROUP, "system:serviceaccounts")],
    ),
    ("system:kube-scheduler", &[(USER, "system:kube-scheduler")]),
];

/// Bindings of the whole cluster.
pub(super) fn cluster_role_bindings() -> Vec<Value> {
    CLUSTER
        .iter()
        .map(|(role, subjects)| binding(role, subjects))
        .collect()
}

fn binding(role: &str, subjects: Subjects) -> Value {
    let subjects: Vec<Value> = subjects
        .iter()
        .map(|(kind, name)| json!({"apiGroup": kind::RBAC, "kind": kind, "name": name}))
        .collect();
    let mut binding = named(role);
    binding["roleRef"] = json!({"apiGroup": kind::RBAC, "kind": "ClusterRole", "name": role});
    binding["subjects"] = json!(subjects);
    binding
}
