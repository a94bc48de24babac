//! The Node object of an agent: what it reports as labels, addresses, amounts and conditions.
//!
//! Pure. An agent may set labels of its operator's making, never one that Kubernetes reserves; labels
//! that it no longer gives are taken away again.

use super::status_sink::one_condition;
use coracle_api::{quantity::Quantity, validate};
use coracle_link::{node::NodeInfo, status::Condition};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Fingerprint of the key a node name belongs to.
pub(crate) const DEVICE_KEY: &str = "coracle.dev/device-key";
/// Keys of the labels that came from the agent, comma separated.
const AGENT_LABELS: &str = "coracle.dev/agent-labels";
/// The Kubernetes whose kubelet an agent stands for, as in the API's own version.
const KUBERNETES: &str = "v1.35.0";
/// Labels an operator may give an agent; more are left out.
const LABELS_MAX: usize = 64;
/// Domains that only the cluster itself labels with.
const RESERVED: [&str; 2] = ["kubernetes.io", "k8s.io"];
/// Exceptions, as upstream's NodeRestriction has them.
const OPEN_TO_NODES: [&str; 6] = [
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "kubelet.kubernetes.io/",
    "node.kubernetes.io/",
    "feature.node.kubernetes.io/",
];

/// What the controller knows of a node that reports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) name: &'a str,
    pub(crate) device_key: &'a str,
    pub(crate) pod_cidr: &'a str,
    /// Where its packets come from.
    pub(crate) peer: &'a str,
    pub(crate) now: Timestamp,
}

/// A new Node for an agent that has just joined.
pub(crate) fn new(name: &str, device_key: &str, pod_cidr: &str) -> Value {
    json!({
        "metadata": {
            "name": name,
            "annotations": {DEVICE_KEY: device_key},
            "labels": {"kubernetes.io/hostname": name},
        },
        "spec": {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]},
    })
}

/// Brings labels, annotations and the address block in step; the status is [`status`].
pub(crate) fn update(node: &mut Value, info: &NodeInfo, facts: &Facts<'_>) {
    let given = agent_labels(info);
    let earlier = node["metadata"]["annotations"][AGENT_LABELS]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if !node["metadata"]["labels"].is_object() {
        node["metadata"]["labels"] = json!({});
    }
    if let Some(labels) = node["metadata"]["labels"].as_object_mut() {
        for key in earlier.split(',') {
            labels.remove(key);
        }
        for (key, value) in &given {
            labels.insert(key.clone(), json!(value));
        }
        for (key, value) in [
            ("kubernetes.io/hostname", facts.name),
            ("kubernetes.io/arch", info.architecture.as_str()),
            ("kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", info.architecture.as_str()),
            ("beta.kubernetes.io/os", "linux"),
        ] {
            labels.insert(key.to_owned(), json!(value));
        }
    }
    if !node["metadata"]["annotations"].is_object() {
        node["metadata"]["annotations"] = json!({});
    }
    node["metadata"]["annotations"][DEVICE_KEY] = json!(facts.device_key);
    let keys: Vec<&str> = given.iter().map(|(key, _)| key.as_str()).collect();
    if keys.is_empty() {
        if let Some(annotations) = node["metadata"]["annotations"].as_object_mut() {
            annotations.remove(AGENT_LABELS);
        }
    } else {
        node["metadata"]["annotations"][AGENT_LABELS] = json!(keys.join(","));
    }
    if node["spec"]["podCIDR"].is_null() {
        node["spec"]["podCIDR"] = json!(facts.pod_cidr);
        node["spec"]["podCIDRs"] = json!([facts.pod_cidr]);
    }
}

/// The labels of an operator that may be set.
fn agent_labels(info: &NodeInfo) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    for (key, value) in info.labels.iter().take(LABELS_MAX) {
        if is_reserved(key) || !validate::is_qualified_name(key) || !validate::is_label_value(value)
        {
            tracing::warn!(label = %key, "leaving out a label that an agent may not set");
            continue;
        }
        labels.push((key.clone(), value.clone()));
    }
    labels.sort();
    labels.dedup_by(|later, earlier| later.0 == earlier.0);
    labels
}

fn is_reserved(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else {
        return false;
    };
    let reserved = RESERVED
        .iter()
        .any(|reserved| domain == *reserved || domain.ends_with(&format!(".{reserved}")));
    reserved
        && !OPEN_TO_NODES
            .iter()
            .any(|open| key == *open || open.ends_with('/') && key.starts_with(open))
}

