//! The cluster's certificates: a CA made once, a server certificate, client certificates.
//!
//! Keys never leave the data directory but in the administrator's kubeconfig (mode 0600). ECDSA
//! P-256 throughout.

mod account_key;
mod der;
mod request;
mod signer;

pub use account_key::account_key;
#[cfg(test)]
pub(crate) use request::tests::{request as test_request, request_for as test_request_for};
pub use request::{BadRequest, Request};
pub use signer::{KUBELET_CLIENT_SIGNER, KUBELET_SERVING_SIGNER, Names, SIGNER, Signer, Subject};

use coracle_daemon::{Clock, make_private_dir, write_private};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use sha2::{Digest as _, Sha256};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Life of the CA.
const CA_LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// Life of the server's and the administrator's certificates: that one is made anew at each start, this one when half of it is over.
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Life of a node's certificate; it is renewed over the link.
pub const NODE_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// The group of nodes.
pub const NODES: &str = "system:nodes";
/// What a node's user name begins with.
pub const NODE_USER_PREFIX: &str = "system:node:";
/// Clocks of clients may be behind by this much.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refuses.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// Verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Making or reading a certificate failed.
    #[error("cannot use the CA in {}", path.display())]
    Ca {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A request for a certificate that cannot be read or is not signed by its own key.
    #[error("the certificate request cannot be used")]
    Request(#[source] rcgen::Error),
    /// The key for service accounts' tokens is none.
    #[error("cannot use the key in {}", path.display())]
    AccountKey {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: crate::auth::jwt::BadKey,
    },
    /// The TLS library refuses what we made.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// The CA and who it signs for.
#[derive(Debug)]
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    clock: Clock,
    dir: PathBuf,
}

/// A certificate and its key, PEM.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: zeroize::Zeroizing<String>,
}

