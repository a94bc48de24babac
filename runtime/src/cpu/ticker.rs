//! The epoch's clock: one thread that ticks only while a guest runs.
//!
//! Always asleep on a condition variable when no guest has run for a few ticks; an idle agent has
//! no timer of ours.

use parking_lot::{Condvar, Mutex};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use wasmtime::EngineWeak;

/// How long a guest may compute before it yields, at most two of these.
const TICK: Duration = Duration::from_millis(5);
/// Ticks without any guest before the thread goes to sleep; sleeping and waking cost more.
const QUIET_TICKS_MAX: u32 = 4;

/// A handle; the thread ends when the last one is gone.
#[derive(Clone, Debug)]
pub(crate) struct Ticker(Arc<Owner>);

/// Separate from `Shared`, which the thread holds too.
#[derive(Debug)]
struct Owner(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    started: AtomicU64,
    asleep: AtomicBool,
    stop: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

/// A guest is being polled until this drops.
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
        let _lock = self.0.lock.lock();
        self.0.wake.notify_all();
    }
}

impl Ticker {
    pub(crate) fn start(engines: Vec<EngineWeak>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("coracle-epoch".to_owned())
            .spawn(move || thread.run(&engines))?;
        Ok(Self(Arc::new(Owner(shared))))
    }

    /// Says that a guest runs on this thread now.
    pub(crate) fn running(&self) -> Running<'_> {
        let shared = &*self.0.0;
        shared.running.fetch_add(1, Ordering::SeqCst);
        shared.started.fetch_add(1, Ordering::Relaxed);
        if shared.asleep.load(Ordering::SeqCst) && shared.asleep.swap(false, Ordering::SeqCst) {
            let _lock = shared.lock.lock();
            shared.wake.notify_all();
        }
        Running(shared)
    }
}

impl Shared {
    fn run(&self, engines: &[EngineWeak]) {
        let mut quiet_ticks = 0;
        let mut started_before = 0;
        let mut lock = self.lock.lock();
        while !self.stop.load(Ordering::SeqCst) {
            if quiet_ticks >= QUIET_TICKS_MAX {
                self.asleep.store(true, Ordering::SeqCst);
                // A guest that came between the last look and the flag clears the flag or is seen.
                while self.asleep.load(Ordering::SeqCst)
                    && self.running.load(Ordering::SeqCst) == 0
                    && !self.stop.load(Ordering::SeqCst)
                {
                    self.wake.wait(&mut lock);
                }
                self.asleep.store(false, Ordering::SeqCst);
                quiet_ticks = 0;
            }
            let _ = self.wake.wait_for(&mut lock, TICK);
            let started = self.started.load(Ordering::Relaxed);
            if self.running.load(Ordering::SeqCst) > 0 {
                quiet_ticks = 0;
                for engine in engines.iter().filter_map(EngineWeak::upgrade) {
                    engine.increment_epoch();
                }
            } else if started == started_before {
                quiet_ticks += 1;
            }
            started_before = started;
        }
    }
}
