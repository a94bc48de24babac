//! What one node shall run, resolved and encoded, and what of it has to be looked at again.
//!
//! Level, not edge: a [`Dirty`] remembers names only, and whoever takes them reads the cache. It never
//! holds more names than there are pods and references.

use super::pod_set::{self, Dependency};
use crate::cache::Cache;
use coracle_api::{Key, k8s_openapi::api::core::v1::Pod as ApiPod, kind};
use coracle_link::{
    pod::Pod,
    session::{Outgoing, POD_BYTES_MAX},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use tokio::sync::Notify;

/// Changes that one node's session has not looked at.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    names: Mutex<Names>,
    changed: Notify,
}

/// The names of what changed.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) pods: BTreeSet<Key>,
    pub(crate) dependencies: BTreeSet<Dependency>,
    /// Some changes were missed: everything.
    pub(crate) all: bool,
}

impl Dirty {
    pub(crate) fn pod(&self, key: &Key) {
        self.names.lock().pods.insert(key.clone());
        self.changed.notify_one();
    }

    pub(crate) fn dependency(&self, dependency: &Dependency) {
        self.names.lock().dependencies.insert(dependency.clone());
        self.changed.notify_one();
    }

    pub(crate) fn all(&self) {
        self.names.lock().all = true;
        self.changed.notify_one();
    }

    /// Waits until there is something to take.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn take(&self) -> Names {
        std::mem::take(&mut *self.names.lock())
    }
}

#[derive(Debug)]
struct Entry {
    uid: String,
    /// The revision that was sent last, or 0: the agent had it already.
    revision: u64,
    generation: i64,
    dependencies: BTreeSet<Dependency>,
}

/// The pods of one node.
#[derive(Debug)]
pub(crate) struct Desired {
    node: String,
    pods: BTreeMap<String, Outgoing>,
    entries: HashMap<Key, Entry>,
}

impl Desired {
    pub(crate) fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            pods: BTreeMap::new(),
            entries: HashMap::new(),
        }
    }

    /// By uid, ready to be sent.
    pub(crate) fn pods(&self) -> &BTreeMap<String, Outgoing> {
        &self.pods
    }

    /// The generation that a status was computed from, if that is certain.
    pub(crate) fn generation(&self, key: &Key, observed_revision: u64) -> Option<i64> {
        let entry = self.entries.get(key)?;
        (observed_revision >= entry.revision).then_some(entry.generation)
    }

    /// Looks again at what is dirty. True when something may have to be sent.
    pub(crate) fn refresh(&mut self, cache: &Cache, names: Names) -> bool {
        let mut keys = names.pods;
        if names.all {
            let bound = cache.list(kind::POD, None);
            keys.extend(bound.iter().map(|pod| pod.key.clone()));
            keys.extend(self.entries.keys().cloned());
        } else if !names.dependencies.is_empty() {
            let touched = self.entries.iter().filter(|(_, entry)| {
                let mut dependencies = entry.dependencies.iter();
                dependencies.any(|dependency| names.dependencies.contains(dependency))
            });
            keys.extend(touched.map(|(key, _)| key.clone()));
        }
        let mut changed = false;
        for key in keys {
            changed |= self.look(cache, key);
        }
        changed
    }

    fn look(&mut self, cache: &Cache, key: Key) -> bool {
        let object = cache.get(kind::POD, &key);
        let here = object.filter(|object| {
            let pod: Option<Arc<ApiPod>> = object.typed().ok();
            let spec = pod.as_ref().and_then(|pod| pod.spec.as_ref());
            spec.and_then(|spec| spec.node_name.as_deref()) == Some(&self.node)
        });
        let resolved = here.and_then(|object| pod_set::resolve(&object, cache));
        let Some(resolved) = resolved else {
            let gone = self.entries.remove(&key);
            return gone.is_some_and(|entry| self.pods.remove(&entry.uid).is_some());
        };
        let uid = resolved.pod.uid.clone();
        let mut outgoing = Outgoing::new(&resolved.pod);
        if outgoing.bytes() > POD_BYTES_MAX {
            outgoing = Outgoing::new(&too_large(resolved.pod.clone(), outgoing.bytes()));
        }
        let before = self.entries.remove(&key);
        let same = self
            .pods
            .get(&uid)
            .is_some_and(|old| old.digest() == outgoing.digest());
        if let Some(before) = before.as_ref().filter(|before| before.uid != uid) {
            self.pods.remove(&before.uid);
        }
        let revision = match &before {
            Some(before) if same => before.revision,
            Some(_) => resolved.pod.revision,
            // The agent may have had it before this session; what it has is the same content.
            None => 0,
        };
        if !same {
            self.pods.insert(uid.clone(), outgoing);
        }
        let entry = Entry {
            uid,
            revision,
            generation: resolved.generation,
            dependencies: resolved.dependencies,
        };
        self.entries.insert(key, entry);
        !same
    }
}

