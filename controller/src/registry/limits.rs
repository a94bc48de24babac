//! What a namespace's LimitRanges give to new pods, and have against pods and claims.
//!
//! Source: k8s.io/kubernetes `plugin/pkg/admission/limitranger`.

use super::strategy::key_of;
use crate::cache::Cache;
use coracle_api::{KindRef, StatusError, kind, limits};
use serde_json::Value;

fn ranges(cache: &Cache, of: KindRef, object: &Value) -> Vec<Value> {
    let namespace = key_of(of, object).namespace;
    let ranges = cache.list(kind::LIMIT_RANGE, Some(&namespace));
    ranges.iter().map(|range| range.value()).collect()
}

/// Gives a new pod, which has upstream's defaults, those of its namespace.
pub(super) fn set_defaults(cache: &Cache, pod: &mut Value) {
    let ranges = ranges(cache, kind::POD, pod);
    if ranges.is_empty() || !pod["spec"].is_object() {
        return;
    }
    for range in &ranges {
        limits::set_defaults(range, pod);
    }
}

/// Refuses what asks for too little or too much. Of a pod nothing that counts changes later.
pub(super) fn check(
    cache: &Cache,
    of: KindRef,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), StatusError> {
    let check = if of == kind::POD && old.is_none() {
        limits::check_pod
    } else if of == kind::PERSISTENT_VOLUME_CLAIM {
        limits::check_claim
    } else {
        return Ok(());
    };
    let name = key_of(of, new).name;
    for range in ranges(cache, of, new) {
        check(&range, new).map_err(|why| StatusError::forbidden(of, &name, &why))?;
    }
    Ok(())
}
