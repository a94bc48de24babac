//! A user from a client certificate: the common name is the user, organizations are the groups.
//!
//! Never verifies anything: the TLS layer accepts only certificates of the cluster's CA.

use super::{CREDENTIAL_ID, UserInfo, tokens::hex};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The user that a DER certificate names; none when it cannot be read or has no common name.
#[must_use]
pub fn user_of_certificate(der: &[u8]) -> Option<UserInfo> {
    let (_rest, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    if name.is_empty() {
        return None;
    }
    let groups = subject
        .iter_organization()
        .filter_map(|organization| organization.as_str().ok())
        .map(str::to_owned);
    let mut user = UserInfo::new(name, groups.collect::<Vec<_>>());
    let id = format!("X509SHA256={}", hex(&Sha256::digest(der)));
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![id]);
    Some(user)
}

/// When a DER certificate ends; none when it cannot be read.
///
/// The handshake checks it too, but a connection may outlive its certificate, and a resumed TLS session
/// is not verified again.
#[must_use]
pub fn end_of_certificate(der: &[u8]) -> Option<Timestamp> {
    let (_rest, certificate) = X509Certificate::from_der(der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}
