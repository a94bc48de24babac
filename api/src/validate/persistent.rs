//! PersistentVolumes, and those that an attachment has within it.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidatePersistentVolumeSpec` and
//! `ValidatePersistentVolumeUpdate`.

use super::{is_dns_label, meta, pod, rules, storage, text, volume};
use crate::{quantity::Quantity, status::Cause};
use serde_json::{Map, Value, json};

/// Where a volume is, in the order upstream looks at it.
const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];
/// Secrets of a driver that upstream looks at.
const DRIVER_SECRETS: [&str; 4] = [
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
];
/// Labels of nodes that have other names now.
const RENAMED: [(&str, &str); 5] = [
    (
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/zone",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/region",
    ),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    (
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
    ),
];
/// An initiator's name leaves less room for the volume's.
const PORTAL_MAX: usize = 64;

pub(super) fn volume(object: &Value, causes: &mut Vec<Cause>) {
    let (spec, path) = (&object["spec"], "spec");
    storage::access_modes(spec, path, "", causes);
    capacity(&spec["capacity"], causes);
    let policies = ["Delete", "Recycle", "Retain"];
    let field = "persistentVolumeReclaimPolicy";
    rules::one_of(spec, field, &policies, path, causes);
    node_affinity(&spec["nodeAffinity"], "spec.nodeAffinity", causes);
    sources(spec, text(&object["metadata"], "name"), path, causes);
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        rules::subdomain(class, format!("{path}.storageClassName"), causes);
    }
    let mode = &spec["volumeMode"];
    let modes = storage::VOLUME_MODES;
    if mode.as_str().is_some_and(|mode| !modes.contains(&mode)) {
        causes.push(Cause::unsupported("spec.volumeMode", mode, &modes));
    }
    attributes_class(spec, path, causes);
}

/// One that is written where it is used: it says only where it is.
pub(super) fn inline(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let detail = "may not be specified in the context of inline volumes";
    let at = |field: &str| format!("{path}.{field}");
    for field in ["claimRef", "capacity"] {
        if !rules::is_absent(&spec[field]) {
            causes.push(Cause::forbidden(at(field), detail));
        }
    }
    if spec["csi"].is_null() {
        let detail = "has to be specified in the context of inline volumes";
        causes.push(Cause::required(at("csi"), detail));
    }
    storage::access_modes(spec, path, "", causes);
    let field = "persistentVolumeReclaimPolicy";
    if !matches!(text(spec, field), "" | "Retain") {
        let detail = "may only be Retain in the context of inline volumes";
        causes.push(Cause::forbidden(at(field), detail));
    }
    if !spec["nodeAffinity"].is_null() {
        causes.push(Cause::forbidden(at("nodeAffinity"), detail));
    }
    sources(spec, "", path, causes);
    if !text(spec, "storageClassName").is_empty() {
        causes.push(Cause::forbidden(at("storageClassName"), detail));
    }
    if !matches!(text(spec, "volumeMode"), "" | "Filesystem") {
        let detail =
            "may not specify volumeMode other than Filesystem in the context of inline volumes";
        causes.push(Cause::forbidden(at("volumeMode"), detail));
    }
    attributes_class(spec, path, causes);
}

fn capacity(capacity: &Value, causes: &mut Vec<Cause>) {
    let path = "spec.capacity";
    if rules::is_absent(capacity) {
        causes.push(Cause::required(path, ""));
    }
    let amounts = capacity.as_object();
    if capacity["storage"].is_null() || amounts.is_some_and(|amounts| amounts.len() > 1) {
        causes.push(Cause::unsupported(path, capacity, &["storage"]));
    }
    for (name, amount) in amounts.into_iter().flatten() {
        let path = format!("{path}[{name}]");
        if let Ok(amount) = Quantity::read(amount)
            && amount.value() < 0
        {
            let whole = i64::try_from(amount.value()).unwrap_or(i64::MIN);
            let detail = "must be a valid resource quantity";
            causes.push(Cause::invalid(&*path, &json!(whole), detail));
        }
        storage::positive(amount, &path, causes);
    }
}

