//! One node's session: the control stream, from its hello to its end.
//!
//! The loop owns what the node shall run and what it was told; two helpers write: one the frames, one
//! the statuses. A lost link changes nothing of the node's pods; it is only noted in [`Liveness`].
//!
//! [`Liveness`]: crate::liveness::Liveness

use super::{
    Shared,
    desired::{Desired, Names},
    dispatch,
    enroll::{self, Refused},
    links::Session,
    node_object::{self, Facts},
    statuses::{self, Batch},
    streams,
};
use crate::{
    events::{EventType, KUBELET, Occurrence, Reference},
    pki,
    registry::{Context, Subresource},
};
use coracle_api::{Key, StatusError, kind};
use coracle_daemon::OnExit;
use coracle_link::{
    frame::{self, Reader, TO_AGENT_BYTES_MAX, TO_CONTROLLER_BYTES_MAX},
    node::{NodeInfo, NodeUsage},
    pb,
    pb::{RefusalReason as Reason, to_agent, to_controller},
    quic::close,
    session::PodSetSender,
    status::{Event, PodStatus},
};
use jiff::Timestamp;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// The hello has to arrive within this.
const HELLO_TIMEOUT: Duration = Duration::from_secs(15);
/// Messages to one agent that wait for its link.
const OUT_MAX: usize = 16;
/// How often an expired certificate is looked for.
const EXPIRY_PERIOD: Duration = Duration::from_secs(30);
/// A refusal has to be on its way before the connection closes.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Events of one batch; an agent queues fewer.
const EVENTS_MAX: usize = 512;

/// Who is at the other end, by its certificate.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) node: String,
    /// Fingerprint of its key.
    pub(super) key: String,
    pub(super) expires: Timestamp,
}

impl Peer {
    /// The node that a certificate of ours names; none for users and for what cannot be read.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let user = crate::auth::user_of_certificate(certificate)?;
        let node = user.name.strip_prefix(pki::NODE_USER_PREFIX)?.to_owned();
        if !user.groups.iter().any(|group| group == pki::NODES) {
            return None;
        }
        Some(Self {
            node,
            key: pki::key_of_certificate(certificate)?,
            expires: pki::end_of_certificate(certificate)?,
        })
    }
}

/// Why a session ended.
enum End {
    /// The connection is gone: lost, or closed with this code.
    Gone(Option<u32>),
    /// The agent is told why.
    Refused(Refused),
    /// The agent broke the protocol.
    Protocol(String),
    /// Its certificate has run out.
    Expired,
    /// The controller stops.
    Shutdown,
}

/// Serves a connection of a node to its end.
pub(super) async fn serve(shared: Arc<Shared>, connection: quinn::Connection, peer: Peer) {
    let accepted = tokio::time::timeout(HELLO_TIMEOUT, hello(&shared, &connection, &peer)).await;
    let (mut opened, hello) = match accepted {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(end)) => return close_early(&shared, &connection, &peer, end).await,
        Err(_elapsed) => {
            connection.close(close::PROTOCOL.into(), b"no hello came");
            return;
        }
    };
    let node = peer.node.clone();
    let session = shared.links.open(&node, connection.clone());
    shared.liveness.connected(&node);
    tracing::info!(node, peer = %connection.remote_address(), "node connected");
    let end = match hello.info.map(NodeInfo::try_from) {
        Some(Ok(info)) => {
            let running = Running::start(&shared, &session, &peer, opened.out());
            Box::pin(running.run(&mut opened, info, hello.have)).await
        }
        Some(Err(error)) => End::Protocol(format!("the hello cannot be used: {error}")),
        None => End::Protocol("the hello has no NodeInfo".to_owned()),
    };
    finish(&shared, &session, opened, end).await;
}

/// The control stream: its reader, and a task that writes.
struct Opened {
    reader: Reader<quinn::RecvStream>,
    out: mpsc::Sender<pb::ToAgent>,
}

impl Opened {
    fn out(&self) -> mpsc::Sender<pb::ToAgent> {
        self.out.clone()
    }
}

