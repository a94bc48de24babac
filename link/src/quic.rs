//! The two ends of the link: QUIC (RFC 9000) with TLS 1.3, one certificate authority, one application protocol.
//!
//! An agent is always the one that dials. It trusts the CA it has, or, before it has one, the CA whose hash its token
//! carries. Whoever connects without a certificate may only enroll; that is the link server's to see to.

use quinn::{
    ClientConfig, Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::WebPkiClientVerifier,
    time_provider::TimeProvider,
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};

/// Goes up when an existing message changes its meaning.
pub const ALPN: &[u8] = b"coracle-link/1";
/// The name in the link server's certificate, whatever address it is reached at.
pub const SERVER_NAME: &str = "controller.link.coracle.internal";

/// The reasons in a connection's last frame.
pub mod close {
    /// The agent stops, or its work on this connection is done.
    pub const GOODBYE: u32 = 0;
    /// The other side broke the protocol.
    pub const PROTOCOL: u32 = 1;
    /// Refused; a `Refusal` said why.
    pub const REFUSED: u32 = 2;
    /// The controller stops: come back soon.
    pub const SHUTDOWN: u32 = 3;
    /// The certificate has expired.
    pub const EXPIRED: u32 = 4;
}

/// How much a link may cost at rest, and how soon a loss is noticed. The agent chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// A ping every 6 s: noticed within 9 s, with time for a lost one to be sent again; about 78 KB an hour by
    /// calculation (130 bytes an exchange).
    #[default]
    Default,
    /// A ping every 40 s: noticed within 110 s; about 12 KB an hour by calculation.
    Metered,
}

impl Profile {
    fn keep_alive(self) -> Duration {
        match self {
            Self::Default => Duration::from_secs(6),
            Self::Metered => Duration::from_secs(40),
        }
    }

    fn idle(self) -> Duration {
        match self {
            Self::Default => Duration::from_secs(9),
            Self::Metered => Duration::from_secs(110),
        }
    }
}

/// The longest silence a controller bears; the shorter of the two ends' is in force.
const SERVER_IDLE: Duration = Duration::from_secs(120);
/// Logs, probes and connections of one node that a controller may have open.
const STREAMS_TO_AGENT_MAX: u32 = 1024;
/// Connections and fetches of one node.
const STREAMS_TO_CONTROLLER_MAX: u32 = 256;
/// Received and not yet read: one stream, all of a connection. A fetch of code shall fill an LTE link.
const AGENT_WINDOWS: (u32, u32) = (1 << 20, 4 << 20);
const CONTROLLER_WINDOWS: (u32, u32) = (256 << 10, 1 << 20);
/// Sent and not yet acknowledged, bytes of a connection.
const SEND_WINDOW_BYTES: u64 = 1 << 20;

/// Why an end of the link can not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket.
    #[error("cannot use the UDP socket {address}")]
    Socket {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificates.
    #[error("cannot set up TLS for the link")]
    Tls(#[source] rustls::Error),
    /// The CA is no trust anchor.
    #[error("cannot set up TLS for the link: {0}")]
    Verifier(String),
}

/// A certificate with its chain, and its key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

/// Which controller an agent believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Of this CA.
    Ca(CertificateDer<'static>),
    /// Of the CA whose certificate (DER) has this SHA-256; the controller sends it along.
    CaSha256([u8; 32]),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(ca: CertificateDer<'static>) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca).map_err(Error::Tls)?;
    Ok(Arc::new(roots))
}

/// The controller's end on `address`. `time` is what certificates are judged by; none is the system's clock.
///
/// # Errors
/// When the address is taken or a certificate is of no use.
pub fn server(
    address: SocketAddr,
    identity: Identity,
    ca: CertificateDer<'static>,
    time: Option<Arc<dyn TimeProvider>>,
) -> Result<Endpoint, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca)?, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| Error::Verifier(error.to_string()))?;
    let builder = match time {
        Some(time) => rustls::ServerConfig::builder_with_details(provider(), time),
        None => rustls::ServerConfig::builder_with_provider(provider()),
    };
    let mut tls = builder
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(Error::Tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)
        .map_err(Error::Tls)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // Tickets: resuming costs the controller no memory for each node.
    tls.ticketer = rustls::crypto::ring::Ticketer::new().map_err(Error::Tls)?;
    let crypto =
        QuicServerConfig::try_from(tls).map_err(|error| Error::Verifier(error.to_string()))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport(
        SERVER_IDLE,
        CONTROLLER_WINDOWS,
        STREAMS_TO_CONTROLLER_MAX,
    )));
    endpoint(address, SERVER_SOCKET_BYTES, Some(config))
}

