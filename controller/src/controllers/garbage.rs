//! Garbage collection: what nobody owns any more goes, in the order its owner asked for.
//!
//! Works over every kind of the table. An owner counts by its uid: an object of the same name is
//! another one. What cannot be looked up is never taken as gone.
//!
//! Source: k8s.io/kubernetes `pkg/controller/garbagecollector`.

use crate::{
    cache::{Cache, Change, ChangeKind},
    events::{EventType, Occurrence, Recorder, Reference},
    object::Object,
    reconcile::{Next, Reconciler},
    registry::{Context, DeleteOptions, Propagation, Registry, Subresource},
};
use coracle_api::{
    Key, KindRef, StatusError, k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use serde_json::Value;
use std::{fmt, sync::Arc};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// An object of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    kind: KindRef,
    key: Key,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.group_resource(), self.key)
    }
}

/// How an owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnerState {
    /// There, or it cannot be known.
    Solid,
    /// There is none with this uid.
    Absent,
    /// Goes after its dependents.
    Waiting,
}

/// What is to become of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Leave,
    /// Others still own it; these do not.
    Disown(Vec<String>),
    /// Its owners wait for it, and it would wait for one of them: it is to block nobody first.
    Unblock,
    Delete(Propagation),
}

/// What the decision depends on.
#[derive(Debug)]
struct Facts<'a> {
    is_deleting: bool,
    finalizers: &'a [String],
    has_dependents: bool,
    /// Blocks an owner, and one of its own dependents waits already: going, it would wait for itself.
    closes_circle: bool,
    /// Uid and state of each owner.
    owners: Vec<(String, OwnerState)>,
}

fn judge(facts: &Facts<'_>) -> Verdict {
    if facts.is_deleting || facts.owners.is_empty() {
        return Verdict::Leave;
    }
    let gone: Vec<String> = facts
        .owners
        .iter()
        .filter(|(_, state)| *state != OwnerState::Solid)
        .map(|(uid, _)| uid.clone())
        .collect();
    if gone.is_empty() {
        return Verdict::Leave;
    }
    if gone.len() < facts.owners.len() {
        return Verdict::Disown(gone);
    }
    let is_awaited = facts
        .owners
        .iter()
        .any(|(_, state)| *state == OwnerState::Waiting);
    if is_awaited && facts.closes_circle {
        return Verdict::Unblock;
    }
    if is_awaited && facts.has_dependents {
        return Verdict::Delete(Propagation::Foreground);
    }
    let has = |name: &str| facts.finalizers.iter().any(|finalizer| finalizer == name);
    Verdict::Delete(if has(ORPHAN) {
        Propagation::Orphan
    } else if has(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    })
}

/// The reconciler.
#[derive(Debug)]
pub(super) struct Garbage {
    pub(super) registry: Registry,
    pub(super) events: Recorder,
}

impl Reconciler for Garbage {
    const NAME: &'static str = "garbage";
    type Key = Target;

    const WATCHES_ALL: bool = true;

    fn keys(&self, change: &Change) -> Vec<Target> {
        let object = &change.object;
        let previous = change.previous.as_ref();
        let mut targets = Vec::new();
        if change.kind_of == ChangeKind::Deleted {
            let dependents = self.registry.cache().dependents(object.uid());
            targets.extend(dependents.iter().map(target_of));
            targets.extend(awaiting_owners(self.registry.cache(), object));
            return targets;
        }
        // The same name may have been given to another object between two looks.
        let is_other = previous.is_none_or(|previous| previous.uid() != object.uid());
        let owners_changed = is_other
            || previous
                .is_some_and(|old| old.meta.owner_references != object.meta.owner_references);
        let has_owners = object
            .meta
            .owner_references
            .as_ref()
            .is_some_and(|owners| !owners.is_empty());
        if (owners_changed && has_owners) || is_collecting(object) {
            targets.push(target_of(object));
        }
        if let Some(previous) = previous.filter(|_| owners_changed) {
            targets.extend(awaiting_owners(self.registry.cache(), previous));
        }
        targets
    }

