//! Objects as a client wants to see them: themselves, a table, or metadata alone.
//!
//! Only copies bytes for plain JSON: an object is never decoded to be sent.

use super::{
    negotiate::{Format, Meta},
    pieces::{CHUNK_BYTES, Pieces},
};
use crate::{
    kinds::{self, Custom},
    object::Object,
};
use bytes::Bytes;
use coracle_api::{KindRef, go::to_json, table, view};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// How to show objects of a kind.
#[derive(Debug, Clone)]
pub(crate) struct Render {
    pub(crate) kind: KindRef,
    /// What makes the kind custom.
    pub(crate) custom: Option<Arc<Custom>>,
    pub(crate) format: Format,
    pub(crate) include: Include,
    /// For ages.
    pub(crate) now: Timestamp,
}

/// What a row of a table carries along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

impl Include {
    /// From the query parameter `includeObject`.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        match text {
            Some("None") => Self::None,
            Some("Object") => Self::Object,
            _ => Self::Metadata,
        }
    }
}

/// What a list says of itself; of version 0, that it has none.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListMeta {
    pub(crate) resource_version: u64,
    pub(crate) continue_token: String,
    pub(crate) remaining: Option<usize>,
}

impl ListMeta {
    fn value(&self) -> Value {
        let mut meta = version(self.resource_version);
        if !self.continue_token.is_empty() {
            meta["continue"] = json!(self.continue_token);
        }
        if let Some(remaining) = self.remaining {
            meta["remainingItemCount"] = json!(remaining);
        }
        meta
    }
}

impl Render {
    /// One object.
    pub(crate) fn object(&self, object: &Object) -> Bytes {
        match self.format {
            Format::Json if self.is_own(object) => object.raw.clone(),
            Format::Json => bytes(&view::shown(self.kind, self.value(object))),
            Format::Metadata(meta, _) => bytes(&partial(object, meta)),
            Format::Table(of) => {
                let meta = version(object.revision.0);
                bytes(&self.table(of, meta, &[self.row(object, of)], true))
            }
        }
    }

