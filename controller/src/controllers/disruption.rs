//! Budgets: how many pods of each may be evicted now.
//!
//! Evictions take `disruptionsAllowed` down; only this controller counts it up again, from what is healthy.
//!
//! Source: k8s.io/kubernetes `pkg/controller/disruption`.

mod arithmetic;

use crate::{
    cache::Change,
    events::{EventType, Occurrence, Recorder, Reference},
    object::Object,
    reconcile::{Next, Reconciler},
    registry::{Context, Registry, Subresource, protects},
};
use arithmetic::{Budget, Facts, plan};
use coracle_api::{Key, KindRef, StatusError, kind, time};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const COMPONENT: &str = "controllermanager";
/// A pod whose eviction was granted is gone by then, or counts again.
const EVICTION_MAX: Duration = Duration::from_secs(120);
/// Steps from a pod to what says how many of it there shall be.
const OWNERS_MAX: usize = 4;

/// The reconciler; its keys are budgets.
#[derive(Debug)]
pub(super) struct Disruptions {
    pub(super) registry: Registry,
    pub(super) events: Recorder,
}

impl Reconciler for Disruptions {
    const NAME: &'static str = "disruption";
    type Key = Key;

    fn watches(&self) -> Vec<KindRef> {
        vec![
            kind::POD_DISRUPTION_BUDGET,
            kind::POD,
            kind::DEPLOYMENT,
            kind::REPLICA_SET,
            kind::STATEFUL_SET,
            kind::REPLICATION_CONTROLLER,
        ]
    }

    fn keys(&self, change: &Change) -> Vec<Key> {
        let object = &change.object;
        let of = kind::POD_DISRUPTION_BUDGET;
        if object.kind == of {
            return vec![object.key.clone()];
        }
        let budgets = self.registry.cache().list(of, Some(&object.key.namespace));
        let states = [Some(object), change.previous.as_ref()];
        let concerned = |budget: &&Arc<Object>| {
            object.kind != kind::POD || states.iter().flatten().any(|pod| protects(budget, pod))
        };
        let concerned = budgets.iter().filter(concerned);
        concerned.map(|budget| budget.key.clone()).collect()
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let cache = self.registry.cache();
        let Some(budget) = cache.get(kind::POD_DISRUPTION_BUDGET, key) else {
            return Ok(Next::AwaitChange);
        };
        let mut pods = cache.list(kind::POD, Some(&key.namespace));
        pods.retain(|pod| protects(&budget, pod));
        if pods.is_empty() {
            self.tell(&budget, "NoPods", "No matching pods found".to_owned());
        }
        let value = budget.value();
        let now = self.registry.clock().now();
        let pending = pending(&value["status"]["disruptedPods"], &pods, now);
        let waited = pending.values().copied();
        let waited = waited.min().map(|granted| {
            let since = Duration::try_from(now.duration_since(granted)).unwrap_or_default();
            EVICTION_MAX.saturating_sub(since) + Duration::from_secs(1)
        });
        let is_healthy = |pod: &&Arc<Object>| {
            !pending.contains_key(&pod.key.name) && !pod.is_deleting() && is_ready(&pod.value())
        };
        let facts = Facts {
            pods: number(pods.len()),
            healthy: number(pods.iter().filter(is_healthy).count()),
            scale: self.scale(&pods),
        };
        let counted = plan(&Budget::of(&value["spec"]), &facts);
        if let Err(why) = &counted {
            let message = format!("Failed to calculate the number of expected pods: {why}");
            self.tell(&budget, "CalculateExpectedPodCountFailed", message);
        }
        let disrupted: BTreeMap<String, String> = pending
            .into_iter()
            .map(|(pod, granted)| (pod, time(granted)))
            .collect();
        let generation = budget.meta.generation.unwrap_or(0);
        let write = |current: &mut Value| {
            // What was decided here is about this state; a newer one has a run of its own.
            if current["metadata"]["resourceVersion"] != value["metadata"]["resourceVersion"] {
                return Ok(());
            }
            let old = current["status"].take();
            current["status"] = status(&counted, &disrupted, (&old, generation), &time(now));
            Ok(())
        };
        let (of, part) = (kind::POD_DISRUPTION_BUDGET, Subresource::Status);
        let context = Context::system("disruption-controller");
        self.registry.modify(&context, of, key, part, write).await?;
        Ok(waited.map_or(Next::AwaitChange, Next::After))
    }
}

impl Disruptions {
    fn tell(&self, budget: &Arc<Object>, reason: &str, message: String) {
        self.events.record(Occurrence {
            about: Reference::to(budget),
            event_type: if reason == "NoPods" {
                EventType::Normal
            } else {
                EventType::Warning
            },
            reason: reason.to_owned(),
            message,
            component: COMPONENT,
            host: String::new(),
        });
    }

    /// How many there shall be of all that these pods are of. Pods of nobody do not count.
    fn scale(&self, pods: &[Arc<Object>]) -> Result<i64, String> {
        let mut by_owner = BTreeMap::new();
        for pod in pods {
            if pod.controller_uid().is_none() {
                continue;
            }
            let owner = self.top_owner(pod)?;
            let replicas = owner.value()["spec"]["replicas"].as_i64();
            by_owner.insert(owner.uid().to_owned(), replicas.unwrap_or(1));
        }
        Ok(by_owner.values().sum())
    }

