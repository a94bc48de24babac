//! Namespaces: one that is being deleted is emptied, kind by kind, pods first, then let go.
//!
//! What is left in a namespace that is not there (a write that raced its end) is removed as well.
//!
//! Source: k8s.io/kubernetes `pkg/controller/namespace/deletion`.

use crate::{
    cache::Change,
    object::Object,
    reconcile::{Next, Reconciler},
    registry::{Context, DeleteOptions, Propagation, Registry, Subresource},
};
use coracle_api::{Key, KindRef, StatusError, kind};
use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

const FINALIZER: &str = "kubernetes";
/// Deletions in flight: a large namespace must not take all turns of the registry.
const BATCH_MAX: usize = 100;

/// The conditions of a namespace that is being deleted: type, and the reason and message of all being
/// well. Upstream's texts.
const CONDITIONS: [(&str, &str, &str); 5] = [
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    (
        "NamespaceContentRemaining",
        "ContentRemoved",
        "All content successfully removed",
    ),
    (
        "NamespaceFinalizersRemaining",
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
];

/// What still is in a namespace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Remaining {
    /// By resource.
    objects: BTreeMap<String, usize>,
    /// By finalizer.
    finalizers: BTreeMap<String, usize>,
    /// Why something could not be deleted.
    errors: Vec<String>,
}

impl Remaining {
    fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.errors.is_empty()
    }
}

