//! Who this node is to the controller: its certificate, the CA, and where to dial, in the data directory.
//!
//! The certificate lives a day and may be lost; the device key and the CA are what a node is.

use super::Error;
use crate::device_key::DeviceKey;
use coracle_daemon::write_private;
use coracle_link::quic::Identity;
use rcgen::{CertificateParams, DnType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::{fs, io, path::Path, time::Duration};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// File of the node's certificate (DER).
pub(crate) const CERTIFICATE: &str = "node.der";
/// File of the CA's certificate (DER).
const CA: &str = "ca.der";
/// File of two lines: the controller's address, the node's name. Written last: without it, nothing was joined.
const CONTROLLER: &str = "controller";

/// What makes this agent a node of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    pub(super) node_name: String,
    /// `HOST:PORT`.
    pub(super) address: String,
    pub(super) ca: CertificateDer<'static>,
    /// None when it was lost: the device key then brings the node home.
    pub(super) certificate: Option<Certificate>,
}

/// A certificate, and when it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) der: CertificateDer<'static>,
    pub(super) validity: Validity,
}

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
}

impl Validity {
    /// Renewed when a third of its life is left.
    pub(super) fn is_due(self, now_ms: i64) -> bool {
        let life = self.until_ms.saturating_sub(self.from_ms);
        now_ms >= self.from_ms.saturating_add(life / 3 * 2)
    }

    pub(super) fn is_over(self, now_ms: i64) -> bool {
        now_ms >= self.until_ms
    }
}

impl Certificate {
    /// None for bytes that are no certificate.
    pub(super) fn parse(der: Vec<u8>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(&der).ok()?;
        let validity = parsed.validity();
        let validity = Validity {
            from_ms: validity.not_before.timestamp().checked_mul(1000)?,
            until_ms: validity.not_after.timestamp().checked_mul(1000)?,
        };
        let is_whole = rest.is_empty();
        is_whole.then(|| Self {
            der: der.into(),
            validity,
        })
    }

    /// Whether it is for this key.
    pub(super) fn is_for(&self, key: &DeviceKey) -> bool {
        use rcgen::PublicKeyData as _;
        X509Certificate::from_der(&self.der).is_ok_and(|(_, parsed)| {
            parsed.public_key().subject_public_key.data[..] == *key.pair().der_bytes()
        })
    }
}

impl Membership {
    /// What an earlier run has joined; none if nothing.
    pub(super) fn load(dir: &Path) -> Result<Option<Self>, Error> {
        let read = |name: &str| {
            let path = dir.join(name);
            match fs::read(&path) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(Error::File { path, source }),
            }
        };
        let Some(controller) = read(CONTROLLER)? else {
            return Ok(None);
        };
        let damaged = |name: &str| Error::Damaged(dir.join(name));
        let text = String::from_utf8(controller).map_err(|_binary| damaged(CONTROLLER))?;
        let Some((address, node_name)) = text.trim_end().split_once('\n') else {
            return Err(damaged(CONTROLLER));
        };
        let ca = read(CA)?.and_then(Certificate::parse);
        let ca = ca.ok_or_else(|| damaged(CA))?;
        Ok(Some(Self {
            node_name: node_name.to_owned(),
            address: address.to_owned(),
            ca: ca.der,
            certificate: read(CERTIFICATE)?.and_then(Certificate::parse),
        }))
    }

    pub(super) fn save(&self, dir: &Path) -> Result<(), Error> {
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.join(name);
            write_private(&path, bytes).map_err(|source| Error::File { path, source })
        };
        if let Some(certificate) = &self.certificate {
            write(CERTIFICATE, &certificate.der)?;
        }
        write(CA, &self.ca)?;
        let controller = format!("{}\n{}\n", self.address, self.node_name);
        write(CONTROLLER, controller.as_bytes())
    }
}

/// The certificate with its key, for TLS.
pub(super) fn identity(certificate: &Certificate, key: &DeviceKey) -> Result<Identity, Error> {
    let private = PrivateKeyDer::try_from(key.pair().serialize_der());
    Ok(Identity {
        chain: vec![certificate.der.clone()],
        key: private.map_err(|why| Error::Key(why.to_owned()))?,
    })
}

/// A request for a certificate (PKCS#10, DER).
pub(super) fn csr(node_name: &str, key: &DeviceKey) -> Result<Vec<u8>, Error> {
    let make = || {
        let mut params = CertificateParams::new(Vec::new())?;
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, "system:nodes");
        name.push(DnType::CommonName, format!("system:node:{node_name}"));
        params.serialize_request(key.pair())
    };
    let csr = make().map_err(|error: rcgen::Error| Error::Key(error.to_string()))?;
    Ok(csr.der().to_vec())
}

/// The clock certificates are judged by. Never earlier than our own certificate: a box without a battery thinks it is
/// 1970 until it has a network, and shall have a link before it has NTP.
#[derive(Debug)]
pub(super) struct LinkTime {
    pub(super) clock: coracle_daemon::Clock,
    pub(super) not_before_ms: i64,
}

impl rustls::time_provider::TimeProvider for LinkTime {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = self.clock.unix_millis().max(self.not_before_ms);
        let since = Duration::from_millis(u64::try_from(millis).ok()?);
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// How a token names a CA.
pub(super) fn sha256(der: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, der).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> Certificate {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Certificate::parse(der).unwrap()
    }

    #[test]
    fn a_membership_survives_and_a_lost_certificate_does_not_end_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Membership::load(dir.path()).unwrap().is_none());
        let membership = Membership {
            node_name: "box".to_owned(),
            address: "10.0.0.1:6443".to_owned(),
            ca: certificate().der,
            certificate: Some(certificate()),
        };
        membership.save(dir.path()).unwrap();
        let read = Membership::load(dir.path()).unwrap().unwrap();
        assert_eq!(
            (&read.node_name, &read.address),
            (&membership.node_name, &membership.address)
        );
        assert_eq!(read.certificate, membership.certificate);
        fs::write(dir.path().join(CERTIFICATE), "nonsense").unwrap();
        let read = Membership::load(dir.path()).unwrap().unwrap();
        assert_eq!(read.certificate, None);
        fs::write(dir.path().join(CA), "nonsense").unwrap();
        let error = Membership::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("ca.der is damaged"), "{error}");
    }

    #[test]
    fn renewal_is_due_after_two_thirds() {
        let day = Validity {
            from_ms: 1000,
            until_ms: 1000 + 24 * 3600 * 1000,
        };
        let hour = |hours: i64| 1000 + hours * 3600 * 1000;
        assert_eq!(
            [15, 16, 24].map(|h| day.is_due(hour(h))),
            [false, true, true]
        );
        assert_eq!([23, 24].map(|h| day.is_over(hour(h))), [false, true]);
    }

    #[test]
    fn a_certificate_is_for_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let key = DeviceKey::open_or_create(&dir.path().join("key")).unwrap();
        assert!(!certificate().is_for(&key));
        let params = CertificateParams::new(Vec::new()).unwrap();
        let own = params.self_signed(key.pair()).unwrap().der().to_vec();
        assert!(Certificate::parse(own).unwrap().is_for(&key));
        assert!(!csr("box", &key).unwrap().is_empty());
    }
}