/// The status of the Node; heartbeat times move only with something else, for the sake of the disk.
pub(crate) fn status(node: &Value, info: &NodeInfo, facts: &Facts<'_>) -> Value {
    let mut status = node["status"].as_object().cloned().unwrap_or_default();
    let amounts = |cpu_millis: u64, memory: u64, storage: u64| {
        json!({
            "cpu": Quantity::from_milli(i128::from(cpu_millis)).to_string(),
            "memory": format!("{}Ki", memory / 1024),
            "ephemeral-storage": format!("{}Ki", storage / 1024),
            "pods": info.pods_max.to_string(),
        })
    };
    let (cpu, memory, storage) = (
        info.capacity_cpu_millis,
        info.capacity_memory_bytes,
        info.capacity_storage_bytes,
    );
    status.insert("capacity".to_owned(), amounts(cpu, memory, storage));
    let (cpu, memory) = (info.allocatable_cpu_millis, info.allocatable_memory_bytes);
    status.insert("allocatable".to_owned(), amounts(cpu, memory, storage));
    let address = address(info, facts);
    status.insert(
        "addresses".to_owned(),
        json!([
            {"type": "InternalIP", "address": address},
            {"type": "Hostname", "address": facts.name},
        ]),
    );
    status.insert("nodeInfo".to_owned(), node_info(info));
    status.insert(
        "conditions".to_owned(),
        conditions(&node["status"]["conditions"], info, facts.now),
    );
    status
        .entry("daemonEndpoints")
        .or_insert_with(|| json!({"kubeletEndpoint": {"Port": 0}}));
    Value::Object(status)
}

/// The agent's own word, or where its packets come from.
pub(crate) fn address<'a>(info: &'a NodeInfo, facts: &Facts<'a>) -> &'a str {
    match info.address.parse::<std::net::IpAddr>() {
        Ok(address) if !address.is_unspecified() => &info.address,
        _ => facts.peer,
    }
}

fn node_info(info: &NodeInfo) -> Value {
    json!({
        "machineID": info.machine_id,
        "systemUUID": info.machine_id,
        "bootID": info.boot_id,
        "kernelVersion": info.kernel_version,
        "osImage": info.os_image,
        "containerRuntimeVersion": info.runtime_version,
        "kubeletVersion": kubelet_version(&info.agent_version),
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": info.architecture,
    })
}

/// The agent's version in the form of the API's, which tools parse.
fn kubelet_version(agent: &str) -> String {
    format!("{KUBERNETES}+coracle.{agent}")
}

