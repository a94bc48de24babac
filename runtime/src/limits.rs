//! Memory: the sum of all linear memories and tables of a container, over its live instances.
//!
//! Always counted before it is given; never over the limit. What happens at the limit is the
//! refusal's business: a command is out of memory, an HTTP request waits for its neighbours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use wasmtime::ResourceLimiterAsync;

/// How long a request waits for memory or an instance before it is refused.
pub(crate) const WAIT: Duration = Duration::from_secs(1);
/// An entry of a table, on any target.
const TABLE_ENTRY_BYTES: u64 = 8;
/// Generous for any real component, small for an attack.
const CORE_INSTANCES_MAX: usize = 128;
const TABLES_MAX: usize = 128;
const MEMORIES_MAX: usize = 32;

/// Why memory was not given. Carried through wasmtime as the cause of a trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the instance needs more memory than the container's limit")]
    OutOfMemory,
    #[error("the container's memory is in use by other requests")]
    Busy,
    #[error("the instance has outgrown its slot in the pool")]
    Outgrown,
}

/// The memory of one container.
#[derive(Debug)]
pub(crate) struct Memory {
    limit_bytes: Option<u64>,
    used_bytes: AtomicU64,
    instances: AtomicU32,
    freed: Notify,
    /// An instance needed more than a pool slot: later ones are made on demand.
    outgrown: AtomicBool,
}

impl Memory {
    pub(crate) fn new(limit_bytes: Option<u64>) -> Self {
        Self {
            limit_bytes,
            used_bytes: AtomicU64::new(0),
            instances: AtomicU32::new(0),
            freed: Notify::new(),
            outgrown: AtomicBool::new(false),
        }
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn instances(&self) -> u32 {
        self.instances.load(Ordering::Relaxed)
    }

    pub(crate) fn outgrown(&self) -> bool {
        self.outgrown.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let limit = self.limit_bytes.unwrap_or(u64::MAX);
        self.used_bytes
            .try_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= limit)
            })
            .is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.freed.notify_waiters();
    }
}

/// The part of a container's memory that one instance holds; given back on drop.
#[derive(Debug)]
pub(crate) struct InstanceMemory {
    container: Arc<Memory>,
    own_bytes: u64,
    last_bytes: u64,
    /// Whether other instances of the container may give memory back soon.
    shared: bool,
    /// The largest memory of a pool slot, if the instance is in one.
    slot_bytes: Option<usize>,
}

impl InstanceMemory {
    pub(crate) fn new(container: Arc<Memory>, shared: bool, slot_bytes: Option<usize>) -> Self {
        container.instances.fetch_add(1, Ordering::Relaxed);
        Self {
            container,
            own_bytes: 0,
            last_bytes: 0,
            shared,
            slot_bytes,
        }
    }

    async fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.last_bytes = 0;
        if self.is_over_limit(bytes) {
            return Err(Refusal::OutOfMemory);
        }
        if !self.container.take(bytes) {
            if !self.shared {
                return Err(Refusal::OutOfMemory);
            }
            self.wait_for(bytes).await?;
        }
        self.own_bytes += bytes;
        self.last_bytes = bytes;
        Ok(())
    }

    /// Whether this instance alone would be over the container's limit.
    fn is_over_limit(&self, bytes: u64) -> bool {
        let own = self.own_bytes.saturating_add(bytes);
        self.container.limit_bytes.is_some_and(|limit| own > limit)
    }

    async fn wait_for(&self, bytes: u64) -> Result<(), Refusal> {
        let attempt = async {
            loop {
                let freed = self.container.freed.notified();
                if self.container.take(bytes) {
                    return;
                }
                freed.await;
            }
        };
        tokio::time::timeout(WAIT, attempt)
            .await
            .map_err(|_elapsed| Refusal::Busy)
    }

    fn undo(&mut self) {
        let bytes = std::mem::take(&mut self.last_bytes);
        self.own_bytes -= bytes;
        self.container.give_back(bytes);
    }
}

impl Drop for InstanceMemory {
    fn drop(&mut self) {
        self.container.instances.fetch_sub(1, Ordering::Relaxed);
        self.container.give_back(self.own_bytes);
    }
}

#[wasmtime_wasi::async_trait]
impl ResourceLimiterAsync for InstanceMemory {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.last_bytes = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = desired.saturating_sub(current) as u64;
        let slot_full = self.slot_bytes.is_some_and(|slot| desired > slot);
        if slot_full && !self.is_over_limit(bytes) {
            self.container.outgrown.store(true, Ordering::Relaxed);
            return Err(Refusal::Outgrown.into());
        }
        self.grow(bytes).await?;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.last_bytes = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let entries = desired.saturating_sub(current) as u64;
        self.grow(entries.saturating_mul(TABLE_ENTRY_BYTES)).await?;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn memory_is_the_sum_over_instances() {
        let memory = Arc::new(Memory::new(Some(100)));
        let mut first = InstanceMemory::new(Arc::clone(&memory), true, None);
        let mut second = InstanceMemory::new(Arc::clone(&memory), true, None);
        assert_eq!(first.grow(60).await, Ok(()));
        assert_eq!(second.grow(60).await, Err(Refusal::Busy));
        assert_eq!(second.grow(101).await, Err(Refusal::OutOfMemory));
        assert_eq!(second.grow(40).await, Ok(()));
        assert_eq!((memory.used_bytes(), memory.instances()), (100, 2));
        drop(first);
        assert_eq!(second.grow(60).await, Ok(()));
        drop(second);
        assert_eq!((memory.used_bytes(), memory.instances()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_instance_gets_what_another_gives_back() {
        let memory = Arc::new(Memory::new(Some(100)));
        let mut first = InstanceMemory::new(Arc::clone(&memory), true, None);
        let mut second = InstanceMemory::new(Arc::clone(&memory), true, None);
        first.grow(60).await.unwrap();
        let free = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            drop(first);
        };
        let (grown, ()) = tokio::join!(second.grow(60), free);
        assert_eq!(grown, Ok(()));
    }
}
