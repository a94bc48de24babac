//! What is said of a pod as a whole: names, DNS, resources, classes.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidatePodSpec`, in its order after the containers.

use super::{scheduling, security};
use crate::{
    pod_resources::{self, List, is_huge_page},
    quantity::Quantity,
    status::Cause,
    validate::{elements, is_dns_subdomain, meta, rules, text},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;
const DEADLINE_MAX: i64 = i32::MAX as i64;
const HOSTNAME_MAX: usize = 64;
const SEARCH: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";

/// What pods and templates have in common.
pub(super) fn check(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    whole_resources(spec, path, causes);
    host_ports(spec, path, causes);
    let restarts = ["Always", "OnFailure", "Never"];
    rules::one_of(spec, "restartPolicy", &restarts, path, causes);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    rules::one_of(spec, "dnsPolicy", &policies, path, causes);
    rules::not_negative(spec, &["terminationGracePeriodSeconds"], path, causes);
    let labels = format!("{path}.nodeSelector");
    meta::labels(&spec["nodeSelector"], &labels, causes);
    security::context(spec, path, causes);
    scheduling::affinity(&spec["affinity"], &format!("{path}.affinity"), causes);
    dns_config(spec, path, causes);
    for (path, gate) in elements(spec, "readinessGates", path) {
        let kind = text(gate, "conditionType");
        let path = format!("{path}.conditionType");
        meta::qualified_name(kind, &json!(kind), &path, causes);
    }
    scheduling::gates(spec, path, causes);
    scheduling::spread(spec, path, causes);
    security::host_process(spec, path, causes);
    security::host_users(spec, path, causes);
    names(spec, path, causes);
    scheduling::tolerations(spec, path, causes);
    for (path, alias) in elements(spec, "hostAliases", path) {
        rules::ip(text(alias, "ip"), format!("{path}.ip"), causes);
        for (path, name) in elements(alias, "hostnames", &path) {
            rules::subdomain(name.as_str().unwrap_or_default(), path, causes);
        }
    }
    classes(spec, path, causes);
    security::system(spec, path, causes);
}

/// What is only asked of a template.
pub(super) fn only_in_templates(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !rules::is_absent(&spec["ephemeralContainers"]) {
        let detail = "ephemeral containers not allowed in pod template";
        causes.push(Cause::forbidden(
            format!("{path}.ephemeralContainers"),
            detail,
        ));
    }
}

/// What is only asked of a pod, and some of it only of a new one.
pub(super) fn only_in_pods(pod: &Value, is_new: bool, causes: &mut Vec<Cause>) {
    let (spec, name) = (&pod["spec"], text(&pod["metadata"], "name"));
    let volumes = elements(spec, "volumes", "spec");
    // The claims that are made for volumes of this pod.
    let made: BTreeSet<String> = volumes
        .iter()
        .filter(|(_, volume)| !volume["ephemeral"].is_null())
        .map(|(_, volume)| format!("{name}-{}", text(volume, "name")))
        .collect();
    for (path, volume) in &volumes {
        let image = &volume["image"];
        if !image.is_null() && text(image, "reference").is_empty() {
            causes.push(Cause::required(format!("{path}.image.reference"), ""));
        }
        let claim = text(&volume["persistentVolumeClaim"], "claimName");
        if !claim.is_empty() && made.contains(claim) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            let path = format!("{path}.persistentVolumeClaim.claimName");
            causes.push(Cause::invalid(path, &json!(claim), detail));
        }
        let own = text(volume, "name");
        let made = format!("{name}-{own}");
        if !volume["ephemeral"].is_null() && !own.is_empty() && !is_dns_subdomain(&made) {
            let detail = format!("PVC name {made:?}: {}", meta::SUBDOMAIN_MESSAGE);
            causes.push(Cause::invalid(format!("{path}.name"), &json!(own), &detail));
        }
    }
    if !is_new {
        return;
    }
    if !rules::is_absent(&spec["ephemeralContainers"]) {
        let detail = "cannot be set on create";
        causes.push(Cause::forbidden("spec.ephemeralContainers", detail));
    }
    if !text(spec, "nodeName").is_empty() && !rules::is_absent(&spec["schedulingGates"]) {
        let detail = "cannot be set until all schedulingGates have been cleared";
        causes.push(Cause::forbidden("spec.nodeName", detail));
    }
}

