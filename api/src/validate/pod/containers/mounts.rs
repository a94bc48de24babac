//! Volumes in a container: as folders, and as devices.

use super::Pod;
use crate::{
    status::Cause,
    validate::{elements, rules, text},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What another list of the container has in a field.
fn all_in<'a>(container: &'a Value, list: &str, field: &str) -> BTreeSet<&'a str> {
    let all = container[list].as_array().into_iter().flatten();
    all.map(|other| text(other, field)).collect()
}

pub(super) fn mounts(pod: &Pod<'_>, container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut paths = BTreeSet::new();
    let devices = all_in(container, "volumeDevices", "name");
    let device_paths = all_in(container, "volumeDevices", "devicePath");
    // Of parts of a mount upstream does not say of which one they are.
    let list = format!("{path}.volumeMounts");
    for (path, mount) in elements(container, "volumeMounts", path) {
        let (name, at) = (text(mount, "name"), text(mount, "mountPath"));
        let refused = |field: &str, value: &str, detail: &str| {
            Cause::invalid(format!("{path}.{field}"), &json!(value), detail)
        };
        rules::required(mount, "name", &path, causes);
        if !pod.volumes.contains_key(name) {
            causes.push(Cause::not_found(format!("{path}.name"), &json!(name)));
        }
        rules::required(mount, "mountPath", &path, causes);
        if !paths.insert(at) {
            causes.push(refused("mountPath", at, "must be unique"));
        }
        if devices.contains(name) {
            let detail = "must not already exist in volumeDevices";
            causes.push(refused("name", name, detail));
        }
        if device_paths.contains(at) {
            let detail = "must not already exist as a path in volumeDevices";
            causes.push(refused("mountPath", at, detail));
        }
        let (part, pattern) = (text(mount, "subPath"), text(mount, "subPathExpr"));
        rules::descending(part, &format!("{list}.subPath"), causes);
        if !part.is_empty() && !pattern.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            causes.push(refused("subPathExpr", pattern, detail));
        }
        rules::descending(pattern, &format!("{list}.subPathExpr"), causes);
        propagation(container, mount, &list, causes);
        recursive(mount, &list, causes);
    }
}

fn propagation(container: &Value, mount: &Value, list: &str, causes: &mut Vec<Cause>) {
    let ways = ["Bidirectional", "HostToContainer", "None"];
    rules::one_of(mount, "mountPropagation", &ways, list, causes);
    let privileged = container["securityContext"]["privileged"] == true;
    if text(mount, "mountPropagation") == "Bidirectional" && !privileged {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        causes.push(Cause::forbidden(format!("{list}.mountPropagation"), detail));
    }
}

/// Read-only all the way down.
fn recursive(mount: &Value, list: &str, causes: &mut Vec<Cause>) {
    let ways = ["Disabled", "Enabled", "IfPossible"];
    rules::one_of(mount, "recursiveReadOnly", &ways, list, causes);
    if !["Enabled", "IfPossible"].contains(&text(mount, "recursiveReadOnly")) {
        return;
    }
    let field = format!("{list}.recursiveReadOnly");
    if mount["readOnly"] != true {
        let detail = "may only be specified when readOnly is true";
        causes.push(Cause::forbidden(field.clone(), detail));
    }
    if !["", "None"].contains(&text(mount, "mountPropagation")) {
        let detail = "may only be specified when mountPropagation is None or not specified";
        causes.push(Cause::forbidden(field, detail));
    }
}

pub(super) fn devices(pod: &Pod<'_>, container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    let mounts = all_in(container, "volumeMounts", "name");
    let mount_paths = all_in(container, "volumeMounts", "mountPath");
    for (path, device) in elements(container, "volumeDevices", path) {
        let (name, at) = (text(device, "name"), text(device, "devicePath"));
        let refused = |field: &str, value: &str, detail: &str| {
            Cause::invalid(format!("{path}.{field}"), &json!(value), detail)
        };
        rules::required(device, "name", &path, causes);
        if names.contains(name) {
            causes.push(refused("name", name, "must be unique"));
        }
        match pod.volumes.get(name) {
            None => causes.push(Cause::not_found(format!("{path}.name"), &json!(name))),
            Some(volume)
                if volume["persistentVolumeClaim"].is_null() && volume["ephemeral"].is_null() =>
            {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                causes.push(refused("name", name, detail));
            }
            Some(_) => {}
        }
        rules::required(device, "devicePath", &path, causes);
        if paths.contains(at) {
            causes.push(refused("devicePath", at, "must be unique"));
        }
        if at.split('/').any(|part| part == "..") {
            let detail = "can not contain backsteps ('..')";
            causes.push(refused("devicePath", at, detail));
        } else {
            paths.insert(at);
        }
        if mounts.contains(name) {
            let detail = "must not already exist in volumeMounts";
            causes.push(refused("name", name, detail));
        }
        if mount_paths.contains(at) {
            let detail = "must not already exist as a path in volumeMounts";
            causes.push(refused("devicePath", at, detail));
        }
        if !name.is_empty() {
            names.insert(name);
        }
    }
}
