//! What a guest may be told of its own pod: the downward API.
//!
//! Source: k8s.io/kubernetes `pkg/fieldpath`, `pkg/api/v1/resource/helpers.go`.

use super::Subject;
use coracle_api::{
    k8s_openapi::{
        api::core::v1::{ObjectFieldSelector, ResourceFieldSelector},
        apimachinery::pkg::api::resource::Quantity as ApiQuantity,
    },
    quantity::Quantity,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The value of a `fieldRef`.
pub(super) fn of_pod(
    subject: &Subject<'_>,
    selector: &ObjectFieldSelector,
) -> Result<String, String> {
    let meta = &subject.pod.metadata;
    let path = selector.field_path.as_str();
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return Err(format!("fieldPath {path:?} does not support subscript")),
        };
        return Ok(map
            .and_then(|map| map.get(key))
            .cloned()
            .unwrap_or_default());
    }
    let address = |known: Option<String>, what: &str| {
        known
            .filter(|address| !address.is_empty())
            .ok_or_else(|| format!("{what} is not known yet (fieldPath {path:?})"))
    };
    let status = subject.pod.status.as_ref();
    let node_address = || {
        let node = subject.view.node(subject.spec.node_name.as_deref()?)?;
        let addresses = node.status.as_ref()?.addresses.as_ref()?;
        let internal = addresses.iter().find(|one| one.type_ == "InternalIP")?;
        Some(internal.address.clone())
    };
    match path {
        "metadata.name" => Ok(subject.name.to_owned()),
        "metadata.namespace" => Ok(subject.namespace.to_owned()),
        "metadata.uid" => Ok(meta.uid.clone().unwrap_or_default()),
        "metadata.labels" => Ok(format_map(meta.labels.as_ref())),
        "metadata.annotations" => Ok(format_map(meta.annotations.as_ref())),
        "spec.nodeName" => Ok(subject.spec.node_name.clone().unwrap_or_default()),
        "spec.serviceAccountName" => Ok(subject
            .spec
            .service_account_name
            .clone()
            .unwrap_or_default()),
        "status.hostIP" | "status.hostIPs" => address(node_address(), "the node's address"),
        "status.podIP" | "status.podIPs" => {
            let known = status.and_then(|status| status.pod_ip.clone());
            address(known, "the pod's address")
        }
        _ => Err(format!("unsupported fieldPath: {path}")),
    }
}

/// `metadata.labels['key']` taken apart.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// `key="value"` a line, as upstream writes a map into a file.
fn format_map(map: Option<&BTreeMap<String, String>>) -> String {
    let mut lines = String::new();
    for (key, value) in map.into_iter().flatten() {
        let _infallible = writeln!(lines, "{key}={value:?}");
    }
    lines.trim_end_matches('\n').to_owned()
}

/// The value of a `resourceFieldRef`; a limit that is not set is what the node has.
pub(super) fn of_resources(
    subject: &Subject<'_>,
    selector: &ResourceFieldSelector,
    own_container: &str,
) -> Result<String, String> {
    let name = selector.container_name.as_deref().unwrap_or(own_container);
    let all = subject.spec.containers.iter();
    let mut all = all.chain(subject.spec.init_containers.iter().flatten());
    let container = all
        .find(|container| container.name == name)
        .ok_or_else(|| format!("container {name} not found"))?;
    let unsupported = || format!("unsupported container resource : {}", selector.resource);
    let (list, resource) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    if !matches!(resource, "cpu" | "memory" | "ephemeral-storage") {
        return Err(unsupported());
    }
    let amounts = container.resources.as_ref();
    let amount = |list: Option<&BTreeMap<String, ApiQuantity>>| {
        Quantity::parse(&list?.get(resource)?.0).ok()
    };
    let set = match list {
        "limits" => amount(amounts.and_then(|amounts| amounts.limits.as_ref()))
            .or_else(|| allocatable(subject, resource)),
        "requests" => amount(amounts.and_then(|amounts| amounts.requests.as_ref())),
        _ => return Err(unsupported()),
    };
    let milli = set.map_or(0, |amount| amount.milli_value());
    let divisor = match &selector.divisor {
        Some(divisor) => Quantity::parse(&divisor.0)
            .map_err(|_form| format!("divisor {:?} is not a quantity", divisor.0))?
            .milli_value(),
        None => 0,
    };
    let divisor = if divisor <= 0 { 1000 } else { divisor };
    // Rounded up, as upstream: a limit of 1500m is two cores.
    Ok(((milli + divisor - 1) / divisor).to_string())
}

fn allocatable(subject: &Subject<'_>, resource: &str) -> Option<Quantity> {
    let node = subject.view.node(subject.spec.node_name.as_deref()?)?;
    let amounts = node.status.as_ref()?.allocatable.as_ref()?;
    Quantity::parse(&amounts.get(resource)?.0).ok()
}
