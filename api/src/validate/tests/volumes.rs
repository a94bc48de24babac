//! What each source of a volume must say.

use super::*;

/// The paths in `said` are below the volume; nothing is said of a good one.
#[track_caller]
fn volume(source: Value, said: &str) {
    let mut volume = source;
    volume["name"] = json!("v");
    let said = (!said.is_empty()).then(|| format!("spec.volumes[0].{said}"));
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    check(
        kind::POD,
        pod_rules::pod(json!({"volumes": [volume]})),
        &said,
    );
}

#[test]
fn paths_of_the_machine() {
    let path = |path: Value| json!({"hostPath": path});
    volume(path(json!({"path": "/a", "type": "Directory"})), "");
    volume(path(json!({})), "hostPath.path: Required value");
    volume(
        path(json!({"path": "/a/../b"})),
        "hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
    );
    volume(
        path(json!({"path": "/a", "type": "X"})),
        "hostPath.type: Unsupported value: \"X\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
    );
}

#[test]
fn keys_as_files() {
    const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
    for (kind, name) in [("configMap", "name"), ("secret", "secretName")] {
        let with = |fields: Value| {
            let mut source = fields;
            source[name] = json!("s");
            json!({kind: source})
        };
        let item = |item: Value| with(json!({"items": [item]}));
        volume(item(json!({"key": "k", "path": "a/b", "mode": 0o400})), "");
        volume(json!({kind: {}}), &format!("{kind}.{name}: Required value"));
        for mode in [-1, 512] {
            volume(
                with(json!({"defaultMode": mode})),
                &format!("{kind}.defaultMode: Invalid value: {mode}: {MODE}"),
            );
        }
        for (wrong, said) in [
            (json!({"path": "p"}), "key: Required value".to_owned()),
            (json!({"key": "k"}), "path: Required value".to_owned()),
            (
                json!({"key": "k", "path": "/p"}),
                "path: Invalid value: \"/p\": must be a relative path".to_owned(),
            ),
            (
                json!({"key": "k", "path": "a/../p"}),
                "path: Invalid value: \"a/../p\": must not contain '..'".to_owned(),
            ),
            (
                json!({"key": "k", "path": "..p"}),
                "path: Invalid value: \"..p\": must not start with '..'".to_owned(),
            ),
            (
                json!({"key": "k", "path": "p", "mode": 512}),
                format!("mode: Invalid value: 512: {MODE}"),
            ),
        ] {
            volume(item(wrong), &format!("{kind}.items[0].{said}"));
        }
    }
}

#[test]
fn the_pod_as_files() {
    let field = |path: &str| json!({"path": "p", "fieldRef": {"fieldPath": path}});
    let resource = |field: Value| json!({"path": "p", "resourceFieldRef": field});
    let unknown = |path: &str| {
        format!(
            ".fieldRef.fieldPath: Unsupported value: {path:?}: supported values: \"metadata.annotations\", \"metadata.labels\", \"metadata.name\", \"metadata.namespace\", \"metadata.uid\""
        )
    };
    for (file, said) in [
        (field("metadata.labels['a']"), String::new()),
        (field("metadata.name"), String::new()),
        (
            resource(json!({"containerName": "c", "resource": "limits.cpu", "divisor": "1m"})),
            String::new(),
        ),
        (
            json!({"fieldRef": {"fieldPath": "metadata.name"}}),
            ".path: Required value".to_owned(),
        ),
        (
            json!({"path": "p"}),
            ": Required value: one of fieldRef and resourceFieldRef is required".to_owned(),
        ),
        (
            json!({"path": "p", "fieldRef": {"fieldPath": "metadata.name"}, "resourceFieldRef": {}}),
            ": Invalid value: \"resource\": fieldRef and resourceFieldRef can not be specified simultaneously".to_owned(),
        ),
        (field(""), ".fieldRef.fieldPath: Required value".to_owned()),
        (field("spec.nodeName"), unknown("spec.nodeName")),
        (
            field("status.x"),
            ".fieldRef.fieldPath: Invalid value: \"status.x\": error converting fieldPath: field label not supported: status.x".to_owned(),
        ),
        (
            field("metadata.name['a']"),
            ".fieldRef.fieldPath: Invalid value: \"metadata.name['a']\": error converting fieldPath: field label does not support subscript: metadata.name['a']".to_owned(),
        ),
        (
            resource(json!({"resource": "limits.cpu"})),
            ".resourceFieldRef.containerName: Required value".to_owned(),
        ),
        (
            resource(json!({"containerName": "c"})),
            ".resourceFieldRef.resource: Required value".to_owned(),
        ),
        (
            resource(json!({"containerName": "c", "resource": "limits.x"})),
            ".resourceFieldRef.resource: Unsupported value: \"limits.x\": supported values: \"limits.cpu\", \"limits.ephemeral-storage\", \"limits.memory\", \"requests.cpu\", \"requests.ephemeral-storage\", \"requests.memory\"".to_owned(),
        ),
        (
            resource(json!({"containerName": "c", "resource": "limits.cpu", "divisor": "2"})),
            ".resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource".to_owned(),
        ),
    ] {
        let said = match said.is_empty() {
            true => said,
            false => format!("downwardAPI{said}"),
        };
        volume(json!({"downwardAPI": {"items": [file]}}), &said);
    }
}

