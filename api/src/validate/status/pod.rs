//! What is told of a pod, by its node or by somebody else.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidatePodStatusUpdate`.

use crate::{
    status::Cause,
    validate::{elements, meta, rules, text},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::IpAddr};

const SYSTEM_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];
const HEALTH: [&str; 3] = ["Healthy", "Unhealthy", "Unknown"];
const ID_MAX: i64 = i32::MAX as i64;
/// Statuses of containers, and the containers that they are of.
const LISTS: [(&str, &str); 3] = [
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
];

pub(super) fn check(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (status, was, spec) = (&new["status"], &old["status"], &old["spec"]);
    // Upstream's path.
    for (path, condition) in elements(status, "conditions", "metadata") {
        let kind = text(condition, "type");
        if !SYSTEM_CONDITIONS.contains(&kind) {
            meta::qualified_name(kind, &json!(kind), &format!("{path}.Type"), causes);
        }
    }
    let nominated = text(status, "nominatedNodeName");
    if !nominated.is_empty() && nominated != text(was, "nominatedNodeName") {
        rules::subdomain(nominated, "status.nominatedNodeName".to_owned(), causes);
    }
    let (class, before) = (&status["qosClass"], &was["qosClass"]);
    rules::immutable(class, before, "status.qosClass", causes);
    for (list, _) in LISTS {
        transitions(list, status, was, spec, causes);
    }
    claims(status, spec, causes);
    addresses(status, "podIPs", causes);
    let (host_ip, first) = (text(status, "hostIP"), &status["hostIPs"][0]["ip"]);
    if !first.is_null() && *first != host_ip {
        let detail = "must be equal to `hostIP`";
        causes.push(Cause::invalid("status.hostIPs[0]", first, detail));
    }
    addresses(status, "hostIPs", causes);
    for (list, _) in LISTS {
        users(status, list, spec, causes);
    }
    for (list, containers) in LISTS {
        resources(status, (list, containers), spec, causes);
    }
}

/// A container that has ended for good does not run again.
fn transitions(list: &str, status: &Value, was: &Value, spec: &Value, causes: &mut Vec<Cause>) {
    let statuses = status[list].as_array();
    for (path, before) in elements(was, list, "status") {
        let name = text(before, "name");
        let ended = &before["state"]["terminated"];
        let failed = ended["exitCode"].as_i64().unwrap_or_default() != 0;
        if ended.is_null() || may_run_again(spec, list, name, failed) {
            continue;
        }
        let again = |now: &&Value| now["name"] == name && now["state"]["terminated"].is_null();
        for _ in statuses.into_iter().flatten().filter(again) {
            let detail = "may not be transitioned to non-terminated state";
            causes.push(Cause::forbidden(format!("{path}.state"), detail));
        }
    }
}

/// Whether a container that has ended may run again, by its own policy or by its pod's. The list is the
/// one of statuses that the container has its status in.
#[must_use]
pub fn may_run_again(spec: &Value, list: &str, name: &str, failed: bool) -> bool {
    let containers = match list {
        "ephemeralContainerStatuses" => return false,
        "initContainerStatuses" => &spec["initContainers"],
        _ => &spec["containers"],
    };
    let mut all = containers.as_array().into_iter().flatten();
    let container = all.find(|one| one["name"] == name).unwrap_or(&Value::Null);
    if !rules::is_absent(&container["restartPolicyRules"]) {
        return true;
    }
    let allowed = |policy: &str| match policy {
        "Never" => false,
        "OnFailure" => failed,
        _ => true,
    };
    match text(container, "restartPolicy") {
        "" => allowed(text(spec, "restartPolicy")),
        own => allowed(own) || allowed(text(spec, "restartPolicy")),
    }
}

fn claims(status: &Value, spec: &Value, causes: &mut Vec<Cause>) {
    let of_pod = elements(spec, "resourceClaims", "spec");
    let of_pod: BTreeSet<&str> = of_pod.iter().map(|(_, one)| text(one, "name")).collect();
    let mut seen = BTreeSet::new();
    for (path, claim) in elements(status, "resourceClaimStatuses", "status") {
        let (name, field) = (text(claim, "name"), format!("{path}.name"));
        if !of_pod.contains(name) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            causes.push(Cause::invalid(&*field, &json!(name), detail));
        }
        if !seen.insert(name) {
            causes.push(Cause::duplicate(&*field, &json!(name)));
        }
        if let Some(made) = claim["resourceClaimName"].as_str() {
            rules::subdomain(made, field, causes);
        }
    }
}

