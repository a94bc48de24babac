//! Certificate requests: signs those that are approved and of a signer of ours, and removes what nobody waits for.
//!
//! Source: k8s.io/kubernetes `pkg/controller/certificates/signer`, `pkg/controller/certificates/cleaner`.

use crate::{
    cache::Change,
    object::Object,
    pki::{Pki, Request, Signer},
    reconcile::{Next, Reconciler},
    registry::{Context, DeleteOptions, Registry, Subresource},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coracle_api::{
    Key, KindRef, StatusError, k8s_openapi::api::certificates::v1::CertificateSigningRequest, kind,
    time,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// A request that was answered is kept this long, and one that was not, for a day; as upstream.
const ANSWERED_LIFE: SignedDuration = SignedDuration::from_hours(1);
const PENDING_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// The reconciler; its keys are requests.
#[derive(Debug)]
pub(super) struct CertificateSigner {
    pub(super) registry: Registry,
    pub(super) pki: Arc<Pki>,
}

/// What to do with a request now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Sign(Signer),
    /// It is kept until then.
    Wait(Timestamp),
    Remove,
}

fn plan(request: &CertificateSigningRequest, now: Timestamp) -> Action {
    let status = request.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref());
    let find = |kind: &str| {
        let mut all = conditions.unwrap_or_default().iter();
        all.find(|one| one.type_ == kind && one.status == "True")
    };
    let issued = status.is_some_and(|status| status.certificate.is_some());
    let failed = find("Failed");
    let answered = find("Denied").or(failed).or_else(|| find("Approved"));
    let approved = find("Approved").is_some() && find("Denied").is_none();
    if approved
        && failed.is_none()
        && !issued
        && let Some(signer) = Signer::find(&request.spec.signer_name)
    {
        return Action::Sign(signer);
    }
    let created = request.metadata.creation_timestamp.as_ref();
    let created = created.map_or(now, |time| time.0);
    let until = match answered {
        Some(condition) => {
            let since = condition.last_update_time.as_ref();
            let since = since.map_or(created, |time| time.0);
            since.saturating_add(ANSWERED_LIFE)
        }
        None => created.saturating_add(PENDING_LIFE),
    };
    match until {
        Ok(until) if until > now => Action::Wait(until),
        _ => Action::Remove,
    }
}

impl Reconciler for CertificateSigner {
    const NAME: &'static str = "certificate-signer";
    type Key = Key;

    fn watches(&self) -> Vec<KindRef> {
        vec![kind::CERTIFICATE_SIGNING_REQUEST]
    }

