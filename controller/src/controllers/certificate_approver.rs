//! Certificate requests of nodes: approves those whose requester may have them approved.
//!
//! Nobody may by default: roles for it are there, and an administrator binds them. Source: k8s.io/kubernetes
//! `pkg/controller/certificates/approver`.

use crate::{
    auth::{Attributes, UserInfo},
    cache::Change,
    object::Object,
    pki::{Request, Signer},
    reconcile::{Next, Reconciler},
    registry::{Context, Registry, Subresource},
};
use coracle_api::{
    Key, KindRef, StatusError,
    k8s_openapi::api::certificates::v1::{
        CertificateSigningRequest, CertificateSigningRequestSpec,
    },
    kind, time,
};
use serde_json::{Value, json};
use std::time::Duration;

/// A right that is missing may be granted while the request waits.
const RETRY: Duration = Duration::from_secs(30);

/// The reconciler; its keys are requests.
#[derive(Debug)]
pub(super) struct CertificateApprover {
    pub(super) registry: Registry,
}

/// A kind of request that is approved without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Permission {
    /// Of certificatesigningrequests: who may create it is approved.
    subresource: &'static str,
    message: &'static str,
}

/// A node that renews its own.
const SELF_NODE: Permission = Permission {
    subresource: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
};
/// Anybody for a node.
const NODE: Permission = Permission {
    subresource: "nodeclient",
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
};

/// What a request may be approved by, the first that is granted; nothing for one that a person decides, or has.
fn permissions(request: &CertificateSigningRequest) -> &'static [Permission] {
    let (spec, status) = (&request.spec, request.status.as_ref());
    let conditions = status.and_then(|status| status.conditions.as_deref());
    let is_answered = conditions
        .into_iter()
        .flatten()
        .any(|one| matches!(one.type_.as_str(), "Approved" | "Denied"));
    let is_issued = status.is_some_and(|status| status.certificate.is_some());
    if is_answered || is_issued || Signer::find(&spec.signer_name) != Some(Signer::KubeletClient) {
        return &[];
    }
    let Ok(asked) = Request::from_pem(&spec.request.0) else {
        return &[];
    };
    let subject = asked.subject();
    let usages = spec.usages.as_deref().unwrap_or_default();
    if Signer::KubeletClient.check(&subject, usages).is_err() {
        return &[];
    }
    if spec.username.as_deref() == Some(&*subject.common_name) {
        &[SELF_NODE, NODE]
    } else {
        &[NODE]
    }
}

/// Who asked, as the server has written it down.
fn requester(spec: &CertificateSigningRequestSpec) -> UserInfo {
    let extra = spec.extra.clone().unwrap_or_default();
    UserInfo {
        name: spec.username.clone().unwrap_or_default(),
        uid: spec.uid.clone().unwrap_or_default(),
        groups: spec.groups.clone().unwrap_or_default(),
        extra,
    }
}

impl Reconciler for CertificateApprover {
    const NAME: &'static str = "certificate-approver";
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
        let tried = permissions(&request);
        if tried.is_empty() {
            return Ok(Next::AwaitChange);
        }
        let user = requester(&request.spec);
        let is_granted = |permission: &&Permission| {
            let asked = Attributes {
                verb: "create",
                group: of.group,
                resource: of.plural,
                subresource: permission.subresource,
                ..Attributes::default()
            };
            self.registry.authorizer().allows(&user, &asked)
        };
        let Some(granted) = tried.iter().find(is_granted) else {
            return Ok(Next::After(RETRY));
        };
        self.approve(&object, granted).await?;
        Ok(Next::AwaitChange)
    }
}

impl CertificateApprover {
    async fn approve(&self, object: &Object, by: &Permission) -> Result<(), StatusError> {
        let now = time(self.registry.clock().now());
        let approved = json!({"type": "Approved", "status": "True", "reason": "AutoApproved",
            "message": by.message, "lastUpdateTime": now, "lastTransitionTime": now});
        let write = |value: &mut Value| {
            let conditions = &mut value["status"]["conditions"];
            if conditions.is_null() {
                *conditions = json!([]);
            }
            let listed = conditions.as_array().into_iter().flatten();
            let is_answered = listed
                .clone()
                .any(|one| one["type"] == "Approved" || one["type"] == "Denied");
            // Somebody was faster, or it is another one by now: the change brings it back here.
            if is_answered || value["metadata"]["uid"] != object.uid() {
                return Ok(());
            }
            if let Some(listed) = value["status"]["conditions"].as_array_mut() {
                listed.push(approved.clone());
            }
            Ok(())
        };
        let context = Context::system("csrapproving");
        let part = Subresource::Approval;
        self.registry
            .modify(&context, object.kind, &object.key, part, write)
            .await
            .map(|_object| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{
        KUBELET_CLIENT_SIGNER, KUBELET_SERVING_SIGNER, SIGNER, test_request, test_request_for,
    };
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    #[test]
    fn only_what_a_node_asks_for_as_a_client_is_approved() {
        let node = test_request("system:node:pi", &["system:nodes"]);
        let person = test_request("ann", &["system:nodes"]);
        let named = test_request_for("system:node:pi", &["system:nodes"], &["pi"]);
        let client = ["client auth", "digital signature"];
        let server = ["server auth", "digital signature"];
        let subresources = |pem: &str,
                            signer: &str,
                            usages: &[&str],
                            user: &str,
                            condition: &str| {
            let request = json!({"metadata": {"name": "a"}, "spec": {
                "request": STANDARD.encode(pem), "signerName": signer, "usages": usages, "username": user},
                "status": {"conditions": [{"type": condition, "status": "True"}]}});
            let request = serde_json::from_value(request).unwrap();
            let all = permissions(&request).iter();
            all.map(|one| one.subresource).collect::<Vec<_>>().join(" ")
        };
        let kubelet = KUBELET_CLIENT_SIGNER;
        for (pem, signer, usages, user, condition, expected) in [
            (
                &node,
                kubelet,
                &client,
                "system:node:pi",
                "Other",
                "selfnodeclient nodeclient",
            ),
            (
                &node,
                kubelet,
                &client,
                "system:bootstrap:x",
                "Other",
                "nodeclient",
            ),
            (&node, kubelet, &client, "system:node:pi", "Approved", ""),
            (&node, kubelet, &client, "system:node:pi", "Denied", ""),
            (&node, kubelet, &server, "system:node:pi", "Other", ""),
            (&node, SIGNER, &client, "system:node:pi", "Other", ""),
            (
                &named,
                KUBELET_SERVING_SIGNER,
                &server,
                "system:node:pi",
                "Other",
                "",
            ),
            (&named, kubelet, &client, "system:node:pi", "Other", ""),
            (&person, kubelet, &client, "ann", "Other", ""),
            (
                &"nonsense".to_owned(),
                kubelet,
                &client,
                "system:node:pi",
                "Other",
                "",
            ),
        ] {
            let found = subresources(pem, signer, usages, user, condition);
            assert_eq!(found, expected, "{signer} {user} {condition}");
        }
    }
}
