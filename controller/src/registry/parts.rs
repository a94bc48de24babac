//! THE table of parts: what a write to `/status`, `/approval` or `/finalize` leaves as it is.
//!
//! Such a write may change metadata too, but for what stands here. Source: k8s.io/kubernetes
//! `pkg/registry/*/*/strategy.go`, `PrepareForUpdate` and `GetResetFields` of the subresources' strategies;
//! k8s.io/apiextensions-apiserver `pkg/registry/customresource/status_strategy.go`.

use super::{Subresource, strategy::restore};
use coracle_api::{KindRef, kind};
use serde_json::{Value, json};

/// What clients may write of metadata.
const META: [&str; 4] = ["annotations", "finalizers", "labels", "ownerReferences"];

/// The metadata that a write to `/status` leaves.
fn kept_metadata(of: KindRef) -> &'static [&'static str] {
    if of.is_custom() || of == kind::VOLUME_ATTACHMENT {
        &META
    } else if of == kind::POD {
        // Old kubelets write owners in a way that breaks garbage collection.
        &["ownerReferences"]
    } else if of == kind::DEPLOYMENT {
        &["labels"]
    } else {
        &[]
    }
}

/// The fields that belong to a part, beside metadata.
fn fields(part: Subresource) -> &'static [&'static str] {
    match part {
        Subresource::Finalize => &["spec"],
        Subresource::Status | Subresource::Approval => &["status"],
        Subresource::None | Subresource::Scale => &[],
    }
}

/// What of `body`, an applied configuration, a write to the part leaves: a field, and one below it or nothing for all of it.
pub(super) fn leaves(of: KindRef, part: Subresource, body: &Value) -> Vec<(&str, &str)> {
    let mut left = Vec::new();
    match part {
        Subresource::Scale => return left,
        Subresource::None => {
            if of.status_split() {
                left.push(("status", ""));
            }
            return left;
        }
        Subresource::Status => {
            left.extend(kept_metadata(of).iter().map(|name| ("metadata", *name)));
        }
        Subresource::Approval => left.push(("status", "certificate")),
        Subresource::Finalize => {}
    }
    let names = body.as_object().into_iter().flatten();
    let names = names.map(|(name, _)| name.as_str());
    let belongs = |name: &str| {
        matches!(name, "apiVersion" | "kind" | "metadata") || fields(part).contains(&name)
    };
    left.extend(names.filter(|name| !belongs(name)).map(|name| (name, "")));
    left
}

/// The object with what `wanted` says of the part.
pub(super) fn merge(of: KindRef, part: Subresource, old: &Value, mut wanted: Value) -> Value {
    let mut new = old.clone();
    if !of.is_custom() {
        new["metadata"] = wanted["metadata"].take();
        let kept = match part {
            Subresource::Status => kept_metadata(of),
            _ => &[],
        };
        for name in kept {
            restore(&mut new["metadata"], &old["metadata"], name);
        }
    }
    if part == Subresource::Approval {
        // What was issued is told, and not approved.
        if !new["status"].is_object() {
            new["status"] = json!({});
        }
        restore(&mut new["status"], &wanted["status"], "conditions");
        return new;
    }
    for name in fields(part) {
        restore(&mut new, &wanted, name);
    }
    new
}
