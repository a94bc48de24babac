//! Endpoints and EndpointSlices.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidateEndpoints`, and `pkg/apis/discovery/validation`.

use super::{elements, meta, rules, text};
use crate::status::Cause;
use serde_json::{Value, json};
use std::{collections::HashSet, net::IpAddr};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
/// Of a slice, and of one of its endpoints; as upstream.
const ENDPOINTS_MAX: usize = 1000;
const PORTS_MAX: usize = 20_000;
const ADDRESSES_MAX: usize = 100;
const TOPOLOGY_MAX: usize = 16;
const HINTS_MAX: usize = 8;

/// Subsets that were there before are let be.
pub(super) fn check(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    if old.is_some_and(|old| old["subsets"] == object["subsets"]) {
        return;
    }
    for (path, subset) in elements(object, "subsets", "") {
        let path = path.trim_start_matches('.').to_owned();
        let lists = ["addresses", "notReadyAddresses"];
        if lists.iter().all(|list| rules::is_absent(&subset[*list])) {
            let detail = "must specify `addresses` or `notReadyAddresses`";
            causes.push(Cause::required(path.clone(), detail));
        }
        for list in lists {
            for (path, address) in elements(subset, list, &path) {
                endpoint_address(address, &path, causes);
            }
        }
        let ports = elements(subset, "ports", &path);
        let many = ports.len() > 1;
        for (path, port) in ports {
            rules::name_among(many, text(port, "name"), format!("{path}.name"), causes);
            rules::port(&port["port"], format!("{path}.port"), causes);
            rules::one_of(port, "protocol", &PROTOCOLS, &path, causes);
        }
    }
}

fn endpoint_address(address: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (ip, at) = (text(address, "ip"), format!("{path}.ip"));
    rules::ip(ip, at.clone(), causes);
    let (hostname, node) = (text(address, "hostname"), text(address, "nodeName"));
    if !hostname.is_empty() {
        rules::label(hostname, format!("{path}.hostname"), causes);
    }
    if !address["nodeName"].is_null() {
        rules::subdomain(node, format!("{path}.nodeName"), causes);
    }
    rules::endpoint_ip(ip, &at, causes);
}

/// Endpoints that were there before are let be: what an address may be has become stricter.
pub(super) fn slice(object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    if text(object, "addressType").is_empty() {
        causes.push(Cause::required("addressType", ""));
    }
    let kinds = ["FQDN", "IPv4", "IPv6"];
    rules::one_of(object, "addressType", &kinds, "", causes);
    slice_ports(object, causes);
    if old.is_none_or(|old| old["endpoints"] != object["endpoints"]) {
        slice_endpoints(object, causes);
    }
}

/// The elements of a list at the top, unless they are too many.
fn listed<'a>(
    of: &'a Value,
    name: &'static str,
    max: usize,
    causes: &mut Vec<Cause>,
) -> impl Iterator<Item = (String, &'a Value)> + use<'a> {
    let list = of[name].as_array().map_or(&[][..], Vec::as_slice);
    let is_short = list.len() <= max;
    if !is_short {
        causes.push(Cause::too_many(name, list.len(), max));
    }
    let list = if is_short { list } else { &[] };
    let elements = list.iter().enumerate();
    elements.map(move |(index, value)| (format!("{name}[{index}]"), value))
}

fn slice_ports(object: &Value, causes: &mut Vec<Cause>) {
    let mut names = HashSet::new();
    for (path, port) in listed(object, "ports", PORTS_MAX, causes) {
        let name = text(port, "name");
        if !name.is_empty() {
            rules::label(name, format!("{path}.name"), causes);
        }
        if !names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
        }
        if !port["port"].is_null() {
            rules::port(&port["port"], format!("{path}.port"), causes);
        }
        rules::one_of(port, "protocol", &PROTOCOLS, &path, causes);
        if let Some(protocol) = port["appProtocol"].as_str() {
            let path = format!("{path}.appProtocol");
            meta::qualified_name(protocol, &json!(protocol), &path, causes);
        }
    }
}

