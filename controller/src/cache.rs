//! The watch cache: the newest state of every object and a window of the changes that led there.
//!
//! One copy for everyone: reads, watches, controllers and the scheduler share its objects by `Arc`.
//! Changes enter in revision order, from the registry alone. A watch is a position in the log; there
//! is no queue for each watcher.

use crate::{kinds::Kinds, object::Object};
use bytes::Bytes;
use coracle_api::{Key, KindRef, Revision, kind};
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, OnceLock},
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
    /// What watches of it have in common.
    pub(crate) shown: Shown,
}

/// The event of a change in encodings that are not its object's own, made by the first watch that needs it and shared by all:
/// ended with the change, when it leaves the window.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// A frame of protobuf.
    pub(crate) protobuf: OnceLock<Bytes>,
    /// A line of JSON, the metadata alone.
    pub(crate) metadata: OnceLock<Bytes>,
}

impl Change {
    /// A change to `object`, at its revision.
    #[must_use]
    pub fn new(object: Arc<Object>, previous: Option<Arc<Object>>, kind_of: ChangeKind) -> Self {
        Self {
            revision: object.revision,
            object,
            previous,
            kind_of,
            shown: Shown::default(),
        }
    }
}

/// The window no longer reaches back to a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the revision is no longer in the cache's window")]
pub struct TooOld;

/// A part of a list.
#[derive(Debug)]
pub struct Page {
    /// By key.
    pub objects: Vec<Arc<Object>>,
    /// How many come after them.
    pub remaining: usize,
    /// When this was the state.
    pub revision: Revision,
}

type Table = BTreeMap<Key, Arc<Object>>;
type TableId = (&'static str, &'static str);

/// Who belongs to whom, kept in step with the tables.
#[derive(Debug, Default)]
struct Owners {
    /// Owner's uid to what names it as an owner.
    dependents: HashMap<String, BTreeSet<(TableId, Key)>>,
    /// What has no controller, by its table: what a controller may adopt.
    loose: HashMap<TableId, BTreeSet<Key>>,
}

/// The kinds that controllers adopt; the others are not worth their places in memory.
fn is_adoptable(kind: KindRef) -> bool {
    kind == kind::POD || kind == kind::REPLICA_SET
}

impl Owners {
    fn insert(&mut self, object: &Object) {
        let table = table_of(object.kind);
        for owner in object.meta.owner_references.iter().flatten() {
            let place = (table, object.key.clone());
            match self.dependents.get_mut(&owner.uid) {
                Some(all) => all.insert(place),
                None => self
                    .dependents
                    .entry(owner.uid.clone())
                    .or_default()
                    .insert(place),
            };
        }
        if is_adoptable(object.kind) && object.controller_uid().is_none() {
            self.loose
                .entry(table)
                .or_default()
                .insert(object.key.clone());
        }
    }

