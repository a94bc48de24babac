//! Services, endpoints, Ingresses, policies and addresses.

use super::{AGE, Column, NAME, UNKNOWN, column, labels, or_none, plain, selector, text};
use crate::KindRef;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// At most this many addresses, ports or hosts in a cell, as upstream prints.
const LISTED_MAX: usize = 3;

pub(super) const SERVICE: &[Column] = &[
    NAME,
    column("Type", "string", 0),
    column("Cluster-IP", "string", 0),
    column("External-IP", "string", 0),
    column("Port(s)", "string", 0),
    AGE,
    column("Selector", "string", 1),
];
pub(super) const ENDPOINT_SLICE: &[Column] = &[
    NAME,
    column("AddressType", "string", 0),
    column("Ports", "string", 0),
    column("Endpoints", "string", 0),
    AGE,
];
const ENDPOINTS: &[Column] = &[NAME, column("Endpoints", "string", 0), AGE];
const INGRESS: &[Column] = &[
    NAME,
    column("Class", "string", 0).about(
        "The name of the IngressClass resource that should be used for additional configuration",
    ),
    column("Hosts", "string", 0)
        .about("Hosts that incoming requests are matched against before the ingress rule"),
    column("Address", "string", 0)
        .about("Address is a list containing ingress points for the load-balancer"),
    column("Ports", "string", 0).about("Ports of TLS configurations that open"),
    AGE,
];
const INGRESS_CLASS: &[Column] = &[
    NAME,
    column("Controller", "string", 0)
        .about("Controller that is responsible for handling this class"),
    column("Parameters", "string", 0).about("A reference to a resource with additional parameters"),
    AGE,
];
const NETWORK_POLICY: &[Column] = &[NAME, column("Pod-Selector", "string", 0), AGE];
/// Upstream makes a cell of the age and forgets its column: kubectl shows none.
const ADDRESS: &[Column] = &[NAME, column("ParentRef", "string", 0)];
const SERVICE_CIDR: &[Column] = &[NAME, column("CIDRs", "string", 0), AGE];

pub(super) fn columns(kind: KindRef) -> &'static [Column] {
    match kind.kind {
        "Endpoints" => ENDPOINTS,
        "Ingress" => INGRESS,
        "IngressClass" => INGRESS_CLASS,
        "NetworkPolicy" => NETWORK_POLICY,
        "IPAddress" => ADDRESS,
        _ => SERVICE_CIDR,
    }
}

