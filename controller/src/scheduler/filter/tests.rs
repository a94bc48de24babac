//! Each filter on a table of pods and nodes.

use super::*;
use crate::object::Object;
use coracle_api::{Revision, k8s_openapi::api::core::v1::Node, kind};
use serde_json::{Value, json};

fn pod(spec: Value) -> PodInfo {
    let value = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec});
    PodInfo::of(&Object::new(kind::POD, Revision(1), value).unwrap()).unwrap()
}

fn node(spec: Value, labels: Value) -> (NodeInfo, NodeFacts) {
    let room = json!({"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi", "pods": "2", "example.com/led": "1"});
    let value = json!({"metadata": {"name": "n1", "labels": labels}, "spec": spec, "status": {"allocatable": room}});
    let node: Node = serde_json::from_value(value).unwrap();
    let info = NodeInfo {
        name: "n1".to_owned(),
        ..NodeInfo::default()
    };
    (info, NodeFacts::of(&node))
}

#[track_caller]
fn check_on(pod_spec: Value, node: &(NodeInfo, NodeFacts), expected: &[&str]) {
    let result = check(&pod(pod_spec), &node.0, &node.1);
    let words: Vec<String> = result
        .err()
        .into_iter()
        .flatten()
        .map(|why| why.to_string())
        .collect();
    assert_eq!(words, expected);
}

#[test]
fn cordoned_and_tainted_nodes() {
    let cordoned = node(json!({"unschedulable": true}), json!({}));
    check_on(json!({}), &cordoned, &["node(s) were unschedulable"]);
    let tolerant =
        json!({"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]});
    check_on(tolerant, &cordoned, &[]);
    let taint = |effect: &str| {
        node(
            json!({"taints": [{"key": "k", "value": "v", "effect": effect}]}),
            json!({}),
        )
    };
    for effect in ["NoSchedule", "NoExecute"] {
        check_on(
            json!({}),
            &taint(effect),
            &["node(s) had untolerated taint(s)"],
        );
        check_on(
            json!({"tolerations": [{"key": "k", "value": "v"}]}),
            &taint(effect),
            &[],
        );
    }
    check_on(json!({}), &taint("PreferNoSchedule"), &[]);
}

#[test]
fn names_selectors_and_affinity() {
    let plain = node(
        json!({}),
        json!({"disk": "ssd", "cores": "4", "kubernetes.io/arch": "arm64"}),
    );
    let miss: &[&str] = &["node(s) didn't match Pod's node affinity/selector"];
    check_on(
        json!({"nodeName": "n2"}),
        &plain,
        &["node(s) didn't match the requested node name"],
    );
    check_on(json!({"nodeSelector": {"disk": "ssd"}}), &plain, &[]);
    check_on(json!({"nodeSelector": {"disk": "hdd"}}), &plain, miss);
    check_on(json!({"nodeSelector": {"other": "x"}}), &plain, miss);
    let required = |terms: Value| {
        json!({"affinity": {"nodeAffinity":
        {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    };
    let expression = |key: &str, operator: &str, values: &[&str]| {
        required(
            json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]),
        )
    };
    let cases: [(&str, &str, &[&str], bool); 12] = [
        ("disk", "In", &["ssd", "x"], true),
        ("disk", "In", &["x"], false),
        ("disk", "NotIn", &["ssd"], false),
        ("other", "NotIn", &["ssd"], true),
        ("disk", "Exists", &[], true),
        ("other", "Exists", &[], false),
        ("disk", "DoesNotExist", &[], false),
        ("other", "DoesNotExist", &[], true),
        ("cores", "Gt", &["3"], true),
        ("cores", "Gt", &["4"], false),
        ("cores", "Lt", &["5"], true),
        ("disk", "Lt", &["5"], false),
    ];
    for (key, operator, values, fits) in cases {
        check_on(
            expression(key, operator, values),
            &plain,
            if fits { &[] } else { miss },
        );
    }
    check_on(required(json!([])), &plain, miss);
    check_on(required(json!([{}])), &plain, miss);
    let field = |operator: &str| json!({"matchFields": [{"key": "metadata.name", "operator": operator, "values": ["n1"]}]});
    check_on(required(json!([field("In")])), &plain, &[]);
    check_on(required(json!([field("NotIn")])), &plain, miss);
    check_on(required(json!([field("NotIn"), field("In")])), &plain, &[]);
}

#[test]
fn a_wasm_guest_runs_on_every_architecture() {
    let arm = node(
        json!({}),
        json!({"kubernetes.io/arch": "arm64", "kubernetes.io/os": "linux"}),
    );
    let miss: &[&str] = &["node(s) didn't match Pod's node affinity/selector"];
    for arch in ["wasm32-wasi", "wasm", "arm64"] {
        for os in ["wasi", "linux"] {
            let selector = json!({"kubernetes.io/arch": arch, "kubernetes.io/os": os});
            check_on(json!({"nodeSelector": selector}), &arm, &[]);
        }
    }
    check_on(
        json!({"nodeSelector": {"kubernetes.io/arch": "amd64"}}),
        &arm,
        miss,
    );
    check_on(
        json!({"nodeSelector": {"kubernetes.io/os": "windows"}}),
        &arm,
        miss,
    );
    let terms = json!([{"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["wasm"]}]}]);
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
    check_on(json!({"affinity": affinity}), &arm, &[]);
}

#[test]
fn ports_and_resources() {
    let container = |requests: Value| json!({"containers": [{"name": "c", "resources": {"requests": requests}}]});
    let (mut info, facts) = node(json!({}), json!({}));
    info.used.pods = 1;
    info.used.cpu_milli = 500;
    info.ports.push(crate::scheduler::pod::HostPort {
        ip: String::new(),
        protocol: "TCP".to_owned(),
        port: 8080,
    });
    let busy = (info, facts);
    check_on(
        container(json!({"cpu": "500m", "memory": "1Gi"})),
        &busy,
        &[],
    );
    let more = container(
        json!({"cpu": "501m", "memory": "2Gi", "ephemeral-storage": "2Gi", "example.com/led": "2"}),
    );
    let short = [
        "Insufficient cpu",
        "Insufficient memory",
        "Insufficient ephemeral-storage",
        "Insufficient example.com/led",
    ];
    check_on(more, &busy, &short);
    let port =
        json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 8080}]}]});
    check_on(
        port,
        &busy,
        &["node(s) didn't have free ports for the requested pod ports"],
    );
    let (mut full, facts) = busy;
    full.used.pods = 2;
    full.used.cpu_milli = 5000;
    check_on(json!({}), &(full, facts), &["Too many pods"]);
}
