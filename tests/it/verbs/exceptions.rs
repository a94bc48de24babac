//! Where this server is known to differ from the table, each with its reason. One that is no longer true fails the test.

use super::table::Row;

/// Group and version, a space, and the resource; a part that ends in `*` stands for all that begin so.
/// What is listed here is not served yet.
pub(super) const LATER: &[(&str, &str)] = &[
    (
        "admissionregistration.k8s.io/*",
        "webhooks and admission policies come later",
    ),
    ("apiregistration.k8s.io/*", "no other server is aggregated"),
    ("certificates.k8s.io/v1alpha1 *", "alpha"),
    (
        "certificates.k8s.io/v1beta1 *",
        "beta, off by default upstream",
    ),
    ("coordination.k8s.io/v1alpha2 *", "alpha"),
    (
        "coordination.k8s.io/v1beta1 *",
        "beta, off by default upstream",
    ),
    ("flowcontrol.apiserver.k8s.io/*", "fairness comes later"),
    ("internal.apiserver.k8s.io/*", "alpha"),
    ("networking.k8s.io/v1beta1 *", "beta; v1 is served"),
    ("resource.k8s.io/*", "devices of pods come later"),
    ("scheduling.k8s.io/v1alpha1 *", "alpha"),
    ("storage.k8s.io/v1beta1 *", "beta; v1 is served"),
    ("storagemigration.k8s.io/*", "beta, off by default upstream"),
    ("v1 nodes/proxy", "nodes serve no HTTP of their own"),
    ("v1 pods/attach", "streams into a guest come later"),
    (
        "v1 pods/ephemeralcontainers",
        "a sandbox takes no container after its start",
    ),
    ("v1 pods/exec", "streams into a guest come later"),
    ("v1 pods/portforward", "streams into a guest come later"),
    ("v1 pods/resize", "a sandbox keeps its limits"),
];

/// What the server has and the table has not: the API of the metrics server, a project of its own.
pub(super) const EXTRA: &[&str] = &[
    "metrics.k8s.io/v1beta1 nodes",
    "metrics.k8s.io/v1beta1 pods",
];

/// Kinds that may be created by a PUT: `AllowCreateOnUpdate` of their strategies.
const CREATED_BY_PUT: &[&str] = &[
    "v1 endpoints",
    "v1 events",
    "v1 limitranges",
    "v1 services",
    "events.k8s.io/v1 events",
    "coordination.k8s.io/v1 leases",
    "node.k8s.io/v1 runtimeclasses",
    "rbac.authorization.k8s.io/v1 clusterrolebindings",
    "rbac.authorization.k8s.io/v1 clusterroles",
    "rbac.authorization.k8s.io/v1 rolebindings",
    "rbac.authorization.k8s.io/v1 roles",
];

/// Kinds whose PUT has to name a version: `AllowUnconditionalUpdate` of their strategies.
const PUT_NEEDS_VERSION: &[&str] = &[
    "coordination.k8s.io/v1 leases",
    "node.k8s.io/v1 runtimeclasses",
    "policy/v1 poddisruptionbudgets",
    "storage.k8s.io/v1 csidrivers",
    "storage.k8s.io/v1 csinodes",
    "storage.k8s.io/v1 csistoragecapacities",
    "storage.k8s.io/v1 volumeattachments",
    "apiextensions.k8s.io/v1 customresourcedefinitions",
    "example.com/v1 widgets",
];

/// Kinds whose names follow from what they are.
const OWN_NAMES: &[&str] = &[
    "networking.k8s.io/v1 ipaddresses",
    "apiextensions.k8s.io/v1 customresourcedefinitions",
];

fn id(row: &Row) -> String {
    format!("{} {}", row.version, row.name)
}

fn fits(pattern: &str, id: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => id.starts_with(start),
        None => id == pattern,
    }
}

/// The exception that a row falls under.
pub(super) fn later(row: &Row) -> Option<&'static str> {
    let id = id(row);
    let found = LATER.iter().find(|(pattern, _)| fits(pattern, &id));
    found.map(|(pattern, _)| *pattern)
}

pub(super) fn is_created_by_put(row: &Row) -> bool {
    CREATED_BY_PUT.contains(&&*id(row))
}

/// Custom kinds have no protobuf, upstream as here.
pub(super) fn has_no_protobuf(row: &Row) -> bool {
    super::custom::is_custom(row)
}

pub(super) fn has_own_names(row: &Row) -> bool {
    OWN_NAMES.contains(&&*id(row))
}

pub(super) fn put_needs_version(row: &Row) -> bool {
    PUT_NEEDS_VERSION.contains(&&*id(row))
}

/// The shape of an answer where upstream's server answers something else than its document says.
pub(super) fn shape(row: &Row, verb: &str) -> Option<String> {
    match (&*row.name, verb) {
        // `Create` of BindingREST and EvictionREST: a Status, whatever was sent.
        ("bindings" | "pods/binding" | "pods/eviction", "create") => Some("v1/Status".to_owned()),
        // An object that something still holds is answered itself: a namespace, with what is in it, and a
        // definition, with its objects.
        ("namespaces" | "customresourcedefinitions", "delete") => Some(row.kind.clone()),
        // The list of what was deleted; kube-rs takes both.
        (_, "deletecollection") => Some(format!("{}List", row.kind)),
        _ => None,
    }
}