    async fn reconcile(&self, target: &Target) -> Result<Next, StatusError> {
        let Some(object) = self.registry.cache().get(target.kind, &target.key) else {
            return Ok(Next::AwaitChange);
        };
        if is_collecting(&object) {
            if has_finalizer(&object, ORPHAN) {
                self.orphan_dependents(&object).await?;
            } else {
                self.delete_dependents(&object).await?;
            }
        } else {
            self.collect(&object).await?;
        }
        Ok(Next::AwaitChange)
    }
}

fn target_of(object: &Arc<Object>) -> Target {
    Target {
        kind: object.kind,
        key: object.key.clone(),
    }
}

fn has_finalizer(object: &Object, name: &str) -> bool {
    let finalizers = object.meta.finalizers.as_ref();
    finalizers.is_some_and(|all| all.iter().any(|finalizer| finalizer == name))
}

/// Is being deleted, and waits for us.
fn is_collecting(object: &Object) -> bool {
    object.is_deleting() && (has_finalizer(object, ORPHAN) || has_finalizer(object, FOREGROUND))
}

/// The owners that wait for this object to be gone.
fn awaiting_owners<'a>(cache: &'a Cache, object: &'a Object) -> impl Iterator<Item = Target> + 'a {
    let owners = object.meta.owner_references.iter().flatten();
    let owners = owners.filter_map(|owner| {
        let kind = kind_of(cache, owner)?;
        let found = cache.get(kind, &owner_key(kind, owner, object))?;
        (found.uid() == owner.uid && is_collecting(&found)).then(|| target_of(&found))
    });
    owners.collect::<Vec<_>>().into_iter()
}

fn kind_of(cache: &Cache, owner: &OwnerReference) -> Option<KindRef> {
    let (group, version) = owner
        .api_version
        .split_once('/')
        .unwrap_or(("", &owner.api_version));
    let kind = cache.kinds().by_kind(group, version, &owner.kind)?;
    Some(kind.storage())
}

fn owner_key(kind: KindRef, owner: &OwnerReference, object: &Object) -> Key {
    if kind.namespaced {
        Key::new(object.key.namespace.clone(), owner.name.clone())
    } else {
        Key::cluster(owner.name.clone())
    }
}

fn state_of(cache: &Cache, owner: &OwnerReference, object: &Object) -> OwnerState {
    let Some(kind) = kind_of(cache, owner) else {
        return OwnerState::Solid;
    };
    if kind.namespaced && !object.kind.namespaced {
        // Such a reference means nothing; upstream leaves the object alone.
        return OwnerState::Solid;
    }
    match cache.get(kind, &owner_key(kind, owner, object)) {
        Some(found) if found.uid() == owner.uid => {
            if found.is_deleting() && has_finalizer(&found, FOREGROUND) {
                OwnerState::Waiting
            } else {
                OwnerState::Solid
            }
        }
        Some(_) | None => OwnerState::Absent,
    }
}

/// Whether the owner that a reference means is there, in a namespace where the reference does not lead.
fn is_elsewhere(cache: &Cache, owner: &OwnerReference, object: &Object) -> bool {
    let Some(kind) = kind_of(cache, owner).filter(|kind| kind.namespaced) else {
        return false;
    };
    let own = cache.get(kind, &owner_key(kind, owner, object));
    // The most usual case, and the one of no search.
    if own.is_some_and(|found| found.uid() == owner.uid) {
        return false;
    }
    let all = cache.list(kind, None);
    all.iter()
        .any(|found| found.uid() == owner.uid && found.key.namespace != object.key.namespace)
}

/// What is told of an object whose owner is elsewhere, in upstream's words.
fn misplaced(owner: &OwnerReference, object: &Object) -> Occurrence {
    let namespace = &object.key.namespace;
    let OwnerReference {
        api_version,
        kind,
        name,
        uid,
        ..
    } = owner;
    let message = format!(
        "ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}] does not exist in namespace {namespace:?}"
    );
    Occurrence {
        // As upstream: of no version.
        about: Reference {
            resource_version: String::new(),
            ..Reference::to(object)
        },
        event_type: EventType::Warning,
        reason: "OwnerRefInvalidNamespace".to_owned(),
        message,
        component: "garbage-collector-controller",
        host: String::new(),
    }
}