/// What the whole pod may use: at least what its containers ask for.
fn whole_resources(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (resources, path) = (&spec["resources"], format!("{path}.resources"));
    if resources.is_null() {
        return;
    }
    if !resources["claims"].is_null() {
        let detail = "claims cannot be set for Resources at pod-level";
        causes.push(Cause::forbidden(format!("{path}.claims"), detail));
    }
    let mut names = Vec::new();
    for list in ["limits", "requests"] {
        for (name, value) in resources[list].as_object().into_iter().flatten() {
            let path = format!("{path}.{list}[{name}]");
            if !matches!(name.as_str(), "cpu" | "memory") && !is_huge_page(name) {
                let known = ["cpu", "hugepages-", "memory"];
                causes.push(Cause::unsupported(path.clone(), &json!(name), &known));
            }
            rules::quantity(value, &path, causes);
            names.push(name.as_str());
        }
    }
    requests_within_limits(resources, &path, causes);
    let basic = names.iter().any(|name| matches!(*name, "cpu" | "memory"));
    if !basic && names.iter().any(|name| is_huge_page(name)) {
        causes.push(Cause::forbidden(
            path.clone(),
            "HugePages require cpu or memory",
        ));
    }
    containers_within(spec, &path, causes);
}

fn requests_within_limits(resources: &Value, path: &str, causes: &mut Vec<Cause>) {
    let limits = pod_resources::amounts(&resources["limits"]);
    let path = format!("{path}.requests");
    for (name, request) in pod_resources::amounts(&resources["requests"]) {
        let Some(limit) = limits.get(&name) else {
            continue;
        };
        let (asked, most) = (request.milli_value(), limit.milli_value());
        let written = json!(request.to_string());
        if is_huge_page(&name) && asked != most {
            let detail = format!("must be equal to {name} limit of {limit}");
            causes.push(Cause::invalid(path.clone(), &written, &detail));
        } else if asked > most {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            causes.push(Cause::invalid(path.clone(), &written, &detail));
        }
    }
}

fn containers_within(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let whole = |list: List| pod_resources::amounts(&spec["resources"][list.name()]);
    let mut of_containers = spec.clone();
    if let Some(spec) = of_containers.as_object_mut() {
        spec.remove("resources");
    }
    let (requests, limits) = (whole(List::Requests), whole(List::Limits));
    for (name, sum) in pod_resources::total(&of_containers, List::Requests) {
        let whole = requests.get(&name);
        if let Some(whole) = whole.filter(|whole| sum.milli_value() > whole.milli_value()) {
            let detail =
                format!("must be greater than or equal to aggregate container requests of {sum}");
            causes.push(Cause::invalid(
                format!("{path}.requests[{name}]"),
                &json!(whole.to_string()),
                &detail,
            ));
        }
    }
    for (at, container) in elements(spec, "containers", path) {
        for (name, limit) in pod_resources::of_container(container, List::Limits) {
            let whole = limits.get(&name);
            if let Some(whole) = whole.filter(|whole| limit.milli_value() > whole.milli_value()) {
                let detail = format!("must be less than or equal to pod limits of {whole}");
                causes.push(Cause::invalid(
                    format!("{at}[{name}].limits"),
                    &json!(limit.to_string()),
                    &detail,
                ));
            }
        }
    }
}

/// On the machine's own network a port has one number.
fn host_ports(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if spec["hostNetwork"] != true {
        return;
    }
    for (path, container) in elements(spec, "containers", path) {
        for (path, port) in elements(container, "ports", &path) {
            let outside = port["hostPort"].as_i64().unwrap_or_default();
            // One that is not written is written by the defaults, in pods.
            if outside != 0 && Some(outside) != port["containerPort"].as_i64() {
                causes.push(Cause::invalid(
                    format!("{path}.hostPort"),
                    &json!(outside),
                    "must match `containerPort` when `hostNetwork` is true",
                ));
            }
        }
    }
}

fn dns_config(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (config, path) = (&spec["dnsConfig"], format!("{path}.dnsConfig"));
    let servers = elements(config, "nameservers", &path);
    let at = |field: &str| format!("{path}.{field}");
    if spec["dnsPolicy"] == "None" && config.is_null() {
        let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
        causes.push(Cause::required(path, detail));
        return;
    }
    if spec["dnsPolicy"] == "None" && servers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        causes.push(Cause::required(at("nameservers"), detail));
        return;
    }
    if servers.len() > NAMESERVERS_MAX {
        let detail = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        let field = at("nameservers");
        causes.push(Cause::invalid(field, &config["nameservers"], &detail));
    }
    for (path, server) in servers {
        rules::ip(server.as_str().unwrap_or_default(), path, causes);
    }
    let searches = elements(config, "searches", &path);
    if searches.len() > SEARCHES_MAX {
        let detail = format!("must not have more than {SEARCHES_MAX} search paths");
        causes.push(Cause::invalid(at("searches"), &config["searches"], &detail));
    }
    let lengths = searches
        .iter()
        .map(|(_, search)| search.as_str().map_or(1, |search| search.len() + 1));
    if lengths.sum::<usize>() > SEARCH_CHARS_MAX + 1 {
        let detail = format!(
            "must not have more than {SEARCH_CHARS_MAX} characters (including spaces) in the search list"
        );
        causes.push(Cause::invalid(at("searches"), &config["searches"], &detail));
    }
    for (path, search) in searches {
        search_path(search.as_str().unwrap_or_default(), path, causes);
    }
    for (path, option) in elements(config, "options", &path) {
        if text(option, "name").is_empty() {
            causes.push(Cause::required(path, "must not be empty"));
        }
    }
}

