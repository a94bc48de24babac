//! Wall time as an argument: the system's clock at the edge, a manual one in tests.

use jiff::Timestamp;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

/// A source of wall time. A clone reads the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `now` until it is advanced.
    #[must_use]
    pub fn manual(now: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(now))))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Manual(now) => *now.lock(),
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn unix_millis(&self) -> i64 {
        self.now().as_millisecond()
    }

    /// Moves a manual clock forward; the system's clock does not listen.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.0 {
            let mut now = now.lock();
            let nanos = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
            *now = now
                .saturating_add(jiff::SignedDuration::from_nanos(nanos))
                .unwrap_or(*now);
        }
    }
}
