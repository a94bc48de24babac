//! Streams that an agent opens beside its control stream: images, and connections to other nodes.
//!
//! An agent gets only code that this session has resolved for one of its own pods, and reaches only
//! ready endpoints of services.

use super::{Shared, links::Session, pod_set};
use crate::{
    images::{Credentials, Prepared, Target},
    object::Object,
};
use coracle_api::{Key, k8s_openapi::api::core::v1::Pod as ApiPod, kind};
use coracle_daemon::OnExit;
use coracle_link::{
    frame::{self, HEAD_BYTES_MAX, Reader},
    pb,
    pb::{stream_reply::Reply, stream_request::Request},
    quic::close,
    route::Endpoint,
};
use parking_lot::Mutex;
use rand::seq::IndexedRandom as _;
use std::{
    collections::{HashMap, VecDeque},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

/// The head of a stream has to arrive within this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Code that a session may fetch at once; the oldest goes, and is resolved again when it is wanted.
const RESOLVED_MAX: usize = 1024;
/// Compiled code is read and sent in pieces of this size.
const CHUNK_BYTES: usize = 64 << 10;

/// Code that this session resolved.
#[derive(Debug, Default)]
pub(super) struct Resolved(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    files: HashMap<[u8; 32], PathBuf>,
    order: VecDeque<[u8; 32]>,
}

impl Resolved {
    fn put(&self, prepared: &Prepared) {
        let mut table = self.0.lock();
        let hash = prepared.artifact_sha256;
        if table
            .files
            .insert(hash, prepared.artifact.clone())
            .is_some()
        {
            return;
        }
        table.order.push_back(hash);
        if table.order.len() > RESOLVED_MAX
            && let Some(oldest) = table.order.pop_front()
        {
            table.files.remove(&oldest);
        }
    }

    fn get(&self, hash: &[u8]) -> Option<PathBuf> {
        let hash: [u8; 32] = hash.try_into().ok()?;
        self.0.lock().files.get(&hash).cloned()
    }
}

/// Answers streams until the connection ends.
pub(super) async fn accept(shared: Arc<Shared>, session: Arc<Session>) {
    let resolved = Arc::new(Resolved::default());
    loop {
        // The number of open streams is QUIC's to limit.
        let Ok((send, receive)) = session.connection.accept_bi().await else {
            return;
        };
        let (shared, session) = (Arc::clone(&shared), Arc::clone(&session));
        let resolved = Arc::clone(&resolved);
        let tasks = shared.tasks.clone();
        let stop = tasks.stop().clone();
        tasks.spawn("link stream", OnExit::Ignore, async move {
            let served = Stream {
                shared: &shared,
                session: &session,
                resolved: &resolved,
            };
            tokio::select! {
                () = stop.cancelled() => {}
                answered = Box::pin(served.answer(send, receive)) => if let Err(error) = answered {
                    tracing::debug!(node = %session.node, %error, "a stream of an agent failed");
                }
            }
        });
    }
}

/// Why a stream came to nothing.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Frame(#[from] frame::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no request came in time")]
    Silent,
}

struct Stream<'a> {
    shared: &'a Shared,
    session: &'a Session,
    resolved: &'a Resolved,
}

fn failure(reason: &str, message: impl Into<String>) -> Reply {
    Reply::Failure(pb::Failure {
        reason: reason.to_owned(),
        message: message.into(),
    })
}

async fn reply(send: &mut quinn::SendStream, reply: Reply) -> Result<(), Error> {
    let reply = pb::StreamReply { reply: Some(reply) };
    frame::write(send, &reply, HEAD_BYTES_MAX).await?;
    Ok(())
}

