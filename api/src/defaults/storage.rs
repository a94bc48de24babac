//! Volumes, claims and their classes and drivers.

use super::{if_map, in_map, set};
use serde_json::{Map, Value, json};

pub(super) fn volume(object: &mut Map<String, Value>) {
    in_map(object, "spec", |spec| {
        set(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
        set(spec, "volumeMode", json!("Filesystem"));
        if_map(spec, "hostPath", |path| set(path, "type", json!("")));
    });
    in_map(object, "status", |status| {
        set(status, "phase", json!("Pending"));
    });
}

pub(super) fn claim(object: &mut Map<String, Value>) {
    in_map(object, "spec", |spec| {
        set(spec, "volumeMode", json!("Filesystem"));
    });
    in_map(object, "status", |status| {
        set(status, "phase", json!("Pending"));
    });
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
