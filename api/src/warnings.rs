//! What a client is told beside the answer: what is on its way out, and what does not do what it seems to.
//!
//! Source: k8s.io/kubernetes `pkg/api/*/warnings.go` and the `WarningsOnCreate` of `pkg/registry`.

mod paths;
mod pod;

use crate::{
    KindRef,
    quantity::Quantity,
    validate::{LABEL_MESSAGE, is_dns_label},
};
use serde_json::Value;

/// More is not told of one object, and then not looked for where that takes time: a client is shown 4 KiB at most.
const SAID_MAX: usize = 100;

/// Labels of nodes that have other names now.
const OLD_LABELS: [(&str, &str, &str); 5] = [
    ("beta.kubernetes.io/arch", "v1.14", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "v1.14", "kubernetes.io/os"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "v1.17",
        "topology.kubernetes.io/region",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "v1.17",
        "topology.kubernetes.io/zone",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "v1.17",
        "node.kubernetes.io/instance-type",
    ),
];
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const INGRESS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const HINTS_ANNOTATION: &str = "service.kubernetes.io/topology-aware-hints";

/// Of a new object that is valid.
#[must_use]
pub fn of_new(kind: KindRef, object: &Value) -> Vec<String> {
    let mut said = Vec::new();
    named(kind, object, &mut said);
    if (kind.group, kind.kind) == ("", "Pod") {
        pod::check(object, "", &mut said);
    }
    if let Some((template, path)) = template(kind, object) {
        pod::check(template, path, &mut said);
    }
    if (kind.group, kind.kind) == ("networking.k8s.io", "Ingress") {
        let annotated = !object["metadata"]["annotations"][INGRESS_ANNOTATION].is_null();
        if annotated && object["spec"]["ingressClassName"].is_null() {
            said.push(format!(
                "annotation {INGRESS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead"
            ));
        }
    }
    always(kind, object, &mut said);
    said
}

/// Of an object that was changed; pods, which their controllers change all the time, are let be.
#[must_use]
pub fn of_changed(kind: KindRef, new: &Value, old: &Value) -> Vec<String> {
    let mut said = Vec::new();
    let generation = |of: &Value| of["metadata"]["generation"].as_i64();
    if generation(new) != generation(old)
        && let Some((template, path)) = template(kind, new)
    {
        pod::check(template, path, &mut said);
    }
    always(kind, new, &mut said);
    said
}

/// What pods are made from, and where it stands.
fn template(kind: KindRef, object: &Value) -> Option<(&Value, &'static str)> {
    let spec = &object["spec"];
    let found = match (kind.group, kind.kind) {
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet")
        | ("batch", "Job")
        | ("", "ReplicationController") => (&spec["template"], "spec.template"),
        ("batch", "CronJob") => (
            &spec["jobTemplate"]["spec"]["template"],
            "spec.jobTemplate.spec.template",
        ),
        ("", "PodTemplate") => (&object["template"], "template"),
        _ => return None,
    };
    Some(found)
}