impl Garbage {
    /// Deletes an object whose owners are gone, or drops the references that lead nowhere.
    async fn collect(&self, object: &Object) -> Result<(), StatusError> {
        let cache = self.registry.cache();
        let owners = || object.meta.owner_references.iter().flatten();
        for owner in owners().filter(|owner| is_elsewhere(cache, owner, object)) {
            self.events.record(misplaced(owner, object));
        }
        let dependents = cache.dependents(object.uid());
        let waits =
            |object: &Arc<Object>| object.is_deleting() && has_finalizer(object, FOREGROUND);
        let facts = Facts {
            is_deleting: object.is_deleting(),
            finalizers: object.meta.finalizers.as_deref().unwrap_or_default(),
            has_dependents: !dependents.is_empty(),
            closes_circle: dependents.iter().any(waits)
                && owners().any(|owner| owner.block_owner_deletion == Some(true)),
            owners: owners()
                .map(|owner| (owner.uid.clone(), state_of(cache, owner, object)))
                .collect(),
        };
        let propagation = match judge(&facts) {
            Verdict::Leave => return Ok(()),
            Verdict::Disown(uids) => return self.disown(object, &uids).await,
            // The change brings it back here.
            Verdict::Unblock => return self.unblock(object).await,
            Verdict::Delete(propagation) => propagation,
        };
        tracing::debug!(kind = object.kind.kind, key = %object.key, "nobody owns it any more");
        let options = DeleteOptions {
            propagation: Some(propagation),
            uid: Some(object.uid().to_owned()),
            // An owner may have been added since we looked.
            resource_version: Some(object.revision.to_string()),
            ..DeleteOptions::default()
        };
        let context = Context::system("generic-garbage-collector");
        let deleted = self
            .registry
            .delete(&context, object.kind, &object.key, options)
            .await;
        or_gone(deleted.map(|_deleted| ()))
    }

    /// Foreground: deletes what this object owns; lets it go when nothing blocks it any more.
    async fn delete_dependents(&self, object: &Object) -> Result<(), StatusError> {
        let dependents = self.registry.cache().dependents(object.uid());
        let mut is_blocked = false;
        for dependent in &dependents {
            let owners = dependent.meta.owner_references.iter().flatten();
            let mut ours = owners.filter(|owner| owner.uid == object.uid());
            is_blocked |= ours.any(|owner| owner.block_owner_deletion == Some(true));
            if !dependent.is_deleting() {
                self.collect(dependent).await?;
            }
        }
        if is_blocked && self.blocks(object) {
            return Ok(());
        }
        self.remove_finalizer(object, FOREGROUND).await
    }

    /// After what was deleted at once: is there still a dependent that blocks?
    fn blocks(&self, object: &Object) -> bool {
        let dependents = self.registry.cache().dependents(object.uid());
        let mut owners = dependents
            .iter()
            .flat_map(|dependent| dependent.meta.owner_references.iter().flatten());
        owners.any(|owner| owner.uid == object.uid() && owner.block_owner_deletion == Some(true))
    }

    /// Orphan: takes this object's name off what it owns, then lets it go.
    async fn orphan_dependents(&self, object: &Object) -> Result<(), StatusError> {
        let uid = [object.uid().to_owned()];
        for dependent in self.registry.cache().dependents(object.uid()) {
            self.disown(&dependent, &uid).await?;
        }
        self.remove_finalizer(object, ORPHAN).await
    }

    async fn disown(&self, object: &Object, owner_uids: &[String]) -> Result<(), StatusError> {
        let remove = |value: &mut Value| {
            still_the_same(object, value)?;
            if let Some(owners) = value["metadata"]["ownerReferences"].as_array_mut() {
                owners.retain(|owner| {
                    let uid = owner["uid"].as_str().unwrap_or_default();
                    !owner_uids.iter().any(|gone| gone == uid)
                });
            }
            Ok(())
        };
        self.modify(object, remove).await
    }

