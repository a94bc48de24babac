//! Statuses, whoever writes them.
//!
//! Source: k8s.io/kubernetes `pkg/apis/*/validation`, `Validate*StatusUpdate`.

mod attachment;
mod claim;
mod conditions;
mod job;
mod pod;
mod workload;

pub use pod::may_run_again;

use super::{cluster, elements, is_dns_subdomain, meta, quota, rules, text};
use crate::{KindRef, status::Cause};
use serde_json::{Value, json};
use std::net::IpAddr;

const IP_MODES: [&str; 2] = ["Proxy", "VIP"];

pub(super) fn check(kind: KindRef, new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let status = &new["status"];
    match (kind.group, kind.kind) {
        ("apps", _) | ("", "ReplicationController") => workload::check(kind.kind, new, old, causes),
        ("batch", "Job") => job::check(new, old, causes),
        ("autoscaling", _) => {
            let fields = ["currentReplicas", "desiredReplicas"];
            rules::not_negative(status, &fields, "status", causes);
        }
        ("policy", _) => budget(status, causes),
        ("", "Pod") => pod::check(new, old, causes),
        ("", "Namespace") => namespace(new, causes),
        ("", "Node") => cluster::node_changed(new, old, causes),
        ("", "Service") => service(new, causes),
        ("networking.k8s.io", "Ingress") => {
            for (path, ingress) in balancers(status) {
                balancer(ingress, &path, causes);
            }
        }
        ("", "ResourceQuota") => {
            for list in ["hard", "used"] {
                quota::amounts(&status[list], &format!("status.{list}"), causes);
            }
        }
        ("", "PersistentVolumeClaim") => claim::check(new, causes),
        ("storage.k8s.io", "VolumeAttachment") => attachment::check(status, causes),
        _ => {}
    }
}

/// What may be told of a namespace is whether it goes.
fn namespace(new: &Value, causes: &mut Vec<Cause>) {
    let (expected, when) = match new["metadata"]["deletionTimestamp"].is_null() {
        true => ("Active", "is empty"),
        false => ("Terminating", "is not empty"),
    };
    let phase = text(&new["status"], "phase");
    if phase != expected {
        let detail = format!("may only be '{expected}' if `deletionTimestamp` {when}");
        // Upstream's path.
        causes.push(Cause::invalid("status.Phase", &json!(phase), &detail));
    }
}

fn budget(status: &Value, causes: &mut Vec<Cause>) {
    conditions::check(status, "status", causes);
    let fields = [
        "disruptionsAllowed",
        "currentHealthy",
        "desiredHealthy",
        "expectedPods",
    ];
    rules::not_negative(status, &fields, "status", causes);
}

fn balancers(status: &Value) -> Vec<(String, &Value)> {
    let path = "status.loadBalancer";
    elements(&status["loadBalancer"], "ingress", path)
}

fn service(new: &Value, causes: &mut Vec<Cause>) {
    let found = balancers(&new["status"]);
    if new["spec"]["type"] != "LoadBalancer" && !found.is_empty() {
        let detail = "may only be used when `spec.type` is 'LoadBalancer'";
        let path = "status.loadBalancer.ingress";
        causes.push(Cause::forbidden(path, detail));
        return;
    }
    for (path, ingress) in found {
        let (has_ip, mode) = (!text(ingress, "ip").is_empty(), &ingress["ipMode"]);
        let field = format!("{path}.ipMode");
        match (mode.as_str(), has_ip) {
            (None, true) => {
                let detail = "must be specified when `ip` is set";
                causes.push(Cause::required(field, detail));
            }
            (Some(_), false) => {
                let detail = "may not be specified when `ip` is not set";
                causes.push(Cause::forbidden(field, detail));
            }
            (Some(known), true) if !IP_MODES.contains(&known) => {
                causes.push(Cause::unsupported(field, mode, &IP_MODES));
            }
            _ => {}
        }
        balancer(ingress, &path, causes);
    }
}

/// Where something is reached from outside.
fn balancer(ingress: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (ip, host) = (text(ingress, "ip"), text(ingress, "hostname"));
    if !ip.is_empty() {
        rules::ip(ip, format!("{path}.ip"), causes);
    }
    if host.is_empty() {
        return;
    }
    let field = format!("{path}.hostname");
    let mut refuse = |detail| causes.push(Cause::invalid(&*field, &json!(host), detail));
    if !is_dns_subdomain(host) {
        refuse(meta::SUBDOMAIN_MESSAGE);
    }
    if host.parse::<IpAddr>().is_ok() {
        refuse("must be a DNS name, not an IP address");
    }
}
