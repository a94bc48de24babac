//! Volumes of a pod: a name, and one source.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidateVolumes`.

mod files;
mod remote;

use super::{elements, rules, text};
use crate::{quantity::Quantity, status::Cause};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Sources of a volume in the order upstream looks at them, and what it calls them in a cause where it miswrites that.
const SOURCES: [(&str, &str); 30] = [
    ("emptyDir", ""),
    ("hostPath", ""),
    ("gitRepo", ""),
    ("gcePersistentDisk", ""),
    ("awsElasticBlockStore", ""),
    ("secret", ""),
    ("nfs", ""),
    ("iscsi", ""),
    ("glusterfs", ""),
    ("flocker", ""),
    ("persistentVolumeClaim", ""),
    ("rbd", ""),
    ("cinder", ""),
    ("cephfs", "cephFS"),
    ("quobyte", ""),
    ("downwardAPI", "downwarAPI"),
    ("fc", ""),
    ("flexVolume", ""),
    ("configMap", ""),
    ("azureFile", ""),
    ("vsphereVolume", ""),
    ("photonPersistentDisk", ""),
    ("portworxVolume", ""),
    ("azureDisk", ""),
    ("storageos", ""),
    ("projected", ""),
    ("scaleIO", ""),
    ("csi", ""),
    ("ephemeral", ""),
    ("image", ""),
];

const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const HOST_PATHS: [&str; 8] = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// Checks the volumes of a pod; the names of those that are well.
pub(super) fn list<'a>(spec: &'a Value, path: &str, causes: &mut Vec<Cause>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (path, volume) in elements(spec, "volumes", path) {
        let before = causes.len();
        sources(volume, &path, causes);
        let (name, at) = (text(volume, "name"), format!("{path}.name"));
        if name.is_empty() {
            causes.push(Cause::required(at.clone(), ""));
        } else {
            rules::label(name, at.clone(), causes);
        }
        if names.contains(name) {
            causes.push(Cause::duplicate(at, &json!(name)));
        }
        // Nothing can mount what is wrong.
        if causes.len() == before {
            names.insert(name);
        }
    }
    names
}

/// One source, and one only.
fn sources(volume: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut found = SOURCES
        .iter()
        .filter(|(source, _)| !volume[*source].is_null());
    match found.next() {
        None => causes.push(Cause::required(path, "must specify a volume type")),
        Some((kind, _)) => source(kind, volume, path, causes),
    }
    for (source, miswritten) in found {
        let name = if miswritten.is_empty() {
            source
        } else {
            miswritten
        };
        let detail = "may not specify more than 1 volume type";
        causes.push(Cause::forbidden(format!("{path}.{name}"), detail));
    }
}

fn source(kind: &str, volume: &Value, path: &str, causes: &mut Vec<Cause>) {
    let source = &volume[kind];
    let at = match kind {
        // Upstream calls it so.
        "gcePersistentDisk" => format!("{path}.persistentDisk"),
        _ => format!("{path}.{kind}"),
    };
    match kind {
        "emptyDir" => size_limit(&source["sizeLimit"], path, causes),
        "hostPath" => host_path(source, &at, causes),
        "secret" => files::keys(source, "secretName", &at, causes),
        "configMap" => files::keys(source, "name", &at, causes),
        "downwardAPI" => files::downward(source, &at, causes),
        "projected" => files::projected(source, &at, causes),
        "image" => rules::one_of(source, "pullPolicy", &PULL_POLICIES, &at, causes),
        _ => remote::check(kind, source, &at, causes),
    }
    if kind == "iscsi" {
        remote::portal(volume, path, causes);
    }
}

/// Where a PersistentVolume is, as a pod could have it too.
pub(super) fn of_persistent(kind: &str, source: &Value, path: &str, causes: &mut Vec<Cause>) {
    match kind {
        "hostPath" => host_path(source, path, causes),
        _ => remote::check(kind, source, path, causes),
    }
}

fn host_path(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !rules::required(source, "path", path, causes) {
        return;
    }
    rules::no_backsteps(text(source, "path"), &format!("{path}.path"), causes);
    let kind = &source["type"];
    let is_known = |kind: &str| HOST_PATHS.contains(&kind);
    if kind.as_str().is_some_and(|kind| !is_known(kind)) {
        let path = format!("{path}.type");
        causes.push(Cause::unsupported(path, kind, &HOST_PATHS));
    }
}

fn size_limit(limit: &Value, path: &str, causes: &mut Vec<Cause>) {
    if limit.is_null() {
        return;
    }
    let path = format!("{path}.emptyDir.sizeLimit");
    let written = limit
        .as_str()
        .map_or_else(|| limit.to_string(), str::to_owned);
    match Quantity::parse(&written) {
        Err(error) => causes.push(Cause::invalid(path, limit, &error.to_string())),
        Ok(limit) if limit.milli_value() < 0 => {
            let detail = "SizeLimit field must be a valid resource quantity";
            causes.push(Cause::forbidden(path, detail));
        }
        Ok(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_names() {
        let secret = json!({"secretName": "s"});
        for (volume, expected) in [
            (json!({"name": "v", "emptyDir": {}}), &[] as &[&str]),
            (json!({"name": "v", "image": {"reference": "i"}}), &[]),
            (
                json!({"name": "v"}),
                &["v[0]: Required value: must specify a volume type"],
            ),
            (
                json!({"name": "v", "emptyDir": {}, "secret": secret, "hostPath": null}),
                &["v[0].secret: Forbidden: may not specify more than 1 volume type"],
            ),
            (
                json!({"name": "v", "configMap": {}, "downwardAPI": {}, "secret": secret}),
                &[
                    "v[0].downwarAPI: Forbidden: may not specify more than 1 volume type",
                    "v[0].configMap: Forbidden: may not specify more than 1 volume type",
                ],
            ),
            (
                json!({"emptyDir": {"sizeLimit": "-1"}}),
                &[
                    "v[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
                    "v[0].name: Required value",
                ],
            ),
        ] {
            let mut causes = Vec::new();
            let spec = json!({"volumes": [volume]});
            let names = list(&spec, "", &mut causes);
            let said: Vec<String> = causes
                .iter()
                .map(|cause| format!("{}: {}", cause.field, cause.message))
                .map(|said| said.replace(".volumes", "v"))
                .collect();
            assert_eq!(said, expected, "{volume}");
            assert_eq!(names.len(), usize::from(said.is_empty()));
        }
    }
}
