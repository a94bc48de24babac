//! The open links, for whoever wants something of a node: logs, a connection to a pod, figures.
//!
//! A node has at most one session here, always its newest.

use super::{desired::Dirty, enroll::Refused};
use crate::metrics::Text;
use bytes::Bytes;
use coracle_link::{
    frame::{self, HEAD_BYTES_MAX, Reader},
    node::NodeUsage,
    pb,
    pb::{stream_reply::Reply, stream_request::Request},
};
use futures_util::{Stream, stream};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// An agent answers the head of a stream within this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a log passed on at once.
const LOG_CHUNK_BYTES: usize = 16 << 10;

/// Why a node does not give what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no link, or it ended.
    #[error("node {0:?} is not connected")]
    NotConnected(String),
    /// The agent says no.
    #[error("{0}")]
    Refused(String),
    /// The agent says something else.
    #[error("node {node:?} did not answer: {why}")]
    Broken {
        /// Which.
        node: String,
        /// How.
        why: String,
    },
}

/// Both directions of a connection to a pod.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The session of a node.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) node: String,
    pub(crate) connection: quinn::Connection,
    pub(crate) dirty: Dirty,
    usage: Mutex<Option<NodeUsage>>,
    ending: Mutex<Option<Refused>>,
    end: CancellationToken,
}

impl Session {
    /// Asks the session to refuse its agent and end.
    pub(crate) fn end(&self, why: Refused) {
        self.ending.lock().get_or_insert(why);
        self.end.cancel();
    }

    /// Waits until the session shall end; why.
    pub(crate) async fn ended(&self) -> Option<Refused> {
        self.end.cancelled().await;
        self.ending.lock().clone()
    }

    pub(crate) fn set_usage(&self, usage: NodeUsage) {
        *self.usage.lock() = Some(usage);
    }
}

/// All open links. A clone is another handle to them.
#[derive(Debug, Clone, Default)]
pub struct Links(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    next: AtomicU64,
    /// Of sessions that have ended.
    sent: AtomicU64,
    received: AtomicU64,
    opened: AtomicU64,
    refused: AtomicU64,
}

impl Links {
    /// Makes a connection the node's session; the one before it, if any, is told to end.
    pub(crate) fn open(&self, node: &str, connection: quinn::Connection) -> Arc<Session> {
        let session = Arc::new(Session {
            id: self.0.next.fetch_add(1, Ordering::Relaxed),
            node: node.to_owned(),
            connection,
            dirty: Dirty::default(),
            usage: Mutex::default(),
            ending: Mutex::default(),
            end: CancellationToken::new(),
        });
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        let older = self
            .0
            .sessions
            .lock()
            .insert(node.to_owned(), Arc::clone(&session));
        if let Some(older) = older {
            older.end(Refused::new(
                pb::RefusalReason::Replaced,
                "this node has opened a newer connection",
            ));
        }
        session
    }

    /// Takes a session out; false when a newer one has its place.
    pub(crate) fn close(&self, session: &Session) -> bool {
        let stats = session.connection.stats();
        self.0.sent.fetch_add(stats.udp_tx.bytes, Ordering::Relaxed);
        let received = stats.udp_rx.bytes;
        self.0.received.fetch_add(received, Ordering::Relaxed);
        let mut sessions = self.0.sessions.lock();
        let own = sessions
            .get(&session.node)
            .is_some_and(|newest| newest.id == session.id);
        if own {
            sessions.remove(&session.node);
        }
        own
    }

