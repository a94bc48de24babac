//! Sources of volumes that a pod and a PersistentVolume have alike.
//!
//! Source: k8s.io/api `core/v1/types.go`, the marks `+default` of volume sources.

use super::{if_map, set};
use serde_json::{Map, Value, json};

/// Fills in what the sources of a volume leave out.
pub(super) fn apply(volume: &mut Map<String, Value>) {
    if_map(volume, "hostPath", |path| set(path, "type", json!("")));
    if_map(volume, "iscsi", |target| {
        set(target, "iscsiInterface", json!("default"));
    });
    if_map(volume, "rbd", |image| {
        set(image, "pool", json!("rbd"));
        set(image, "user", json!("admin"));
        set(image, "keyring", json!("/etc/ceph/keyring"));
    });
    if_map(volume, "azureDisk", |disk| {
        set(disk, "cachingMode", json!("ReadWrite"));
        set(disk, "fsType", json!("ext4"));
        set(disk, "readOnly", json!(false));
        set(disk, "kind", json!("Shared"));
    });
    if_map(volume, "scaleIO", |volume| {
        set(volume, "storageMode", json!("ThinProvisioned"));
        set(volume, "fsType", json!("xfs"));
    });
}
