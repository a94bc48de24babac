//! Where a PersistentVolume may be.

use super::*;

fn volume(spec: Value) -> Value {
    let mut volume =
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}});
    for (field, value) in spec.as_object().unwrap() {
        volume["spec"][field] = value.clone();
    }
    volume
}

#[test]
fn sources() {
    for (spec, expected) in [
        (
            json!({"hostPath": {"path": "/d", "type": "z"}}),
            &[
                "hostPath.type: Unsupported value: \"z\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
            ] as &[&str],
        ),
        (
            json!({"hostPath": {"path": "//"}, "persistentVolumeReclaimPolicy": "Recycle"}),
            &[
                "persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
            ],
        ),
        (
            json!({"iscsi": {"targetPortal": "", "iqn": "eui.0123456789abcdef", "lun": -1, "secretRef": {}}}),
            &[
                "iscsi.targetPortal: Required value",
                "iscsi.lun: Invalid value: -1: must be between 0 and 255, inclusive",
                "iscsi.secretRef.name: Required value",
            ],
        ),
        (
            json!({"csi": {"driver": "d", "volumeHandle": "h", "nodePublishSecretRef": {"name": ""}}}),
            &[
                "csi.nodePublishSecretRef.name: Required value",
                "csi.nodePublishSecretRef.namespace: Required value",
            ],
        ),
        (
            json!({"cinder": {"volumeID": "v", "secretRef": {"name": "s"}}}),
            &["cinder.secretRef.namespace: Required value"],
        ),
        (
            json!({"glusterfs": {"endpoints": "e", "path": "p", "endpointsNamespace": ""}}),
            &[
                "glusterfs.endpointsNamespace: Invalid value: \"\": if the endpointnamespace is set, it must be a valid namespace name",
            ],
        ),
        (
            json!({"azureFile": {"secretName": "s", "shareName": "n", "secretNamespace": ""}}),
            &["azureFile.secretNamespace: Required value"],
        ),
        (
            json!({"local": {}}),
            &[
                "local.path: Required value",
                "nodeAffinity: Required value: Local volume requires node affinity",
            ],
        ),
    ] {
        let expected: Vec<String> = expected.iter().map(|said| format!("spec.{said}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(kind::PERSISTENT_VOLUME, volume(spec), &expected);
    }
    check(
        kind::PERSISTENT_VOLUME,
        volume(json!({"csi": {"driver": "A_b", "volumeHandle": "h"}})),
        &[&format!(
            "spec.csi.driver: Invalid value: \"A_b\": {}",
            meta::SUBDOMAIN_MESSAGE
        )],
    );
}

#[test]
fn nodes_and_classes() {
    let placed =
        |affinity: Value| volume(json!({"hostPath": {"path": "/d"}, "nodeAffinity": affinity}));
    check(
        kind::PERSISTENT_VOLUME,
        placed(json!({})),
        &["spec.nodeAffinity.required: Required value: must specify required node constraints"],
    );
    check(
        kind::PERSISTENT_VOLUME,
        placed(json!({"required": {"nodeSelectorTerms": []}})),
        &[
            "spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term",
        ],
    );
    check(
        kind::PERSISTENT_VOLUME,
        volume(json!({"hostPath": {"path": "/d"}, "volumeAttributesClassName": ""})),
        &[
            "spec.volumeAttributesClassName: Required value: an empty string is disallowed",
            "spec.csi: Required value: has to be specified when using volumeAttributesClassName",
        ],
    );
    let on = |key: &str| json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": "Exists"}]}]}});
    let old = placed(on("beta.kubernetes.io/os"));
    check_change(
        kind::PERSISTENT_VOLUME,
        old.clone(),
        |volume| {
            let term = &mut volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0];
            term["matchExpressions"][0]["key"] = json!("kubernetes.io/os");
        },
        &[],
    );
    check_change(
        kind::PERSISTENT_VOLUME,
        old,
        |volume| {
            let term = &mut volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0];
            term["matchExpressions"][0]["key"] = json!("kubernetes.io/arch");
        },
        &["nodeAffinity"],
    );
}

#[test]
fn what_is_written_where_it_is_used() {
    let attachment = |volume: Value| json!({"spec": {"attacher": "d", "nodeName": "n", "source": {"inlineVolumeSpec": volume}}});
    let path = "spec.source.inlineVolumeSpec";
    let context = "in the context of inline volumes";
    check(
        kind::VOLUME_ATTACHMENT,
        attachment(
            json!({"accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"}}),
        ),
        &[],
    );
    check(
        kind::VOLUME_ATTACHMENT,
        attachment(
            json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1"}, "hostPath": {"path": "/d"}, "volumeMode": "Block"}),
        ),
        &[
            &format!("{path}.capacity: Forbidden: may not be specified {context}"),
            &format!("{path}.csi: Required value: has to be specified {context}"),
            &format!(
                "{path}.volumeMode: Forbidden: may not specify volumeMode other than Filesystem {context}"
            ),
        ],
    );
}

#[test]
fn claims_keep_their_form() {
    let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "volumeAttributesClassName": "c", "resources": {"requests": {"storage": "5Gi"}}},
        "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}});
    check_change(
        kind::PERSISTENT_VOLUME_CLAIM,
        claim.clone(),
        |claim| claim["spec"]["volumeMode"] = json!("Block"),
        &["spec", "volumeMode"],
    );
    let size = "spec.resources.requests.storage";
    check_change(
        kind::PERSISTENT_VOLUME_CLAIM,
        claim.clone(),
        |claim| claim["spec"]["resources"]["requests"]["storage"] = json!("3Gi"),
        &[],
    );
    check_change(
        kind::PERSISTENT_VOLUME_CLAIM,
        claim.clone(),
        |claim| claim["spec"]["resources"]["requests"]["storage"] = json!("1Gi"),
        &[size],
    );
    check_change(
        kind::PERSISTENT_VOLUME_CLAIM,
        claim,
        |claim| claim["spec"]["volumeAttributesClassName"] = json!(""),
        &["spec.volumeAttributesClassName"],
    );
}
