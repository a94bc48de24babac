//! Who may knock: handshakes in flight and attempts of one address are limited.
//!
//! Pure but for the lock. The table of addresses is bounded; what is forgotten starts afresh.

use parking_lot::Mutex;
use std::{collections::HashMap, net::IpAddr, time::Duration};
use tokio::time::Instant;

/// Addresses remembered.
const ADDRESSES_MAX: usize = 4096;

/// How often one address may do something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// At once.
    pub(crate) burst: f64,
    /// And then.
    pub(crate) per_second: f64,
}

/// Connections: a whole site behind one address may come home at once.
pub(crate) const CONNECTIONS: Rate = Rate {
    burst: 4096.0,
    per_second: 256.0,
};
/// Refused enrollments: a person who mistypes, not a program that guesses.
pub(crate) const REFUSALS: Rate = Rate {
    burst: 10.0,
    per_second: 0.2,
};

/// Counts what addresses do.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: Rate,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::default(),
        }
    }

    /// Whether the address has something left; takes nothing.
    pub(crate) fn may(&self, address: IpAddr, now: Instant) -> bool {
        let buckets = self.buckets.lock();
        buckets
            .get(&address)
            .is_none_or(|bucket| self.refilled(*bucket, now) >= 1.0)
    }

    /// Takes one; false when there was none.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock();
        let full = Bucket {
            left: self.rate.burst,
            at: now,
        };
        let left = self.refilled(buckets.get(&address).copied().unwrap_or(full), now);
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&address) {
            self.forget(&mut buckets, now);
        }
        let may = left >= 1.0;
        let left = if may { left - 1.0 } else { left };
        buckets.insert(address, Bucket { left, at: now });
        may
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> f64 {
        let passed: Duration = now.saturating_duration_since(bucket.at);
        (bucket.left + passed.as_secs_f64() * self.rate.per_second).min(self.rate.burst)
    }

    /// First the full ones; if that frees nothing, all: a flood of addresses is no reason to grow.
    fn forget(&self, buckets: &mut HashMap<IpAddr, Bucket>, now: Instant) {
        buckets.retain(|_, bucket| self.refilled(*bucket, now) < self.rate.burst);
        if buckets.len() >= ADDRESSES_MAX {
            buckets.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_empties_and_refills() {
        let limiter = Limiter::new(Rate {
            burst: 2.0,
            per_second: 1.0,
        });
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let now = Instant::now();
        assert!(limiter.take(a, now) && limiter.take(a, now));
        assert!(!limiter.take(a, now) && !limiter.may(a, now));
        assert!(limiter.take(b, now));
        assert!(limiter.take(a, now + Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded() {
        let limiter = Limiter::new(REFUSALS);
        for number in 0..3 * u32::try_from(ADDRESSES_MAX).unwrap() {
            limiter.take(Ipv4Addr::from(number).into(), Instant::now());
        }
        assert!(limiter.buckets.lock().len() <= ADDRESSES_MAX);
    }
}
