//! Services. What depends on what is free is the registry's to say.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidateService`, `ValidateServiceUpdate` and what they call.

use super::{elements, meta, rules, text};
use crate::status::Cause;
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::IpAddr};

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const POLICIES: [&str; 2] = ["Cluster", "Local"];
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const FAMILY_POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameNode", "PreferSameZone"];
/// Seconds a client may stick to a pod.
const STICKY_SECONDS_MAX: i64 = 86_400;
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";
const RANGES_ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const HINTS_ANNOTATION: &str = "service.kubernetes.io/topology-aware-hints";
const MODE_ANNOTATION: &str = "service.kubernetes.io/topology-mode";

/// Checks a Service, as the successor of `old` if there is one.
pub(super) fn service(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let (spec, annotations) = (&object["spec"], &object["metadata"]["annotations"]);
    let kind = text(spec, "type");
    if let Some(old) = old {
        changed(spec, &old["spec"], causes);
    }
    topology(annotations, causes);
    if rules::is_absent(&spec["ports"]) && kind != "ExternalName" && !is_headless(spec) {
        causes.push(Cause::required("spec.ports", ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            causes.push(Cause::invalid(
                "spec.clusterIPs[0]",
                &json!("None"),
                &detail,
            ));
        }
        "ExternalName" => external_name(spec, causes),
        _ => {}
    }
    ports(spec, causes);
    meta::labels(&spec["selector"], "spec.selector", causes);
    affinity(spec, causes);
    if kind != "ExternalName" {
        addresses(spec, causes);
    }
    for (path, address) in elements(spec, "externalIPs", "spec") {
        let (address, before) = (address.as_str().unwrap_or_default(), causes.len());
        rules::ip(address, path.clone(), causes);
        if causes.len() == before {
            rules::endpoint_ip(address, &path, causes);
        }
    }
    rules::one_of(spec, "type", &TYPES, "spec", causes);
    unique_ports(spec, kind, causes);
    source_ranges(spec, annotations, causes);
    if !spec["allocateLoadBalancerNodePorts"].is_null() && kind != "LoadBalancer" {
        let field = "spec.allocateLoadBalancerNodePorts";
        causes.push(Cause::forbidden(field, ONLY_LOAD_BALANCER));
    }
    class(spec, causes);
    policies(spec, kind, causes);
    rules::one_of(spec, "trafficDistribution", &DISTRIBUTIONS, "spec", causes);
}

fn is_headless(spec: &Value) -> bool {
    text(spec, "clusterIP") == "None"
}

/// Two annotations of which one is the other's old name.
fn topology(annotations: &Value, causes: &mut Vec<Cause>) {
    let (hints, mode) = (
        &annotations[HINTS_ANNOTATION],
        &annotations[MODE_ANNOTATION],
    );
    if !hints.is_null() && !mode.is_null() && hints != mode {
        let detail = format!("must match annotations[{HINTS_ANNOTATION}] when both are specified");
        let path = format!("metadata.annotations[{MODE_ANNOTATION}]");
        causes.push(Cause::invalid(path, mode, &detail));
    }
}

fn external_name(spec: &Value, causes: &mut Vec<Cause>) {
    let detail = "may not be set for ExternalName services";
    let has_address = !text(spec, "clusterIP").is_empty();
    if has_address || !rules::is_absent(&spec["clusterIPs"]) {
        causes.push(Cause::forbidden("spec.clusterIPs", detail));
    }
    for field in ["ipFamilies", "ipFamilyPolicy"] {
        if !rules::is_absent(&spec[field]) {
            causes.push(Cause::forbidden(format!("spec.{field}"), detail));
        }
    }
    let name = text(spec, "externalName");
    match name.strip_suffix('.').unwrap_or(name) {
        "" => causes.push(Cause::required("spec.externalName", "")),
        name => rules::subdomain(name, "spec.externalName".to_owned(), causes),
    }
}

fn ports(spec: &Value, causes: &mut Vec<Cause>) {
    let ports = elements(spec, "ports", "spec");
    let (many, mut names) = (ports.len() > 1, BTreeSet::new());
    for (path, port) in ports {
        let (name, field) = (text(port, "name"), format!("{path}.name"));
        rules::name_among(many, name, field.clone(), causes);
        if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(field, &json!(name)));
        }
        rules::port(&port["port"], format!("{path}.port"), causes);
        rules::one_of(port, "protocol", &["SCTP", "TCP", "UDP"], &path, causes);
        rules::port_or_name(&port["targetPort"], &format!("{path}.targetPort"), causes);
        if let Some(protocol) = port["appProtocol"].as_str() {
            let field = format!("{path}.appProtocol");
            meta::qualified_name(protocol, &json!(protocol), &field, causes);
        }
    }
}

