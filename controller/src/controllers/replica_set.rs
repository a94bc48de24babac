//! ReplicaSets: as many pods of a template as asked for.
//!
//! Source: k8s.io/kubernetes `pkg/controller/replicaset`. Where upstream keeps expectations, the
//! loop's guarantee stands in: a run sees everything the runs before it wrote.

mod status;

use super::{
    claim::{self, controller_ref, labels},
    pods::{PodFacts, first_to_go},
};
use crate::{
    cache::Change,
    events::{EventType, Occurrence, Recorder, Reference},
    object::Object,
    reconcile::{Next, Reconciler},
    registry::{Context, DeleteOptions, Registry, Subresource},
};
use coracle_api::{
    Key, KindRef, StatusError, k8s_openapi::api::apps::v1::ReplicaSet, kind,
    selector::LabelSelector,
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Who the events are from.
const COMPONENT: &str = "replicaset-controller";
/// Pods made or deleted in one run, as upstream; a run with more to do is followed by another.
const BURST_MAX: usize = 500;
/// The first batch of creations; each that succeeds is followed by one twice as large.
const FIRST_BATCH: usize = 1;

/// What to do about the number of pods.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action<'a> {
    Nothing,
    Create(usize),
    Delete(Vec<&'a PodFacts>),
}

/// Compares what is with what shall be.
pub(super) fn plan<'a>(
    desired: usize,
    active: &'a [PodFacts],
    related: &[PodFacts],
    now: jiff::Timestamp,
) -> Action<'a> {
    if active.len() < desired {
        return Action::Create((desired - active.len()).min(BURST_MAX));
    }
    let surplus = (active.len() - desired).min(BURST_MAX);
    if surplus == 0 {
        return Action::Nothing;
    }
    Action::Delete(first_to_go(active, related, surplus, now))
}

/// The reconciler.
#[derive(Debug)]
pub(super) struct ReplicaSets {
    pub(super) registry: Registry,
    pub(super) events: Recorder,
}

impl Reconciler for ReplicaSets {
    const NAME: &'static str = "replicaset";
    type Key = Key;

    fn watches(&self) -> Vec<KindRef> {
        vec![kind::REPLICA_SET, kind::POD]
    }

    fn keys(&self, change: &Change) -> Vec<Key> {
        if change.object.kind == kind::REPLICA_SET {
            return vec![change.object.key.clone()];
        }
        claim::owners_of_change(self.registry.cache(), change, kind::REPLICA_SET, selects)
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let Some(object) = self.registry.cache().get(kind::REPLICA_SET, key) else {
            return Ok(Next::AwaitChange);
        };
        self.sync(&object).await
    }
}

/// A ReplicaSet selects these labels; an empty selector selects nothing.
fn selects(object: &Object, labels: &BTreeMap<String, String>) -> bool {
    let Ok(set) = object.typed::<ReplicaSet>() else {
        return false;
    };
    let selector = set.spec.as_ref().map(|spec| &spec.selector);
    let selector = selector.and_then(|spec| LabelSelector::from_spec(spec).ok());
    selector.is_some_and(|selector| !selector.is_empty() && selector.matches(labels))
}

impl ReplicaSets {
    async fn sync(&self, object: &Arc<Object>) -> Result<Next, StatusError> {
        let set = object.typed::<ReplicaSet>()?;
        let Some(spec) = set.spec.as_ref() else {
            return Ok(Next::AwaitChange);
        };
        let selector = LabelSelector::from_spec(&spec.selector)
            .map_err(|error| StatusError::bad_request(error.to_string()))?;
        if selector.is_empty() {
            return Ok(Next::AwaitChange);
        }
        let context = Context::system(COMPONENT);
        let claimed = claim::claim(&self.registry, &context, object, kind::POD, &selector).await?;
        let facts = facts_of(&claimed)?;
        let active: Vec<PodFacts> = facts
            .iter()
            .filter(|pod| pod.is_active())
            .cloned()
            .collect();
        let desired = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
        let managed = if object.is_deleting() {
            Ok(())
        } else {
            self.manage(object, desired, &active).await
        };
        let next = self.write_status(&context, object, &managed).await?;
        managed.map(|()| next)
    }

