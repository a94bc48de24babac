//! Ingresses and their classes, NetworkPolicies, addresses of Services.

use super::{elements, meta, rules, text};
use crate::{KindRef, status::Cause};
use serde_json::{Value, json};
use std::net::IpAddr;

/// What no path of an Ingress holds, and what none ends with.
const BAD_SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const BAD_SUFFIXES: [&str; 2] = ["/..", "/."];

/// Where an Ingress once said its class.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(super) fn spec(kind: KindRef, object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    match kind.kind {
        "Ingress" => ingress(spec, causes),
        "IngressClass" => ingress_class(spec, causes),
        "NetworkPolicy" => network_policy(spec, causes),
        "IPAddress" => parent_reference(&spec["parentRef"], causes),
        _ => service_cidr(&spec["cidrs"], causes),
    }
}

/// A new Ingress says one class, wherever it says it.
pub(super) fn one_class(kind: KindRef, object: &Value, causes: &mut Vec<Cause>) {
    let annotated = &object["metadata"]["annotations"][CLASS_ANNOTATION];
    let named = &object["spec"]["ingressClassName"];
    let both = !annotated.is_null() && !named.is_null();
    if kind.kind == "Ingress" && both && annotated != named {
        let detail = "must match `ingressClassName` when both are specified";
        let path = format!("annotations.{CLASS_ANNOTATION}");
        causes.push(Cause::invalid(path, annotated, detail));
    }
}

pub(super) fn changed(kind: KindRef, new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let field = match kind.kind {
        "IngressClass" => "controller",
        "IPAddress" => "parentRef",
        "ServiceCIDR" => "cidrs",
        _ => return,
    };
    let path = format!("spec.{field}");
    rules::immutable(&new["spec"][field], &old["spec"][field], &path, causes);
}

fn ingress(spec: &Value, causes: &mut Vec<Cause>) {
    let default = &spec["defaultBackend"];
    if rules::is_absent(&spec["rules"]) && default.is_null() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", &spec["rules"], detail));
    }
    if !default.is_null() {
        backend(default, "spec.defaultBackend", causes);
    }
    for (path, rule) in elements(spec, "rules", "spec") {
        host(text(rule, "host"), format!("{path}.host"), causes);
        let http = &rule["http"];
        if http.is_null() {
            continue;
        }
        let path = format!("{path}.http");
        if rules::is_absent(&http["paths"]) {
            causes.push(Cause::required(format!("{path}.paths"), ""));
        }
        for (path, one) in elements(http, "paths", &path) {
            http_path(one, &path, causes);
        }
    }
    for (path, tls) in elements(spec, "tls", "spec") {
        for (path, name) in elements(tls, "hosts", &path) {
            host(name.as_str().unwrap_or_default(), path, causes);
        }
        let secret = text(tls, "secretName");
        if !secret.is_empty() {
            rules::subdomain(secret, format!("{path}.secretName"), causes);
        }
    }
    if let Some(class) = spec["ingressClassName"].as_str() {
        rules::subdomain(class, "spec.ingressClassName".to_owned(), causes);
    }
}

fn host(host: &str, path: String, causes: &mut Vec<Cause>) {
    if host.is_empty() {
        return;
    }
    if host.parse::<IpAddr>().is_ok() {
        let detail = "must be a DNS name, not an IP address";
        causes.push(Cause::invalid(path, &json!(host), detail));
        return;
    }
    match host.strip_prefix("*.") {
        Some(rest) if super::is_dns_subdomain(rest) => {}
        None if !host.contains('*') => rules::subdomain(host, path, causes),
        _ => {
            let detail = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
            causes.push(Cause::invalid(path, &json!(host), detail));
        }
    }
}

