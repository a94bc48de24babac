//! Volumes, claims, classes, drivers and attachments.

use super::{elements, meta, rules, text};
use crate::{KindRef, status::Cause};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];
/// Fields of a volume's spec that are not where it is.
const NOT_SOURCES: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];
/// Longest name of a CSI driver.
const DRIVER_NAME_MAX: usize = 63;
/// Longest id of a node by a CSI driver, bytes.
const NODE_ID_MAX: usize = 256;

pub(super) fn spec(kind: KindRef, object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    match kind.kind {
        "StorageClass" => class(object, causes),
        "VolumeAttachment" => attachment(spec, causes),
        "CSIDriver" => driver(object, causes),
        "CSINode" => node(spec, causes),
        "CSIStorageCapacity" => capacity(object, causes),
        _ => attributes_class(object, causes),
    }
}

pub(super) fn changed(kind: KindRef, new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let mut forbidden = |fields: &[&str]| {
        for field in fields {
            let absent = rules::is_absent(&new[*field]) && rules::is_absent(&old[*field]);
            if new[*field] != old[*field] && !absent {
                let detail = format!("updates to {field} are forbidden.");
                causes.push(Cause::forbidden(*field, &detail));
            }
        }
    };
    match kind.kind {
        "StorageClass" => {
            forbidden(&["parameters", "provisioner", "reclaimPolicy"]);
            rules::unchanged(new, old, "volumeBindingMode", causes);
        }
        "VolumeAttributesClass" => forbidden(&["driverName", "parameters"]),
        "VolumeAttachment" => rules::unchanged(new, old, "spec", causes),
        "CSIStorageCapacity" => {
            rules::unchanged(new, old, "nodeTopology", causes);
            rules::unchanged(new, old, "storageClassName", causes);
        }
        "CSIDriver" => {
            let (new, old) = (&new["spec"], &old["spec"]);
            let attach = (&new["attachRequired"], &old["attachRequired"]);
            rules::immutable(attach.0, attach.1, "spec.attachedRequired", causes);
            let modes = (&new["volumeLifecycleModes"], &old["volumeLifecycleModes"]);
            rules::immutable(modes.0, modes.1, "spec.volumeLifecycleModes", causes);
        }
        _ => {}
    }
}

fn access_modes(spec: &Value, path: &str, detail: &str, causes: &mut Vec<Cause>) {
    let field = format!("{path}.accessModes");
    let modes = spec["accessModes"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if modes.is_empty() {
        causes.push(Cause::required(field, detail));
        return;
    }
    let known = |mode: &&Value| {
        mode.as_str()
            .is_some_and(|mode| ACCESS_MODES.contains(&mode))
    };
    for mode in modes.iter().filter(|mode| !known(mode)) {
        causes.push(Cause::unsupported(field.clone(), mode, &ACCESS_MODES));
    }
    if modes.iter().any(|mode| mode == "ReadWriteOncePod") && modes.iter().filter(known).count() > 1
    {
        let detail = "may not use ReadWriteOncePod with other access modes";
        causes.push(Cause::forbidden(field, detail));
    }
}

fn storage(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if rules::quantity(value, path, causes) == Some(0) {
        causes.push(Cause::invalid(path, value, "must be greater than zero"));
    }
}

pub(super) fn volume(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    access_modes(spec, path, "", causes);
    let capacity = &spec["capacity"];
    let field = format!("{path}.capacity");
    if rules::is_absent(capacity) {
        causes.push(Cause::required(field, ""));
    } else if capacity["storage"].is_null() || capacity.as_object().is_some_and(|c| c.len() > 1) {
        causes.push(Cause::unsupported(field, capacity, &["storage"]));
    } else {
        storage(&capacity["storage"], &format!("{field}[storage]"), causes);
    }
    let policies = ["Delete", "Recycle", "Retain"];
    rules::one_of(
        spec,
        "persistentVolumeReclaimPolicy",
        &policies,
        path,
        causes,
    );
    rules::one_of(spec, "volumeMode", &VOLUME_MODES, path, causes);
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        rules::subdomain(class, format!("{path}.storageClassName"), causes);
    }
    let sources = sources(spec);
    if sources.is_empty() {
        causes.push(Cause::required(path, "must specify a volume type"));
    }
    for (name, source) in sources.iter().take(1) {
        volume_source(name, source, path, causes);
    }
    for (name, _) in sources.iter().skip(1) {
        let detail = "may not specify more than 1 volume type";
        causes.push(Cause::forbidden(format!("{path}.{name}"), detail));
    }
    if !spec["local"].is_null() && spec["nodeAffinity"].is_null() {
        let detail = "Local volume requires node affinity";
        causes.push(Cause::required(format!("{path}.nodeAffinity"), detail));
    }
}

