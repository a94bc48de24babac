//! What a Service gets from the registry: an address and node ports, each given out once.
//!
//! Runs with the decision of the write, so two Services never get the same. Source: k8s.io/kubernetes
//! `pkg/registry/core/service`.

use super::{
    commit::Others,
    strategy::{clear, key_of},
};
use coracle_api::{KindRef, StatusError, kind, status::Cause};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

/// Addresses of Services.
const RANGE: &str = "10.96.0.0/16";
/// Node ports, as upstream's default range.
const NODE_PORTS: std::ops::RangeInclusive<u64> = 30_000..=32_767;

/// Gives a Service its address and node ports; checks the ones it asks for.
pub(super) fn allocate(
    objects: Others<'_>,
    of: KindRef,
    mut value: Value,
    old: Option<&Value>,
) -> Result<Value, StatusError> {
    if of != kind::SERVICE {
        return Ok(value);
    }
    if value["spec"]["type"] == "ExternalName" {
        if let (Some(old), Some(spec)) = (old, value["spec"].as_object_mut()) {
            give_back(spec, &old["spec"]);
        }
        return Ok(value);
    }
    let own = key_of(of, &value);
    let others: Vec<Value> = objects
        .list(kind::SERVICE)
        .iter()
        .filter(|service| service.key != own)
        .map(|service| service.value())
        .collect();
    let name = own.name.clone();
    let Some(spec) = value["spec"].as_object_mut() else {
        return Ok(value);
    };
    let is_api = own.namespace == "default" && name == "kubernetes";
    let had = old.and_then(|old| old["spec"]["clusterIP"].as_str());
    allocate_address(spec, &others, &name, (is_api, had))?;
    allocate_node_ports(spec, &others, &name, old)?;
    Ok(value)
}

/// What a Service without addresses of its own had before; what was changed along is for the validation to refuse.
fn give_back(spec: &mut Map<String, Value>, old: &Value) {
    if old["type"] == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if spec.get(field) == old.get(field) {
            spec.remove(field);
        }
    }
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        clear(port, "nodePort");
    }
}

fn allocate_address(
    spec: &mut Map<String, Value>,
    others: &[Value],
    name: &str,
    (is_api, had): (bool, Option<&str>),
) -> Result<(), StatusError> {
    let mut used: BTreeSet<&str> = others
        .iter()
        .filter_map(|service| service["spec"]["clusterIP"].as_str())
        .collect();
    if !is_api {
        used.insert(crate::api_service::ADDRESS);
    }
    let wanted = spec
        .get("clusterIP")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let address = match wanted.as_str() {
        "None" => "None".to_owned(),
        "" => {
            let free = (1u32..65_535)
                .map(|n| format!("10.96.{}.{}", n >> 8, n & 255))
                .find(|a| !used.contains(a.as_str()));
            free.ok_or_else(|| StatusError::internal("failed to allocate IP: range is full"))?
        }
        wanted if used.contains(wanted) || !(had == Some(wanted) || is_in_range(wanted)) => {
            let detail = match used.contains(wanted) {
                true => format!("failed to allocate IP {wanted}: provided IP is already allocated"),
                false => format!(
                    "failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid range. The range of valid IPs is {RANGE}"
                ),
            };
            let cause = Cause::invalid("spec.clusterIPs", &json!([wanted]), &detail);
            return Err(StatusError::invalid(kind::SERVICE, name, vec![cause]));
        }
        free => free.to_owned(),
    };
    spec.insert("clusterIPs".to_owned(), json!([address]));
    spec.insert("clusterIP".to_owned(), json!(address));
    Ok(())
}

/// What is no address at all is for the validation to refuse.
fn is_in_range(address: &str) -> bool {
    address.parse::<Ipv4Addr>().map_or_else(
        |_| address.parse::<IpAddr>().is_err(),
        |address| address.octets()[..2] == [10, 96],
    )
}

fn allocate_node_ports(
    spec: &mut Map<String, Value>,
    others: &[Value],
    name: &str,
    old: Option<&Value>,
) -> Result<(), StatusError> {
    let wants = matches!(
        spec.get("type").and_then(Value::as_str),
        Some("NodePort" | "LoadBalancer")
    );
    let ports_of = |service: &Value| -> Vec<u64> {
        service["spec"]["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|port| port["nodePort"].as_u64())
            .collect()
    };
    let mut used: BTreeSet<u64> = others.iter().flat_map(ports_of).collect();
    let was: Vec<(Value, Value)> = old
        .and_then(|old| old["spec"]["ports"].as_array())
        .into_iter()
        .flatten()
        .map(|port| (port["port"].clone(), port["nodePort"].clone()))
        .collect();
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for (index, port) in ports.into_iter().flatten().enumerate() {
        if !wants {
            clear(port, "nodePort");
            continue;
        }
        if port["nodePort"].is_null()
            && let Some((_, node_port)) = was
                .iter()
                .find(|(number, node_port)| *number == port["port"] && !node_port.is_null())
        {
            port["nodePort"] = node_port.clone();
        }
        let field = format!("spec.ports[{index}].nodePort");
        let refused = |detail: &str, value: &Value| {
            Err(StatusError::invalid(
                kind::SERVICE,
                name,
                vec![Cause::invalid(field.clone(), value, detail)],
            ))
        };
        let chosen = match port["nodePort"].as_u64().filter(|number| *number != 0) {
            Some(number) if !NODE_PORTS.contains(&number) => {
                return refused(
                    "provided port is not in the valid range. The range of valid ports is 30000-32767",
                    &json!(number),
                );
            }
            Some(number) if used.contains(&number) => {
                return refused("provided port is already allocated", &json!(number));
            }
            Some(number) => number,
            None => match NODE_PORTS.rev().find(|number| !used.contains(number)) {
                Some(number) => number,
                None => {
                    return Err(StatusError::internal(
                        "failed to allocate a nodePort: range is full",
                    ));
                }
            },
        };
        used.insert(chosen);
        port["nodePort"] = json!(chosen);
    }
    Ok(())
}