async fn hello(
    shared: &Shared,
    connection: &quinn::Connection,
    peer: &Peer,
) -> Result<(Opened, pb::Hello), (Option<quinn::SendStream>, End)> {
    let accepted = connection.accept_bi().await;
    let (send, receive) = accepted.map_err(|error| (None, gone(&error)))?;
    let mut reader = Reader::new(receive, TO_CONTROLLER_BYTES_MAX);
    let first = reader.next::<pb::ToController>().await;
    let message = match first {
        Ok(message) => message.and_then(|message| message.message),
        Err(error) => return Err((None, End::Protocol(error.to_string()))),
    };
    let Some(to_controller::Message::Hello(hello)) = message else {
        let why = "the first message is no hello".to_owned();
        return Err((None, End::Protocol(why)));
    };
    if let Err(refused) = admit(shared, peer, &hello) {
        return Err((Some(send), End::Refused(refused)));
    }
    let (out, queue) = mpsc::channel(OUT_MAX);
    let writing = write(send, queue);
    shared.tasks.spawn("link writer", OnExit::Ignore, writing);
    Ok((Opened { reader, out }, hello))
}

/// Whether a node may have a session: its Node is there and is of its key.
fn admit(shared: &Shared, peer: &Peer, hello: &pb::Hello) -> Result<(), Refused> {
    if hello.node_name != peer.node {
        let why = "the hello names another node than the certificate";
        return Err(Refused::new(Reason::Malformed, why));
    }
    let key = Key::cluster(&peer.node);
    let Some(node) = shared.registry.cache().get(kind::NODE, &key) else {
        return Err(dispatch::deleted(&peer.node));
    };
    if enroll::device_key(&node) != peer.key {
        let why = format!("the node {:?} belongs to another device's key", peer.node);
        return Err(Refused::new(Reason::NameTaken, why));
    }
    Ok(())
}

/// Writes frames until the session ends or the link does.
async fn write(mut send: quinn::SendStream, mut queue: mpsc::Receiver<pb::ToAgent>) {
    while let Some(message) = queue.recv().await {
        match frame::write(&mut send, &message, TO_AGENT_BYTES_MAX).await {
            Ok(_bytes) => {}
            Err(error @ frame::Error::TooLarge { .. }) => {
                tracing::error!(%error, "leaving out a message to an agent: a pod with that many ConfigMaps and Secrets cannot run");
            }
            Err(error) => {
                tracing::debug!(%error, "cannot write to an agent");
                return;
            }
        }
    }
    let _gone = send.finish();
    // Until the last message has arrived, or nobody is there to take it.
    let _arrived = tokio::time::timeout(REFUSAL_TIMEOUT, send.stopped()).await;
}

fn gone(error: &quinn::ConnectionError) -> End {
    match error {
        quinn::ConnectionError::ApplicationClosed(closed) => {
            End::Gone(u32::try_from(closed.error_code.into_inner()).ok())
        }
        _ => End::Gone(None),
    }
}

fn refusal(refused: &Refused) -> pb::ToAgent {
    pb::ToAgent {
        message: Some(to_agent::Message::Refusal(refused.wire())),
    }
}

async fn close_early(
    shared: &Shared,
    connection: &quinn::Connection,
    peer: &Peer,
    (send, end): (Option<quinn::SendStream>, End),
) {
    match end {
        End::Refused(refused) => {
            shared.links.count_refused();
            tracing::warn!(node = %peer.node, peer = %connection.remote_address(), reason = refused.name(), "refusing a node: {}", refused.message);
            if let Some(send) = send {
                let (out, queue) = mpsc::channel(1);
                let _has_room = out.try_send(refusal(&refused));
                drop(out);
                write(send, queue).await;
            }
            connection.close(close::REFUSED.into(), refused.message.as_bytes());
        }
        End::Protocol(why) => {
            tracing::warn!(node = %peer.node, peer = %connection.remote_address(), "closing a link: {why}");
            connection.close(close::PROTOCOL.into(), why.as_bytes());
        }
        End::Gone(_) | End::Expired | End::Shutdown => {
            connection.close(close::SHUTDOWN.into(), b"");
        }
    }
}

