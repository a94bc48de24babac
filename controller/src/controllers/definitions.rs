//! CustomResourceDefinitions: accepts their names, serves what they define, and empties what is deleted.
//!
//! A definition is served from the moment its condition `Established` is on disk until it is gone.
//! Source: k8s.io/apiextensions-apiserver `pkg/controller/{status,establish,finalizer}`.

use crate::{
    cache::{Cache, Change, ChangeKind},
    kinds,
    object::Object,
    reconcile::{Next, Reconciler},
    registry::{Context, DeleteOptions, Propagation, Registry, Subresource},
};
use coracle_api::{Key, KindRef, StatusError, crd::definition, kind};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const NAME: &str = "definitions";

/// The reconciler.
#[derive(Debug)]
pub(super) struct Definitions {
    pub(super) registry: Registry,
}

impl Reconciler for Definitions {
    const NAME: &'static str = NAME;
    const WATCHES_ALL: bool = true;
    type Key = Key;

    fn keys(&self, change: &Change) -> Vec<Key> {
        let object = &change.object;
        let cache = self.registry.cache();
        if object.kind == kind::CUSTOM_RESOURCE_DEFINITION {
            let mut keys = vec![object.key.clone()];
            if change.kind_of == ChangeKind::Deleted {
                // A name that was taken may be free again.
                keys.extend(neighbours(cache, &object.key).map(|other| other.key.clone()));
            }
            return keys;
        }
        if !object.kind.is_custom() || change.kind_of != ChangeKind::Deleted {
            return Vec::new();
        }
        // The last object of a definition that is going may have gone.
        let key = Key::cluster(object.kind.group_resource());
        let definition = cache.get(kind::CUSTOM_RESOURCE_DEFINITION, &key);
        let going = definition.is_some_and(|definition| definition.is_deleting());
        if going { vec![key] } else { Vec::new() }
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let cache = self.registry.cache();
        let Some(object) = cache.get(kind::CUSTOM_RESOURCE_DEFINITION, key) else {
            cache.kinds().set(&key.name, Vec::new());
            return Ok(Next::AwaitChange);
        };
        let crd = object.value();
        if object.is_deleting() {
            // What it says of its objects does not change any more.
            if cache.kinds().of_definition(&key.name).is_none() {
                serve(cache, &crd);
            }
            return self.finish(&object, &crd).await;
        }
        let now = coracle_api::time(self.registry.clock().now());
        let others: Vec<_> = neighbours(cache, key)
            .map(|other| other.brief(|| names(&other)))
            .collect::<Result<_, _>>()?;
        let others = others.iter().map(|other| &**other);
        if let Some(status) = definition::accept_names(&crd, others, &now) {
            self.write(&object, status).await?;
        } else if let Some(status) = definition::establish(&crd, &now) {
            self.write(&object, status).await?;
        } else {
            serve(cache, &crd);
        }
        Ok(Next::AwaitChange)
    }
}

/// Publishes the versions of a definition.
fn serve(cache: &Cache, crd: &Value) {
    let name = crd["metadata"]["name"].as_str().unwrap_or_default();
    match kinds::versions(crd) {
        Ok(versions) => cache.kinds().set(name, versions),
        // Validation lets nothing pass that cannot be compiled; a limit of ours may stand in the way.
        Err(error) => tracing::error!(definition = name, %error, "a custom kind is not served"),
    }
}

/// The definitions of a group, which alone may want the same names; a definition is called `plural.group`.
fn neighbours(cache: &Cache, of: &Key) -> impl Iterator<Item = Arc<Object>> {
    let group = |name: &str| {
        name.split_once('.')
            .map(|(_plural, group)| group.to_owned())
    };
    let own = group(&of.name);
    let all = cache
        .list(kind::CUSTOM_RESOURCE_DEFINITION, None)
        .into_iter();
    all.filter(move |other| group(&other.key.name) == own)
}

/// What a definition says of names: a schema is large, and all of a group are looked at for each of them.
fn names(definition: &Object) -> Result<Value, StatusError> {
    let Names { spec, status } = serde_json::from_slice(&definition.raw).map_err(|error| {
        StatusError::internal(format!("the names of {}: {error}", definition.key.name))
    })?;
    Ok(json!({
        "spec": {"group": spec.group},
        "status": {"acceptedNames": status.accepted_names},
    }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    group: Value,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    accepted_names: Value,
}

impl Definitions {
    async fn write(&self, object: &Object, status: Value) -> Result<(), StatusError> {
        let version = object.revision.to_string();
        let change = |value: &mut Value| {
            // Decided on this state alone.
            value["metadata"]["resourceVersion"] = json!(version);
            value["status"] = status.clone();
            Ok(())
        };
        let (of, part) = (kind::CUSTOM_RESOURCE_DEFINITION, Subresource::Status);
        let context = Context::system(NAME);
        let written = self
            .registry
            .modify(&context, of, &object.key, part, change);
        written.await.map(|_object| ())
    }

    /// Deletes all objects of a definition that is going; the last one's end lets it go.
    async fn finish(&self, object: &Arc<Object>, crd: &Value) -> Result<Next, StatusError> {
        let held = object.meta.finalizers.iter().flatten();
        if !held
            .into_iter()
            .any(|name| name == definition::CLEANUP_FINALIZER)
        {
            return Ok(Next::AwaitChange);
        }
        if !definition::is_condition_true(crd, "Terminating") {
            let now = coracle_api::time(self.registry.clock().now());
            let mut status = crd["status"].clone();
            let message = "CustomResource deletion is in progress";
            let condition = ("Terminating", "True", "InstanceDeletionInProgress", message);
            definition::set_condition(&mut status, condition, &now);
            self.write(object, status).await?;
        }
        let kinds = self.registry.cache().kinds();
        let remaining = match kinds.of_definition(&object.key.name) {
            Some(of) => self.empty(of).await?,
            None => 0,
        };
        if remaining > 0 {
            return Ok(Next::AwaitChange);
        }
        let release = |value: &mut Value| {
            if let Some(list) = value["metadata"]["finalizers"].as_array_mut() {
                list.retain(|name| name != definition::CLEANUP_FINALIZER);
            }
            Ok(())
        };
        let (of, part) = (kind::CUSTOM_RESOURCE_DEFINITION, Subresource::None);
        let context = Context::system(NAME);
        self.registry
            .modify(&context, of, &object.key, part, release)
            .await?;
        Ok(Next::AwaitChange)
    }

    /// Asks all objects of a kind to go; returns how many are still there.
    async fn empty(&self, of: KindRef) -> Result<usize, StatusError> {
        let cache = self.registry.cache();
        let context = Context::system(NAME);
        for object in cache.list_stored(of, None) {
            if object.is_deleting() {
                continue;
            }
            let options = DeleteOptions {
                propagation: Some(Propagation::Background),
                uid: Some(object.uid().to_owned()),
                ..DeleteOptions::default()
            };
            match self
                .registry
                .delete(&context, of, &object.key, options)
                .await
            {
                Err(error) if !matches!(error.code, 404 | 409) => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(cache.count(of))
    }
}
