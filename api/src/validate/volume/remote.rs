//! Volumes that are somewhere else: what each source must say of where.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `validate*VolumeSource`.

use crate::{
    status::Cause,
    validate::{meta, rules, storage, text},
};
use serde_json::{Value, json};

const NODE_SECRET: &str = "nodePublishSecretRef";

/// What a source is called in a cause, where not as in the volume, and the texts that it must have.
fn fields(source: &str) -> &'static [&'static str] {
    match source {
        "gitRepo" => &["repository"],
        "gcePersistentDisk" => &["pdName"],
        "awsElasticBlockStore" | "cinder" | "portworxVolume" => &["volumeID"],
        "nfs" => &["server", "path"],
        "iscsi" => &["targetPortal", "iqn"],
        "glusterfs" => &["endpoints", "path"],
        "persistentVolumeClaim" => &["claimName"],
        "flexVolume" => &["driver"],
        "azureFile" => &["secretName", "shareName"],
        "vsphereVolume" => &["volumePath"],
        "photonPersistentDisk" => &["pdID"],
        "azureDisk" => &["diskName", "diskURI"],
        "storageos" => &["volumeName"],
        "scaleIO" => &["gateway", "system", "volumeName"],
        _ => &[],
    }
}

pub(super) fn check(kind: &str, source: &Value, path: &str, causes: &mut Vec<Cause>) {
    for field in fields(kind) {
        rules::required(source, field, path, causes);
    }
    match kind {
        "gitRepo" => {
            let folder = text(source, "directory");
            rules::descending(folder, &format!("{path}.directory"), causes);
        }
        "gcePersistentDisk" | "awsElasticBlockStore" => partition(source, path, causes),
        "nfs" => absolute(source, path, causes),
        "iscsi" => iscsi(source, path, causes),
        "flocker" => flocker(source, path, causes),
        "rbd" => {
            list(source, "monitors", path, causes);
            rules::required(source, "image", path, causes);
        }
        "cephfs" => list(source, "monitors", path, causes),
        "cinder" => secret(source, path, causes),
        "quobyte" => quobyte(source, path, causes),
        "fc" => fibre_channel(source, path, causes),
        "flexVolume" => options(source, path, causes),
        "azureDisk" => azure_disk(source, path, causes),
        "storageos" => {
            for field in ["volumeName", "volumeNamespace"] {
                let name = text(source, field);
                if !name.is_empty() {
                    rules::label(name, format!("{path}.{field}"), causes);
                }
            }
            secret(source, path, causes);
        }
        "csi" => csi(source, path, causes),
        "ephemeral" => claim_template(source, path, causes),
        _ => {}
    }
}

fn list(source: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) {
    if rules::is_absent(&source[field]) {
        causes.push(Cause::required(format!("{path}.{field}"), ""));
    }
}

fn secret(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !source["secretRef"].is_null() {
        let path = format!("{path}.secretRef");
        rules::required(&source["secretRef"], "name", &path, causes);
    }
}

fn partition(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let partition = &source["partition"];
    if partition.as_i64().is_some_and(|n| !(0..=255).contains(&n)) {
        // Upstream's words, though it takes 0.
        let detail = "must be between 1 and 255, inclusive";
        causes.push(Cause::invalid(
            format!("{path}.partition"),
            partition,
            detail,
        ));
    }
}

fn lun(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let lun = &source["lun"];
    if lun.as_i64().is_some_and(|n| !(0..=255).contains(&n)) {
        let detail = "must be between 0 and 255, inclusive";
        causes.push(Cause::invalid(format!("{path}.lun"), lun, detail));
    }
}

fn absolute(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let folder = text(source, "path");
    if !folder.starts_with('/') {
        let detail = "must be an absolute path";
        causes.push(Cause::invalid(
            format!("{path}.path"),
            &json!(folder),
            detail,
        ));
    }
}

fn iscsi(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let kinds = ["iqn", "eui", "naa"];
    let mut check = |field: &str, at: &str| {
        let name = text(source, field);
        if !name.is_empty() && !kinds.iter().any(|kind| name.starts_with(kind)) {
            let detail = "must be valid format starting with iqn, eui, or naa";
            causes.push(Cause::invalid(format!("{path}.{at}"), &json!(name), detail));
        } else if !name.is_empty() && !is_initiator(name) {
            let at = format!("{path}.{at}");
            causes.push(Cause::invalid(at, &json!(name), "must be valid format"));
        }
    };
    check("iqn", "iqn");
    check("initiatorName", "initiatorname");
    lun(source, path, causes);
    let chap = source["chapAuthDiscovery"] == true || source["chapAuthSession"] == true;
    if chap && source["secretRef"].is_null() {
        causes.push(Cause::required(format!("{path}.secretRef"), ""));
    }
}

