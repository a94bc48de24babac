//! CPU: what a container has used, may use, and when it has to wait.
//!
//! Every poll of a guest goes through [`Metered`]: it charges the thread's CPU time to the
//! container's [`Account`], waits while the account is overdrawn, and tells the ticker that a
//! guest runs. The ticker moves the epoch, at which a running guest yields; with no guest running
//! it sleeps for ever.

mod executor;
mod ticker;

pub(crate) use executor::Executor;
pub(crate) use ticker::Ticker;

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// The refill period of a CPU limit, as the kernel's CFS bandwidth control has it.
const PERIOD: Duration = Duration::from_millis(100);
const PERIOD_NANOS: u64 = 100_000_000;
/// The weight of a container that requested nothing: the kernel's smallest, 2 of 1024.
const WEIGHT_MIN: u64 = 2;

/// The CPU account of one container, shared by all its instances.
#[derive(Debug)]
pub(crate) struct Account {
    used_nanos: AtomicU64,
    /// Used time divided by weight; who has least runs next.
    virtual_nanos: AtomicU64,
    weight: u64,
    bucket: Option<Mutex<Bucket>>,
}

/// A token bucket of CPU time. May be overdrawn; the debt is paid from the next refills.
#[derive(Debug)]
struct Bucket {
    quota_nanos: i64,
    tokens_nanos: i64,
    period_start: Instant,
}

impl Account {
    pub(crate) fn new(limit_millis: Option<u32>, shares_millis: u32) -> Self {
        let bucket = limit_millis.map(|millis| {
            // A limit of nothing still runs, at one thousandth of a core.
            let quota_nanos = i64::from(millis.max(1)) * 100_000;
            Mutex::new(Bucket {
                quota_nanos,
                tokens_nanos: quota_nanos,
                period_start: Instant::now(),
            })
        });
        Self {
            used_nanos: AtomicU64::new(0),
            virtual_nanos: AtomicU64::new(0),
            weight: (u64::from(shares_millis) * 1024 / 1000).max(WEIGHT_MIN),
            bucket,
        }
    }

    pub(crate) fn used_nanos(&self) -> u64 {
        self.used_nanos.load(Ordering::Relaxed)
    }

    /// The place in the run queue; never earlier than `floor`, so that one who slept long does
    /// not run alone for as long.
    fn virtual_nanos(&self, floor: u64) -> u64 {
        self.virtual_nanos
            .fetch_max(floor, Ordering::Relaxed)
            .max(floor)
    }

    fn charge(&self, nanos: u64) {
        self.used_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.virtual_nanos
            .fetch_add(nanos.saturating_mul(1024) / self.weight, Ordering::Relaxed);
        if let Some(bucket) = &self.bucket {
            let mut bucket = bucket.lock();
            let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
            bucket.tokens_nanos = bucket.tokens_nanos.saturating_sub(nanos);
        }
    }

    /// Until when the container has to wait, if it has used its share of this period.
    fn wait_until(&self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        self.bucket.as_ref()?.lock().wait_until(now())
    }
}

impl Bucket {
    fn wait_until(&mut self, now: Instant) -> Option<Instant> {
        let elapsed = now.saturating_duration_since(self.period_start);
        let periods = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX) / PERIOD_NANOS;
        if periods > 0 {
            let refill = self
                .quota_nanos
                .saturating_mul(i64::try_from(periods).unwrap_or(i64::MAX));
            self.tokens_nanos = self
                .tokens_nanos
                .saturating_add(refill)
                .min(self.quota_nanos);
            self.period_start += Duration::from_nanos(periods * PERIOD_NANOS);
        }
        if self.tokens_nanos > 0 {
            return None;
        }
        let missing = self.tokens_nanos.unsigned_abs() / self.quota_nanos.unsigned_abs() + 1;
        Some(self.period_start + PERIOD * u32::try_from(missing).unwrap_or(u32::MAX))
    }
}

/// CPU time of this thread so far.
fn thread_nanos() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Set by the epoch callback of a store: the guest was still computing when its turn ended.
#[derive(Debug, Default)]
pub(crate) struct Preempted(AtomicBool);

impl Preempted {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// A guest's future with its CPU time charged and limited.
pub(crate) struct Metered<F> {
    inner: Pin<Box<F>>,
    account: Arc<Account>,
    ticker: Ticker,
    wait: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Metered<F> {
    pub(crate) fn new(inner: F, account: Arc<Account>, ticker: Ticker) -> Self {
        Self {
            inner: Box::pin(inner),
            account,
            ticker,
            wait: None,
        }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            if let Some(wait) = &mut self.wait {
                std::task::ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            let Some(until) = self.account.wait_until(Instant::now) else {
                break;
            };
            self.wait = Some(Box::pin(tokio::time::sleep_until(until)));
        }
        let this = &mut *self;
        let running = this.ticker.running();
        let before = thread_nanos();
        let poll = this.inner.as_mut().poll(cx);
        let used = thread_nanos().saturating_sub(before);
        drop(running);
        this.account.charge(used);
        poll
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_gives_the_quota_each_period_and_collects_debt() {
        let start = Instant::now();
        let mut bucket = Bucket {
            quota_nanos: 20_000_000,
            tokens_nanos: 20_000_000,
            period_start: start,
        };
        assert_eq!(bucket.wait_until(start), None);

        bucket.tokens_nanos -= 25_000_000;
        assert_eq!(bucket.wait_until(start), Some(start + PERIOD));
        assert_eq!(bucket.wait_until(start + PERIOD), None);
        assert_eq!(bucket.tokens_nanos, 15_000_000);

        bucket.tokens_nanos -= 65_000_000;
        assert_eq!(bucket.wait_until(start + PERIOD), Some(start + PERIOD * 4));
        // Tokens never pile up over one period's quota.
        assert_eq!(bucket.wait_until(start + PERIOD * 100), None);
        assert_eq!(bucket.tokens_nanos, 20_000_000);
    }

    #[test]
    fn weight_follows_the_request() {
        let (small, large) = (Account::new(None, 100), Account::new(None, 1000));
        small.charge(1_000_000);
        large.charge(10_000_000);
        let (small, large) = (small.virtual_nanos(0), large.virtual_nanos(0));
        assert!(
            small.abs_diff(large) < 500_000,
            "{small} and {large} should be close"
        );
    }
}