fn node_affinity(affinity: &Value, path: &str, causes: &mut Vec<Cause>) {
    if affinity.is_null() {
        return;
    }
    let (required, path) = (&affinity["required"], format!("{path}.required"));
    if required.is_null() {
        let detail = "must specify required node constraints";
        causes.push(Cause::required(path, detail));
    } else {
        pod::node_selector(required, &path, causes);
    }
}

fn sources(spec: &Value, name: &str, path: &str, causes: &mut Vec<Cause>) {
    let mut found = SOURCES
        .into_iter()
        .filter(|source| !spec[*source].is_null());
    match found.next() {
        None => causes.push(Cause::required(path, "must specify a volume type")),
        Some(first) => source(first, spec, name, path, causes),
    }
    for other in found {
        let field = match other {
            // Upstream is not as strict with this one.
            "flexVolume" => {
                source(other, spec, name, path, causes);
                continue;
            }
            "cephfs" => "cephFS",
            other => other,
        };
        let detail = "may not specify more than 1 volume type";
        causes.push(Cause::forbidden(format!("{path}.{field}"), detail));
    }
    let folder = text(&spec["hostPath"], "path");
    let field = "persistentVolumeReclaimPolicy";
    if is_root(folder) && text(spec, field) == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        causes.push(Cause::forbidden(format!("{path}.{field}"), detail));
    }
}

/// Whether a path leads to `/`, whichever way.
fn is_root(path: &str) -> bool {
    let mut depth = 0_usize;
    for part in path.split('/') {
        depth = match part {
            "" | "." => depth,
            ".." => depth.saturating_sub(1),
            _ => depth.saturating_add(1),
        };
    }
    path.starts_with('/') && depth == 0
}

fn source(kind: &str, spec: &Value, name: &str, path: &str, causes: &mut Vec<Cause>) {
    let (source, at) = (&spec[kind], format!("{path}.{kind}"));
    match kind {
        "csi" => driver(source, &at, causes),
        "local" => {
            if rules::required(source, "path", &at, causes) {
                rules::no_backsteps(text(source, "path"), &format!("{at}.path"), causes);
            }
        }
        // Upstream calls it so.
        "gcePersistentDisk" => {
            volume::of_persistent(kind, source, &format!("{path}.persistentDisk"), causes);
        }
        _ => volume::of_persistent(kind, source, &at, causes),
    }
    let secret = &source["secretRef"];
    match kind {
        "cinder" | "storageos" if !secret.is_null() => {
            rules::required(secret, "namespace", &format!("{at}.secretRef"), causes);
        }
        "iscsi" => portal(source, name, &at, causes),
        "azureFile" if source["secretNamespace"] == "" => {
            causes.push(Cause::required(format!("{at}.secretNamespace"), ""));
        }
        "glusterfs" => endpoints(source, &at, causes),
        "local" if spec["nodeAffinity"].is_null() => {
            let detail = "Local volume requires node affinity";
            causes.push(Cause::required(format!("{path}.nodeAffinity"), detail));
        }
        _ => {}
    }
}

fn portal(source: &Value, name: &str, path: &str, causes: &mut Vec<Cause>) {
    let portal = text(source, "targetPortal");
    let length = name.len() + 1 + portal.len();
    if !source["initiatorName"].is_null() && length > PORTAL_MAX {
        let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
        // Upstream's path.
        let path = format!("{path}.targetportal");
        causes.push(Cause::invalid(path, &json!(portal), detail));
    }
    let secret = &source["secretRef"];
    if !secret.is_null() {
        rules::required(secret, "name", &format!("{path}.secretRef"), causes);
    }
}