    /// A list.
    pub(crate) fn list(&self, objects: &[Arc<Object>], meta: &ListMeta) -> Bytes {
        match self.format {
            Format::Json => self.plain_list(objects, meta),
            Format::Metadata(of, _) => bytes(&json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": of.api_version(),
                "metadata": meta.value(),
                "items": objects.iter().map(|object| partial(object, of)).collect::<Vec<_>>(),
            })),
            Format::Table(of) => {
                let rows: Vec<Value> = objects.iter().map(|object| self.row(object, of)).collect();
                bytes(&self.table(of, meta.value(), &rows, true))
            }
        }
    }

    fn plain_list(&self, objects: &[Arc<Object>], meta: &ListMeta) -> Bytes {
        let size: usize = objects.iter().map(|object| object.raw.len() + 1).sum();
        let mut list = Vec::with_capacity(size + 256);
        for chunk in self.clone().chunks(objects.to_vec(), meta) {
            list.extend_from_slice(&chunk);
        }
        list.into()
    }

    /// What a list begins with; `]}` ends it.
    fn list_head(&self, meta: &ListMeta) -> String {
        format!(
            "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{},\"items\":[",
            self.kind.list_name(),
            self.kind.api_version(),
            meta.value()
        )
    }

    /// A list in plain JSON in parts of about [`CHUNK_BYTES`], each made when it is asked for; a large object is one as it is.
    pub(crate) fn chunks(
        self,
        objects: Vec<Arc<Object>>,
        meta: &ListMeta,
    ) -> impl Iterator<Item = Bytes> + Send + use<> {
        let mut head = Some(self.list_head(meta));
        let mut objects = objects.into_iter();
        let mut ended = false;
        std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let mut pieces = Pieces::with_capacity(CHUNK_BYTES);
            let mut is_first = false;
            if let Some(head) = head.take() {
                pieces.text(head.as_bytes());
                is_first = true;
            }
            while !pieces.is_full() {
                let Some(object) = objects.next() else {
                    pieces.text(b"]}");
                    ended = true;
                    break;
                };
                if !std::mem::take(&mut is_first) {
                    pieces.text(b",");
                }
                pieces.bytes(self.object(&object));
            }
            Some(pieces.finish())
        })
        .flatten()
    }

    /// One object of a watch; only the first table has headers.
    pub(crate) fn watched(&self, object: &Object, first: bool) -> Bytes {
        match self.format {
            Format::Table(of) => {
                let meta = json!({"resourceVersion": object.revision.0.to_string()});
                bytes(&self.table(of, meta, &[self.row(object, of)], first))
            }
            _ => self.object(object),
        }
    }

    /// The object of a BOOKMARK event.
    pub(crate) fn bookmark(&self, revision: u64, initial_events_end: bool, first: bool) -> Bytes {
        let mut meta = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_events_end {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = |kind: &str, version: &str, meta: &Value| json!({"kind": kind, "apiVersion": version, "metadata": meta});
        match self.format {
            Format::Json => bytes(&object(self.kind.kind, &self.kind.api_version(), &meta)),
            Format::Metadata(of, _) => {
                bytes(&object("PartialObjectMetadata", of.api_version(), &meta))
            }
            Format::Table(of) => {
                let cells: Vec<Value> = self.columns().iter().map(|_| json!("")).collect();
                let held = object("PartialObjectMetadata", of.api_version(), &meta);
                let row = json!({"cells": cells, "object": held});
                bytes(&self.table(
                    of,
                    json!({"resourceVersion": revision.to_string()}),
                    &[row],
                    first,
                ))
            }
        }
    }

    fn table(&self, of: Meta, meta: Value, rows: &[Value], headers: bool) -> Value {
        let columns = if headers { self.columns() } else { Vec::new() };
        json!({
            "kind": "Table",
            "apiVersion": of.api_version(),
            "metadata": meta,
            "columnDefinitions": columns,
            "rows": rows,
        })
    }

    fn columns(&self) -> Vec<Value> {
        if let Some(custom) = &self.custom {
            return custom.version.columns.definitions().to_vec();
        }
        let column = |column: &table::Column| {
            json!({
                "name": column.name,
                "type": column.kind,
                "format": column.format,
                "description": column.description,
                "priority": column.priority,
            })
        };
        table::columns(self.kind.storage())
            .iter()
            .map(column)
            .collect()
    }

    fn cells(&self, value: &Value) -> Vec<Value> {
        match &self.custom {
            Some(custom) => custom.version.columns.cells(value, self.now),
            // A view has the columns of what is stored.
            None => table::cells(self.kind.storage(), value, self.now),
        }
    }

    /// False for an object that is stored as another kind, or in another version, than it is shown as.
    fn is_own(&self, object: &Object) -> bool {
        kinds::is_of(object, self.kind)
    }

    /// An object in this version, or as the kind has it that a view shows.
    fn value(&self, object: &Object) -> Value {
        kinds::shown(self.custom.as_deref(), object)
    }

    fn row(&self, object: &Object, of: Meta) -> Value {
        let stored = self.value(object);
        let cells = self.cells(&stored);
        let mut row = json!({"cells": cells});
        if let Some(conditions) = table::conditions(self.kind, &stored) {
            row["conditions"] = conditions;
        }
        match self.include {
            Include::None => {}
            Include::Metadata => row["object"] = partial(object, of),
            Include::Object => row["object"] = view::shown(self.kind, stored),
        }
        row
    }
}

/// What the metadata of a list say of its version: nothing where there is none.
fn version(revision: u64) -> Value {
    match revision {
        0 => json!({}),
        revision => json!({"resourceVersion": revision.to_string()}),
    }
}

fn partial(object: &Object, of: Meta) -> Value {
    let mut meta = object.value();
    let meta = meta
        .get_mut("metadata")
        .map(Value::take)
        .unwrap_or_default();
    json!({"kind": "PartialObjectMetadata", "apiVersion": of.api_version(), "metadata": meta})
}

fn bytes(value: &Value) -> Bytes {
    to_json(value).into()
}
