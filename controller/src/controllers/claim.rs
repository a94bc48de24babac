//! Which objects a controller owns: adoption of those it selects, release of those it does not.
//!
//! Source: k8s.io/kubernetes `pkg/controller/controller_ref_manager.go`. Never takes an object from
//! another controller; never adopts while its owner is being deleted.

use crate::{
    cache::Cache,
    object::Object,
    registry::{Context, Registry, Subresource},
};
use coracle_api::{Key, KindRef, StatusError, selector::LabelSelector};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// What is to become of an object that may belong to an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Own,
    Adopt,
    Release,
    Leave,
}

/// What the decision depends on.
#[derive(Debug, Clone, Copy)]
struct Facts {
    owner_is_deleting: bool,
    /// None: no controller; else: it is this owner.
    owned: Option<bool>,
    is_selected: bool,
    is_deleting: bool,
}

fn decide(facts: Facts) -> Claim {
    match facts.owned {
        Some(false) => Claim::Leave,
        Some(true) if facts.is_selected => Claim::Own,
        Some(true) if facts.owner_is_deleting => Claim::Leave,
        Some(true) => Claim::Release,
        None if facts.owner_is_deleting || !facts.is_selected || facts.is_deleting => Claim::Leave,
        None => Claim::Adopt,
    }
}

/// The objects of `kind` that belong to `owner` after adopting and releasing.
pub(super) async fn claim(
    registry: &Registry,
    context: &Context,
    owner: &Object,
    kind: KindRef,
    selector: &LabelSelector,
) -> Result<Vec<Arc<Object>>, StatusError> {
    let cache = registry.cache();
    let mut claimed = Vec::new();
    for object in candidates(cache, owner, kind) {
        let facts = Facts {
            owner_is_deleting: owner.is_deleting(),
            owned: object.controller_uid().map(|uid| uid == owner.uid()),
            is_selected: selector.matches(labels(&object)),
            is_deleting: object.is_deleting(),
        };
        let result = match decide(facts) {
            Claim::Leave => continue,
            Claim::Own => Ok(object),
            Claim::Adopt => adopt(registry, context, owner, &object).await,
            Claim::Release => {
                match release(registry, context, owner, &object).await {
                    Err(error) if error.code != 404 => return Err(error),
                    Ok(_) | Err(_) => {}
                }
                continue;
            }
        };
        match result {
            Ok(object) => claimed.push(object),
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    claimed.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(claimed)
}

/// What belongs to `owner`, and what belongs to nobody.
fn candidates(cache: &Cache, owner: &Object, kind: KindRef) -> Vec<Arc<Object>> {
    let mut all = owned(cache, owner.uid(), kind);
    all.retain(|object| object.key.namespace == owner.key.namespace);
    all.extend(cache.loose(kind, &owner.key.namespace));
    all
}

/// The objects of `kind` whose controller has this uid.
pub(super) fn owned(cache: &Cache, owner_uid: &str, kind: KindRef) -> Vec<Arc<Object>> {
    let mut all = cache.dependents(owner_uid);
    all.retain(|object| object.kind == kind && object.controller_uid() == Some(owner_uid));
    all
}

/// The keys of the owners of `kind` that a change of a dependent concerns: its controller now and
/// before; for an object without one, all that select it.
pub(super) fn owners_of_change(
    cache: &Cache,
    change: &crate::cache::Change,
    kind: KindRef,
    selects: impl Fn(&Object, &BTreeMap<String, String>) -> bool,
) -> Vec<Key> {
    let object = &change.object;
    let mut keys: Vec<Key> = [Some(object), change.previous.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(|object| controller_key(object, kind))
        .collect();
    keys.dedup();
    let is_loose = object.controller_uid().is_none()
        && !object.is_deleting()
        && change.kind_of != crate::cache::ChangeKind::Deleted;
    if is_loose {
        let owners = cache.list(kind, Some(&object.key.namespace));
        let select = owners
            .iter()
            .filter(|owner| selects(owner, labels(object)))
            .map(|owner| owner.key.clone());
        keys.extend(select);
    }
    keys
}

/// The key of an object's controller, if it is of `kind`.
pub(super) fn controller_key(object: &Object, kind: KindRef) -> Option<Key> {
    let owners = object.meta.owner_references.as_ref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let group = owner
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group);
    (owner.kind == kind.kind && group == kind.group)
        .then(|| Key::new(object.key.namespace.clone(), owner.name.clone()))
}

/// The labels of an object.
pub(super) fn labels(object: &Object) -> &BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    object.meta.labels.as_ref().unwrap_or(&NONE)
}

/// The `ownerReferences` entry of a controller.
pub(super) fn controller_ref(owner: &Object) -> Value {
    json!({
        "apiVersion": owner.kind.api_version(),
        "kind": owner.kind.kind,
        "name": owner.key.name,
        "uid": owner.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

async fn adopt(
    registry: &Registry,
    context: &Context,
    owner: &Object,
    object: &Object,
) -> Result<Arc<Object>, StatusError> {
    let live = registry.cache().get(owner.kind, &owner.key);
    if live.is_none_or(|live| live.uid() != owner.uid() || live.is_deleting()) {
        let why = "the owner has been deleted";
        return Err(StatusError::conflict(owner.kind, &owner.key.name, why));
    }
    let add = |value: &mut Value| {
        still_the_same(object, value)?;
        if !value["metadata"]["ownerReferences"].is_array() {
            value["metadata"]["ownerReferences"] = json!([]);
        }
        let owners = value["metadata"]["ownerReferences"].as_array_mut();
        let Some(owners) = owners else { return Ok(()) };
        if owners.iter().any(|other| other["controller"] == true) {
            let why = "it has another controller by now";
            return Err(StatusError::conflict(object.kind, &object.key.name, why));
        }
        owners.push(controller_ref(owner));
        Ok(())
    };
    registry
        .modify(context, object.kind, &object.key, Subresource::None, add)
        .await
}

async fn release(
    registry: &Registry,
    context: &Context,
    owner: &Object,
    object: &Object,
) -> Result<Arc<Object>, StatusError> {
    let remove = |value: &mut Value| {
        still_the_same(object, value)?;
        if let Some(owners) = value["metadata"]["ownerReferences"].as_array_mut() {
            owners.retain(|other| other["uid"] != owner.uid());
        }
        Ok(())
    };
    registry
        .modify(context, object.kind, &object.key, Subresource::None, remove)
        .await
}

/// A name may have been given to another object meanwhile.
fn still_the_same(object: &Object, value: &Value) -> Result<(), StatusError> {
    if value["metadata"]["uid"] == object.uid() {
        return Ok(());
    }
    Err(StatusError::not_found(object.kind, &object.key.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(owned: Option<bool>, is_selected: bool, expected: [Claim; 3]) {
        let facts = Facts {
            owner_is_deleting: false,
            owned,
            is_selected,
            is_deleting: false,
        };
        let owner_goes = Facts {
            owner_is_deleting: true,
            ..facts
        };
        let object_goes = Facts {
            is_deleting: true,
            ..facts
        };
        assert_eq!([facts, owner_goes, object_goes].map(decide), expected);
    }

    #[test]
    fn owned_selected_and_loose() {
        use Claim::{Adopt, Leave, Own, Release};
        // As it is, with the owner being deleted, with the object being deleted.
        check(Some(true), true, [Own, Own, Own]);
        check(Some(true), false, [Release, Leave, Release]);
        check(Some(false), true, [Leave, Leave, Leave]);
        check(None, true, [Adopt, Leave, Leave]);
        check(None, false, [Leave, Leave, Leave]);
    }
}
