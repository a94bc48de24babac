//! The pods that wait for a node.
//!
//! Pure: time comes in. A pod is always in exactly one place: ready, under way, resting until its
//! backoff is over, or parked until something changes that could help it. What parks is looked at again
//! after a while in any case. Bounded by the pods of the cluster.
//!
//! Source: k8s.io/kubernetes `pkg/scheduler/backend/queue`.

use super::pod::PodInfo;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    ops::BitOr,
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Wait after the first failed attempt.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest wait between attempts that something changed for.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// What parked this long is tried again whether something changed or not.
const PARKED_MAX: Duration = Duration::from_secs(300);

/// Kinds of change that can make a pod fit: a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wake(u8);

impl Wake {
    pub(super) const NOTHING: Self = Self(0);
    /// Labels of a node.
    pub(super) const LABELS: Self = Self(1);
    /// Taints of a node, or it was uncordoned.
    pub(super) const TAINTS: Self = Self(2);
    /// Resources or ports of a node became free.
    pub(super) const ROOM: Self = Self(4);
    /// A new node.
    pub(super) const NODE: Self = Self(8);
    /// All of these.
    pub(super) const ANYTHING: Self = Self(15);

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Wake {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Higher priority first, then the longer wait.
type Rank = (Reverse<i32>, u64);
/// When, and who came first.
type Due = (Instant, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Ready(Rank),
    UnderWay,
    Resting(Due),
    Parked(Due),
}

#[derive(Debug)]
struct Entry {
    pod: Arc<PodInfo>,
    place: Place,
    attempts: u32,
    /// When the last attempt ended.
    tried: Option<Instant>,
    /// What may help it.
    cured_by: Wake,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: HashMap<Arc<str>, Entry>,
    ready: BTreeMap<Rank, Arc<str>>,
    /// Resting and parked ones, by when they are looked at again.
    due: BTreeMap<Due, Arc<str>>,
    parked: HashSet<Arc<str>>,
    arrivals: u64,
}

impl Queue {
    /// A pod that waits, new or changed. A change of what it asks for lets it try at once.
    pub(super) fn put(&mut self, pod: Arc<PodInfo>) {
        let uid = Arc::clone(&pod.uid);
        match self.entries.get_mut(&uid) {
            None => {
                let entry = Entry {
                    pod,
                    place: Place::UnderWay,
                    attempts: 0,
                    tried: None,
                    cured_by: Wake::NOTHING,
                };
                self.entries.insert(Arc::clone(&uid), entry);
                self.make_ready(&uid);
            }
            Some(entry) => {
                let same = entry.pod.wishes == pod.wishes && entry.pod.footprint == pod.footprint;
                entry.pod = pod;
                if !same && entry.place != Place::UnderWay {
                    self.make_ready(&uid);
                }
            }
        }
    }

    /// A pod that waits no more.
    pub(super) fn remove(&mut self, uid: &str) {
        self.leave_place(uid);
        self.entries.remove(uid);
    }

    /// The next pod to find a node for; it is under way until [`Queue::remove`], [`Queue::rest`] or
    /// [`Queue::park`].
    pub(super) fn pop(&mut self) -> Option<Arc<PodInfo>> {
        let (_, uid) = self.ready.pop_first()?;
        let entry = self.entries.get_mut(&uid)?;
        entry.place = Place::UnderWay;
        entry.attempts = entry.attempts.saturating_add(1);
        Some(Arc::clone(&entry.pod))
    }

    /// An attempt failed for a reason that is not the nodes': try again after the backoff.
    pub(super) fn rest(&mut self, uid: &str, now: Instant) {
        let Some((uid, entry)) = self.tried(uid, now) else {
            return;
        };
        let due = now + backoff(entry.attempts);
        self.wait(&uid, due, false);
    }

    /// No node was good: try again when something of `cured_by` happens.
    pub(super) fn park(&mut self, uid: &str, cured_by: Wake, now: Instant) {
        let Some((uid, entry)) = self.tried(uid, now) else {
            return;
        };
        entry.cured_by = cured_by | Wake::NODE;
        self.wait(&uid, now + PARKED_MAX, true);
    }

    /// Something changed that may help parked pods; their backoff still holds.
    pub(super) fn wake(&mut self, what: Wake, now: Instant) {
        if what == Wake::NOTHING {
            return;
        }
        let helped: Vec<Arc<str>> = self
            .parked
            .iter()
            .filter(|uid| {
                let entry = self.entries.get(*uid);
                entry.is_some_and(|entry| entry.cured_by.meets(what))
            })
            .cloned()
            .collect();
        for uid in helped {
            let Some(entry) = self.entries.get(&uid) else {
                continue;
            };
            let rested = entry.tried.map_or(now, |at| at + backoff(entry.attempts));
            if rested <= now {
                self.make_ready(&uid);
            } else {
                self.wait(&uid, rested, false);
            }
        }
    }

    /// Makes ready whose time has come.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some((due, uid)) = self.due.first_key_value()
            && due.0 <= now
        {
            let uid = Arc::clone(uid);
            self.make_ready(&uid);
        }
    }

    /// When [`Queue::advance`] has something to do.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|(due, _)| due.0)
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// All pods that wait.
    pub(super) fn uids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.entries.keys()
    }