#[test]
fn many_sources_in_one() {
    let item = json!([{"key": "k", "path": "p"}]);
    let token = |token: Value| json!([{"serviceAccountToken": token}]);
    for (sources, said) in [
        (
            json!([{"secret": {"name": "s", "items": item}}, {"configMap": {"name": "c"}}]),
            "",
        ),
        (
            json!([{"secret": {"name": "s"}, "configMap": {"name": "c"}}]),
            ".sources[0]: Forbidden: may not specify more than 1 volume type per source",
        ),
        (
            json!([{"secret": {"name": "s", "items": item}}, {"configMap": {"name": "c", "items": item}}]),
            ": Invalid value: \"c\": conflicting duplicate paths",
        ),
        (
            json!([{"secret": {}}]),
            ".sources[0].secret.name: Required value",
        ),
        (
            json!([{"downwardAPI": {"items": [{"path": "p"}]}}]),
            ".sources[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
        ),
        (token(json!({"path": "t"})), ""),
        (token(json!({})), ".path: Required value"),
        (
            token(json!({"path": "t", "expirationSeconds": 599})),
            ".sources[0].serviceAccountToken.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
        ),
        (
            json!([{"clusterTrustBundle": {"path": "p"}}]),
            ".sources[0].clusterTrustBundle: Required value: either name or signerName must be specified",
        ),
    ] {
        let said = match said {
            "" => String::new(),
            said => format!("projected{said}"),
        };
        volume(json!({"projected": {"sources": sources}}), &said);
    }
}

#[test]
fn sources_elsewhere() {
    for (source, said) in [
        (
            json!({"persistentVolumeClaim": {}}),
            "persistentVolumeClaim.claimName: Required value",
        ),
        (json!({"gitRepo": {}}), "gitRepo.repository: Required value"),
        (
            json!({"gcePersistentDisk": {}}),
            "persistentDisk.pdName: Required value",
        ),
        (
            json!({"awsElasticBlockStore": {}}),
            "awsElasticBlockStore.volumeID: Required value",
        ),
        (
            json!({"awsElasticBlockStore": {"volumeID": "v", "partition": 256}}),
            "awsElasticBlockStore.partition: Invalid value: 256: must be between 1 and 255, inclusive",
        ),
        (
            json!({"nfs": {"server": "s", "path": "p"}}),
            "nfs.path: Invalid value: \"p\": must be an absolute path",
        ),
        (
            json!({"iscsi": {"targetPortal": "t", "iqn": "x"}}),
            "iscsi.iqn: Invalid value: \"x\": must be valid format starting with iqn, eui, or naa",
        ),
        (
            json!({"iscsi": {"targetPortal": "t", "iqn": "iqn.2015-02.example.com:test", "lun": 256}}),
            "iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
        ),
        (
            json!({"glusterfs": {"path": "p"}}),
            "glusterfs.endpoints: Required value",
        ),
        (
            json!({"flocker": {}}),
            "flocker: Required value: one of datasetName and datasetUUID is required",
        ),
        (
            json!({"rbd": {"image": "i"}}),
            "rbd.monitors: Required value",
        ),
        (json!({"cinder": {}}), "cinder.volumeID: Required value"),
        (json!({"cephfs": {}}), "cephfs.monitors: Required value"),
    ] {
        volume(source, said);
    }
}

