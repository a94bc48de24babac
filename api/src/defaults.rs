//! Upstream's defaults, as a client sees them in `kubectl get -o yaml`.
//!
//! Source: k8s.io/kubernetes `pkg/apis/*/v1/defaults.go`. Pure: only fills what is absent.

mod pod;
mod policy;
mod resources;
mod storage;
mod volume_source;
mod workload;

use crate::{KindRef, kind};
use serde_json::{Map, Value, json};

/// Seconds a client sticks to a pod.
const STICKY_SECONDS: u32 = 10_800;

/// Fills in what `object` leaves out.
pub fn apply(kind: KindRef, object: &mut Value) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    match (kind.group, kind.kind) {
        ("", "Pod") => {
            in_map(object, "spec", pod::spec);
            if_map(object, "status", resources::given);
        }
        ("", "Service") => in_map(object, "spec", service_spec),
        ("", "Secret") => set(object, "type", json!("Opaque")),
        ("", "Namespace") => {
            name_label(object);
            set(object, "spec", json!({}));
            in_map(object, "status", |status| {
                set(status, "phase", json!("Active"));
            });
        }
        ("", "Endpoints") => each(object, "subsets", |subset| {
            each(subset, "ports", |port| set(port, "protocol", json!("TCP")));
        }),
        ("", "PersistentVolume") => storage::volume(object),
        ("", "PersistentVolumeClaim") => storage::claim(object),
        ("", "PodTemplate") => workload::template(object),
        ("", "ReplicationController") => workload::replication_controller(object),
        ("", "LimitRange") => in_map(object, "spec", policy::limit_range),
        ("", "ResourceQuota") => policy::quota(object),
        ("", "Node") => if_map(object, "status", node_status),
        ("discovery.k8s.io", "EndpointSlice") => each(object, "ports", |port| {
            set(port, "name", json!(""));
            set(port, "protocol", json!("TCP"));
        }),
        (kind::RBAC, "RoleBinding" | "ClusterRoleBinding") => binding(object),
        ("apps", "Deployment") => in_map(object, "spec", workload::deployment),
        ("apps", "ReplicaSet") => in_map(object, "spec", workload::replica_set),
        ("apps", "DaemonSet") => in_map(object, "spec", workload::daemon_set),
        ("apps", "StatefulSet") => in_map(object, "spec", workload::stateful_set),
        ("batch", "Job") => workload::job(object),
        ("batch", "CronJob") => in_map(object, "spec", workload::cron_job),
        ("autoscaling", _) => in_map(object, "spec", policy::autoscaler),
        ("networking.k8s.io", "NetworkPolicy") => in_map(object, "spec", policy::network_policy),
        ("networking.k8s.io", "IngressClass") => in_map(object, "spec", policy::ingress_class),
        ("storage.k8s.io", "StorageClass") => storage::class(object),
        ("storage.k8s.io", "CSIDriver") => in_map(object, "spec", storage::driver),
        ("scheduling.k8s.io", "PriorityClass") => {
            set(object, "preemptionPolicy", json!("PreemptLowerPriority"));
        }
        ("node.k8s.io", "RuntimeClass") => policy::runtime_class(object),
        _ => {}
    }
}

/// Fills in what a status leaves out.
pub fn status(kind: KindRef, object: &mut Value) {
    let is_balanced = object["spec"]["type"] == "LoadBalancer";
    let Some(object) = object.as_object_mut() else {
        return;
    };
    match (kind.group, kind.kind) {
        ("", "Namespace") => in_map(object, "status", |status| {
            set_unless_zero(status, "phase", json!("Active"));
        }),
        ("", "Node") => if_map(object, "status", node_status),
        ("", "Pod") => if_map(object, "status", resources::given),
        ("", "PersistentVolumeClaim") => if_map(object, "status", storage::room),
        ("", "ResourceQuota") => if_map(object, "status", policy::quota_status),
        ("", "Service") if is_balanced => if_map(object, "status", |status| {
            if_map(status, "loadBalancer", |balancer| {
                each(balancer, "ingress", |ingress| {
                    if ingress
                        .get("ip")
                        .is_some_and(|ip| *ip != "" && !ip.is_null())
                    {
                        set(ingress, "ipMode", json!("VIP"));
                    }
                });
            });
        }),
        _ => {}
    }
}