fn slice_endpoints(object: &Value, causes: &mut Vec<Cause>) {
    let kind = text(object, "addressType");
    for (path, endpoint) in listed(object, "endpoints", ENDPOINTS_MAX, causes) {
        let addresses = elements(endpoint, "addresses", &path);
        let list = format!("{path}.addresses");
        if addresses.is_empty() {
            let detail = "must contain at least 1 address";
            causes.push(Cause::required(list, detail));
        } else if addresses.len() > ADDRESSES_MAX {
            causes.push(Cause::too_many(list, addresses.len(), ADDRESSES_MAX));
        }
        for (path, address) in addresses {
            slice_address(address.as_str().unwrap_or_default(), kind, path, causes);
        }
        if let Some(node) = endpoint["nodeName"].as_str() {
            rules::subdomain(node, format!("{path}.nodeName"), causes);
        }
        topology(endpoint, &path, causes);
        if let Some(name) = endpoint["hostname"].as_str() {
            rules::label(name, format!("{path}.hostname"), causes);
        }
        hints(&endpoint["hints"], &format!("{path}.hints"), causes);
    }
}

/// Labels from before there were fields for them; the zone has had its field since.
fn topology(endpoint: &Value, path: &str, causes: &mut Vec<Cause>) {
    const ZONE: &str = "topology.kubernetes.io/zone";
    let (labels, path) = (
        &endpoint["deprecatedTopology"],
        format!("{path}.deprecatedTopology"),
    );
    let count = labels.as_object().map_or(0, serde_json::Map::len);
    if count > TOPOLOGY_MAX {
        causes.push(Cause::too_many(path.clone(), count, TOPOLOGY_MAX));
    }
    meta::labels(labels, &path, causes);
    if !labels[ZONE].is_null() {
        let detail = "reserved key was not removed in conversion";
        causes.push(Cause::internal(format!("{path}[{ZONE}]"), detail));
    }
}

/// For whom an endpoint is meant. Where there are too many no more is said.
fn hints(hints: &Value, path: &str, causes: &mut Vec<Cause>) {
    for list in ["forZones", "forNodes"] {
        let (hinted, at) = (elements(hints, list, path), format!("{path}.{list}"));
        if hinted.len() > HINTS_MAX {
            causes.push(Cause::too_many(at, hinted.len(), HINTS_MAX));
            return;
        }
        let mut names = HashSet::new();
        for (path, hint) in hinted {
            let (name, path) = (text(hint, "name"), format!("{path}.name"));
            if !names.insert(name) {
                causes.push(Cause::duplicate(path.clone(), &json!(name)));
            }
            if list == "forNodes" {
                rules::subdomain(name, path, causes);
                continue;
            }
            let problems = super::label_value_problems(name);
            let refused = |why: &&str| Cause::invalid(path.clone(), &json!(name), why);
            causes.extend(problems.iter().map(refused));
        }
    }
}

/// An address of a slice, which is of one type.
fn slice_address(address: &str, kind: &str, path: String, causes: &mut Vec<Cause>) {
    let other_family = match kind {
        "IPv4" => "must be an IPv4 address",
        "IPv6" => "must be an IPv6 address",
        "FQDN" => return fully_qualified(address, path, causes),
        _ => return,
    };
    rules::ip(address, path.clone(), causes);
    if let Ok(parsed) = address.parse::<IpAddr>()
        && parsed.to_canonical().is_ipv4() != (kind == "IPv4")
    {
        causes.push(Cause::invalid(path.clone(), &json!(address), other_family));
    }
    rules::endpoint_ip(address, &path, causes);
}

/// A name of a host with its domain; a dot may end it.
fn fully_qualified(name: &str, path: String, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        causes.push(Cause::required(path, ""));
        return;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let (wrong, detail) = if !super::is_dns_subdomain(name) {
        (name, meta::SUBDOMAIN_MESSAGE)
    } else if !name.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        (name, detail)
    } else {
        // A label of a subdomain can only be too long.
        match name.split('.').find(|label| !super::is_dns_label(label)) {
            Some(label) => (label, "must be no more than 63 bytes"),
            None => return,
        }
    };
    causes.push(Cause::invalid(path, &json!(wrong), detail));
}