    /// Someone was not let in.
    pub(crate) fn count_refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, node: &str) -> Option<Arc<Session>> {
        self.0.sessions.lock().get(node).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.0.sessions.lock().values().cloned().collect()
    }

    /// Whether a node's link is open.
    #[must_use]
    pub fn connected(&self, node: &str) -> bool {
        self.0.sessions.lock().contains_key(node)
    }

    /// The newest figures of each connected node that has sent any.
    #[must_use]
    pub fn node_stats(&self) -> HashMap<String, NodeUsage> {
        let sessions = self.all();
        let stats = sessions.iter().filter_map(|session| {
            let usage = session.usage.lock().clone()?;
            Some((session.node.clone(), usage))
        });
        stats.collect()
    }

    /// The bytes of a container's log, until its end or, with `follow`, until the reader goes.
    ///
    /// # Errors
    /// When the node is away or refuses.
    pub async fn logs(
        &self,
        node: &str,
        request: pb::ReadLog,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, Error> {
        let (_send, receive) = self.ask(node, Request::ReadLog(request)).await?;
        Ok(stream::unfold(receive, |mut receive| async move {
            let mut chunk = bytes::BytesMut::with_capacity(LOG_CHUNK_BYTES);
            match receive.read_buf(&mut chunk).await {
                Ok(0) => None,
                Ok(_) => Some((Ok(chunk.freeze()), receive)),
                Err(error) => Some((Err(error), receive)),
            }
        }))
    }

    /// A connection to a port of a pod.
    ///
    /// # Errors
    /// When the node is away or nobody listens there.
    pub async fn connect(
        &self,
        node: &str,
        pod_uid: &str,
        port: u16,
    ) -> Result<Box<dyn Duplex>, Error> {
        let request = pb::ConnectPod {
            pod_uid: pod_uid.to_owned(),
            port: u32::from(port),
        };
        let (send, receive) = self.ask(node, Request::ConnectPod(request)).await?;
        Ok(Box::new(tokio::io::join(receive, send)))
    }

    /// Opens a stream and sends its head; what follows an accepting reply is the caller's.
    async fn ask(
        &self,
        node: &str,
        request: Request,
    ) -> Result<(quinn::SendStream, impl AsyncRead + Send + Unpin + use<>), Error> {
        let session = self.get(node);
        let session = session.ok_or_else(|| Error::NotConnected(node.to_owned()))?;
        let broken = |why: &dyn std::fmt::Display| Error::Broken {
            node: node.to_owned(),
            why: why.to_string(),
        };
        let exchange = async {
            let opened = session.connection.open_bi().await;
            let (mut send, receive) =
                opened.map_err(|_gone| Error::NotConnected(node.to_owned()))?;
            let head = pb::StreamRequest {
                request: Some(request),
            };
            frame::write(&mut send, &head, HEAD_BYTES_MAX)
                .await
                .map_err(|error| broken(&error))?;
            let mut reader = Reader::new(receive, HEAD_BYTES_MAX);
            let reply: Option<pb::StreamReply> =
                reader.next().await.map_err(|error| broken(&error))?;
            match reply.and_then(|reply| reply.reply) {
                Some(Reply::Accepted(_)) => {
                    let (receive, rest) = reader.into_parts();
                    Ok((send, io::Cursor::new(rest).chain(receive)))
                }
                Some(Reply::Failure(failure)) => Err(Error::Refused(failure.message)),
                _ => Err(broken(&"it sent something else")),
            }
        };
        match tokio::time::timeout(HEAD_TIMEOUT, exchange).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(broken(&"it took too long")),
        }
    }

    /// Writes what is known of the links, in Prometheus' form.
    pub fn write_metrics(&self, text: &mut Text) {
        let (mut sent, mut received) = (
            self.0.sent.load(Ordering::Relaxed),
            self.0.received.load(Ordering::Relaxed),
        );
        for session in self.all() {
            let stats = session.connection.stats();
            sent += stats.udp_tx.bytes;
            received += stats.udp_rx.bytes;
        }
        text.family(
            "coracle_link_bytes_total",
            "counter",
            "Bytes of UDP payload on all links.",
        );
        text.sample("coracle_link_bytes_total", &[("direction", "sent")], sent);
        text.sample(
            "coracle_link_bytes_total",
            &[("direction", "received")],
            received,
        );
        for (name, help, value) in [
            (
                "coracle_link_sessions_opened_total",
                "Sessions of nodes since the start.",
                &self.0.opened,
            ),
            (
                "coracle_link_refused_total",
                "Connections and enrollments that were refused.",
                &self.0.refused,
            ),
        ] {
            text.one(name, "counter", help, value.load(Ordering::Relaxed));
        }
    }
}