/// Says goodbye, and tells the rest of the controller what became of the link.
async fn finish(shared: &Shared, session: &Session, opened: Opened, end: End) {
    let (node, connection) = (&session.node, &session.connection);
    match &end {
        End::Refused(refused) => {
            let _writer_gone = opened.out.send(refusal(refused)).await;
            drop(opened);
            let _arrived = tokio::time::timeout(REFUSAL_TIMEOUT, connection.closed()).await;
            connection.close(close::REFUSED.into(), refused.message.as_bytes());
            tracing::info!(
                node,
                reason = refused.name(),
                "session ended: {}",
                refused.message
            );
        }
        End::Protocol(why) => {
            tracing::warn!(node, peer = %connection.remote_address(), "closing a link: {why}");
            connection.close(close::PROTOCOL.into(), why.as_bytes());
        }
        End::Expired => {
            tracing::warn!(node, "closing a link: the node's certificate has expired");
            connection.close(close::EXPIRED.into(), b"the certificate has expired");
        }
        End::Shutdown => connection.close(close::SHUTDOWN.into(), b"the controller stops"),
        End::Gone(_) => {}
    }
    if !shared.links.close(session) || matches!(end, End::Shutdown) {
        return;
    }
    let exists = shared
        .registry
        .cache()
        .get(kind::NODE, &Key::cluster(node))
        .is_some();
    match end {
        _ if !exists => shared.liveness.forget(node),
        End::Gone(Some(close::GOODBYE)) => {
            tracing::info!(node, "node left");
            shared.liveness.left(node);
        }
        _ => {
            tracing::warn!(node, "lost the link of a node");
            shared.liveness.lost(node);
        }
    }
}

/// A session that is under way.
struct Running {
    shared: Arc<Shared>,
    session: Arc<Session>,
    peer: Peer,
    out: mpsc::Sender<pb::ToAgent>,
    batches: mpsc::Sender<Batch>,
    desired: Desired,
    address: String,
    pod_cidr: String,
}

impl Running {
    fn start(
        shared: &Arc<Shared>,
        session: &Arc<Session>,
        peer: &Peer,
        out: mpsc::Sender<pb::ToAgent>,
    ) -> Self {
        let (batches, queue) = mpsc::channel(statuses::BATCHES_MAX);
        let node = session.node.clone();
        let writing = statuses::write(Arc::clone(shared), node, queue, out.clone());
        shared.tasks.spawn("link statuses", OnExit::Ignore, writing);
        let streams = streams::accept(Arc::clone(shared), Arc::clone(session));
        shared.tasks.spawn("link streams", OnExit::Ignore, streams);
        Self {
            shared: Arc::clone(shared),
            session: Arc::clone(session),
            desired: Desired::new(&session.node),
            peer: peer.clone(),
            out,
            batches,
            address: String::new(),
            pod_cidr: String::new(),
        }
    }