    /// What says how many there shall be of a pod: its controller, or that one's.
    fn top_owner(&self, pod: &Arc<Object>) -> Result<Arc<Object>, String> {
        let mut object = Arc::clone(pod);
        for _ in 0..OWNERS_MAX {
            let mut owners = object.meta.owner_references.iter().flatten();
            let owner = owners.find(|owner| owner.controller == Some(true));
            let Some(owner) = owner else {
                return Ok(object);
            };
            let (group, version) = owner
                .api_version
                .split_once('/')
                .unwrap_or(("", &owner.api_version));
            let of = kind::by_kind(group, version, &owner.kind);
            let scalable = of.filter(|of| of.subresource("scale").is_some());
            let Some(of) = scalable else {
                let name = of.map_or_else(|| owner.kind.clone(), |of| of.group_resource());
                return Err(format!("{name} does not implement the scale subresource"));
            };
            let key = Key::new(object.key.namespace.clone(), owner.name.clone());
            let found = self.registry.cache().get(of, &key);
            match found.filter(|found| found.uid() == owner.uid) {
                Some(found) => object = found,
                None => {
                    return Err(format!("found no controllers for pod {:?}", pod.key.name));
                }
            }
        }
        Ok(object)
    }
}

/// Evictions that were granted and whose pods are still there, with the time.
fn pending(
    disrupted: &Value,
    pods: &[Arc<Object>],
    now: jiff::Timestamp,
) -> BTreeMap<String, jiff::Timestamp> {
    let entries = disrupted.as_object().into_iter().flatten();
    let entries = entries.filter_map(|(name, granted)| {
        let granted: jiff::Timestamp = granted.as_str()?.parse().ok()?;
        let pod = pods.iter().find(|pod| pod.key.name == *name)?;
        let since = Duration::try_from(now.duration_since(granted)).unwrap_or_default();
        (!pod.is_deleting() && since < EVICTION_MAX).then(|| (name.clone(), granted))
    });
    entries.collect()
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// The status to write. What could not be counted allows nothing.
fn status(
    counted: &Result<arithmetic::Counts, String>,
    disrupted: &BTreeMap<String, String>,
    (old, generation): (&Value, i64),
    time: &str,
) -> Value {
    let (mut new, reason, message) = match counted {
        Ok(counts) => {
            let reason = if counts.allowed > 0 {
                "SufficientPods"
            } else {
                "InsufficientPods"
            };
            let counts = json!({
                "observedGeneration": generation,
                "disruptionsAllowed": counts.allowed,
                "currentHealthy": counts.healthy,
                "desiredHealthy": counts.desired,
                "expectedPods": counts.expected,
            });
            (counts, reason, "")
        }
        Err(why) => {
            let mut kept = if old.is_object() {
                old.clone()
            } else {
                json!({})
            };
            kept["observedGeneration"] = json!(generation);
            for count in [
                "disruptionsAllowed",
                "currentHealthy",
                "desiredHealthy",
                "expectedPods",
            ] {
                if kept[count].is_null() || count == "disruptionsAllowed" {
                    kept[count] = json!(0);
                }
            }
            (kept, "SyncFailed", why.as_str())
        }
    };
    if disrupted.is_empty() {
        if let Some(map) = new.as_object_mut() {
            map.remove("disruptedPods");
        }
    } else {
        new["disruptedPods"] = json!(disrupted);
    }
    let state = if reason == "SufficientPods" {
        "True"
    } else {
        "False"
    };
    let before = old["conditions"].as_array().and_then(|list| {
        list.iter()
            .find(|condition| condition["type"] == "DisruptionAllowed")
    });
    let since = before
        .filter(|condition| condition["status"] == state)
        .and_then(|condition| condition["lastTransitionTime"].as_str())
        .unwrap_or(time);
    new["conditions"] = json!([{
        "type": "DisruptionAllowed", "status": state, "reason": reason, "message": message,
        "lastTransitionTime": since, "observedGeneration": generation,
    }]);
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use arithmetic::Counts;

    const TIME: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn a_condition_keeps_its_time_while_it_stays() {
        let counts = |allowed| {
            Ok(Counts {
                allowed,
                healthy: 3,
                desired: 2,
                expected: 3,
            })
        };
        let none = BTreeMap::new();
        let first = status(&counts(1), &none, (&Value::Null, 1), TIME);
        assert_eq!(first["disruptionsAllowed"], 1);
        assert_eq!(first["conditions"][0]["status"], "True");
        let later = "2026-01-01T00:01:00Z";
        let same = status(&counts(1), &none, (&first, 1), later);
        assert_eq!(same["conditions"][0]["lastTransitionTime"], TIME);
        let spent = status(&counts(0), &none, (&first, 1), later);
        assert_eq!(spent["conditions"][0]["lastTransitionTime"], later);
        assert_eq!(spent["conditions"][0]["reason"], "InsufficientPods");
    }

    #[test]
    fn what_cannot_be_counted_allows_nothing() {
        let old = json!({"disruptionsAllowed": 3, "currentHealthy": 4});
        let failed = status(&Err("m".to_owned()), &BTreeMap::new(), (&old, 2), TIME);
        assert_eq!(
            (&failed["disruptionsAllowed"], &failed["currentHealthy"]),
            (&json!(0), &json!(4))
        );
        assert_eq!(failed["conditions"][0]["message"], "m");
    }

    #[test]
    fn a_granted_eviction_counts_until_its_pod_is_gone_or_time_is_up() {
        let pod = |name: &str| {
            let value = json!({"metadata": {"name": name, "namespace": "n"}});
            Arc::new(Object::new(kind::POD, coracle_api::Revision(1), value).unwrap())
        };
        let disrupted = json!({"a": "2026-01-01T00:00:00Z", "gone": "2026-01-01T00:00:00Z", "b": "2025-12-31T23:00:00Z"});
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let pending = pending(&disrupted, &[pod("a"), pod("b")], now);
        assert_eq!(pending.keys().collect::<Vec<_>>(), ["a"]);
    }
}
