//! What every controller stands on: a loop that runs a reconciler for the keys that changed.
//!
//! A reconciler gets a key and reads the world; it never learns what happened. The loop guarantees:
//! never two runs of one key at once; a change during a run means one more run; a failed run is tried
//! again with a growing wait; a panic ends its run alone.
//!
//! The registry answers a write after the cache shows it, so a run always sees what the runs of its
//! key before it have written: no reconciler needs a memory of its own writes.

mod work_queue;

pub use work_queue::WorkKey;

use crate::cache::{Cache, Change, ChangeKind};
use coracle_api::{KindRef, Revision, StatusError};
use coracle_daemon::{OnExit, Tasks};
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use std::{
    collections::HashSet, fmt, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use tracing::Instrument as _;
use work_queue::{Ended, WorkQueue};

/// Keys of one controller that run at the same time, as upstream's default of five workers.
const RUNS_MAX: usize = 5;

/// When a reconciler wants to see its key again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    AwaitChange,
    /// After this long, or when something changes.
    After(Duration),
}

/// Brings what one key names from what is to what shall be.
pub trait Reconciler: Send + Sync + 'static {
    /// Its name in logs and metrics.
    const NAME: &'static str;
    /// What it is called for; `coracle_api::Key` for most.
    type Key: WorkKey;

    /// Every kind concerns it, also those that come and go.
    const WATCHES_ALL: bool = false;

    /// The kinds whose changes concern it, where not all do.
    fn watches(&self) -> Vec<KindRef> {
        Vec::new()
    }

    /// Which keys a change concerns. At a start and when changes were missed, every object comes
    /// here as [`ChangeKind::Added`].
    fn keys(&self, change: &Change) -> Vec<Self::Key>;

    /// Reads the world, decides, and writes. Runs to its end; may run again at any time.
    fn reconcile(&self, key: &Self::Key) -> impl Future<Output = Result<Next, StatusError>> + Send;
}

/// How the last run of a controller went.
#[derive(Debug, Clone)]
pub struct LastRun {
    /// What it was for.
    pub key: String,
    /// When it ended.
    pub ended: Instant,
    /// How long it took.
    pub took: Duration,
    /// What was wrong, if anything.
    pub error: Option<String>,
}

/// A controller at work, for metrics and for who asks why nothing happens.
#[derive(Debug, Clone, Default)]
pub struct LoopStatus {
    /// Keys that wait for their time.
    pub waiting: usize,
    /// Keys that run.
    pub running: usize,
    /// Runs that ended since the start.
    pub runs: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those of them that panicked.
    pub panics: u64,
    /// Times changes were missed and everything was listed again.
    pub relists: u64,
    /// The last one.
    pub last_run: Option<LastRun>,
}

#[derive(Debug)]
struct Shared<K> {
    /// Keys woken from outside; each once.
    woken: Mutex<HashSet<K>>,
    notify: Notify,
    status: Arc<Mutex<LoopStatus>>,
}

/// A handle to a controller's loop.
#[derive(Debug)]
pub struct Loop<K>(Arc<Shared<K>>);

impl<K> Clone for Loop<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: WorkKey> Loop<K> {
    /// Runs `key` soon, for a cause that is no object's change.
    pub fn wake(&self, key: K) {
        self.0.woken.lock().insert(key);
        self.0.notify.notify_one();
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> LoopStatus {
        self.0.status.lock().clone()
    }

    /// The place where the loop writes how it is doing.
    pub(crate) fn shared_status(&self) -> Arc<Mutex<LoopStatus>> {
        Arc::clone(&self.0.status)
    }
}

/// Starts the loop of a reconciler. It ends when the tasks are asked to stop.
pub fn start<R: Reconciler>(
    reconciler: R,
    cache: &Cache,
    tasks: &Tasks,
    rng: StdRng,
) -> Loop<R::Key> {
    let shared = Arc::new(Shared {
        woken: Mutex::new(HashSet::new()),
        notify: Notify::new(),
        status: Arc::default(),
    });
    let runner = Runner {
        kinds: reconciler.watches(),
        reconciler: Arc::new(reconciler),
        cache: cache.clone(),
        position: None,
        queue: WorkQueue::new(),
        shared: Arc::clone(&shared),
        rng,
    };
    tasks.spawn(R::NAME, OnExit::Shutdown, runner.run(tasks.clone()));
    Loop(shared)
}

/// The one owner of a controller's queue.
struct Runner<R: Reconciler> {
    reconciler: Arc<R>,
    kinds: Vec<KindRef>,
    cache: Cache,
    /// What has been seen; none before the first list.
    position: Option<Revision>,
    queue: WorkQueue<R::Key>,
    shared: Arc<Shared<R::Key>>,
    rng: StdRng,
}

/// A run that has ended.
struct Run<K> {
    key: K,
    took: Duration,
    result: Result<Next, Failure>,
}

enum Failure {
    Refused(StatusError),
    Panicked(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Panicked(why) => write!(f, "panicked: {why}"),
        }
    }
}