    /// Ready, resting, parked: for metrics.
    pub(super) fn depths(&self) -> [usize; 3] {
        let parked = self.parked.len();
        [self.ready.len(), self.due.len() - parked, parked]
    }

    fn tried(&mut self, uid: &str, now: Instant) -> Option<(Arc<str>, &mut Entry)> {
        let entry = self.entries.get_mut(uid)?;
        if entry.place != Place::UnderWay {
            return None;
        }
        entry.tried = Some(now);
        Some((Arc::clone(&entry.pod.uid), entry))
    }

    fn make_ready(&mut self, uid: &Arc<str>) {
        self.leave_place(uid);
        self.arrivals += 1;
        let Some(entry) = self.entries.get_mut(uid) else {
            return;
        };
        let rank = (Reverse(entry.pod.wishes.priority), self.arrivals);
        entry.place = Place::Ready(rank);
        self.ready.insert(rank, Arc::clone(uid));
    }

    fn wait(&mut self, uid: &Arc<str>, until: Instant, parked: bool) {
        self.leave_place(uid);
        self.arrivals += 1;
        let Some(entry) = self.entries.get_mut(uid) else {
            return;
        };
        let due = (until, self.arrivals);
        self.due.insert(due, Arc::clone(uid));
        entry.place = if parked {
            self.parked.insert(Arc::clone(uid));
            Place::Parked(due)
        } else {
            Place::Resting(due)
        };
    }

    fn leave_place(&mut self, uid: &str) {
        let Some(entry) = self.entries.get_mut(uid) else {
            return;
        };
        match std::mem::replace(&mut entry.place, Place::UnderWay) {
            Place::UnderWay => {}
            Place::Ready(rank) => drop(self.ready.remove(&rank)),
            Place::Resting(due) => drop(self.due.remove(&due)),
            Place::Parked(due) => {
                self.due.remove(&due);
                self.parked.remove(uid);
            }
        }
    }
}

/// Doubling with each attempt.
fn backoff(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::pod::{Footprint, Wishes};
    use coracle_api::Key;

    fn pod(name: &str, priority: i32) -> Arc<PodInfo> {
        Arc::new(PodInfo {
            uid: name.into(),
            key: Key::new("n", name),
            node: String::new(),
            ended: false,
            deleting: false,
            not_ours: false,
            said: None,
            footprint: Arc::new(Footprint::default()),
            wishes: Wishes {
                priority,
                ..Wishes::default()
            },
        })
    }

    #[track_caller]
    fn popped(queue: &mut Queue, expected: &[&str]) {
        let all: Vec<String> =
            std::iter::from_fn(|| queue.pop().map(|pod| pod.key.name.clone())).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn the_important_come_first_then_the_early() {
        let mut queue = Queue::default();
        for (name, priority) in [("a", 0), ("b", 5), ("c", 0), ("a", 0)] {
            queue.put(pod(name, priority));
        }
        popped(&mut queue, &["b", "a", "c"]);
        queue.remove("a");
        queue.put(pod("b", 5));
        popped(&mut queue, &[]);
    }

    #[test]
    fn a_failed_attempt_rests_longer_each_time() {
        let mut queue = Queue::default();
        let mut now = Instant::now();
        queue.put(pod("a", 0));
        for wait in [1, 2, 4, 8, 10, 10] {
            popped(&mut queue, &["a"]);
            queue.rest("a", now);
            assert_eq!(queue.next_due(), Some(now + Duration::from_secs(wait)));
            now += Duration::from_secs(wait);
            queue.advance(now);
        }
        popped(&mut queue, &["a"]);
    }

    #[test]
    fn what_parks_wakes_for_what_helps_it_alone() {
        let mut queue = Queue::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        queue.put(pod("a", 0));
        popped(&mut queue, &["a"]);
        queue.park("a", Wake::ROOM, now);
        assert_eq!(queue.depths(), [0, 0, 1]);
        queue.wake(Wake::LABELS | Wake::TAINTS, later);
        popped(&mut queue, &[]);
        queue.wake(Wake::ROOM, now);
        assert_eq!(queue.depths(), [0, 1, 0], "its backoff holds");
        queue.advance(now + BACKOFF_MIN);
        popped(&mut queue, &["a"]);
        queue.park("a", Wake::ROOM, now);
        queue.wake(Wake::NODE, later);
        popped(&mut queue, &["a"]);
        queue.park("a", Wake::NOTHING, now);
        queue.advance(now + PARKED_MAX);
        popped(&mut queue, &["a"]);
    }

    #[test]
    fn a_changed_pod_tries_at_once_and_a_removed_one_never() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.put(pod("a", 0));
        popped(&mut queue, &["a"]);
        queue.park("a", Wake::ROOM, now);
        queue.put(pod("a", 0));
        popped(&mut queue, &[]);
        queue.put(pod("a", 7));
        popped(&mut queue, &["a"]);
        queue.rest("a", now);
        queue.remove("a");
        assert_eq!((queue.next_due(), queue.depths()), (None, [0, 0, 0]));
        queue.rest("a", now);
        queue.park("a", Wake::ROOM, now);
        popped(&mut queue, &[]);
    }
}