fn sources(spec: &Value) -> Map<String, Value> {
    let mut sources = spec.as_object().cloned().unwrap_or_default();
    sources.retain(|field, value| !NOT_SOURCES.contains(&field.as_str()) && !value.is_null());
    sources
}

fn volume_source(name: &str, source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let fields: &[&str] = match name {
        "hostPath" | "local" => &["path"],
        "nfs" => &["server", "path"],
        "csi" => &["driver", "volumeHandle"],
        _ => &[],
    };
    let path = format!("{path}.{name}");
    for field in fields {
        rules::required(source, field, &path, causes);
    }
    if text(source, "path").split('/').any(|part| part == "..") {
        let (field, value) = (format!("{path}.path"), &source["path"]);
        causes.push(Cause::invalid(field, value, "must not contain '..'"));
    }
}

pub(super) fn volume_changed(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (new, old) = (&new["spec"], &old["spec"]);
    if sources(new) != sources(old) {
        let detail = "spec.persistentvolumesource is immutable after creation";
        causes.push(Cause::forbidden("spec.persistentvolumesource", detail));
    }
    rules::immutable(&new["volumeMode"], &old["volumeMode"], "volumeMode", causes);
    let (affinity, before) = (&new["nodeAffinity"], &old["nodeAffinity"]);
    if !before.is_null() {
        rules::immutable(affinity, before, "nodeAffinity", causes);
    }
}

pub(super) fn claim(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    access_modes(spec, path, "at least 1 access mode is required", causes);
    rules::selector(&spec["selector"], &format!("{path}.selector"), causes);
    let wanted = &spec["resources"]["requests"]["storage"];
    let field = format!("{path}.resources[storage]");
    if wanted.is_null() {
        causes.push(Cause::required(field, ""));
    } else {
        storage(wanted, &field, causes);
    }
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        rules::subdomain(class, format!("{path}.storageClassName"), causes);
    }
    rules::one_of(spec, "volumeMode", &VOLUME_MODES, path, causes);
    for field in ["dataSource", "dataSourceRef"] {
        let source = &spec[field];
        if source.is_null() {
            continue;
        }
        let path = format!("{path}.{field}");
        rules::required(source, "name", &path, causes);
        rules::required(source, "kind", &path, causes);
        let kind = text(source, "kind");
        if text(source, "apiGroup").is_empty() && kind != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            causes.push(Cause::invalid(path, &json!(kind), detail));
        }
    }
}

/// A volume is given once; a bound claim may grow.
pub(super) fn claim_changed(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let bound = old["status"]["phase"] == "Bound";
    let before = &old["spec"];
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        let Some(fields) = spec.as_object_mut() else {
            return spec;
        };
        for field in ["volumeName", "storageClassName"] {
            if before[field].is_null() {
                fields.remove(field);
            }
        }
        if bound {
            fields.remove("volumeAttributesClassName");
            spec["resources"]["requests"]["storage"] = Value::Null;
        }
        spec
    };
    if fixed(new) != fixed(old) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        causes.push(Cause::forbidden("spec", detail));
    }
    let size = |spec: &Value| {
        let wanted = &spec["resources"]["requests"]["storage"];
        rules::quantity(wanted, "", &mut Vec::new()).unwrap_or(0)
    };
    if bound && size(&new["spec"]) < size(before) {
        let detail = "field can not be less than status.capacity";
        causes.push(Cause::forbidden("spec.resources.requests.storage", detail));
    }
}

