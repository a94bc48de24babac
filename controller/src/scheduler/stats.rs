//! What the scheduler counts, for metrics.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// The counters. A clone reads the same ones.
#[derive(Debug, Clone, Default)]
pub struct Stats(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    pending: [AtomicUsize; 3],
    attempts: [AtomicU64; 3],
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attempt {
    Scheduled,
    Unschedulable,
    Error,
}

impl Stats {
    pub(super) fn count(&self, attempt: Attempt) {
        let counter = match attempt {
            Attempt::Scheduled => &self.0.attempts[0],
            Attempt::Unschedulable => &self.0.attempts[1],
            Attempt::Error => &self.0.attempts[2],
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn pending(&self, depths: [usize; 3]) {
        for (gauge, depth) in self.0.pending.iter().zip(depths) {
            gauge.store(depth, Ordering::Relaxed);
        }
    }

    /// Pods that wait, by the name of their queue.
    #[must_use]
    pub fn pending_pods(&self) -> [(&'static str, usize); 3] {
        let get = |at: usize| self.0.pending[at].load(Ordering::Relaxed);
        [
            ("active", get(0)),
            ("backoff", get(1)),
            ("unschedulable", get(2)),
        ]
    }

    /// Attempts since the start, by their result.
    #[must_use]
    pub fn attempts(&self) -> [(&'static str, u64); 3] {
        let get = |at: usize| self.0.attempts[at].load(Ordering::Relaxed);
        [
            ("scheduled", get(0)),
            ("unschedulable", get(1)),
            ("error", get(2)),
        ]
    }
}