#[test]
fn more_sources_elsewhere() {
    let label = format!(
        "storageos.volumeName: Invalid value: \"A\": {}",
        meta::LABEL_MESSAGE
    );
    for (source, said) in [
        (
            json!({"quobyte": {"volume": "v", "registry": "r"}}),
            "quobyte.registry: Invalid value: \"r\": must be a host:port pair or multiple pairs separated by commas",
        ),
        (
            json!({"fc": {}}),
            "fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both",
        ),
        (
            json!({"fc": {"targetWWNs": ["t"]}}),
            "fc.lun: Required value: lun is required if targetWWNs is specified",
        ),
        (
            json!({"flexVolume": {"driver": "d", "options": {"x.k8s.io/a": "b"}}}),
            "flexVolume.options[x.k8s.io/a]: Invalid value: \"x.k8s.io/a\": kubernetes.io and k8s.io namespaces are reserved",
        ),
        (
            json!({"azureFile": {"shareName": "s"}}),
            "azureFile.secretName: Required value",
        ),
        (
            json!({"vsphereVolume": {}}),
            "vsphereVolume.volumePath: Required value",
        ),
        (
            json!({"photonPersistentDisk": {}}),
            "photonPersistentDisk.pdID: Required value",
        ),
        (
            json!({"portworxVolume": {}}),
            "portworxVolume.volumeID: Required value",
        ),
        (
            json!({"azureDisk": {"diskName": "d", "diskURI": "https://u", "kind": "X"}}),
            "azureDisk.kind: Unsupported value: \"X\": supported values: \"Dedicated\", \"Managed\", \"Shared\"",
        ),
        (json!({"storageos": {"volumeName": "A"}}), label.as_str()),
        (
            json!({"scaleIO": {"system": "s", "volumeName": "v"}}),
            "scaleIO.gateway: Required value",
        ),
        (
            json!({"csi": {"driver": "d.example.com", "nodePublishSecretRef": {}}}),
            "csi.nodePublishSecretRef.name: Required value",
        ),
        (json!({"csi": {"driver": ""}}), "csi.driver: Required value"),
        (
            json!({"ephemeral": {}}),
            "ephemeral.volumeClaimTemplate: Required value",
        ),
        (
            json!({"ephemeral": {"volumeClaimTemplate": {"metadata": {"finalizers": ["a/b"]},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}}),
            "ephemeral.volumeClaimTemplate.metadata.finalizers: Forbidden: cannot be set",
        ),
        (json!({"image": {}}), "image.reference: Required value"),
        (
            json!({"image": {"reference": "i", "pullPolicy": "X"}}),
            "image.pullPolicy: Unsupported value: \"X\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
        ),
    ] {
        volume(source, said);
    }
}

#[test]
fn a_claim_that_will_be_made_is_not_used_twice() {
    let spec =
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let volumes = json!([
        {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}},
        {"name": "w", "persistentVolumeClaim": {"claimName": "a-v"}},
    ]);
    check(
        kind::POD,
        pod_rules::pod(json!({"volumes": volumes})),
        &[
            "spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: \"a-v\": must not reference a PVC that gets created for an ephemeral volume",
        ],
    );
}
