//! What a container asks for, and may have at most.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `validateResourceRequirements`, and
//! `pkg/apis/core/helper` of which names are what.

use super::Pod;
use crate::{
    pod_resources::is_huge_page,
    quantity::Quantity,
    status::Cause,
    validate::{elements, meta, rules, text},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Names without a domain that there are, beside those of containers.
const OTHERS: [&str; 17] = [
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

pub(super) fn check(pod: &Pod<'_>, container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (resources, path) = (&container["resources"], format!("{path}.resources"));
    amounts(resources, &path, causes);
    claims(pod, resources, &path, causes);
}

/// What something has at most, as a container has.
pub(in crate::validate::pod) fn limits(list: &Value, path: &str, causes: &mut Vec<Cause>) {
    amounts(&json!({"limits": list}), path, causes);
}

fn amounts(resources: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut named = BTreeSet::new();
    for list in ["limits", "requests"] {
        for (name, written) in resources[list].as_object().into_iter().flatten() {
            named.insert(name.as_str());
            let field = format!("{path}.{list}[{name}]");
            resource_name(name, &field, causes);
            let Some(quantity) = quantity(written, &field, causes) else {
                continue;
            };
            if is_extended(name) && quantity.milli_value() % 1000 != 0 {
                let value = json!(quantity.to_string());
                causes.push(Cause::invalid(field.clone(), &value, "must be an integer"));
            }
            if list == "requests" {
                within_limit(resources, (name, quantity), path, causes);
            }
            if is_huge_page(name) && !is_whole_pages(name, quantity) {
                let written = quantity.to_string();
                let detail = format!("{written} is not positive integer multiple of {name}");
                causes.push(Cause::invalid(field, &json!(written), &detail));
            }
        }
    }
    let computes = named.contains("cpu") || named.contains("memory");
    if named.iter().any(|name| is_huge_page(name)) && !computes {
        let detail = "HugePages require cpu or memory";
        causes.push(Cause::forbidden(path, detail));
    }
}

fn quantity(written: &Value, field: &str, causes: &mut Vec<Cause>) -> Option<Quantity> {
    match Quantity::read(written) {
        Err(error) => {
            causes.push(Cause::invalid(field, written, &error.to_string()));
            None
        }
        Ok(quantity) => {
            if quantity.milli_value() < 0 {
                let value = json!(quantity.to_string());
                causes.push(Cause::invalid(field, &value, rules::NOT_NEGATIVE));
            }
            Some(quantity)
        }
    }
}

/// No more than the limit; of what there is never more than there is, as much as that.
fn within_limit(
    resources: &Value,
    (name, request): (&str, Quantity),
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let limit = &resources["limits"][name];
    let may_overcommit = is_native(name) && !is_huge_page(name);
    if limit.is_null() {
        if !may_overcommit {
            let detail = "Limit must be set for non overcommitable resources";
            causes.push(Cause::required(format!("{path}.limits"), detail));
        }
        return;
    }
    // What cannot be read was refused as a limit.
    let Ok(limit) = Quantity::read(limit) else {
        return;
    };
    let (request_milli, limit_milli) = (request.milli_value(), limit.milli_value());
    let rule = if request_milli != limit_milli && !may_overcommit {
        "equal to"
    } else if request_milli > limit_milli {
        "less than or equal to"
    } else {
        return;
    };
    let detail = format!("must be {rule} {name} limit of {limit}");
    let field = format!("{path}.requests");
    causes.push(Cause::invalid(field, &json!(request.to_string()), &detail));
}

/// Names of the project itself have no domain, or its own.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    let of_quotas = format!("requests.{name}");
    !is_native(name)
        && !name.starts_with("requests.")
        && meta::qualified_name_problems(&of_quotas).is_empty()
}

pub(in crate::validate::pod) fn resource_name(name: &str, path: &str, causes: &mut Vec<Cause>) {
    let before = causes.len();
    meta::qualified_name(name, &json!(name), path, causes);
    let is_well_formed = causes.len() == before;
    let mut refuse = |detail| causes.push(Cause::invalid(path, &json!(name), detail));
    if name.contains('/') {
        if !is_native(name) && !is_extended(name) {
            refuse("doesn't follow extended resource name standard");
        }
        return;
    }
    let of_containers = OF_CONTAINERS.contains(&name) || is_huge_page(name);
    let is_standard =
        of_containers || OTHERS.contains(&name) || name.starts_with("requests.hugepages-");
    if is_well_formed && !is_standard {
        refuse("must be a standard resource type or fully qualified");
    }
    if !of_containers {
        refuse("must be a standard resource for containers");
    }
}

/// Whether this many bytes are pages of the size in the name.
fn is_whole_pages(name: &str, quantity: Quantity) -> bool {
    let size = name.strip_prefix("hugepages-").unwrap_or_default();
    Quantity::parse(size).is_ok_and(|size| {
        size.milli_value() > 0
            && size.milli_value() % 1000 == 0
            && quantity.value() % size.value() == 0
    })
}

/// Claims are of those that the pod has.
fn claims(pod: &Pod<'_>, resources: &Value, path: &str, causes: &mut Vec<Cause>) {
    let of_pod: BTreeSet<&str> = pod.spec["resourceClaims"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|claim| text(claim, "name"))
        .filter(|name| !name.is_empty())
        .collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (path, claim) in elements(resources, "claims", path) {
        let (name, request) = (text(claim, "name"), text(claim, "request"));
        if name.is_empty() {
            causes.push(Cause::required(path, ""));
            continue;
        }
        let whole = match request {
            "" => name.to_owned(),
            request => format!("{name}/{request}"),
        };
        if !request.is_empty() {
            rules::label(request, format!("{path}.request"), causes);
        }
        let within = format!("{name}/");
        let first_part = seen.range(within.clone()..).next();
        let has_part = request.is_empty() && first_part.is_some_and(|key| key.starts_with(&within));
        if seen.contains(name) || seen.contains(&whole) || has_part {
            causes.push(Cause::duplicate(path.clone(), &json!(whole)));
        }
        seen.insert(whole);
        if !of_pod.contains(name) {
            let mut cause = Cause::not_found(path, &json!(name));
            cause.message += ": must be one of the names in pod.spec.resourceClaims";
            cause.message += &match of_pod.is_empty() {
                true => " which is empty".to_owned(),
                false => format!(": {}", Vec::from_iter(of_pod.iter().copied()).join(", ")),
            };
            causes.push(cause);
        }
    }
}
