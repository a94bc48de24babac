//! Which roles are bound to whom: an index by subject, kept in step with the cache.
//!
//! A request looks up its user and its groups; it never walks over the bindings. The index reads the cache's
//! log when it is asked and behind, so a decision always counts every binding that the cache shows.

use super::UserInfo;
use crate::{
    cache::{Cache, Change, ChangeKind},
    object::Object,
};
use coracle_api::{
    KindRef, Revision,
    k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject},
    kind,
};
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What a service account's user name begins with.
pub(super) const ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// A role that is bound to a subject.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// `Role` or `ClusterRole`.
    pub(super) role_kind: String,
    pub(super) role: String,
    /// Who binds what to whom, in upstream's words.
    pub(super) source: String,
}

/// By the names of bindings: what is bound to one subject.
type Grants = BTreeMap<String, Arc<Grant>>;

/// The subjects of one scope.
#[derive(Debug, Default)]
struct Subjects {
    users: HashMap<String, Grants>,
    groups: HashMap<String, Grants>,
}

impl Subjects {
    fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    fn collect(&self, user: &UserInfo, into: &mut Grants) {
        let groups = user.groups.iter().filter_map(|name| self.groups.get(name));
        for grants in self.users.get(&user.name).into_iter().chain(groups) {
            for (name, grant) in grants {
                into.entry(name.clone())
                    .or_insert_with(|| Arc::clone(grant));
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    seen: Option<Revision>,
    cluster: Subjects,
    /// By namespace.
    namespaces: HashMap<String, Subjects>,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    cache: Cache,
    state: RwLock<State>,
}

impl Index {
    pub(super) fn new(cache: Cache) -> Self {
        Self {
            cache,
            state: RwLock::default(),
        }
    }

    /// What is bound to a user for the whole cluster, and for a namespace.
    pub(super) fn grants(&self, user: &UserInfo, namespace: &str) -> [Vec<Arc<Grant>>; 2] {
        self.catch_up();
        let state = self.state.read();
        let list = |subjects: Option<&Subjects>| {
            let mut found = Grants::new();
            if let Some(subjects) = subjects {
                subjects.collect(user, &mut found);
            }
            found.into_values().collect()
        };
        let of_namespace = state
            .namespaces
            .get(namespace)
            .filter(|_| !namespace.is_empty());
        [list(Some(&state.cluster)), list(of_namespace)]
    }

    fn catch_up(&self) {
        if self.state.read().seen == Some(self.cache.revision()) {
            return;
        }
        let mut state = self.state.write();
        match state.seen.map(|seen| self.cache.since(seen)) {
            Some(Ok(changes)) => {
                for change in changes {
                    state.seen = Some(change.revision);
                    state.change(&change);
                }
            }
            // At the start, and when there was no request for longer than the log reaches back.
            None | Some(Err(_)) => *state = State::list(&self.cache),
        }
    }
}

impl State {
    fn list(cache: &Cache) -> Self {
        // What changes while the lists are read comes again one by one, which is harmless.
        let mut state = Self {
            seen: Some(cache.revision()),
            ..Self::default()
        };
        for kind in [kind::CLUSTER_ROLE_BINDING, kind::ROLE_BINDING] {
            for binding in cache.list(kind, None) {
                state.insert(&binding);
            }
        }
        state
    }

    fn change(&mut self, change: &Change) {
        if !is_binding(change.object.kind) {
            return;
        }
        let before = match change.kind_of {
            ChangeKind::Deleted => Some(&change.object),
            ChangeKind::Added | ChangeKind::Modified => change.previous.as_ref(),
        };
        if let Some(before) = before {
            self.remove(before);
        }
        if change.kind_of != ChangeKind::Deleted {
            self.insert(&change.object);
        }
    }

    fn insert(&mut self, binding: &Object) {
        let Some((role, subjects)) = parts(binding) else {
            return;
        };
        let namespace = &binding.key.namespace;
        let scope = if binding.kind == kind::CLUSTER_ROLE_BINDING {
            &mut self.cluster
        } else {
            self.namespaces.entry(namespace.clone()).or_default()
        };
        for subject in &subjects {
            let Some((map, name)) = place(scope, subject, namespace) else {
                continue;
            };
            let grant = Grant {
                role_kind: role.kind.clone(),
                role: role.name.clone(),
                source: describe(binding, &role, subject),
            };
            let grants = map.entry(name).or_default();
            // The first subject that fits is the one that is told.
            grants
                .entry(binding.key.name.clone())
                .or_insert_with(|| Arc::new(grant));
        }
    }

    fn remove(&mut self, binding: &Object) {
        let Some((_, subjects)) = parts(binding) else {
            return;
        };
        let namespace = &binding.key.namespace;
        let of_cluster = binding.kind == kind::CLUSTER_ROLE_BINDING;
        let scope = if of_cluster {
            &mut self.cluster
        } else {
            match self.namespaces.get_mut(namespace) {
                Some(scope) => scope,
                None => return,
            }
        };
        for subject in &subjects {
            let Some((map, name)) = place(scope, subject, namespace) else {
                continue;
            };
            if let Some(grants) = map.get_mut(&name) {
                grants.remove(&binding.key.name);
                if grants.is_empty() {
                    map.remove(&name);
                }
            }
        }
        if !of_cluster && scope.is_empty() {
            self.namespaces.remove(namespace);
        }
    }
}

fn is_binding(kind: KindRef) -> bool {
    kind == kind::CLUSTER_ROLE_BINDING || kind == kind::ROLE_BINDING
}

/// The role and the subjects of a binding; none of one that cannot be read, which binds nothing.
fn parts(binding: &Object) -> Option<(RoleRef, Vec<Subject>)> {
    if binding.kind == kind::CLUSTER_ROLE_BINDING {
        let typed = binding.typed::<ClusterRoleBinding>().ok()?;
        return Some((
            typed.role_ref.clone(),
            typed.subjects.clone().unwrap_or_default(),
        ));
    }
    let typed = binding.typed::<RoleBinding>().ok()?;
    Some((
        typed.role_ref.clone(),
        typed.subjects.clone().unwrap_or_default(),
    ))
}

/// Where a subject stands; a service account is its user. None for what nobody can be.
fn place<'a>(
    scope: &'a mut Subjects,
    subject: &Subject,
    namespace: &str,
) -> Option<(&'a mut HashMap<String, Grants>, String)> {
    match subject.kind.as_str() {
        "User" => Some((&mut scope.users, subject.name.clone())),
        "Group" => Some((&mut scope.groups, subject.name.clone())),
        "ServiceAccount" => {
            let namespace = account_namespace(subject, namespace);
            if namespace.is_empty() {
                return None;
            }
            let user = format!("{ACCOUNT_PREFIX}{namespace}:{}", subject.name);
            Some((&mut scope.users, user))
        }
        _ => None,
    }
}

fn account_namespace<'a>(subject: &'a Subject, namespace: &'a str) -> &'a str {
    subject
        .namespace
        .as_deref()
        .filter(|own| !own.is_empty())
        .unwrap_or(namespace)
}

/// `RoleBinding "b/n" of Role "r" to User "ann"`.
fn describe(binding: &Object, role: &RoleRef, subject: &Subject) -> String {
    let key = &binding.key;
    let name = if key.namespace.is_empty() {
        key.name.clone()
    } else {
        format!("{}/{}", key.name, key.namespace)
    };
    let who = if subject.kind == "ServiceAccount" {
        let namespace = account_namespace(subject, &key.namespace);
        format!("{}/{namespace}", subject.name)
    } else {
        subject.name.clone()
    };
    format!(
        "{} {name:?} of {} {:?} to {} {who:?}",
        binding.kind.kind, role.kind, role.name, subject.kind
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    struct World {
        cache: Cache,
        index: Index,
        revision: u64,
    }

    impl World {
        fn new() -> Self {
            let cache = Cache::new(Vec::new(), Revision(0));
            Self {
                index: Index::new(cache.clone()),
                cache,
                revision: 0,
            }
        }

        fn write(
            &mut self,
            kind: KindRef,
            (namespace, name): (&str, &str),
            subjects: Option<Value>,
        ) {
            self.revision += 1;
            let key = coracle_api::Key::new(namespace, name);
            let previous = self.cache.get(kind, &key);
            let kind_of = match (&previous, &subjects) {
                (_, None) => ChangeKind::Deleted,
                (None, _) => ChangeKind::Added,
                (Some(_), _) => ChangeKind::Modified,
            };
            let value = match subjects {
                Some(subjects) => {
                    json!({"metadata": {"name": name, "namespace": namespace}, "subjects": subjects,
                    "roleRef": {"apiGroup": kind::RBAC, "kind": "ClusterRole", "name": "view"}})
                }
                None => previous.as_ref().unwrap().value(),
            };
            let object = Arc::new(Object::new(kind, Revision(self.revision), value).unwrap());
            self.cache
                .commit(vec![Change::new(object, previous, kind_of)]);
        }

        #[track_caller]
        fn check(&self, user: &UserInfo, namespace: &str, expected: [&[&str]; 2]) {
            let found = self.index.grants(user, namespace).map(|list| {
                list.iter()
                    .map(|grant| grant.source.clone())
                    .collect::<Vec<_>>()
            });
            assert_eq!(found, expected.map(|list| list.to_vec()));
        }
    }

    #[test]
    fn bindings_come_change_and_go() {
        let mut world = World::new();
        let ann = UserInfo::new("ann", ["dev".to_owned()]);
        let robot = UserInfo::new("system:serviceaccount:n:robot", []);
        let user = |name: &str| json!([{"kind": "User", "name": name}]);
        world.check(&ann, "n", [&[], &[]]);
        world.write(
            kind::CLUSTER_ROLE_BINDING,
            ("", "c"),
            Some(json!([{"kind": "Group", "name": "dev"}])),
        );
        world.write(kind::ROLE_BINDING, ("n", "b"), Some(user("ann")));
        world.write(
            kind::ROLE_BINDING,
            ("n", "r"),
            Some(json!([{"kind": "ServiceAccount", "name": "robot"}])),
        );
        let of_dev = r#"ClusterRoleBinding "c" of ClusterRole "view" to Group "dev""#;
        let of_ann = r#"RoleBinding "b/n" of ClusterRole "view" to User "ann""#;
        let of_robot = r#"RoleBinding "r/n" of ClusterRole "view" to ServiceAccount "robot/n""#;
        world.check(&ann, "n", [&[of_dev], &[of_ann]]);
        world.check(&ann, "m", [&[of_dev], &[]]);
        world.check(&ann, "", [&[of_dev], &[]]);
        world.check(&robot, "n", [&[], &[of_robot]]);
        // Somebody else of the same name in another namespace is somebody else.
        world.check(
            &UserInfo::new("system:serviceaccount:m:robot", []),
            "n",
            [&[], &[]],
        );

        world.write(kind::ROLE_BINDING, ("n", "b"), Some(user("bob")));
        world.check(&ann, "n", [&[of_dev], &[]]);
        world.write(kind::CLUSTER_ROLE_BINDING, ("", "c"), None);
        world.write(kind::ROLE_BINDING, ("n", "b"), None);
        world.write(kind::ROLE_BINDING, ("n", "r"), None);
        world.check(&ann, "n", [&[], &[]]);
        world.check(&robot, "n", [&[], &[]]);
        let state = world.index.state.read();
        assert!(state.namespaces.is_empty() && state.cluster.is_empty());
    }

    #[test]
    fn a_late_index_lists() {
        let mut world = World::new();
        let ann = UserInfo::new("ann", []);
        world.check(&ann, "n", [&[], &[]]);
        let both = json!([{"kind": "User", "name": "ann"}, {"kind": "User", "name": "ann"}]);
        for _ in 0..5000 {
            world.write(kind::ROLE_BINDING, ("n", "b"), Some(both.clone()));
        }
        world.write(
            kind::ROLE_BINDING,
            ("n", "other"),
            Some(json!([{"kind": "Pod", "name": "ann"}])),
        );
        let of_ann = r#"RoleBinding "b/n" of ClusterRole "view" to User "ann""#;
        world.check(&ann, "n", [&[], &[of_ann]]);
    }
}
