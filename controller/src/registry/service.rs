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
    collections::{BTreeSet, HashMap},
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
    if let (Some(old), Some(spec)) = (old, value["spec"].as_object_mut()) {
        drop_of_type(spec, &old["spec"]);
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
    allocate_health_check(spec, &others, old)?;
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
    drop_of_type(spec, old);
}

/// What only the type it had before has, and the client did not change along, goes with the type; what it did change is for
/// the validation to refuse.
///
/// Source: k8s.io/kubernetes `pkg/registry/core/service`, `dropTypeDependentFields`.
fn drop_of_type(spec: &mut Map<String, Value>, old: &Value) {
    let now = Value::Object(spec.clone());
    if wants_node_ports(old) && !wants_node_ports(&now) {
        let had: BTreeSet<u64> = node_ports(old).collect();
        if node_ports(&now).all(|port| had.contains(&port)) {
            let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
            for port in ports.into_iter().flatten() {
                clear(port, "nodePort");
            }
        }
    }
    let rules: [Rule; 4] = [
        ("healthCheckNodePort", needs_health_check),
        ("allocateLoadBalancerNodePorts", is_balanced),
        ("loadBalancerClass", is_balanced),
        ("externalTrafficPolicy", is_external),
    ];
    for (field, has) in rules {
        if has(old) && !has(&now) && old.get(field) == now.get(field) {
            spec.remove(field);
        }
    }
}

/// A field, and the specs that have it.
type Rule = (&'static str, fn(&Value) -> bool);

fn is_balanced(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer"
}

/// Whether it is reached from outside.
fn is_external(spec: &Value) -> bool {
    let addresses = spec["externalIPs"].as_array();
    let has_addresses = addresses.is_some_and(|addresses| !addresses.is_empty());
    wants_node_ports(spec) || (spec["type"] == "ClusterIP" && has_addresses)
}

fn wants_node_ports(spec: &Value) -> bool {
    matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"))
}

/// Whether its load balancer has to ask which nodes have pods of it.
fn needs_health_check(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

fn node_ports(spec: &Value) -> impl Iterator<Item = u64> {
    let ports = spec["ports"].as_array().into_iter().flatten();
    ports
        .filter_map(|port| port["nodePort"].as_u64())
        .filter(|port| *port != 0)
}

/// Ports of nodes that a Service has: its ports' and the one where it says how it is.
fn all_node_ports(spec: &Value) -> impl Iterator<Item = u64> {
    node_ports(spec).chain(spec["healthCheckNodePort"].as_u64())
}

/// A port where nodes say whether they have pods of it; one that it had it keeps.
fn allocate_health_check(
    spec: &mut Map<String, Value>,
    others: &[Value],
    old: Option<&Value>,
) -> Result<(), StatusError> {
    const FIELD: &str = "healthCheckNodePort";
    let now = Value::Object(spec.clone());
    if !needs_health_check(&now) {
        return Ok(());
    }
    let had = old
        .map(|old| &old["spec"])
        .filter(|old| needs_health_check(old))
        .and_then(|old| old[FIELD].as_u64());
    let wanted = now[FIELD].as_u64().filter(|port| *port != 0);
    // A change is for the validation to refuse.
    if wanted.is_some() && had.is_some() {
        return Ok(());
    }
    let used: BTreeSet<u64> = others
        .iter()
        .flat_map(|other| all_node_ports(&other["spec"]))
        .chain(node_ports(&now))
        .collect();
    let refused = |port: u64, why: &str| {
        let why = format!("failed to allocate requested HealthCheck NodePort {port}: {why}");
        Err(StatusError::internal(why))
    };
    let port = match wanted.or(had) {
        Some(port) if had == Some(port) => port,
        Some(port) if !NODE_PORTS.contains(&port) => {
            return refused(
                port,
                "provided port is not in the valid range. The range of valid ports is 30000-32767",
            );
        }
        Some(port) if used.contains(&port) => {
            return refused(port, "provided port is already allocated");
        }
        Some(port) => port,
        None => NODE_PORTS
            .rev()
            .find(|port| !used.contains(port))
            .ok_or_else(|| {
                StatusError::internal("failed to allocate a HealthCheck NodePort: range is full")
            })?,
    };
    spec.insert(FIELD.to_owned(), json!(port));
    Ok(())
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
    let now = Value::Object(spec.clone());
    if !wants_node_ports(&now) {
        return Ok(());
    }
    // One that wants none chosen may still have named some.
    let chooses = spec.get("allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
    let used: BTreeSet<u64> = others
        .iter()
        .flat_map(|other| all_node_ports(&other["spec"]))
        .chain(now["healthCheckNodePort"].as_u64())
        .collect();
    let was = node_ports_before(old);
    // The protocols of one port have one number, that of the first of them that says one. A Service that is changed only keeps
    // what it has.
    let mut of_port: HashMap<u64, u64> = HashMap::new();
    for port in ports_of(&now).filter(|_port| was.is_empty()) {
        if let (Some(port), Some(number)) = (port["port"].as_u64(), node_port(port)) {
            of_port.entry(port).or_insert(number);
        }
    }
    let mut own: BTreeSet<u64> = ports_of(&now).filter_map(node_port).collect();
    own.extend(was.values());
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for (index, port) in ports.into_iter().flatten().enumerate() {
        if node_port(port).is_none() {
            let shared = port["port"].as_u64().and_then(|port| of_port.get(&port));
            let number = was.get(port_name(port)).or(shared);
            if let Some(number) = number.filter(|_number| chooses || !was.is_empty()) {
                port["nodePort"] = json!(number);
            }
        }
        let field = format!("spec.ports[{index}].nodePort");
        let refused = |detail: &str, value: &Value| {
            Err(StatusError::invalid(
                kind::SERVICE,
                name,
                vec![Cause::invalid(field.clone(), value, detail)],
            ))
        };
        let chosen = match node_port(port) {
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
            None if !chooses => continue,
            None => match NODE_PORTS
                .rev()
                .find(|number| !used.contains(number) && !own.contains(number))
            {
                Some(number) => number,
                None => {
                    return Err(StatusError::internal(
                        "failed to allocate a nodePort: range is full",
                    ));
                }
            },
        };
        own.insert(chosen);
        if let Some(number) = port["port"].as_u64().filter(|_port| was.is_empty()) {
            of_port.entry(number).or_insert(chosen);
        }
        port["nodePort"] = json!(chosen);
    }
    Ok(())
}

/// The ports of nodes by the names of the ports: one keeps its number whatever else of it changes.
fn node_ports_before(old: Option<&Value>) -> HashMap<&str, u64> {
    let ports = old.into_iter().flat_map(|old| ports_of(&old["spec"]));
    ports
        .filter_map(|port| Some((port_name(port), node_port(port)?)))
        .collect()
}

fn ports_of(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["ports"].as_array().into_iter().flatten()
}

fn port_name(port: &Value) -> &str {
    port["name"].as_str().unwrap_or_default()
}

/// The port of nodes that a port asks for or has.
fn node_port(port: &Value) -> Option<u64> {
    port["nodePort"].as_u64().filter(|number| *number != 0)
}
