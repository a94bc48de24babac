//! What the workload controllers want to know of a pod, and which pod goes first. Pure.
//!
//! Source: k8s.io/kubernetes `pkg/controller/controller_utils.go`, `pkg/api/v1/pod/util.go`.

use crate::object::Object;
use coracle_api::{
    Key, StatusError,
    k8s_openapi::api::core::v1::{Pod, PodCondition},
};
use jiff::Timestamp;
use std::{cmp::Ordering, collections::HashMap, time::Duration};

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// A pod, as far as its controller cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodFacts {
    pub(super) key: Key,
    pub(super) uid: String,
    /// Empty while it is not assigned.
    pub(super) node: String,
    pub(super) phase: Phase,
    pub(super) is_deleting: bool,
    pub(super) is_ready: bool,
    /// When it became ready, if it is.
    pub(super) ready_since: Option<Timestamp>,
    pub(super) created: Option<Timestamp>,
    pub(super) restarts: i32,
    pub(super) deletion_cost: i32,
}

/// `status.phase`, in the order in which pods are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Pending,
    Unknown,
    Running,
    Ended,
}

impl PodFacts {
    /// A controller looks at all of its pods whenever one changes.
    pub(super) fn of(object: &Object) -> Result<Self, StatusError> {
        let facts = object.brief(|| Self::read(object))?;
        Ok(Self::clone(&facts))
    }

    fn read(object: &Object) -> Result<Self, StatusError> {
        let pod = object.typed::<Pod>()?;
        let status = pod.status.as_ref();
        let ready = status
            .and_then(|status| status.conditions.as_ref())
            .and_then(|all| all.iter().find(|condition| condition.type_ == "Ready"))
            .filter(|condition| condition.status == "True");
        let containers = status.and_then(|status| status.container_statuses.as_ref());
        let cost = object.meta.annotations.as_ref();
        Ok(Self {
            key: object.key.clone(),
            uid: object.uid().to_owned(),
            node: pod
                .spec
                .as_ref()
                .and_then(|spec| spec.node_name.clone())
                .unwrap_or_default(),
            phase: phase_of(status.and_then(|status| status.phase.as_deref())),
            is_deleting: object.is_deleting(),
            is_ready: ready.is_some(),
            ready_since: ready.and_then(since),
            created: object.meta.creation_timestamp.as_ref().map(|time| time.0),
            restarts: containers
                .into_iter()
                .flatten()
                .map(|container| container.restart_count)
                .max()
                .unwrap_or(0),
            deletion_cost: cost
                .and_then(|all| all.get(DELETION_COST)?.parse().ok())
                .unwrap_or(0),
        })
    }

    /// Counts as a replica.
    pub(super) fn is_active(&self) -> bool {
        self.phase != Phase::Ended && !self.is_deleting
    }

    /// Is on its way out, and still holds what it has.
    pub(super) fn is_terminating(&self) -> bool {
        self.phase != Phase::Ended && self.is_deleting
    }

    /// Ready for at least `min_ready`.
    pub(super) fn is_available(&self, min_ready: Duration, now: Timestamp) -> bool {
        self.is_ready
            && (min_ready.is_zero() || self.available_in(min_ready, now) == Some(Duration::ZERO))
    }

    /// How long until a ready pod is available; none when it is not ready.
    pub(super) fn available_in(&self, min_ready: Duration, now: Timestamp) -> Option<Duration> {
        let since = self.ready_since.filter(|_| self.is_ready)?;
        let ready_for = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        Some(min_ready.saturating_sub(ready_for))
    }
}

fn since(condition: &PodCondition) -> Option<Timestamp> {
    condition.last_transition_time.as_ref().map(|time| time.0)
}

fn phase_of(phase: Option<&str>) -> Phase {
    match phase {
        Some("Running") => Phase::Running,
        Some("Succeeded" | "Failed") => Phase::Ended,
        Some("Unknown") => Phase::Unknown,
        _ => Phase::Pending,
    }
}

/// The `count` pods that go first. `related` are the active pods of the same application, these
/// included: where many of them share a node, one of those goes before one that is alone.
pub(super) fn first_to_go<'a>(
    pods: &'a [PodFacts],
    related: &[PodFacts],
    count: usize,
    now: Timestamp,
) -> Vec<&'a PodFacts> {
    let mut chosen: Vec<&PodFacts> = pods.iter().collect();
    if count < pods.len() {
        let mut on_node: HashMap<&str, usize> = HashMap::new();
        for pod in related.iter().filter(|pod| pod.is_active()) {
            *on_node.entry(&pod.node).or_default() += 1;
        }
        let rank = |pod: &PodFacts| on_node.get(pod.node.as_str()).copied().unwrap_or(0);
        chosen.sort_by(|a, b| order(a, rank(a), b, rank(b), now));
    }
    chosen.truncate(count);
    chosen
}

