//! The work queue: deduplicated keys, each with the time it is due.
//!
//! Pure: the time and the generator of chance come in. Always holds a key at most once, so its size is
//! bounded by the objects of the cluster; never hands out a key whose run has not ended.

use coracle_daemon::Backoff;
use rand::Rng;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::Hash,
    time::Duration,
};
use tokio::time::Instant;

/// Wait after the first failure of a key.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// Longest wait: a key that fails for a reason nobody fixes costs two runs a minute.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// What a queue can hold.
pub trait WorkKey: Clone + Eq + Hash + fmt::Display + fmt::Debug + Send + Sync + 'static {}
impl<K: Clone + Eq + Hash + fmt::Display + fmt::Debug + Send + Sync + 'static> WorkKey for K {}

/// How a run ended, as far as the queue cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Well; run again when something changes.
    Well,
    /// Well; run again after this long.
    Again(Duration),
    /// Not well; run again after the key's backoff.
    Failed,
}

#[derive(Debug)]
enum Place {
    /// Stands in `due` under this slot.
    Waiting(Slot),
    /// Being run; due again at once when it ends, if something changed since.
    Running { changed: bool },
}

/// Due time, then order of arrival.
type Slot = (Instant, u64);

/// The queue of one controller.
#[derive(Debug)]
pub(super) struct WorkQueue<K> {
    places: HashMap<K, Place>,
    due: BTreeMap<Slot, K>,
    backoffs: HashMap<K, Backoff>,
    arrivals: u64,
}

impl<K: WorkKey> WorkQueue<K> {
    pub(super) fn new() -> Self {
        Self {
            places: HashMap::new(),
            due: BTreeMap::new(),
            backoffs: HashMap::new(),
            arrivals: 0,
        }
    }

    /// Something about `key` changed: it is due now, or right after the run that is under way.
    pub(super) fn add(&mut self, key: K, now: Instant) {
        match self.places.get_mut(&key) {
            Some(Place::Running { changed }) => *changed = true,
            Some(Place::Waiting(slot)) if slot.0 <= now => {}
            Some(Place::Waiting(slot)) => {
                let slot = *slot;
                self.due.remove(&slot);
                self.wait(key, now);
            }
            None => self.wait(key, now),
        }
    }

    /// The next key that is due; its run begins.
    pub(super) fn begin(&mut self, now: Instant) -> Option<K> {
        let (slot, _) = self.due.first_key_value()?;
        if slot.0 > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.places
            .insert(key.clone(), Place::Running { changed: false });
        Some(key)
    }

    /// The run of `key` has ended.
    pub(super) fn end(&mut self, key: K, how: Ended, now: Instant, rng: &mut impl Rng) {
        let changed = matches!(
            self.places.remove(&key),
            Some(Place::Running { changed: true })
        );
        let wait = match how {
            Ended::Failed => {
                let backoff = self
                    .backoffs
                    .entry(key.clone())
                    .or_insert_with(|| Backoff::new(BACKOFF_MIN, BACKOFF_MAX));
                Some(backoff.next(rng))
            }
            Ended::Well | Ended::Again(_) => {
                self.backoffs.remove(&key);
                match how {
                    Ended::Again(wait) => Some(wait),
                    Ended::Well | Ended::Failed => None,
                }
            }
        };
        if changed {
            self.wait(key, now);
        } else if let Some(wait) = wait {
            self.wait(key, now + wait);
        }
    }

    /// When the first waiting key is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|(slot, _)| slot.0)
    }

    /// Keys that wait for their time.
    pub(super) fn waiting(&self) -> usize {
        self.due.len()
    }

    fn wait(&mut self, key: K, due: Instant) {
        self.arrivals += 1;
        let slot = (due, self.arrivals);
        self.places.insert(key.clone(), Place::Waiting(slot));
        self.due.insert(slot, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    fn queue() -> (WorkQueue<&'static str>, StdRng, Instant) {
        (
            WorkQueue::new(),
            StdRng::seed_from_u64(1),
            Instant::now() + Duration::from_secs(100),
        )
    }

    #[test]
    fn a_key_is_there_once_and_in_order_of_arrival() {
        let (mut queue, _, now) = queue();
        for key in ["a", "b", "a"] {
            queue.add(key, now);
        }
        assert_eq!(queue.waiting(), 2);
        assert_eq!(queue.begin(now), Some("a"));
        assert_eq!(queue.begin(now), Some("b"));
        assert_eq!(queue.begin(now), None);
    }

    #[test]
    fn a_running_key_is_not_handed_out_again_but_runs_once_more() {
        let (mut queue, mut rng, now) = queue();
        queue.add("a", now);
        assert_eq!(queue.begin(now), Some("a"));
        queue.add("a", now);
        queue.add("a", now);
        assert_eq!(queue.begin(now), None);
        queue.end("a", Ended::Well, now, &mut rng);
        assert_eq!(queue.begin(now), Some("a"));
        queue.end("a", Ended::Well, now, &mut rng);
        assert_eq!((queue.begin(now), queue.next_due()), (None, None));
    }

    #[test]
    fn a_failing_key_waits_longer_each_time_until_it_succeeds_or_something_changes() {
        let (mut queue, mut rng, mut now) = queue();
        queue.add("a", now);
        let mut waits = Vec::new();
        for _ in 0..16 {
            assert_eq!(queue.begin(now), Some("a"));
            queue.end("a", Ended::Failed, now, &mut rng);
            let due = queue.next_due().unwrap();
            waits.push(due - now);
            now = due;
        }
        assert!(waits[0] <= BACKOFF_MIN && waits[3] > waits[0], "{waits:?}");
        assert!(waits[15] >= BACKOFF_MAX / 2 && waits.iter().all(|wait| *wait <= BACKOFF_MAX));
        assert_eq!(queue.begin(now), Some("a"));
        queue.end("a", Ended::Failed, now, &mut rng);
        queue.add("a", now);
        assert_eq!(queue.begin(now), Some("a"), "a change does not wait");
        queue.end("a", Ended::Well, now, &mut rng);
        assert!(queue.backoffs.is_empty());
    }

    #[test]
    fn a_period_is_kept_and_a_change_comes_before_it() {
        let (mut queue, mut rng, now) = queue();
        let period = Duration::from_secs(5);
        queue.add("a", now);
        assert_eq!(queue.begin(now), Some("a"));
        queue.end("a", Ended::Again(period), now, &mut rng);
        assert_eq!(queue.next_due(), Some(now + period));
        queue.add("a", now + Duration::from_secs(1));
        assert_eq!(queue.next_due(), Some(now + Duration::from_secs(1)));
        assert_eq!(queue.waiting(), 1);
    }
}