impl Stream<'_> {
    async fn answer(
        &self,
        mut send: quinn::SendStream,
        receive: quinn::RecvStream,
    ) -> Result<(), Error> {
        let mut reader = Reader::new(receive, HEAD_BYTES_MAX);
        let head = tokio::time::timeout(HEAD_TIMEOUT, reader.next::<pb::StreamRequest>());
        let head = head.await.map_err(|_elapsed| Error::Silent)??;
        match head.and_then(|head| head.request) {
            Some(Request::ResolveImage(request)) => {
                let answer = self.resolve(request).await;
                reply(&mut send, answer).await?;
            }
            Some(Request::FetchArtifact(request)) => self.fetch(&mut send, &request).await?,
            Some(Request::ConnectService(request)) => {
                let (receive, rest) = reader.into_parts();
                let receive = io::Cursor::new(rest).chain(receive);
                return self.relay(send, receive, &request).await;
            }
            _ => {
                reply(
                    &mut send,
                    failure("", "this controller does not know that request"),
                )
                .await?;
            }
        }
        // The agent may have gone; then there is nobody to tell.
        let _gone = send.finish();
        Ok(())
    }

    /// Resolves an image for one of the node's own pods.
    async fn resolve(&self, request: pb::ResolveImage) -> Reply {
        let node = &self.session.node;
        let Some(pod) = self.own_pod(&request.pod_uid) else {
            return failure("ErrImagePull", "the pod is not bound to this node");
        };
        if !has_image(&pod, &request.image) {
            let message = format!("no container of the pod has the image {:?}", request.image);
            return failure("ErrImagePull", message);
        }
        let credentials = self.credentials(&pod, &request.image);
        let target = Target {
            triple: request.target,
            compatibility_hash: request.compatibility_hash,
        };
        let prepared = self
            .shared
            .images
            .prepare(&request.image, &credentials, &target)
            .await;
        match prepared {
            Ok(prepared) => {
                self.resolved.put(&prepared);
                Reply::Image(pb::Image {
                    image_digest: prepared.image_digest.to_string(),
                    artifact_sha256: prepared.artifact_sha256.to_vec(),
                    size: prepared.size,
                })
            }
            Err(error) => {
                let message = error.sentence();
                tracing::info!(node, image = %request.image, "an image cannot be had: {message}");
                failure(error.reason(), message)
            }
        }
    }

    /// A pod by uid, if it is bound to this node.
    fn own_pod(&self, uid: &str) -> Option<Arc<Object>> {
        let pods = self.shared.registry.cache().list(kind::POD, None);
        let pod = pods.into_iter().find(|pod| pod.uid() == uid)?;
        let api: Arc<ApiPod> = pod.typed().ok()?;
        let bound = api.spec.as_ref()?.node_name.as_deref() == Some(&self.session.node);
        bound.then_some(pod)
    }

    fn credentials(&self, pod: &Object, image: &str) -> Vec<Credentials> {
        let Some(source) = crate::images::pulled_from(image) else {
            return Vec::new();
        };
        let cache = self.shared.registry.cache();
        let secret = |name: String| {
            let key = Key::new(&pod.key.namespace, name);
            let secret = cache.get(kind::SECRET, &key)?.value();
            crate::images::docker_config_credentials(&secret["data"], &source)
        };
        let names = pod_set::pull_secrets(pod);
        names.into_iter().filter_map(secret).collect()
    }

    /// Sends compiled code from an offset on.
    async fn fetch(
        &self,
        send: &mut quinn::SendStream,
        request: &pb::FetchArtifact,
    ) -> Result<(), Error> {
        let Some(path) = self.resolved.get(&request.artifact_sha256) else {
            let message = "this code was not resolved on this connection; resolve the image first";
            return reply(send, failure("ErrImagePull", message)).await;
        };
        let mut file = match tokio::fs::File::open(&path).await {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read compiled code");
                let message = "the compiled code is gone; resolve the image again";
                return reply(send, failure("ErrImagePull", message)).await;
            }
        };
        file.seek(io::SeekFrom::Start(request.offset)).await?;
        reply(send, Reply::Accepted(pb::Accepted {})).await?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                return Ok(());
            }
            send.write_all(&chunk[..read])
                .await
                .map_err(io::Error::from)?;
        }
    }

    /// Connects to a ready endpoint of a service on another node and copies both ways.
    async fn relay(
        &self,
        mut send: quinn::SendStream,
        receive: impl tokio::io::AsyncRead + Send + Unpin,
        request: &pb::ConnectService,
    ) -> Result<(), Error> {
        let Some(endpoint) = self.endpoint(request) else {
            let message = format!(
                "no ready endpoint of service {}/{} port {}",
                request.namespace, request.service, request.port
            );
            reply(&mut send, failure("", message)).await?;
            let _gone = send.finish();
            return Ok(());
        };
        let links = &self.shared.links;
        let connected = links
            .connect(&endpoint.node, &endpoint.pod_uid, endpoint.target_port)
            .await;
        let mut other = match connected {
            Ok(other) => other,
            Err(error) => {
                reply(&mut send, failure("", error.to_string())).await?;
                let _gone = send.finish();
                return Ok(());
            }
        };
        reply(&mut send, Reply::Accepted(pb::Accepted {})).await?;
        let mut own = tokio::io::join(receive, send);
        tokio::io::copy_bidirectional(&mut own, &mut other).await?;
        own.shutdown().await?;
        Ok(())
    }

    /// The endpoint an agent chose, if it is one; or one of all, if it chose none.
    fn endpoint(&self, request: &pb::ConnectService) -> Option<Endpoint> {
        let routes = Arc::clone(&self.shared.routes.borrow());
        let port = routes.0.iter().find(|port| {
            port.namespace == request.namespace
                && port.service == request.service
                && u32::from(port.port) == request.port
        })?;
        if request.pod_uid.is_empty() {
            return port.endpoints.choose(&mut rand::rng()).cloned();
        }
        let chosen = port.endpoints.iter().find(|endpoint| {
            endpoint.pod_uid == request.pod_uid
                && u32::from(endpoint.target_port) == request.target_port
        });
        chosen.cloned()
    }
}