    /// Makes or deletes pods; the first error is the answer, after all that was begun has ended.
    async fn manage(
        &self,
        object: &Arc<Object>,
        desired: usize,
        active: &[PodFacts],
    ) -> Result<(), StatusError> {
        let related = if active.len() > desired {
            self.related(object)?
        } else {
            Vec::new()
        };
        match plan(desired, active, &related, self.registry.clock().now()) {
            Action::Nothing => Ok(()),
            Action::Create(count) => self.create(object, count).await,
            Action::Delete(pods) => {
                let all = join_all(pods.iter().map(|pod| self.delete_pod(object, pod))).await;
                all.into_iter().collect()
            }
        }
    }

    /// The active pods of every ReplicaSet of the same owner.
    fn related(&self, object: &Object) -> Result<Vec<PodFacts>, StatusError> {
        let cache = self.registry.cache();
        let sets = match object.controller_uid() {
            Some(uid) => claim::owned(cache, uid, kind::REPLICA_SET),
            None => Vec::new(),
        };
        let uids = sets
            .iter()
            .map(|set| set.uid())
            .filter(|uid| *uid != object.uid())
            .chain([object.uid()]);
        let pods: Vec<Arc<Object>> = uids
            .flat_map(|uid| claim::owned(cache, uid, kind::POD))
            .collect();
        facts_of(&pods)
    }

    /// In batches that double while all goes well: a refusal that holds for all is met once, not
    /// five hundred times.
    async fn create(&self, object: &Object, count: usize) -> Result<(), StatusError> {
        let pod = pod_of(object);
        let mut left = count;
        let mut batch = FIRST_BATCH;
        while left > 0 {
            let size = batch.min(left);
            let all = join_all((0..size).map(|_| self.create_pod(object, &pod))).await;
            all.into_iter().collect::<Result<(), _>>()?;
            left -= size;
            batch *= 2;
        }
        Ok(())
    }

    async fn create_pod(&self, object: &Object, pod: &Value) -> Result<(), StatusError> {
        let context = Context::system(COMPONENT);
        let namespace = &object.key.namespace;
        let created = self
            .registry
            .create(&context, kind::POD, namespace, pod.clone())
            .await;
        match created {
            Ok(created) => {
                let message = format!("Created pod: {}", created.key.name);
                self.tell(object, EventType::Normal, "SuccessfulCreate", message);
                Ok(())
            }
            Err(_) if self.namespace_is_going(namespace) => Ok(()),
            Err(error) => {
                let message = format!("Error creating: {error}");
                self.tell(object, EventType::Warning, "FailedCreate", message);
                Err(error)
            }
        }
    }

    fn namespace_is_going(&self, namespace: &str) -> bool {
        let found = self
            .registry
            .cache()
            .get(kind::NAMESPACE, &Key::cluster(namespace));
        found.is_none_or(|namespace| namespace.is_deleting())
    }

    async fn delete_pod(&self, object: &Object, pod: &PodFacts) -> Result<(), StatusError> {
        let context = Context::system(COMPONENT);
        let options = DeleteOptions {
            uid: Some(pod.uid.clone()),
            ..DeleteOptions::default()
        };
        let deleted = self
            .registry
            .delete(&context, kind::POD, &pod.key, options)
            .await;
        match deleted {
            Ok(_) => {
                let message = format!("Deleted pod: {}", pod.key.name);
                self.tell(object, EventType::Normal, "SuccessfulDelete", message);
                Ok(())
            }
            Err(error) if error.code == 404 => Ok(()),
            Err(error) => {
                let message = format!("Error deleting: {error}");
                self.tell(object, EventType::Warning, "FailedDelete", message);
                Err(error)
            }
        }
    }

    fn tell(&self, object: &Object, event_type: EventType, reason: &str, message: String) {
        self.events.record(Occurrence {
            about: Reference::to(object),
            event_type,
            reason: reason.to_owned(),
            message,
            component: COMPONENT,
            host: String::new(),
        });
    }

