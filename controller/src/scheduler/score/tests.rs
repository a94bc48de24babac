//! Each view decides alone when the others are equal.

use super::*;
use crate::object::Object;
use coracle_api::{Revision, k8s_openapi::api::core::v1::Node, kind};
use serde_json::{Value, json};
use std::sync::Arc;

fn pod(name: &str, spec: Value) -> PodInfo {
    let meta = json!({"name": name, "namespace": "n", "uid": name, "labels": {"app": "x"}});
    let value = json!({"metadata": meta, "spec": spec});
    PodInfo::of(&Object::new(kind::POD, Revision(1), value).unwrap()).unwrap()
}

fn cluster(nodes: &[(&str, Value, Value)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (name, labels, spec) in nodes {
        let room = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
        let value = json!({"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"allocatable": room}});
        let node: Node = serde_json::from_value(value).unwrap();
        snapshot.set_node(name, NodeFacts::of(&node));
    }
    snapshot
}

fn stand(snapshot: &mut Snapshot, pod: &PodInfo, node: &str) {
    snapshot.place(&pod.uid, node, &Arc::clone(&pod.footprint));
}

#[track_caller]
fn check(snapshot: &Snapshot, pod: &PodInfo, expected: &str) {
    let all: Vec<usize> = (0..snapshot.slots()).collect();
    let slot = best(pod, snapshot, &all).unwrap();
    assert_eq!(snapshot.node(slot).unwrap().0.name, expected);
}

#[test]
fn the_emptier_node() {
    let mut snapshot = cluster(&[("a", json!({}), json!({})), ("b", json!({}), json!({}))]);
    let mut other = pod("other", json!({"containers": [{"name": "c"}]}));
    Arc::make_mut(&mut other.footprint).group.clear();
    stand(&mut snapshot, &other, "a");
    check(
        &snapshot,
        &pod("p", json!({"containers": [{"name": "c"}]})),
        "b",
    );
    check(
        &cluster(&[("a", json!({}), json!({})), ("b", json!({}), json!({}))]),
        &pod("p", json!({})),
        "a",
    );
}

#[test]
fn away_from_its_own_kind_on_nodes_and_in_zones() {
    let zone = |zone: &str| json!({"topology.kubernetes.io/zone": zone});
    let mut snapshot = cluster(&[
        ("a1", zone("a"), json!({})),
        ("a2", zone("a"), json!({})),
        ("b1", zone("b"), json!({})),
    ]);
    stand(&mut snapshot, &pod("p1", json!({})), "a1");
    check(&snapshot, &pod("p2", json!({})), "b1");
    stand(&mut snapshot, &pod("p2", json!({})), "b1");
    check(&snapshot, &pod("p3", json!({})), "a2");
}

#[test]
fn where_it_prefers_to_be_and_not_where_it_is_unwelcome() {
    let soft = json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]});
    let snapshot = cluster(&[
        ("soft", json!({}), soft),
        ("plain", json!({}), json!({})),
        ("ssd", json!({"disk": "ssd"}), json!({})),
    ]);
    check(&snapshot, &pod("p", json!({})), "plain");
    let tolerant = json!({"tolerations": [{"key": "k", "operator": "Exists"}]});
    check(&snapshot, &pod("p", tolerant), "soft");
    let term = json!({"weight": 1, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}});
    let prefers = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}});
    check(&snapshot, &pod("p", prefers), "ssd");
}
