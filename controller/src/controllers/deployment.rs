//! Deployments: a ReplicaSet for each template, and the way from one to the next.
//!
//! A run reads the Deployment and its ReplicaSets, decides (`rollout`), acts, reads again and writes
//! one status (`status`). A rollback is a template that comes back: its ReplicaSet is found again.
//!
//! Source: k8s.io/kubernetes `pkg/controller/deployment`.

mod facts;
mod rollout;
mod status;
mod template;

use super::claim;
use crate::{
    cache::{Change, ChangeKind},
    events::{EventType, Occurrence, Recorder, Reference},
    object::Object,
    reconcile::{Next, Reconciler},
    registry::{Context, DeleteOptions, Registry, Subresource},
};
use coracle_api::{
    Key, KindRef, StatusError, k8s_openapi::api::apps::v1::Deployment, kind,
    selector::LabelSelector,
};
use facts::{is_current, sets_of};
use rollout::{Action, SetFacts, Strategy, Wanted};
use serde_json::{Value, json};
use status::News;
use std::{collections::BTreeMap, sync::Arc};

/// Who the events are from.
const COMPONENT: &str = "deployment-controller";

/// The reconciler.
#[derive(Debug)]
pub(super) struct Deployments {
    pub(super) registry: Registry,
    pub(super) events: Recorder,
}

/// A Deployment in one run.
struct Subject {
    object: Arc<Object>,
    value: Value,
    wanted: Wanted,
    /// Its template in the form in which templates are compared.
    canonical: String,
}

impl Reconciler for Deployments {
    const NAME: &'static str = "deployment";
    type Key = Key;

    fn watches(&self) -> Vec<KindRef> {
        vec![kind::DEPLOYMENT, kind::REPLICA_SET, kind::POD]
    }

    fn keys(&self, change: &Change) -> Vec<Key> {
        let cache = self.registry.cache();
        if change.object.kind == kind::DEPLOYMENT {
            return vec![change.object.key.clone()];
        }
        if change.object.kind == kind::REPLICA_SET {
            return claim::owners_of_change(cache, change, kind::DEPLOYMENT, selects);
        }
        // Recreate waits for the last pod to be gone; ReplicaSets do not count pods that end.
        if change.kind_of != ChangeKind::Deleted {
            return Vec::new();
        }
        let set = claim::controller_key(&change.object, kind::REPLICA_SET)
            .and_then(|key| cache.get(kind::REPLICA_SET, &key));
        set.and_then(|set| claim::controller_key(&set, kind::DEPLOYMENT))
            .into_iter()
            .collect()
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let Some(object) = self.registry.cache().get(kind::DEPLOYMENT, key) else {
            return Ok(Next::AwaitChange);
        };
        self.sync(object).await
    }
}

/// A Deployment selects these labels; an empty selector selects nothing.
fn selects(object: &Object, labels: &BTreeMap<String, String>) -> bool {
    let Ok(deployment) = object.typed::<Deployment>() else {
        return false;
    };
    let selector = deployment.spec.as_ref().map(|spec| &spec.selector);
    let selector = selector.and_then(|spec| LabelSelector::from_spec(spec).ok());
    selector.is_some_and(|selector| !selector.is_empty() && selector.matches(labels))
}

impl Deployments {
    async fn sync(&self, object: Arc<Object>) -> Result<Next, StatusError> {
        let deployment = object.typed::<Deployment>()?;
        let Some(spec) = deployment.spec.as_ref() else {
            return Ok(Next::AwaitChange);
        };
        let selector = LabelSelector::from_spec(&spec.selector)
            .map_err(|error| StatusError::bad_request(error.to_string()))?;
        if selector.is_empty() {
            let message =
                "This deployment is selecting all pods. A non-empty selector is required.";
            self.tell(&object, EventType::Warning, "SelectingAll", message.into());
            return Ok(Next::AwaitChange);
        }
        let value = object.value();
        let actual = deployment
            .status
            .as_ref()
            .and_then(|status| status.replicas);
        let subject = Subject {
            wanted: Wanted::of(spec, object.is_deleting(), actual.unwrap_or(0)),
            canonical: template::canonical_of(&value),
            object,
            value,
        };
        let context = Context::system(COMPONENT);
        let claimed = claim::claim(
            &self.registry,
            &context,
            &subject.object,
            kind::REPLICA_SET,
            &selector,
        )
        .await?;
        let sets = sets_of(&claimed, &subject.canonical)?;
        let revision = next_revision(&sets);
        self.keep_annotations(&subject, &sets, revision).await?;
        let is_complete = status::is_complete(
            &subject.value["status"],
            subject.object.meta.generation.unwrap_or(0),
            subject.wanted.replicas,
        );
        let old_pods_run = self.old_pods_run(&subject, &claimed)?;
        let actions = rollout::plan(&subject.wanted, &sets, old_pods_run, is_complete);
        let mut news = News::Nothing;
        for action in actions {
            if let Some(told) = self.apply(&subject, action, revision).await? {
                news = told;
            }
        }
        let is_rollout = !subject.wanted.is_deleting
            && !subject.wanted.is_paused
            && !rollout::is_scaling(&subject.wanted, &sets.iter().collect::<Vec<_>>());
        let next = self.write_status(&subject, &news, is_rollout).await?;
        match news {
            News::NotCreated { name, why } => {
                let why = format!("cannot create replica set {name:?}: {why}");
                Err(StatusError::internal(why))
            }
            News::Nothing | News::Created { .. } => Ok(next),
        }
    }

