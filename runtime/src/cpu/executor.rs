//! The threads for guests that compute: commands, and HTTP guests that used up a turn.
//!
//! Runs whoever has had least CPU for its weight; a guest that yields goes to the back of its own
//! place. These threads never serve HTTP or the link, so a guest that loops only ever slows
//! other guests, by their weights.

use super::Account;
use parking_lot::{Condvar, Mutex};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// A handle; the threads end when the last one is gone.
#[derive(Clone, Debug)]
pub(crate) struct Executor(Arc<Owner>);

/// Separate from `Shared`, which the threads hold too.
#[derive(Debug)]
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.stopped = true;
        let tasks = std::mem::take(&mut queue.heap);
        drop(queue);
        self.0.wake.notify_all();
        drop(tasks);
    }
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("queued", &self.queue.lock().heap.len())
            .finish()
    }
}

#[derive(Default)]
struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    /// The virtual time of who ran last: newcomers start here.
    floor: u64,
    sequence: u64,
    stopped: bool,
}

struct Entry {
    virtual_nanos: u64,
    sequence: u64,
    task: Arc<Task>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.virtual_nanos, self.sequence).cmp(&(other.virtual_nanos, other.sequence))
    }
}

type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    /// Only the thread that made the state `RUNNING` takes it.
    future: Mutex<Option<TaskFuture>>,
    state: AtomicU8,
    account: Arc<Account>,
    shared: Arc<Shared>,
}

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
/// Woken while it ran: queued again right after.
const WOKEN: u8 = 3;
const DONE: u8 = 4;

impl Executor {
    pub(crate) fn start(threads: usize, handle: &tokio::runtime::Handle) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
        });
        let owner = Self(Arc::new(Owner(Arc::clone(&shared))));
        for index in 0..threads {
            let (shared, handle) = (Arc::clone(&shared), handle.clone());
            std::thread::Builder::new()
                .name(format!("coracle-guest-{index}"))
                .spawn(move || {
                    let _tokio = handle.enter();
                    shared.work();
                })?;
        }
        Ok(owner)
    }

    /// Runs `future` on the CPU threads, at the weight of `account`.
    pub(crate) fn spawn(
        &self,
        account: Arc<Account>,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let shared = Arc::clone(&self.0.0);
        Arc::new(Task {
            future: Mutex::new(Some(Box::pin(future))),
            state: AtomicU8::new(IDLE),
            account,
            shared,
        })
        .wake();
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let task = {
                let mut queue = self.queue.lock();
                loop {
                    if queue.stopped {
                        return;
                    }
                    if let Some(Reverse(entry)) = queue.heap.pop() {
                        queue.floor = queue.floor.max(entry.virtual_nanos);
                        break entry.task;
                    }
                    self.wake.wait(&mut queue);
                }
            };
            task.run();
        }
    }

    fn push(&self, task: Arc<Task>) {
        let mut queue = self.queue.lock();
        if queue.stopped {
            return;
        }
        let virtual_nanos = task.account.virtual_nanos(queue.floor);
        queue.sequence += 1;
        let sequence = queue.sequence;
        queue.heap.push(Reverse(Entry {
            virtual_nanos,
            sequence,
            task,
        }));
        drop(queue);
        self.wake.notify_one();
    }
}

impl Task {
    fn run(self: Arc<Self>) {
        self.state.store(RUNNING, Ordering::Release);
        let Some(mut future) = self.future.lock().take() else {
            return;
        };
        let waker = Waker::from(Arc::clone(&self));
        let mut context = Context::from_waker(&waker);
        let poll = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        match poll {
            Ok(Poll::Pending) => {
                *self.future.lock() = Some(future);
                let idle =
                    self.state
                        .compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire);
                if idle.is_err() {
                    self.state.store(QUEUED, Ordering::Release);
                    let shared = Arc::clone(&self.shared);
                    shared.push(self);
                }
            }
            Ok(Poll::Ready(())) => self.state.store(DONE, Ordering::Release),
            Err(_panic) => {
                self.state.store(DONE, Ordering::Release);
                tracing::error!("a guest's host code panicked; its container ends");
                // What a panicking future holds may panic again when dropped.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
            }
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        loop {
            let (from, to) = match self.state.load(Ordering::Acquire) {
                IDLE => (IDLE, QUEUED),
                RUNNING => (RUNNING, WOKEN),
                _ => return,
            };
            if self
                .state
                .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                if to == QUEUED {
                    let shared = Arc::clone(&self.shared);
                    shared.push(self);
                }
                return;
            }
        }
    }
}
