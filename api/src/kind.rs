//! THE table of kinds: routes, discovery, storage keys, status split and printing follow from it.
//!
//! One row a kind. What one kind does differently lives with the registry, never here.

mod rows;

pub use rows::*;

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
    /// What its clients are warned of; empty for all that is not on its way out.
    pub deprecation: &'static str,
    /// What a list of it is called; of custom kinds alone, others have the kind's name and `List`.
    pub list_kind: &'static str,
    /// A version of a custom kind: the row of the version that its objects are stored as.
    pub stored_row: Option<KindRef>,
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

    /// A group, a version and a kind as upstream prints them together: `apps/v1, Kind=Deployment`, `/v1, Kind=Pod`.
    #[must_use]
    pub fn full_name((group, version, kind): (&str, &str, &str)) -> String {
        format!("{group}/{version}, Kind={kind}")
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

    /// Whether a definition added it, and not this table.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        !self.list_kind.is_empty()
    }

    /// The row that a write of it is decided by: a view is written as what it shows, a version of a custom kind by
    /// its own schema.
    #[must_use]
    pub fn written_as(&'static self) -> KindRef {
        if self.is_custom() {
            return self;
        }
        self.storage()
    }

    /// What a list of it is called.
    #[must_use]
    pub fn list_name(&self) -> String {
        match self.list_kind {
            "" => format!("{}List", self.kind),
            name => name.to_owned(),
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

    /// Whether the answer to a DELETE that is done is the object's last state, as upstream has it for some, and not a
    /// Status.
    #[must_use]
    pub fn returns_deleted(&self) -> bool {
        let returned: &[&str] = match self.group {
            "" => &[
                "persistentvolumeclaims",
                "persistentvolumes",
                "pods",
                "podtemplates",
                "resourcequotas",
                "serviceaccounts",
                "services",
            ],
            "storage.k8s.io" => &[
                "csidrivers",
                "csinodes",
                "storageclasses",
                "volumeattachments",
                "volumeattributesclasses",
            ],
            _ => &[],
        };
        returned.contains(&self.plural)
    }

    /// The row whose objects this one shows; itself for most.
    #[must_use]
    pub fn storage(&'static self) -> KindRef {
        if let Some(row) = self.stored_row {
            return row;
        }
        if self.stored_as.1.is_empty() {
            return self;
        }
        KINDS
            .iter()
            .find(|kind| (kind.group, kind.plural) == self.stored_as && kind.stored_as.1.is_empty())
            .unwrap_or(self)
    }
}

/// The API group of roles and bindings.
pub const RBAC: &str = "rbac.authorization.k8s.io";

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
    fn rows_are_found_by_their_names() {
        for kind in KINDS {
            assert_eq!(find(kind.group, kind.version, kind.plural), Some(kind));
            assert_eq!(by_kind(kind.group, kind.version, kind.kind), Some(kind));
            assert_eq!(kind.singular, kind.kind.to_lowercase());
        }
        assert_eq!(DEPLOYMENT.kind, "Deployment");
        assert_eq!(EVENTS_EVENT.storage(), EVENT);
        assert_eq!(DEPLOYMENT.storage(), DEPLOYMENT);
    }
}
