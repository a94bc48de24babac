//! What `kubectl get` prints: upstream's columns and cells.
//!
//! Source: k8s.io/kubernetes `pkg/printers/internalversion`. Pure; the age is against `now`.

mod component;
mod network;
mod pod;
mod policy;
mod rights;
mod storage;
mod workload;

use crate::{KindRef, kind, selector};
use jiff::Timestamp;
use serde_json::{Value, json};

/// One column of a Table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// `string` or `integer`.
    pub kind: &'static str,
    /// `name` for the first column, else empty.
    pub format: &'static str,
    /// Sentence.
    pub description: &'static str,
    /// 0, or 1 for those only `-o wide` shows.
    pub priority: i32,
}

const fn column(name: &'static str, kind: &'static str, priority: i32) -> Column {
    Column {
        name,
        kind,
        format: "",
        description: "",
        priority,
    }
}

const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    description: "Name must be unique within a namespace.",
    priority: 0,
};
const AGE: Column = column("Age", "string", 0);

const POD: &[Column] = &[
    NAME,
    column("Ready", "string", 0),
    column("Status", "string", 0),
    column("Restarts", "string", 0),
    AGE,
    column("IP", "string", 1),
    column("Node", "string", 1),
    column("Nominated Node", "string", 1),
    column("Readiness Gates", "string", 1),
];
const DEPLOYMENT: &[Column] = &[
    NAME,
    column("Ready", "string", 0),
    column("Up-to-date", "string", 0),
    column("Available", "string", 0),
    AGE,
    column("Containers", "string", 1),
    column("Images", "string", 1),
    column("Selector", "string", 1),
];
const REPLICA_SET: &[Column] = &[
    NAME,
    column("Desired", "integer", 0),
    column("Current", "integer", 0),
    column("Ready", "integer", 0),
    AGE,
    column("Containers", "string", 1),
    column("Images", "string", 1),
    column("Selector", "string", 1),
];
const SERVICE: &[Column] = &[
    NAME,
    column("Type", "string", 0),
    column("Cluster-IP", "string", 0),
    column("External-IP", "string", 0),
    column("Port(s)", "string", 0),
    AGE,
    column("Selector", "string", 1),
];
const NODE: &[Column] = &[
    NAME,
    column("Status", "string", 0),
    column("Roles", "string", 0),
    AGE,
    column("Version", "string", 0),
    column("Internal-IP", "string", 1),
    column("External-IP", "string", 1),
    column("OS-Image", "string", 1),
    column("Kernel-Version", "string", 1),
    column("Container-Runtime", "string", 1),
];
const EVENT: &[Column] = &[
    column("Last Seen", "string", 0),
    column("Type", "string", 0),
    column("Reason", "string", 0),
    column("Object", "string", 0),
    column("Subobject", "string", 1),
    column("Source", "string", 1),
    column("Message", "string", 0),
    column("First Seen", "string", 1),
    column("Count", "string", 1),
    Column {
        priority: 1,
        ..NAME
    },
];

/// What a row says beside its cells: that the pod has ended.
#[must_use]
pub fn conditions(kind: KindRef, object: &Value) -> Option<Value> {
    (kind == kind::POD)
        .then(|| pod::conditions(object))
        .flatten()
}

/// The columns of a kind.
#[must_use]
pub fn columns(kind: KindRef) -> &'static [Column] {
    match (kind.group, kind.kind) {
        ("", "Pod") => POD,
        ("", "Service") => SERVICE,
        ("", "Node") => NODE,
        ("", "Namespace") => const { &[NAME, column("Status", "string", 0), AGE] },
        ("", "ComponentStatus") => component::COLUMNS,
        ("", "ConfigMap") => const { &[NAME, column("Data", "string", 0), AGE] },
        ("", "Secret") => {
            const {
                &[
                    NAME,
                    column("Type", "string", 0),
                    column("Data", "string", 0),
                    AGE,
                ]
            }
        }
        ("", "ServiceAccount") => const { &[NAME, column("Secrets", "string", 0), AGE] },
        (_, "Event") => EVENT,
        ("apps", "Deployment") => DEPLOYMENT,
        ("apps", "ReplicaSet") => REPLICA_SET,
        ("discovery.k8s.io", _) => {
            const {
                &[
                    NAME,
                    column("AddressType", "string", 0),
                    column("Ports", "string", 0),
                    column("Endpoints", "string", 0),
                    AGE,
                ]
            }
        }
        ("coordination.k8s.io", _) => const { &[NAME, column("Holder", "string", 0), AGE] },
        ("", "PodTemplate" | "ReplicationController") | ("apps" | "batch" | "autoscaling", _) => {
            workload::columns(kind)
        }
        ("", "PersistentVolume" | "PersistentVolumeClaim") | ("storage.k8s.io", _) => {
            storage::columns(kind)
        }
        ("", "Endpoints") | ("networking.k8s.io", _) => network::columns(kind),
        (kind::RBAC, "Role" | "ClusterRole") => rights::ROLE,
        (kind::RBAC, _) => rights::BINDING,
        ("certificates.k8s.io", _) => rights::CERTIFICATE_REQUEST,
        _ => policy::columns(kind),
    }
}

