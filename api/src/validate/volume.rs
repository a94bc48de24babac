//! Volumes of a pod: a name, and one source.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidateVolumes`.

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
        Some(("emptyDir", _)) => size_limit(&volume["emptyDir"]["sizeLimit"], path, causes),
        Some(_) => {}
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
