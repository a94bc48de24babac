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
use std::collections::BTreeSet;

/// Node ports, as upstream's default range.
const NODE_PORTS: std::ops::RangeInclusive<u64> = 30_000..=32_767;

/// Gives a Service its address and node ports; checks the ones it asks for.
pub(super) fn allocate(
    objects: Others<'_>,
    of: KindRef,
    mut value: Value,
    old: Option<&Value>,
) -> Result<Value, StatusError> {
    if of != kind::SERVICE || value["spec"]["type"] == "ExternalName" {
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
    allocate_address(spec, &others, &name, is_api)?;
    allocate_node_ports(spec, &others, &name, old)?;
    Ok(value)
}

fn allocate_address(
    spec: &mut Map<String, Value>,
    others: &[Value],
    name: &str,
    is_api: bool,
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
        taken if used.contains(taken) => {
            let detail = "failed to allocate IP: provided IP is already allocated";
            return Err(StatusError::invalid(
                kind::SERVICE,
                name,
                vec![Cause::invalid("spec.clusterIPs", &json!([taken]), detail)],
            ));
        }
        free => free.to_owned(),
    };
    spec.insert("clusterIPs".to_owned(), json!([address]));
    spec.insert("clusterIP".to_owned(), json!(address));
    Ok(())
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
