//! What `kubectl get` prints: upstream's columns and cells.
//!
//! Source: k8s.io/kubernetes `pkg/printers/internalversion`. Pure; the age is against `now`.

mod component;
mod event;
mod network;
mod pod;
mod policy;
mod rights;
mod storage;
mod workload;

use crate::{KindRef, kind, quantity::Quantity, selector};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One column of a Table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// `string`, `integer`, `boolean` or `date`.
    pub kind: &'static str,
    /// `name` for the first column, else empty.
    pub format: &'static str,
    /// Sentence; empty where upstream has the documentation of a field other than a name or an age.
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

impl Column {
    const fn about(self, description: &'static str) -> Self {
        Self {
            description,
            ..self
        }
    }
}

/// What upstream's documentation says of `metadata.name`.
pub const ABOUT_NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
/// What upstream's documentation says of `metadata.creationTimestamp`.
pub const ABOUT_AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

const NAME: Column = Column {
    format: "name",
    ..column("Name", "string", 0).about(ABOUT_NAME)
};
const AGE: Column = column("Age", "string", 0).about(ABOUT_AGE);
/// Of kinds without columns of their own.
const CREATED_AT: Column = column("Created At", "date", 0).about(ABOUT_AGE);
const CONTAINERS: Column =
    column("Containers", "string", 1).about("Names of each container in the template.");
const IMAGES: Column =
    column("Images", "string", 1).about("Images referenced by each container in the template.");

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
    column("Ready", "string", 0).about("Number of the pod with ready state"),
    column("Up-to-date", "string", 0),
    column("Available", "string", 0),
    AGE,
    CONTAINERS,
    IMAGES,
    column("Selector", "string", 1),
];
const REPLICA_SET: &[Column] = &[
    NAME,
    column("Desired", "integer", 0),
    column("Current", "integer", 0),
    column("Ready", "integer", 0),
    AGE,
    CONTAINERS,
    IMAGES,
    column("Selector", "string", 1),
];
const NODE: &[Column] = &[
    NAME,
    column("Status", "string", 0).about("The status of the node"),
    column("Roles", "string", 0).about("The roles of the node"),
    AGE,
    column("Version", "string", 0),
    column("Internal-IP", "string", 1),
    column("External-IP", "string", 1),
    column("OS-Image", "string", 1),
    column("Kernel-Version", "string", 1),
    column("Container-Runtime", "string", 1),
];

const NAMESPACE: &[Column] = &[
    NAME,
    column("Status", "string", 0).about("The status of the namespace"),
    AGE,
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
        ("", "Service") => network::SERVICE,
        ("", "Node") => NODE,
        ("", "Namespace") => NAMESPACE,
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
        (_, "Event") => event::COLUMNS,
        ("apps", "Deployment") => DEPLOYMENT,
        ("apps", "ReplicaSet") => REPLICA_SET,
        ("discovery.k8s.io", _) => network::ENDPOINT_SLICE,
        ("coordination.k8s.io", _) => const { &[NAME, column("Holder", "string", 0), AGE] },
        ("", "PodTemplate" | "ReplicationController") | ("apps" | "batch" | "autoscaling", _) => {
            workload::columns(kind)
        }
        ("", "PersistentVolume" | "PersistentVolumeClaim") | ("storage.k8s.io", _) => {
            storage::columns(kind)
        }
        ("", "Endpoints") | ("networking.k8s.io", _) => network::columns(kind),
        (kind::RBAC, "Role" | "ClusterRole") => rights::ROLE,
        (kind::RBAC, "RoleBinding") => rights::BINDING,
        (kind::RBAC, _) => rights::CLUSTER_BINDING,
        ("certificates.k8s.io", _) => rights::CERTIFICATE_REQUEST,
        _ => policy::columns(kind),
    }
}

