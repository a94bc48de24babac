//! The order of writes: decide, number, store, then show.
//!
//! Decisions are made one at a time against the newest state, committed or not. The store commits in
//! that order, and the cache shows changes in that order: one task awaits the commits one by one.

use super::{
    ledger::{Decided, Ledger, QuotaUsage},
    store_key,
};
use crate::{
    cache::{Cache, Change, ChangeKind},
    object::Object,
    store::{Committed, Store, Write},
};
use coracle_api::{Key, KindRef, Revision, StatusError, kind};
use coracle_daemon::{Clock, OnExit, Tasks};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Writes under way; the next ones wait their turn without holding anything.
const WRITES_MAX: usize = 1024;
/// The largest object, bytes: etcd's default request limit, so that data fits every store.
const OBJECT_BYTES_MAX: usize = 1536 * 1024;

/// What is to become of an object.
pub(super) enum Decision {
    /// Its next state.
    Put(ChangeKind, Value),
    /// It goes; its last state.
    Delete(Value),
    /// Nothing changes.
    Keep(Arc<Object>),
}

/// Where a write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// To the disk, before it is answered.
    Disk,
    /// Nowhere else, if it is new or has been in memory only so far.
    Memory,
    /// Nowhere: it is only tried.
    Nowhere,
}

struct Pending {
    committed: Committed,
    change: Change,
    answer: oneshot::Sender<Result<Arc<Object>, StatusError>>,
    turn: OwnedSemaphorePermit,
}

pub(super) type Id = (&'static str, &'static str, Key);

#[derive(Debug)]
pub(super) struct Head {
    /// The newest state of objects whose writes are under way; none: being deleted.
    under_way: HashMap<Id, (Revision, Option<Arc<Object>>)>,
    /// Objects that the disk does not have.
    in_memory: HashSet<Id>,
    revision: Revision,
    pub(super) ledger: Ledger,
}

/// What a decision sees beside its object: the newest state of all others, on disk or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Others<'a> {
    cache: &'a Cache,
    head: &'a Head,
}

impl Others<'_> {
    /// Whether the disk does not have this object.
    pub(super) fn is_in_memory(&self, kind: KindRef, key: &Key) -> bool {
        self.head.in_memory.contains(&id_of(kind, key))
    }

    /// All objects of a kind.
    pub(super) fn list(&self, kind: KindRef) -> Vec<Arc<Object>> {
        let kind = kind.storage();
        let of_kind = |id: &Id| (id.0, id.1) == (kind.group, kind.plural);
        let is_shown = |object: &Arc<Object>| {
            let id = id_of(kind, &object.key);
            !self.head.under_way.contains_key(&id)
        };
        let mut all = self.cache.list(kind, None);
        all.retain(is_shown);
        let under_way = self.head.under_way().filter(|(id, _)| of_kind(id));
        all.extend(under_way.filter_map(|(_, newest)| newest.cloned()));
        all
    }
}

/// Takes writes. A clone is another handle to it.
#[derive(Debug, Clone)]
pub(super) struct Committer {
    store: Arc<dyn Store>,
    cache: Cache,
    clock: Clock,
    head: Arc<Mutex<Head>>,
    turns: Arc<Semaphore>,
    pending: mpsc::Sender<Pending>,
}

pub(super) fn id_of(kind: KindRef, key: &Key) -> Id {
    let kind = kind.storage();
    (kind.group, kind.plural, key.clone())
}

/// Heartbeats of nodes: served from memory, never written to flash.
fn is_volatile(kind: KindRef, key: &Key) -> bool {
    kind == kind::LEASE && key.namespace == "kube-node-lease"
}

impl Head {
    /// The newest state of an object, on disk or not.
    pub(super) fn newest(&self, cache: &Cache, kind: KindRef, id: &Id) -> Option<Arc<Object>> {
        match self.under_way.get(id) {
            Some((_, newest)) => newest.clone().map(|newest| cache.kinds().normal(newest)),
            None => cache.get(kind, &id.2),
        }
    }

    /// The newest state of what the cache does not show yet; none: being deleted.
    pub(super) fn under_way(&self) -> impl Iterator<Item = (&Id, Option<&Arc<Object>>)> {
        let all = self.under_way.iter();
        all.map(|(id, (_, newest))| (id, newest.as_ref()))
    }

    /// Whether a write from one state to the next has to be on disk; remembers what the disk does not have.
    fn reaches_disk(
        &mut self,
        kind: KindRef,
        id: &Id,
        target: Target,
        (current, next): (&Option<Arc<Object>>, &Option<Arc<Object>>),
    ) -> bool {
        if is_volatile(kind, &id.2) {
            return false;
        }
        let was_in_memory = self.in_memory.contains(id);
        let stays = match next {
            // What is gone needs no word on a disk that never had it.
            None => was_in_memory,
            Some(_) => target == Target::Memory && (was_in_memory || current.is_none()),
        };
        if stays && next.is_some() {
            self.in_memory.insert(id.clone());
        } else {
            self.in_memory.remove(id);
        }
        !stays
    }
}

impl Committer {
    pub(super) fn start(store: Arc<dyn Store>, cache: Cache, clock: Clock, tasks: &Tasks) -> Self {
        let (pending, waiting) = mpsc::channel(WRITES_MAX);
        let head = Arc::new(Mutex::new(Head {
            under_way: HashMap::new(),
            in_memory: HashSet::new(),
            revision: cache.revision(),
            ledger: Ledger::new(&cache),
        }));
        tasks.spawn(
            "commits",
            OnExit::Shutdown,
            show_commits(cache.clone(), Arc::clone(&head), waiting),
        );
        Self {
            store,
            cache,
            clock,
            head,
            turns: Arc::new(Semaphore::new(WRITES_MAX)),
            pending,
        }
    }