/// At most one of each family, each once.
fn addresses(status: &Value, list: &str, causes: &mut Vec<Cause>) {
    let all = elements(status, list, "status");
    for (path, one) in &all {
        rules::ip(text(one, "ip"), path.clone(), causes);
    }
    if all.len() < 2 {
        return;
    }
    let mut seen = BTreeSet::new();
    for (path, one) in &all {
        if !seen.insert(text(one, "ip")) {
            causes.push(Cause::duplicate(path.clone(), one));
        }
    }
    let is_v4 = |ip: &&str| ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4());
    let of_v4 = seen.iter().filter(|ip| is_v4(ip)).count();
    if all.len() > 2 || of_v4 == 0 || of_v4 == seen.len() {
        let detail = "may specify no more than one IP for each IP family";
        causes.push(Cause::invalid(
            format!("status.{list}"),
            &status[list],
            detail,
        ));
    }
}

/// Who a container runs as.
fn users(status: &Value, list: &str, spec: &Value, causes: &mut Vec<Cause>) {
    let on_windows = spec["os"]["name"] == "windows";
    for (path, container) in elements(status, list, "status") {
        let (user, path) = (&container["user"]["linux"], format!("{path}.linux"));
        if user.is_null() {
            continue;
        }
        if on_windows {
            let detail = "cannot be set for a windows pod";
            causes.push(Cause::forbidden(path, detail));
            continue;
        }
        let groups = elements(user, "supplementalGroups", &path);
        let own = [("uid", &user["uid"]), ("gid", &user["gid"])];
        let own = own.map(|(field, id)| (format!("{path}.{field}"), id));
        for (path, id) in own.into_iter().chain(groups) {
            let number = id.as_i64().unwrap_or_default();
            if !(0..=ID_MAX).contains(&number) {
                let detail = format!("must be between 0 and {ID_MAX}, inclusive");
                causes.push(Cause::invalid(path, &json!(number), &detail));
            }
        }
    }
}

/// How what a container was given is.
fn resources(
    status: &Value,
    (list, containers): (&str, &str),
    spec: &Value,
    causes: &mut Vec<Cause>,
) {
    for (path, one) in elements(status, list, "status") {
        let given = elements(one, "allocatedResourcesStatus", &path);
        if list == "ephemeralContainerStatuses" {
            if !given.is_empty() {
                let detail = "must not be specified in container status";
                let path = format!("{path}.allocatedResourcesStatus");
                causes.push(Cause::forbidden(path, detail));
            }
            continue;
        }
        let mut all = spec[containers].as_array().into_iter().flatten();
        let container = all.find(|container| container["name"] == one["name"]);
        for (path, resource) in given {
            if let Some(container) = container {
                asked_for(resource, &container["resources"], &path, causes);
            }
            let mut seen = BTreeSet::new();
            for (path, part) in elements(resource, "resources", &path) {
                let (health, id) = (text(part, "health"), text(part, "resourceID"));
                if !HEALTH.contains(&health) {
                    let path = format!("{path}.health");
                    causes.push(Cause::unsupported(path, &json!(health), &HEALTH));
                }
                if !seen.insert(id) {
                    causes.push(Cause::duplicate(format!("{path}.resourceID"), &json!(id)));
                }
            }
        }
    }
}

/// A container was given only what it asked for.
fn asked_for(resource: &Value, wanted: &Value, path: &str, causes: &mut Vec<Cause>) {
    let name = text(resource, "name");
    let (found, detail) = if name.starts_with("claim:") {
        let mut claims = wanted["claims"].as_array().into_iter().flatten();
        let found = claims.any(|claim| match text(claim, "request") {
            "" => format!("claim:{}", text(claim, "name")) == name,
            request => format!("claim:{}/{request}", text(claim, "name")) == name,
        });
        let detail = "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty";
        (found, detail)
    } else {
        let found = !wanted["requests"][name].is_null();
        (found, "must match one of the container's resource requests")
    };
    if !found {
        let path = format!("{path}.name");
        causes.push(Cause::invalid(path, &json!(name), detail));
    }
}
