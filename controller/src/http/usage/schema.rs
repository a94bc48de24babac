//! What OpenAPI tells of `metrics.k8s.io`.
//!
//! Source: k8s.io/metrics `pkg/apis/metrics/v1beta1/types.go`.

use super::{GROUP, VERSION};
use coracle_api::{Kind, KindRef, crd::publish::Schemas, schema::metadata_names};
use serde_json::{Value, json};

const NODE: Kind = Kind {
    group: GROUP,
    version: VERSION,
    kind: "NodeMetrics",
    plural: "nodes",
    singular: "",
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: &["get", "list"],
    subresources: &[],
    generation: false,
    stored_as: ("", ""),
    deprecation: "",
    list_kind: "",
    stored_row: None,
};
static ROWS: [Kind; 2] = [
    NODE,
    Kind {
        kind: "PodMetrics",
        plural: "pods",
        namespaced: true,
        ..NODE
    },
];

/// Both kinds, with their schemas.
pub(crate) fn documented() -> Vec<(KindRef, Schemas)> {
    let (node, pod) = (&ROWS[0], &ROWS[1]);
    let usage = || {
        json!({
            "type": "object",
            "description": "The memory usage is the memory working set.",
            "additionalProperties": {"type": "string"},
        })
    };
    let container = json!({
        "type": "object",
        "description": "ContainerMetrics sets resource usage metrics of a container.",
        "required": ["name", "usage"],
        "properties": {
            "name": {
                "type": "string",
                "description": "Container name corresponding to the one from pod.spec.containers.",
            },
            "usage": usage(),
        },
    });
    let containers = json!({
        "type": "array",
        "description": "Metrics for all containers are collected within the same time window.",
        "items": container,
    });
    vec![
        (node, schemas(node, "a node", ("usage", usage()))),
        (pod, schemas(pod, "a pod", ("containers", containers))),
    ]
}

fn schemas(kind: KindRef, of: &str, (measured, how): (&str, Value)) -> Schemas {
    let name = format!("io.k8s.metrics.pkg.apis.metrics.{VERSION}.{}", kind.kind);
    let (object, list) = metadata_names();
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let gvk = |kind: &str| json!([{"group": GROUP, "version": VERSION, "kind": kind}]);
    let api_version = json!({
        "type": "string",
        "description": "APIVersion defines the versioned schema of this representation of an object.",
    });
    let kind_field = json!({
        "type": "string",
        "description": "Kind is a string value representing the REST resource this object represents.",
    });
    let schema = json!({
        "type": "object",
        "description": format!("{} sets resource usage metrics of {of}.", kind.kind),
        "required": ["timestamp", "window", measured],
        "properties": {
            "apiVersion": api_version,
            "kind": kind_field,
            "metadata": reference(&object),
            "timestamp": {
                "type": "string", "format": "date-time",
                "description": "The end of the interval from which metrics were collected: [Timestamp-Window, Timestamp].",
            },
            "window": {
                "type": "string",
                "description": "The length of the interval from which metrics were collected: [Timestamp-Window, Timestamp].",
            },
            measured: how,
        },
        "x-kubernetes-group-version-kind": gvk(kind.kind),
    });
    let list_name = format!("{name}List");
    let list_schema = json!({
        "type": "object",
        "description": format!("{}List is a list of {}.", kind.kind, kind.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": api_version,
            "kind": kind_field,
            "metadata": reference(&list),
            "items": {
                "type": "array",
                "description": format!("List of {} metrics.", of.trim_start_matches("a ")),
                "items": reference(&name),
            },
        },
        "x-kubernetes-group-version-kind": gvk(&format!("{}List", kind.kind)),
    });
    Schemas {
        name,
        schema,
        list_name,
        list_schema,
    }
}
