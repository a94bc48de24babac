//! Fields that upstream takes and does not keep: of features that are off in 1.35, unless the object had them before, and
//! the labels of endpoints from before they had fields.
//!
//! Source: k8s.io/kubernetes `pkg/features/kube_features.go` of what is off, `pkg/api/pod/util.go` and the strategies of
//! `pkg/registry` of what they drop. A feature that comes to be on takes its row along. Pure.

use crate::KindRef;
use serde_json::Value;
use std::collections::HashSet;

/// What goes with a feature. Where it is found in the old object, all of it may be in the new one.
struct Feature {
    /// Its gate, for who looks it up.
    gate: &'static str,
    /// Places with `.` between fields, and `*` for each element of a list.
    places: &'static [&'static str],
    rest: Rest,
}

/// What becomes of the structure that had the field.
#[derive(PartialEq, Eq)]
enum Rest {
    Stays,
    /// It goes when it has no other field.
    GoesWhenEmpty,
}

const fn off(gate: &'static str, places: &'static [&'static str]) -> Feature {
    Feature {
        gate,
        places,
        rest: Rest::Stays,
    }
}

/// Of a pod's spec, in a pod or in a template.
const OF_PODS: [Feature; 4] = [
    off("GenericWorkload", &["workloadRef"]),
    off(
        "ClusterTrustBundleProjection",
        &["volumes.*.projected.sources.*.clusterTrustBundle"],
    ),
    off(
        "PodCertificateRequest",
        &["volumes.*.projected.sources.*.podCertificate"],
    ),
    Feature {
        gate: "ContainerStopSignals",
        places: &[
            "containers.*.lifecycle.stopSignal",
            "initContainers.*.lifecycle.stopSignal",
            "ephemeralContainers.*.lifecycle.stopSignal",
        ],
        rest: Rest::GoesWhenEmpty,
    },
];

/// Of whole objects, by group and kind.
const OF_OBJECTS: [(&str, &str, Feature); 7] = [
    (
        "",
        "Pod",
        off(
            "InPlacePodLevelResourcesVerticalScaling",
            &["status.resources", "status.allocatedResources"],
        ),
    ),
    (
        "",
        "Pod",
        off(
            "DRAExtendedResource",
            &["status.extendedResourceClaimStatus"],
        ),
    ),
    (
        "",
        "Node",
        off("NodeDeclaredFeatures", &["status.declaredFeatures"]),
    ),
    (
        "storage.k8s.io",
        "CSIDriver",
        off(
            "VolumeLimitScaling",
            &["spec.preventPodSchedulingIfMissing"],
        ),
    ),
    (
        "coordination.k8s.io",
        "Lease",
        off("CoordinatedLeaderElection", &["spec.strategy"]),
    ),
    (
        "coordination.k8s.io",
        "Lease",
        off("CoordinatedLeaderElection", &["spec.preferredHolder"]),
    ),
    (
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        off(
            "CRDObservedGenerationTracking",
            &["status.observedGeneration"],
        ),
    ),
];

/// `ResourceHealthStatus`: dropped whatever was there.
const HEALTH: [&str; 3] = [
    "status.containerStatuses.*.allocatedResourcesStatus",
    "status.initContainerStatuses.*.allocatedResourcesStatus",
    "status.ephemeralContainerStatuses.*.allocatedResourcesStatus",
];

/// Takes out of a new state of an object what is not kept.
pub fn drop_fields(kind: KindRef, new: &mut Value, old: Option<&Value>) {
    let none = Value::Null;
    let before = old.unwrap_or(&none);
    if let Some(place) = pod_spec(kind)
        && let Some(spec) = new.pointer_mut(place)
    {
        let before = before.pointer(place).unwrap_or(&none);
        for feature in &OF_PODS {
            feature.drop_from(spec, before);
        }
    }
    let name = (kind.group, kind.kind);
    for (group, kind, feature) in &OF_OBJECTS {
        if name == (group, kind) {
            feature.drop_from(new, before);
        }
    }
    match name {
        ("", "Pod") => HEALTH.iter().for_each(|place| remove(new, &path(place))),
        ("", "PersistentVolumeClaim") => drop_foreign_source(new, before),
        ("discovery.k8s.io", "EndpointSlice") => drop_topology(new, old),
        _ => {}
    }
}

/// Where the pods are of which a kind says what they are.
fn pod_spec(kind: KindRef) -> Option<&'static str> {
    match (kind.group, kind.kind) {
        ("", "Pod") => Some("/spec"),
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet")
        | ("batch", "Job")
        | ("", "ReplicationController") => Some("/spec/template/spec"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template/spec"),
        ("", "PodTemplate") => Some("/template/spec"),
        _ => None,
    }
}

impl Feature {
    fn drop_from(&self, new: &mut Value, before: &Value) {
        debug_assert!(!self.gate.is_empty(), "a row says why");
        let places: Vec<Vec<&str>> = self.places.iter().map(|place| path(place)).collect();
        if places.iter().any(|place| has(before, place)) {
            return;
        }
        for place in &places {
            // Only those that had the field are looked at: another empty one was written so.
            if !has(new, place) {
                continue;
            }
            match (&self.rest, place.as_slice()) {
                (Rest::GoesWhenEmpty, [parents @ .., parent, field]) => {
                    remove_with(new, (parents, *parent, *field));
                }
                _ => remove(new, place),
            }
        }
    }
}

fn path(place: &'static str) -> Vec<&'static str> {
    place.split('.').collect()
}

/// Whether there is something at a place.
fn has(of: &Value, place: &[&str]) -> bool {
    match place {
        [] => !of.is_null(),
        ["*", rest @ ..] => {
            let list = of.as_array();
            list.is_some_and(|list| list.iter().any(|element| has(element, rest)))
        }
        [field, rest @ ..] => has(&of[*field], rest),
    }
}

fn remove(of: &mut Value, place: &[&str]) {
    let [parents @ .., field] = place else {
        return;
    };
    each(of, parents, &mut |parent| {
        if let Some(map) = parent.as_object_mut() {
            map.remove(*field);
        }
    });
}

/// Removes a field, and what had it if that has no other.
fn remove_with(of: &mut Value, (parents, parent, field): (&[&str], &str, &str)) {
    each(of, parents, &mut |holder| {
        let Some(map) = holder.get_mut(parent).and_then(Value::as_object_mut) else {
            return;
        };
        let had = map.remove(field).is_some_and(|value| !value.is_null());
        let is_empty = map.values().all(Value::is_null);
        if let (true, true, Some(holder)) = (had, is_empty, holder.as_object_mut()) {
            holder.remove(parent);
        }
    });
}

/// What is at a place, wherever that is.
fn each(of: &mut Value, place: &[&str], act: &mut dyn FnMut(&mut Value)) {
    match place {
        [] => act(of),
        ["*", rest @ ..] => {
            for element in of.as_array_mut().into_iter().flatten() {
                each(element, rest, act);
            }
        }
        [field, rest @ ..] => {
            if let Some(inner) = of.get_mut(*field) {
                each(inner, rest, act);
            }
        }
    }
}

/// `CrossNamespaceVolumeDataSource`: what is in another namespace is no source, unless there was one before.
fn drop_foreign_source(claim: &mut Value, before: &Value) {
    let is_foreign = claim["spec"]["dataSourceRef"]["namespace"]
        .as_str()
        .is_some_and(|namespace| !namespace.is_empty());
    if is_foreign && before["spec"]["dataSourceRef"].is_null() {
        remove(claim, &["spec", "dataSourceRef"]);
    }
}

/// Labels of endpoints are not written any more. A node that stood there stays, as the name it is now.
fn drop_topology(slice: &mut Value, old: Option<&Value>) {
    const HOSTNAME: &str = "kubernetes.io/hostname";
    if old.is_some_and(|old| old["endpoints"] == slice["endpoints"]) {
        return;
    }
    let before = old.and_then(|old| old["endpoints"].as_array());
    let nodes: HashSet<&str> = before
        .into_iter()
        .flatten()
        .filter_map(|endpoint| endpoint["deprecatedTopology"][HOSTNAME].as_str())
        .collect();
    each(slice, &["endpoints", "*"], &mut |endpoint| {
        let Some(endpoint) = endpoint.as_object_mut() else {
            return;
        };
        let labels = endpoint.remove("deprecatedTopology").unwrap_or_default();
        let has_name = endpoint.get("nodeName").is_some_and(|name| !name.is_null());
        let node = labels[HOSTNAME].as_str();
        let node =
            node.filter(|node| nodes.contains(node) && crate::validate::is_dns_subdomain(node));
        if let (false, Some(node)) = (has_name, node) {
            endpoint.insert("nodeName".to_owned(), node.into());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind;
    use serde_json::json;

    /// An object with a pod's spec at its place.
    type Place = fn(&Value) -> Value;

    #[track_caller]
    fn check(kind: KindRef, new: Value, old: Option<&Value>, expected: &Value) {
        let mut kept = new;
        drop_fields(kind, &mut kept, old);
        assert_eq!(&kept, expected, "{}", kind.kind);
    }

    /// Of a pod, and of each kind that makes pods: gone where it is new, kept where it was.
    #[test]
    fn of_pods() {
        let sources =
            |source: Value| json!({"volumes": [{"name": "v", "projected": {"sources": [source]}}]});
        let signal =
            |lifecycle: Value| json!({"containers": [{"name": "c", "lifecycle": lifecycle}]});
        let hook = json!({"preStop": {"sleep": {"seconds": 1}}});
        let mut both = hook.clone();
        both["stopSignal"] = json!("SIGUSR1");
        for (spec, kept) in [
            (
                json!({"workloadRef": {"name": "w"}, "hostname": "h"}),
                json!({"hostname": "h"}),
            ),
            (sources(json!({"podCertificate": {}})), sources(json!({}))),
            (
                sources(json!({"clusterTrustBundle": {"path": "p"}})),
                sources(json!({})),
            ),
            (
                signal(json!({"stopSignal": "SIGUSR1"})),
                json!({"containers": [{"name": "c"}]}),
            ),
            (signal(both), signal(hook)),
        ] {
            let kinds: [(KindRef, Place); 4] = [
                (kind::POD, |spec: &Value| json!({"spec": spec})),
                (
                    kind::DEPLOYMENT,
                    |spec: &Value| json!({"spec": {"template": {"spec": spec}}}),
                ),
                (
                    kind::CRON_JOB,
                    |spec: &Value| json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}),
                ),
                (
                    kind::POD_TEMPLATE,
                    |spec: &Value| json!({"template": {"spec": spec}}),
                ),
            ];
            for (of, whole) in kinds {
                let (new, kept) = (whole(&spec), whole(&kept));
                check(of, new.clone(), None, &kept);
                check(of, new.clone(), Some(&kept), &kept);
                check(of, new.clone(), Some(&new), &new);
            }
        }
    }

    #[test]
    fn of_other_objects() {
        let lease = json!({"spec": {"strategy": "X", "holderIdentity": "a"}});
        let had = json!({"spec": {"strategy": "X"}});
        check(
            kind::LEASE,
            lease.clone(),
            None,
            &json!({"spec": {"holderIdentity": "a"}}),
        );
        check(kind::LEASE, lease.clone(), Some(&had), &lease);
        let health = json!({"status": {"containerStatuses": [{"name": "c", "allocatedResourcesStatus": []}]}});
        let told = json!({"status": {"containerStatuses": [{"name": "c"}]}});
        check(kind::POD, health.clone(), Some(&health), &told);
        let foreign =
            json!({"spec": {"dataSourceRef": {"kind": "K", "name": "n", "namespace": "o"}}});
        let claim = kind::PERSISTENT_VOLUME_CLAIM;
        check(claim, foreign.clone(), None, &json!({"spec": {}}));
        check(claim, foreign.clone(), Some(&foreign), &foreign);
        let own = json!({"spec": {"dataSourceRef": {"kind": "K", "name": "n"}}});
        check(claim, own.clone(), None, &own);
    }

    #[test]
    fn labels_of_endpoints_go_and_their_node_stays() {
        let slice = |endpoint: Value| json!({"endpoints": [endpoint]});
        let node = json!({"kubernetes.io/hostname": "n", "a": "b"});
        let old = slice(json!({"addresses": ["10.0.0.1"], "deprecatedTopology": node}));
        let of = kind::ENDPOINT_SLICE;
        check(of, old.clone(), Some(&old), &old);
        let bare = slice(json!({"addresses": ["10.0.0.1"]}));
        check(of, old.clone(), None, &bare);
        let moved = slice(json!({"addresses": ["10.0.0.2"], "deprecatedTopology": node}));
        let named = slice(json!({"addresses": ["10.0.0.2"], "nodeName": "n"}));
        check(of, moved, Some(&old), &named);
    }
}
