//! The controller's end of the link: one QUIC endpoint, one session a node.
//!
//! Who has no certificate may only enroll. A handshake runs in a task of its own with a deadline, so
//! that one slow peer never holds up another. Writes go through the registry like everyone's; reads
//! come from the cache. The HTTP layer reaches nodes through [`Links`].

mod admission;
mod desired;
mod dispatch;
mod enroll;
pub mod links;
mod node_object;
pub mod pod_range;
mod pod_set;
mod routes;
mod session;
mod status_sink;
mod statuses;
mod streams;

pub use links::Links;

use crate::{
    events::Recorder, images::Images, join::Tokens, liveness::Liveness, pki::Pki,
    registry::Registry,
};
use admission::Limiter;
use coracle_daemon::{Clock, OnExit, Tasks};
use coracle_link::{
    quic::{self, close},
    route::ServicePort,
};
use pod_range::{Blocks, PodRange};
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

/// Handshakes under way at once; each costs a third of a millisecond of a core.
const HANDSHAKES_MAX: usize = 1024;
/// From this many on an address has to prove that it is its own.
const HANDSHAKES_UNPROVEN_MAX: usize = 256;
/// For one handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections without a certificate at once.
const ENROLLMENTS_MAX: usize = 128;
/// How often expired join tokens are removed.
const SWEEP_PERIOD: Duration = Duration::from_secs(3600);

/// What the link server is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where everything is written and read.
    pub registry: Registry,
    /// Signs certificates.
    pub pki: Arc<Pki>,
    /// Compiled code.
    pub images: Images,
    /// Where links are noted.
    pub liveness: Liveness,
    /// Where agents' events go.
    pub recorder: Recorder,
    /// Join tokens.
    pub tokens: Tokens,
    /// Addresses of pods.
    pub pod_range: PodRange,
}

/// Why the link cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint.
    #[error(transparent)]
    Quic(#[from] quic::Error),
    /// Its certificate.
    #[error(transparent)]
    Pki(#[from] crate::pki::Error),
    /// Its socket.
    #[error("cannot use the link's socket")]
    Socket(#[from] std::io::Error),
}

/// Every service port and the pods behind it.
#[derive(Debug, Default, PartialEq)]
struct Routes(Vec<ServicePort>);

/// What all sessions share.
#[derive(Debug)]
struct Shared {
    registry: Registry,
    pki: Arc<Pki>,
    images: Images,
    liveness: Liveness,
    recorder: Recorder,
    tokens: Tokens,
    blocks: Blocks,
    links: Links,
    routes: watch::Sender<Arc<Routes>>,
    tasks: Tasks,
    connections: Limiter,
    refusals: Limiter,
}

impl Shared {
    /// Notes that an address was refused.
    fn refuse(&self, address: IpAddr) {
        self.links.count_refused();
        self.refusals.take(address, Instant::now());
    }
}

/// A time as the API prints it.
fn time(millis: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    coracle_api::time(at)
}

/// The clock that certificates are judged by.
#[derive(Debug)]
struct CertificateTime(Clock);

impl TimeProvider for CertificateTime {
    fn current_time(&self) -> Option<UnixTime> {
        let secs = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(secs)))
    }
}

/// Starts to serve on `listen`; the address that was bound, and the links.
///
/// # Errors
/// When the address is taken or there is no certificate.
pub fn start(
    listen: SocketAddr,
    parts: Parts,
    tasks: &Tasks,
) -> Result<(SocketAddr, Links), Error> {
    let (chain, key) = parts.pki.link_server(quic::SERVER_NAME)?;
    let time = Arc::new(CertificateTime(parts.registry.clock().clone()));
    let identity = quic::Identity { chain, key };
    let endpoint = quic::server(listen, identity, parts.pki.ca_der()?, Some(time))?;
    let address = endpoint.local_addr()?;
    let links = Links::default();
    let shared = Arc::new(Shared {
        registry: parts.registry,
        pki: parts.pki,
        images: parts.images,
        liveness: parts.liveness,
        recorder: parts.recorder,
        tokens: parts.tokens,
        blocks: Blocks::new(parts.pod_range),
        links: links.clone(),
        routes: watch::Sender::default(),
        tasks: tasks.clone(),
        connections: Limiter::new(admission::CONNECTIONS),
        refusals: Limiter::new(admission::REFUSALS),
    });
    let dispatching = dispatch::run(Arc::clone(&shared));
    tasks.spawn("link dispatch", OnExit::Shutdown, dispatching);
    let sweeping = sweep(Arc::clone(&shared));
    tasks.spawn("join token sweep", OnExit::Ignore, sweeping);
    let accepting = accept(shared, endpoint);
    tasks.spawn("link", OnExit::Shutdown, accepting);
    Ok((address, links))
}

