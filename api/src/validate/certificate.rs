//! Certificate requests: what is asked of whom, and how conditions may change.
//!
//! The request itself (PKCS #10) is looked at by who keeps a CA, not here.
//! Source: k8s.io/kubernetes `pkg/apis/certificates/validation`.

use super::{is_dns_subdomain, text};
use crate::status::Cause;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A certificate lives at least this long.
const SECONDS_MIN: i64 = 600;
/// Longest name of a signer: two subdomains and a slash.
const SIGNER_BYTES_MAX: usize = 571;
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

pub(super) fn request(spec: &Value, causes: &mut Vec<Cause>) {
    let usages = spec["usages"].as_array().map_or(&[][..], Vec::as_slice);
    if usages.is_empty() {
        causes.push(Cause::required("spec.usages", ""));
    }
    for (index, usage) in usages.iter().enumerate() {
        let path = format!("spec.usages[{index}]");
        if usages[..index].contains(usage) {
            causes.push(Cause::duplicate(path, usage));
        } else if !usage.as_str().is_some_and(|usage| USAGES.contains(&usage)) {
            causes.push(Cause::unsupported(path, usage, &USAGES));
        }
    }
    signer(text(spec, "signerName"), causes);
    if let Some(seconds) = spec["expirationSeconds"].as_i64()
        && seconds < SECONDS_MIN
    {
        causes.push(Cause::invalid(
            "spec.expirationSeconds",
            &json!(seconds),
            "may not specify a duration less than 600 seconds (10 minutes)",
        ));
    }
}

fn signer(name: &str, causes: &mut Vec<Cause>) {
    const FIELD: &str = "spec.signerName";
    if name.is_empty() {
        causes.push(Cause::required(FIELD, ""));
        return;
    }
    let detail = match name.split_once('/') {
        _ if name == "kubernetes.io/legacy-unknown" => {
            "the legacy signerName is not allowed via this API version"
        }
        Some((domain, path)) if !path.is_empty() && !path.contains('/') => {
            if !domain.contains('.') {
                "should be a domain with at least two segments separated by dots"
            } else if is_dns_subdomain(domain)
                && path.split('.').all(is_dns_subdomain)
                && name.len() <= SIGNER_BYTES_MAX
            {
                return;
            } else {
                super::meta::SUBDOMAIN_MESSAGE
            }
        }
        _ => "must be a fully qualified domain and path of the form 'example.com/signer-name'",
    };
    causes.push(Cause::invalid(FIELD, &json!(name), detail));
}

/// What is wrong with how the conditions changed; `approves` is true on the subresource that may approve.
#[must_use]
pub fn conditions(new: &Value, old: &Value, approves: bool) -> Vec<Cause> {
    const FIELD: &str = "status.conditions";
    let mut causes = Vec::new();
    let list = |of: &Value| {
        of["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let (new, old) = (list(new), list(old));
    let has = |list: &[Value], kind: &str| list.iter().any(|one| one["type"] == kind);
    let mut seen = BTreeSet::new();
    for (index, one) in new.iter().enumerate() {
        let path = |field: &str| format!("{FIELD}[{index}].{field}");
        let kind = text(one, "type");
        if kind.is_empty() {
            causes.push(Cause::required(path("type"), ""));
        }
        if !seen.insert(kind) {
            causes.push(Cause::duplicate(path("type"), &json!(kind)));
        }
        match text(one, "status") {
            "" => causes.push(Cause::required(path("status"), "")),
            "True" => {}
            other if matches!(kind, "Approved" | "Denied" | "Failed") => {
                causes.push(Cause::unsupported(path("status"), &json!(other), &["True"]));
            }
            "False" | "Unknown" => {}
            other => causes.push(Cause::unsupported(
                path("status"),
                &json!(other),
                &["False", "True", "Unknown"],
            )),
        }
    }
    if has(&new, "Approved") && has(&new, "Denied") {
        causes.push(Cause::invalid(
            FIELD,
            &json!("Denied"),
            "Approved and Denied conditions are mutually exclusive",
        ));
    }
    for kind in ["Approved", "Denied", "Failed"] {
        if has(&old, kind) && !has(&new, kind) {
            let detail = format!("updates may not remove a condition of type {kind:?}");
            causes.push(Cause::forbidden(FIELD, &detail));
        }
        if kind != "Failed" && !approves && has(&new, kind) && !has(&old, kind) {
            let detail = format!("updates may not add a condition of type {kind:?}");
            causes.push(Cause::forbidden(FIELD, &detail));
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let fields = |spec: Value| {
            let mut causes = Vec::new();
            request(&spec, &mut causes);
            causes
                .iter()
                .map(|cause| cause.field.clone())
                .collect::<Vec<_>>()
        };
        let good = json!({"usages": ["client auth"], "signerName": "kubernetes.io/kube-apiserver-client", "expirationSeconds": 600});
        assert!(fields(good.clone()).is_empty());
        for (field, value, wrong) in [
            ("usages", json!([]), "spec.usages"),
            ("usages", json!(["any", "any"]), "spec.usages[1]"),
            ("usages", json!(["everything"]), "spec.usages[0]"),
            ("signerName", json!(""), "spec.signerName"),
            ("signerName", json!("a"), "spec.signerName"),
            ("signerName", json!("a/b"), "spec.signerName"),
            ("signerName", json!("a.b/c/d"), "spec.signerName"),
            ("signerName", json!("a.b/C"), "spec.signerName"),
            (
                "signerName",
                json!("kubernetes.io/legacy-unknown"),
                "spec.signerName",
            ),
            ("expirationSeconds", json!(599), "spec.expirationSeconds"),
        ] {
            let mut spec = good.clone();
            spec[field] = value;
            assert_eq!(fields(spec.clone()), [wrong], "{spec}");
        }
    }

    #[test]
    fn conditions_are_added_by_who_may_and_never_go() {
        let with = |kinds: &[&str]| {
            let conditions: Vec<Value> = kinds
                .iter()
                .map(|kind| json!({"type": kind, "status": "True"}))
                .collect();
            json!({"status": {"conditions": conditions}})
        };
        for (old, new, approves, good) in [
            (&[][..], &["Approved"][..], true, true),
            (&[], &["Approved"], false, false),
            (&["Approved"], &["Approved", "Failed"], false, true),
            (&["Approved"], &[], true, false),
            (&["Approved"], &["Approved", "Denied"], true, false),
            (&["Failed"], &[], false, false),
            (&[], &["Other"], false, true),
        ] {
            let causes = conditions(&with(new), &with(old), approves);
            assert_eq!(causes.is_empty(), good, "{old:?} {new:?}: {causes:?}");
        }
        let unsure = json!({"status": {"conditions": [{"type": "Approved", "status": "False"}]}});
        assert_eq!(conditions(&unsure, &json!({}), true).len(), 1);
    }
}