    /// Counts the pods anew, after what this run did to them.
    async fn write_status(
        &self,
        context: &Context,
        object: &Object,
        managed: &Result<(), StatusError>,
    ) -> Result<Next, StatusError> {
        let set = object.typed::<ReplicaSet>()?;
        let pods = claim::owned(self.registry.cache(), object.uid(), kind::POD);
        let labelled: Vec<(PodFacts, &BTreeMap<String, String>)> = facts_of(&pods)?
            .into_iter()
            .zip(pods.iter().map(|pod| labels(pod)))
            .collect();
        let now = self.registry.clock().now();
        let counts = status::count(&set, &labelled, now);
        let write = |value: &mut Value| {
            if value["metadata"]["uid"] != object.uid() {
                return Err(StatusError::not_found(kind::REPLICA_SET, &object.key.name));
            }
            let error = managed.as_ref().err();
            value["status"] = status::render(&counts, &set, &value["status"], error, now);
            Ok(())
        };
        let part = Subresource::Status;
        let written = self
            .registry
            .modify(context, kind::REPLICA_SET, &object.key, part, write)
            .await;
        match written {
            Ok(_) => {}
            // It went while we counted.
            Err(error) if error.code == 404 => return Ok(Next::AwaitChange),
            Err(error) => return Err(error),
        }
        Ok(match counts.next_available {
            Some(wait) => Next::After(wait.max(Duration::from_millis(10))),
            None => Next::AwaitChange,
        })
    }
}

fn facts_of(pods: &[Arc<Object>]) -> Result<Vec<PodFacts>, StatusError> {
    pods.iter().map(|pod| PodFacts::of(pod)).collect()
}

/// The pod that the template describes, owned by the set.
fn pod_of(object: &Object) -> Value {
    let template = object.value()["spec"]["template"].take();
    let mut meta = json!({
        "generateName": format!("{}-", object.key.name),
        "ownerReferences": [controller_ref(object)],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if !template["metadata"][field].is_null() {
            meta[field] = template["metadata"][field].clone();
        }
    }
    json!({"metadata": meta, "spec": template["spec"]})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::pods::Phase;

    fn pod(name: &str) -> PodFacts {
        PodFacts {
            key: Key::new("n", name),
            uid: name.to_owned(),
            node: "node".to_owned(),
            phase: Phase::Running,
            is_deleting: false,
            is_ready: true,
            ready_since: None,
            created: None,
            restarts: 0,
            deletion_cost: 0,
        }
    }

    #[track_caller]
    fn check(desired: usize, there: usize, expected: &Action<'_>) {
        let pods: Vec<PodFacts> = (0..there).map(|n| pod(&n.to_string())).collect();
        let now = jiff::Timestamp::UNIX_EPOCH;
        let actual = plan(desired, &pods, &pods, now);
        match (&actual, expected) {
            (Action::Delete(some), Action::Delete(wanted)) if wanted.is_empty() => {
                assert_eq!(some.len(), (there - desired).min(BURST_MAX));
            }
            _ => assert_eq!(actual, *expected),
        }
    }

    #[test]
    fn the_number_of_pods_follows() {
        check(3, 3, &Action::Nothing);
        check(3, 1, &Action::Create(2));
        check(2000, 0, &Action::Create(BURST_MAX));
        check(1, 3, &Action::Delete(Vec::new()));
        check(0, 2000, &Action::Delete(Vec::new()));
    }

    #[test]
    fn a_pod_carries_the_templates_metadata_and_its_owner() {
        let value = json!({"metadata": {"name": "r", "namespace": "n", "uid": "u"}, "spec": {"template": {
            "metadata": {"labels": {"a": "b"}, "annotations": {"x": "y"}}, "spec": {"containers": []}}}});
        let set = Object::new(kind::REPLICA_SET, coracle_api::Revision(1), value).unwrap();
        let pod = pod_of(&set);
        assert_eq!(pod["metadata"]["generateName"], "r-");
        assert_eq!(pod["metadata"]["labels"]["a"], "b");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["controller"], true);
    }
}
