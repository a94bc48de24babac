//! Containers of a pod: regular ones, init containers and ephemeral ones.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `validateContainers` and its siblings.

mod env;
mod handlers;
mod mounts;
mod resources;
mod security;

pub(super) use resources::{limits, resource_name};

use crate::{
    status::Cause,
    validate::{elements, rules, text},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Rules of when to restart a container, and exit codes of one of them.
const RESTART_RULES_MAX: usize = 20;
const RESTART_EXIT_CODES_MAX: usize = 255;
/// What an ephemeral container has none of, in upstream's order.
const NOT_EPHEMERAL: [&str; 9] = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// What a container is in.
struct Pod<'a> {
    spec: &'a Value,
    /// The volumes that are well, by name; of one name the first.
    volumes: BTreeMap<&'a str, &'a Value>,
}

impl Pod<'_> {
    /// Seconds a container has to end; none where they are wrong, which is said elsewhere.
    fn grace(&self) -> Option<i64> {
        self.spec["terminationGracePeriodSeconds"]
            .as_i64()
            .filter(|seconds| *seconds >= 0)
    }
}

/// Checks all containers of a pod's spec.
pub(super) fn all(spec: &Value, path: &str, well: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    let mut volumes = BTreeMap::new();
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let name = text(volume, "name");
        if well.contains(name) {
            volumes.entry(name).or_insert(volume);
        }
    }
    let pod = Pod { spec, volumes };
    regular(&pod, path, causes);
    init(&pod, path, causes);
    ephemeral(&pod, path, causes);
}

/// What is asked of a pod's containers but not of a template's.
pub(super) fn only_in_pods(spec: &Value, causes: &mut Vec<Cause>) {
    for list in ["containers", "initContainers"] {
        for (path, container) in elements(spec, list, "spec") {
            trimmed_image(container, &path, causes);
        }
    }
}

fn trimmed_image(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let image = text(container, "image");
    if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        causes.push(Cause::invalid(
            format!("{path}.image"),
            &json!(image),
            detail,
        ));
    }
}

fn regular(pod: &Pod<'_>, path: &str, causes: &mut Vec<Cause>) {
    let containers = elements(pod.spec, "containers", path);
    if containers.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
        return;
    }
    let mut names = BTreeSet::new();
    for (path, container) in &containers {
        common(pod, container, path, causes);
        let name = text(container, "name");
        if !names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
        }
        handlers::all(container, pod.grace(), path, causes);
        restart_policy(container, path, causes);
    }
    host_ports(&containers, causes);
}

fn init(pod: &Pod<'_>, path: &str, causes: &mut Vec<Cause>) {
    let mut names = names_of(pod.spec, &["containers"]);
    let list = format!("{path}.initContainers");
    for (path, container) in elements(pod.spec, "initContainers", path) {
        common(pod, container, &path, causes);
        restart_policy(container, &path, causes);
        let name = text(container, "name");
        if names.contains(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
        } else if !name.is_empty() {
            names.insert(name);
        }
        // One runs after the other; upstream calls each the first.
        host_ports(&[(format!("{list}[0]"), container)], causes);
        if text(container, "restartPolicy") == "Always" {
            handlers::all(container, pod.grace(), &path, causes);
        } else {
            handlers::none(container, &path, causes);
        }
    }
}

fn ephemeral(pod: &Pod<'_>, path: &str, causes: &mut Vec<Cause>) {
    let others = names_of(pod.spec, &["containers", "initContainers"]);
    let mut names = others.clone();
    for (path, container) in elements(pod.spec, "ephemeralContainers", path) {
        common(pod, container, &path, causes);
        trimmed_image(container, &path, causes);
        let name = text(container, "name");
        if !names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
        }
        let target = text(container, "targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            let field = format!("{path}.targetContainerName");
            causes.push(Cause::not_found(field, &json!(target)));
        }
        let detail = "cannot be set for an Ephemeral Container";
        for field in NOT_EPHEMERAL {
            if !rules::is_absent(&container[field]) {
                causes.push(Cause::forbidden(format!("{path}.{field}"), detail));
            }
        }
        for (path, mount) in elements(container, "volumeMounts", &path) {
            for field in ["subPath", "subPathExpr"] {
                if !text(mount, field).is_empty() {
                    causes.push(Cause::forbidden(format!("{path}.{field}"), detail));
                }
            }
        }
    }
}

fn names_of<'a>(spec: &'a Value, lists: &[&str]) -> BTreeSet<&'a str> {
    lists
        .iter()
        .flat_map(|list| spec[*list].as_array().into_iter().flatten())
        .map(|container| text(container, "name"))
        .collect()
}

