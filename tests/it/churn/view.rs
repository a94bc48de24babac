//! What a watcher knows, and the rules by which it may change.

use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// An object by namespace and name.
pub(super) type Key = (String, String);

/// One state of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) uid: String,
    pub(super) version: u64,
    /// The value of its label `group`.
    pub(super) group: String,
}

/// All objects that are selected.
pub(super) type View = BTreeMap<Key, Seen>;

pub(super) fn read(object: &Value) -> anyhow::Result<(Key, Seen)> {
    let meta = &object["metadata"];
    let text = |name: &str| meta[name].as_str().unwrap_or_default().to_owned();
    let seen = Seen {
        uid: text("uid"),
        version: version(meta)?,
        group: meta["labels"]["group"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    };
    Ok(((text("namespace"), text("name")), seen))
}

pub(super) fn version(meta: &Value) -> anyhow::Result<u64> {
    let text = meta["resourceVersion"].as_str();
    let text = text.with_context(|| format!("no resourceVersion in {meta}"))?;
    Ok(text.parse()?)
}

/// A view that is kept by events.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) view: View,
    /// The newest revision that was told, by whatever.
    pub(super) newest: u64,
    /// Those that were deleted; kept only where nothing but a deletion takes an object out of the view.
    gone: Option<BTreeSet<String>>,
}

impl Kept {
    /// Whether objects leave the view by deletion alone.
    pub(super) fn new(by_deletion_alone: bool) -> Self {
        Self {
            gone: by_deletion_alone.then(BTreeSet::new),
            ..Self::default()
        }
    }

    /// A whole new state: never older than what was known, in no object.
    pub(super) fn replace(&mut self, view: View, revision: u64) -> anyhow::Result<()> {
        ensure!(
            revision >= self.newest,
            "a list at {revision} after {} was known",
            self.newest
        );
        for (key, seen) in &view {
            ensure!(
                seen.version <= revision,
                "{key:?} at {} in a list at {revision}",
                seen.version
            );
            if let Some(before) = self.view.get(key).filter(|before| before.uid == seen.uid) {
                ensure!(
                    seen.version >= before.version,
                    "{key:?} went back: {before:?}, {seen:?}"
                );
            }
            let is_gone = self
                .gone
                .as_ref()
                .is_some_and(|gone| gone.contains(&seen.uid));
            ensure!(!is_gone, "{key:?} came back from its deletion: {seen:?}");
        }
        self.view = view;
        self.newest = revision;
        Ok(())
    }

    /// A bookmark.
    pub(super) fn reach(&mut self, revision: u64) -> anyhow::Result<()> {
        ensure!(
            revision >= self.newest,
            "a bookmark at {revision} after {}",
            self.newest
        );
        self.newest = revision;
        Ok(())
    }

    /// An event: newer than everything before it, and of a kind that fits what is known.
    pub(super) fn change(&mut self, kind: &str, key: Key, seen: Seen) -> anyhow::Result<()> {
        ensure!(
            seen.version > self.newest,
            "{kind} of {key:?} at {} after {}",
            seen.version,
            self.newest
        );
        self.newest = seen.version;
        match (kind, self.view.entry(key)) {
            ("ADDED", Entry::Vacant(place)) => {
                let is_gone = self
                    .gone
                    .as_ref()
                    .is_some_and(|gone| gone.contains(&seen.uid));
                ensure!(!is_gone, "{:?} was added after its deletion", place.key());
                place.insert(seen);
            }
            ("MODIFIED", Entry::Occupied(mut place)) if place.get().uid == seen.uid => {
                place.insert(seen);
            }
            ("DELETED", Entry::Occupied(place)) if place.get().uid == seen.uid => {
                place.remove();
                if let Some(gone) = &mut self.gone {
                    gone.insert(seen.uid);
                }
            }
            (_, Entry::Occupied(place)) => {
                anyhow::bail!(
                    "{kind} of {:?} {seen:?}, which is {:?}",
                    place.key(),
                    place.get()
                );
            }
            (_, Entry::Vacant(place)) => {
                anyhow::bail!("{kind} of {:?} {seen:?}, which is not there", place.key());
            }
        }
        Ok(())
    }
}