/// `iqn.YYYY-MM.domain:name`, or `eui.` and `naa.` with 16 and 32 characters.
fn is_initiator(name: &str) -> bool {
    let has = |rest: &str, length| {
        rest.len() == length && rest.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if let Some(rest) = name.strip_prefix("eui.") {
        return has(rest, 16);
    }
    if let Some(rest) = name.strip_prefix("naa.") {
        return has(rest, 32);
    }
    let Some((date, rest)) = name.strip_prefix("iqn.").and_then(|n| n.split_once('.')) else {
        return false;
    };
    let is_date = date.len() == 7
        && date.bytes().enumerate().all(|(at, b)| match at {
            4 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    let Some((domain, unit)) = rest.split_once(':') else {
        return false;
    };
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    is_date
        && !domain.is_empty()
        && domain.chars().all(is_inner)
        && !unit.is_empty()
        && !unit.contains([',', ';', '*', '&', '$', '|', ' ', '\t'])
}

fn flocker(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (name, uuid) = (text(source, "datasetName"), text(source, "datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        let detail = "one of datasetName and datasetUUID is required";
        causes.push(Cause::required(path, detail));
    }
    if !name.is_empty() && !uuid.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        causes.push(Cause::invalid(path, &json!("resource"), detail));
    }
    if name.contains('/') {
        let path = format!("{path}.datasetName");
        causes.push(Cause::invalid(path, &json!(name), "must not contain '/'"));
    }
}

fn quobyte(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (registry, at) = (text(source, "registry"), format!("{path}.registry"));
    let pairs = "must be a host:port pair or multiple pairs separated by commas";
    if registry.is_empty() {
        causes.push(Cause::required(at, pairs));
    } else if text(source, "tenant").len() >= 65 {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        causes.push(Cause::required(format!("{path}.tenant"), detail));
    } else if registry.split(',').any(|pair| !pair.contains(':')) {
        causes.push(Cause::invalid(at, &json!(registry), pairs));
    }
    rules::required(source, "volume", path, causes);
}

fn fibre_channel(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (targets, ids) = (&source["targetWWNs"], &source["wwids"]);
    let at = format!("{path}.targetWWNs");
    match (rules::is_absent(targets), rules::is_absent(ids)) {
        (true, true) => {
            let detail = "must specify either targetWWNs or wwids, but not both";
            causes.push(Cause::required(at, detail));
        }
        (false, false) => {
            let detail = "targetWWNs and wwids can not be specified simultaneously";
            causes.push(Cause::invalid(at, targets, detail));
        }
        _ => {}
    }
    if rules::is_absent(targets) {
        return;
    }
    if source["lun"].is_null() {
        let detail = "lun is required if targetWWNs is specified";
        causes.push(Cause::required(format!("{path}.lun"), detail));
    }
    lun(source, path, causes);
}

fn options(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (name, _) in source["options"].as_object().into_iter().flatten() {
        let domain = name
            .split_once('/')
            .map_or(name.as_str(), |(domain, _)| domain);
        let domain = format!(".{}", domain.to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            let path = format!("{path}.options[{name}]");
            causes.push(Cause::invalid(path, &json!(name), detail));
        }
    }
}

fn azure_disk(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let caches = ["None", "ReadOnly", "ReadWrite"];
    rules::one_of(source, "cachingMode", &caches, path, causes);
    let kinds = ["Dedicated", "Managed", "Shared"];
    rules::one_of(source, "kind", &kinds, path, causes);
    let (kind, uri) = (text(source, "kind"), text(source, "diskURI"));
    let (start, form) = match kind {
        "" => return,
        "Managed" => (
            "/subscriptions/",
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        ),
        _ => (
            "https://",
            "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
        ),
    };
    if !uri.starts_with(start) {
        let path = format!("{path}.diskURI");
        causes.push(Cause::unsupported(path, &json!(uri), &[form]));
    }
}

fn csi(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    storage::driver_name(text(source, "driver"), &format!("{path}.driver"), causes);
    let secret = &source[NODE_SECRET];
    if secret.is_null() {
        return;
    }
    if rules::required(secret, "name", &format!("{path}.{NODE_SECRET}"), causes) {
        // Upstream says so of the driver's own field.
        rules::subdomain(text(secret, "name"), format!("{path}.name"), causes);
    }
}

/// A claim that is made for the pod.
fn claim_template(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (template, path) = (
        &source["volumeClaimTemplate"],
        format!("{path}.volumeClaimTemplate"),
    );
    if template.is_null() {
        causes.push(Cause::required(path, ""));
        return;
    }
    let about = &template["metadata"];
    for (name, _) in about["annotations"].as_object().into_iter().flatten() {
        let path = format!("{path}.metadata.annotations");
        meta::qualified_name(&name.to_lowercase(), &json!(name), &path, causes);
    }
    meta::labels(&about["labels"], &format!("{path}.metadata.labels"), causes);
    for (field, value) in about.as_object().into_iter().flatten() {
        let known = matches!(
            field.as_str(),
            "annotations" | "labels" | "creationTimestamp"
        );
        if !known && !rules::is_absent(value) && value != "" {
            let path = format!("{path}.metadata.{field}");
            causes.push(Cause::forbidden(path, "cannot be set"));
        }
    }
    storage::claim(&template["spec"], &format!("{path}.spec"), causes);
}

/// The initiator's name leaves less room for the volume's.
pub(super) fn portal(volume: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (source, name) = (&volume["iscsi"], text(volume, "name"));
    let length = name.len() + 1 + text(source, "targetPortal").len();
    if !source["initiatorName"].is_null() && length > 64 {
        let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
        causes.push(Cause::invalid(format!("{path}.name"), &json!(name), detail));
    }
}