fn has_image(pod: &Object, image: &str) -> bool {
    let Ok(pod) = pod.typed::<ApiPod>() else {
        return false;
    };
    pod.spec.as_ref().is_some_and(|spec| {
        let containers = spec.containers.iter();
        let mut all = containers.chain(spec.init_containers.iter().flatten());
        all.any(|container| container.image.as_deref() == Some(image))
    })
}

/// Serves a connection without a certificate: one request to enroll, and nothing else.
pub(super) async fn enroll_only(shared: &Shared, connection: &quinn::Connection) {
    let peer = connection.remote_address();
    let answered = tokio::time::timeout(HEAD_TIMEOUT, enroll_stream(shared, connection)).await;
    match answered {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "an enrollment broke off"),
        Err(_elapsed) => {
            tracing::debug!(%peer, "a connection without a certificate asked for nothing");
        }
    }
    // What was answered has to arrive before the end does.
    let _gone = tokio::time::timeout(HEAD_TIMEOUT, connection.closed()).await;
    connection.close(close::GOODBYE.into(), b"");
}

async fn enroll_stream(shared: &Shared, connection: &quinn::Connection) -> Result<(), Error> {
    let peer = connection.remote_address();
    let opened = connection.accept_bi().await;
    let (mut send, receive) = opened.map_err(io::Error::from)?;
    let mut reader = Reader::new(receive, HEAD_BYTES_MAX);
    let head: Option<pb::StreamRequest> = reader.next().await?;
    let answer = match head.and_then(|head| head.request) {
        Some(Request::Enroll(request)) => {
            let name = request.node_name.clone();
            match super::enroll::enroll(shared, connection, request).await {
                Ok(certificate) => Reply::Certificate(certificate),
                Err(refused) => {
                    shared.refuse(peer.ip());
                    tracing::warn!(%peer, node = %printable(&name), reason = refused.name(), "refusing to enroll: {}", refused.message);
                    Reply::Refusal(refused.wire())
                }
            }
        }
        _ => failure("", "a connection without a certificate may only enroll"),
    };
    reply(&mut send, answer).await?;
    let _gone = send.finish();
    Ok(())
}

/// A name from the wire, fit for a log.
fn printable(name: &str) -> String {
    const NAME_CHARS_MAX: usize = 64;
    let clean = |c: char| if c.is_control() { '?' } else { c };
    name.chars().take(NAME_CHARS_MAX).map(clean).collect()
}
