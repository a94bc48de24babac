//! Whether somebody may do something: masters may, the public paths are everybody's, a node has its own, and
//! the rest is for the roles to say.
//!
//! Always decides on what the cache shows at that moment: nothing is remembered but the index of bindings.

use super::{
    Attributes, UserInfo,
    authorize::is_public,
    index::{Grant, Index},
    node, rbac,
};
use crate::cache::Cache;
use coracle_api::{
    Key, KindRef, StatusError,
    k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role},
    kind,
};
use std::sync::Arc;

/// The authorizer. A clone is another handle to it.
#[derive(Debug, Clone)]
pub struct Authorizer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cache: Cache,
    index: Index,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// They may.
    pub allowed: bool,
    /// By which binding, or what stood in the way; may be empty.
    pub reason: String,
}

/// The rules of a role.
#[derive(Debug, Clone)]
enum Rules {
    Cluster(Arc<ClusterRole>),
    Namespaced(Arc<Role>),
}

impl Rules {
    fn list(&self) -> &[PolicyRule] {
        let rules = match self {
            Self::Cluster(role) => &role.rules,
            Self::Namespaced(role) => &role.rules,
        };
        rules.as_deref().unwrap_or_default()
    }
}

impl Authorizer {
    /// An authorizer by the roles and bindings of this cache.
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        let index = Index::new(cache.clone());
        Self(Arc::new(Inner { cache, index }))
    }

    /// Whether `user` may do what is asked.
    #[must_use]
    pub fn decide(&self, user: &UserInfo, asked: &Attributes<'_>) -> Decision {
        let allowed = |reason: &str| Decision {
            allowed: true,
            reason: reason.to_owned(),
        };
        if user.is_master() {
            return allowed("");
        }
        if asked.resource.is_empty() && is_public(asked.path) {
            return allowed("");
        }
        if user.is_anonymous() {
            // Whatever is bound to them: who has no name gets nothing but the public paths.
            return Decision::default();
        }
        if node::allows(&self.0.cache, user, asked) {
            return allowed("");
        }
        let mut problems = Vec::new();
        for (grant, namespace) in self.grants(user, asked.namespace) {
            match self.rules(&grant.role_kind, &grant.role, &namespace) {
                Ok(rules) if rules.list().iter().any(|rule| rbac::allows(rule, asked)) => {
                    return allowed(&format!("RBAC: allowed by {}", grant.source));
                }
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        }
        Decision {
            allowed: false,
            reason: told(problems),
        }
    }

    /// As [`Authorizer::decide`], without the reason.
    #[must_use]
    pub fn allows(&self, user: &UserInfo, asked: &Attributes<'_>) -> bool {
        self.decide(user, asked).allowed
    }

    /// Every rule that speaks for a user in a namespace, and what could not be resolved.
    #[must_use]
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> (Vec<PolicyRule>, String) {
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for (grant, namespace) in self.grants(user, namespace) {
            match self.rules(&grant.role_kind, &grant.role, &namespace) {
                Ok(rules) => all.extend(rules.list().iter().cloned()),
                Err(problem) => problems.push(problem),
            }
        }
        (all, told(problems))
    }

    /// The rules of a role that a binding in `namespace` names; empty for a binding of the whole cluster.
    ///
    /// # Errors
    /// 404 when there is none.
    pub fn rules_of(
        &self,
        role_kind: &str,
        name: &str,
        namespace: &str,
    ) -> Result<Vec<PolicyRule>, StatusError> {
        match self.rules(role_kind, name, namespace) {
            Ok(rules) => Ok(rules.list().to_vec()),
            Err(_) => Err(StatusError::not_found(kind_of(role_kind), name)),
        }
    }

    /// What is bound to a user, each with the namespace that a Role of it is in.
    fn grants(
        &self,
        user: &UserInfo,
        namespace: &str,
    ) -> impl Iterator<Item = (Arc<Grant>, String)> {
        let [cluster, namespaced] = self.0.index.grants(user, namespace);
        let namespace = namespace.to_owned();
        let cluster = cluster.into_iter().map(|grant| (grant, String::new()));
        cluster.chain(
            namespaced
                .into_iter()
                .map(move |grant| (grant, namespace.clone())),
        )
    }

    /// The rules of a role, or why there are none, in the words of upstream's lister.
    fn rules(&self, role_kind: &str, name: &str, namespace: &str) -> Result<Rules, String> {
        let of = kind_of(role_kind);
        let missing = || format!("{}.{} {name:?} not found", of.singular, of.group);
        let key = Key::new(if of.namespaced { namespace } else { "" }, name);
        let object = self.0.cache.get(of, &key).ok_or_else(missing)?;
        let rules = if of.namespaced {
            object.typed().map(Rules::Namespaced)
        } else {
            object.typed().map(Rules::Cluster)
        };
        rules.map_err(|error| error.message)
    }
}

fn kind_of(role_kind: &str) -> KindRef {
    if role_kind == "Role" {
        kind::ROLE
    } else {
        kind::CLUSTER_ROLE
    }
}

fn told(problems: Vec<String>) -> String {
    match problems.as_slice() {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        many => format!("RBAC: [{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests;
