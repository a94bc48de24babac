//! The first ClusterRoles: upstream's, without those of components that are parts of this program.
//!
//! `admin`, `edit` and `view` are put together by their labels, so that another role may add to them. Source:
//! k8s.io/kubernetes `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`.

use super::named;
use crate::pki;
use coracle_api::kind;
use serde_json::{Value, json};

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const READ_WRITE: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const CREATE: &[&str] = &["create"];
const CREATE_READ: &[&str] = &["create", "get", "list", "watch"];
const GET: &[&str] = &["get"];

/// Verbs, groups and resources; without a group the resources are paths.
type Rule = (
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);
const CORE: &[&str] = &[""];
const AUTHENTICATION: &[&str] = &["authentication.k8s.io"];
const AUTHORIZATION: &[&str] = &["authorization.k8s.io"];
const CERTIFICATES: &[&str] = &["certificates.k8s.io"];

const VIEW: &[Rule] = &[
    (
        READ,
        CORE,
        &[
            "configmaps",
            "endpoints",
            "persistentvolumeclaims",
            "persistentvolumeclaims/status",
            "pods",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "serviceaccounts",
            "services",
            "services/status",
        ],
    ),
    (
        READ,
        CORE,
        &[
            "bindings",
            "events",
            "limitranges",
            "namespaces/status",
            "pods/log",
            "pods/status",
            "replicationcontrollers/status",
            "resourcequotas",
            "resourcequotas/status",
        ],
    ),
    (READ, CORE, &["namespaces"]),
    (READ, &["discovery.k8s.io"], &["endpointslices"]),
    (
        READ,
        &["apps"],
        &[
            "controllerrevisions",
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "statefulsets",
            "statefulsets/scale",
            "statefulsets/status",
        ],
    ),
    (
        READ,
        &["autoscaling"],
        &[
            "horizontalpodautoscalers",
            "horizontalpodautoscalers/status",
        ],
    ),
    (
        READ,
        &["batch"],
        &["cronjobs", "cronjobs/status", "jobs", "jobs/status"],
    ),
    (
        READ,
        &["policy"],
        &["poddisruptionbudgets", "poddisruptionbudgets/status"],
    ),
    (
        READ,
        &["networking.k8s.io"],
        &["ingresses", "ingresses/status", "networkpolicies"],
    ),
];

const EDIT: &[Rule] = &[
    (
        READ,
        CORE,
        &[
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/proxy",
            "secrets",
            "services/proxy",
        ],
    ),
    (&["impersonate"], CORE, &["serviceaccounts"]),
    (
        WRITE,
        CORE,
        &[
            "pods",
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/proxy",
        ],
    ),
    (CREATE, CORE, &["pods/eviction"]),
    (
        WRITE,
        CORE,
        &[
            "configmaps",
            "events",
            "persistentvolumeclaims",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "secrets",
            "serviceaccounts",
            "services",
            "services/proxy",
        ],
    ),
    (CREATE, CORE, &["serviceaccounts/token"]),
    (
        WRITE,
        &["apps"],
        &[
            "daemonsets",
            "deployments",
            "deployments/rollback",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        ],
    ),
    (WRITE, &["autoscaling"], &["horizontalpodautoscalers"]),
    (WRITE, &["batch"], &["cronjobs", "jobs"]),
    (WRITE, &["policy"], &["poddisruptionbudgets"]),
    (
        WRITE,
        &["networking.k8s.io"],
        &["ingresses", "networkpolicies"],
    ),
    (READ_WRITE, &["coordination.k8s.io"], &["leases"]),
];

const ADMIN: &[Rule] = &[
    (CREATE, AUTHORIZATION, &["localsubjectaccessreviews"]),
    (READ_WRITE, &[kind::RBAC], &["rolebindings", "roles"]),
];

const HEALTH: &[&str] = &[
    "/healthz",
    "/healthz/*",
    "/livez",
    "/livez/*",
    "/readyz",
    "/readyz/*",
];