async fn sweep(shared: Arc<Shared>) {
    loop {
        shared.tokens.sweep().await;
        tokio::select! {
            () = shared.tasks.stop().cancelled() => return,
            () = tokio::time::sleep(SWEEP_PERIOD) => {}
        }
    }
}

/// Accepts connections until the controller stops.
async fn accept(shared: Arc<Shared>, endpoint: quinn::Endpoint) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let enrollments = Arc::new(Semaphore::new(ENROLLMENTS_MAX));
    loop {
        let incoming = tokio::select! {
            () = shared.tasks.stop().cancelled() => break,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        let busy = HANDSHAKES_MAX - handshakes.available_permits();
        if busy >= HANDSHAKES_UNPROVEN_MAX && !incoming.remote_address_validated() {
            // Whoever forges its address never sees the retry.
            let _sent = incoming.retry();
            continue;
        }
        let address = incoming.remote_address().ip();
        let turn = Arc::clone(&handshakes).try_acquire_owned();
        let (true, Ok(turn)) = (shared.connections.take(address, Instant::now()), turn) else {
            shared.links.count_refused();
            tracing::debug!(%address, "too many connections at once; turning one away");
            incoming.refuse();
            continue;
        };
        let (serving, enrollments) = (Arc::clone(&shared), Arc::clone(&enrollments));
        shared
            .tasks
            .spawn("link connection", OnExit::Ignore, async move {
                let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, incoming).await;
                drop(turn);
                match shaken {
                    Ok(Ok(connection)) => serve(serving, connection, &enrollments).await,
                    Ok(Err(error)) => {
                        // A certificate of another CA, mostly.
                        serving.links.count_refused();
                        tracing::warn!(peer = %address, %error, "refusing a connection");
                    }
                    Err(_elapsed) => tracing::debug!(peer = %address, "a handshake took too long"),
                }
            });
    }
    endpoint.close(close::SHUTDOWN.into(), b"the controller stops");
    // Until the peers have heard of it; they come back the sooner.
    let _told = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
}

async fn serve(shared: Arc<Shared>, connection: quinn::Connection, enrollments: &Semaphore) {
    let peer = connection.remote_address();
    let Some(certificate) = quic::peer_certificate(&connection) else {
        let turn = enrollments.try_acquire();
        if turn.is_err() || !shared.refusals.may(peer.ip(), Instant::now()) {
            shared.links.count_refused();
            tracing::warn!(%peer, "too many enrollments; turning one away");
            connection.close(close::REFUSED.into(), b"too many attempts; wait a minute");
            return;
        }
        let stop = shared.tasks.stop().clone();
        tokio::select! {
            () = stop.cancelled() => connection.close(close::SHUTDOWN.into(), b"the controller stops"),
            () = Box::pin(streams::enroll_only(&shared, &connection)) => {}
        }
        return;
    };
    let Some(node) = session::Peer::of(&certificate) else {
        shared.links.count_refused();
        tracing::warn!(%peer, "refusing a connection: its certificate is not a node's");
        connection.close(close::REFUSED.into(), b"the certificate is not a node's");
        return;
    };
    // A resumed session skips the check of the certificate's dates.
    if node.expires <= shared.registry.clock().now() {
        tracing::info!(%peer, node = %node.node, "a node comes with an expired certificate");
        connection.close(close::EXPIRED.into(), b"the certificate has expired");
        return;
    }
    Box::pin(session::serve(shared, connection, node)).await;
}

#[cfg(test)]
mod tests;
