//! THE table of kinds: routes, discovery, storage keys, status split and printing follow from it.
//!
//! One row a kind. What one kind does differently lives with the registry, never here.

use std::{
    hash::{Hash, Hasher},
    ptr,
};

/// What a subresource is called and which verbs it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subresource {
    /// `status`, `scale`, `log`, ...
    pub name: &'static str,
    /// Verbs it answers.
    pub verbs: &'static [&'static str],
    /// The kind its body has: group, version, kind; empty where it is the parent's.
    pub kind: (&'static str, &'static str, &'static str),
}

/// One row.
#[derive(Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// `Deployment`.
    pub kind: &'static str,
    /// `deployments`.
    pub plural: &'static str,
    /// `deployment`.
    pub singular: &'static str,
    /// `deploy`.
    pub short_names: &'static [&'static str],
    /// `all`.
    pub categories: &'static [&'static str],
    /// Lives in a namespace.
    pub namespaced: bool,
    /// Verbs of the resource itself.
    pub verbs: &'static [&'static str],
    /// Its subresources.
    pub subresources: &'static [Subresource],
    /// Changes of `spec` count in `metadata.generation`.
    pub generation: bool,
    /// The kind whose objects it shows, where it is a second view of them: group and plural.
    pub stored_as: (&'static str, &'static str),
}

/// A row of the table. Two are equal when they are the same row.
pub type KindRef = &'static Kind;

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}
impl Eq for Kind {}

impl Hash for Kind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ptr::hash(self, state);
    }
}

impl Kind {
    /// `apps/v1`, or `v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `deployments.apps`, or `pods`.
    #[must_use]
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// A subresource by name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources
            .iter()
            .find(|subresource| subresource.name == name)
    }

    /// Has a `status` that only `/status` may write.
    #[must_use]
    pub fn status_split(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// The row whose objects this one shows; itself for most.
    #[must_use]
    pub fn storage(&'static self) -> KindRef {
        if self.stored_as.1.is_empty() {
            return self;
        }
        KINDS
            .iter()
            .find(|kind| (kind.group, kind.plural) == self.stored_as && kind.stored_as.1.is_empty())
            .unwrap_or(self)
    }
}

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

/// All kinds that are served and stored.
pub static KINDS: &[Kind] = &[
    Kind {
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
    },
    Kind {
        kind: "Node",
        plural: "nodes",
        singular: "node",
        short_names: &["no"],
        namespaced: false,
        subresources: &[STATUS],
        ..BASE
    },
    Kind {
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
    },
    Kind {
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
    },
    Kind {
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        ..BASE
    },
    Kind {
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        ..BASE
    },
    Kind {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        ..BASE
    },
    Kind {
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        ..BASE
    },
    Kind {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        stored_as: ("", "events"),
        ..BASE
    },
    Kind {
        group: "apps",
        kind: "Deployment",
        plural: "deployments",
        singular: "deployment",
        short_names: &["deploy"],
        categories: &["all"],
        generation: true,
        subresources: &[STATUS, SCALE],
        ..BASE
    },
    Kind {
        group: "apps",
        kind: "ReplicaSet",
        plural: "replicasets",
        singular: "replicaset",
        short_names: &["rs"],
        categories: &["all"],
        generation: true,
        subresources: &[STATUS, SCALE],
        ..BASE
    },
    Kind {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        plural: "endpointslices",
        singular: "endpointslice",
        generation: true,
        ..BASE
    },
    Kind {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        singular: "lease",
        ..BASE
    },
];

macro_rules! rows {
    ($($name:ident = $index:literal;)*) => { $(
        #[doc = concat!("Row ", stringify!($index), " of the table.")]
        pub static $name: KindRef = &KINDS[$index];
    )* };
}
rows! {
    NAMESPACE = 0; NODE = 1; POD = 2; SERVICE = 3; CONFIG_MAP = 4; SECRET = 5; SERVICE_ACCOUNT = 6; EVENT = 7;
    EVENTS_EVENT = 8; DEPLOYMENT = 9; REPLICA_SET = 10; ENDPOINT_SLICE = 11; LEASE = 12;
}

/// By the parts of a URL.
#[must_use]
pub fn find(group: &str, version: &str, plural: &str) -> Option<KindRef> {
    KINDS
        .iter()
        .find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
}

/// By `apiVersion` and `kind`.
#[must_use]
pub fn by_kind(group: &str, version: &str, name: &str) -> Option<KindRef> {
    KINDS
        .iter()
        .find(|kind| kind.group == group && kind.version == version && kind.kind == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_name_their_rows() {
        let rows = [
            (NAMESPACE, "Namespace"),
            (NODE, "Node"),
            (POD, "Pod"),
            (SERVICE, "Service"),
            (CONFIG_MAP, "ConfigMap"),
            (SECRET, "Secret"),
            (SERVICE_ACCOUNT, "ServiceAccount"),
            (EVENT, "Event"),
            (EVENTS_EVENT, "Event"),
            (DEPLOYMENT, "Deployment"),
            (REPLICA_SET, "ReplicaSet"),
            (ENDPOINT_SLICE, "EndpointSlice"),
            (LEASE, "Lease"),
        ];
        assert_eq!(rows.len(), KINDS.len());
        for (kind, name) in rows {
            assert_eq!(kind.kind, name);
            assert_eq!(find(kind.group, kind.version, kind.plural), Some(kind));
        }
        assert_eq!(EVENTS_EVENT.storage(), EVENT);
        assert_eq!(DEPLOYMENT.storage(), DEPLOYMENT);
    }
}
