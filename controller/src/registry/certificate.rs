//! Certificate requests: who asks is stamped on them, and what is asked must be readable and signed.
//!
//! Source: k8s.io/kubernetes `pkg/registry/certificates`, `plugin/pkg/admission/certificates/subjectrestriction`.

use super::{Subresource, strategy::clear};
use crate::{
    auth::{MASTERS, UserInfo, node},
    pki::{NODE_USER_PREFIX, NODES, Request, SIGNER, Signer},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coracle_api::{KindRef, StatusError, kind, status::Cause, time, validate};
use jiff::Timestamp;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A longer request is refused before it is read: one with a key of 16384 bits has under five thousand.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
const TRANSITION: &str = "lastTransitionTime";

/// Writes on a new request who asks, whatever they sent.
pub(super) fn stamp(user: &UserInfo, value: &mut Value) {
    if !value["spec"].is_object() {
        value["spec"] = json!({});
    }
    let spec = &mut value["spec"];
    for field in ["username", "uid", "groups", "extra"] {
        clear(spec, field);
    }
    spec["username"] = json!(user.name);
    spec["groups"] = json!(user.groups);
    if !user.uid.is_empty() {
        spec["uid"] = json!(user.uid);
    }
    if !user.extra.is_empty() {
        spec["extra"] = json!(user.extra);
    }
}

/// What is wrong with the request itself.
pub(super) fn problems(value: &Value) -> Vec<Cause> {
    let spec = &value["spec"];
    let Err(problem) = read(spec) else {
        return Vec::new();
    };
    vec![Cause::invalid("spec.request", &spec["request"], &problem)]
}

/// Refuses names that a signer of ours never vouches for.
pub(super) fn restrict_subject(value: &Value) -> Result<(), StatusError> {
    let spec = &value["spec"];
    if spec["signerName"] != SIGNER {
        return Ok(());
    }
    let Ok(request) = read(spec) else {
        return Ok(());
    };
    // Nodes have signers of their own, which look at more than this one.
    for group in [MASTERS, NODES] {
        if request.organizations().iter().any(|one| one == group) {
            let name = value["metadata"]["name"].as_str().unwrap_or_default();
            let why = format!("use of {SIGNER} signer with {group} group is not allowed");
            return Err(StatusError::forbidden(
                kind::CERTIFICATE_SIGNING_REQUEST,
                name,
                &why,
            ));
        }
    }
    Ok(())
}

/// Why a node may not ask for this certificate: it would be another node.
pub(super) fn restrict_node(user: &UserInfo, value: &Value) -> Result<(), String> {
    let Some(node) = node::name_of(user) else {
        return Ok(());
    };
    let spec = &value["spec"];
    let signer = Signer::find(spec["signerName"].as_str().unwrap_or_default());
    if !matches!(signer, Some(Signer::KubeletClient | Signer::KubeletServing)) {
        return Ok(());
    }
    let request = read(spec).map_err(|why| format!("unable to parse csr: {why}"))?;
    let name = format!("{NODE_USER_PREFIX}{node}");
    if request.subject().common_name == name {
        return Ok(());
    }
    Err(format!("can only create a node CSR with CN={name}"))
}

fn read(spec: &Value) -> Result<Request, String> {
    let encoded = spec["request"].as_str().unwrap_or_default();
    if encoded.len() > REQUEST_BYTES_MAX {
        return Err(format!("may not be more than {REQUEST_BYTES_MAX} bytes"));
    }
    let pem = STANDARD
        .decode(encoded)
        .map_err(|_rejected| "is not base64".to_owned())?;
    Request::from_pem(&pem).map_err(|error| error.to_string())
}

/// Fills in the times that new conditions of a request lack: a condition that was so before keeps when it became so.
pub(super) fn tell_times(
    (of, part): (KindRef, Subresource),
    new: &mut Value,
    old: &Value,
    now: Timestamp,
) {
    if of != kind::CERTIFICATE_SIGNING_REQUEST || part == Subresource::None {
        return;
    }
    let known = old["status"]["conditions"].as_array();
    let known: Vec<&Value> = known.into_iter().flatten().collect();
    let untouched: HashSet<&Value> = known.iter().copied().collect();
    let mut since: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    for condition in &known {
        if is_told(condition, TRANSITION) {
            since
                .entry(state(condition))
                .or_insert(&condition[TRANSITION]);
        }
    }
    let now = json!(time(now));
    let conditions = new
        .get_mut("status")
        .and_then(|status| status.get_mut("conditions")?.as_array_mut());
    for condition in conditions.into_iter().flatten() {
        // One of before its times were filled in; who writes the status may not change it.
        if !condition.is_object() || untouched.contains(condition) {
            continue;
        }
        if !is_told(condition, "lastUpdateTime") {
            condition["lastUpdateTime"] = now.clone();
        }
        if !is_told(condition, TRANSITION) {
            let before = since.get(&state(condition)).copied();
            condition[TRANSITION] = before.unwrap_or(&now).clone();
        }
    }
}

fn is_told(condition: &Value, field: &str) -> bool {
    !matches!(condition[field].as_str(), None | Some(""))
}

/// What a condition says, and of what.
fn state(condition: &Value) -> (&str, &str) {
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    (text("type"), text("status"))
}

/// What is wrong with how the conditions and the certificate changed.
pub(super) fn changed(part: Subresource, new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = validate::certificate_conditions(new, old, part == Subresource::Approval);
    let certificate = |of: &Value| {
        let encoded = of["status"]["certificate"].as_str();
        encoded.unwrap_or_default().to_owned()
    };
    let (new, old) = (certificate(new), certificate(old));
    let field = "status.certificate";
    if new == old {
        return causes;
    }
    if !old.is_empty() {
        let why = "updates may not modify existing certificate content";
        causes.push(Cause::forbidden(field, why));
    }
    if let Err(why) = check_certificates(&new) {
        causes.push(Cause::invalid(field, &json!("<certificate data>"), why));
    }
    causes
}

/// What is issued is certificates and nothing else.
fn check_certificates(encoded: &str) -> Result<(), &'static str> {
    if encoded.is_empty() {
        return Ok(());
    }
    let pem = STANDARD
        .decode(encoded)
        .map_err(|_rejected| "is not base64")?;
    let mut found = 0;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&pem) {
        match section {
            Ok((SectionKind::Certificate, der)) => {
                X509Certificate::from_der(&der)
                    .map_err(|_malformed| "x509: malformed certificate")?;
                found += 1;
            }
            Ok(_) => return Err("only CERTIFICATE PEM blocks are allowed"),
            Err(_) => break,
        }
    }
    if found == 0 {
        return Err("must contain one or more CERTIFICATE PEM blocks");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{KUBELET_CLIENT_SIGNER, KUBELET_SERVING_SIGNER, test_request};

    #[test]
    fn a_node_asks_for_itself() {
        let node = UserInfo::new("system:node:a", [NODES.to_owned()]);
        let ann = UserInfo::new("ann", []);
        let other = "can only create a node CSR with CN=system:node:a";
        for (user, signer, asked, expected) in [
            (&node, KUBELET_CLIENT_SIGNER, "system:node:a", None),
            (&node, KUBELET_CLIENT_SIGNER, "system:node:b", Some(other)),
            (&node, KUBELET_SERVING_SIGNER, "system:node:b", Some(other)),
            (&node, KUBELET_SERVING_SIGNER, "b", Some(other)),
            (&node, SIGNER, "b", None),
            (&ann, KUBELET_CLIENT_SIGNER, "system:node:b", None),
        ] {
            let request = STANDARD.encode(test_request(asked, &[NODES]));
            let value = json!({"spec": {"signerName": signer, "request": request}});
            let refused = restrict_node(user, &value).err();
            assert_eq!(refused.as_deref(), expected, "{} {asked}", user.name);
        }
    }

    #[test]
    fn conditions_get_the_times_they_lack() {
        let now: Timestamp = "2030-01-02T03:04:05Z".parse().unwrap();
        let (now_text, before) = ("2030-01-02T03:04:05Z", "2029-01-01T00:00:00Z");
        let condition = |state: (&str, &str), update: Value, transition: Value| {
            json!({"type": state.0, "status": state.1,
                   "lastUpdateTime": update, "lastTransitionTime": transition})
        };
        let (approved, failed) = (("Approved", "True"), ("Failed", "False"));
        let nulls = |state| condition(state, Value::Null, Value::Null);
        for (old, new, told) in [
            (
                json!([]),
                json!([nulls(approved)]),
                json!([condition(approved, json!(now_text), json!(now_text))]),
            ),
            (
                json!([
                    condition(failed, json!(before), json!(before)),
                    nulls(approved)
                ]),
                json!([nulls(("Failed", "True")), nulls(failed), nulls(approved)]),
                json!([
                    condition(("Failed", "True"), json!(now_text), json!(now_text)),
                    condition(failed, json!(now_text), json!(before)),
                    // Not written anew.
                    nulls(approved),
                ]),
            ),
            (
                json!([]),
                json!([condition(failed, json!(before), json!(before))]),
                json!([condition(failed, json!(before), json!(before))]),
            ),
        ] {
            let old = json!({"status": {"conditions": old}});
            let mut new = json!({"status": {"conditions": new}});
            let place = (kind::CERTIFICATE_SIGNING_REQUEST, Subresource::Approval);
            tell_times(place, &mut new, &old, now);
            assert_eq!(new["status"]["conditions"], told);
        }
    }
}
