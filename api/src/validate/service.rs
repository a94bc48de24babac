//! Services. What depends on what is free is the registry's to say.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidateService` and what it calls.

use super::{elements, meta, rules, text};
use crate::status::Cause;
use serde_json::{Value, json};
use std::net::IpAddr;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const POLICIES: [&str; 2] = ["Cluster", "Local"];
/// Seconds a client may stick to a pod.
const STICKY_SECONDS_MAX: i64 = 86_400;

pub(super) fn spec(spec: &Value, causes: &mut Vec<Cause>) {
    let kind = text(spec, "type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        causes.push(Cause::unsupported("spec.type", &json!(kind), &TYPES));
    }
    if kind == "ExternalName" {
        external_name(spec, causes);
    } else {
        addresses(spec, kind, causes);
    }
    ports(spec, kind, causes);
    meta::labels(&spec["selector"], "spec.selector", causes);
    rules::one_of(
        spec,
        "sessionAffinity",
        &["ClientIP", "None"],
        "spec",
        causes,
    );
    let seconds = &spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"];
    if seconds
        .as_i64()
        .is_some_and(|seconds| !(1..=STICKY_SECONDS_MAX).contains(&seconds))
    {
        let detail = format!("must be greater than 0 and less than {STICKY_SECONDS_MAX}");
        let path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        causes.push(Cause::invalid(path, seconds, &detail));
    }
    for (path, address) in elements(spec, "externalIPs", "spec") {
        let (address, before) = (address.as_str().unwrap_or_default(), causes.len());
        rules::ip(address, path.clone(), causes);
        if causes.len() == before {
            rules::endpoint_ip(address, &path, causes);
        }
    }
    let ranges = elements(spec, "loadBalancerSourceRanges", "spec");
    if !ranges.is_empty() && kind != "LoadBalancer" {
        let detail = "may only be used when `type` is 'LoadBalancer'";
        causes.push(Cause::forbidden("spec.loadBalancerSourceRanges", detail));
    }
    for (path, range) in ranges {
        let range = range.as_str().unwrap_or_default().trim();
        rules::cidr(range, path, causes);
    }
    policies(spec, kind, causes);
}

fn external_name(spec: &Value, causes: &mut Vec<Cause>) {
    if !rules::is_absent(&spec["clusterIPs"]) {
        let detail = "may not be set for ExternalName services";
        causes.push(Cause::forbidden("spec.clusterIPs", detail));
    }
    let name = text(spec, "externalName");
    match name.strip_suffix('.').unwrap_or(name) {
        "" => causes.push(Cause::required("spec.externalName", "")),
        name => rules::subdomain(name, "spec.externalName".to_owned(), causes),
    }
}

fn addresses(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let address = text(spec, "clusterIP");
    let refused = |detail: &str| Cause::invalid("spec.clusterIPs[0]", &json!(address), detail);
    match address {
        "" => {}
        "None" if matches!(kind, "LoadBalancer" | "NodePort") => {
            let detail = format!("may not be set to 'None' for {kind} services");
            causes.push(refused(&detail));
        }
        "None" => {}
        address if address.parse::<IpAddr>().is_err() => {
            causes.push(refused("must be empty, 'None', or a valid IP address"));
        }
        _ => {}
    }
    let families = ["IPv4", "IPv6"];
    for (path, family) in elements(spec, "ipFamilies", "spec") {
        match family.as_str().unwrap_or_default() {
            "IPv4" => {}
            // Of the allocator: there are no such addresses here.
            "IPv6" if address != "None" => {
                causes.push(Cause::invalid(
                    path,
                    family,
                    "not configured on this cluster",
                ));
            }
            "IPv6" => {}
            _ => causes.push(Cause::unsupported(path, family, &families)),
        }
    }
    let wanted = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    rules::one_of(spec, "ipFamilyPolicy", &wanted, "spec", causes);
    if text(spec, "ipFamilyPolicy") == "RequireDualStack" {
        let detail = "this cluster is not configured for dual-stack services";
        let path = "spec.ipFamilyPolicy";
        causes.push(Cause::invalid(path, &spec["ipFamilyPolicy"], detail));
    }
}

fn ports(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let ports = elements(spec, "ports", "spec");
    let headless = text(spec, "clusterIP") == "None";
    if ports.is_empty() && kind != "ExternalName" && !headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    let many = ports.len() > 1;
    let mut seen = Vec::new();
    for (path, port) in ports {
        rules::name_among(many, text(port, "name"), format!("{path}.name"), causes);
        rules::port(&port["port"], format!("{path}.port"), causes);
        let target = format!("{path}.targetPort");
        match &port["targetPort"] {
            Value::String(name) => rules::port_name(name, &target, causes),
            Value::Number(_) if port["targetPort"].as_i64() != Some(0) => {
                rules::port(&port["targetPort"], target, causes);
            }
            _ => {}
        }
        rules::one_of(port, "protocol", &["SCTP", "TCP", "UDP"], &path, causes);
        let id = (port["port"].as_i64(), text(port, "protocol"));
        if seen.contains(&id) {
            causes.push(Cause::duplicate(path, port));
        }
        seen.push(id);
    }
}

fn policies(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let is_external = matches!(kind, "LoadBalancer" | "NodePort")
        || (kind == "ClusterIP" && !rules::is_absent(&spec["externalIPs"]));
    let path = "spec.externalTrafficPolicy";
    if is_external {
        rules::one_of(spec, "externalTrafficPolicy", &POLICIES, "spec", causes);
    } else if !text(spec, "externalTrafficPolicy").is_empty() {
        let detail = "may only be set for externally-accessible services";
        let value = &spec["externalTrafficPolicy"];
        causes.push(Cause::invalid(path, value, detail));
    }
    rules::one_of(spec, "internalTrafficPolicy", &POLICIES, "spec", causes);
}

pub(super) fn unchanged(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (was, is) = (
        text(&old["spec"], "clusterIP"),
        text(&new["spec"], "clusterIP"),
    );
    if !was.is_empty() && was != is && text(&new["spec"], "type") != "ExternalName" {
        causes.push(Cause::invalid(
            "spec.clusterIPs[0]",
            &new["spec"]["clusterIPs"],
            "may not change once set",
        ));
    }
}