fn http_path(one: &Value, path: &str, causes: &mut Vec<Cause>) {
    let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
    let kind = text(one, "pathType");
    if kind.is_empty() {
        let detail = "pathType must be specified";
        causes.push(Cause::required(format!("{path}.pathType"), detail));
        return;
    }
    rules::one_of(one, "pathType", &kinds, path, causes);
    let (value, field) = (text(one, "path"), format!("{path}.path"));
    let optional = kind == "ImplementationSpecific";
    if !(value.starts_with('/') || (value.is_empty() && optional)) {
        let detail = "must be an absolute path";
        causes.push(Cause::invalid(field.clone(), &json!(value), detail));
    }
    if !optional {
        for bad in BAD_SEQUENCES.iter().filter(|bad| value.contains(**bad)) {
            let detail = format!("must not contain '{bad}'");
            causes.push(Cause::invalid(field.clone(), &json!(value), &detail));
        }
        for bad in BAD_SUFFIXES.iter().filter(|bad| value.ends_with(**bad)) {
            let detail = format!("cannot end with '{bad}'");
            causes.push(Cause::invalid(field.clone(), &json!(value), &detail));
        }
    }
    backend(&one["backend"], &format!("{path}.backend"), causes);
}

fn backend(backend: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (service, resource) = (&backend["service"], &backend["resource"]);
    let refused = |detail: &str| Cause::invalid(path, &json!(""), detail);
    match (service.is_null(), resource.is_null()) {
        (false, false) => causes.push(refused("cannot set both resource and service backends")),
        (true, true) => causes.push(refused("resource or service backend is required")),
        (true, false) => typed_reference(resource, &format!("{path}.resource"), causes),
        (false, true) => {
            let name = text(service, "name");
            let field = format!("{path}.service.name");
            if name.is_empty() {
                causes.push(Cause::required(field, ""));
            } else if !meta::is_dns_1035(name) {
                let detail = meta::DNS_1035_MESSAGE;
                causes.push(Cause::invalid(field, &json!(name), detail));
            }
            let port = &service["port"];
            let number = port["number"].as_i64().unwrap_or(0);
            match (text(port, "name"), number) {
                ("", 0) => {
                    let detail = "port name or number is required";
                    causes.push(Cause::required(path, detail));
                }
                ("", _) => {
                    let field = format!("{path}.service.port.number");
                    rules::port(&port["number"], field, causes);
                }
                (name, 0) => rules::label(name, format!("{path}.service.port.name"), causes),
                _ => causes.push(refused("cannot set both port name & port number")),
            }
        }
    }
}

fn typed_reference(reference: &Value, path: &str, causes: &mut Vec<Cause>) {
    if let Some(group) = reference["apiGroup"].as_str() {
        rules::subdomain(group, format!("{path}.apiGroup"), causes);
    }
    for field in ["kind", "name"] {
        if text(reference, field).is_empty() {
            let detail = format!("{field} is required");
            causes.push(Cause::required(format!("{path}.{field}"), &detail));
        }
    }
}

fn ingress_class(spec: &Value, causes: &mut Vec<Cause>) {
    rules::domain_prefixed(text(spec, "controller"), "spec.controller", causes);
    let parameters = &spec["parameters"];
    if parameters.is_null() {
        return;
    }
    let path = "spec.parameters";
    typed_reference(parameters, path, causes);
    rules::one_of(parameters, "scope", &["Cluster", "Namespace"], path, causes);
    let namespace = parameters["namespace"].is_null();
    match (text(parameters, "scope"), namespace) {
        ("Namespace", true) => causes.push(Cause::required(
            "spec.parameters.namespace",
            "`parameters.scope` is set to 'Namespace'",
        )),
        ("Cluster", false) => causes.push(Cause::forbidden(
            "spec.parameters.namespace",
            "`parameters.scope` is set to 'Cluster'",
        )),
        _ => {}
    }
}

fn network_policy(spec: &Value, causes: &mut Vec<Cause>) {
    rules::selector(&spec["podSelector"], "spec.podSelector", causes);
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for (path, rule) in elements(spec, rules, "spec") {
            for (path, port) in elements(rule, "ports", &path) {
                policy_port(port, &path, causes);
            }
            for (path, peer) in elements(rule, peers, &path) {
                policy_peer(peer, &path, causes);
            }
        }
    }
    let (types, allowed) = (elements(spec, "policyTypes", "spec"), ["Ingress", "Egress"]);
    if types.len() > allowed.len() {
        let detail = "may not specify more than two policyTypes";
        let listed = &spec["policyTypes"];
        causes.push(Cause::invalid("spec.policyTypes", listed, detail));
        return;
    }
    for (path, one) in types {
        if !one.as_str().is_some_and(|one| allowed.contains(&one)) {
            causes.push(Cause::unsupported(path, one, &allowed));
        }
    }
}

