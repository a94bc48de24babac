//! Of a pod, or of what pods are made from.
//!
//! Source: k8s.io/kubernetes `pkg/api/pod/warnings.go`.

use super::{SAID_MAX, claim, elements, expressions, node_terms, old_label, paths, whole_bytes};
use serde_json::Value;
use std::collections::BTreeSet;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];
const SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
/// Volumes that are on their way out or gone, what they are called here, and since when.
const VOLUMES: [(&str, &str, &str); 9] = [
    (
        "photonPersistentDisk",
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    ("gitRepo", "gitRepo", "deprecated in v1.11"),
    (
        "scaleIO",
        "scaleIO",
        "deprecated in v1.16, non-functional in v1.22+",
    ),
    (
        "flocker",
        "flocker",
        "deprecated in v1.22, non-functional in v1.25+",
    ),
    (
        "storageos",
        "storageOS",
        "deprecated in v1.22, non-functional in v1.25+",
    ),
    (
        "quobyte",
        "quobyte",
        "deprecated in v1.22, non-functional in v1.25+",
    ),
    (
        "glusterfs",
        "glusterfs",
        "deprecated in v1.25, non-functional in v1.26+",
    ),
    (
        "cephfs",
        "cephfs",
        "deprecated in v1.28, non-functional in v1.31+",
    ),
    (
        "rbd",
        "rbd",
        "deprecated in v1.28, non-functional in v1.31+",
    ),
];
/// Ports of a pod that are compared with each other.
const PORTS_MAX: usize = 1_000;
const BYTES: [&str; 2] = ["memory", "ephemeral-storage"];
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// `path` is where the pod or the template is; empty for a pod.
pub(super) fn check(pod: &Value, path: &str, said: &mut Vec<String>) {
    let dot = if path.is_empty() { "" } else { "." };
    let (spec, at) = (&pod["spec"], format!("{path}{dot}spec"));
    let annotations = &pod["metadata"]["annotations"];
    let noted = format!("{path}{dot}metadata.annotations");
    labels(spec, &at, said);
    for (key, why) in ANNOTATIONS {
        if !annotations[key].is_null() {
            said.push(format!("{noted}[{key}]: {why}"));
        }
    }
    volumes(spec, &at, said);
    repeated(spec, &at, said);
    whole_bytes(&spec["overhead"], &BYTES, &format!("{at}.overhead"), said);
    let profile = &spec["securityContext"]["seccompProfile"];
    if profile.is_null() && !annotations[SECCOMP_POD].is_null() {
        said.push(format!("{noted}[{SECCOMP_POD}]: {SECCOMP}"));
    }
    let containers: Vec<(String, &Value)> = CONTAINERS
        .iter()
        .flat_map(|list| elements(spec, list, &at))
        .collect();
    for (path, container) in &containers {
        profiles((spec, container), annotations, &noted, said);
        for list in ["limits", "requests"] {
            let path = format!("{path}.resources.{list}");
            whole_bytes(&container["resources"][list], &BYTES, &path, said);
        }
        environment(container, path, said);
    }
    ports(&containers, said);
    let grace = spec["terminationGracePeriodSeconds"].as_i64();
    if grace.is_some_and(|secs| secs < 0) {
        said.push(format!("{at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    selectors(spec, &at, said);
}

/// Labels of nodes that are asked for.
fn labels(spec: &Value, at: &str, said: &mut Vec<String>) {
    for (key, _) in spec["nodeSelector"].as_object().into_iter().flatten() {
        if let Some(why) = old_label(key) {
            said.push(format!("{at}.nodeSelector[{key}]: {why}"));
        }
    }
    let affinity = &spec["affinity"]["nodeAffinity"];
    let path = format!("{at}.affinity.nodeAffinity");
    node_terms(&affinity[REQUIRED], &format!("{path}.{REQUIRED}"), said);
    for (path, term) in elements(affinity, PREFERRED, &path) {
        let path = format!("{path}.preference");
        expressions(&term["preference"], "matchExpressions", &path, said);
    }
    for (path, one) in elements(spec, "topologySpreadConstraints", at) {
        let key = one["topologyKey"].as_str().unwrap_or_default();
        if let Some(why) = old_label(key) {
            said.push(format!("{path}.topologyKey: {key} is {why}"));
        }
        unselective(one, &path, said);
    }
}

fn unselective(term: &Value, path: &str, said: &mut Vec<String>) {
    if term["labelSelector"].is_null() {
        said.push(format!(
            "{path}.labelSelector: a null labelSelector results in matching no pod"
        ));
    }
}

fn selectors(spec: &Value, at: &str, said: &mut Vec<String>) {
    for name in ["podAffinity", "podAntiAffinity"] {
        let (affinity, path) = (&spec["affinity"][name], format!("{at}.affinity.{name}"));
        for (path, term) in elements(affinity, REQUIRED, &path) {
            unselective(term, &path, said);
        }
        for (path, term) in elements(affinity, PREFERRED, &path) {
            let path = format!("{path}.podAffinityTerm");
            unselective(&term["podAffinityTerm"], &path, said);
        }
    }
}

fn volumes(spec: &Value, at: &str, said: &mut Vec<String>) {
    for (path, volume) in elements(spec, "volumes", at) {
        for (source, name, why) in VOLUMES {
            if !volume[source].is_null() {
                said.push(format!("{path}.{name}: {why}"));
            }
        }
        let template = &volume["ephemeral"]["volumeClaimTemplate"];
        let path = format!("{path}.ephemeral.volumeClaimTemplate.spec");
        claim(&template["spec"], &path, said);
    }
    for (_, volume) in elements(spec, "volumes", at) {
        paths::check(volume, said);
    }
}

/// What stands twice in lists of which each element shall be another.
fn repeated(spec: &Value, at: &str, said: &mut Vec<String>) {
    for (list, field) in [("hostAliases", "ip"), ("imagePullSecrets", "name")] {
        let mut seen = BTreeSet::new();
        for (path, one) in elements(spec, list, at) {
            let value = one[field].as_str().unwrap_or_default();
            if !seen.insert(value) {
                said.push(format!("{path}.{field}: duplicate {field} {value:?}"));
            }
        }
    }
    for (path, secret) in elements(spec, "imagePullSecrets", at) {
        if secret["name"].as_str().unwrap_or_default().is_empty() {
            said.push(format!("{path}.name: invalid empty name \"\""));
        }
    }
}

/// Profiles that are asked for in an annotation only.
fn profiles(
    (spec, container): (&Value, &Value),
    annotations: &Value,
    noted: &str,
    said: &mut Vec<String>,
) {
    let (own, name) = (&container["securityContext"], container["name"].as_str());
    let name = name.unwrap_or_default();
    let key = format!("{SECCOMP_CONTAINER}{name}");
    if own["seccompProfile"].is_null() && !annotations[&key].is_null() {
        said.push(format!("{noted}[{key}]: {SECCOMP}"));
    }
    let key = format!("{APP_ARMOR}{name}");
    let field = "appArmorProfile";
    let has_field = !own[field].is_null() || !spec["securityContext"][field].is_null();
    if !has_field && !annotations[&key].is_null() {
        said.push(format!(
            "{noted}[{key}]: deprecated since v1.30; use the \"appArmorProfile\" field instead"
        ));
    }
}

/// A variable that is set again, and not from what it was.
fn environment(container: &Value, path: &str, said: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (path, variable) in elements(container, "env", path) {
        let name = variable["name"].as_str().unwrap_or_default();
        if seen.insert(name) {
            continue;
        }
        let (own, value) = (format!("$({name})"), variable["value"].as_str());
        let value = value.unwrap_or_default();
        if !variable["valueFrom"].is_null() || value == own || !value.contains(&own) {
            said.push(format!("{path}: hides previous definition of {name:?}, which may be dropped when using apply"));
        }
    }
}

/// A port of a container, and on its host.
struct Port<'a> {
    path: String,
    number: i64,
    protocol: &'a str,
    host: (&'a str, i64),
}

/// Each with each before it.
fn ports(containers: &[(String, &Value)], said: &mut Vec<String>) {
    let mut seen: Vec<Port<'_>> = Vec::new();
    let all = containers
        .iter()
        .flat_map(|(path, container)| elements(container, "ports", path))
        .take(PORTS_MAX);
    for (path, port) in all {
        let text = |field: &str| port[field].as_str().unwrap_or_default();
        let number = |field: &str| port[field].as_i64().unwrap_or_default();
        let new = Port {
            path,
            number: number("containerPort"),
            protocol: text("protocol"),
            host: (text("hostIP"), number("hostPort")),
        };
        let (ip, host_port) = new.host;
        if !ip.is_empty() && host_port == 0 {
            said.push(format!(
                "{}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{ip}}}",
                new.path,
                text("name"),
                new.number,
                new.protocol,
            ));
        }
        let same = |old: &&Port<'_>| old.number == new.number && old.protocol == new.protocol;
        for old in seen.iter().filter(same) {
            if said.len() >= SAID_MAX {
                return;
            }
            let (other_ip, other_port) = old.host;
            let how = if old.host == new.host {
                "duplicate"
            } else if host_port == 0 || other_port == 0 {
                "overlapping"
            } else if host_port == other_port && ip.is_empty() != other_ip.is_empty() {
                "dangerously ambiguous"
            } else {
                continue;
            };
            said.push(format!(
                "{}: {how} port definition with {}",
                new.path, old.path
            ));
        }
        seen.push(new);
    }
}