/// What is asked of a container of any list.
fn common(pod: &Pod<'_>, container: &Value, path: &str, causes: &mut Vec<Cause>) {
    if rules::required(container, "name", path, causes) {
        rules::label(text(container, "name"), format!("{path}.name"), causes);
    }
    rules::required(container, "image", path, causes);
    let policies = ["File", "FallbackToLogsOnError"];
    rules::one_of(
        container,
        "terminationMessagePolicy",
        &policies,
        path,
        causes,
    );
    ports(container, path, causes);
    env::variables(container, path, causes);
    env::sources(container, path, causes);
    mounts::mounts(pod, container, path, causes);
    mounts::devices(pod, container, path, causes);
    let policies = ["Always", "IfNotPresent", "Never"];
    rules::one_of(container, "imagePullPolicy", &policies, path, causes);
    resources::check(pod, container, path, causes);
    resize_policy(pod, container, path, causes);
    security::context(pod, container, path, causes);
}

fn ports(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut names = BTreeSet::new();
    for (path, port) in elements(container, "ports", path) {
        let (name, at) = (text(port, "name"), format!("{path}.name"));
        if !name.is_empty() {
            let before = causes.len();
            rules::port_name(name, &at, causes);
            if causes.len() == before && !names.insert(name) {
                causes.push(Cause::duplicate(at, &json!(name)));
            }
        }
        let number = &port["containerPort"];
        rules::required_port(number, format!("{path}.containerPort"), causes);
        let host = &port["hostPort"];
        if host.as_i64().is_some_and(|host| host != 0) {
            rules::port(host, format!("{path}.hostPort"), causes);
        }
        rules::one_of(port, "protocol", &["SCTP", "TCP", "UDP"], &path, causes);
    }
}

/// A port of the node is one container's.
fn host_ports(containers: &[(String, &Value)], causes: &mut Vec<Cause>) {
    let mut taken = BTreeSet::new();
    for (path, container) in containers {
        for (path, port) in elements(container, "ports", path) {
            let number = port["hostPort"].as_i64().unwrap_or_default();
            if number == 0 {
                continue;
            }
            let port = format!(
                "{}/{}/{number}",
                text(port, "protocol"),
                text(port, "hostIP")
            );
            if taken.contains(&port) {
                causes.push(Cause::duplicate(format!("{path}.hostPort"), &json!(port)));
            }
            taken.insert(port);
        }
    }
}

fn resize_policy(pod: &Pod<'_>, container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let policies = elements(container, "resizePolicy", path);
    let (list, mut seen) = (format!("{path}.resizePolicy"), BTreeSet::new());
    for (path, policy) in policies {
        let known = |field: &str, allowed: &[&str], causes: &mut Vec<Cause>| {
            let value = text(policy, field);
            if value.is_empty() {
                causes.push(Cause::required(list.clone(), ""));
            } else if !allowed.contains(&value) {
                causes.push(Cause::unsupported(list.clone(), &json!(value), allowed));
            }
        };
        let name = text(policy, "resourceName");
        if !seen.insert(name) {
            causes.push(Cause::duplicate(path, &json!(name)));
        }
        known("resourceName", &["cpu", "memory"], causes);
        let ways = ["NotRequired", "RestartContainer"];
        known("restartPolicy", &ways, causes);
        let way = text(policy, "restartPolicy");
        if text(pod.spec, "restartPolicy") == "Never" && way != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            causes.push(Cause::invalid(list.clone(), &json!(way), detail));
        }
    }
}

/// A restart policy of its own and rules of it, which are on by default since 1.35.
fn restart_policy(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let list = elements(container, "restartPolicyRules", path);
    let (policy, field) = (&container["restartPolicy"], format!("{path}.restartPolicy"));
    let policies = ["Always", "Never", "OnFailure"];
    match policy.as_str() {
        None if list.is_empty() => {}
        None => {
            let detail = "must specify restartPolicy when restart rules are used";
            causes.push(Cause::required(field, detail));
        }
        Some(known) if policies.contains(&known) => {}
        Some(_) => causes.push(Cause::unsupported(field, policy, &policies)),
    }
    if list.len() > RESTART_RULES_MAX {
        let field = format!("{path}.restartPolicyRules");
        causes.push(Cause::too_long(field, RESTART_RULES_MAX));
    }
    for (path, rule) in list {
        let action = text(rule, "action");
        if action != "Restart" {
            let field = format!("{path}.action");
            causes.push(Cause::unsupported(field, &json!(action), &["Restart"]));
        }
        let (codes, path) = (&rule["exitCodes"], format!("{path}.exitCodes"));
        if codes.is_null() {
            causes.push(Cause::required(path, "must be specified"));
            continue;
        }
        let (operator, operators) = (text(codes, "operator"), ["In", "NotIn"]);
        if !operators.contains(&operator) {
            let field = format!("{path}.operator");
            causes.push(Cause::unsupported(field, &json!(operator), &operators));
        }
        if codes["values"].as_array().map_or(0, Vec::len) > RESTART_EXIT_CODES_MAX {
            let field = format!("{path}.values");
            causes.push(Cause::too_long(field, RESTART_EXIT_CODES_MAX));
        }
    }
}

#[cfg(test)]
mod tests;