/// Upstream's `ActivePodsWithRanks`: less goes first.
fn order(a: &PodFacts, a_rank: usize, b: &PodFacts, b_rank: usize, now: Timestamp) -> Ordering {
    let assigned = |pod: &PodFacts| !pod.node.is_empty();
    let both_ready = a.is_ready && b.is_ready;
    assigned(a)
        .cmp(&assigned(b))
        .then(a.phase.cmp(&b.phase))
        .then(a.is_ready.cmp(&b.is_ready))
        .then(a.deletion_cost.cmp(&b.deletion_cost))
        .then(b_rank.cmp(&a_rank))
        .then_with(|| {
            if both_ready {
                younger_first(a, a.ready_since, b, b.ready_since, now)
            } else {
                Ordering::Equal
            }
        })
        .then(b.restarts.cmp(&a.restarts))
        .then_with(|| younger_first(a, a.created, b, b.created, now))
}

/// By powers of two of the age, so that it is chance which of two similar ages goes; the uid is it.
fn younger_first(
    a: &PodFacts,
    a_since: Option<Timestamp>,
    b: &PodFacts,
    b_since: Option<Timestamp>,
    now: Timestamp,
) -> Ordering {
    if a_since == b_since {
        return Ordering::Equal;
    }
    let magnitude = |since: Option<Timestamp>| {
        since.map(|since| {
            let nanos = now.duration_since(since).as_nanos();
            u128::try_from(nanos).ok().and_then(u128::checked_ilog2)
        })
    };
    magnitude(a_since)
        .cmp(&magnitude(b_since))
        .then_with(|| a.uid.cmp(&b.uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn ago(secs: i64) -> Option<Timestamp> {
        Some(now() - SignedDuration::from_secs(secs))
    }

    /// A running, ready pod of a hundred seconds, alone on a node of its own name.
    fn pod(name: &str) -> PodFacts {
        PodFacts {
            key: Key::new("n", name),
            uid: name.to_owned(),
            node: format!("node-{name}"),
            phase: Phase::Running,
            is_deleting: false,
            is_ready: true,
            ready_since: ago(100),
            created: ago(100),
            restarts: 0,
            deletion_cost: 0,
        }
    }

    #[track_caller]
    fn check(pods: &[PodFacts], expected: &[&str]) {
        let gone = first_to_go(pods, pods, pods.len() - 1, now());
        let names: Vec<&str> = gone.iter().map(|pod| pod.key.name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn the_least_useful_goes_first() {
        let unassigned = PodFacts {
            node: String::new(),
            phase: Phase::Pending,
            is_ready: false,
            ..pod("unassigned")
        };
        let pending = PodFacts {
            phase: Phase::Pending,
            is_ready: false,
            ..pod("pending")
        };
        let unready = PodFacts {
            is_ready: false,
            ..pod("unready")
        };
        let cheap = PodFacts {
            deletion_cost: -1,
            ..pod("cheap")
        };
        let kept = pod("kept");
        check(
            &[kept, cheap, unready, pending, unassigned],
            &["unassigned", "pending", "unready", "cheap"],
        );
    }

    #[test]
    fn doubled_up_then_lately_ready_then_restarting_then_young() {
        let here = |name: &str| PodFacts {
            node: "one".to_owned(),
            ..pod(name)
        };
        let late = PodFacts {
            ready_since: ago(3),
            ..pod("late")
        };
        let restarted = PodFacts {
            restarts: 3,
            ..pod("restarted")
        };
        let young = PodFacts {
            created: ago(110),
            ..pod("young")
        };
        let old = PodFacts {
            created: ago(100_000),
            ..pod("old")
        };
        check(
            &[old, young, restarted, late, here("a"), here("b")],
            &["a", "b", "late", "restarted", "young"],
        );
    }

    #[test]
    fn ages_of_one_magnitude_go_by_uid() {
        let a = PodFacts {
            ready_since: ago(101),
            ..pod("a")
        };
        check(&[pod("b"), a], &["a"]);
    }

    #[test]
    fn availability_takes_its_time() {
        let min_ready = Duration::from_secs(120);
        assert!(!pod("a").is_available(min_ready, now()));
        assert_eq!(
            pod("a").available_in(min_ready, now()),
            Some(Duration::from_secs(20))
        );
        assert!(pod("a").is_available(Duration::from_secs(100), now()));
    }
}