    fn keys(&self, change: &Change) -> Vec<Key> {
        vec![change.object.key.clone()]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, StatusError> {
        let of = kind::CERTIFICATE_SIGNING_REQUEST;
        let Some(object) = self.registry.cache().get(of, key) else {
            return Ok(Next::AwaitChange);
        };
        let request = object.typed::<CertificateSigningRequest>()?;
        let now = self.registry.clock().now();
        match plan(&request, now) {
            Action::Sign(signer) => {
                self.answer(&object, &request, signer).await?;
                Ok(Next::AwaitChange)
            }
            Action::Wait(until) => {
                let wait = until.duration_since(now).unsigned_abs();
                Ok(Next::After(wait))
            }
            Action::Remove => {
                let options = DeleteOptions {
                    uid: Some(object.uid().to_owned()),
                    ..DeleteOptions::default()
                };
                let context = Context::system("csr-cleaner");
                self.registry.delete(&context, of, key, options).await?;
                Ok(Next::AwaitChange)
            }
        }
    }
}

impl CertificateSigner {
    /// Writes the certificate, or why there is none.
    async fn answer(
        &self,
        object: &Object,
        request: &CertificateSigningRequest,
        signer: Signer,
    ) -> Result<(), StatusError> {
        let spec = &request.spec;
        let usages = spec.usages.as_deref().unwrap_or_default();
        let signed = match check(signer, &spec.request.0, usages) {
            Err(why) => Err(why),
            Ok(asked) => {
                let signed = self
                    .pki
                    .sign_request(signer, &asked, spec.expiration_seconds, usages);
                // Not the fault of who asks: it is tried again.
                Ok(signed.map_err(|error| StatusError::internal(error.to_string()))?)
            }
        };
        let now = time(self.registry.clock().now());
        let uid = object.uid();
        let write = |value: &mut Value| {
            if value["metadata"]["uid"] != uid {
                return Ok(());
            }
            match &signed {
                Ok(pem) => value["status"]["certificate"] = json!(STANDARD.encode(pem)),
                Err(why) => {
                    let failed = json!({"type": "Failed", "status": "True", "reason": "SignerValidationFailure",
                        "message": why, "lastUpdateTime": now, "lastTransitionTime": now});
                    if let Some(conditions) = value["status"]["conditions"].as_array_mut() {
                        conditions.push(failed);
                    }
                }
            }
            Ok(())
        };
        let context = Context::system("certificate-controller");
        let part = Subresource::Status;
        self.registry
            .modify(&context, object.kind, &object.key, part, write)
            .await
            .map(|_object| ())
    }
}

/// The request, if its signer signs it.
fn check(signer: Signer, pem: &[u8], usages: &[String]) -> Result<Request, String> {
    let asked = Request::from_pem(pem).map_err(|error| error.to_string())?;
    signer.check(&asked.subject(), usages)?;
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{KUBELET_CLIENT_SIGNER, KUBELET_SERVING_SIGNER, SIGNER};

    #[test]
    fn what_becomes_of_a_request() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let made = "2026-03-01T00:00:00Z";
        let check = |conditions: &[&str],
                     signer: &str,
                     certificate: bool,
                     hours: i64,
                     expected: &str| {
            let conditions: Vec<Value> = conditions
                .iter()
                .map(|kind| json!({"type": kind, "status": "True", "lastUpdateTime": "2026-03-01T01:00:00Z"}))
                .collect();
            let mut value = json!({"metadata": {"name": "a", "creationTimestamp": made},
                "spec": {"request": "", "signerName": signer, "usages": []}, "status": {"conditions": conditions}});
            if certificate {
                value["status"]["certificate"] = json!("eA==");
            }
            let request: CertificateSigningRequest = serde_json::from_value(value).unwrap();
            let now = at(made)
                .saturating_add(SignedDuration::from_hours(hours))
                .unwrap();
            let expected = match expected {
                "sign" => Action::Sign(Signer::find(signer).unwrap()),
                "remove" => Action::Remove,
                time => Action::Wait(at(time)),
            };
            assert_eq!(plan(&request, now), expected, "{conditions:?} {signer}");
        };
        check(&[], SIGNER, false, 0, "2026-03-02T00:00:00Z");
        check(&[], SIGNER, false, 24, "remove");
        check(&["Approved"], SIGNER, false, 1, "sign");
        check(&["Approved"], KUBELET_CLIENT_SIGNER, false, 1, "sign");
        check(&["Approved"], KUBELET_SERVING_SIGNER, false, 1, "sign");
        check(&["Approved"], SIGNER, true, 1, "2026-03-01T02:00:00Z");
        check(&["Approved"], SIGNER, true, 2, "remove");
        check(
            &["Approved", "Failed"],
            SIGNER,
            false,
            1,
            "2026-03-01T02:00:00Z",
        );
        check(&["Denied"], SIGNER, false, 1, "2026-03-01T02:00:00Z");
        check(
            &["Approved", "Denied"],
            SIGNER,
            false,
            1,
            "2026-03-01T02:00:00Z",
        );
        check(
            &["Approved"],
            "example.com/own",
            false,
            1,
            "2026-03-01T02:00:00Z",
        );
        check(&["Other"], SIGNER, false, 1, "2026-03-02T00:00:00Z");
    }
}