fn affinity(spec: &Value, causes: &mut Vec<Cause>) {
    let kinds = ["ClientIP", "None"];
    rules::one_of(spec, "sessionAffinity", &kinds, "spec", causes);
    let config = &spec["sessionAffinityConfig"];
    match text(spec, "sessionAffinity") {
        "ClientIP" => {}
        "None" if !config.is_null() => {
            let detail = "must not be set when session affinity is None";
            causes.push(Cause::forbidden("spec.sessionAffinityConfig", detail));
            return;
        }
        _ => return,
    }
    let client = &config["clientIP"];
    let seconds = &client["timeoutSeconds"];
    let path = "spec.sessionAffinityConfig";
    let missing = match (config, client, seconds) {
        (Value::Null, ..) => path.to_owned(),
        (_, Value::Null, _) => format!("{path}.clientIP"),
        (.., Value::Null) => format!("{path}.clientIP.timeoutSeconds"),
        _ => {
            let number = seconds.as_i64().unwrap_or_default();
            if !(1..=STICKY_SECONDS_MAX).contains(&number) {
                let detail = format!("must be greater than 0 and less than {STICKY_SECONDS_MAX}");
                let path = format!("{path}.clientIP.timeoutSeconds");
                causes.push(Cause::invalid(path, seconds, &detail));
            }
            return;
        }
    };
    causes.push(Cause::required(
        missing,
        "when session affinity type is ClientIP",
    ));
}

/// Addresses inside, and of which families they are.
fn addresses(spec: &Value, causes: &mut Vec<Cause>) {
    let (address, all) = (text(spec, "clusterIP"), &spec["clusterIPs"]);
    let list = "spec.clusterIPs";
    // Where there is one only, the registry makes the list of it.
    if address.is_empty() && !rules::is_absent(all) {
        let detail = "must be empty when `clusterIP` is not specified";
        causes.push(Cause::invalid(list, all, detail));
    } else if !rules::is_absent(all) && all[0] != address {
        let detail = "first value must match `clusterIP`";
        causes.push(Cause::invalid(list, all, detail));
    }
    families(spec, causes);
    let written: Vec<&str> = match all.as_array().filter(|all| !all.is_empty()) {
        Some(all) => all.iter().filter_map(Value::as_str).collect(),
        None if address.is_empty() => Vec::new(),
        None => vec![address],
    };
    let before = causes.len();
    for (index, address) in written.iter().enumerate() {
        if index > 0 || *address != "None" {
            rules::ip(address, format!("{list}[{index}]"), causes);
        } else if written.len() > 1 {
            let detail = "'None' must be the first and only value";
            causes.push(Cause::invalid(list, all, detail));
        }
    }
    let is_readable = causes.len() == before;
    if written.len() > 2 {
        let detail = "may only hold up to 2 values";
        causes.push(Cause::invalid(list, all, detail));
    }
    if !is_readable {
        return;
    }
    let is_v6 = |address: &str| address.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6());
    let six = written.iter().filter(|address| is_v6(address)).count();
    if written.len() > 1 && (six == 0 || six == written.len()) {
        let detail = "may specify no more than one IP for each IP family";
        causes.push(Cause::invalid(list, all, detail));
    }
    if is_headless(spec) {
        return;
    }
    for (index, address) in written.iter().enumerate() {
        let family = spec["ipFamilies"][index].as_str().unwrap_or_default();
        if FAMILIES.contains(&family) && (family == "IPv6") != is_v6(address) {
            let detail =
                format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            let path = format!("{list}[{index}]");
            causes.push(Cause::invalid(path, &json!(address), &detail));
        }
    }
}

fn families(spec: &Value, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (path, family) in elements(spec, "ipFamilies", "spec") {
        let name = family.as_str().unwrap_or_default();
        if !FAMILIES.contains(&name) {
            causes.push(Cause::unsupported(path.clone(), family, &FAMILIES));
        }
        // Of the allocator: there are no such addresses here.
        if name == "IPv6" && !is_headless(spec) {
            let detail = "not configured on this cluster";
            causes.push(Cause::invalid(path.clone(), family, detail));
        }
        if !seen.insert(name) {
            causes.push(Cause::duplicate(path, family));
        }
    }
    rules::one_of(spec, "ipFamilyPolicy", &FAMILY_POLICIES, "spec", causes);
    if text(spec, "ipFamilyPolicy") == "RequireDualStack" {
        let detail = "this cluster is not configured for dual-stack services";
        let path = "spec.ipFamilyPolicy";
        causes.push(Cause::invalid(path, &spec["ipFamilyPolicy"], detail));
    }
}