/// Received by the system and not yet read: the first packets of a fleet that comes back at once. The system's default
/// drops them, and each drop costs a second.
const SERVER_SOCKET_BYTES: usize = 16 << 20;

/// The agent's end, on any port.
///
/// # Errors
/// When there is no socket.
pub fn client() -> Result<Endpoint, Error> {
    // One socket for both families where the machine has both.
    let both = SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), 0);
    let v4 = SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0);
    endpoint(both, 0, None).or_else(|_no_ipv6| endpoint(v4, 0, None))
}

fn endpoint(
    address: SocketAddr,
    receive_bytes: usize,
    server: Option<ServerConfig>,
) -> Result<Endpoint, Error> {
    let failed = |source: io::Error| Error::Socket { address, source };
    let socket = socket(address).map_err(failed)?;
    if receive_bytes > 0 {
        use rustix::net::sockopt::{
            set_socket_recv_buffer_size, set_socket_recv_buffer_size_force,
        };
        // Beyond the system's limit only with privilege; up to it always.
        if set_socket_recv_buffer_size_force(&socket, receive_bytes).is_err()
            && let Err(error) = set_socket_recv_buffer_size(&socket, receive_bytes)
        {
            tracing::debug!(%error, "the link's receive buffer stays as it is");
        }
    }
    let runtime = Arc::new(TokioRuntime);
    Endpoint::new(EndpointConfig::default(), server, socket, runtime).map_err(failed)
}

fn socket(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
    let family = if address.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind(&socket, &address)?;
    Ok(socket.into())
}

fn transport(idle: Duration, windows: (u32, u32), streams: u32) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(idle).expect("some minutes of milliseconds fit a QUIC number");
    transport
        .max_idle_timeout(Some(idle))
        .max_concurrent_bidi_streams(VarInt::from_u32(streams))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(windows.0))
        .receive_window(VarInt::from_u32(windows.1))
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(None);
    transport
}

/// How an agent dials. Keep it for all connections of the same identity: sessions are resumed through it.
///
/// # Errors
/// When a certificate is of no use.
pub fn client_config(
    trust: &Trust,
    identity: Option<Identity>,
    profile: Profile,
    time: Option<Arc<dyn TimeProvider>>,
) -> Result<ClientConfig, Error> {
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Ca(ca) => {
            WebPkiServerVerifier::builder_with_provider(roots(ca.clone())?, provider())
                .build()
                .map_err(|error| Error::Verifier(error.to_string()))?
        }
        Trust::CaSha256(sha256) => Arc::new(Pinned(*sha256)),
    };
    let builder = match time {
        Some(time) => rustls::ClientConfig::builder_with_details(provider(), time),
        None => rustls::ClientConfig::builder_with_provider(provider()),
    };
    let builder = builder
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(Error::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut tls = match identity {
        Some(identity) => builder
            .with_client_auth_cert(identity.chain, identity.key)
            .map_err(Error::Tls)?,
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto =
        QuicClientConfig::try_from(tls).map_err(|error| Error::Verifier(error.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    let mut transport = transport(profile.idle(), AGENT_WINDOWS, STREAMS_TO_AGENT_MAX);
    transport.keep_alive_interval(Some(profile.keep_alive()));
    if profile == Profile::Metered {
        transport.mtu_discovery_config(None);
    }
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// The certificate the other side has proved to own, if any.
#[must_use]
pub fn peer_certificate(connection: &quinn::Connection) -> Option<CertificateDer<'static>> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain.into_iter().next()
}

/// The certificate of the CA that the controller sent along, if its hash is this one.
#[must_use]
pub fn peer_ca(
    connection: &quinn::Connection,
    sha256: &[u8; 32],
) -> Option<CertificateDer<'static>> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain
        .into_iter()
        .find(|certificate| has_sha256(certificate, sha256))
}

fn has_sha256(certificate: &CertificateDer<'_>, sha256: &[u8; 32]) -> bool {
    ring::digest::digest(&ring::digest::SHA256, certificate).as_ref() == sha256
}

/// Trusts the one CA with a known hash, sent along by the server.
#[derive(Debug)]
struct Pinned([u8; 32]);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let ca = intermediates
            .iter()
            .find(|certificate| has_sha256(certificate, &self.0));
        let ca = ca.ok_or_else(unknown)?.clone().into_owned();
        let roots = roots(ca).map_err(|_unusable| unknown())?;
        WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|_unusable| unknown())?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(
            "TLS 1.2 is not spoken here".to_owned(),
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

#[cfg(test)]
mod tests;