/// Those that are as they stand.
const PLAIN: &[(&str, &[Rule])] = &[
    (
        "cluster-admin",
        &[(&["*"], &["*"], &["*"]), (&["*"], &[], &["*"])],
    ),
    (
        "system:discovery",
        &[(
            GET,
            &[],
            &[
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
                "/healthz",
                "/livez",
                "/openapi",
                "/openapi/*",
                "/readyz",
                "/version",
                "/version/",
            ],
        )],
    ),
    (
        "system:public-info-viewer",
        &[(
            GET,
            &[],
            &["/healthz", "/livez", "/readyz", "/version", "/version/"],
        )],
    ),
    (
        "system:service-account-issuer-discovery",
        &[(
            GET,
            &[],
            &[
                "/.well-known/openid-configuration",
                "/.well-known/openid-configuration/",
                "/openid/v1/jwks",
                "/openid/v1/jwks/",
            ],
        )],
    ),
    (
        "system:monitoring",
        &[(GET, &[], HEALTH), (GET, &[], &["/metrics"])],
    ),
    (
        "system:basic-user",
        &[
            (
                CREATE,
                AUTHORIZATION,
                &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
            ),
            (CREATE, AUTHENTICATION, &["selfsubjectreviews"]),
        ],
    ),
    (
        "system:auth-delegator",
        &[
            (CREATE, AUTHENTICATION, &["tokenreviews"]),
            (CREATE, AUTHORIZATION, &["subjectaccessreviews"]),
        ],
    ),
    (
        "system:node",
        &[
            (READ, CORE, &["nodes", "pods"]),
            (CREATE, &["", "events.k8s.io"], &["events"]),
            (
                &["create", "get", "patch", "update"],
                &["coordination.k8s.io"],
                &["leases"],
            ),
            (CREATE_READ, CERTIFICATES, &["certificatesigningrequests"]),
        ],
    ),
    (
        "system:node-bootstrapper",
        &[(CREATE_READ, CERTIFICATES, &["certificatesigningrequests"])],
    ),
    (
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &[(
            CREATE,
            CERTIFICATES,
            &["certificatesigningrequests/nodeclient"],
        )],
    ),
    (
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &[(
            CREATE,
            CERTIFICATES,
            &["certificatesigningrequests/selfnodeclient"],
        )],
    ),
    (
        "system:kube-scheduler",
        &[
            (
                &["create", "patch", "update"],
                &["", "events.k8s.io"],
                &["events"],
            ),
            (READ, CORE, &["namespaces", "nodes", "services"]),
            (&["delete", "get", "list", "watch"], CORE, &["pods"]),
            (CREATE, CORE, &["bindings", "pods/binding"]),
            (&["patch", "update"], CORE, &["pods/status"]),
            (READ, &["apps"], &["replicasets", "statefulsets"]),
            (
                &["create", "get", "list", "update", "watch"],
                &["coordination.k8s.io"],
                &["leases"],
            ),
        ],
    ),
];

/// Approvers of one signer's requests.
const APPROVERS: &[(&str, &str)] = &[
    (
        "system:certificates.k8s.io:kube-apiserver-client-approver",
        pki::SIGNER,
    ),
    (
        "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        pki::KUBELET_CLIENT_SIGNER,
    ),
    (
        "system:certificates.k8s.io:kubelet-serving-approver",
        pki::KUBELET_SERVING_SIGNER,
    ),
];

fn aggregates_to(role: &str) -> String {
    format!("rbac.authorization.k8s.io/aggregate-to-{role}")
}

/// All of them.
pub(super) fn cluster_roles() -> Vec<Value> {
    let mut roles: Vec<Value> = PLAIN
        .iter()
        .map(|(name, rules)| plain(name, rules))
        .collect();
    for (name, rules) in [("view", VIEW), ("edit", EDIT), ("admin", ADMIN)] {
        let mut part = plain(&format!("system:aggregate-to-{name}"), rules);
        part["metadata"]["labels"][aggregates_to(name)] = json!("true");
        roles.push(part);
        let mut whole = named(name);
        whole["aggregationRule"] =
            json!({"clusterRoleSelectors": [{"matchLabels": {aggregates_to(name): "true"}}]});
        // What may be viewed may be edited, and what may be edited, administered.
        match name {
            "view" => whole["metadata"]["labels"][aggregates_to("edit")] = json!("true"),
            "edit" => whole["metadata"]["labels"][aggregates_to("admin")] = json!("true"),
            _ => {}
        }
        roles.push(whole);
    }
    let mut usage = plain(
        "system:aggregated-metrics-reader",
        &[(READ, &["metrics.k8s.io"], &["pods", "nodes"])],
    );
    for name in ["view", "edit", "admin"] {
        usage["metadata"]["labels"][aggregates_to(name)] = json!("true");
    }
    roles.push(usage);
    for (name, signer) in APPROVERS {
        let mut approver = named(name);
        approver["rules"] = json!([{"verbs": ["approve"], "apiGroups": ["certificates.k8s.io"],
            "resources": ["signers"], "resourceNames": [signer]}]);
        roles.push(approver);
    }
    roles
}

fn plain(name: &str, rules: &[Rule]) -> Value {
    let rules: Vec<Value> = rules
        .iter()
        .map(|(verbs, groups, resources)| {
            if groups.is_empty() {
                json!({"verbs": verbs, "nonResourceURLs": resources})
            } else {
                json!({"verbs": verbs, "apiGroups": groups, "resources": resources})
            }
        })
        .collect();
    let mut role = named(name);
    role["rules"] = json!(rules);
    role
}
