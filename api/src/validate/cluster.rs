//! Nodes, Namespaces and Leases.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation` (`ValidateNode`, `ValidateNodeUpdate`,
//! `ValidateNamespace`) and `pkg/apis/coordination/validation`.

use super::{
    elements, is_dns_label, is_dns_subdomain, is_label_value, is_qualified_name, meta, quota,
    rules, text,
};
use crate::{go, status::Cause};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// Taints as a node once had them.
const TAINTS_ANNOTATION: &str = "scheduler.alpha.kubernetes.io/taints";
/// Deeper than this nothing is read.
const ANNOTATION_DEPTH_MAX: usize = 32;

pub(super) fn node(object: &Value, causes: &mut Vec<Cause>) {
    annotated_taints(&object["metadata"]["annotations"], causes);
    // Upstream's path, although they are in the spec.
    taints(elements(&object["spec"], "taints", "metadata"), causes);
    resources(&object["status"], causes);
    address_ranges(&object["spec"], causes);
}

fn annotated_taints(annotations: &Value, causes: &mut Vec<Cause>) {
    let (written, path) = (text(annotations, TAINTS_ANNOTATION), "metadata.annotations");
    if written.is_empty() {
        return;
    }
    let refused = go::syntax_error(written.as_bytes(), ANNOTATION_DEPTH_MAX);
    match (refused, serde_json::from_str::<Value>(written)) {
        (None, Ok(list)) => {
            let of = json!({TAINTS_ANNOTATION: list});
            taints(elements(&of, TAINTS_ANNOTATION, path), causes);
        }
        (why, _) => {
            let why = why.unwrap_or_else(|| "cannot be read".to_owned());
            causes.push(Cause::invalid(path, &json!(TAINTS_ANNOTATION), &why));
        }
    }
}

/// The taints of a spec, or of the annotation.
fn taints(list: Vec<(String, &Value)>, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for (path, taint) in list {
        let (key, effect) = (text(taint, "key"), text(taint, "effect"));
        if !is_qualified_name(key) {
            let path = format!("{path}.key");
            causes.push(Cause::invalid(path, &json!(key), meta::QUALIFIED_MESSAGE));
        }
        if !is_label_value(text(taint, "value")) {
            let path = format!("{path}.value");
            causes.push(Cause::invalid(path, &taint["value"], meta::VALUE_MESSAGE));
        }
        if effect.is_empty() {
            causes.push(Cause::required(format!("{path}.effect"), ""));
        }
        rules::one_of(taint, "effect", &EFFECTS, &path, causes);
        if !seen.insert((key, effect)) {
            let mut duplicate = Cause::duplicate(path, taint);
            duplicate
                .message
                .push_str(": taints must be unique by key and effect pair");
            causes.push(duplicate);
        }
    }
}

/// What a node has.
fn resources(status: &Value, causes: &mut Vec<Cause>) {
    for list in ["capacity", "allocatable"] {
        for (name, amount) in status[list].as_object().into_iter().flatten() {
            quota::amount(name, amount, &format!("status.{list}.{name}"), causes);
        }
    }
}

/// At most one of each family, each once.
fn address_ranges(spec: &Value, causes: &mut Vec<Cause>) {
    let all = elements(spec, "podCIDRs", "spec");
    let ranges: Vec<_> = all
        .iter()
        .filter_map(|(path, range)| {
            let range = range.as_str().unwrap_or_default();
            rules::cidr(range, path.clone(), causes)
        })
        .collect();
    if all.len() < 2 {
        return;
    }
    let of_v4 = ranges.iter().filter(|(first, _)| first.is_ipv4()).count();
    if all.len() > 2 || of_v4 == 0 || of_v4 == ranges.len() {
        let detail = "may specify no more than one CIDR for each IP family";
        let value = &spec["podCIDRs"];
        causes.push(Cause::invalid("spec.podCIDRs", value, detail));
    }
    let mut seen = HashSet::new();
    for (path, range) in all {
        if !seen.insert(range) {
            causes.push(Cause::duplicate(path, range));
        }
    }
}

/// What may not change of a node, its status included.
pub(super) fn node_changed(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    resources(&new["status"], causes);
    let mut seen = HashSet::new();
    for (path, address) in elements(&new["status"], "addresses", "status") {
        if !seen.insert(address) {
            causes.push(Cause::duplicate(path, address));
        }
    }
    let (spec, was) = (&new["spec"], &old["spec"]);
    if !rules::is_absent(&was["podCIDRs"]) && spec["podCIDRs"] != was["podCIDRs"] {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        causes.push(Cause::forbidden("spec.podCIDRs", detail));
    }
    let (id, before) = (text(spec, "providerID"), text(was, "providerID"));
    if !before.is_empty() && id != before {
        let detail = "node updates may not change providerID except from \"\" to valid";
        causes.push(Cause::forbidden("spec.providerID", detail));
    }
    config_source(&spec["configSource"], "spec.configSource", false, causes);
    for name in ["assigned", "active", "lastKnownGood"] {
        let (source, path) = (
            &new["status"]["config"][name],
            format!("status.config.{name}"),
        );
        config_source(source, &path, true, causes);
    }
    if text(spec, "externalID") != text(was, "externalID") {
        causes.push(Cause::forbidden("spec.externalID", "may not be updated"));
    }
}

/// Where a kubelet once read its configuration; a status says which version of it.
fn config_source(source: &Value, path: &str, of_status: bool, causes: &mut Vec<Cause>) {
    if source.is_null() {
        return;
    }
    let (map, field) = (&source["configMap"], format!("{path}.configMap"));
    if map.is_null() {
        let detail = "exactly one reference subfield must be non-nil";
        causes.push(Cause::invalid(path, source, detail));
        return;
    }
    for name in ["uid", "resourceVersion"] {
        let (is_there, path) = (!text(map, name).is_empty(), format!("{field}.{name}"));
        match (is_there, of_status) {
            (false, true) => {
                let detail = format!("{name} must be set in status");
                causes.push(Cause::required(path, &detail));
            }
            (true, false) => {
                let detail = format!("{name} must not be set in spec");
                causes.push(Cause::forbidden(path, &detail));
            }
            _ => {}
        }
    }
    for name in ["namespace", "name", "kubeletConfigKey"] {
        let (value, path) = (text(map, name), format!("{field}.{name}"));
        if value.is_empty() {
            let detail = format!("{name} must be set");
            causes.push(Cause::required(path, &detail));
        } else if name == "kubeletConfigKey" {
            rules::config_key(value, &path, causes);
        } else if name == "namespace" && !is_dns_label(value) {
            causes.push(Cause::invalid(path, &json!(value), meta::LABEL_MESSAGE));
        } else if name == "name" && !is_dns_subdomain(value) {
            causes.push(Cause::invalid(path, &json!(value), meta::SUBDOMAIN_MESSAGE));
        }
    }
}

pub(super) fn lease(spec: &Value, causes: &mut Vec<Cause>) {
    if let Some(seconds) = spec["leaseDurationSeconds"].as_i64()
        && seconds <= 0
    {
        let detail = "must be greater than 0";
        causes.push(Cause::invalid(
            "spec.leaseDurationSeconds",
            &json!(seconds),
            detail,
        ));
    }
    rules::not_negative(spec, &["leaseTransitions"], "spec", causes);
}