impl Pki {
    /// Opens the CA in `dir`, or makes it.
    ///
    /// # Errors
    /// When it is there and cannot be read, or the disk refuses.
    pub fn open(dir: &Path, clock: Clock) -> Result<Self, Error> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { what, path, source }
        };
        let ca = |source| Error::Ca {
            path: dir.to_owned(),
            source,
        };
        make_private_dir(dir).map_err(io("create", dir))?;
        let (cert_path, key_path) = (dir.join("ca.crt"), dir.join("ca.key"));
        if !key_path.exists() {
            let (certificate, key) = make_ca(clock.now()).map_err(ca)?;
            write_private(&cert_path, certificate.as_bytes()).map_err(io("write", &cert_path))?;
            write_private(&key_path, key.as_bytes()).map_err(io("write", &key_path))?;
        }
        let ca_pem = fs::read_to_string(&cert_path).map_err(io("read", &cert_path))?;
        let key_pem =
            zeroize::Zeroizing::new(fs::read_to_string(&key_path).map_err(io("read", &key_path))?);
        let key = KeyPair::from_pem(&key_pem).map_err(ca)?;
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, key).map_err(ca)?;
        Ok(Self {
            issuer,
            ca_pem,
            clock,
            dir: dir.to_owned(),
        })
    }

    /// The CA's certificate, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A client certificate for a user of these groups.
    ///
    /// # Errors
    /// When the key cannot be made.
    pub fn issue_client(&self, user: &str, groups: &[&str]) -> Result<Identity, Error> {
        let mut params = self.params(Vec::new())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, user);
        for group in groups {
            params
                .distinguished_name
                .push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    /// The CA's certificate, DER.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn ca_der(&self) -> Result<CertificateDer<'static>, Error> {
        CertificateDer::from_pem_slice(self.ca_pem.as_bytes())
            .map_err(|error| Error::Tls(error.to_string()))
    }

    /// A certificate for the key in a request, and when it ends. Nothing else of the request counts.
    ///
    /// # Errors
    /// When the request is not signed by its own key.
    pub fn sign_node(
        &self,
        node: &str,
        request: &[u8],
    ) -> Result<(CertificateDer<'static>, Timestamp), Error> {
        let request = CertificateSigningRequestDer::from(request.to_vec());
        let mut request =
            CertificateSigningRequestParams::from_der(&request).map_err(Error::Request)?;
        let now = self.clock.now();
        let mut params =
            CertificateParams::new(Vec::new()).map_err(|source| self.failed(source))?;
        set_life(&mut params, now, NODE_LIFE);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name = DistinguishedName::new();
        let user = format!("{NODE_USER_PREFIX}{node}");
        params.distinguished_name.push(DnType::CommonName, user);
        params
            .distinguished_name
            .push(DnType::OrganizationName, NODES);
        request.params = params;
        let certificate = request
            .signed_by(&self.issuer)
            .map_err(|source| self.failed(source))?;
        let until = now.saturating_add(NODE_LIFE).unwrap_or(now);
        Ok((certificate.der().clone(), until))
    }

    /// A certificate that the link's endpoint shows to agents, its key and the CA's, DER.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn link_server(
        &self,
        name: &str,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let tls = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
        let mut params = self.params(vec![name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let identity = self.sign(&params)?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())
            .map_err(|error| tls(&error))?;
        let key =
            PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|error| tls(&error))?;
        Ok((vec![certificate, self.ca_der()?], key))
    }

    fn params(&self, names: Vec<String>) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::new(names).map_err(|source| self.failed(source))?;
        let now = self.clock.now();
        set_life(&mut params, now, LEAF_LIFE);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        Ok(params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Identity, Error> {
        let key =
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|source| self.failed(source))?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|source| self.failed(source))?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem().into(),
        })
    }

    fn failed(&self, source: rcgen::Error) -> Error {
        Error::Ca {
            path: self.dir.clone(),
            source,
        }
    }

    /// TLS for the HTTPS endpoint: HTTP/2 and HTTP/1.1, client certificates welcome but optional.
    ///
    /// # Errors
    /// When a certificate cannot be made.
    pub fn https(&self, names: Vec<String>) -> Result<Arc<ServerConfig>, Error> {
        let tls = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
        let mut params = self.params(names)?;
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "coracle");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let identity = self.sign(&params)?;
        let mut roots = RootCertStore::empty();
        let ca =
            CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).map_err(|error| tls(&error))?;
        roots.add(ca.clone()).map_err(|error| tls(&error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(|error| tls(&error))?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())
            .map_err(|error| tls(&error))?;
        let key =
            PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|error| tls(&error))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| tls(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate, ca], key)
            .map_err(|error| tls(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The fingerprint of the public key of a certificate: SHA-256 of its SubjectPublicKeyInfo, hex.
#[must_use]
pub fn key_of_certificate(der: &[u8]) -> Option<String> {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    let (_rest, certificate) = X509Certificate::from_der(der).ok()?;
    Some(fingerprint(certificate.public_key().raw))
}

/// The fingerprint of the public key of a certificate request.
#[must_use]
pub fn key_of_request(der: &[u8]) -> Option<String> {
    use x509_parser::prelude::{FromDer as _, X509CertificationRequest};
    let (_rest, request) = X509CertificationRequest::from_der(der).ok()?;
    Some(fingerprint(
        request.certification_request_info.subject_pki.raw,
    ))
}

/// The public key of a certificate request as an uncompressed point (SEC 1).
#[must_use]
pub fn point_of_request(der: &[u8]) -> Option<Vec<u8>> {
    use x509_parser::prelude::{FromDer as _, X509CertificationRequest};
    let (_rest, request) = X509CertificationRequest::from_der(der).ok()?;
    let key = &request.certification_request_info.subject_pki;
    Some(key.subject_public_key.data.to_vec())
}

/// When a certificate ends.
#[must_use]
pub fn end_of_certificate(der: &[u8]) -> Option<Timestamp> {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    let (_rest, certificate) = X509Certificate::from_der(der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

fn fingerprint(spki: &[u8]) -> String {
    crate::auth::tokens::hex(&Sha256::digest(spki))
}

fn set_life(params: &mut CertificateParams, now: Timestamp, life: SignedDuration) {
    let at = |time: Timestamp| {
        time::OffsetDateTime::from_unix_timestamp(time.as_second())
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    };
    params.not_before = at(now.saturating_sub(SKEW).unwrap_or(now));
    params.not_after = at(now.saturating_add(life).unwrap_or(now));
}

fn make_ca(now: Timestamp) -> Result<(String, zeroize::Zeroizing<String>), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "coracle-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_life(&mut params, now, CA_LIFE);
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tokens::hex;

    #[test]
    fn the_ca_stays_and_signs() {
        let dir = tempfile::tempdir().unwrap();
        let first = Pki::open(dir.path(), Clock::system()).unwrap();
        let second = Pki::open(dir.path(), Clock::system()).unwrap();
        assert_eq!(first.ca_pem(), second.ca_pem());
        let admin = second
            .issue_client("kubernetes-admin", &["system:masters"])
            .unwrap();
        let der = CertificateDer::from_pem_slice(admin.certificate.as_bytes()).unwrap();
        let user = crate::auth::user_of_certificate(&der).unwrap();
        assert_eq!(user.name, "kubernetes-admin");
        let id = &user.extra["authentication.kubernetes.io/credential-id"][0];
        let digest = id.strip_prefix("X509SHA256=").unwrap();
        assert_eq!(digest, hex(&Sha256::digest(&der)));
        assert!(user.groups.contains(&"system:masters".to_owned()));
        let (chain, _key) = second.link_server("coracle").unwrap();
        assert_eq!(chain.len(), 2);
        second
            .https(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
            .unwrap();
    }

    #[test]
    fn a_node_certificate_is_for_the_key_and_the_name_only() {
        let dir = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let pki = Pki::open(dir.path(), Clock::manual(now)).unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut asked = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        asked.distinguished_name = DistinguishedName::new();
        asked
            .distinguished_name
            .push(DnType::CommonName, "kubernetes-admin");
        asked
            .distinguished_name
            .push(DnType::OrganizationName, "system:masters");
        let request = asked.serialize_request(&key).unwrap();
        let (certificate, until) = pki.sign_node("pi", request.der()).unwrap();
        assert_eq!(until.to_string(), "2026-03-02T00:00:00Z");
        let user = crate::auth::user_of_certificate(&certificate).unwrap();
        assert_eq!(user.name, "system:node:pi");
        assert_eq!(user.groups, [NODES, crate::auth::AUTHENTICATED]);
        assert_eq!(
            key_of_certificate(&certificate),
            key_of_request(request.der())
        );
        let mut forged = request.der().to_vec();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        assert!(pki.sign_node("pi", &forged).is_err());
        assert!(pki.sign_node("pi", b"nonsense").is_err());
    }
}
