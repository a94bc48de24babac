//! The rows, by group in the order clients should prefer; core first.

use super::{Kind, KindRef, RBAC, Subresource};

/// All that a stored kind answers.
pub const ALL_VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const NO_COLLECTION: &[&str] = &[
    "create", "delete", "get", "list", "patch", "update", "watch",
];
const GET_PATCH_UPDATE: &[&str] = &["get", "patch", "update"];
const ANY: &[&str] = &["create", "delete", "get", "patch", "update"];
/// The observed state, written apart.
pub const STATUS: Subresource = Subresource {
    name: "status",
    verbs: GET_PATCH_UPDATE,
    kind: ("", "", ""),
};
/// The number of replicas.
pub const SCALE: Subresource = Subresource {
    name: "scale",
    verbs: GET_PATCH_UPDATE,
    kind: ("autoscaling", "v1", "Scale"),
};

const BASE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: ALL_VERBS,
    subresources: &[],
    generation: false,
    stored_as: ("", ""),
    deprecation: "",
    list_kind: "",
    stored_row: None,
};

/// Makes the table and, for every row, the constant that names it.
macro_rules! kinds {
    ($($name:ident = $row:expr;)*) => {
        /// All kinds that are served and stored.
        pub static KINDS: &[Kind] = &[$($row),*];

        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "named as the constants")]
        enum Row { $($name),* }

        $(
            #[doc = concat!("The row of ", stringify!($name), ".")]
            pub static $name: KindRef = &KINDS[Row::$name as usize];
        )*
    };
}