/// Ports of nodes are for those that want them; none is there twice for a protocol.
fn unique_ports(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let ports = elements(spec, "ports", "spec");
    let node_port = |port: &Value| port["nodePort"].as_i64().filter(|number| *number != 0);
    for (path, _) in ports
        .iter()
        .filter(|(_, port)| kind == "ClusterIP" && node_port(port).is_some())
    {
        let detail = "may not be used when `type` is 'ClusterIP'";
        causes.push(Cause::forbidden(format!("{path}.nodePort"), detail));
    }
    let mut seen = BTreeSet::new();
    for (path, port) in &ports {
        let number = node_port(port);
        if number.is_some() && !seen.insert((text(port, "protocol"), number)) {
            let path = format!("{path}.nodePort");
            causes.push(Cause::duplicate(path, &port["nodePort"]));
        }
    }
    let mut seen = BTreeSet::new();
    for (path, port) in &ports {
        if !seen.insert((text(port, "protocol"), port["port"].as_i64())) {
            causes.push(Cause::duplicate(path.clone(), port));
        }
    }
}

/// Who a load balancer lets in: a field, or the annotation it once was.
fn source_ranges(spec: &Value, annotations: &Value, causes: &mut Vec<Cause>) {
    // With a capital letter, as upstream writes it.
    let path = "spec.LoadBalancerSourceRanges";
    let is_other = text(spec, "type") != "LoadBalancer";
    let ranges = elements(spec, "loadBalancerSourceRanges", "spec");
    if !ranges.is_empty() {
        if is_other {
            causes.push(Cause::forbidden(path, ONLY_LOAD_BALANCER));
        }
        for (index, (_, range)) in ranges.into_iter().enumerate() {
            let range = range.as_str().unwrap_or_default().trim();
            rules::cidr(range, format!("{path}[{index}]"), causes);
        }
    } else if let Some(written) = annotations[RANGES_ANNOTATION].as_str() {
        let path = format!("metadata.annotations[{RANGES_ANNOTATION}]");
        if is_other {
            causes.push(Cause::forbidden(path.clone(), ONLY_LOAD_BALANCER));
        }
        let ranges = written.split(',').filter(|_| !written.trim().is_empty());
        for range in ranges {
            rules::cidr(range.trim(), path.clone(), causes);
        }
    }
}

fn class(spec: &Value, causes: &mut Vec<Cause>) {
    let (class, path) = (&spec["loadBalancerClass"], "spec.loadBalancerClass");
    let Some(name) = class.as_str() else {
        return;
    };
    if text(spec, "type") == "LoadBalancer" {
        meta::qualified_name(name, class, path, causes);
    } else {
        causes.push(Cause::forbidden(path, ONLY_LOAD_BALANCER));
    }
}

/// Whether its load balancer has to ask which nodes have pods of it.
fn needs_health_check(spec: &Value) -> bool {
    text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local"
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
    let (port, path) = (&spec["healthCheckNodePort"], "spec.healthCheckNodePort");
    // One that needs it and has none gets it from the registry.
    if port.as_i64().is_some_and(|number| number != 0) {
        if needs_health_check(spec) {
            rules::port(port, path.to_owned(), causes);
        } else {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            causes.push(Cause::invalid(path, port, detail));
        }
    }
    rules::one_of(spec, "internalTrafficPolicy", &POLICIES, "spec", causes);
}

/// What may not change: the first address and family of one that had them, and what its load balancer knows it by.
fn changed(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let kinds = [text(new, "type"), text(old, "type")];
    let has_addresses = !kinds.contains(&"ExternalName");
    if has_addresses && !(is_headless(new) && is_headless(old)) {
        let was = text(old, "clusterIP");
        if !was.is_empty() && was != text(new, "clusterIP") {
            let detail = "may not change once set";
            causes.push(Cause::invalid(
                "spec.clusterIPs[0]",
                &new["clusterIPs"],
                detail,
            ));
        }
    }
    if has_addresses && !is_headless(new) && !is_headless(old) {
        let (is, was) = (&new["ipFamilies"][0], &old["ipFamilies"][0]);
        if !is.is_null() && !was.is_null() && is != was {
            let detail = "may not change once set";
            causes.push(Cause::invalid(
                "spec.ipFamilies[0]",
                &new["ipFamilies"],
                detail,
            ));
        }
    }
    let class = "loadBalancerClass";
    if kinds == ["LoadBalancer"; 2] && new[class] != old[class] {
        let detail = "may not change once set";
        causes.push(Cause::invalid(
            "spec.loadBalancerClass",
            &new[class],
            detail,
        ));
    }
    let port = "healthCheckNodePort";
    if needs_health_check(new) && needs_health_check(old) && new[port] != old[port] {
        causes.push(Cause::forbidden(
            "spec.healthCheckNodePort",
            rules::IMMUTABLE,
        ));
    }
}
