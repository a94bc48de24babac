//! The variables that tell a guest where the services of its namespace are.
//!
//! Source: k8s.io/kubernetes `pkg/kubelet/envvars`, `pkg/kubelet/kubelet_pods.go`.

use super::Subject;
use coracle_api::k8s_openapi::api::core::v1::Service;
use std::{collections::BTreeMap, sync::Arc};

/// The service of the API itself; every pod is told of it.
const MASTER: (&str, &str) = ("default", "kubernetes");

/// All variables, by name.
pub(super) fn variables(subject: &Subject<'_>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let links = subject.spec.enable_service_links.unwrap_or(true);
    for object in subject.view.services() {
        let key = (object.key.namespace.as_str(), object.key.name.as_str());
        if key != MASTER && !(links && key.0 == subject.namespace) {
            continue;
        }
        let Ok(service) = object.typed::<Service>() else {
            continue;
        };
        of_service(&object.key.name, &service, &mut variables);
    }
    variables
}

fn of_service(name: &str, service: &Arc<Service>, variables: &mut BTreeMap<String, String>) {
    let Some(spec) = &service.spec else { return };
    let address = spec.cluster_ip.as_deref().unwrap_or_default();
    if address.is_empty() || address == "None" {
        return;
    }
    let name = variable_name(name);
    let mut set = |suffix: &str, value: String| variables.insert(format!("{name}_{suffix}"), value);
    set("SERVICE_HOST", address.to_owned());
    for (index, port) in spec.ports.iter().flatten().enumerate() {
        let number = port.port;
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let lower = protocol.to_lowercase();
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.to_owned()
        };
        let url = format!("{lower}://{host}:{number}");
        if index == 0 {
            set("SERVICE_PORT", number.to_string());
            set("PORT", url.clone());
        }
        if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let suffix = format!("SERVICE_PORT_{}", variable_name(port_name));
            set(&suffix, number.to_string());
        }
        let prefix = format!("PORT_{number}_{}", protocol.to_uppercase());
        set(&prefix, url);
        set(&format!("{prefix}_PROTO"), lower);
        set(&format!("{prefix}_PORT"), number.to_string());
        set(&format!("{prefix}_ADDR"), address.to_owned());
    }
}

fn variable_name(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}