kinds! {
    NAMESPACE = Kind {
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        namespaced: false,
        verbs: NO_COLLECTION,
        subresources: &[
            STATUS,
            Subresource {
                name: "finalize",
                verbs: &["update"],
                kind: ("", "", ""),
            },
        ],
        ..BASE
    };
    NODE = Kind {
        kind: "Node",
        plural: "nodes",
        singular: "node",
        short_names: &["no"],
        namespaced: false,
        subresources: &[STATUS],
        ..BASE
    };
    POD = Kind {
        kind: "Pod",
        plural: "pods",
        singular: "pod",
        short_names: &["po"],
        categories: &["all"],
        generation: true,
        subresources: &[
            STATUS,
            Subresource {
                name: "binding",
                verbs: &["create"],
                kind: ("", "v1", "Binding"),
            },
            Subresource {
                name: "eviction",
                verbs: &["create"],
                kind: ("policy", "v1", "Eviction"),
            },
            Subresource {
                name: "log",
                verbs: &["get"],
                kind: ("", "", ""),
            },
            Subresource {
                name: "proxy",
                verbs: ANY,
                kind: ("", "v1", "PodProxyOptions"),
            },
        ],
        ..BASE
    };
    SERVICE = Kind {
        kind: "Service",
        plural: "services",
        singular: "service",
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[
            STATUS,
            Subresource {
                name: "proxy",
                verbs: ANY,
                kind: ("", "v1", "ServiceProxyOptions"),
            },
        ],
        ..BASE
    };
    CONFIG_MAP = Kind {
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        ..BASE
    };
    SECRET = Kind {
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        ..BASE
    };
    SERVICE_ACCOUNT = Kind {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        subresources: &[Subresource {
            name: "token",
            verbs: &["create"],
            kind: ("authentication.k8s.io", "v1", "TokenRequest"),
        }],
        ..BASE
    };
    EVENT = Kind {
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        ..BASE
    };
    ENDPOINTS = Kind {
        kind: "Endpoints",
        plural: "endpoints",
        singular: "endpoints",
        short_names: &["ep"],
        deprecation: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        ..BASE
    };
    PERSISTENT_VOLUME = Kind {
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        singular: "persistentvolume",
        short_names: &["pv"],
        namespaced: false,
        subresources: &[STATUS],
        ..BASE
    };
    PERSISTENT_VOLUME_CLAIM = Kind {
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        short_names: &["pvc"],
        subresources: &[STATUS],
        ..BASE
    };
    POD_TEMPLATE = Kind {
        kind: "PodTemplate",
        plural: "podtemplates",
        singular: "podtemplate",
        generation: true,
        ..BASE
    };
    REPLICATION_CONTROLLER = Kind {
        kind: "ReplicationController",
        plural: "replicationcontrollers",
        singular: "replicationcontroller",
        short_names: &["rc"],
        categories: &["all"],
        generation: true,
        subresources: &[STATUS, SCALE],
        ..BASE
    };
    LIMIT_RANGE = Kind {
        kind: "LimitRange",
        plural: "limitranges",
        singular: "limitrange",
        short_names: &["limits"],
        ..BASE
    };
    RESOURCE_QUOTA = Kind {
        kind: "ResourceQuota",
        plural: "resourcequotas",
        singular: "resourcequota",
        short_names: &["quota"],
        subresources: &[STATUS],
        ..BASE
    };
    EVENTS_EVENT = Kind {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        stored_as: ("", "events"),
        ..BASE
    };
    DEPLOYMENT = Kind {
        group: "apps",
        kind: "Deployment",
        plural: "deployments",
        singular: "deployment",
        short_names: &["deploy"],
        categories: &["all"],
        generation: true,
        subresources: &[STATUS, SCALE],
        ..BASE
    };
    REPLICA_SET = Kind {
        group: "apps",
        kind: "ReplicaSet",
        plural: "replicasets",
        singular: "replicaset",
        short_names: &["rs"],
        categories: &["all"],
        generation: true,
        subresources: &[STATUS, SCALE],
        ..BASE
    };
    DAEMON_SET = Kind {
        group: "apps",
        kind: "DaemonSet",
        plural: "daemonsets",
        singular: "daemonset",
        short_names: &["ds"],
        categories: &["all"],
        generation: true,
        subresources: &[STATUS],
        ..BASE
    };
    STATEFUL_SET = Kind {
        group: "apps",
        kind: "StatefulSet",
        plural: "statefulsets",
        singular: "statefulset",
        short_names: &["sts"],
        categories: &["all"],
        generation: true,
        subresources: &[STATUS, SCALE],
        ..BASE
    };
    CONTROLLER_REVISION = Kind {
        group: "apps",
        kind: "ControllerRevision",
        plural: "controllerrevisions",
        singular: "controllerrevision",
        ..BASE
    };
    JOB = Kind {
        group: "batch",
        kind: "Job",
        plural: "jobs",
        singular: "job",
        categories: &["all"],
        generation: true,
        subresources: &[STATUS],
        ..BASE
    };
    CRON_JOB = Kind {
        group: "batch",
        kind: "CronJob",
        plural: "cronjobs",
        singular: "cronjob",
        short_names: &["cj"],
        categories: &["all"],
        generation: true,
        subresources: &[STATUS],
        ..BASE
    };
    HORIZONTAL_POD_AUTOSCALER = Kind {
        group: "autoscaling",
        version: "v2",
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
        singular: "horizontalpodautoscaler",
        short_names: &["hpa"],
        categories: &["all"],
        subresources: &[STATUS],
        ..BASE
    };
    HORIZONTAL_POD_AUTOSCALER_V1 = Kind {
        group: "autoscaling",
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
        singular: "horizontalpodautoscaler",
        short_names: &["hpa"],
        categories: &["all"],
        subresources: &[STATUS],
        stored_as: ("autoscaling", "horizontalpodautoscalers"),
        ..BASE
    };
    POD_DISRUPTION_BUDGET = Kind {
        group: "policy",
        kind: "PodDisruptionBudget",
        plural: "poddisruptionbudgets",
        singular: "poddisruptionbudget",
        short_names: &["pdb"],
        generation: true,
        subresources: &[STATUS],
        ..BASE
    };
    INGRESS = Kind {
        group: "networking.k8s.io",
        kind: "Ingress",
        plural: "ingresses",
        singular: "ingress",
        short_names: &["ing"],
        generation: true,
        subresources: &[STATUS],
        ..BASE
    };
    INGRESS_CLASS = Kind {
        group: "networking.k8s.io",
        kind: "IngressClass",
        plural: "ingressclasses",
        singular: "ingressclass",
        namespaced: false,
        generation: true,
        ..BASE
    };
    NETWORK_POLICY = Kind {
        group: "networking.k8s.io",
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        singular: "networkpolicy",
        short_names: &["netpol"],
        generation: true,
        ..BASE
    };
    IP_ADDRESS = Kind {
        group: "networking.k8s.io",
        kind: "IPAddress",
        plural: "ipaddresses",
        singular: "ipaddress",
        short_names: &["ip"],
        namespaced: false,
        ..BASE
    };
    SERVICE_CIDR = Kind {
        group: "networking.k8s.io",
        kind: "ServiceCIDR",
        plural: "servicecidrs",
        singular: "servicecidr",
        namespaced: false,
        subresources: &[STATUS],
        ..BASE
    };
    STORAGE_CLASS = Kind {
        group: "storage.k8s.io",
        kind: "StorageClass",
        plural: "storageclasses",
        singular: "storageclass",
        short_names: &["sc"],
        namespaced: false,
        ..BASE
    };
    VOLUME_ATTACHMENT = Kind {
        group: "storage.k8s.io",
        kind: "VolumeAttachment",
        plural: "volumeattachments",
        singular: "volumeattachment",
        namespaced: false,
        subresources: &[STATUS],
        ..BASE
    };
    CSI_DRIVER = Kind {
        group: "storage.k8s.io",
        kind: "CSIDriver",
        plural: "csidrivers",
        singular: "csidriver",
        namespaced: false,
        generation: true,
        ..BASE
    };
    CSI_NODE = Kind {
        group: "storage.k8s.io",
        kind: "CSINode",
        plural: "csinodes",
        singular: "csinode",
        namespaced: false,
        ..BASE
    };
    CSI_STORAGE_CAPACITY = Kind {
        group: "storage.k8s.io",
        kind: "CSIStorageCapacity",
        plural: "csistoragecapacities",
        singular: "csistoragecapacity",
        ..BASE
    };
    VOLUME_ATTRIBUTES_CLASS = Kind {
        group: "storage.k8s.io",
        kind: "VolumeAttributesClass",
        plural: "volumeattributesclasses",
        singular: "volumeattributesclass",
        short_names: &["vac"],
        namespaced: false,
        ..BASE
    };
    PRIORITY_CLASS = Kind {
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        plural: "priorityclasses",
        singular: "priorityclass",
        short_names: &["pc"],
        namespaced: false,
        generation: true,
        ..BASE
    };
    RUNTIME_CLASS = Kind {
        group: "node.k8s.io",
        kind: "RuntimeClass",
        plural: "runtimeclasses",
        singular: "runtimeclass",
        namespaced: false,
        ..BASE
    };
    ENDPOINT_SLICE = Kind {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        plural: "endpointslices",
        singular: "endpointslice",
        generation: true,
        ..BASE
    };
    LEASE = Kind {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        singular: "lease",
        ..BASE
    };
    ROLE = Kind {
        group: RBAC,
        kind: "Role",
        plural: "roles",
        singular: "role",
        ..BASE
    };
    CLUSTER_ROLE = Kind {
        group: RBAC,
        kind: "ClusterRole",
        plural: "clusterroles",
        singular: "clusterrole",
        namespaced: false,
        ..BASE
    };
    ROLE_BINDING = Kind {
        group: RBAC,
        kind: "RoleBinding",
        plural: "rolebindings",
        singular: "rolebinding",
        ..BASE
    };
    CLUSTER_ROLE_BINDING = Kind {
        group: RBAC,
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        namespaced: false,
        ..BASE
    };
    CERTIFICATE_SIGNING_REQUEST = Kind {
        group: "certificates.k8s.io",
        kind: "CertificateSigningRequest",
        plural: "certificatesigningrequests",
        singular: "certificatesigningrequest",
        short_names: &["csr"],
        namespaced: false,
        subresources: &[
            STATUS,
            Subresource {
                name: "approval",
                verbs: GET_PATCH_UPDATE,
                kind: ("", "", ""),
            },
        ],
        ..BASE
    };
    CUSTOM_RESOURCE_DEFINITION = Kind {
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        singular: "customresourcedefinition",
        short_names: &["crd", "crds"],
        categories: &["api-extensions"],
        namespaced: false,
        generation: true,
        subresources: &[STATUS],
        ..BASE
    };
}
