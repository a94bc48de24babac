//! Classes, drivers and what runs on a node; and the class of an Ingress.

use super::*;

#[test]
fn storage_classes() {
    let topology = json!({"matchLabelExpressions": [{"key": "a", "values": ["x"]}]});
    check(
        kind::STORAGE_CLASS,
        json!({"provisioner": "x.io/y", "parameters": {"": "v"}, "allowedTopologies": [topology.clone(), topology,
            {"matchLabelExpressions": [{"key": "b", "values": []}, {"key": "b", "values": ["x", "x"]}]}]}),
        &[
            "parameters: Invalid value: \"\": field can not be empty.",
            "allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"",
            "allowedTopologies[2].matchLabelExpressions[0].values: Required value",
            "allowedTopologies[2].matchLabelExpressions[1].values[1]: Duplicate value: \"x\"",
            "allowedTopologies[2].matchLabelExpressions[1].key: Duplicate value: \"b\"",
        ],
    );
}

#[test]
fn runtime_classes() {
    let tolerations = json!([{"key": "a", "operator": "x"}, {"key": "b", "operator": "Exists"}, {"key": "b", "operator": "Exists", "tolerationSeconds": null}]);
    check(
        kind::RUNTIME_CLASS,
        json!({"handler": "wasm", "overhead": {"podFixed": {"foo": "1", "cpu": "-1"}},
            "scheduling": {"nodeSelector": {"-": "a"}, "tolerations": tolerations}}),
        &[
            "overhead.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "overhead.limits[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified",
            "overhead.limits[foo]: Invalid value: \"foo\": must be a standard resource for containers",
            &format!(
                "scheduling.nodeSelector: Invalid value: \"-\": {}",
                meta::QUALIFIED_MESSAGE
            ),
            "scheduling.tolerations[0].operator: Unsupported value: \"x\": supported values: \"Equal\", \"Exists\"",
            "scheduling.tolerations[2]: Duplicate value: {\"key\":\"b\",\"operator\":\"Exists\",\"tolerationSeconds\":null}",
        ],
    );
}

#[test]
fn drivers() {
    check(
        kind::CSI_DRIVER,
        json!({"spec": {"tokenRequests": [{"audience": "a", "expirationSeconds": 5}, {"audience": "a"}], "nodeAllocatableUpdatePeriodSeconds": 9}}),
        &[
            "spec.tokenRequests[0].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes",
            "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
            "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
        ],
    );
    let node = json!({"spec": {"drivers": [{"name": "d", "nodeID": "1", "topologyKeys": ["a"], "allocatable": {"count": 1}}]}});
    check(kind::CSI_NODE, node.clone(), &[]);
    let mut twice = node.clone();
    twice["spec"]["drivers"][0]["topologyKeys"] = json!(["a", "a", "-"]);
    check(
        kind::CSI_NODE,
        twice,
        &[
            "spec.drivers[0]: Duplicate value: \"a\"",
            &format!(
                "spec.drivers[0]: Invalid value: \"-\": {}",
                meta::QUALIFIED_MESSAGE
            ),
        ],
    );
    check_change(
        kind::CSI_NODE,
        node.clone(),
        |node| node["spec"]["drivers"][0]["allocatable"]["count"] = json!(2),
        &[],
    );
    check_change(
        kind::CSI_NODE,
        node,
        |node| node["spec"]["drivers"][0]["nodeID"] = json!("2"),
        &["spec.drivers"],
    );
    check(
        kind::VOLUME_ATTACHMENT,
        json!({"spec": {"attacher": "A_b", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}),
        &[&format!(
            "spec.attacher: Invalid value: \"A_b\": {}",
            meta::SUBDOMAIN_MESSAGE
        )],
    );
}

#[test]
fn an_ingress_says_one_class() {
    let ingress = json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "y"}},
        "spec": {"ingressClassName": "x", "defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}});
    check(
        kind::INGRESS,
        ingress,
        &[
            "annotations.kubernetes.io/ingress.class: Invalid value: \"y\": must match `ingressClassName` when both are specified",
        ],
    );
}
