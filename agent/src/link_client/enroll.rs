//! How this box becomes a node, or comes home after its certificate has expired: one request on a connection of its own.

use super::{
    Dialed, Error,
    identity::{self, Certificate},
    streams,
};
use crate::device_key::DeviceKey;
use coracle_link::{
    enroll, pb,
    pb::{stream_reply::Reply, stream_request::Request},
    quic::{self, Trust},
};
use rcgen::SigningKey as _;
use rustls::pki_types::CertificateDer;

/// What is asked for.
pub(super) struct Application<'a> {
    pub(super) node_name: &'a str,
    /// `ID.SECRET`; none when coming home.
    pub(super) token: Option<&'a str>,
    pub(super) trust: &'a Trust,
}

/// What was given.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) ca: CertificateDer<'static>,
    pub(super) certificate: Certificate,
}

/// Asks on `connection`, which it then closes.
pub(super) async fn enroll(
    connection: &quinn::Connection,
    application: &Application<'_>,
    key: &DeviceKey,
) -> Result<Admission, Dialed> {
    let asked = Box::pin(ask(connection, application, key)).await;
    connection.close(quic::close::GOODBYE.into(), b"");
    asked
}

async fn ask(
    connection: &quinn::Connection,
    application: &Application<'_>,
    key: &DeviceKey,
) -> Result<Admission, Dialed> {
    let node_name = application.node_name;
    let challenge = enroll::challenge(connection, node_name)
        .map_err(|error| Dialed::Lost(error.to_string()))?;
    let binding = key.pair().sign(&challenge);
    let binding = binding.map_err(|error| Dialed::Failed(Error::Key(error.to_string())))?;
    let request = pb::Enroll {
        node_name: node_name.to_owned(),
        csr: identity::csr(node_name, key).map_err(Dialed::Failed)?,
        token: application.token.unwrap_or_default().to_owned(),
        binding,
    };
    let opened = streams::open(connection, Request::Enroll(request), streams::REPLY_LIMIT).await;
    let reply = match opened {
        Ok(opened) => opened.reply,
        Err(streams::Error::Failure { message, .. }) => return Err(Dialed::Lost(message)),
        Err(error) => return Err(Dialed::broken(connection, error.to_string())),
    };
    match reply {
        Reply::Certificate(given) => admission(connection, given, application.trust, key),
        Reply::Refusal(refusal) => Err(Dialed::Refused(refusal.into())),
        Reply::Accepted(_) | Reply::Failure(_) | Reply::Image(_) => Err(Dialed::Lost(
            "the controller answered something else than was asked".to_owned(),
        )),
    }
}

/// Takes only what is for this key, and only the CA that is trusted already.
fn admission(
    connection: &quinn::Connection,
    given: pb::Certificate,
    trust: &Trust,
    key: &DeviceKey,
) -> Result<Admission, Dialed> {
    let certificate = Certificate::parse(given.certificate)
        .filter(|certificate| certificate.is_for(key))
        .ok_or_else(|| {
            Dialed::Lost("the controller's certificate is not for this device's key".to_owned())
        })?;
    let ca = match trust {
        Trust::Ca(ca) => Some(ca.clone()),
        Trust::CaSha256(sha256) => quic::peer_ca(connection, sha256),
    };
    let ca = ca.ok_or_else(|| Dialed::Lost("the controller did not show its CA".to_owned()))?;
    Ok(Admission { ca, certificate })
}
