//! Devices that a pod claims.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `validatePodResourceClaims`.

use crate::{
    go,
    status::Cause,
    validate::{elements, is_dns_label, is_dns_subdomain, meta, rules, text},
};
use serde_json::{Value, json};
use std::collections::HashSet;

/// `pod` is the name of the pod, where it is one.
pub(super) fn check(spec: &Value, pod: Option<&str>, path: &str, causes: &mut Vec<Cause>) {
    let mut names = HashSet::new();
    for (path, claim) in elements(spec, "resourceClaims", path) {
        let (name, at) = (text(claim, "name"), format!("{path}.name"));
        let is_made = !claim["resourceClaimTemplateName"].is_null();
        if name.is_empty() {
            causes.push(Cause::required(at, ""));
        } else if !names.insert(name) {
            causes.push(Cause::duplicate(at, &json!(name)));
        } else if !is_dns_label(name) {
            rules::label(name, at, causes);
        } else if let Some(made) = pod.filter(|_| is_made).map(|pod| format!("{pod}-{name}"))
            && !is_dns_subdomain(&made)
        {
            let detail = format!("final ResourceClaim name: {}", meta::SUBDOMAIN_MESSAGE);
            causes.push(Cause::invalid(at, &json!(made), &detail));
        }
        source(claim, &path, causes);
    }
}

/// One that is there, or one that is made.
fn source(claim: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (there, made) = (
        &claim["resourceClaimName"],
        &claim["resourceClaimTemplateName"],
    );
    let detail = match (there.is_null(), made.is_null()) {
        (false, false) => {
            "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
        }
        (true, true) => "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
        _ => "",
    };
    if !detail.is_empty() {
        let name = json!(text(claim, "name"));
        let shown = go::structure(&[
            ("Name", &name),
            ("ResourceClaimName", there),
            ("ResourceClaimTemplateName", made),
        ]);
        causes.push(Cause::invalid_shown(path, &shown, detail));
    }
    for field in ["resourceClaimName", "resourceClaimTemplateName"] {
        if let Some(name) = claim[field].as_str() {
            rules::subdomain(name, format!("{path}.{field}"), causes);
        }
    }
}
