//! The cluster's certificates: a CA made once, a server certificate, client certificates.
//!
//! Keys never leave the data directory but in the administrator's kubeconfig (mode 0600). ECDSA
//! P-256 throughout.

use coracle_daemon::Clock;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Life of the CA.
const CA_LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// Life of the server's and the administrator's certificates; both are made anew at each start.
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
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
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io("create", dir))?;
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

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(user.groups.contains(&"system:masters".to_owned()));
        second
            .https(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
            .unwrap();
    }
}