fn endpoints(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (namespace, path) = (
        &source["endpointsNamespace"],
        format!("{path}.endpointsNamespace"),
    );
    match namespace.as_str() {
        Some("") => {
            let detail = "if the endpointnamespace is set, it must be a valid namespace name";
            causes.push(Cause::invalid(path, namespace, detail));
        }
        Some(name) if !is_dns_label(name) => {
            causes.push(Cause::invalid(path, namespace, meta::LABEL_MESSAGE));
        }
        _ => {}
    }
}

fn driver(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    storage::driver_name(text(source, "driver"), &format!("{path}.driver"), causes);
    rules::required(source, "volumeHandle", path, causes);
    for field in DRIVER_SECRETS {
        let (secret, path) = (&source[field], format!("{path}.{field}"));
        if secret.is_null() {
            continue;
        }
        if rules::required(secret, "name", &path, causes) {
            rules::subdomain(text(secret, "name"), format!("{path}.name"), causes);
        }
        if rules::required(secret, "namespace", &path, causes) {
            let namespace = text(secret, "namespace");
            rules::label(namespace, format!("{path}.namespace"), causes);
        }
    }
}

fn attributes_class(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(class) = spec["volumeAttributesClassName"].as_str() else {
        return;
    };
    let field = format!("{path}.volumeAttributesClassName");
    if class.is_empty() {
        causes.push(Cause::required(field, "an empty string is disallowed"));
    } else {
        rules::subdomain(class, field, causes);
    }
    if spec["csi"].is_null() {
        let detail = "has to be specified when using volumeAttributesClassName";
        causes.push(Cause::required(format!("{path}.csi"), detail));
    }
}

/// Where a volume is does not change.
pub(super) fn changed(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (new, old) = (&new["spec"], &old["spec"]);
    let places = |spec: &Value| -> Map<String, Value> {
        let mut places = spec.as_object().cloned().unwrap_or_default();
        places.retain(|field, value| SOURCES.contains(&field.as_str()) && !value.is_null());
        places
    };
    let (mut now, before) = (places(new), places(old));
    // This one may be told later.
    let field = "controllerExpandSecretRef";
    let has = |places: &Map<String, Value>| {
        let driver = places.get("csi");
        driver.is_some_and(|driver| !driver[field].is_null())
    };
    if let Some(driver) = now.get_mut("csi").and_then(Value::as_object_mut)
        && !has(&before)
    {
        driver.remove(field);
    }
    if now != before {
        let detail = "spec.persistentvolumesource is immutable after creation";
        causes.push(Cause::forbidden("spec.persistentvolumesource", detail));
    }
    rules::immutable(&new["volumeMode"], &old["volumeMode"], "volumeMode", causes);
    let (affinity, before) = (&new["nodeAffinity"], &old["nodeAffinity"]);
    if !before.is_null() && renamed(affinity, before) != *affinity {
        let detail = format!(
            "{}, except for updating from beta label to GA",
            rules::IMMUTABLE
        );
        causes.push(Cause::invalid("nodeAffinity", affinity, &detail));
    }
    storage::kept_class(new, old, causes);
}

/// What was there, under the new names of labels where these stand now.
fn renamed(now: &Value, before: &Value) -> Value {
    match (now, before) {
        (Value::Array(now), Value::Array(before)) => {
            let none = Value::Null;
            let pairs = before.iter().enumerate();
            pairs
                .map(|(index, before)| renamed(now.get(index).unwrap_or(&none), before))
                .collect()
        }
        (Value::Object(now), Value::Object(before)) => {
            let none = Value::Null;
            let fields = before.iter().map(|(field, before)| {
                let now = now.get(field).unwrap_or(&none);
                let is_new_name =
                    field == "key" && RENAMED.iter().any(|(old, new)| before == old && now == new);
                let value = if is_new_name {
                    now.clone()
                } else {
                    renamed(now, before)
                };
                (field.clone(), value)
            });
            fields.collect::<Map<_, _>>().into()
        }
        _ => before.clone(),
    }
}