    async fn run(mut self, opened: &mut Opened, info: NodeInfo, have: Vec<pb::HavePod>) -> End {
        if let Err(error) = self.node(info).await {
            return End::Refused(error.into());
        }
        let cache = self.shared.registry.cache().clone();
        let mut told = PodSetSender::new(have);
        let mut routes = self.shared.routes.subscribe();
        self.send(to_agent::Message::Welcome(pb::Welcome {
            pod_cidr: self.pod_cidr.clone(),
            time_ms: self.shared.registry.clock().unix_millis(),
        }))
        .await;
        let first = dispatch::message(&routes.borrow_and_update().clone());
        if let Some(message) = first.message {
            self.send(message).await;
        }
        let all = Names {
            all: true,
            ..Names::default()
        };
        self.desired.refresh(&cache, all);
        let (session, stop) = (Arc::clone(&self.session), self.shared.tasks.stop().clone());
        let mut expiry = tokio::time::interval(EXPIRY_PERIOD);
        loop {
            while told.may_send() {
                let Some(set) = told.next(self.desired.pods()) else {
                    break;
                };
                self.send(to_agent::Message::PodSet(set)).await;
            }
            let message = tokio::select! {
                biased;
                () = stop.cancelled() => return End::Shutdown,
                Some(refused) = session.ended() => return End::Refused(refused),
                message = opened.reader.next::<pb::ToController>() => message,
                () = session.dirty.changed() => {
                    self.desired.refresh(&cache, session.dirty.take());
                    continue;
                }
                Ok(()) = routes.changed() => {
                    let routes = Arc::clone(&routes.borrow_and_update());
                    if let Some(message) = dispatch::message(&routes).message {
                        self.send(message).await;
                    }
                    continue;
                }
                _ = expiry.tick() => {
                    if self.peer.expires <= self.shared.registry.clock().now() {
                        return End::Expired;
                    }
                    continue;
                }
            };
            let message = match message {
                Ok(Some(message)) => message.message,
                Ok(None) | Err(frame::Error::Stream(_) | frame::Error::Cut) => {
                    return gone(&session.connection.closed().await);
                }
                Err(error) => return End::Protocol(error.to_string()),
            };
            if let Some(to_controller::Message::PodSetAck(ack)) = &message {
                told.acknowledge(ack.sequence);
                continue;
            }
            if let Err(end) = self.take(message).await {
                return end;
            }
        }
    }

    async fn send(&self, message: to_agent::Message) {
        let message = pb::ToAgent {
            message: Some(message),
        };
        // A writer that is gone has lost the link; the reader notices it too.
        let _gone = self.out.send(message).await;
    }

    /// One message of the agent, acknowledgements aside.
    async fn take(&mut self, message: Option<to_controller::Message>) -> Result<(), End> {
        match message {
            Some(to_controller::Message::NodeInfo(info)) => {
                let info = NodeInfo::try_from(info);
                let info = info.map_err(|error| End::Protocol(error.to_string()))?;
                if let Err(error) = self.node(info).await {
                    tracing::warn!(node = %self.session.node, error = %error.message, "cannot write the node's status");
                }
            }
            Some(to_controller::Message::Statuses(batch)) => self.statuses(batch).await,
            Some(to_controller::Message::Events(batch)) => self.events(batch),
            Some(to_controller::Message::Usage(usage)) => {
                self.session.set_usage(NodeUsage::from(usage));
            }
            Some(to_controller::Message::Renew(request)) => self.renew(&request).await?,
            Some(to_controller::Message::Hello(_)) => {
                return Err(End::Protocol("a second hello".to_owned()));
            }
            Some(to_controller::Message::PodSetAck(_)) => {}
            None => {
                tracing::debug!(node = %self.session.node, "skipping a message of a newer agent");
            }
        }
        Ok(())
    }

    async fn statuses(&self, batch: pb::StatusBatch) {
        let mut reports = Vec::with_capacity(batch.statuses.len());
        for wire in batch.statuses {
            match PodStatus::try_from(wire) {
                Ok(status) => {
                    let key = Key::new(&status.namespace, &status.name);
                    let generation = self.desired.generation(&key, status.observed_revision);
                    reports.push((status, generation));
                }
                Err(error) => {
                    tracing::warn!(node = %self.session.node, %error, "skipping a status that cannot be used");
                }
            }
        }
        let batch = Batch {
            version: batch.version,
            reports,
            address: self.address.clone(),
        };
        // Waits while four are being written: then the agent waits too, by QUIC's flow control.
        let _gone = self.batches.send(batch).await;
    }

    fn events(&self, batch: pb::EventBatch) {
        let node = &self.session.node;
        for event in batch.events.into_iter().take(EVENTS_MAX) {
            match Event::try_from(event) {
                Ok(event) => match self.occurrence(event) {
                    Some(occurrence) => self.shared.recorder.record(occurrence),
                    None => {
                        tracing::warn!(node, "refusing an event of a pod that is not on this node");
                    }
                },
                Err(error) => tracing::warn!(node, %error, "skipping an event that cannot be used"),
            }
        }
    }

