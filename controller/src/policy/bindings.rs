//! To whom the first roles are bound.

use super::{
    named,
    roles::{CONTROLLER, Roles},
};
use coracle_api::kind;
use serde_json::{Value, json};

/// One to whom a role is bound.
#[derive(Debug, Clone, Copy)]
enum Subject {
    User(&'static str),
    Group(&'static str),
    /// A service account of `kube-system`.
    Account(&'static str),
}
use Subject::{Account, Group, User};

const SYSTEM: &str = "kube-system";
const PUBLIC: &str = "kube-public";
const AUTHENTICATED: Subject = Group("system:authenticated");
const CONTROLLER_MANAGER: Subject = User("system:kube-controller-manager");
const SCHEDULER: Subject = User("system:kube-scheduler");

/// Role (the binding is called as it) and subjects, for the whole cluster.
const CLUSTER: &[(&str, &[Subject])] = &[
    ("cluster-admin", &[Group("system:masters")]),
    ("system:basic-user", &[AUTHENTICATED]),
    ("system:discovery", &[AUTHENTICATED]),
    ("system:kube-controller-manager", &[CONTROLLER_MANAGER]),
    ("system:kube-dns", &[Account("kube-dns")]),
    ("system:kube-scheduler", &[SCHEDULER]),
    ("system:monitoring", &[Group("system:monitoring")]),
    // To nobody, as upstream: what a node may, `auth::node` says.
    ("system:node", &[]),
    ("system:node-proxier", &[User("system:kube-proxy")]),
    (
        "system:public-info-viewer",
        &[AUTHENTICATED, Group("system:unauthenticated")],
    ),
    (
        "system:service-account-issuer-discovery",
        &[Group("system:serviceaccounts")],
    ),
    ("system:volume-scheduler", &[SCHEDULER]),
];

const READER: &str = "extension-apiserver-authentication-reader";
const SIGNER: &str = "system:controller:bootstrap-signer";
const CLOUD: &str = "system:controller:cloud-provider";
const CLEANER: &str = "system:controller:token-cleaner";
const MANAGER_LOCK: &str = "system::leader-locking-kube-controller-manager";
const SCHEDULER_LOCK: &str = "system::leader-locking-kube-scheduler";

/// Namespace, name, role and subjects.
type Bound = (&'static str, &'static str, &'static str, &'static [Subject]);

const NAMESPACED: &[Bound] = &[
    (PUBLIC, SIGNER, SIGNER, &[Account("bootstrap-signer")]),
    (
        SYSTEM,
        "system::extension-apiserver-authentication-reader",
        READER,
        &[CONTROLLER_MANAGER, SCHEDULER],
    ),
    (
        SYSTEM,
        MANAGER_LOCK,
        MANAGER_LOCK,
        &[CONTROLLER_MANAGER, Account("kube-controller-manager")],
    ),
    (
        SYSTEM,
        SCHEDULER_LOCK,
        SCHEDULER_LOCK,
        &[SCHEDULER, Account("kube-scheduler")],
    ),
    (SYSTEM, SIGNER, SIGNER, &[Account("bootstrap-signer")]),
    (SYSTEM, CLOUD, CLOUD, &[Account("cloud-provider")]),
    (SYSTEM, CLEANER, CLEANER, &[Account("token-cleaner")]),
];

/// Bindings of the whole cluster: those of the table, and each controller's role to its account.
pub(super) fn of_cluster(roles: &Roles) -> Vec<Value> {
    let table = CLUSTER.iter().map(|(role, subjects)| {
        let subjects = subjects.iter().copied().map(subject).collect();
        binding(role, ("ClusterRole", role), subjects)
    });
    let controllers = roles.controllers().map(|name| {
        let role = format!("{CONTROLLER}{name}");
        binding(&role, ("ClusterRole", &role), vec![account(name)])
    });
    table.chain(controllers).collect()
}

/// Bindings of namespaces.
pub(super) fn of_namespaces() -> Vec<Value> {
    let bind = |(namespace, name, role, subjects): &Bound| {
        let subjects = subjects.iter().copied().map(subject).collect();
        let mut binding = binding(name, ("Role", role), subjects);
        binding["metadata"]["namespace"] = json!(namespace);
        binding
    };
    NAMESPACED.iter().map(bind).collect()
}

fn binding(name: &str, (kind, role): (&str, &str), subjects: Vec<Value>) -> Value {
    let mut binding = named(name);
    binding["roleRef"] = json!({"apiGroup": kind::RBAC, "kind": kind, "name": role});
    if !subjects.is_empty() {
        binding["subjects"] = json!(subjects);
    }
    binding
}

fn subject(subject: Subject) -> Value {
    let of_rbac =
        |kind: &str, name: &str| json!({"apiGroup": kind::RBAC, "kind": kind, "name": name});
    match subject {
        User(name) => of_rbac("User", name),
        Group(name) => of_rbac("Group", name),
        Account(name) => account(name),
    }
}

fn account(name: &str) -> Value {
    json!({"kind": "ServiceAccount", "namespace": SYSTEM, "name": name})
}