/// In place of a pod that no frame holds: its containers say why they do not start.
fn too_large(mut pod: Pod, bytes: usize) -> Pod {
    let why = format!(
        "the pod with its ConfigMaps and Secrets takes {bytes} bytes; at most {POD_BYTES_MAX} can be sent to a node"
    );
    pod.volumes.clear();
    for container in pod.init_containers.iter_mut().chain(&mut pod.containers) {
        container.env.clear();
        container.mounts.clear();
        container.config_error = Some(why.clone());
    }
    pod
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;
    use coracle_api::{KindRef, Revision};
    use coracle_link::session::PodSetSender;
    use serde_json::{Value, json};

    fn object(kind: KindRef, revision: u64, value: Value) -> Object {
        Object::new(kind, Revision(revision), value).unwrap()
    }

    fn pod(revision: u64, uid: &str, node: &str) -> Object {
        let value = json!({
            "metadata": {"namespace": "n", "name": "p", "uid": uid, "generation": revision},
            "spec": {"nodeName": node, "enableServiceLinks": false, "containers": [{"name": "c",
                "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}]}]},
        });
        object(kind::POD, revision, value)
    }

    fn map(value: &str) -> Object {
        let value = json!({"metadata": {"namespace": "n", "name": "m"}, "data": {"k": value}});
        object(kind::CONFIG_MAP, 1, value)
    }

    fn cache(objects: Vec<Object>) -> Cache {
        Cache::new(objects, Revision(9))
    }

    fn one_pod() -> Names {
        Names {
            pods: BTreeSet::from([Key::new("n", "p")]),
            ..Names::default()
        }
    }

    #[test]
    fn only_what_an_agent_needs_is_a_change() {
        let mut desired = Desired::new("box");
        let names = Names {
            all: true,
            ..Names::default()
        };
        assert!(desired.refresh(&cache(vec![pod(1, "u", "box"), map("a")]), names));
        let key = Key::new("n", "p");
        assert_eq!(desired.generation(&key, 1), Some(1));
        // A new revision with the same content.
        assert!(!desired.refresh(&cache(vec![pod(2, "u", "box"), map("a")]), one_pod()));
        assert_eq!(desired.generation(&key, 1), Some(2));
        // What it refers to changed.
        let touched = Names {
            dependencies: BTreeSet::from([("configmaps", Key::new("n", "m"))]),
            ..Names::default()
        };
        assert!(desired.refresh(&cache(vec![pod(3, "u", "box"), map("b")]), touched));
        assert_eq!(
            desired.generation(&key, 2),
            None,
            "the agent has not seen it"
        );
        assert_eq!(desired.generation(&key, 3), Some(3));
        let other = Names {
            dependencies: BTreeSet::from([("secrets", Key::new("n", "m"))]),
            ..Names::default()
        };
        assert!(!desired.refresh(&cache(vec![pod(4, "u", "box"), map("c")]), other));
    }

    #[test]
    fn a_pod_that_is_gone_or_another_is_removed() {
        let mut desired = Desired::new("box");
        desired.refresh(&cache(vec![pod(1, "u", "box"), map("a")]), one_pod());
        assert!(desired.refresh(&cache(vec![pod(2, "v", "box"), map("a")]), one_pod()));
        assert_eq!(desired.pods().keys().collect::<Vec<_>>(), ["v"]);
        assert!(desired.refresh(&cache(vec![pod(3, "v", "other"), map("a")]), one_pod()));
        assert!(desired.pods().is_empty());
        assert!(!desired.refresh(&cache(Vec::new()), one_pod()));
    }

    #[test]
    fn a_pod_that_no_frame_holds_says_so() {
        // Sixteen ConfigMaps of nearly 1 MiB each, all in the environment.
        let maps = (0..16).map(|n| {
            let value = json!({"metadata": {"namespace": "n", "name": format!("m{n}")},
                               "data": {"k": "x".repeat(1_000_000)}});
            object(kind::CONFIG_MAP, 1, value)
        });
        let env: Vec<Value> = (0..16)
            .map(|n| json!({"name": format!("A{n}"), "valueFrom": {"configMapKeyRef": {"name": format!("m{n}"), "key": "k"}}}))
            .collect();
        let pod = json!({
            "metadata": {"namespace": "n", "name": "p", "uid": "u"},
            "spec": {"nodeName": "box", "enableServiceLinks": false,
                     "containers": [{"name": "c", "env": env}]},
        });
        let mut desired = Desired::new("box");
        let objects = maps.chain([object(kind::POD, 1, pod)]).collect();
        assert!(desired.refresh(&cache(objects), one_pod()));
        let sent = &desired.pods()["u"];
        assert!(sent.bytes() < 10_000, "{} bytes", sent.bytes());
        let set = PodSetSender::new(Vec::new()).next(desired.pods()).unwrap();
        let pod = Pod::try_from(set.changed[0].pod.clone().unwrap()).unwrap();
        let error = pod.containers[0].config_error.as_deref().unwrap();
        assert!(error.contains("ConfigMaps and Secrets takes 16"), "{error}");
    }

    #[tokio::test]
    async fn what_is_dirty_is_taken_once() {
        let dirty = Dirty::default();
        dirty.pod(&Key::new("n", "p"));
        dirty.pod(&Key::new("n", "p"));
        dirty.changed().await;
        assert_eq!(dirty.take().pods.len(), 1);
        assert!(dirty.take().pods.is_empty());
    }
}
