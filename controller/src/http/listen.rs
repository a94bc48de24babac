//! Connections: accepting, TLS, deadlines and the end of them.
//!
//! Never looks into a request. A slow or silent peer costs a slot for a bounded time only.

pub(super) mod patience;
pub(super) mod refusals;
mod stall;

use self::{patience::Patient, stall::Stall};
use super::{
    Body, Peer,
    fairness::{Client, Seat, Seats},
};
use crate::auth::{end_of_certificate, user_of_certificate};
use coracle_daemon::{OnExit, Tasks};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// Open connections at once: far more than one team's clients, far fewer than would exhaust memory.
const CONNECTIONS_MAX: usize = 4096;
/// A TLS handshake takes two round trips; a phone on a bad link is done by then.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// From the first byte of a connection, or the end of a request, to the end of the next header.
const HEADER_MAX: Duration = Duration::from_secs(60);
/// A peer that takes no byte for this long has gone.
const WRITE_STALL_MAX: Duration = Duration::from_secs(60);
/// Asked of HTTP/2 peers, so that a dead one is found.
const PING_PERIOD: Duration = Duration::from_secs(30);
/// All headers of a request, bytes.
const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// Requests at once on one HTTP/2 connection; as upstream.
const STREAMS_MAX: u32 = 250;
/// Wait after a failed accept: file descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long running requests of a connection may go on after a stop was asked.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Starts hyper's own tasks as tasks of ours.
#[derive(Clone)]
struct Executor(Tasks);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let task = Patient::new(task, WRITE_STALL_MAX);
        self.0.spawn("http/2 stream", OnExit::Ignore, task);
    }
}

/// What answers requests: one function for a listener.
pub(crate) trait Handle: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn handle(
        &self,
        peer: Arc<Peer>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Accepts until the tasks are asked to stop. Without `tls` the listener speaks plain HTTP.
pub(crate) async fn run<H: Handle>(
    tasks: Tasks,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    handler: H,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let seats = Seats::new(CONNECTIONS_MAX);
    let tls = tls.map(TlsAcceptor::from);
    let stop = tasks.stop().clone();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, address, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(seat) = seats.take(Client::Address(address.ip()), 1) else {
            refusals::tell(address, || "too many connections of one address".to_owned());
            continue;
        };
        let connection = Connection {
            tasks: tasks.clone(),
            address,
            slot,
            seat,
        };
        tasks.spawn(
            "http connection",
            OnExit::Ignore,
            connection.serve(stream, tls.clone(), handler.clone()),
        );
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, slot))
}

struct Connection {
    tasks: Tasks,
    address: SocketAddr,
    slot: OwnedSemaphorePermit,
    seat: Seat,
}

impl Connection {
    async fn serve<H: Handle>(self, stream: TcpStream, tls: Option<TlsAcceptor>, handler: H) {
        let _no_delay = stream.set_nodelay(true);
        let stream = Stall::new(stream, WRITE_STALL_MAX);
        let Some(tls) = tls else {
            let peer = Peer {
                address: self.address,
                user: None,
                until: None,
            };
            return self.speak(stream, peer, handler).await;
        };
        match timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates();
                let own = certificates.and_then(|chain| chain.first());
                let peer = Peer {
                    address: self.address,
                    user: own.and_then(|certificate| user_of_certificate(certificate)),
                    until: own.and_then(|certificate| end_of_certificate(certificate)),
                };
                self.speak(stream, peer, handler).await;
            }
            Ok(Err(error)) => {
                refusals::tell(self.address, || format!("TLS handshake failed: {error}"));
            }
            Err(_elapsed) => tracing::debug!(peer = %self.address, "TLS handshake took too long"),
        }
    }

    async fn speak<S, H>(self, stream: S, peer: Peer, handler: H)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Handle,
    {
        let peer = Arc::new(peer);
        let service = service_fn(move |request| {
            let (handler, peer) = (handler.clone(), Arc::clone(&peer));
            async move { Ok::<_, Infallible>(handler.handle(peer, request).await) }
        });
        let mut server = auto::Builder::new(Executor(self.tasks.clone()));
        server
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_MAX)
            .max_buf_size(128 * 1024);
        server
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_PERIOD)
            .keep_alive_timeout(PING_PERIOD)
            .max_header_list_size(HEADER_BYTES_MAX)
            .max_send_buf_size(128 * 1024)
            .max_concurrent_streams(STREAMS_MAX);
        let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.tasks.stop().cancelled() => {
                connection.as_mut().graceful_shutdown();
                match timeout(DRAIN_MAX, connection).await {
                    Ok(ended) => ended,
                    Err(_elapsed) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::trace!(peer = %self.address, error = %error, "connection ended");
        }
        drop((self.slot, self.seat));
    }
}