/// The conditions, with what is not well put in.
fn conditions(remaining: &Remaining, old: &Value, now: Timestamp) -> Value {
    let list = |counts: &BTreeMap<String, usize>, what: &str| {
        let mut text = String::new();
        for (name, count) in counts {
            let separator = if text.is_empty() { "" } else { ", " };
            let _infallible = write!(text, "{separator}{name} {what} {count} resource instances");
        }
        text
    };
    let content = format!(
        "Some resources are remaining: {}",
        list(&remaining.objects, "has")
    );
    let finalizers = format!(
        "Some content in the namespace has finalizers remaining: {}",
        list(&remaining.finalizers, "in")
    );
    let failed = format!(
        "Failed to delete all resource types, {} remaining: {}",
        remaining.errors.len(),
        remaining.errors.join(", ")
    );
    let trouble = |name: &str| match name {
        "NamespaceDeletionContentFailure" if !remaining.errors.is_empty() => {
            Some(("ContentDeletionFailed", failed.as_str()))
        }
        "NamespaceContentRemaining" if !remaining.objects.is_empty() => {
            Some(("SomeResourcesRemain", content.as_str()))
        }
        "NamespaceFinalizersRemaining" if !remaining.finalizers.is_empty() => {
            Some(("SomeFinalizersRemain", finalizers.as_str()))
        }
        _ => None,
    };
    let condition = |(name, reason, message)| {
        let (status, reason, message) = match trouble(name) {
            Some((reason, message)) => ("True", reason, message),
            None => ("False", reason, message),
        };
        let before = old.as_array().into_iter().flatten();
        let mut before = before.filter(|one| one["type"] == name && one["status"] == status);
        let since = before.next().map_or_else(
            || json!(coracle_api::time(now)),
            |one| one["lastTransitionTime"].clone(),
        );
        json!({"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
    };
    CONDITIONS.map(condition).into_iter().collect()
}

/// The reconciler.
#[derive(Debug)]
pub(super) struct Namespaces {
    pub(super) registry: Registry,
}

impl Reconciler for Namespaces {
    const NAME: &'static str = "namespace";
    type Key = Key;

    const WATCHES_ALL: bool = true;

    fn keys(&self, change: &Change) -> Vec<Key> {
        let object = &change.object;
        if object.kind == kind::NAMESPACE {
            return vec![object.key.clone()];
        }
        if !object.kind.namespaced {
            return Vec::new();
        }
        let key = Key::cluster(object.key.namespace.clone());
        let namespace = self.registry.cache().get(kind::NAMESPACE, &key);
        if namespace.is_some_and(|namespace| !namespace.is_deleting()) {
            return Vec::new();
        }
        vec![key]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let namespace = self.registry.cache().get(kind::NAMESPACE, key);
        let Some(namespace) = namespace else {
            self.empty(&key.name).await;
            return Ok(Next::AwaitChange);
        };
        if !namespace.is_deleting() {
            return Ok(Next::AwaitChange);
        }
        let errors = self.empty(&key.name).await;
        let remaining = self.remaining(&key.name, errors);
        self.write_conditions(&namespace, &remaining).await?;
        if let Some(error) = remaining.errors.first() {
            return Err(StatusError::internal(error.clone()));
        }
        // What remains ends in its own time; its end brings us back.
        if remaining.is_empty() {
            self.release(&namespace).await?;
        }
        Ok(Next::AwaitChange)
    }
}

impl Namespaces {
    /// Every kind that may be in a namespace, custom ones too.
    fn namespaced(&self) -> impl Iterator<Item = KindRef> {
        let kinds = self.registry.cache().kinds().stored();
        kinds.into_iter().filter(|kind| kind.namespaced)
    }

    /// Deletes what is in a namespace: pods alone, until the last is gone, then the rest.
    async fn empty(&self, namespace: &str) -> Vec<String> {
        let errors = self.delete_all(kind::POD, namespace).await;
        let pods = self.registry.cache().list(kind::POD, Some(namespace));
        if !errors.is_empty() || !pods.is_empty() {
            return errors;
        }
        let mut errors = Vec::new();
        for kind in self.namespaced() {
            errors.extend(self.delete_all(kind, namespace).await);
        }
        errors
    }

    async fn delete_all(&self, kind: KindRef, namespace: &str) -> Vec<String> {
        let objects = self.registry.cache().list_stored(kind, Some(namespace));
        let there: Vec<Arc<Object>> = objects
            .into_iter()
            .filter(|object| !object.is_deleting())
            .collect();
        let mut errors = Vec::new();
        for batch in there.chunks(BATCH_MAX) {
            let results = join_all(batch.iter().map(|object| self.delete(object))).await;
            errors.extend(results.into_iter().flatten());
        }
        errors
    }

    async fn delete(&self, object: &Object) -> Option<String> {
        let context = Context::system("namespace-controller");
        let options = DeleteOptions {
            propagation: Some(Propagation::Background),
            uid: Some(object.uid().to_owned()),
            ..DeleteOptions::default()
        };
        let deleted = self
            .registry
            .delete(&context, object.kind, &object.key, options)
            .await;
        match deleted {
            Err(error) if !matches!(error.code, 404 | 409) => Some(error.to_string()),
            Ok(_) | Err(_) => None,
        }
    }

    fn remaining(&self, namespace: &str, errors: Vec<String>) -> Remaining {
        let mut remaining = Remaining {
            errors,
            ..Remaining::default()
        };
        for kind in self.namespaced() {
            let objects = self.registry.cache().list_stored(kind, Some(namespace));
            if objects.is_empty() {
                continue;
            }
            let resource = format!("{}.{}", kind.plural, kind.group);
            remaining.objects.insert(resource, objects.len());
            for object in &objects {
                for finalizer in object.meta.finalizers.iter().flatten() {
                    *remaining.finalizers.entry(finalizer.clone()).or_default() += 1;
                }
            }
        }
        remaining
    }

    async fn write_conditions(
        &self,
        namespace: &Object,
        remaining: &Remaining,
    ) -> Result<(), StatusError> {
        let now = self.registry.clock().now();
        let write = |value: &mut Value| {
            value["status"]["phase"] = json!("Terminating");
            let old = value["status"]["conditions"].take();
            value["status"]["conditions"] = conditions(remaining, &old, now);
            Ok(())
        };
        let context = Context::system("namespace-controller");
        let (key, part) = (&namespace.key, Subresource::Status);
        self.registry
            .modify(&context, kind::NAMESPACE, key, part, write)
            .await
            .map(|_namespace| ())
    }

    async fn release(&self, namespace: &Object) -> Result<(), StatusError> {
        let finalize = |value: &mut Value| {
            if value["metadata"]["uid"] != namespace.uid() {
                let name = &namespace.key.name;
                return Err(StatusError::not_found(kind::NAMESPACE, name));
            }
            if let Some(finalizers) = value["spec"]["finalizers"].as_array_mut() {
                finalizers.retain(|finalizer| finalizer != FINALIZER);
            }
            Ok(())
        };
        let context = Context::system("namespace-controller");
        let (key, part) = (&namespace.key, Subresource::Finalize);
        self.registry
            .modify(&context, kind::NAMESPACE, key, part, finalize)
            .await
            .map(|_namespace| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(conditions: &Value) -> Vec<[&str; 3]> {
        let all = conditions.as_array().unwrap().iter();
        all.map(|one| ["type", "status", "reason"].map(|field| one[field].as_str().unwrap()))
            .collect()
    }

    #[test]
    fn conditions_say_what_remains() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let remaining = Remaining {
            objects: BTreeMap::from([("pods.".to_owned(), 2)]),
            finalizers: BTreeMap::from([("x/y".to_owned(), 1)]),
            errors: Vec::new(),
        };
        let some = conditions(&remaining, &Value::Null, now);
        assert_eq!(
            some[3]["message"],
            "Some resources are remaining: pods. has 2 resource instances"
        );
        assert_eq!(
            some[4]["message"],
            "Some content in the namespace has finalizers remaining: x/y in 1 resource instances"
        );
        let later = now + jiff::SignedDuration::from_secs(9);
        let none = conditions(&Remaining::default(), &some, later);
        assert_eq!(none[0], some[0], "what has not changed keeps its time");
        assert_eq!(
            shown(&none)[3],
            ["NamespaceContentRemaining", "False", "ContentRemoved"]
        );
    }
}
