//! Volumes, claims and their classes and drivers.

use super::{if_map, in_map, resources, set, volume_source};
use serde_json::{Map, Value, json};

pub(super) fn volume(object: &mut Map<String, Value>) {
    in_map(object, "spec", |spec| {
        set(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
        set(spec, "volumeMode", json!("Filesystem"));
        volume_source::apply(spec);
        resources::round_up(spec, "capacity");
    });
    in_map(object, "status", |status| {
        set(status, "phase", json!("Pending"));
    });
}

pub(super) fn claim(object: &mut Map<String, Value>) {
    in_map(object, "spec", claim_spec);
    in_map(object, "status", |status| {
        set(status, "phase", json!("Pending"));
        room(status);
    });
}

/// Of a claim, and of a template of one.
pub(super) fn claim_spec(spec: &mut Map<String, Value>) {
    set(spec, "volumeMode", json!("Filesystem"));
    if_map(spec, "resources", resources::round_up_both);
}

/// Of a claim's status: what it has, and what it may have.
pub(super) fn room(status: &mut Map<String, Value>) {
    resources::round_up(status, "capacity");
    resources::round_up(status, "allocatedResources");
}

pub(super) fn class(object: &mut Map<String, Value>) {
    set(object, "reclaimPolicy", json!("Delete"));
    set(object, "volumeBindingMode", json!("Immediate"));
}

pub(super) fn driver(spec: &mut Map<String, Value>) {
    set(spec, "attachRequired", json!(true));
    set(spec, "podInfoOnMount", json!(false));
    set(spec, "storageCapacity", json!(false));
    set(spec, "requiresRepublish", json!(false));
    set(spec, "seLinuxMount", json!(false));
    set(spec, "fsGroupPolicy", json!("ReadWriteOnceWithFSType"));
    let none = spec
        .get("volumeLifecycleModes")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty);
    if none {
        spec.insert("volumeLifecycleModes".to_owned(), json!(["Persistent"]));
    }
}
