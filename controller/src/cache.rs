//! The watch cache: the newest state of every object and a window of the changes that led there.
//!
//! One copy for everyone: reads, watches, controllers and the scheduler share its objects by `Arc`.
//! Changes enter in revision order, from the registry alone. A watch is a position in the log; there
//! is no queue for each watcher.

use crate::object::Object;
use coracle_api::{Key, KindRef, Revision};
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};
use tokio::sync::watch;

/// Changes kept: a watcher may be that far behind before it has to list again.
const WINDOW_CHANGES_MAX: usize = 4096;
/// And at most this many bytes of objects that only the window still holds.
const WINDOW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// There was none.
    Added,
    /// There was one.
    Modified,
    /// It is gone; the object is its last state at the revision of its end.
    Deleted,
}

/// One change.
#[derive(Debug)]
pub struct Change {
    /// When.
    pub revision: Revision,
    /// The new state, or the last one.
    pub object: Arc<Object>,
    /// The state before.
    pub previous: Option<Arc<Object>>,
    /// What it did.
    pub kind_of: ChangeKind,
}

/// The window no longer reaches back to a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the revision is no longer in the cache's window")]
pub struct TooOld;

type Table = BTreeMap<Key, Arc<Object>>;

#[derive(Debug, Default)]
struct State {
    tables: HashMap<(&'static str, &'static str), Table>,
    log: VecDeque<Arc<Change>>,
    log_bytes: usize,
    /// A watch may start after this revision; everything older has left the window.
    since: Revision,
    revision: Revision,
}

/// The cache. A clone is another handle to it.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: RwLock<State>,
    newest: watch::Sender<Revision>,
}

fn table_of(kind: KindRef) -> (&'static str, &'static str) {
    let kind = kind.storage();
    (kind.group, kind.plural)
}

impl Cache {
    /// A cache of what the store holds at `revision`. Watches from before it get [`TooOld`].
    #[must_use]
    pub fn new(objects: Vec<Object>, revision: Revision) -> Self {
        let mut state = State {
            since: revision,
            revision,
            ..State::default()
        };
        for object in objects {
            state
                .tables
                .entry(table_of(object.kind))
                .or_default()
                .insert(object.key.clone(), Arc::new(object));
        }
        Self(Arc::new(Inner {
            state: RwLock::new(state),
            newest: watch::Sender::new(revision),
        }))
    }

    /// One object.
    #[must_use]
    pub fn get(&self, kind: KindRef, key: &Key) -> Option<Arc<Object>> {
        self.0
            .state
            .read()
            .tables
            .get(&table_of(kind))?
            .get(key)
            .cloned()
    }

    /// All objects of a kind, of one namespace or all, by key.
    #[must_use]
    pub fn list(&self, kind: KindRef, namespace: Option<&str>) -> Vec<Arc<Object>> {
        self.list_at(kind, namespace).0
    }

    /// As [`Cache::list`], with the revision the list is of.
    #[must_use]
    pub fn list_at(&self, kind: KindRef, namespace: Option<&str>) -> (Vec<Arc<Object>>, Revision) {
        let state = self.0.state.read();
        let Some(table) = state.tables.get(&table_of(kind)) else {
            return (Vec::new(), state.revision);
        };
        let objects = match namespace {
            None => table.values().cloned().collect(),
            Some(namespace) => table
                .range(Key::new(namespace, "")..)
                .take_while(|(key, _)| key.namespace == namespace)
                .map(|(_, object)| Arc::clone(object))
                .collect(),
        };
        (objects, state.revision)
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.state.read().revision
    }

    /// All changes after a revision, in order.
    ///
    /// # Errors
    /// When the window does not reach back so far.
    pub fn since(&self, after: Revision) -> Result<Vec<Arc<Change>>, TooOld> {
        let state = self.0.state.read();
        if after < state.since {
            return Err(TooOld);
        }
        let start = state.log.partition_point(|change| change.revision <= after);
        Ok(state.log.range(start..).cloned().collect())
    }

    /// Says when there is something new.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<Revision> {
        self.0.newest.subscribe()
    }

    /// Takes in changes of committed writes, in revision order. Only the registry calls this.
    pub(crate) fn commit(&self, changes: Vec<Change>) {
        let mut state = self.0.state.write();
        for change in changes {
            debug_assert!(change.revision > state.revision, "changes come in order");
            state.revision = change.revision;
            let table = state
                .tables
                .entry(table_of(change.object.kind))
                .or_default();
            match change.kind_of {
                ChangeKind::Deleted => table.remove(&change.object.key),
                ChangeKind::Added | ChangeKind::Modified => {
                    table.insert(change.object.key.clone(), Arc::clone(&change.object))
                }
            };
            state.log_bytes += change.object.raw.len();
            state.log.push_back(Arc::new(change));
        }
        while state.log.len() > WINDOW_CHANGES_MAX || state.log_bytes > WINDOW_BYTES_MAX {
            let Some(oldest) = state.log.pop_front() else {
                break;
            };
            state.log_bytes -= oldest.object.raw.len();
            state.since = oldest.revision;
        }
        let revision = state.revision;
        drop(state);
        self.0.newest.send_replace(revision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_api::kind;
    use serde_json::json;

    fn change(revision: u64, name: &str, kind_of: ChangeKind) -> Change {
        let value = json!({"metadata": {"name": name, "namespace": "n"}});
        let object = Arc::new(Object::new(kind::POD, Revision(revision), value).unwrap());
        Change {
            revision: Revision(revision),
            object,
            previous: None,
            kind_of,
        }
    }

    #[test]
    fn a_watch_continues_where_it_was() {
        let cache = Cache::new(Vec::new(), Revision(5));
        assert!(
            cache.since(Revision(4)).is_err(),
            "what was before the start is unknown"
        );
        cache.commit(vec![
            change(6, "a", ChangeKind::Added),
            change(7, "b", ChangeKind::Added),
        ]);
        cache.commit(vec![change(8, "a", ChangeKind::Deleted)]);
        let after: Vec<u64> = cache
            .since(Revision(6))
            .unwrap()
            .iter()
            .map(|change| change.revision.0)
            .collect();
        assert_eq!(after, [7, 8]);
        assert_eq!(cache.list(kind::POD, Some("n")).len(), 1);
        assert_eq!(cache.list(kind::POD, Some("m")).len(), 0);
        assert_eq!(*cache.newest().borrow(), Revision(8));
    }

    #[test]
    fn the_window_is_bounded() {
        let cache = Cache::new(Vec::new(), Revision(0));
        let all = (1..=WINDOW_CHANGES_MAX as u64 + 10)
            .map(|n| change(n, "a", ChangeKind::Modified))
            .collect();
        cache.commit(all);
        assert_eq!(cache.since(Revision(9)).err(), Some(TooOld));
        assert_eq!(cache.since(Revision(10)).unwrap().len(), WINDOW_CHANGES_MAX);
    }
}
