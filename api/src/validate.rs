//! Validation in upstream's words: causes with field paths, collected, never just the first.
//!
//! Source: k8s.io/kubernetes `pkg/apis/*/validation`, k8s.io/apimachinery `pkg/api/validation`.

mod certificate;
mod config;
mod meta;
mod pod;
mod rights;
mod workload;

use crate::{KindRef, kind, status::Cause};
use serde_json::Value;

pub use certificate::conditions as certificate_conditions;
pub use meta::{is_dns_label, is_dns_subdomain, is_label_value, is_qualified_name};

/// What is wrong with a new object.
#[must_use]
pub fn create(kind: KindRef, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    meta::validate(kind, object, &mut causes);
    spec(kind, object, &mut causes);
    causes
}

/// What is wrong with `new` as the successor of `old`.
#[must_use]
pub fn update(kind: KindRef, new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    meta::validate(kind, new, &mut causes);
    meta::unchanged(new, old, &mut causes);
    spec(kind, new, &mut causes);
    match (kind.group, kind.kind) {
        ("apps", _) => workload::unchanged_selector(new, old, &mut causes),
        ("", "Pod") => pod::unchanged(new, old, &mut causes),
        ("", "Service") => workload::unchanged_service(new, old, &mut causes),
        ("", "ConfigMap") => workload::unchanged_if_immutable(new, old, &mut causes),
        ("", "Secret") => {
            config::unchanged_type(new, old, &mut causes);
            workload::unchanged_if_immutable(new, old, &mut causes);
        }
        (kind::RBAC, "RoleBinding" | "ClusterRoleBinding") => {
            rights::unchanged_role(new, old, &mut causes);
        }
        _ => {}
    }
    causes
}

fn spec(kind: KindRef, object: &Value, causes: &mut Vec<Cause>) {
    match (kind.group, kind.kind) {
        ("", "Pod") => pod::spec(&object["spec"], "spec", causes),
        ("apps", "Deployment") => workload::deployment(&object["spec"], causes),
        ("apps", "ReplicaSet") => workload::replica_set(&object["spec"], causes),
        ("", "Service") => workload::service(&object["spec"], causes),
        ("", "ConfigMap") => {
            workload::data_keys(object, &["data", "binaryData"], causes);
            config::config_map(object, causes);
        }
        ("", "Secret") => {
            workload::data_keys(object, &["data", "stringData"], causes);
            config::secret(object, causes);
        }
        (kind::RBAC, "Role" | "ClusterRole") => rights::role(kind, object, causes),
        (kind::RBAC, _) => rights::binding(kind, object, causes),
        ("certificates.k8s.io", _) => certificate::request(&object["spec"], causes),
        _ => {}
    }
}

/// The elements of a list with their paths; nothing where there is no list.
fn elements<'a>(of: &'a Value, name: &str, path: &str) -> Vec<(String, &'a Value)> {
    let list = of.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .enumerate()
        .map(|(index, value)| (format!("{path}.{name}[{index}]"), value))
        .collect()
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}