impl<R: Reconciler> Runner<R> {
    async fn run(mut self, tasks: Tasks) {
        let mut newest = self.cache.newest();
        let mut runs = FuturesUnordered::new();
        let shared = Arc::clone(&self.shared);
        loop {
            self.read_changes();
            while runs.len() < RUNS_MAX {
                let Some(key) = self.queue.begin(Instant::now()) else {
                    break;
                };
                runs.push(execute(Arc::clone(&self.reconciler), key));
            }
            {
                let mut status = shared.status.lock();
                (status.waiting, status.running) = (self.queue.waiting(), runs.len());
            }
            let due = self.queue.next_due().filter(|_| runs.len() < RUNS_MAX);
            tokio::select! {
                () = tasks.stop().cancelled() => return,
                changed = newest.changed() => if changed.is_err() { return },
                () = shared.notify.notified() => {}
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                Some(run) = runs.next(), if !runs.is_empty() => self.end(run),
            }
        }
    }

    /// Queues the keys of what changed since the last look.
    fn read_changes(&mut self) {
        let now = Instant::now();
        let woken = std::mem::take(&mut *self.shared.woken.lock());
        for key in woken {
            self.queue.add(key, now);
        }
        let changes = self.position.map(|position| self.cache.since(position));
        let Some(Ok(changes)) = changes else {
            self.list(now);
            return;
        };
        for change in changes {
            self.position = Some(change.revision);
            self.queue_change(&change, now);
        }
    }

    fn queue_change(&mut self, change: &Change, now: Instant) {
        if !R::WATCHES_ALL && !self.kinds.contains(&change.object.kind) {
            return;
        }
        for key in self.reconciler.keys(change) {
            self.queue.add(key, now);
        }
    }

    /// Takes everything as changed: at the start, and after falling behind the window.
    fn list(&mut self, now: Instant) {
        if self.position.is_some() {
            self.shared.status.lock().relists += 1;
            tracing::info!(controller = R::NAME, "missed changes; lists everything");
        }
        // Changes after this revision come again one by one, which is harmless.
        self.position = Some(self.cache.revision());
        let kinds = if R::WATCHES_ALL {
            self.cache.kinds().stored()
        } else {
            self.kinds.clone()
        };
        for kind in kinds {
            for object in self.cache.list_stored(kind, None) {
                let change = Change::new(object, None, ChangeKind::Added);
                self.queue_change(&change, now);
            }
        }
    }

    fn end(&mut self, run: Run<R::Key>) {
        let how = match &run.result {
            Ok(Next::AwaitChange) => Ended::Well,
            Ok(Next::After(wait)) => Ended::Again(*wait),
            Err(failure) => {
                report(R::NAME, &run.key, failure);
                Ended::Failed
            }
        };
        let now = Instant::now();
        let mut status = self.shared.status.lock();
        status.runs += 1;
        status.failures += u64::from(run.result.is_err());
        status.panics += u64::from(matches!(run.result, Err(Failure::Panicked(_))));
        status.last_run = Some(LastRun {
            key: run.key.to_string(),
            ended: now,
            took: run.took,
            error: run.result.as_ref().err().map(ToString::to_string),
        });
        drop(status);
        self.queue.end(run.key, how, now, &mut self.rng);
    }
}

/// Somebody else having been faster is daily life; the rest needs a look.
fn report(controller: &'static str, key: &impl WorkKey, failure: &Failure) {
    match failure {
        Failure::Refused(error) if matches!(error.code, 404 | 409) => {
            tracing::debug!(controller, %key, %error, "runs again");
        }
        Failure::Refused(error) => tracing::warn!(controller, %key, %error, "cannot reconcile"),
        Failure::Panicked(_) => {
            tracing::error!(controller, %key, error = %failure, "cannot reconcile");
        }
    }
}

async fn execute<R: Reconciler>(reconciler: Arc<R>, key: R::Key) -> Run<R::Key> {
    let started = Instant::now();
    let span = tracing::info_span!("reconcile", controller = R::NAME, %key);
    let run = AssertUnwindSafe(reconciler.reconcile(&key).instrument(span)).catch_unwind();
    let result = match run.await {
        Ok(Ok(next)) => Ok(next),
        Ok(Err(error)) => Err(Failure::Refused(error)),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(Failure::Panicked(text.unwrap_or_default()))
        }
    };
    Run {
        key,
        took: started.elapsed(),
        result,
    }
}

#[cfg(test)]
mod tests;
