//! Claims, classes, drivers and attachments.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `pkg/apis/storage/validation`.

use super::{elements, meta, persistent, rules, text};
use crate::{KindRef, quantity::Quantity, status::Cause};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
pub(super) const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];
/// Longest name of a CSI driver.
const DRIVER_NAME_MAX: usize = 63;
/// Longest id of a node by a CSI driver, bytes.
const NODE_ID_MAX: usize = 256;
/// Parameters of a class: how many, and all together, bytes.
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;
/// How long a token that a driver is given may be good for, seconds.
const TOKEN_SECS_MIN: i64 = 600;
const TOKEN_SECS_MAX: i64 = 1 << 32;
/// How often a node may be asked what it has room for, seconds.
const UPDATE_SECS_MIN: i64 = 10;

/// As upstream, of a class and of who attaches nothing is asked again that was taken once.
pub(super) fn spec(kind: KindRef, object: &Value, is_new: bool, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    match kind.kind {
        "StorageClass" if is_new => class(object, causes),
        "StorageClass" => {}
        "VolumeAttachment" => attachment(spec, is_new, causes),
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
        "CSINode" => node_changed(new, old, causes),
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

pub(super) fn access_modes(spec: &Value, path: &str, detail: &str, causes: &mut Vec<Cause>) {
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

/// A quantity that is more than nothing.
pub(super) fn positive(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match Quantity::read(value) {
        Err(error) => causes.push(Cause::invalid(path, value, &error.to_string())),
        Ok(quantity) if quantity.milli_value() <= 0 => {
            let value = json!(quantity.to_string());
            causes.push(Cause::invalid(path, &value, "must be greater than zero"));
        }
        Ok(_) => {}
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
        positive(wanted, &field, causes);
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
            causes.push(Cause::invalid(&*path, &json!(kind), detail));
        }
        let group = text(source, "apiGroup");
        if !group.is_empty() {
            rules::subdomain(group, format!("{path}.apiGroup"), causes);
        }
    }
    same_source(spec, path, causes);
    let class = text(spec, "volumeAttributesClassName");
    if !class.is_empty() {
        rules::subdomain(class, format!("{path}.volumeAttributesClassName"), causes);
    }
}

/// What it is filled from has two names, and is one thing.
fn same_source(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (source, reference) = (&spec["dataSource"], &spec["dataSourceRef"]);
    if source.is_null() || reference.is_null() {
        return;
    }
    let fields = ["apiGroup", "kind", "name"];
    let detail = if !text(reference, "namespace").is_empty() {
        "may not be specified when dataSourceRef.namespace is specified"
    } else if fields.iter().any(|field| source[field] != reference[field]) {
        "must match dataSourceRef"
    } else {
        return;
    };
    // Upstream shows a path, which has nothing to show.
    causes.push(Cause::invalid(path, &json!({}), detail));
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
    let room = &old["status"]["capacity"]["storage"];
    let room = Quantity::read(room).map_or(0, |room| room.milli_value());
    let wanted = size(&new["spec"]);
    if wanted < size(before) && wanted <= room {
        let detail = "field can not be less than status.capacity";
        causes.push(Cause::forbidden("spec.resources.requests.storage", detail));
    }
    let mode = &new["spec"]["volumeMode"];
    // Upstream's path.
    rules::immutable(mode, &before["volumeMode"], "volumeMode", causes);
    kept_class(&new["spec"], before, causes);
    let class = &new["spec"]["volumeAttributesClassName"];
    if *class == "" && !before["volumeAttributesClassName"].is_null() {
        let detail = "update from non-nil value to an empty string is forbidden";
        let path = "spec.volumeAttributesClassName";
        causes.push(Cause::forbidden(path, detail));
    }
}

/// Attributes that were asked for may become others, not none.
pub(super) fn kept_class(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let field = "volumeAttributesClassName";
    if !old[field].is_null() && new[field].is_null() {
        let detail = "update from non-nil value to nil is forbidden";
        causes.push(Cause::forbidden(format!("spec.{field}"), detail));
    }
}

fn class(object: &Value, causes: &mut Vec<Cause>) {
    provisioner(object, "provisioner", causes);
    parameters(&object["parameters"], causes);
    rules::one_of(object, "reclaimPolicy", &["Delete", "Retain"], "", causes);
    let modes = ["Immediate", "WaitForFirstConsumer"];
    rules::one_of(object, "volumeBindingMode", &modes, "", causes);
    topologies(object, causes);
}

/// Who makes the volumes of a class.
fn provisioner(object: &Value, field: &str, causes: &mut Vec<Cause>) {
    if rules::required(object, field, "", causes) {
        let name = text(object, field).to_lowercase();
        meta::qualified_name(&name, &json!(name), field, causes);
    }
}

fn parameters(parameters: &Value, causes: &mut Vec<Cause>) {
    let path = "parameters";
    let Some(map) = parameters.as_object() else {
        return;
    };
    if map.len() > PARAMETERS_MAX {
        causes.push(Cause::too_long(path, PARAMETERS_MAX));
        return;
    }
    if map.contains_key("") {
        causes.push(Cause::invalid(path, &json!(""), "field can not be empty."));
    }
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    let size: usize = map
        .iter()
        .map(|(key, value)| key.len() + length(value))
        .sum();
    if size > PARAMETERS_BYTES_MAX {
        causes.push(Cause::too_long(path, PARAMETERS_BYTES_MAX));
    }
}

/// Where the volumes of a class may be.
fn topologies(object: &Value, causes: &mut Vec<Cause>) {
    let mut terms: Vec<BTreeMap<&str, BTreeSet<&str>>> = Vec::new();
    for (path, term) in elements(object, "allowedTopologies", "") {
        let path = path.trim_start_matches('.').to_owned();
        let mut keys = BTreeMap::new();
        for (path, one) in elements(term, "matchLabelExpressions", &path) {
            let mut values = BTreeSet::new();
            if rules::is_absent(&one["values"]) {
                causes.push(Cause::required(format!("{path}.values"), ""));
            }
            for (path, value) in elements(one, "values", &path) {
                if !values.insert(value.as_str().unwrap_or_default()) {
                    causes.push(Cause::duplicate(path, value));
                }
            }
            let (key, path) = (text(one, "key"), format!("{path}.key"));
            meta::qualified_name(key, &json!(key), &path, causes);
            if keys.insert(key, values).is_some() {
                causes.push(Cause::duplicate(path, &json!(key)));
            }
        }
        for _ in terms.iter().filter(|term| **term == keys) {
            let path = format!("{path}.matchLabelExpressions");
            causes.push(Cause::duplicate(path, &json!("")));
        }
        terms.push(keys);
    }
}

fn attachment(spec: &Value, is_new: bool, causes: &mut Vec<Cause>) {
    if is_new {
        driver_name(text(spec, "attacher"), "spec.attacher", causes);
    } else {
        rules::required(spec, "attacher", "spec", causes);
    }
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
        (true, None) => {
            let path = "spec.source.inlineVolumeSpec";
            persistent::inline(&source["inlineVolumeSpec"], path, causes);
        }
    }
    rules::subdomain(text(spec, "nodeName"), "spec.nodeName".to_owned(), causes);
}

pub(super) fn driver_name(name: &str, path: &str, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        causes.push(Cause::required(path, ""));
        return;
    }
    if name.len() > DRIVER_NAME_MAX {
        causes.push(Cause::too_long(path, DRIVER_NAME_MAX));
    }
    if !super::is_dns_subdomain(&name.to_lowercase()) {
        let detail = meta::SUBDOMAIN_MESSAGE;
        causes.push(Cause::invalid(path, &json!(name), detail));
    }
}

