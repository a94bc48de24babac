//! What all instances of one container share, and how it ends.
//!
//! A container always ends exactly once: the first reason given stays.

use crate::{
    Error, Exit, Host, SandboxSpec, Usage,
    cpu::{Account, Metered, Preempted},
    instance::{self, State},
    limits::{InstanceMemory, Memory},
    output::Budget,
    sandbox::{Inner, Loaded},
};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wasmtime::Store;

/// One container.
pub(crate) struct Container {
    pub(crate) runtime: Arc<Inner>,
    pub(crate) spec: SandboxSpec,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) account: Arc<Account>,
    /// Cancelled when the container has ended; everything of it stops.
    pub(crate) ended: CancellationToken,
    pub(crate) requests: AtomicU64,
    pub(crate) traps: AtomicU64,
    log: Arc<Budget>,
    open_files: Arc<AtomicU32>,
    exit: watch::Sender<Option<Exit>>,
}

impl Container {
    pub(crate) fn new(runtime: Arc<Inner>, spec: SandboxSpec, host: Arc<dyn Host>) -> Self {
        Self {
            memory: Arc::new(Memory::new(spec.limits.memory_bytes)),
            account: Arc::new(Account::new(
                spec.limits.cpu_millis,
                spec.limits.cpu_shares_millis,
            )),
            runtime,
            spec,
            host,
            ended: CancellationToken::new(),
            requests: AtomicU64::new(0),
            traps: AtomicU64::new(0),
            log: Arc::new(Budget::new()),
            open_files: Arc::default(),
            exit: watch::Sender::new(None),
        }
    }

    /// Ends it, if it has not ended yet.
    pub(crate) fn end(&self, exit: Exit) {
        let first = self.exit.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                *slot = Some(exit);
            }
            first
        });
        if first {
            self.ended.cancel();
        }
    }

    pub(crate) fn exited(&self) -> impl Future<Output = Exit> + Send + 'static {
        let mut exit = self.exit.subscribe();
        async move {
            match exit.wait_for(Option::is_some).await {
                Ok(exit) => exit.clone().unwrap_or(Exit::Killed),
                Err(_gone) => Exit::Killed,
            }
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            cpu_nanos: self.account.used_nanos(),
            memory_bytes: self.memory.used_bytes(),
            code_bytes: 0,
            requests: self.requests.load(Ordering::Relaxed),
            traps: self.traps.load(Ordering::Relaxed),
            instances: self.memory.instances(),
        }
    }

    /// A store on the engine that `loaded` was loaded for. `shared`: other instances of this
    /// container may give memory back while this one waits for it.
    pub(crate) fn store(
        &self,
        loaded: &Loaded,
        shared: bool,
        preempted: Arc<Preempted>,
    ) -> Result<Store<State>, Error> {
        let memory = InstanceMemory::new(Arc::clone(&self.memory), shared, loaded.slot_bytes);
        let shared = instance::Shared {
            spec: &self.spec,
            host: &self.host,
            log: &self.log,
            open_files: &self.open_files,
        };
        instance::store(&loaded.engine, &shared, memory, preempted)
    }

    /// Charges and limits the CPU time of `future`.
    pub(crate) fn metered<F: Future>(&self, future: F) -> Metered<F> {
        Metered::new(
            future,
            Arc::clone(&self.account),
            self.runtime.ticker.clone(),
        )
    }

    /// Runs `future` on the CPU threads until it is done or the container has ended.
    pub(crate) fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        self.runtime
            .executor
            .spawn(Arc::clone(&self.account), async move {
                tokio::select! {
                    biased;
                    () = ended.cancelled() => {}
                    () = future => {}
                }
            });
    }
}

/// Ends the container if the task that owes it an exit is dropped without giving one.
pub(crate) struct OwesExit(pub(crate) Arc<Container>);

impl Drop for OwesExit {
    fn drop(&mut self) {
        self.0.end(Exit::Trap {
            message: "the sandbox failed; see the agent's log".to_owned(),
        });
    }
}