/// Names of pods come to be names of hosts.
fn named(kind: KindRef, object: &Value, said: &mut Vec<String>) {
    let used = match (kind.group, kind.kind) {
        ("", "Pod") => "the Pod's hostname",
        ("apps", "Deployment" | "ReplicaSet")
        | ("batch", "Job" | "CronJob")
        | ("", "ReplicationController") => "Pod names and hostnames",
        _ => return,
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if is_dns_label(name) {
        return;
    }
    let mut why = Vec::new();
    if name.contains('.') {
        why.push(LABEL_MESSAGE);
    }
    if name.len() > 63 {
        why.push("must be no more than 63 bytes");
    }
    said.push(format!(
        "metadata.name: this is used in {used}, which can result in surprising behavior; a DNS label is recommended: [{}]",
        why.join(" ")
    ));
}

/// What is said of every write.
fn always(kind: KindRef, object: &Value, said: &mut Vec<String>) {
    let spec = &object["spec"];
    match (kind.group, kind.kind) {
        ("", "PersistentVolume") => {
            class_annotation(object, said);
            if spec["persistentVolumeReclaimPolicy"] == "Recycle" {
                said.push("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.".to_owned());
            }
            let required = &spec["nodeAffinity"]["required"];
            node_terms(required, "spec.nodeAffinity.required", said);
        }
        ("", "PersistentVolumeClaim") => {
            class_annotation(object, said);
            claim(spec, "spec", said);
        }
        ("", "Service") => service(object, said),
        ("", "Node") => {
            let id = spec["externalID"].as_str().unwrap_or_default();
            if !id.is_empty() {
                said.push(
                    "spec.externalID: this field is deprecated, and is unused by Kubernetes"
                        .to_owned(),
                );
            }
        }
        ("node.k8s.io", "RuntimeClass") => {
            let labels = object["scheduling"]["nodeSelector"].as_object();
            let labels = labels.into_iter().flatten();
            said.extend(
                labels
                    .filter_map(|(key, _)| old_label(key))
                    .map(|why| format!("scheduling.nodeSelector: {why}")),
            );
        }
        ("storage.k8s.io", "StorageClass") => {
            for (path, term) in elements(object, "allowedTopologies", "") {
                expressions(term, "matchLabelExpressions", &path, said);
            }
        }
        _ => {}
    }
}

fn class_annotation(object: &Value, said: &mut Vec<String>) {
    if !object["metadata"]["annotations"][CLASS_ANNOTATION].is_null() {
        said.push(format!(
            "metadata.annotations[{CLASS_ANNOTATION}]: deprecated since v1.8; use \"storageClassName\" attribute instead"
        ));
    }
}

fn claim(spec: &Value, path: &str, said: &mut Vec<String>) {
    for list in ["requests", "limits"] {
        let path = format!("{path}.resources.{list}");
        whole_bytes(&spec["resources"][list], &["storage"], &path, said);
    }
}

fn service(object: &Value, said: &mut Vec<String>) {
    let spec = &object["spec"];
    if !object["metadata"]["annotations"][HINTS_ANNOTATION].is_null() {
        said.push(format!("annotation {HINTS_ANNOTATION} is deprecated, please use service.kubernetes.io/topology-mode instead"));
    }
    let has_external = spec["externalIPs"]
        .as_array()
        .is_some_and(|ips| !ips.is_empty());
    if spec["type"] == "ExternalName" && has_external {
        said.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if spec["clusterIP"] != "None" {
        return;
    }
    let balanced = spec["loadBalancerIP"].as_str();
    for (ignored, field) in [
        (
            balanced.is_some_and(|ip| !ip.is_empty()),
            "spec.loadBalancerIP",
        ),
        (has_external, "spec.externalIPs"),
        (
            spec["sessionAffinity"] == "ClientIP",
            "spec.SessionAffinity",
        ),
    ] {
        if ignored {
            said.push(format!("{field} is ignored for headless services"));
        }
    }
}

/// Why a node's label is not to be asked for any more.
fn old_label(key: &str) -> Option<String> {
    let (_, since, new) = OLD_LABELS.iter().find(|(old, _, _)| *old == key)?;
    Some(format!("deprecated since {since}; use {new:?} instead"))
}

fn node_terms(selector: &Value, path: &str, said: &mut Vec<String>) {
    for (path, term) in elements(selector, "nodeSelectorTerms", path) {
        expressions(term, "matchExpressions", &path, said);
    }
}

fn expressions(term: &Value, list: &str, path: &str, said: &mut Vec<String>) {
    for (path, one) in elements(term, list, path) {
        let key = one["key"].as_str().unwrap_or_default();
        if let Some(why) = old_label(key) {
            said.push(format!("{path}.key: {key} is {why}"));
        }
    }
}

/// There are no halves of bytes.
fn whole_bytes(list: &Value, names: &[&str], path: &str, said: &mut Vec<String>) {
    for name in names {
        let Ok(amount) = Quantity::read(&list[*name]) else {
            continue;
        };
        if amount.milli_value() % 1000 != 0 {
            let written = amount.to_string();
            said.push(format!(
                "{path}[{name}]: fractional byte value {written:?} is invalid, must be an integer"
            ));
        }
    }
}

/// The elements of a list with their paths.
fn elements<'a>(of: &'a Value, list: &str, path: &str) -> Vec<(String, &'a Value)> {
    let dot = if path.is_empty() { "" } else { "." };
    let all = of[list].as_array().into_iter().flatten().enumerate();
    all.map(|(index, value)| (format!("{path}{dot}{list}[{index}]"), value))
        .collect()
}

#[cfg(test)]
mod tests;