    /// Decides and writes. `decide` sees the newest state and runs exactly once.
    pub(super) async fn write(
        &self,
        kind: KindRef,
        key: &Key,
        target: Target,
        decide: impl FnOnce(Option<Arc<Object>>, Others<'_>) -> Result<Decision, StatusError>,
    ) -> Result<Arc<Object>, StatusError> {
        let stopping = || StatusError::unavailable("the controller is stopping");
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_closed| stopping())?;
        let answered = {
            let mut head = self.head.lock();
            let id = id_of(kind, key);
            let current = head.newest(&self.cache, kind, &id);
            let others = Others {
                cache: &self.cache,
                head: &head,
            };
            let (kind_of, mut value) = match decide(current.clone(), others)? {
                Decision::Put(kind_of, value) => (kind_of, value),
                Decision::Delete(value) => (ChangeKind::Deleted, value),
                Decision::Keep(object) => return Ok(object),
            };
            let schema = self.cache.kinds().at_rest(kind, &mut value);
            let decided = Decided {
                kind,
                id: &id,
                current: current.as_deref(),
                does: kind_of,
                value: &value,
            };
            let posting = head.weigh(&self.cache, &decided, self.clock.now())?;
            // What is only tried keeps its version, so that a diff shows what would change.
            let revision = match (target, &current) {
                (Target::Disk | Target::Memory, _) => Revision(head.revision.0 + 1),
                (Target::Nowhere, Some(current)) => current.revision,
                (Target::Nowhere, None) => Revision(0),
            };
            let mut object = Object::new(kind.storage(), revision, value)?;
            if let Some(schema) = schema {
                object = object.decided_under(schema);
            }
            let object = Arc::new(object);
            // What goes is not stored, however large its definition's defaults have made it.
            if kind_of != ChangeKind::Deleted && object.raw.len() > OBJECT_BYTES_MAX {
                return Err(StatusError::too_large(OBJECT_BYTES_MAX));
            }
            if target == Target::Nowhere {
                return Ok(object);
            }
            head.revision = revision;
            let newest = (kind_of != ChangeKind::Deleted).then(|| Arc::clone(&object));
            let on_disk = head.reaches_disk(kind, &id, target, (&current, &newest));
            let committed = if on_disk {
                self.store(kind, key, revision, newest.as_ref())
            } else {
                Box::pin(std::future::ready(Ok(())))
            };
            head.ledger.post(&id, posting);
            head.under_way.insert(id, (revision, newest));
            let change = Change::new(object, current, kind_of);
            let (answer, answered) = oneshot::channel();
            let pending = Pending {
                committed,
                change,
                answer,
                turn,
            };
            // Never full: there are as many places as turns.
            self.pending
                .try_send(pending)
                .map_err(|_stopped| stopping())?;
            answered
        };
        answered.await.unwrap_or_else(|_stopped| Err(stopping()))
    }

    /// How much of a quota is taken by what was decided so far.
    pub(super) fn quota_usage(&self, quota: &Key) -> Option<QuotaUsage> {
        let mut head = self.head.lock();
        head.quota_usage(&self.cache, quota, self.clock.now())
    }

    fn store(
        &self,
        kind: KindRef,
        key: &Key,
        revision: Revision,
        newest: Option<&Arc<Object>>,
    ) -> Committed {
        let value = newest.map(|object| object.raw.clone());
        self.store.write(Write {
            key: store_key(kind, key),
            value,
            revision,
        })
    }
}

/// Awaits commits in order and shows them; at once those that one sync brought to the disk, so that watchers are woken
/// once for them. Ends with the first that fails: what follows it was decided on a state that is not on disk.
async fn show_commits(cache: Cache, head: Arc<Mutex<Head>>, mut waiting: mpsc::Receiver<Pending>) {
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(pending) => Some(pending),
            None => waiting.recv().await,
        };
        let Some(mut first) = first else { return };
        let result = first.committed.as_mut().await;
        let mut ended = vec![(first, result)];
        while let Ok(mut pending) = waiting.try_recv() {
            match pending.committed.as_mut().now_or_never() {
                Some(result) => ended.push((pending, result)),
                None => {
                    next = Some(pending);
                    break;
                }
            }
        }
        let failed = ended.iter().position(|(_, result)| result.is_err());
        let lost = failed.map(|first| ended.split_off(first));
        show(&cache, &head, ended.into_iter().map(|(pending, _)| pending));
        if let Some((pending, Err(error))) = lost.and_then(|lost| lost.into_iter().next()) {
            tracing::error!(%error, "cannot commit; the controller stops");
            let refusal = StatusError::internal("the write could not be stored");
            drop(pending.answer.send(Err(refusal)));
            return;
        }
    }
}

fn show(cache: &Cache, head: &Mutex<Head>, durable: impl Iterator<Item = Pending>) {
    let (mut changes, mut answers) = (Vec::new(), Vec::new());
    for pending in durable {
        answers.push((
            Arc::clone(&pending.change.object),
            pending.answer,
            pending.turn,
        ));
        changes.push(pending.change);
    }
    cache.commit(changes);
    let mut head = head.lock();
    for (object, ..) in &answers {
        let id = id_of(object.kind, &object.key);
        let under_way = head.under_way.get(&id);
        if under_way.is_some_and(|(newest, _)| *newest == object.revision) {
            head.under_way.remove(&id);
        }
    }
    drop(head);
    for (object, answer, _turn) in answers {
        // The client may have gone; its write stands.
        drop(answer.send(Ok(object)));
    }
}