/// A domain, where a label may begin with an underscore; or the root.
fn search_path(search: &str, path: String, causes: &mut Vec<Cause>) {
    let name = search.strip_suffix('.').unwrap_or(search);
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        let label = label.strip_prefix('_').unwrap_or(label);
        label.starts_with(edge)
            && label.ends_with(edge)
            && label.chars().all(|c| edge(c) || c == '-' || c == '_')
    };
    if search == "." {
        return;
    }
    if name.len() > 253 {
        let detail = "must be no more than 253 bytes";
        causes.push(Cause::invalid(path.clone(), &json!(name), detail));
    }
    if !name.split('.').all(is_label) {
        causes.push(Cause::invalid(path, &json!(name), SEARCH));
    }
}

/// Who it runs as, where, how long, and what it is called.
fn names(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    for field in ["serviceAccountName", "nodeName"] {
        let name = text(spec, field);
        if !name.is_empty() {
            rules::subdomain(name, format!("{path}.{field}"), causes);
        }
    }
    let deadline = spec["activeDeadlineSeconds"].as_i64();
    if let Some(deadline) = deadline.filter(|secs| !(1..=DEADLINE_MAX).contains(secs)) {
        let detail = format!("must be between 1 and {DEADLINE_MAX}, inclusive");
        let path = format!("{path}.activeDeadlineSeconds");
        causes.push(Cause::invalid(path, &json!(deadline), &detail));
    }
    for field in ["hostname", "subdomain"] {
        let name = text(spec, field);
        if !name.is_empty() {
            rules::label(name, format!("{path}.{field}"), causes);
        }
    }
    let (over, path) = (
        &spec["hostnameOverride"],
        format!("{path}.hostnameOverride"),
    );
    let Some(name) = over.as_str() else {
        return;
    };
    if name.len() > HOSTNAME_MAX {
        causes.push(Cause::too_long(path.clone(), HOSTNAME_MAX));
    }
    rules::subdomain(name, path.clone(), causes);
    for field in ["setHostnameAsFQDN", "hostNetwork"] {
        if spec[field] == true {
            let detail = format!("may not be specified when `{field}` is true");
            causes.push(Cause::forbidden(path.clone(), &detail));
        }
    }
}

fn classes(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let priority = text(spec, "priorityClassName");
    if !priority.is_empty() {
        rules::subdomain(priority, format!("{path}.priorityClassName"), causes);
    }
    if let Some(class) = spec["runtimeClassName"].as_str() {
        rules::subdomain(class, format!("{path}.runtimeClassName"), causes);
    }
    let policy = format!("{path}.preemptionPolicy");
    let policies = ["PreemptLowerPriority", "Never"];
    scheduling::supported(&spec["preemptionPolicy"], &policies, policy, causes);
    for (name, value) in spec["overhead"].as_object().into_iter().flatten() {
        let path = format!("{path}.overhead.limits[{name}]");
        resource_name(name, &path, causes);
        rules::quantity(value, &path, causes);
        let odd = Quantity::read(value).is_ok_and(|amount| amount.milli_value() % 1000 != 0);
        if odd && name.contains('/') {
            causes.push(Cause::invalid(path, value, "must be an integer"));
        }
    }
}

/// A resource that a container may have.
fn resource_name(name: &str, path: &str, causes: &mut Vec<Cause>) {
    let before = causes.len();
    meta::qualified_name(name, &json!(name), path, causes);
    let standard = ["cpu", "memory", "ephemeral-storage"];
    if causes.len() > before || name.contains('/') || is_huge_page(name) {
        return;
    }
    if !standard.contains(&name) {
        let detail = "must be a standard resource for containers";
        causes.push(Cause::invalid(path, &json!(name), detail));
    }
}
