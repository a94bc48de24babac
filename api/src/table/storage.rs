//! Volumes, claims, classes and drivers.

use super::{AGE, Column, NAME, column, flag, or_none, plain, quantity, text};
use crate::KindRef;
use serde_json::{Value, json};

const VOLUME: &[Column] = &[
    NAME,
    column("Capacity", "string", 0),
    column("Access Modes", "string", 0),
    column("Reclaim Policy", "string", 0),
    column("Status", "string", 0),
    column("Claim", "string", 0),
    column("StorageClass", "string", 0).about("StorageClass of the pv"),
    column("VolumeAttributesClass", "string", 0).about("VolumeAttributesClass of the pv"),
    column("Reason", "string", 0),
    AGE,
    column("VolumeMode", "string", 1),
];
const CLAIM: &[Column] = &[
    NAME,
    column("Status", "string", 0),
    column("Volume", "string", 0),
    column("Capacity", "string", 0),
    column("Access Modes", "string", 0),
    column("StorageClass", "string", 0).about("StorageClass of the pvc"),
    column("VolumeAttributesClass", "string", 0).about("VolumeAttributesClass of the pvc"),
    AGE,
    column("VolumeMode", "string", 1),
];
const CLASS: &[Column] = &[
    NAME,
    column("Provisioner", "string", 0),
    column("ReclaimPolicy", "string", 0),
    column("VolumeBindingMode", "string", 0),
    column("AllowVolumeExpansion", "string", 0),
    AGE,
];
const ATTACHMENT: &[Column] = &[
    NAME,
    Column {
        format: "name",
        ..column("Attacher", "string", 0)
    },
    column("PV", "string", 0),
    column("Node", "string", 0),
    column("Attached", "boolean", 0),
    AGE,
];
const DRIVER: &[Column] = &[
    NAME,
    column("AttachRequired", "boolean", 0),
    column("PodInfoOnMount", "boolean", 0),
    column("StorageCapacity", "boolean", 0),
    column("TokenRequests", "string", 0),
    column("RequiresRepublish", "boolean", 0),
    column("Modes", "string", 0),
    AGE,
];
const NODE: &[Column] = &[
    NAME,
    column("Drivers", "integer", 0)
        .about("Drivers indicates the number of CSI drivers registered on the node"),
    AGE,
];
const CAPACITY: &[Column] = &[
    NAME,
    column("StorageClassName", "string", 0),
    column("Capacity", "string", 0),
];
const ATTRIBUTES_CLASS: &[Column] = &[NAME, column("DriverName", "string", 0), AGE];

pub(super) fn columns(kind: KindRef) -> &'static [Column] {
    match kind.kind {
        "PersistentVolume" => VOLUME,
        "PersistentVolumeClaim" => CLAIM,
        "StorageClass" => CLASS,
        "VolumeAttachment" => ATTACHMENT,
        "CSIDriver" => DRIVER,
        "CSINode" => NODE,
        "CSIStorageCapacity" => CAPACITY,
        _ => ATTRIBUTES_CLASS,
    }
}

pub(super) fn cells(kind: KindRef, object: &Value, age: Value) -> Vec<Value> {
    let name = json!(text(object, "/metadata/name"));
    match kind.kind {
        "PersistentVolume" => volume(object, name, age),
        "PersistentVolumeClaim" => claim(object, name, age),
        "StorageClass" => vec![
            json!(with_default(object, &["storageclass", "storageclass.beta"])),
            json!(text(object, "/provisioner")),
            json!(plain(&object["reclaimPolicy"], "Delete")),
            json!(plain(&object["volumeBindingMode"], "Immediate")),
            flag(object, "/allowVolumeExpansion"),
            age,
        ],
        "VolumeAttachment" => vec![
            name,
            json!(text(object, "/spec/attacher")),
            json!(text(object, "/spec/source/persistentVolumeName")),
            json!(text(object, "/spec/nodeName")),
            flag(object, "/status/attached"),
            age,
        ],
        "CSIDriver" => driver(object, name, age),
        "CSINode" => {
            let drivers = object["spec"]["drivers"].as_array().map_or(0, Vec::len);
            vec![name, json!(drivers), age]
        }
        "CSIStorageCapacity" => vec![
            name,
            json!(text(object, "/storageClassName")),
            json!(quantity(&object["capacity"], "<unset>")),
        ],
        _ => vec![
            json!(with_default(object, &["volumeattributesclass.alpha"])),
            json!(text(object, "/driverName")),
            age,
        ],
    }
}