fn class(object: &Value, causes: &mut Vec<Cause>) {
    if rules::required(object, "provisioner", "", causes) {
        let provisioner = text(object, "provisioner").to_lowercase();
        if !super::is_qualified_name(&provisioner) {
            let (value, detail) = (json!(provisioner), meta::QUALIFIED_MESSAGE);
            causes.push(Cause::invalid("provisioner", &value, detail));
        }
    }
    rules::one_of(object, "reclaimPolicy", &["Delete", "Retain"], "", causes);
    let modes = ["Immediate", "WaitForFirstConsumer"];
    rules::one_of(object, "volumeBindingMode", &modes, "", causes);
}

fn attachment(spec: &Value, causes: &mut Vec<Cause>) {
    rules::required(spec, "attacher", "spec", causes);
    let source = &spec["source"];
    let inline = !source["inlineVolumeSpec"].is_null();
    let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (inline, source["persistentVolumeName"].as_str()) {
        (false, None) => causes.push(Cause::required("spec.source", detail)),
        (true, Some(_)) => causes.push(Cause::forbidden("spec.source", detail)),
        (false, Some("")) => causes.push(Cause::required(
            "spec.source.persistentVolumeName",
            "must specify non empty persistentVolumeName",
        )),
        (false, Some(name)) => {
            let path = "spec.source.persistentVolumeName".to_owned();
            rules::subdomain(name, path, causes);
        }
        (true, None) => {}
    }
    rules::subdomain(text(spec, "nodeName"), "spec.nodeName".to_owned(), causes);
}

pub(super) fn driver_name(name: &str, path: &str, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        causes.push(Cause::required(path, ""));
    } else if name.len() > DRIVER_NAME_MAX {
        causes.push(Cause::too_long(path, DRIVER_NAME_MAX));
    } else {
        rules::subdomain(&name.to_lowercase(), path.to_owned(), causes);
    }
}

fn driver(object: &Value, causes: &mut Vec<Cause>) {
    let (spec, name) = (&object["spec"], text(&object["metadata"], "name"));
    if name.len() > DRIVER_NAME_MAX {
        causes.push(Cause::too_long("metadata.name", DRIVER_NAME_MAX));
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    rules::one_of(spec, "fsGroupPolicy", &policies, "spec", causes);
    for (_, mode) in elements(spec, "volumeLifecycleModes", "spec") {
        let known = ["Ephemeral", "Persistent"];
        if !mode.as_str().is_some_and(|mode| known.contains(&mode)) {
            causes.push(Cause::unsupported(
                "spec.volumeLifecycleModes",
                mode,
                &known,
            ));
        }
    }
}

fn node(spec: &Value, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (path, driver) in elements(spec, "drivers", "spec") {
        let name = text(driver, "name");
        driver_name(name, &format!("{path}.name"), causes);
        if rules::required(driver, "nodeID", &path, causes) {
            let id = text(driver, "nodeID");
            if id.len() > NODE_ID_MAX {
                let detail = format!("must be {NODE_ID_MAX} characters or less");
                let path = format!("{path}.nodeID");
                causes.push(Cause::invalid(path, &json!(id), &detail));
            }
        }
        let allocatable = format!("{path}.allocatable");
        rules::not_negative(&driver["allocatable"], &["count"], &allocatable, causes);
        if !seen.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
        }
    }
}

fn capacity(object: &Value, causes: &mut Vec<Cause>) {
    let class = text(object, "storageClassName");
    rules::subdomain(class, "storageClassName".to_owned(), causes);
    for field in ["capacity", "maximumVolumeSize"] {
        if !object[field].is_null() {
            rules::quantity(&object[field], field, causes);
        }
    }
    rules::selector(&object["nodeTopology"], "nodeTopology", causes);
}

fn attributes_class(object: &Value, causes: &mut Vec<Cause>) {
    driver_name(text(object, "driverName"), "driverName", causes);
    if rules::is_absent(&object["parameters"]) {
        let detail = "must contain at least one key/value pair";
        causes.push(Cause::required("parameters", detail));
    }
}
