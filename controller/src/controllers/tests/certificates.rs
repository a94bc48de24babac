//! Certificate requests from the asking to the certificate.

use super::*;
use crate::{
    auth::{UserInfo, user_of_certificate},
    pki::{KUBELET_CLIENT_SIGNER, KUBELET_SERVING_SIGNER, test_request, test_request_for},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use coracle_api::time;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

impl Cluster {
    async fn ask(&self, user: &str, name: &str, (pem, signer): (&str, &str), usages: Value) {
        let context = Context {
            user: UserInfo::new(user, Vec::new()),
            ..me()
        };
        let request = json!({"metadata": {"name": name}, "spec": {
            "request": STANDARD.encode(pem), "signerName": signer, "usages": usages}});
        let made = self
            .registry
            .create(&context, kind::CERTIFICATE_SIGNING_REQUEST, "", request);
        made.await.unwrap();
    }

    async fn status(&self, name: &str, is_reached: impl Fn(&Value) -> bool) -> Value {
        let key = Key::cluster(name);
        let status = |cache: &Cache| {
            cache
                .get(kind::CERTIFICATE_SIGNING_REQUEST, &key)
                .unwrap()
                .value()["status"]
                .clone()
        };
        let what = format!("the status of {name}");
        self.until(&what, |cache| is_reached(&status(cache))).await;
        status(self.cache())
    }

    async fn approve(&self, name: &str) {
        let now = time(self.registry.clock().now());
        let approve = |value: &mut Value| {
            value["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "Test",
                "lastUpdateTime": now, "lastTransitionTime": now}]);
            Ok(())
        };
        let part = Subresource::Approval;
        let written = self
            .registry
            .modify(
                &me(),
                kind::CERTIFICATE_SIGNING_REQUEST,
                &Key::cluster(name),
                part,
                approve,
            )
            .await;
        written.unwrap();
    }

    /// Lets a user create a subresource of requests.
    async fn grant(&self, user: &str, subresource: &str) {
        let role = json!({"metadata": {"name": user}, "rules": [{"verbs": ["create"],
            "apiGroups": ["certificates.k8s.io"], "resources": [format!("certificatesigningrequests/{subresource}")]}]});
        let binding = json!({"metadata": {"name": user}, "subjects": [{"kind": "User", "name": user}],
            "roleRef": {"apiGroup": kind::RBAC, "kind": "ClusterRole", "name": user}});
        for (of, object) in [
            (kind::CLUSTER_ROLE, role),
            (kind::CLUSTER_ROLE_BINDING, binding),
        ] {
            let made = self.registry.create(&me(), of, "", object).await;
            made.unwrap();
        }
    }
}

fn is_issued(status: &Value) -> bool {
    status["certificate"].is_string()
}

fn certificate(status: &Value) -> CertificateDer<'static> {
    let pem = STANDARD
        .decode(status["certificate"].as_str().unwrap())
        .unwrap();
    CertificateDer::from_pem_slice(&pem).unwrap()
}

#[tokio::test]
async fn a_node_becomes_a_client_when_its_requester_may_have_it() {
    let cluster = start_cluster().await;
    let pem = test_request("system:node:pi", &["system:nodes"]);
    let asked = (&*pem, KUBELET_CLIENT_SIGNER);
    let usages = json!(["digital signature", "client auth"]);
    for (user, subresource, message) in [
        (
            "system:node:pi",
            "selfnodeclient",
            "Auto approving self kubelet client certificate after SubjectAccessReview.",
        ),
        (
            "system:bootstrap:abc",
            "nodeclient",
            "Auto approving kubelet client certificate after SubjectAccessReview.",
        ),
    ] {
        cluster.grant(user, subresource).await;
        cluster.ask(user, subresource, asked, usages.clone()).await;
        let status = cluster.status(subresource, is_issued).await;
        let approved = condition(&json!({"status": status}), "Approved").clone();
        assert_eq!(approved["reason"], "AutoApproved");
        assert_eq!(approved["message"], message);
        let user = user_of_certificate(&certificate(&status)).unwrap();
        assert_eq!(user.name, "system:node:pi");
        assert_eq!(user.groups[0], "system:nodes");
    }
    // A right of the one kind is none of the other; a person may still approve it.
    cluster.grant("system:node:other", "selfnodeclient").await;
    cluster
        .ask("system:node:other", "foreign", asked, usages.clone())
        .await;
    // Whoever came later has been answered by now.
    cluster
        .ask("system:bootstrap:abc", "later", asked, usages)
        .await;
    cluster.status("later", is_issued).await;
    let status = cluster.status("foreign", |_status| true).await;
    assert!(status["conditions"].is_null(), "{status}");
    cluster.approve("foreign").await;
    cluster.status("foreign", is_issued).await;
}

#[tokio::test]
async fn what_is_approved_and_does_not_fit_has_failed() {
    let cluster = start_cluster().await;
    let serving = test_request_for("system:node:pi", &["system:nodes"], &["pi", "10.0.0.7"]);
    let usages = json!(["digital signature", "server auth"]);
    let asked = (&*serving, KUBELET_SERVING_SIGNER);
    cluster
        .ask("system:node:pi", "serving", asked, usages)
        .await;
    // By a person alone: nobody else looks at it.
    cluster.approve("serving").await;
    let status = cluster.status("serving", is_issued).await;
    let der = certificate(&status);
    let text = String::from_utf8_lossy(&der);
    assert!(text.contains("system:node:pi"), "{text}");

    let person = test_request("ann", &["system:nodes"]);
    for (name, asked, usages, expected) in [
        (
            "person",
            (&*person, KUBELET_CLIENT_SIGNER),
            json!(["digital signature", "client auth"]),
            "subject common name does not begin with system:node:",
        ),
        (
            "named",
            (&*serving, KUBELET_CLIENT_SIGNER),
            json!(["digital signature", "client auth"]),
            "DNS subjectAltNames are not allowed",
        ),
        (
            "client",
            (&*serving, KUBELET_SERVING_SIGNER),
            json!(["digital signature", "client auth"]),
            "usages did not match [digital signature key encipherment server auth]",
        ),
    ] {
        cluster.ask("ann", name, asked, usages).await;
        cluster.approve(name).await;
        let is_failed = |status: &Value| {
            let conditions = status["conditions"].as_array();
            conditions.is_some_and(|all| all.len() == 2)
        };
        let status = cluster.status(name, is_failed).await;
        let failed = condition(&json!({"status": status}), "Failed").clone();
        assert_eq!(failed["reason"], "SignerValidationFailure");
        assert_eq!(failed["message"], expected);
        assert!(status["certificate"].is_null());
    }
}
