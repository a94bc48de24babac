//! Dropping what a schema does not know.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/apiserver/schema/pruning` and `.../objectmeta`. An
//! object's own `apiVersion`, `kind` and `metadata` are never touched here, except that fields which
//! no metadata has are dropped from that of embedded resources, and nulls in it are read as in any metadata.

use super::structural::{Additional, Node, Structural};
use crate::schema::fill_nulls_of_metadata;
use serde_json::{Map, Value};
use std::mem;

/// Paths of dropped fields that are reported; more are dropped all the same.
pub const DROPPED_PATHS_MAX: usize = 1_000;

pub(super) const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];
/// Fields of `metadata`.
const OBJECT_META: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

impl Structural {
    /// Drops the fields that the schema does not know. Returns their paths, sorted, so that strict
    /// validation can say `unknown field "spec.foo"`.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut pruner = Pruner::default();
        pruner.resource(object, &self.root);
        pruner.dropped.sort();
        pruner.dropped
    }
}

impl Node {
    /// Drops what this schema does not know of a value that is not a whole object.
    pub(super) fn prune(&self, value: &mut Value) {
        Pruner::default().value(value, Some(self));
    }
}

#[derive(Debug, Default)]
struct Pruner {
    path: String,
    dropped: Vec<String>,
}

impl Pruner {
    /// The root of an object: its type and metadata stay.
    fn resource(&mut self, object: &mut Value, node: &Node) {
        if let Value::Object(fields) = object {
            self.fields(fields, node, true);
        }
    }

    fn value(&mut self, value: &mut Value, node: Option<&Node>) {
        match (value, node) {
            (Value::Object(fields), Some(node)) => self.fields(fields, node, node.embedded),
            (Value::Object(fields), None) => {
                for name in mem::take(fields).keys() {
                    self.record(name);
                }
            }
            (Value::Array(items), node) => {
                // Below a list whose unknown fields are kept, items without a schema are kept too.
                let schema = node.and_then(|node| node.items.as_deref());
                if schema.is_none() && node.is_some_and(|node| node.preserve) {
                    return;
                }
                for (index, item) in items.iter_mut().enumerate() {
                    self.below_index(index, |this| this.value(item, schema));
                }
            }
            _ => {}
        }
    }

    fn fields(&mut self, fields: &mut Map<String, Value>, node: &Node, is_resource: bool) {
        if is_resource && node.embedded {
            self.embedded_metadata(fields);
        }
        let mut unknown = Vec::new();
        for (name, value) in fields.iter_mut() {
            if is_resource && META_FIELDS.contains(&name.as_str()) {
                continue;
            }
            let known = node.properties.get(name);
            match (&node.additional, known) {
                (_, Some(property)) => self.below(name, |this| this.value(value, Some(property))),
                (Additional::Schema(schema), _) => {
                    self.below(name, |this| this.value(value, Some(schema)));
                }
                (Additional::Allowed(_), _) if !node.preserve => {
                    self.below(name, |this| this.value(value, None));
                }
                _ if node.preserve => {}
                _ => unknown.push(name.clone()),
            }
        }
        for name in unknown {
            let _dropped = fields.remove(&name);
            self.record(&name);
        }
    }

    fn embedded_metadata(&mut self, fields: &mut Map<String, Value>) {
        let Some(meta) = fields.get_mut("metadata") else {
            return;
        };
        fill_nulls_of_metadata(meta);
        let Value::Object(meta) = meta else {
            return;
        };
        let unknown: Vec<String> = meta
            .keys()
            .filter(|name| !OBJECT_META.contains(&name.as_str()))
            .cloned()
            .collect();
        for name in unknown {
            let _dropped = meta.remove(&name);
            self.below("metadata", |this| this.record(&name));
        }
    }

    fn record(&mut self, name: &str) {
        if self.dropped.len() < DROPPED_PATHS_MAX {
            self.below(name, |this| this.dropped.push(this.path.clone()));
        }
    }

    fn below(&mut self, name: &str, then: impl FnOnce(&mut Self)) {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        then(self);
        self.path.truncate(before);
    }

    fn below_index(&mut self, index: usize, then: impl FnOnce(&mut Self)) {
        let before = self.path.len();
        self.path.push_str(&format!("[{index}]"));
        then(self);
        self.path.truncate(before);
    }
}