fn conditions(old: &Value, info: &NodeInfo, now: Timestamp) -> Value {
    let old: Vec<Value> = old.as_array().cloned().unwrap_or_default();
    let defaults = [
        (
            "MemoryPressure",
            false,
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        (
            "DiskPressure",
            false,
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure",
        ),
        (
            "PIDPressure",
            false,
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        ),
        (
            "Ready",
            true,
            "KubeletReady",
            "kubelet is posting ready status",
        ),
    ];
    let reported = |kind: &str| info.conditions.iter().find(|one| one.kind == kind);
    let mut all: Vec<Value> = defaults
        .into_iter()
        .map(|(kind, status, reason, message)| {
            let condition = reported(kind).cloned().unwrap_or_else(|| Condition {
                kind: kind.to_owned(),
                status: Some(status),
                reason: reason.to_owned(),
                message: message.to_owned(),
                last_transition_ms: now.as_millisecond(),
            });
            node_condition(&condition, &old, now)
        })
        .collect();
    let known = |kind: &Value| defaults.iter().any(|(known, ..)| kind == known);
    all.extend(old.iter().filter(|one| !known(&one["type"])).cloned());
    Value::Array(all)
}

fn node_condition(condition: &Condition, old: &[Value], now: Timestamp) -> Value {
    let before = old.iter().find(|one| one["type"] == condition.kind);
    let mut value = one_condition(condition, before, None, now);
    let mut same = Map::new();
    for field in ["type", "status", "reason", "message", "lastTransitionTime"] {
        same.insert(field.to_owned(), value[field].clone());
    }
    let unchanged = before.filter(|before| same.iter().all(|(field, new)| before[field] == *new));
    let heartbeat = match unchanged {
        Some(before) => before["lastHeartbeatTime"].clone(),
        None => json!(super::time(now.as_millisecond())),
    };
    if let Some(map) = value.as_object_mut() {
        map.remove("lastProbeTime");
        map.insert("lastHeartbeatTime".to_owned(), heartbeat);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> NodeInfo {
        NodeInfo {
            architecture: "arm64".to_owned(),
            target: String::new(),
            compatibility_hash: String::new(),
            os_image: "Debian".to_owned(),
            kernel_version: "6.1".to_owned(),
            agent_version: "0.1.0".to_owned(),
            runtime_version: "wasmtime://48.0.0".to_owned(),
            machine_id: "m".to_owned(),
            boot_id: "b".to_owned(),
            capacity_cpu_millis: 4000,
            capacity_memory_bytes: 1 << 30,
            capacity_storage_bytes: 10 << 30,
            allocatable_cpu_millis: 3950,
            allocatable_memory_bytes: 1 << 29,
            pods_max: 110,
            address: "10.0.0.7".to_owned(),
            hostname: "pi".to_owned(),
            labels: Vec::new(),
            conditions: Vec::new(),
        }
    }

    fn facts(second: i64) -> Facts<'static> {
        Facts {
            name: "pi",
            device_key: "abc",
            pod_cidr: "10.244.1.0/24",
            peer: "192.0.2.1",
            now: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn labels_come_and_go_with_the_agent_and_reserved_ones_never() {
        let mut node = new("pi", "abc", "10.244.1.0/24");
        node["metadata"]["labels"]["team"] = json!("kept");
        let mut info = info();
        let label = |key: &str| (key.to_owned(), "x".to_owned());
        info.labels = vec![
            label("room"),
            label("node-role.kubernetes.io/control-plane"),
            label("topology.kubernetes.io/zone"),
            label("not a label"),
        ];
        update(&mut node, &info, &facts(1));
        let labels = &node["metadata"]["labels"];
        assert_eq!(labels["room"], "x");
        assert_eq!(labels["topology.kubernetes.io/zone"], "x");
        assert_eq!(labels["kubernetes.io/arch"], "arm64");
        assert!(labels["node-role.kubernetes.io/control-plane"].is_null());
        assert!(labels["not a label"].is_null());
        info.labels.clear();
        update(&mut node, &info, &facts(2));
        let labels = &node["metadata"]["labels"];
        assert!(labels["room"].is_null());
        assert_eq!(labels["team"], "kept");
        assert!(node["metadata"]["annotations"][AGENT_LABELS].is_null());
        assert_eq!(node["metadata"]["annotations"][DEVICE_KEY], "abc");
    }

    #[test]
    fn a_quiet_node_writes_nothing_and_a_returning_one_turns_ready() {
        let info = info();
        let mut node = new("pi", "abc", "10.244.1.0/24");
        node["status"] = status(&node, &info, &facts(1));
        let first = node["status"].clone();
        assert_eq!(first["capacity"]["cpu"], "4");
        assert_eq!(first["allocatable"]["cpu"], "3950m");
        assert_eq!(first["capacity"]["memory"], "1048576Ki");
        assert_eq!(first["addresses"][0]["address"], "10.0.0.7");
        assert_eq!(first["nodeInfo"]["kubeletVersion"], "v1.35.0+coracle.0.1.0");
        assert_eq!(first["conditions"][3]["type"], "Ready");
        assert_eq!(
            first["conditions"][3]["lastHeartbeatTime"],
            "1970-01-01T00:00:01Z"
        );
        assert_eq!(status(&node, &info, &facts(50)), first);
        node["status"]["conditions"][3]["status"] = json!("Unknown");
        node["status"]["conditions"][3]["lastTransitionTime"] = json!("1970-01-01T00:01:00Z");
        let back = status(&node, &info, &facts(90));
        assert_eq!(back["conditions"][3]["status"], "True");
        assert_eq!(
            back["conditions"][3]["lastTransitionTime"],
            "1970-01-01T00:01:30Z"
        );
    }

    #[test]
    fn an_agent_that_knows_no_address_gets_that_of_its_packets() {
        let mut info = info();
        info.address.clear();
        assert_eq!(address(&info, &facts(1)), "192.0.2.1");
        "0.0.0.0".clone_into(&mut info.address);
        assert_eq!(address(&info, &facts(1)), "192.0.2.1");
    }
}
