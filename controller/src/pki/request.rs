//! Certificates for who asks for one: a request that was read and checked, and what is signed for it.
//!
//! The subject and the key stand in the certificate as they stand in the request, byte for byte: a name
//! may have several groups. Of extensions only the names of who serves are taken over.

use super::{Error, Names, Pki, SKEW, Signer, Subject, der};
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateSigningRequestParams, SigningKey as _};
use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
use x509_parser::prelude::{
    FromDer as _, GeneralName, ParsedExtension, X509Certificate, X509CertificationRequest,
};

/// A certificate of a client lives at most this long, and this long where nothing is said; as upstream.
const LIFE_MAX: SignedDuration = SignedDuration::from_hours(365 * 24);
/// And at least this long.
const LIFE_MIN: SignedDuration = SignedDuration::from_mins(10);
/// OID ecdsa-with-SHA256, in DER.
const ECDSA_SHA256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// OID basicConstraints.
const BASIC_CONSTRAINTS: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x13];
/// OID keyUsage.
const KEY_USAGE: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x0f];
/// OID extKeyUsage.
const EXTENDED_KEY_USAGE: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x25];
/// OID id-kp-clientAuth.
const CLIENT_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
/// OID id-kp-serverAuth.
const SERVER_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
/// OID subjectAltName.
const ALTERNATIVE_NAMES: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x11];
/// Tags of a name of a host and of its address, among alternative names.
const DNS_NAME: u8 = 0x82;
const ADDRESS: u8 = 0x87;
const TRUE: &[u8] = &[0x01, 0x01, 0xff];

/// Why a request is not one that can be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Not PEM of this type.
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Pem,
    /// Cannot be read, or is not signed by its own key.
    #[error("the request cannot be read, or its signature is not of its own key")]
    Request,
}

/// A request whose signature is that of its own key.
#[derive(Debug)]
pub struct Request {
    der: CertificateSigningRequestDer<'static>,
}

impl Request {
    /// Reads and checks one.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, BadRequest> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem)
            .map_err(|_rejected| BadRequest::Pem)?;
        CertificateSigningRequestParams::from_der(&der).map_err(|_rejected| BadRequest::Request)?;
        Ok(Self { der })
    }

    /// The organizations in its subject: the groups of the user it would be.
    #[must_use]
    pub fn organizations(&self) -> Vec<String> {
        let Ok((_rest, request)) = X509CertificationRequest::from_der(&self.der) else {
            return Vec::new();
        };
        let subject = &request.certification_request_info.subject;
        subject
            .iter_organization()
            .map(|one| match one.as_str() {
                Ok(text) => text.to_owned(),
                // Of an encoding that we do not read as text: as bytes it is still compared.
                Err(_) => String::from_utf8_lossy(one.as_slice()).into_owned(),
            })
            .collect()
    }

    /// Who it is for.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let Ok((_rest, request)) = X509CertificationRequest::from_der(&self.der) else {
            return Subject::default();
        };
        let subject = &request.certification_request_info.subject;
        // The one that counts when the certificate is shown.
        let common_name = subject.iter_common_name().next();
        let common_name = common_name.and_then(|name| name.as_str().ok());
        Subject {
            common_name: common_name.unwrap_or_default().to_owned(),
            organizations: self.organizations(),
            names: names_in(&request),
        }
    }
}

fn names_in(request: &X509CertificationRequest<'_>) -> Names {
    let mut names = Names::default();
    let extensions = request.requested_extensions().into_iter().flatten();
    for extension in extensions {
        let ParsedExtension::SubjectAlternativeName(listed) = extension else {
            continue;
        };
        for name in &listed.general_names {
            match name {
                GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => names.addresses.push(bytes.to_vec()),
                GeneralName::RFC822Name(name) => names.emails.push((*name).to_owned()),
                GeneralName::URI(name) => names.uris.push((*name).to_owned()),
                // Of no use to anybody here, and never taken over.
                _ => {}
            }
        }
    }
    names
}