fn set(map: &mut Map<String, Value>, name: &str, value: Value) {
    match map.get_mut(name) {
        Some(Value::Null) | None => {
            map.insert(name.to_owned(), value);
        }
        Some(_) => {}
    }
}

/// As [`set`], where Go takes zero and nothing for absent too.
fn set_unless_zero(map: &mut Map<String, Value>, name: &str, value: Value) {
    let is_zero = |found: &Value| *found == 0 || *found == "";
    if map.get(name).is_some_and(is_zero) {
        map.remove(name);
    }
    set(map, name, value);
}

/// Runs `f` on the object `name`, made empty if it is absent.
fn in_map(map: &mut Map<String, Value>, name: &str, f: impl FnOnce(&mut Map<String, Value>)) {
    set(map, name, json!({}));
    if let Some(inner) = map.get_mut(name).and_then(Value::as_object_mut) {
        f(inner);
    }
}

/// Runs `f` on the object `name` if it is there.
fn if_map(map: &mut Map<String, Value>, name: &str, f: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(inner) = map.get_mut(name).and_then(Value::as_object_mut) {
        f(inner);
    }
}

fn each(map: &mut Map<String, Value>, name: &str, mut f: impl FnMut(&mut Map<String, Value>)) {
    let list = map.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
        .for_each(&mut f);
}

/// What a node gives is all that it has, where it does not say.
fn node_status(status: &mut Map<String, Value>) {
    let is_empty = |list: &Value| list.as_object().is_none_or(Map::is_empty);
    if status.get("allocatable").is_none_or(is_empty)
        && let Some(capacity) = status.get("capacity").cloned()
    {
        status.insert("allocatable".to_owned(), capacity);
    }
    resources::round_up(status, "capacity");
    resources::round_up(status, "allocatable");
}

/// A namespace can be selected by its name.
fn name_label(namespace: &mut Map<String, Value>) {
    in_map(namespace, "metadata", |meta| {
        let name = meta.get("name").cloned().unwrap_or_default();
        if name.as_str().is_some_and(|name| !name.is_empty()) {
            in_map(meta, "labels", |labels| {
                labels.insert("kubernetes.io/metadata.name".to_owned(), name);
            });
        }
    });
}

fn service_spec(spec: &mut Map<String, Value>) {
    set(spec, "type", json!("ClusterIP"));
    set(spec, "sessionAffinity", json!("None"));
    if spec["sessionAffinity"] == "None" {
        spec.remove("sessionAffinityConfig");
    } else if spec["sessionAffinity"] == "ClientIP" {
        in_map(spec, "sessionAffinityConfig", |config| {
            in_map(config, "clientIP", |client| {
                set(client, "timeoutSeconds", json!(STICKY_SECONDS));
            });
        });
    }
    if spec["type"] != "ExternalName" {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
        set(spec, "ipFamilies", json!(["IPv4"]));
        set(spec, "ipFamilyPolicy", json!("SingleStack"));
    }
    let has_external = spec
        .get("externalIPs")
        .and_then(Value::as_array)
        .is_some_and(|addresses| !addresses.is_empty());
    if spec["type"] == "NodePort"
        || spec["type"] == "LoadBalancer"
        || (spec["type"] == "ClusterIP" && has_external)
    {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if spec["type"] == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    each(spec, "ports", |port| {
        set(port, "protocol", json!("TCP"));
        let own = port.get("port").cloned().unwrap_or(Value::Null);
        set_unless_zero(port, "targetPort", own);
    });
}

/// A role is of the group of roles, and so are users and groups.
fn binding(binding: &mut Map<String, Value>) {
    let group = |map: &mut Map<String, Value>| {
        let unnamed = map.get("apiGroup").is_none_or(|group| group == "");
        if unnamed {
            map.insert("apiGroup".to_owned(), json!(kind::RBAC));
        }
    };
    if_map(binding, "roleRef", group);
    each(binding, "subjects", |subject| {
        if matches!(
            subject.get("kind").and_then(Value::as_str),
            Some("User" | "Group")
        ) {
            group(subject);
        }
    });
}

#[cfg(test)]
mod tests;
