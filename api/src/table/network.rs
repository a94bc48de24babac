//! Endpoints, Ingresses, policies and addresses.

use super::{AGE, Column, LISTED_MAX, NAME, column, or_none, plain, selector, text};
use crate::KindRef;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ENDPOINTS: &[Column] = &[NAME, column("Endpoints", "string", 0), AGE];
const INGRESS: &[Column] = &[
    NAME,
    column("Class", "string", 0),
    column("Hosts", "string", 0),
    column("Address", "string", 0),
    column("Ports", "string", 0),
    AGE,
];
const INGRESS_CLASS: &[Column] = &[
    NAME,
    column("Controller", "string", 0),
    column("Parameters", "string", 0),
    AGE,
];
const NETWORK_POLICY: &[Column] = &[NAME, column("Pod-Selector", "string", 0), AGE];
const ADDRESS: &[Column] = &[NAME, column("ParentRef", "string", 0), AGE];
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
                json!(addresses(object)),
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
        "IPAddress" => vec![name, json!(parent(object)), age],
        _ => {
            let cidrs = list(&object["spec"]["cidrs"]).iter();
            let cidrs: Vec<&str> = cidrs.filter_map(Value::as_str).collect();
            vec![name, json!(cidrs.join(",")), age]
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn endpoints(object: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(&object["subsets"]) {
        for port in list(&subset["ports"]) {
            for address in list(&subset["addresses"]) {
                let ip = text(address, "/ip");
                all.push(if ip.contains(':') {
                    format!("[{ip}]:{}", port["port"])
                } else {
                    format!("{ip}:{}", port["port"])
                });
            }
        }
    }
    if list(&object["subsets"]).is_empty() {
        return "<none>".to_owned();
    }
    super::listed(all, "")
}

fn hosts(object: &Value) -> String {
    let rules = list(&object["spec"]["rules"]);
    let hosts = rules.iter().map(|rule| text(rule, "/host"));
    let shown: Vec<&str> = hosts
        .filter(|host| !host.is_empty())
        .take(LISTED_MAX)
        .collect();
    if shown.is_empty() {
        return "*".to_owned();
    }
    let list = shown.join(",");
    if shown.len() == LISTED_MAX && rules.len() > LISTED_MAX {
        return format!("{list} + {} more...", rules.len() - LISTED_MAX);
    }
    list
}

fn addresses(object: &Value) -> String {
    let all: BTreeSet<&str> = list(&object["status"]["loadBalancer"]["ingress"])
        .iter()
        .map(|one| match text(one, "/ip") {
            "" => text(one, "/hostname"),
            ip => ip,
        })
        .filter(|address| !address.is_empty())
        .collect();
    all.into_iter().collect::<Vec<_>>().join(",")
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
