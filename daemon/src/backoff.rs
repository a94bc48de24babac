//! A wait that grows: doubling from `min` to `max`, with jitter from a generator that is passed in.

use rand::Rng;
use std::time::Duration;

/// The growing wait between attempts.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    /// Starts at `min` and never exceeds `max`.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            attempt: 0,
        }
    }

    /// The next wait: between half and all of the current ceiling, which then doubles.
    pub fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let ceiling = self
            .min
            .saturating_mul(1 << self.attempt.min(20))
            .min(self.max);
        self.attempt = self.attempt.saturating_add(1);
        ceiling.mul_f64(rng.random_range(0.5..=1.0))
    }

    /// Back to `min`.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn doubles_up_to_the_ceiling() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8));
        for ceiling in [1, 2, 4, 8, 8] {
            let wait = backoff.next(&mut rng);
            assert!(wait <= Duration::from_secs(ceiling), "{wait:?} > {ceiling}");
            assert!(wait >= Duration::from_millis(ceiling * 500), "{wait:?}");
        }
    }
}
