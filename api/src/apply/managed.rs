//! `metadata.managedFields`: one entry a manager, its operation and part.

use super::{
    Conflict, Writer,
    fields::FieldSet,
    walk::{self, Changes},
};
use crate::schema::Type;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Entries of updates an object keeps apart; older ones are put together. As upstream.
const UPDATES_MAX: usize = 10;
/// What they are put together under.
const OLD_UPDATES: &str = "ancient-changes";

/// What a manager did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// Whose entry it is. An update is another one in another version; an apply is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    operation: Operation,
    manager: String,
    /// Empty for an apply.
    api_version: String,
    subresource: String,
}

impl Id {
    pub(super) fn new(writer: Writer<'_>, operation: Operation) -> Self {
        let manager = match writer.manager {
            "" => "unknown",
            manager => manager,
        };
        let api_version = match operation {
            Operation::Apply => "",
            Operation::Update => writer.api_version,
        };
        Self {
            operation,
            manager: manager.to_owned(),
            api_version: api_version.to_owned(),
            subresource: writer.subresource.to_owned(),
        }
    }

    /// The same manager's, of another version.
    pub(super) fn of_version(&self, api_version: &str) -> Self {
        let api_version = match self.operation {
            Operation::Apply => "",
            Operation::Update => api_version,
        };
        Self {
            api_version: api_version.to_owned(),
            ..self.clone()
        }
    }

    /// As a conflict names it.
    fn words(&self) -> String {
        let mut words = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            words = format!("{words} with subresource {:?}", self.subresource);
        }
        match self.operation {
            Operation::Apply => words,
            Operation::Update => format!("{words} using {}", self.api_version),
        }
    }
}

/// What a manager manages.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) set: FieldSet,
    pub(super) time: Option<String>,
    pub(super) api_version: String,
}

impl Entry {
    pub(super) fn new(api_version: &str, set: FieldSet, time: Option<String>) -> Self {
        Self {
            set,
            time,
            api_version: api_version.to_owned(),
        }
    }
}

/// All entries of an object. None is ever empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Managed(BTreeMap<Id, Entry>);

impl Managed {
    /// Of an object.
    pub(super) fn decode(object: &Value) -> Result<Self, String> {
        match object["metadata"].get("managedFields") {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(entries) => Self::of_entries(entries),
        }
    }

    /// Of the list itself.
    pub(super) fn of_entries(entries: &Value) -> Result<Self, String> {
        let mut managed = Self::default();
        for entry in entries.as_array().map_or(&[][..], Vec::as_slice) {
            let text = |name: &str| entry[name].as_str().unwrap_or_default();
            let operation = match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            let api_version = text("apiVersion");
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            if text("fieldsType") != "FieldsV1" {
                return Err(format!("invalid fieldsType {:?}", text("fieldsType")));
            }
            let set = match entry.get("fieldsV1") {
                None | Some(Value::Null) => FieldSet::default(),
                Some(fields) => FieldSet::decode(fields)?,
            };
            let writer = Writer {
                manager: text("manager"),
                api_version,
                subresource: text("subresource"),
                leaves: &[],
                time: "",
            };
            let time = entry["time"].as_str().map(str::to_owned);
            managed.put(
                Id::new(writer, operation),
                Entry::new(api_version, set, time),
            );
        }
        Ok(managed)
    }

