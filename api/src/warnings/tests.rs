//! What is said of which object.

use super::*;
use crate::kind;
use serde_json::json;

#[track_caller]
fn warned(kind: KindRef, mut object: Value, expected: &[&str]) {
    if object["metadata"]["name"].is_null() {
        object["metadata"]["name"] = json!("a");
    }
    assert_eq!(of_new(kind, &object), expected, "{}", kind.kind);
}

#[test]
fn containers() {
    let container = json!({"name": "c",
        "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "A", "value": "$(A)3"}],
        "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP"},
            {"containerPort": 80, "protocol": "UDP", "hostIP": "10.0.0.1"}],
        "resources": {"limits": {"memory": "100m"}}});
    let warnings = [
        "containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer",
        "containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
        "containers[0].ports[1]: duplicate port definition with {}containers[0].ports[0]",
        "containers[0].ports[2]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:UDP HostIP:10.0.0.1}",
    ];
    let spec = json!({"containers": [container]});
    for (kind, object, path) in [
        (kind::POD, json!({"spec": spec}), "spec."),
        (
            kind::DEPLOYMENT,
            json!({"spec": {"template": {"spec": spec}}}),
            "spec.template.spec.",
        ),
    ] {
        let expected = warnings.map(|said| format!("{path}{}", said.replacen("{}", path, 1)));
        warned(kind, object, &expected.each_ref().map(String::as_str));
    }
}

#[test]
fn pods() {
    warned(
        kind::POD,
        json!({"metadata": {"name": "a.b", "annotations": {"seccomp.security.alpha.kubernetes.io/pod": "x"}},
            "spec": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}, "terminationGracePeriodSeconds": -1,
            "hostAliases": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}], "imagePullSecrets": [{}],
            "topologySpreadConstraints": [{"topologyKey": "a"}],
            "volumes": [{"name": "g", "gitRepo": {}}, {"name": "s", "secret": {"secretName": "t", "items": [{"path": "a"}, {"path": "a/b"}]}}]}}),
        &[
            &format!(
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{LABEL_MESSAGE}]"
            ),
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
            "spec.volumes[0].gitRepo: deprecated in v1.11",
            "volume \"s\" (Secret \"t\"): overlapping paths: \"a/b\" with \"a\"",
            "spec.hostAliases[1].ip: duplicate ip \"10.0.0.1\"",
            "spec.imagePullSecrets[0].name: invalid empty name \"\"",
            "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the \"seccompProfile\" field instead",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ],
    );
}

#[test]
fn others() {
    let term =
        json!({"matchExpressions": [{"key": "beta.kubernetes.io/arch", "operator": "Exists"}]});
    warned(
        kind::PERSISTENT_VOLUME,
        json!({"spec": {"persistentVolumeReclaimPolicy": "Recycle", "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}}),
        &[
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
            "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/arch is deprecated since v1.14; use \"kubernetes.io/arch\" instead",
        ],
    );
    warned(
        kind::PERSISTENT_VOLUME_CLAIM,
        json!({"spec": {"resources": {"requests": {"storage": "1500m"}}}}),
        &[
            "spec.resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be an integer",
        ],
    );
    warned(
        kind::SERVICE,
        json!({"spec": {"clusterIP": "None", "sessionAffinity": "ClientIP", "externalIPs": ["10.0.0.1"]}}),
        &[
            "spec.externalIPs is ignored for headless services",
            "spec.SessionAffinity is ignored for headless services",
        ],
    );
    warned(
        kind::INGRESS,
        json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "x"}}, "spec": {}}),
        &[
            "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead",
        ],
    );
    let pod = json!({"spec": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}}});
    assert_eq!(of_changed(kind::POD, &pod, &pod), [""; 0]);
}

/// A pod whose every port and every path stands on every other has as many faults as it has pairs.
#[test]
fn a_hostile_pod_is_told_a_hundred_things() {
    let port = json!({"containerPort": 80, "protocol": "TCP"});
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "ports": vec![port; 20_000]}]}});
    assert_eq!(of_new(kind::POD, &pod).len(), SAID_MAX);
    let item = |at: usize| json!({"key": "k", "path": format!("{}{at}", "a/".repeat(at % 40))});
    let items: Vec<Value> = (0..20_000).map(item).collect();
    let source = |at: usize| json!({"configMap": {"name": "m", "items": [item(at)]}});
    let sources: Vec<Value> = (0..20_000).map(source).collect();
    let volumes = json!([{"name": "v", "configMap": {"name": "m", "items": items}}, {"name": "w", "projected": {"sources": sources}}]);
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [], "volumes": volumes}});
    let said = of_new(kind::POD, &pod);
    assert!(!said.is_empty() && said.len() <= SAID_MAX, "{}", said.len());
}
