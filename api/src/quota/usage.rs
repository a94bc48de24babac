//! What an object uses, and which names of resources are about its kind.

use crate::{
    KindRef, kind,
    pod_resources::{
        Amounts, List, amounts, containers, is_huge_page, of_container, of_whole_pod,
        total_with_overhead,
    },
    quantity::Quantity,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";
const CLAIMS: &str = "persistentvolumeclaims";
const STORAGE: &str = "requests.storage";
/// What of a pod is counted by a name of its own.
const COMPUTE: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];
/// Those that each container must ask for once they are counted.
const ASKED_FOR: [&str; 6] = [
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
];

/// Whether a resource of a quota is about objects of this kind. Events are never counted.
#[must_use]
pub fn tracks(of: KindRef, resource: &str) -> bool {
    let of = of.storage();
    if of == kind::EVENT {
        return false;
    }
    if let Some(counted) = resource.strip_prefix("count/") {
        return counted == of.group_resource();
    }
    match (of.group, of.plural) {
        ("", "pods") => {
            COMPUTE.contains(&resource)
                || is_huge_page(resource)
                || resource
                    .strip_prefix("requests.")
                    .is_some_and(|name| is_huge_page(name) || is_extended(name))
        }
        ("", "services") => {
            matches!(
                resource,
                "services" | "services.nodeports" | "services.loadbalancers"
            )
        }
        ("", CLAIMS) => {
            let name = resource.split_once(STORAGE_CLASS);
            let name = name.map_or(resource, |(_, name)| name);
            matches!(name, CLAIMS | STORAGE)
        }
        ("", "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas") => {
            resource == of.plural
        }
        _ => false,
    }
}

/// A resource of somebody else than Kubernetes.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

/// What an object uses, and until when.
pub(super) fn usage(of: KindRef, object: &Value, now: Timestamp) -> (Amounts, Option<Timestamp>) {
    let one = Quantity::from_count(1);
    let mut usage = Amounts::from([(format!("count/{}", of.storage().group_resource()), one)]);
    let mut until = None;
    match (of.group, of.plural) {
        ("", "pods") => {
            let end = end_of(object);
            let ended = matches!(
                object["status"]["phase"].as_str(),
                Some("Succeeded" | "Failed")
            );
            if !ended && end.is_none_or(|end| now <= end) {
                until = end;
                usage.extend(pod(&object["spec"]));
            }
        }
        ("", "services") => usage.extend(service(&object["spec"])),
        ("", CLAIMS) => usage.extend(claim(object)),
        ("", name) => {
            usage.insert(name.to_owned(), one);
        }
        _ => {}
    }
    (usage, until)
}

/// When a pod that was asked to go has outstayed its grace: its node is lost, and others need the room.
fn end_of(pod: &Value) -> Option<Timestamp> {
    let meta = &pod["metadata"];
    let asked: Timestamp = meta["deletionTimestamp"].as_str()?.parse().ok()?;
    let grace = meta["deletionGracePeriodSeconds"].as_i64()?;
    asked.checked_add(SignedDuration::from_secs(grace)).ok()
}

fn pod(spec: &Value) -> Amounts {
    let requests = total_with_overhead(spec, List::Requests);
    let mut usage = compute(&requests, &total_with_overhead(spec, List::Limits));
    usage.insert("pods".to_owned(), Quantity::from_count(1));
    usage
}

/// Requests and limits by the names that quotas have for them.
fn compute(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut usage = Amounts::new();
    for (name, amount) in requests {
        let is_basic = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
        if is_basic || is_huge_page(name) {
            usage.insert(name.clone(), *amount);
        }
        if is_basic || is_huge_page(name) || is_extended(name) {
            usage.insert(format!("requests.{name}"), *amount);
        }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(amount) = limits.get(name) {
            usage.insert(format!("limits.{name}"), *amount);
        }
    }
    usage
}

fn service(spec: &Value) -> Amounts {
    let ports = spec["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let chosen = ports
        .iter()
        .filter(|port| port["nodePort"].as_i64().is_some_and(|port| port != 0));
    let is_balanced = spec["type"] == "LoadBalancer";
    let node_ports = match spec["type"].as_str() {
        Some("LoadBalancer") if spec["allocateLoadBalancerNodePorts"] == false => chosen.count(),
        Some("NodePort" | "LoadBalancer") => ports.len(),
        _ => 0,
    };
    let count = |name: &str, count| (name.to_owned(), Quantity::from_count(count));
    Amounts::from([
        count("services", 1),
        count("services.nodeports", node_ports),
        count("services.loadbalancers", usize::from(is_balanced)),
    ])
}

fn claim(claim: &Value) -> Amounts {
    let annotation = "volume.beta.kubernetes.io/storage-class";
    let class = claim["metadata"]["annotations"][annotation]
        .as_str()
        .or(claim["spec"]["storageClassName"].as_str())
        .unwrap_or_default();
    let mut usage = Amounts::from([(CLAIMS.to_owned(), Quantity::from_count(1))]);
    let storage = |list: &Value| {
        let amount = amounts(list).remove("storage");
        amount.map(Quantity::rounded_up)
    };
    if let Some(asked) = storage(&claim["spec"]["resources"]["requests"]) {
        // While it grows, and until a larger one is given back, the greater counts.
        let given = storage(&claim["status"]["allocatedResources"]);
        let given = given.filter(|given| given.milli_value() > asked.milli_value());
        usage.insert(STORAGE.to_owned(), given.unwrap_or(asked));
    }
    if !class.is_empty() {
        let of_class: Amounts = usage
            .iter()
            .map(|(name, amount)| (format!("{class}{STORAGE_CLASS}{name}"), *amount))
            .collect();
        usage.extend(of_class);
    }
    usage
}

/// What containers of a pod do not say although these resources are counted: `cpu for: a,b; memory for: a`.
pub(super) fn missing(resources: &[&str], pod: &Value) -> Option<String> {
    let spec = &pod["spec"];
    let of_whole = |list| !of_whole_pod(spec, list).is_empty();
    if of_whole(List::Requests) || of_whole(List::Limits) {
        return None;
    }
    let mut lacking: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in containers(spec) {
        let requests = of_container(container, List::Requests);
        let said = compute(&requests, &of_container(container, List::Limits));
        let counted = resources
            .iter()
            .filter(|resource| ASKED_FOR.contains(resource));
        for resource in counted.filter(|resource| !said.contains_key(**resource)) {
            let name = container["name"].as_str().unwrap_or_default();
            lacking.entry(resource).or_default().insert(name);
        }
    }
    let told = lacking.into_iter().map(|(resource, names)| {
        let names: Vec<&str> = names.into_iter().collect();
        format!("{resource} for: {}", names.join(","))
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join("; "))
}