    /// The list, in upstream's order: applies first, the oldest first.
    pub(super) fn encode(&self) -> Value {
        let mut entries: Vec<(&Id, &Entry)> = self.0.iter().collect();
        entries.sort_by(|(id, entry), (other_id, other)| {
            id.operation
                .cmp(&other_id.operation)
                .then_with(|| entry.time.cmp(&other.time))
                .then_with(|| id.cmp(other_id))
        });
        let encode = |(id, entry): (&Id, &Entry)| {
            let mut map = Map::new();
            let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
            put("manager", json!(id.manager));
            let operation = match id.operation {
                Operation::Apply => "Apply",
                Operation::Update => "Update",
            };
            put("operation", json!(operation));
            put("apiVersion", json!(entry.api_version));
            put("fieldsType", json!("FieldsV1"));
            put("fieldsV1", entry.set.encode());
            if let Some(time) = &entry.time {
                put("time", json!(time));
            }
            if !id.subresource.is_empty() {
                put("subresource", json!(id.subresource));
            }
            Value::Object(map)
        };
        Value::Array(entries.into_iter().map(encode).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, id: &Id) -> Option<Entry> {
        self.0.remove(id)
    }

    pub(super) fn put(&mut self, id: Id, entry: Entry) {
        if !entry.set.is_empty() {
            self.0.insert(id, entry);
        }
    }

    /// Each entry and whose it is.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Id, &Entry)> {
        self.0.iter()
    }

    /// Those who managed a part of what is one value now manage all of it.
    pub(super) fn settle(&mut self, ty: Type<'_>) {
        for entry in self.0.values_mut() {
            entry.set = walk::settled(ty, &entry.set);
        }
    }

    /// Everything anybody manages.
    pub(super) fn all(&self) -> FieldSet {
        let none = FieldSet::default();
        self.0
            .values()
            .fold(none, |all, entry| all.union(&entry.set))
    }

    /// Which managers would lose which fields.
    pub(super) fn conflicts(&self, changes: &Changes) -> Vec<(Id, FieldSet)> {
        let lost = |(id, entry): (&Id, &Entry)| {
            let lost = entry.set.intersection(&changes.set);
            (!lost.is_empty()).then(|| (id.clone(), lost))
        };
        self.0.iter().filter_map(lost).collect()
    }

    /// The same in words, by manager and path.
    pub(super) fn describe(&self, conflicts: &[(Id, FieldSet)]) -> Vec<Conflict> {
        let mut described: Vec<Conflict> = conflicts
            .iter()
            .flat_map(|(id, fields)| {
                let manager = id.words();
                fields.paths().into_iter().map(move |path| Conflict {
                    manager: manager.clone(),
                    path,
                })
            })
            .collect();
        described.sort_by(|one, other| one.manager.cmp(&other.manager));
        described
    }

    /// Nobody manages any more what changed.
    pub(super) fn give_up(&mut self, changes: &Changes) {
        for entry in self.0.values_mut() {
            entry.set = entry
                .set
                .difference(&changes.set)
                .difference(&changes.removed);
        }
        self.0.retain(|_, entry| !entry.set.is_empty());
    }

    /// Puts the oldest updates together when there are too many, one entry a version.
    pub(super) fn cap(&mut self) {
        let mut updates: Vec<Id> = self
            .0
            .keys()
            .filter(|id| id.operation == Operation::Update)
            .cloned()
            .collect();
        let mut over = updates.len().saturating_sub(UPDATES_MAX);
        updates.sort_by_key(|id| (self.0[id].time.clone(), id.clone()));
        let mut first: BTreeMap<String, Id> = BTreeMap::new();
        for id in updates {
            if over == 0 {
                return;
            }
            let version = id.api_version.clone();
            let Some(bucket) = first.get_mut(&version) else {
                first.insert(version, id);
                continue;
            };
            if bucket.manager != OLD_UPDATES {
                let old = Id {
                    manager: OLD_UPDATES.to_owned(),
                    subresource: String::new(),
                    ..bucket.clone()
                };
                if let Some(entry) = self.0.remove(bucket) {
                    self.0.insert(old.clone(), entry);
                }
                *bucket = old;
            }
            let newer = self.0.remove(&id);
            if let (Some(entry), Some(newer)) = (self.0.get_mut(bucket), newer) {
                entry.set = entry.set.union(&newer.set);
                entry.time = newer.time;
            }
            over -= 1;
        }
    }
}
