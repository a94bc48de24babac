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

/// A request for a user of these groups, PEM.
pub(crate) fn request(user: &str, groups: &[&str]) -> String {
    request_for(user, groups, &[])
}

/// The same for names and addresses of hosts. A second group stands as its OID: the library knows one each.
pub(crate) fn request_for(user: &str, groups: &[&str], names: &[&str]) -> String {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
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
        let pem = pki.sign_request(Signer::Client, &request, seconds, &usages);
        let pem = pem.unwrap();
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
fn who_serves_is_known_by_the_names_that_were_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let pki = Pki::open(dir.path(), Clock::manual(now)).unwrap();
    let names = ["pi.example.com", "10.0.0.7", "fd00::7"];
    let pem = request_for("system:node:pi", &["system:nodes"], &names);
    let request = Request::from_pem(pem.as_bytes()).unwrap();
    let subject = request.subject();
    assert_eq!(subject.common_name, "system:node:pi");
    assert_eq!(subject.organizations, ["system:nodes"]);
    assert_eq!(subject.names.dns, ["pi.example.com"]);
    assert_eq!(subject.names.addresses.len(), 2);
    let usages = ["digital signature".to_owned(), "server auth".to_owned()];
    let signed = |signer| {
        let pem = pki.sign_request(signer, &request, None, &usages).unwrap();
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    };
    let der = signed(Signer::KubeletServing);
    let (_rest, read) = X509Certificate::from_der(&der).unwrap();
    let purpose = read.extended_key_usage().unwrap().unwrap().value;
    assert!(purpose.server_auth && !purpose.client_auth);
    let usage = read.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_encipherment());
    // As a client verifies it.
    let mut roots = RootCertStore::empty();
    roots.add(pki.ca_der().unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
    let seconds = u64::try_from(now.as_second()).unwrap();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let verify = |name: &str| {
        use rustls::client::danger::ServerCertVerifier as _;
        let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&der, &[], &name, &[], at)
    };
    for name in names {
        verify(name).unwrap();
    }
    assert!(verify("other.example.com").is_err());
    assert!(verify("10.0.0.8").is_err());
    // For who is a client no name is taken over.
    let der = signed(Signer::KubeletClient);
    let (_rest, read) = X509Certificate::from_der(&der).unwrap();
    assert!(read.subject_alternative_name().unwrap().is_none());
}