fn policy_port(port: &Value, path: &str, causes: &mut Vec<Cause>) {
    rules::one_of(port, "protocol", &["SCTP", "TCP", "UDP"], path, causes);
    let (first, last) = (&port["port"], &port["endPort"]);
    let field = format!("{path}.port");
    let end = format!("{path}.endPort");
    match first {
        Value::Null if !last.is_null() => causes.push(Cause::invalid(
            end,
            last,
            "may not be specified when `port` is not specified",
        )),
        Value::Number(number) => {
            rules::port(first, field, causes);
            if let Some(last) = last.as_i64() {
                if number.as_i64().is_some_and(|first| last < first) {
                    let detail = "must be greater than or equal to `port`";
                    causes.push(Cause::invalid(end.clone(), &json!(last), detail));
                }
                rules::port(&json!(last), end, causes);
            }
        }
        Value::String(name) => {
            if !last.is_null() {
                let detail = "may not be specified when `port` is non-numeric";
                causes.push(Cause::invalid(end, last, detail));
            }
            rules::label(name, field, causes);
        }
        _ => {}
    }
}

fn policy_peer(peer: &Value, path: &str, causes: &mut Vec<Cause>) {
    let selectors = ["podSelector", "namespaceSelector"];
    for field in selectors {
        rules::selector(&peer[field], &format!("{path}.{field}"), causes);
    }
    let block = &peer["ipBlock"];
    let selecting = selectors.iter().any(|field| !peer[*field].is_null());
    match (block.is_null(), selecting) {
        (true, false) => causes.push(Cause::required(path, "must specify a peer")),
        (false, true) => {
            let detail = "may not specify both ipBlock and another peer";
            causes.push(Cause::forbidden(path, detail));
        }
        (true, true) => {}
        (false, false) => ip_block(block, &format!("{path}.ipBlock"), causes),
    }
}

fn ip_block(block: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !rules::required(block, "cidr", path, causes) {
        return;
    }
    let whole = rules::cidr(text(block, "cidr"), format!("{path}.cidr"), causes);
    for (path, except) in elements(block, "except", path) {
        let part = rules::cidr(except.as_str().unwrap_or_default(), path.clone(), causes);
        if let (Some(whole), Some(part)) = (whole, part)
            && !is_inside(whole, part)
        {
            let detail = "must be a strict subset of `cidr`";
            causes.push(Cause::invalid(path, except, detail));
        }
    }
}

/// Whether a range is a smaller one within another.
fn is_inside((whole, whole_bits): (IpAddr, u8), (part, part_bits): (IpAddr, u8)) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, true),
        IpAddr::V6(address) => (address.to_bits(), false),
    };
    let ((whole, whole_is_v4), (part, part_is_v4)) = (bits(whole), bits(part));
    let differing = (whole ^ part).leading_zeros();
    whole_is_v4 == part_is_v4 && part_bits > whole_bits && differing >= u32::from(whole_bits)
}

fn parent_reference(parent: &Value, causes: &mut Vec<Cause>) {
    let path = "spec.parentRef";
    if parent.is_null() {
        causes.push(Cause::required(path, ""));
        return;
    }
    let group = text(parent, "group");
    if !group.is_empty() {
        rules::subdomain(group, format!("{path}.group"), causes);
    }
    for field in ["resource", "name"] {
        rules::required(parent, field, path, causes);
    }
}

fn service_cidr(cidrs: &Value, causes: &mut Vec<Cause>) {
    let path = "spec.cidrs";
    let list = cidrs.as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        causes.push(Cause::required(path, "at least one CIDR required"));
    } else if list.len() > 2 {
        causes.push(Cause::invalid(path, cidrs, "may only hold up to 2 values"));
    } else {
        let parsed: Vec<_> = list
            .iter()
            .enumerate()
            .filter_map(|(index, cidr)| {
                let field = format!("{path}[{index}]");
                rules::cidr(cidr.as_str().unwrap_or_default(), field, causes)
            })
            .collect();
        if let [(one, _), (other, _)] = parsed.as_slice()
            && one.is_ipv4() == other.is_ipv4()
        {
            let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
            causes.push(Cause::invalid(path, cidrs, detail));
        }
    }
}