fn driver(object: &Value, causes: &mut Vec<Cause>) {
    let (spec, name) = (&object["spec"], text(&object["metadata"], "name"));
    if name.len() > DRIVER_NAME_MAX {
        causes.push(Cause::too_long("metadata.name", DRIVER_NAME_MAX));
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    rules::one_of(spec, "fsGroupPolicy", &policies, "spec", causes);
    token_requests(spec, causes);
    for (_, mode) in elements(spec, "volumeLifecycleModes", "spec") {
        let known = ["Persistent", "Ephemeral"];
        if !mode.as_str().is_some_and(|mode| known.contains(&mode)) {
            causes.push(Cause::unsupported(
                "spec.volumeLifecycleModes",
                mode,
                &known,
            ));
        }
    }
    let period = &spec["nodeAllocatableUpdatePeriodSeconds"];
    if period.as_i64().is_some_and(|secs| secs < UPDATE_SECS_MIN) {
        let detail = "must be greater than or equal to 10 seconds";
        let path = "spec.nodeAllocatableUpdatePeriodSeconds";
        causes.push(Cause::invalid(path, period, detail));
    }
}

/// Tokens that a driver is given, one an audience.
fn token_requests(spec: &Value, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (path, request) in elements(spec, "tokenRequests", "spec") {
        let audience = text(request, "audience");
        if !seen.insert(audience) {
            let path = format!("{path}.audience");
            causes.push(Cause::duplicate(path, &json!(audience)));
            continue;
        }
        let (life, path) = (
            &request["expirationSeconds"],
            format!("{path}.expirationSeconds"),
        );
        let detail = match life.as_i64() {
            Some(secs) if secs < TOKEN_SECS_MIN => {
                "may not specify a duration less than 10 minutes"
            }
            Some(secs) if secs > TOKEN_SECS_MAX => {
                "may not specify a duration larger than 2^32 seconds"
            }
            _ => continue,
        };
        causes.push(Cause::invalid(path, life, detail));
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
        topology_keys(driver, &path, causes);
    }
}

/// Upstream says all of them of the driver.
fn topology_keys(driver: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (_, key) in elements(driver, "topologyKeys", path) {
        let name = key.as_str().unwrap_or_default();
        if name.is_empty() {
            causes.push(Cause::required(path, ""));
        }
        if !seen.insert(name) {
            causes.push(Cause::duplicate(path, key));
        }
        meta::qualified_name(name, key, path, causes);
    }
}

/// A driver on a node stays as it was told, but for how much it has room for.
fn node_changed(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let fixed = |driver: &Value| {
        let mut driver = driver.clone();
        if let Some(fields) = driver.as_object_mut() {
            fields.remove("allocatable");
        }
        driver
    };
    let now = elements(&new["spec"], "drivers", "");
    let now: BTreeMap<&str, &Value> = now
        .iter()
        .map(|(_, driver)| (text(driver, "name"), *driver))
        .collect();
    for (_, before) in elements(&old["spec"], "drivers", "") {
        if let Some(now) = now.get(text(before, "name")) {
            rules::immutable(&fixed(now), &fixed(before), "spec.drivers", causes);
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
    provisioner(object, "driverName", causes);
    parameters(&object["parameters"], causes);
    if rules::is_absent(&object["parameters"]) {
        let detail = "must contain at least one key/value pair";
        causes.push(Cause::required("parameters", detail));
    }
}