/// The name of a class, and whether one of its marks says that it is the default one.
fn with_default(object: &Value, marks: &[&str]) -> String {
    let name = text(object, "/metadata/name");
    let annotations = &object["metadata"]["annotations"];
    let is_marked = |mark: &&str| {
        let annotation = format!("{mark}.kubernetes.io/is-default-class");
        annotations[annotation.as_str()] == "true"
    };
    if marks.iter().any(is_marked) {
        format!("{name} (default)")
    } else {
        name.to_owned()
    }
}

/// Modes by their short names, each once.
fn access_modes(modes: &Value) -> String {
    let asked = |mode: &str| {
        modes
            .as_array()
            .is_some_and(|modes| modes.iter().any(|m| m == mode))
    };
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let shown: Vec<&str> = known
        .iter()
        .filter(|(mode, _)| asked(mode))
        .map(|(_, short)| *short)
        .collect();
    shown.join(",")
}

fn phase(object: &Value) -> &str {
    if object["metadata"]["deletionTimestamp"].is_null() {
        text(object, "/status/phase")
    } else {
        "Terminating"
    }
}

fn class_of(object: &Value) -> String {
    let annotation = &object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    match annotation.as_str() {
        Some(class) => class.to_owned(),
        None => text(object, "/spec/storageClassName").to_owned(),
    }
}

fn volume(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let spec = &object["spec"];
    let claim = match &spec["claimRef"] {
        Value::Null => String::new(),
        claim => format!("{}/{}", text(claim, "/namespace"), text(claim, "/name")),
    };
    vec![
        name,
        json!(quantity(&spec["capacity"]["storage"], "0")),
        json!(access_modes(&spec["accessModes"])),
        json!(text(spec, "/persistentVolumeReclaimPolicy")),
        json!(phase(object)),
        json!(claim),
        json!(class_of(object)),
        json!(plain(&spec["volumeAttributesClassName"], "<unset>")),
        json!(text(object, "/status/reason")),
        age,
        json!(plain(&spec["volumeMode"], "<unset>")),
    ]
}

fn claim(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let bound = !text(spec, "/volumeName").is_empty();
    let (capacity, modes) = if bound {
        let capacity = quantity(&status["capacity"]["storage"], "0");
        (capacity, access_modes(&status["accessModes"]))
    } else {
        (String::new(), String::new())
    };
    vec![
        name,
        json!(phase(object)),
        json!(text(spec, "/volumeName")),
        json!(capacity),
        json!(modes),
        json!(class_of(object)),
        json!(plain(&spec["volumeAttributesClassName"], "<unset>")),
        age,
        json!(plain(&spec["volumeMode"], "<unset>")),
    ]
}

fn driver(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let spec = &object["spec"];
    let attach = spec["attachRequired"] != json!(false);
    // As upstream stores it: an empty list is none.
    let requests = spec["tokenRequests"].as_array();
    let requests = requests.filter(|requests| !requests.is_empty());
    let audiences = requests.map(|requests| {
        let audiences = requests.iter().map(|request| text(request, "/audience"));
        audiences.collect::<Vec<_>>().join(",")
    });
    let modes = spec["volumeLifecycleModes"].as_array();
    let modes: Vec<&str> = modes
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    vec![
        name,
        json!(attach),
        flag(spec, "/podInfoOnMount"),
        flag(spec, "/storageCapacity"),
        json!(audiences.unwrap_or_else(|| "<unset>".to_owned())),
        flag(spec, "/requiresRepublish"),
        json!(or_none(modes.join(","))),
        age,
    ]
}