/// The cells of one object, as many as the kind has columns.
#[must_use]
pub fn cells(kind: KindRef, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = json!(text(object, "/metadata/name"));
    let age = json!(since(text(object, "/metadata/creationTimestamp"), now));
    let count = |field: &str| {
        json!(
            object[field]
                .as_object()
                .map_or(0, serde_json::Map::len)
                .to_string()
        )
    };
    match (kind.group, kind.kind) {
        ("", "Pod") => pod::cells(object, now),
        ("", "Service") => service(object, name, age),
        ("", "Node") => node(object, name, age),
        ("", "Namespace") => vec![name, json!(text(object, "/status/phase")), age],
        ("", "ComponentStatus") => component::cells(object, name),
        ("", "ConfigMap") => {
            let entries = ["data", "binaryData"]
                .iter()
                .map(|field| object[*field].as_object().map_or(0, serde_json::Map::len));
            vec![name, json!(entries.sum::<usize>().to_string()), age]
        }
        ("", "Secret") => vec![name, json!(text(object, "/type")), count("data"), age],
        ("", "ServiceAccount") => {
            vec![
                name,
                json!(object["secrets"].as_array().map_or(0, Vec::len).to_string()),
                age,
            ]
        }
        (_, "Event") => event(object, name, now),
        ("apps", "Deployment") => deployment(object, name, age),
        ("apps", "ReplicaSet") => {
            let number =
                |path: &str| json!(object.pointer(path).and_then(Value::as_i64).unwrap_or(0));
            let mut cells = vec![
                name,
                number("/spec/replicas"),
                number("/status/replicas"),
                number("/status/readyReplicas"),
                age,
            ];
            cells.extend(template(object));
            cells
        }
        ("discovery.k8s.io", _) => endpoint_slice(object, name, age),
        ("coordination.k8s.io", _) => vec![name, json!(text(object, "/spec/holderIdentity")), age],
        ("", "PodTemplate" | "ReplicationController") | ("apps" | "batch" | "autoscaling", _) => {
            workload::cells(kind, object, now)
        }
        ("", "PersistentVolume" | "PersistentVolumeClaim") | ("storage.k8s.io", _) => {
            storage::cells(kind, object, age)
        }
        ("", "Endpoints") | ("networking.k8s.io", _) => network::cells(kind, object, age),
        (kind::RBAC, "Role" | "ClusterRole") => {
            vec![name, json!(text(object, "/metadata/creationTimestamp"))]
        }
        (kind::RBAC, _) => rights::binding(object, name, age),
        ("certificates.k8s.io", _) => rights::certificate_request(object, name, age),
        _ => policy::cells(kind, object, age),
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A flag; absent is false.
fn flag(object: &Value, pointer: &str) -> Value {
    json!(object.pointer(pointer) == Some(&Value::Bool(true)))
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// A text or a number as it stands; `otherwise` where there is none.
fn plain(value: &Value, otherwise: &str) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => otherwise.to_owned(),
        other => other.to_string(),
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        "<none>".to_owned()
    } else {
        text
    }
}

/// Time since an RFC 3339 time, short: `5m`, `3d4h`; `<unknown>` without one.
#[must_use]
pub fn since(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => human_duration(now.duration_since(time).as_secs()),
        Err(_absent) => "<unknown>".to_owned(),
    }
}