/// The cells of one object, as many as the kind has columns.
#[must_use]
pub fn cells(kind: KindRef, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = json!(text(object, "/metadata/name"));
    let age = json!(since(text(object, "/metadata/creationTimestamp"), now));
    let count = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    match (kind.group, kind.kind) {
        ("", "Pod") => pod::cells(object, now),
        ("", "Service") => network::service(object, name, age),
        ("", "Node") => node(object, name, age),
        ("", "Namespace") => vec![name, json!(text(object, "/status/phase")), age],
        ("", "ComponentStatus") => component::cells(object, name),
        ("", "ConfigMap") => vec![name, json!(count("data") + count("binaryData")), age],
        ("", "Secret") => vec![
            name,
            json!(text(object, "/type")),
            json!(count("data")),
            age,
        ],
        ("", "ServiceAccount") => {
            let secrets = object["secrets"].as_array().map_or(0, Vec::len);
            vec![name, json!(secrets), age]
        }
        (_, "Event") => event::cells(object, name, now),
        ("apps", "Deployment") => deployment(object, name, age),
        ("apps", "ReplicaSet") => {
            let mut cells = replicas(object, name, age);
            cells.extend(template(object));
            cells
        }
        ("discovery.k8s.io", _) => network::endpoint_slice(object, name, age),
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

/// A quantity in its canonical form, as it is once upstream has read it; `otherwise` where there is none.
fn quantity(value: &Value, otherwise: &str) -> String {
    let written = plain(value, otherwise);
    // Less than a thousandth is not held, and powers of ten stay such.
    let is_held = !written.contains(['n', 'u', 'e']);
    match Quantity::read(value) {
        Ok(quantity) if is_held => quantity.to_string(),
        _ => written,
    }
}

const UNKNOWN: &str = "<unknown>";
/// The first second of the year 1, which upstream takes for no time at all.
const ZERO_TIME: i64 = -62_135_596_800;

/// Time since an RFC 3339 time, short: `5m`, `3d4h`; `<unknown>` without one.
#[must_use]
pub fn since(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) if time.as_second() != ZERO_TIME => {
            human_duration(now.duration_since(time).as_secs())
        }
        _ => UNKNOWN.to_owned(),
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

/// A selector of a spec, as it is written on a command line.
fn selector(spec: &Value) -> String {
    or_none(selector::spec_text(spec).unwrap_or_else(|| "<error>".to_owned()))
}

fn labels(map: &Value) -> String {
    or_none(selector::labels_text(map))
}

/// Name, wanted, present and ready replicas, and age.
fn replicas(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let count = |path: &str| json!(number(object, path));
    vec![
        name,
        count("/spec/replicas"),
        count("/status/replicas"),
        count("/status/readyReplicas"),
        age,
    ]
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
    let ready = number(object, "/status/readyReplicas");
    let ready = format!("{ready}/{}", number(object, "/spec/replicas"));
    let [containers, images] = containers(&object["spec"]["template"]);
    // Upstream writes this one selector in its own words.
    let selector = selector::spec_text(&object["spec"]["selector"]);
    let selector = selector.unwrap_or_else(|| "<invalid>".to_owned());
    let cell = |path: &str| json!(number(object, path));
    vec![
        name,
        json!(ready),
        cell("/status/updatedReplicas"),
        cell("/status/availableReplicas"),
        age,
        containers,
        images,
        json!(selector),
    ]
}

/// The roles that the labels of a node name.
fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object();
    let role = |(key, value): (&String, &Value)| -> Option<String> {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role.to_owned()),
            None if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
            None => None,
        }
    };
    let roles: BTreeSet<String> = labels
        .into_iter()
        .flatten()
        .filter_map(role)
        .filter(|role| !role.is_empty())
        .collect();
    or_none(roles.into_iter().collect::<Vec<_>>().join(","))
}

fn node(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let ready = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .rfind(|c| c["type"] == "Ready");
    let mut status = match ready.map(|condition| condition["status"].as_str().unwrap_or_default()) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if object["spec"]["unschedulable"] == json!(true) {
        status.push_str(",SchedulingDisabled");
    }
    let address = |kind: &str| {
        let found = object["status"]["addresses"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|a| a["type"] == kind);
        json!(found.map_or("<none>", |found| text(found, "/address")))
    };
    let info = |field: &str| {
        let value = object["status"]["nodeInfo"][field]
            .as_str()
            .unwrap_or_default();
        json!(if value.is_empty() { UNKNOWN } else { value })
    };
    vec![
        name,
        json!(status),
        json!(roles(object)),
        age,
        json!(text(object, "/status/nodeInfo/kubeletVersion")),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

#[cfg(test)]
mod tests;