impl Pki {
    /// A certificate for a request, PEM, for so many seconds if something is said.
    ///
    /// # Errors
    /// When the CA cannot sign.
    pub fn sign_request(
        &self,
        signer: Signer,
        request: &Request,
        seconds: Option<i32>,
        usages: &[String],
    ) -> Result<String, Error> {
        let names = match signer {
            Signer::KubeletServing => request.subject().names,
            Signer::Client | Signer::KubeletClient => Names::default(),
        };
        let broken = || Error::Tls("a certificate of ours cannot be read".to_owned());
        let ca = self.ca_der()?;
        let (_rest, ca) = X509Certificate::from_der(&ca).map_err(|_rejected| broken())?;
        let (_rest, asked) =
            X509CertificationRequest::from_der(&request.der).map_err(|_rejected| broken())?;
        let asked = &asked.certification_request_info;
        let now = self.clock.now();
        let life = seconds
            .map_or(LIFE_MAX, |seconds| {
                SignedDuration::from_secs(seconds.into())
            })
            .clamp(LIFE_MIN, LIFE_MAX);
        // Not longer than the CA itself.
        let end = now.saturating_add(life).unwrap_or(now);
        let end = Timestamp::from_second(ca.validity().not_after.timestamp())
            .map_or(end, |of_ca| of_ca.min(end));
        let body = der::sequence(&[
            &der::tagged(0xa0, &[&der::integer(&[2])]),
            &der::integer(&serial()),
            &der::sequence(&[ECDSA_SHA256]),
            ca.subject().as_raw(),
            &der::sequence(&[
                &der::time(now.saturating_sub(SKEW).unwrap_or(now)),
                &der::time(end),
            ]),
            asked.subject.as_raw(),
            asked.subject_pki.raw,
            &der::tagged(0xa3, &[&extensions(usages, &names)]),
        ]);
        let signature = self
            .issuer
            .key()
            .sign(&body)
            .map_err(|source| self.failed(source))?;
        let certificate = der::sequence(&[
            &body,
            &der::sequence(&[ECDSA_SHA256]),
            &der::bits(&signature),
        ]);
        Ok(der::pem("CERTIFICATE", &certificate))
    }
}

fn extensions(usages: &[String], names: &Names) -> Vec<u8> {
    let has = |name: &str| usages.iter().any(|usage| usage == name);
    // Bits from the left: digitalSignature, nonRepudiation, keyEncipherment.
    let bits = 0x80 | if has("key encipherment") { 0x20 } else { 0 };
    let unused = if bits & 0x20 == 0 { 7 } else { 5 };
    let usage = [0x03, 0x02, unused, bits];
    let purpose = if has("server auth") {
        SERVER_AUTH
    } else {
        CLIENT_AUTH
    };
    let mut all = [
        der::sequence(&[BASIC_CONSTRAINTS, TRUE, &der::octets(&der::sequence(&[]))]),
        der::sequence(&[KEY_USAGE, TRUE, &der::octets(&usage)]),
        der::sequence(&[EXTENDED_KEY_USAGE, &der::octets(&der::sequence(&[purpose]))]),
    ]
    .concat();
    let hosts = names.dns.iter().map(|name| (DNS_NAME, name.as_bytes()));
    let addresses = names.addresses.iter().map(|bytes| (ADDRESS, &**bytes));
    let known: Vec<Vec<u8>> = hosts
        .chain(addresses)
        .map(|(tag, bytes)| der::tagged(tag, &[bytes]))
        .collect();
    if !known.is_empty() {
        let list = der::octets(&der::sequence(&[&known.concat()]));
        all.extend(der::sequence(&[ALTERNATIVE_NAMES, &list]));
    }
    der::sequence(&[&all])
}

/// A positive number that no other certificate has.
fn serial() -> [u8; 16] {
    let mut bytes = rand::random::<u128>().to_be_bytes();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    bytes
}

#[cfg(test)]
pub(crate) mod tests;
