//! Validation in upstream's words: causes with field paths, collected, never just the first.
//!
//! Source: k8s.io/kubernetes `pkg/apis/*/validation`, k8s.io/apimachinery `pkg/api/validation`.

mod access;
mod apps;
mod autoscaler;
mod batch;
mod certificate;
mod cluster;
mod config;
mod cron;
mod endpoints;
mod event;
mod meta;
mod network;
mod persistent;
mod pod;
mod policy;
mod quota;
mod resource_field;
mod rights;
mod rules;
mod service;
mod status;
mod storage;
mod volume;
mod workload;

use crate::{KindRef, kind, status::Cause};
use serde_json::Value;

pub use access::access_selectors;
pub use certificate::conditions as certificate_conditions;
pub(crate) use meta::{DNS_1035_MESSAGE, LABEL_MESSAGE, SUBDOMAIN_MESSAGE};
pub use meta::{
    is_dns_label, is_dns_subdomain, is_label_value, is_qualified_name, label_value_problems,
    qualified_name_problems,
};
pub use status::may_run_again;

/// What is wrong with a new object in its stored form, of the kind that was asked for.
#[must_use]
pub fn create(kind: KindRef, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    meta::validate(kind, object, None, &mut causes);
    // What is in a custom kind's object is for its definition to say.
    if !kind.is_custom() {
        spec(kind, object, None, &mut causes);
    }
    causes
}

/// What is wrong with `new` as the successor of `old`.
#[must_use]
pub fn update(kind: KindRef, new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    meta::validate(kind, new, Some(old), &mut causes);
    meta::unchanged(new, old, &mut causes);
    if kind.is_custom() {
        return causes;
    }
    spec(kind, new, Some(old), &mut causes);
    changed(kind, new, old, &mut causes);
    causes
}

/// What is wrong with what holds a namespace, as it is written by itself.
#[must_use]
pub fn finalize(kind: KindRef, new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = metadata(kind, new, old);
    if kind == kind::NAMESPACE {
        meta::namespace_finalizers(new, Some(old), &mut causes);
    }
    causes
}

/// What is wrong with the metadata of a part that is written; nothing where they stay, whatever an older version took.
#[must_use]
pub fn metadata(kind: KindRef, new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if new["metadata"] != old["metadata"] {
        meta::validate(kind, new, Some(old), &mut causes);
        meta::unchanged(new, old, &mut causes);
    }
    causes
}

/// What is wrong with a status that becomes another.
#[must_use]
pub fn status(kind: KindRef, new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = metadata(kind, new, old);
    if !kind.is_custom() {
        status::check(kind, new, old, &mut causes);
    }
    causes
}

/// What may not change.
fn changed(kind: KindRef, new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    match (kind.group, kind.kind) {
        ("apps", "StatefulSet") => apps::stateful_set_changed(new, old, causes),
        ("apps", "ControllerRevision") => rules::unchanged(new, old, "data", causes),
        ("apps", _) => workload::unchanged_selector(new, old, causes),
        ("batch", "Job") => batch::job_changed(new, old, causes),
        ("", "Pod") => pod::unchanged(new, old, causes),
        ("", "Node") => cluster::node_changed(new, old, causes),
        ("", "ConfigMap") => workload::unchanged_if_immutable(new, old, causes),
        ("", "Secret") => {
            config::unchanged_type(new, old, causes);
            workload::unchanged_if_immutable(new, old, causes);
        }
        (kind::RBAC, "RoleBinding" | "ClusterRoleBinding") => {
            rights::unchanged_role(new, old, causes);
        }
        ("", "PersistentVolume") => persistent::changed(new, old, causes),
        ("", "PersistentVolumeClaim") => storage::claim_changed(new, old, causes),
        ("", "ResourceQuota") => {
            let before = &old["spec"]["scopes"];
            rules::immutable(&new["spec"]["scopes"], before, "spec.scopes", causes);
        }
        ("storage.k8s.io", _) => storage::changed(kind, new, old, causes),
        ("networking.k8s.io", _) => network::changed(kind, new, old, causes),
        ("scheduling.k8s.io", _) => policy::priority_class_changed(new, old, causes),
        ("node.k8s.io", _) => rules::unchanged(new, old, "handler", causes),
        ("discovery.k8s.io", _) => rules::unchanged(new, old, "addressType", causes),
        ("events.k8s.io", _) => event::unchanged(new, old, causes),
        _ => {}
    }
}

/// What is wrong with an object as such; of a few things what was there before is let be.
fn spec(kind: KindRef, object: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    match (kind.group, kind.kind) {
        ("", "Pod") => pod::pod(object, old, causes),
        ("apps", "Deployment") => workload::deployment(&object["spec"], causes),
        ("apps", "ReplicaSet") => workload::replica_set(&object["spec"], causes),
        ("apps", "DaemonSet") => apps::daemon_set(&object["spec"], causes),
        ("apps", "StatefulSet") => apps::stateful_set(&object["spec"], old.is_none(), causes),
        ("apps", "ControllerRevision") => apps::controller_revision(object, causes),
        ("batch", "Job") => batch::job(object, causes),
        ("batch", "CronJob") => batch::cron_job(object, old, causes),
        ("", "Service") => service::service(object, old, causes),
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
        ("", "Endpoints") => endpoints::check(object, old, causes),
        ("", "Namespace") if old.is_none() => meta::namespace_finalizers(object, None, causes),
        ("", "Node") => cluster::node(object, causes),
        ("", "Event") => event::core(object, causes),
        ("events.k8s.io", _) => event::strict(object, old, causes),
        ("coordination.k8s.io", "Lease") => cluster::lease(&object["spec"], causes),
        ("discovery.k8s.io", _) => endpoints::slice(object, old, causes),
        ("", "PersistentVolume") => persistent::volume(object, causes),
        ("", "PersistentVolumeClaim") => storage::claim(&object["spec"], "spec", causes),
        ("", "PodTemplate") => pod::template(&object["template"], "template", causes),
        ("", "ReplicationController") => apps::replication_controller(&object["spec"], causes),
        ("", "LimitRange") => quota::limit_range(&object["spec"], causes),
        ("", "ResourceQuota") => quota::resource_quota(&object["spec"], causes),
        ("autoscaling", _) => autoscaler::check(&object["spec"], causes),
        ("policy", _) => policy::budget(&object["spec"], causes),
        ("networking.k8s.io", _) => {
            network::spec(kind, object, causes);
            if old.is_none() {
                network::one_class(kind, object, causes);
            }
        }
        ("storage.k8s.io", _) => storage::spec(kind, object, old.is_none(), causes),
        ("scheduling.k8s.io", _) => policy::priority_class(object, causes),
        ("node.k8s.io", _) if old.is_none() => policy::runtime_class(object, causes),
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

#[cfg(test)]
mod tests;
