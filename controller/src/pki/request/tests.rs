//! A signed certificate is a user, and only what was asked for.

use super::*;
use crate::auth::{AUTHENTICATED, user_of_certificate};
use coracle_daemon::Clock;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, UnixTime},
    server::WebPkiClientVerifier,
};
use std::sync::Arc;

/// A request for a user of these groups, PEM. A second group stands as its OID: the library knows one each.
pub(crate) fn request(user: &str, groups: &[&str]) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    let kinds = [
        DnType::OrganizationName,
        DnType::CustomDnType(vec![2, 5, 4, 10]),
    ];
    for (kind, group) in kinds.into_iter().zip(groups) {
        params.distinguished_name.push(kind, *group);
    }
    params.serialize_request(&key).unwrap().pem().unwrap()
}

#[test]
fn a_signed_request_is_its_user() {
    let dir = tempfile::tempdir().unwrap();
    let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let pki = Pki::open(dir.path(), Clock::manual(now)).unwrap();
    let request = Request::from_pem(request("ann", &["dev", "ops"]).as_bytes()).unwrap();
    assert_eq!(request.organizations(), ["dev", "ops"]);
    let usages = ["client auth".to_owned(), "key encipherment".to_owned()];
    for (seconds, life) in [
        (Some(3600), 3600),
        (Some(1), 600),
        (Some(i32::MAX), 365 * 24 * 3600),
        (None, 365 * 24 * 3600),
    ] {
        let pem = pki.sign_client(&request, seconds, &usages).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let user = user_of_certificate(&der).unwrap();
        assert_eq!(user.name, "ann");
        assert_eq!(user.groups, ["dev", "ops", AUTHENTICATED]);
        let end = crate::auth::end_of_certificate(&der).unwrap();
        assert_eq!(end.duration_since(now).as_secs(), life);
        verifies(&pki, &der, now);
        let (_rest, read) = X509Certificate::from_der(&der).unwrap();
        let usage = read.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && usage.key_encipherment() && !usage.key_cert_sign());
        assert!(!read.basic_constraints().unwrap().unwrap().value.ca);
        assert!(
            !read
                .extended_key_usage()
                .unwrap()
                .unwrap()
                .value
                .server_auth
        );
    }
}

/// As the endpoint verifies a client's certificate.
fn verifies(pki: &Pki, der: &CertificateDer<'_>, now: Timestamp) {
    let mut roots = RootCertStore::empty();
    roots.add(pki.ca_der().unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let seconds = u64::try_from(now.as_second()).unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    verifier.verify_client_cert(der, &[], now).unwrap();
}

#[test]
fn what_is_no_request_is_refused() {
    let good = request("ann", &[]);
    assert!(Request::from_pem(good.as_bytes()).is_ok());
    let certificate = good.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    assert_eq!(
        Request::from_pem(certificate.as_bytes()).unwrap_err(),
        BadRequest::Pem
    );
    assert_eq!(Request::from_pem(b"nonsense").unwrap_err(), BadRequest::Pem);
    let mut der = CertificateSigningRequestDer::from_pem_slice(good.as_bytes())
        .unwrap()
        .to_vec();
    let last = der.len() - 1;
    der[last] ^= 1;
    let forged = der::pem("CERTIFICATE REQUEST", &der);
    assert_eq!(
        Request::from_pem(forged.as_bytes()).unwrap_err(),
        BadRequest::Request
    );
}

#[test]
fn usages() {
    let check = |usages: &[&str]| {
        let usages = usages.iter().map(|&usage| usage.to_owned()).collect();
        check_usages(&CertificateSigningRequestSpec {
            usages: Some(usages),
            ..CertificateSigningRequestSpec::default()
        })
    };
    assert_eq!(
        check(&["client auth", "digital signature", "key encipherment"]),
        Ok(())
    );
    assert_eq!(
        check(&["client auth", "server auth"]).unwrap_err(),
        "invalid usage for client certificate: server auth"
    );
    assert_eq!(
        check(&["digital signature"]).unwrap_err(),
        "missing required usage for client certificate: client auth"
    );
}
