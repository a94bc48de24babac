//! Defaults of a schema: valid themselves, and without unknown fields.

use crate::{
    crd::{
        cause::invalid,
        cel::rules,
        embedded,
        path::Path,
        structural::Node,
        value::{self, CAUSES_MAX},
    },
    status::Cause,
};

/// What is wrong with the defaults of a schema. Those below `additionalProperties` have no place of
/// their own and are not looked at.
pub(super) fn validate(node: &Node, path: Path<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(node, path, &mut causes);
    causes
}

fn walk(node: &Node, path: Path<'_>, causes: &mut Vec<Cause>) {
    if causes.len() >= CAUSES_MAX {
        return;
    }
    one(node, path.field("default"), causes);
    if let Some(items) = &node.items {
        walk(items, path.field("items"), causes);
    }
    let properties = path.field("properties");
    for (name, property) in &node.properties {
        walk(property, properties.key(name), causes);
    }
}

fn one(node: &Node, path: Path<'_>, causes: &mut Vec<Cause>) {
    let Some(default) = node.default.as_deref() else {
        return;
    };
    let mut pruned = default.clone();
    node.prune(&mut pruned);
    if pruned != *default {
        causes.push(invalid(path, default, "must not have unknown fields"));
    }
    let before = causes.len();
    embedded::walk(node, default, path, causes);
    if causes.len() > before {
        return;
    }
    let mut found = value::validate(node, default, None, Path::ROOT);
    value::place_below(&path.to_string(), &mut found);
    if found.is_empty() {
        // As it is when nothing changes, and as it is when it is new.
        rules::validate(node, default, Some(default), path, &mut found);
        if found.is_empty() {
            rules::validate(node, default, None, path, &mut found);
        }
    }
    causes.append(&mut found);
}