    fn remove(&mut self, object: &Object) {
        let table = table_of(object.kind);
        for owner in object.meta.owner_references.iter().flatten() {
            let Some(all) = self.dependents.get_mut(&owner.uid) else {
                continue;
            };
            all.remove(&(table, object.key.clone()));
            if all.is_empty() {
                self.dependents.remove(&owner.uid);
            }
        }
        if let Some(loose) = self.loose.get_mut(&table) {
            loose.remove(&object.key);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    tables: HashMap<TableId, Table>,
    owners: Owners,
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
    kinds: Kinds,
    state: RwLock<State>,
    newest: watch::Sender<Revision>,
}

fn table_of(kind: KindRef) -> TableId {
    let kind = kind.storage();
    (kind.group, kind.plural)
}

impl Cache {
    /// A cache of what the store holds at `revision`. Watches from before it get [`TooOld`].
    #[must_use]
    pub fn new(objects: Vec<Object>, revision: Revision) -> Self {
        Self::with_kinds(Kinds::default(), objects, revision)
    }

    /// As [`Cache::new`], with custom kinds from the start.
    #[must_use]
    pub fn with_kinds(kinds: Kinds, objects: Vec<Object>, revision: Revision) -> Self {
        let mut state = State {
            since: revision,
            revision,
            ..State::default()
        };
        for object in objects {
            state.owners.insert(&object);
            state
                .tables
                .entry(table_of(object.kind))
                .or_default()
                .insert(object.key.clone(), Arc::new(object));
        }
        Self(Arc::new(Inner {
            kinds,
            state: RwLock::new(state),
            newest: watch::Sender::new(revision),
        }))
    }

    /// Which kinds there are.
    #[must_use]
    pub fn kinds(&self) -> &Kinds {
        &self.0.kinds
    }

    /// One object, as its kind's definition has it now.
    #[must_use]
    pub fn get(&self, kind: KindRef, key: &Key) -> Option<Arc<Object>> {
        let state = self.0.state.read();
        let object = state.tables.get(&table_of(kind))?.get(key).cloned()?;
        drop(state);
        Some(self.0.kinds.normal(object))
    }

    /// All objects of a kind, of one namespace or all, by key, as its definition has them now.
    #[must_use]
    pub fn list(&self, kind: KindRef, namespace: Option<&str>) -> Vec<Arc<Object>> {
        self.list_at(kind, namespace).0
    }

    /// How many objects of a kind there are.
    #[must_use]
    pub fn count(&self, kind: KindRef) -> usize {
        let state = self.0.state.read();
        state.tables.get(&table_of(kind)).map_or(0, Table::len)
    }

    /// How many objects of a kind there are in one namespace or in all, and how many bytes of JSON they are. Looks at each.
    #[must_use]
    pub fn weight(&self, kind: KindRef, namespace: Option<&str>) -> (usize, usize) {
        let state = self.0.state.read();
        let table = state.tables.get(&table_of(kind));
        let first = Key::new(namespace.unwrap_or_default(), "");
        table
            .into_iter()
            .flat_map(|table| table.range(&first..))
            .take_while(|(key, _)| namespace.is_none_or(|namespace| key.namespace == namespace))
            .fold((0, 0), |(objects, bytes), (_, object)| {
                (objects + 1, bytes + object.raw.len())
            })
    }

    /// As [`Cache::list`], with the revision the list is of.
    #[must_use]
    pub fn list_at(&self, kind: KindRef, namespace: Option<&str>) -> (Vec<Arc<Object>>, Revision) {
        let (objects, revision) = self.stored_at(kind, namespace);
        (self.0.kinds.all_normal(kind, objects), revision)
    }

    /// As [`Cache::list`], as objects are stored: for who looks at their metadata alone.
    #[must_use]
    pub fn list_stored(&self, kind: KindRef, namespace: Option<&str>) -> Vec<Arc<Object>> {
        self.stored_at(kind, namespace).0
    }

    fn stored_at(&self, kind: KindRef, namespace: Option<&str>) -> (Vec<Arc<Object>>, Revision) {
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

    /// The objects of a kind that come after a key, `limit` at most, as they were at a revision; without one, as they are.
    /// Looks at the ones it gives, and counts the others.
    ///
    /// # Errors
    /// When the window does not reach back so far.
    pub fn page(
        &self,
        kind: KindRef,
        namespace: Option<&str>,
        at: Option<Revision>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Page, TooOld> {
        let state = self.0.state.read();
        let at = at.unwrap_or(state.revision);
        if at < state.since {
            return Err(TooOld);
        }
        let table = table_of(kind);
        let is_wanted = |key: &Key| {
            after.is_none_or(|after| key > after)
                && namespace.is_none_or(|namespace| key.namespace == namespace)
        };
        // What was written after the revision is undone: the state before the first write counts.
        let mut undone = BTreeMap::new();
        let written = state.log.partition_point(|change| change.revision <= at);
        for change in state.log.range(written..).rev() {
            let key = &change.object.key;
            if table_of(change.object.kind) == table && is_wanted(key) {
                undone.insert(key, change.previous.as_ref());
            }
        }
        let first = Key::new(namespace.unwrap_or_default(), "");
        let start = match after {
            Some(after) if *after >= first => Bound::Excluded(after),
            _ => Bound::Included(&first),
        };
        let is_inside = |key: &Key| namespace.is_none_or(|namespace| key.namespace == namespace);
        let none = Table::new();
        let table = state.tables.get(&table).unwrap_or(&none);
        let rest_of = |start: Bound<&Key>| {
            table
                .range((start, Bound::Unbounded))
                .take_while(|(key, _)| is_inside(key))
        };
        let mut unchanged = rest_of(start)
            .filter(|(key, _)| !undone.contains_key(key))
            .peekable();
        let mut restored = undone
            .iter()
            .filter_map(|(key, object)| Some((*key, (*object)?)))
            .peekable();
        let in_order = std::iter::from_fn(|| match (unchanged.peek(), restored.peek()) {
            (Some((one, _)), Some((other, _))) if other < one => restored.next(),
            (Some(_), _) => unchanged.next(),
            (None, _) => restored.next(),
        });
        let objects: Vec<_> = in_order
            .take(limit)
            .map(|(_, object)| Arc::clone(object))
            .collect();
        // Counted, not walked through: most objects of a large kind are not on the page.
        let remaining = match objects.last() {
            Some(last) if objects.len() == limit => {
                let changed =
                    undone.range::<Key, _>((Bound::Excluded(&last.key), Bound::Unbounded));
                changed.fold(
                    rest_of(Bound::Excluded(&last.key)).count(),
                    |count, (key, before)| {
                        count + usize::from(before.is_some())
                            - usize::from(table.contains_key(*key))
                    },
                )
            }
            _ => 0,
        };
        drop(state);
        Ok(Page {
            objects: self.0.kinds.all_normal(kind, objects),
            remaining,
            revision: at,
        })
    }

    /// Everything of every kind that names this uid as an owner, as it is stored.
    #[must_use]
    pub fn dependents(&self, owner_uid: &str) -> Vec<Arc<Object>> {
        let state = self.0.state.read();
        let places = state.owners.dependents.get(owner_uid);
        places
            .into_iter()
            .flatten()
            .filter_map(|(table, key)| state.tables.get(table)?.get(key).cloned())
            .collect()
    }

    /// The pods or replica sets of a namespace that no controller owns.
    #[must_use]
    pub fn loose(&self, kind: KindRef, namespace: &str) -> Vec<Arc<Object>> {
        let state = self.0.state.read();
        let table = table_of(kind);
        let (Some(keys), Some(objects)) =
            (state.owners.loose.get(&table), state.tables.get(&table))
        else {
            return Vec::new();
        };
        keys.range(Key::new(namespace, "")..)
            .take_while(|key| key.namespace == namespace)
            .filter_map(|key| objects.get(key).cloned())
            .collect()
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.state.read().revision
    }

    /// All changes after a revision, in order; objects are as they were decided.
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

    /// A change with its objects as their definition has them now; none where they are so already.
    pub(crate) fn renewed(&self, change: &Change) -> Option<Change> {
        if !change.object.kind.is_custom() {
            return None;
        }
        let normal = |object: &Arc<Object>| self.0.kinds.normal(Arc::clone(object));
        let object = normal(&change.object);
        let previous = change.previous.as_ref().map(normal);
        let is_same = |(one, other): (&Arc<Object>, &Arc<Object>)| Arc::ptr_eq(one, other);
        let mut held = previous.iter().zip(&change.previous);
        if is_same((&object, &change.object)) && held.all(is_same) {
            return None;
        }
        Some(Change::new(object, previous, change.kind_of))
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
            let before = match change.kind_of {
                ChangeKind::Deleted => table.remove(&change.object.key),
                ChangeKind::Added | ChangeKind::Modified => {
                    table.insert(change.object.key.clone(), Arc::clone(&change.object))
                }
            };
            if let Some(before) = before {
                state.owners.remove(&before);
            }
            if change.kind_of != ChangeKind::Deleted {
                state.owners.insert(&change.object);
            }
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
    use serde_json::json;

    fn change(revision: u64, name: &str, kind_of: ChangeKind) -> Change {
        let value = json!({"metadata": {"name": name, "namespace": "n"}});
        let object = Arc::new(Object::new(kind::POD, Revision(revision), value).unwrap());
        Change::new(object, None, kind_of)
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
    fn a_page_is_of_its_revision() {
        let cache = Cache::new(Vec::new(), Revision(0));
        let changed = |revision, name, kind_of, previous: Option<&str>| Change {
            previous: previous.map(|name| change(revision - 1, name, ChangeKind::Added).object),
            ..change(revision, name, kind_of)
        };
        cache.commit(vec![
            change(1, "a", ChangeKind::Added),
            change(2, "c", ChangeKind::Added),
            change(3, "d", ChangeKind::Added),
            change(4, "b", ChangeKind::Added),
            changed(5, "c", ChangeKind::Modified, Some("c")),
            changed(6, "c", ChangeKind::Deleted, Some("c")),
        ]);
        let page = |at: Option<u64>, after: Option<&str>, limit| {
            let after = after.map(|name| Key::new("n", name));
            let page = cache.page(
                kind::POD,
                Some("n"),
                at.map(Revision),
                after.as_ref(),
                limit,
            );
            let page = page.unwrap();
            let names = page.objects.iter().map(|object| object.key.name.clone());
            (
                names.collect::<Vec<_>>().join(""),
                page.remaining,
                page.revision.0,
            )
        };
        assert_eq!(page(None, None, 9), ("abd".to_owned(), 0, 6));
        assert_eq!(page(Some(3), None, 2), ("ac".to_owned(), 1, 3));
        assert_eq!(page(Some(3), Some("c"), 2), ("d".to_owned(), 0, 3));
        assert_eq!(page(Some(5), Some("a"), 1), ("b".to_owned(), 2, 5));
        assert_eq!(page(Some(1), Some("a"), 1), (String::new(), 0, 1));
        let other = cache.page(kind::POD, Some("m"), None, Some(&Key::new("a", "z")), 9);
        assert_eq!(other.unwrap().objects.len(), 0);
    }

    /// Every page of every revision, against what was written down at the time.
    #[test]
    fn pages_are_of_what_was_written_down() {
        let keys: Vec<Key> = ["m", "n"]
            .iter()
            .flat_map(|space| ["a", "b", "c"].map(|name| Key::new(*space, name)))
            .collect();
        let (cache, mut now) = (Cache::new(Vec::new(), Revision(0)), Table::new());
        let mut written_down = vec![now.clone()];
        for revision in 1..=40_usize {
            // Neither in order nor at random.
            let key = &keys[revision * revision % 7 % keys.len()];
            let (space, name) = (key.namespace.as_str(), key.name.as_str());
            let value = json!({"metadata": {"name": name, "namespace": space}});
            let object = Object::new(kind::POD, Revision(revision as u64), value).unwrap();
            let (object, previous) = (Arc::new(object), now.get(key).cloned());
            let kind_of = match &previous {
                None => ChangeKind::Added,
                Some(_) if revision % 3 == 0 => ChangeKind::Deleted,
                Some(_) => ChangeKind::Modified,
            };
            match kind_of {
                ChangeKind::Deleted => now.remove(key),
                _ => now.insert(key.clone(), Arc::clone(&object)),
            };
            cache.commit(vec![Change::new(object, previous, kind_of)]);
            written_down.push(now.clone());
        }
        let afters = || std::iter::once(None).chain(keys.iter().map(Some));
        for ((at, state), space) in written_down
            .iter()
            .enumerate()
            .flat_map(|at| [None, Some("m"), Some("n"), Some("o")].map(move |space| (at, space)))
        {
            for (after, limit) in afters().flat_map(|after| (1..5).map(move |limit| (after, limit)))
            {
                let of = |key: &Key| {
                    space.is_none_or(|space| key.namespace == space)
                        && after.is_none_or(|after| key > after)
                };
                let expected: Vec<u64> = state
                    .iter()
                    .filter(|(key, _)| of(key))
                    .map(|(_, object)| object.revision.0)
                    .collect();
                let at = Some(Revision(at as u64));
                let page = cache.page(kind::POD, space, at, after, limit).unwrap();
                let found: Vec<u64> = page.objects.iter().map(|one| one.revision.0).collect();
                let shown = expected.len().min(limit);
                assert_eq!(
                    (found.as_slice(), page.remaining),
                    (&expected[..shown], expected.len() - shown),
                    "{at:?} {space:?} {after:?} {limit}"
                );
            }
        }
    }

    #[test]
    fn owners_find_what_is_theirs() {
        let owned = |revision: u64, owner: Option<&str>, kind_of| {
            let owners = owner.map(|uid| json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": uid, "controller": true}]));
            let value = json!({"metadata": {"name": "a", "namespace": "n", "ownerReferences": owners.unwrap_or(json!([]))}});
            let object = Object::new(kind::POD, Revision(revision), value).unwrap();
            Change::new(Arc::new(object), None, kind_of)
        };
        let cache = Cache::new(Vec::new(), Revision(0));
        let found = |uid: &str| cache.dependents(uid).len();
        let loose = || cache.loose(kind::POD, "n").len();
        cache.commit(vec![owned(1, None, ChangeKind::Added)]);
        assert_eq!((found("u"), loose()), (0, 1));
        cache.commit(vec![owned(2, Some("u"), ChangeKind::Modified)]);
        assert_eq!((found("u"), loose()), (1, 0));
        cache.commit(vec![owned(3, Some("v"), ChangeKind::Modified)]);
        assert_eq!((found("u"), found("v")), (0, 1));
        cache.commit(vec![owned(4, Some("v"), ChangeKind::Deleted)]);
        assert_eq!((found("v"), loose()), (0, 0));
        assert!(cache.0.state.read().owners.dependents.is_empty());
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