    async fn unblock(&self, object: &Object) -> Result<(), StatusError> {
        let unblock = |value: &mut Value| {
            still_the_same(object, value)?;
            let owners = value["metadata"]["ownerReferences"].as_array_mut();
            for owner in owners.into_iter().flatten() {
                if owner["blockOwnerDeletion"] == true {
                    owner["blockOwnerDeletion"] = Value::Bool(false);
                }
            }
            Ok(())
        };
        self.modify(object, unblock).await
    }

    async fn remove_finalizer(&self, object: &Object, name: &str) -> Result<(), StatusError> {
        let remove = |value: &mut Value| {
            still_the_same(object, value)?;
            if let Some(finalizers) = value["metadata"]["finalizers"].as_array_mut() {
                finalizers.retain(|finalizer| finalizer != name);
            }
            Ok(())
        };
        self.modify(object, remove).await
    }

    async fn modify(
        &self,
        object: &Object,
        change: impl FnMut(&mut Value) -> Result<(), StatusError>,
    ) -> Result<(), StatusError> {
        let context = Context::system("generic-garbage-collector");
        let part = Subresource::None;
        let written = self
            .registry
            .modify(&context, object.kind, &object.key, part, change)
            .await;
        or_gone(written.map(|_object| ()))
    }
}

fn still_the_same(object: &Object, value: &Value) -> Result<(), StatusError> {
    if value["metadata"]["uid"] == object.uid() {
        return Ok(());
    }
    Err(StatusError::not_found(object.kind, &object.key.name))
}

/// Being gone already is what was wanted.
fn or_gone(result: Result<(), StatusError>) -> Result<(), StatusError> {
    match result {
        Err(error) if error.code == 404 => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OwnerState::{Absent, Solid, Waiting};

    #[track_caller]
    fn check(owners: &[OwnerState], finalizers: &[&str], dependents: bool, expected: &Verdict) {
        let finalizers: Vec<String> = finalizers.iter().map(|name| (*name).to_owned()).collect();
        let owners = owners
            .iter()
            .enumerate()
            .map(|(n, state)| (n.to_string(), *state))
            .collect();
        let facts = Facts {
            is_deleting: false,
            finalizers: &finalizers,
            has_dependents: dependents,
            closes_circle: false,
            owners,
        };
        assert_eq!(judge(&facts), *expected);
    }

    #[test]
    fn who_would_close_a_circle_blocks_nobody() {
        let facts = |closes_circle| Facts {
            is_deleting: false,
            finalizers: &[],
            has_dependents: true,
            closes_circle,
            owners: vec![("u".to_owned(), Waiting)],
        };
        assert_eq!(judge(&facts(true)), Verdict::Unblock);
        let foreground = Verdict::Delete(Propagation::Foreground);
        assert_eq!(judge(&facts(false)), foreground);
    }

    #[test]
    fn the_last_owner_decides() {
        let disown =
            |uids: &[&str]| Verdict::Disown(uids.iter().map(|uid| (*uid).to_owned()).collect());
        check(&[], &[], true, &Verdict::Leave);
        check(&[Solid], &[], true, &Verdict::Leave);
        check(&[Solid, Absent, Waiting], &[], true, &disown(&["1", "2"]));
        let background = Verdict::Delete(Propagation::Background);
        check(&[Absent], &[], true, &background);
        check(&[Waiting], &[], false, &background);
        let foreground = Verdict::Delete(Propagation::Foreground);
        check(&[Waiting, Absent], &[], true, &foreground);
        check(&[Absent], &[FOREGROUND], false, &foreground);
        check(
            &[Absent],
            &[ORPHAN],
            false,
            &Verdict::Delete(Propagation::Orphan),
        );
    }

    #[test]
    fn what_is_going_is_left_alone() {
        let facts = Facts {
            is_deleting: true,
            finalizers: &[],
            has_dependents: false,
            closes_circle: false,
            owners: vec![("u".to_owned(), Absent)],
        };
        assert_eq!(judge(&facts), Verdict::Leave);
    }
}