    /// An event of the node or of one of its own pods.
    fn occurrence(&self, event: Event) -> Option<Occurrence> {
        let node = &self.session.node;
        let about = if event.name.is_empty() {
            Reference {
                // As upstream's kubelet: the name stands for the uid.
                uid: node.clone(),
                ..Reference::by_name(kind::NODE, &Key::cluster(node))
            }
        } else {
            let key = Key::new(&event.namespace, &event.name);
            // One that is gone from the API may still have last words; its events are its own.
            let object = self.shared.registry.cache().get(kind::POD, &key);
            let foreign = object.as_ref().is_some_and(|object| {
                object.uid() == event.pod_uid && object.value()["spec"]["nodeName"] != node.as_str()
            });
            if foreign {
                return None;
            }
            Reference {
                uid: event.pod_uid,
                field_path: event.field_path,
                ..Reference::by_name(kind::POD, &key)
            }
        };
        Some(Occurrence {
            about,
            event_type: if event.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: event.reason,
            message: event.message,
            component: KUBELET,
            host: node.clone(),
        })
    }

    /// A new certificate for the same key.
    async fn renew(&mut self, request: &pb::RenewCertificate) -> Result<(), End> {
        if pki::key_of_request(&request.csr).as_ref() != Some(&self.peer.key) {
            let why = "a certificate can be renewed for the node's own key only";
            return Err(End::Refused(Refused::new(Reason::Malformed, why)));
        }
        let signed = self.shared.pki.sign_node(&self.peer.node, &request.csr);
        let (certificate, expires) = signed
            .map_err(|error| End::Refused(Refused::new(Reason::Malformed, error.to_string())))?;
        let ca = self.shared.pki.ca_der();
        let ca = ca.map_err(|error| End::Refused(Refused::new(Reason::Busy, error.to_string())))?;
        self.peer.expires = expires;
        self.send(to_agent::Message::Certificate(pb::Certificate {
            certificate: certificate.to_vec(),
            ca: ca.to_vec(),
        }))
        .await;
        Ok(())
    }

    /// Brings the Node object in step with what the agent says.
    async fn node(&mut self, info: NodeInfo) -> Result<(), StatusError> {
        let shared = Arc::clone(&self.shared);
        let name = self.session.node.clone();
        let block = shared.blocks.block(shared.registry.cache(), &name);
        self.pod_cidr = block.unwrap_or_default();
        let peer = self.session.connection.remote_address().ip();
        let peer = peer.to_canonical().to_string();
        let facts = Facts {
            name: &name,
            device_key: &self.peer.key,
            pod_cidr: &self.pod_cidr,
            peer: &peer,
            now: shared.registry.clock().now(),
        };
        node_object::address(&info, &facts).clone_into(&mut self.address);
        let context = Context::system("link");
        let key = Key::cluster(&name);
        let registry = &shared.registry;
        let part = |part, status| {
            let (info, facts) = (&info, &facts);
            registry.modify(&context, kind::NODE, &key, part, move |node| {
                if status {
                    node["status"] = node_object::status(node, info, facts);
                } else {
                    node_object::update(node, info, facts);
                }
                Ok(())
            })
        };
        let before = part(Subresource::None, false).await?;
        let after = part(Subresource::Status, true).await?;
        if !is_ready(&before.value()) && is_ready(&after.value()) {
            shared.recorder.record(turned_ready(&name));
        }
        Ok(())
    }
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// In the words of upstream's kubelet, who names the node in place of its uid.
fn turned_ready(node: &str) -> Occurrence {
    Occurrence {
        about: Reference {
            uid: node.to_owned(),
            ..Reference::by_name(kind::NODE, &Key::cluster(node))
        },
        event_type: EventType::Normal,
        reason: "NodeReady".to_owned(),
        message: format!("Node {node} status is now: NodeReady"),
        component: KUBELET,
        host: node.to_owned(),
    }
}
