//! The rows, by group in the order clients should prefer; core first.

use super::{Kind, KindRef, Subresource};

const ALL_VERBS: &[&str] = &[
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
const STATUS: Subresource = Subresource {
    name: "status",
    verbs: GET_PATCH_UPDATE,
    kind: ("", "", ""),
};
const SCALE: Subresource = Subresource {
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
        ..BASE
    };
    EVENT = Kind {
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
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
}