    /// Pods of earlier templates that have not ended; asked for by Recreate alone.
    fn old_pods_run(&self, subject: &Subject, sets: &[Arc<Object>]) -> Result<bool, StatusError> {
        if subject.wanted.strategy != Strategy::Recreate {
            return Ok(false);
        }
        let cache = self.registry.cache();
        for set in sets {
            if is_current(set, sets, &subject.canonical) {
                continue;
            }
            for pod in claim::owned(cache, set.uid(), kind::POD) {
                let pod = super::pods::PodFacts::of(&pod)?;
                if pod.is_active() || pod.is_terminating() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The current template's ReplicaSet carries the Deployment's annotations and its revision.
    async fn keep_annotations(
        &self,
        subject: &Subject,
        sets: &[SetFacts],
        revision: i64,
    ) -> Result<(), StatusError> {
        let Some(new) = sets.iter().find(|set| set.is_new) else {
            return Ok(());
        };
        if subject.wanted.is_deleting {
            return Ok(());
        }
        let min_ready = subject.value["spec"]["minReadySeconds"]
            .as_i64()
            .unwrap_or(0);
        let change = |set: &mut Value| {
            template::annotate(set, &subject.value, revision);
            if set["spec"]["minReadySeconds"].as_i64().unwrap_or(0) != min_ready {
                set["spec"]["minReadySeconds"] = json!(min_ready);
            }
            Ok(())
        };
        let key = Key::new(subject.object.key.namespace.clone(), new.name.clone());
        let context = Context::system(COMPONENT);
        self.registry
            .modify(&context, kind::REPLICA_SET, &key, Subresource::None, change)
            .await
            .map(|_set| ())
    }

    async fn apply(
        &self,
        subject: &Subject,
        action: Action,
        revision: i64,
    ) -> Result<Option<News>, StatusError> {
        let namespace = &subject.object.key.namespace;
        match action {
            Action::CreateNew { replicas } => {
                self.create_set(subject, replicas, revision).await.map(Some)
            }
            Action::Scale { name, to } => {
                let key = Key::new(namespace.clone(), name);
                self.scale_set(subject, &key, to).await?;
                Ok(None)
            }
            Action::Delete { name } => {
                let key = Key::new(namespace.clone(), name);
                let context = Context::system(COMPONENT);
                let options = DeleteOptions::default();
                let deleted = self
                    .registry
                    .delete(&context, kind::REPLICA_SET, &key, options)
                    .await;
                match deleted {
                    Err(error) if error.code != 404 => Err(error),
                    Ok(_) | Err(_) => Ok(None),
                }
            }
        }
    }

    async fn scale_set(&self, subject: &Subject, key: &Key, to: i32) -> Result<(), StatusError> {
        let context = Context::system(COMPONENT);
        let mut from = to;
        let change = |set: &mut Value| {
            let size = set["spec"]["replicas"].as_i64().unwrap_or(0);
            from = i32::try_from(size).unwrap_or(0);
            set["spec"]["replicas"] = json!(to);
            let (desired, max) = (subject.wanted.replicas, subject.wanted.replicas_max());
            template::annotate_size(set, desired, max);
            Ok(())
        };
        self.registry
            .modify(&context, kind::REPLICA_SET, key, Subresource::None, change)
            .await?;
        if from != to {
            let way = if from < to { "up" } else { "down" };
            let message = format!("Scaled {way} replica set {} from {from} to {to}", key.name);
            self.tell(
                &subject.object,
                EventType::Normal,
                "ScalingReplicaSet",
                message,
            );
        }
        Ok(())
    }

    async fn create_set(
        &self,
        subject: &Subject,
        replicas: i32,
        revision: i64,
    ) -> Result<News, StatusError> {
        let collisions = subject.value["status"]["collisionCount"]
            .as_i64()
            .unwrap_or(0);
        let collisions = i32::try_from(collisions).unwrap_or(0);
        let hash = template::hash(&subject.canonical, collisions);
        let mut set = template::new_set(&subject.object, &subject.value, &hash);
        set["spec"]["replicas"] = json!(replicas);
        template::annotate(&mut set, &subject.value, revision);
        let (desired, max) = (subject.wanted.replicas, subject.wanted.replicas_max());
        template::annotate_size(&mut set, desired, max);
        let name = template::set_name(&subject.object.key.name, &hash);
        let context = Context::system(COMPONENT);
        let namespace = &subject.object.key.namespace;
        let created = self
            .registry
            .create(&context, kind::REPLICA_SET, namespace, set)
            .await;
        match created {
            Ok(_) => {
                if replicas > 0 {
                    let message = format!("Scaled up replica set {name} from 0 to {replicas}");
                    self.tell(
                        &subject.object,
                        EventType::Normal,
                        "ScalingReplicaSet",
                        message,
                    );
                }
                Ok(News::Created { name })
            }
            Err(error) if error.reason == "AlreadyExists" => {
                self.count_collision(subject, collisions).await?;
                Err(error)
            }
            Err(error) if error.code == 403 || error.code == 404 => Err(error),
            Err(error) => {
                let why = error.to_string();
                let message = format!("Failed to create new replica set {name:?}: {why}");
                self.tell(
                    &subject.object,
                    EventType::Warning,
                    "ReplicaSetCreateError",
                    message,
                );
                Ok(News::NotCreated { name, why })
            }
        }
    }

    /// The name belongs to a set of another template or owner: the next run's hash is another.
    async fn count_collision(&self, subject: &Subject, collisions: i32) -> Result<(), StatusError> {
        let context = Context::system(COMPONENT);
        let count = |value: &mut Value| {
            value["status"]["collisionCount"] = json!(collisions + 1);
            Ok(())
        };
        let (key, part) = (&subject.object.key, Subresource::Status);
        self.registry
            .modify(&context, kind::DEPLOYMENT, key, part, count)
            .await
            .map(|_deployment| ())
    }

    /// Counts anew what this run made of the ReplicaSets.
    async fn write_status(
        &self,
        subject: &Subject,
        news: &News,
        is_rollout: bool,
    ) -> Result<Next, StatusError> {
        let object = &subject.object;
        let owned = claim::owned(self.registry.cache(), object.uid(), kind::REPLICA_SET);
        let sets = sets_of(&owned, &subject.canonical)?;
        let spec = object.typed::<Deployment>()?;
        let mut again = None;
        let write = |value: &mut Value| {
            if value["metadata"]["uid"] != object.uid() {
                return Err(StatusError::not_found(kind::DEPLOYMENT, &object.key.name));
            }
            let facts = status::Facts {
                name: &object.key.name,
                // What was acted on, even if the spec has changed meanwhile.
                generation: object.meta.generation.unwrap_or(0),
                old: &value["status"],
                wanted: &subject.wanted,
                sets: &sets,
                news,
                deadline_secs: spec.spec.as_ref().and_then(status::deadline_secs),
                is_rollout,
                now: self.registry.clock().now(),
            };
            let (status, look_again) = status::render(&facts);
            again = look_again;
            value["status"] = status;
            let new = sets.iter().find(|set| set.is_new);
            if let Some(new) = new.filter(|set| set.revision > 0) {
                annotate_revision(value, new.revision);
            }
            Ok(())
        };
        let context = Context::system(COMPONENT);
        let part = Subresource::Status;
        let written = self
            .registry
            .modify(&context, kind::DEPLOYMENT, &object.key, part, write)
            .await;
        match written {
            Err(error) if error.code == 404 => Ok(Next::AwaitChange),
            Err(error) => Err(error),
            Ok(_) => Ok(again.map_or(Next::AwaitChange, Next::After)),
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
}

/// One more than the newest of the earlier templates.
fn next_revision(sets: &[SetFacts]) -> i64 {
    let old = sets.iter().filter(|set| !set.is_new);
    old.map(|set| set.revision).max().unwrap_or(0) + 1
}

fn annotate_revision(deployment: &mut Value, revision: i64) {
    if !deployment["metadata"]["annotations"].is_object() {
        deployment["metadata"]["annotations"] = json!({});
    }
    deployment["metadata"]["annotations"][template::REVISION] = json!(revision.to_string());
}