/// Seconds as upstream's `HumanDuration` prints them.
#[must_use]
pub fn human_duration(secs: i64) -> String {
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{big}{big_unit}")
        } else {
            format!("{big}{big_unit}{small}{small_unit}")
        }
    };
    let (minutes, hours) = (secs / 60, secs / 3600);
    let days = hours / 24;
    match secs {
        i64::MIN..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        _ if secs < 120 => format!("{secs}s"),
        _ if minutes < 10 => two(minutes, "m", secs % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => two(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ if days < 2920 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

fn selector(spec: &Value) -> String {
    or_none(selector::to_text(spec))
}

/// Containers, images and selector of an object with a pod template.
fn template(object: &Value) -> [Value; 3] {
    let [names, images] = containers(&object["spec"]["template"]);
    [names, images, json!(selector(&object["spec"]["selector"]))]
}

/// Containers and images of a pod template.
fn containers(template: &Value) -> [Value; 2] {
    let containers = template["spec"]["containers"].as_array();
    let list = |field: &str| {
        let each: Vec<&str> = containers
            .into_iter()
            .flatten()
            .map(|c| c[field].as_str().unwrap_or_default())
            .collect();
        json!(each.join(","))
    };
    [list("name"), list("image")]
}

fn deployment(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let ready = format!(
        "{}/{}",
        number("/status/readyReplicas"),
        number("/spec/replicas")
    );
    let [containers, images, selector] = template(object);
    let cell = |path: &str| json!(number(path));
    vec![
        name,
        json!(ready),
        cell("/status/updatedReplicas"),
        cell("/status/availableReplicas"),
        age,
        containers,
        images,
        selector,
    ]
}

fn service(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let kind = text(object, "/spec/type");
    let ports: Vec<String> = object["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let (number, protocol) = (&port["port"], port["protocol"].as_str().unwrap_or("TCP"));
            match port["nodePort"].as_u64() {
                Some(node_port) => format!("{number}:{node_port}/{protocol}"),
                None => format!("{number}/{protocol}"),
            }
        })
        .collect();
    let external: Vec<&str> = match kind {
        "ExternalName" => vec![text(object, "/spec/externalName")],
        _ => object["spec"]["externalIPs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect(),
    };
    let external = match kind {
        "LoadBalancer" if external.is_empty() => "<pending>".to_owned(),
        _ => or_none(external.join(",")),
    };
    let cluster_ip = or_none(text(object, "/spec/clusterIP").to_owned());
    vec![
        name,
        json!(kind),
        json!(cluster_ip),
        json!(external),
        json!(or_none(ports.join(","))),
        age,
        json!(selector(&object["spec"]["selector"])),
    ]
}

fn node(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let ready = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|c| c["type"] == "Ready");
    let mut status = match ready.map(|condition| condition["status"].as_str().unwrap_or_default()) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if object["spec"]["unschedulable"] == json!(true) {
        status.push_str(",SchedulingDisabled");
    }
    let labels = object["metadata"]["labels"].as_object();
    let roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .filter(|role| !role.is_empty())
        .collect();
    let address = |kind: &str| {
        let found = object["status"]["addresses"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|a| a["type"] == kind);
        json!(or_none(
            found
                .and_then(|a| a["address"].as_str())
                .unwrap_or_default()
                .to_owned()
        ))
    };
    let info = |field: &str| {
        let value = object["status"]["nodeInfo"][field]
            .as_str()
            .unwrap_or_default();
        json!(if value.is_empty() { "<unknown>" } else { value })
    };
    vec![
        name,
        json!(status),
        json!(or_none(roles.join(","))),
        age,
        json!(text(object, "/status/nodeInfo/kubeletVersion")),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn event(object: &Value, name: Value, now: Timestamp) -> Vec<Value> {
    let first_of = |paths: &[&'static str]| {
        paths
            .iter()
            .map(|path| text(object, path))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    };
    let last = first_of(&[
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/deprecatedLastTimestamp",
        "/eventTime",
    ]);
    let first = first_of(&["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime"]);
    let of = if object.get("regarding").is_some() {
        "regarding"
    } else {
        "involvedObject"
    };
    let kind = object[of]["kind"]
        .as_str()
        .unwrap_or_default()
        .to_lowercase();
    let subject = format!("{kind}/{}", object[of]["name"].as_str().unwrap_or_default());
    let component = first_of(&[
        "/source/component",
        "/reportingComponent",
        "/reportingController",
    ]);
    let host = first_of(&["/source/host", "/reportingInstance"]);
    let source = if host.is_empty() {
        component.to_owned()
    } else {
        format!("{component}, {host}")
    };
    let count = object
        .get("count")
        .or_else(|| object.get("deprecatedCount"))
        .and_then(Value::as_i64)
        .unwrap_or(1);
    vec![
        json!(since(last, now)),
        json!(text(object, "/type")),
        json!(text(object, "/reason")),
        json!(subject),
        json!(object[of]["fieldPath"].as_str().unwrap_or_default()),
        json!(source),
        json!(first_of(&["/message", "/note"]).trim()),
        json!(since(first, now)),
        json!(count.to_string()),
        name,
    ]
}

/// At most this many addresses or ports in a cell, as upstream prints.
const LISTED_MAX: usize = 3;

fn listed(all: Vec<String>, none: &str) -> String {
    let more = all.len().saturating_sub(LISTED_MAX);
    let shown = all
        .into_iter()
        .take(LISTED_MAX)
        .collect::<Vec<_>>()
        .join(",");
    match (shown.is_empty(), more) {
        (true, _) => none.to_owned(),
        (false, 0) => shown,
        (false, more) => format!("{shown} + {more} more..."),
    }
}

fn endpoint_slice(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let ports = object["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| port["port"].to_string())
        .collect();
    let addresses = object["endpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten())
        .map(|address| address.as_str().unwrap_or_default().to_owned())
        .collect();
    vec![
        name,
        json!(text(object, "/addressType")),
        json!(listed(ports, "<unset>")),
        json!(listed(addresses, "<unset>")),
        age,
    ]
}

#[cfg(test)]
mod tests;