pub(super) fn cells(kind: KindRef, object: &Value, age: Value) -> Vec<Value> {
    let name = json!(text(object, "/metadata/name"));
    match kind.kind {
        "Endpoints" => vec![name, json!(endpoints(object)), age],
        "Ingress" => {
            let tls = list(&object["spec"]["tls"]);
            let ports = if tls.is_empty() { "80" } else { "80, 443" };
            vec![
                name,
                json!(plain(&object["spec"]["ingressClassName"], "<none>")),
                json!(hosts(object)),
                json!(balanced(object).join(",")),
                json!(ports),
                age,
            ]
        }
        "IngressClass" => {
            let controller = json!(text(object, "/spec/controller"));
            vec![name, controller, json!(parameters(object)), age]
        }
        "NetworkPolicy" => {
            let pods = selector(&object["spec"]["podSelector"]);
            vec![name, json!(pods), age]
        }
        "IPAddress" => vec![name, json!(parent(object))],
        _ => {
            let cidrs = texts(&object["spec"]["cidrs"]).join(",");
            vec![name, json!(cidrs), age]
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

/// The first few of them and how many more there are; `none` where there is nothing to show.
fn listed(all: Vec<String>, none: &str) -> String {
    let more = all.len().saturating_sub(LISTED_MAX);
    let shown = all
        .into_iter()
        .take(LISTED_MAX)
        .collect::<Vec<_>>()
        .join(",");
    match (shown.is_empty(), more) {
        (true, 0) => none.to_owned(),
        (false, 0) => shown,
        (_, more) => format!("{shown} + {more} more..."),
    }
}

pub(super) fn service(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let spec = &object["spec"];
    let cluster_ip = match text(spec, "/clusterIPs/0") {
        "" => text(spec, "/clusterIP"),
        first => first,
    };
    let ports: Vec<String> = list(&spec["ports"]).iter().map(service_port).collect();
    vec![
        name,
        json!(text(spec, "/type")),
        json!(or_none(cluster_ip.to_owned())),
        json!(external(object)),
        json!(or_none(ports.join(","))),
        age,
        json!(labels(&spec["selector"])),
    ]
}

fn service_port(port: &Value) -> String {
    let (number, protocol) = (&port["port"], port["protocol"].as_str().unwrap_or("TCP"));
    match port["nodePort"].as_u64() {
        None | Some(0) => format!("{number}/{protocol}"),
        Some(node_port) => format!("{number}:{node_port}/{protocol}"),
    }
}

/// Where a Service is reached from outside.
fn external(service: &Value) -> String {
    let written = texts(&service["spec"]["externalIPs"]);
    match text(service, "/spec/type") {
        "ClusterIP" | "NodePort" => or_none(written.join(",")),
        "LoadBalancer" => {
            let mut all = balanced(service);
            all.extend(written);
            if all.is_empty() {
                return "<pending>".to_owned();
            }
            all.join(",")
        }
        "ExternalName" => text(service, "/spec/externalName").to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}

/// What a load balancer gave, in order and each once.
///
/// Never cut to upstream's 16 characters: its API server asks for the wide form always.
fn balanced(object: &Value) -> Vec<&str> {
    let all: BTreeSet<&str> = list(&object["status"]["loadBalancer"]["ingress"])
        .iter()
        .map(|one| match text(one, "/ip") {
            "" => text(one, "/hostname"),
            ip => ip,
        })
        .filter(|address| !address.is_empty())
        .collect();
    all.into_iter().collect()
}

pub(super) fn endpoint_slice(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let port = |port: &Value| match &port["port"] {
        Value::Null => plain(&port["name"], "*"),
        number => number.to_string(),
    };
    let ports = list(&object["ports"]).iter().map(port).collect();
    let addresses = list(&object["endpoints"])
        .iter()
        .flat_map(|endpoint| texts(&endpoint["addresses"]))
        .map(str::to_owned)
        .collect();
    vec![
        name,
        json!(text(object, "/addressType")),
        json!(listed(ports, "<unset>")),
        json!(listed(addresses, "<unset>")),
        age,
    ]
}

fn endpoints(object: &Value) -> String {
    let subsets = list(&object["subsets"]);
    if subsets.is_empty() {
        return "<none>".to_owned();
    }
    let mut all: Vec<String> = Vec::new();
    for subset in subsets {
        let ips = list(&subset["addresses"])
            .iter()
            .map(|address| text(address, "/ip"));
        let ports = list(&subset["ports"]);
        // A headless Service may have no port.
        if ports.is_empty() {
            all.extend(ips.clone().map(str::to_owned));
        }
        for port in ports {
            all.extend(ips.clone().map(|ip| with_port(ip, &port["port"])));
        }
    }
    listed(all, "")
}

fn with_port(ip: &str, port: &Value) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}

fn hosts(object: &Value) -> String {
    let rules = list(&object["spec"]["rules"]);
    let mut shown = Vec::new();
    let mut has_more = false;
    for rule in rules {
        has_more |= shown.len() == LISTED_MAX;
        let host = text(rule, "/host");
        if !has_more && !host.is_empty() {
            shown.push(host);
        }
    }
    if shown.is_empty() {
        return "*".to_owned();
    }
    let shown = shown.join(",");
    if has_more {
        // As upstream: rules without a host count too.
        let more = rules.len().saturating_sub(LISTED_MAX);
        return format!("{shown} + {more} more...");
    }
    shown
}

fn parameters(object: &Value) -> String {
    let parameters = &object["spec"]["parameters"];
    if parameters.is_null() {
        return "<none>".to_owned();
    }
    let (kind, name) = (text(parameters, "/kind"), text(parameters, "/name"));
    match parameters["apiGroup"].as_str() {
        Some(group) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

fn parent(object: &Value) -> String {
    let parent = &object["spec"]["parentRef"];
    if parent.is_null() {
        return or_none(String::new());
    }
    let resource = match text(parent, "/group") {
        "" => text(parent, "/resource").to_lowercase(),
        group => format!("{}.{group}", text(parent, "/resource")).to_lowercase(),
    };
    match text(parent, "/namespace") {
        "" => format!("{resource}/{}", text(parent, "/name")),
        namespace => format!("{resource}/{namespace}/{}", text(parent, "/name")),
    }
}
