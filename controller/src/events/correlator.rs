//! Which occurrences become Events, and which only count.
//!
//! As client-go's `EventCorrelator`: an object gets a burst of events and then one every five
//! minutes; what is the same again is counted on the first one; more than ten that differ in their
//! message alone become one. Pure: the time comes in. Memory is bounded; the oldest is forgotten.

use super::Occurrence;
use coracle_api::Key;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// Objects and messages remembered, as upstream's `maxLruCacheEntries`.
const REMEMBERED_MAX: usize = 4096;
/// Events an object may have at once.
const BURST: f64 = 25.0;
/// Seconds until it may have one more.
const REFILL_SECS: f64 = 300.0;
/// Messages that may differ before they are one.
const SIMILAR_MAX: usize = 10;
/// For how long similar messages are counted together, seconds.
const SIMILAR_WINDOW_SECS: f64 = 600.0;

/// What becomes of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A new Event.
    New,
    /// A new Event that stands for others like it.
    Combined,
    /// It is the Event `key` once more.
    Again { key: Key, combined: bool },
    /// The object has had too many.
    Dropped,
}

/// What is the same but for its message.
type Similar = (String, String, &'static str, String);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

#[derive(Debug)]
struct Group {
    messages: Vec<String>,
    at: Timestamp,
}

/// What was seen lately.
#[derive(Debug, Default)]
pub(super) struct Correlator {
    buckets: Recent<String, Bucket>,
    groups: Recent<Similar, Group>,
    /// The Event that stands for a message, or for a combined group (no message).
    events: Recent<(Similar, Option<String>), Key>,
}

impl Correlator {
    /// Decides on one occurrence.
    pub(super) fn judge(&mut self, occurrence: &Occurrence, now: Timestamp) -> Verdict {
        if !self.has_token(&occurrence.about.uid, now) {
            return Verdict::Dropped;
        }
        let similar = similar_of(occurrence);
        let combined = self.is_combined(&similar, &occurrence.message, now);
        let message = (!combined).then(|| occurrence.message.clone());
        match self.events.get(&(similar, message)) {
            Some(key) => Verdict::Again {
                key: key.clone(),
                combined,
            },
            None if combined => Verdict::Combined,
            None => Verdict::New,
        }
    }

    /// The Event `key` was written for this occurrence.
    pub(super) fn wrote(&mut self, occurrence: &Occurrence, combined: bool, key: Key) {
        let message = (!combined).then(|| occurrence.message.clone());
        self.events.put((similar_of(occurrence), message), key);
    }

    /// The Event for this occurrence is gone: the next one is new.
    pub(super) fn lost(&mut self, occurrence: &Occurrence, combined: bool) {
        let message = (!combined).then(|| occurrence.message.clone());
        self.events.remove(&(similar_of(occurrence), message));
    }

    fn has_token(&mut self, uid: &str, now: Timestamp) -> bool {
        let full = || Bucket {
            tokens: BURST,
            at: now,
        };
        let bucket = self.buckets.get_or(uid.to_owned(), full);
        let passed = secs_between(bucket.at, now);
        bucket.tokens = (bucket.tokens + passed / REFILL_SECS).min(BURST);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    fn is_combined(&mut self, similar: &Similar, message: &str, now: Timestamp) -> bool {
        let fresh = || Group {
            messages: Vec::new(),
            at: now,
        };
        let group = self.groups.get_or(similar.clone(), fresh);
        if secs_between(group.at, now) > SIMILAR_WINDOW_SECS {
            group.messages.clear();
        }
        group.at = now;
        if !group.messages.iter().any(|known| known == message)
            && group.messages.len() < SIMILAR_MAX
        {
            group.messages.push(message.to_owned());
        }
        group.messages.len() >= SIMILAR_MAX
    }
}

fn similar_of(occurrence: &Occurrence) -> Similar {
    (
        occurrence.about.uid.clone(),
        occurrence.about.field_path.clone(),
        occurrence.event_type.as_str(),
        format!("{}/{}", occurrence.component, occurrence.reason),
    )
}

fn secs_between(earlier: Timestamp, later: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs_f64().max(0.0)
}

/// A map that forgets what was used longest ago.
#[derive(Debug)]
struct Recent<K, V> {
    entries: HashMap<K, (u64, V)>,
    by_use: BTreeMap<u64, K>,
    uses: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
        }
    }
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    fn get_or(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.uses += 1;
        let entry = self
            .entries
            .entry(key.clone())
            .or_insert_with(|| (0, make()));
        self.by_use.remove(&entry.0);
        entry.0 = self.uses;
        self.by_use.insert(self.uses, key.clone());
        if self.by_use.len() > REMEMBERED_MAX
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.entries.remove(&oldest);
        }
        &mut self
            .entries
            .get_mut(&key)
            .expect("just used, so never the oldest")
            .1
    }

    fn put(&mut self, key: K, value: V) {
        let mut value = Some(value);
        let place = self.get_or(key, || value.take().expect("taken once"));
        if let Some(value) = value {
            *place = value;
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some((used, _)) = self.entries.remove(key) {
            self.by_use.remove(&used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{EventType, Reference},
        *,
    };
    use jiff::SignedDuration;

    fn occurrence(uid: &str, message: &str) -> Occurrence {
        Occurrence {
            about: Reference {
                uid: uid.to_owned(),
                ..Reference::default()
            },
            event_type: EventType::Normal,
            reason: "R".to_owned(),
            message: message.to_owned(),
            component: "c",
            host: String::new(),
        }
    }

    #[test]
    fn the_same_again_counts_on_the_first() {
        let mut correlator = Correlator::default();
        let one = occurrence("u", "m");
        assert_eq!(correlator.judge(&one, Timestamp::UNIX_EPOCH), Verdict::New);
        let key = Key::new("n", "e");
        correlator.wrote(&one, false, key.clone());
        let again = Verdict::Again {
            key,
            combined: false,
        };
        assert_eq!(correlator.judge(&one, Timestamp::UNIX_EPOCH), again);
        correlator.lost(&one, false);
        assert_eq!(correlator.judge(&one, Timestamp::UNIX_EPOCH), Verdict::New);
    }

    #[test]
    fn many_messages_become_one_and_a_flood_is_dropped() {
        let mut correlator = Correlator::default();
        let mut verdicts = Vec::new();
        for n in 0..30 {
            let one = occurrence("u", &n.to_string());
            let verdict = correlator.judge(&one, Timestamp::UNIX_EPOCH);
            match verdict {
                Verdict::New => correlator.wrote(&one, false, Key::new("n", n.to_string())),
                Verdict::Combined => correlator.wrote(&one, true, Key::new("n", "all")),
                Verdict::Again { .. } | Verdict::Dropped => {}
            }
            verdicts.push(verdict);
        }
        let count = |wanted: &Verdict| verdicts.iter().filter(|one| *one == wanted).count();
        assert_eq!((count(&Verdict::New), count(&Verdict::Combined)), (9, 1));
        assert_eq!(count(&Verdict::Dropped), 5);
        let later = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(300);
        assert!(correlator.judge(&occurrence("u", "x"), later) != Verdict::Dropped);
        assert_eq!(
            correlator.judge(&occurrence("v", "x"), later),
            Verdict::New,
            "each object has its own"
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut correlator = Correlator::default();
        for n in 0..2 * REMEMBERED_MAX {
            correlator.judge(&occurrence(&n.to_string(), "m"), Timestamp::UNIX_EPOCH);
        }
        assert_eq!(correlator.buckets.entries.len(), REMEMBERED_MAX);
        assert_eq!(correlator.groups.by_use.len(), REMEMBERED_MAX);
    }
}
