//! A controller that does what it is told: it admits nodes, sends a pod set, serves code, and writes down what it hears.

use coracle_daemon::{Clock, OnExit, Tasks};
use coracle_link::{
    enroll, frame,
    node::{NodeInfo, NodeUsage},
    pb,
    pb::{RefusalReason, stream_reply::Reply, stream_request::Request, to_agent, to_controller},
    pod::Pod,
    quic,
    route::ServicePort,
    session::{Outgoing, PodSetSender},
    status::{Event, PodStatus},
};
use parking_lot::Mutex;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PublicKeyData as _,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt as _, sync::watch};

/// Waits for a level give up after this.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);
/// Of a node certificate.
const LIFE_SECS: i64 = 24 * 3600;

pub(crate) struct Controller {
    pub(crate) inner: Arc<Inner>,
    address: SocketAddr,
    tasks: Mutex<Tasks>,
}

pub(crate) struct Inner {
    issuer: Issuer<'static, KeyPair>,
    ca: CertificateDer<'static>,
    pub(crate) clock: Clock,
    tokens: Mutex<HashSet<String>>,
    /// The public key of each node that joined.
    keys: Mutex<HashMap<String, Vec<u8>>>,
    pub(crate) refuse: Mutex<Option<RefusalReason>>,
    desired: Mutex<BTreeMap<String, Outgoing>>,
    changes: watch::Sender<u64>,
    /// To be sent.
    routes: Mutex<Option<pb::Routes>>,
    pub(crate) code: Mutex<HashMap<String, Arc<[u8]>>>,
    /// Bytes after which the next fetch is cut.
    pub(crate) cut_fetch: Mutex<Option<usize>>,
    pub(crate) statuses: watch::Sender<HashMap<String, PodStatus>>,
    pub(crate) events: watch::Sender<Vec<Event>>,
    pub(crate) usage: watch::Sender<Option<NodeUsage>>,
    pub(crate) info: watch::Sender<Option<NodeInfo>>,
    pub(crate) connection: watch::Sender<Option<Connection>>,
    /// Specs sent.
    pub(crate) sent: AtomicUsize,
    pub(crate) fetched: AtomicUsize,
    pub(crate) fetched_bytes: AtomicUsize,
    pub(crate) renewed: watch::Sender<usize>,
    pub(crate) came_home: AtomicUsize,
}

#[derive(Debug)]
struct Time(Clock);

impl rustls::time_provider::TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.unix_millis()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn time(secs: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(secs).unwrap()
}

impl Inner {
    fn new(clock: Clock) -> Self {
        let (key, mut params) = (key(), CertificateParams::new(Vec::new()).unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            ca,
            clock,
            tokens: Mutex::default(),
            keys: Mutex::default(),
            refuse: Mutex::default(),
            desired: Mutex::default(),
            changes: watch::Sender::new(0),
            routes: Mutex::default(),
            code: Mutex::default(),
            cut_fetch: Mutex::default(),
            statuses: watch::Sender::default(),
            events: watch::Sender::default(),
            usage: watch::Sender::default(),
            info: watch::Sender::default(),
            connection: watch::Sender::default(),
            sent: AtomicUsize::new(0),
            fetched: AtomicUsize::new(0),
            fetched_bytes: AtomicUsize::new(0),
            renewed: watch::Sender::new(0),
            came_home: AtomicUsize::new(0),
        }
    }

    fn now_secs(&self) -> i64 {
        self.clock.unix_millis() / 1000
    }

    fn server(&self, address: SocketAddr) -> Result<Endpoint, quic::Error> {
        let (key, mut params) = (
            key(),
            CertificateParams::new(vec![quic::SERVER_NAME.to_owned()]).unwrap(),
        );
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let identity = quic::Identity {
            chain: vec![certificate.der().clone(), self.ca.clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        };
        let time = Arc::new(Time(self.clock.clone()));
        quic::server(address, identity, self.ca.clone(), Some(time))
    }

    fn certificate(&self, csr: Vec<u8>) -> (pb::Certificate, Vec<u8>) {
        let mut csr = CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
        csr.params.not_before = time(self.now_secs() - 1);
        csr.params.not_after = time(self.now_secs() + LIFE_SECS);
        csr.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let name = csr.params.distinguished_name.get(&DnType::CommonName);
        assert!(format!("{name:?}").contains("system:node:"), "{name:?}");
        let point = csr.public_key.der_bytes().to_vec();
        let certificate = csr.signed_by(&self.issuer).unwrap();
        let given = pb::Certificate {
            certificate: certificate.der().to_vec(),
            ca: self.ca.to_vec(),
        };
        (given, point)
    }
}

impl Controller {
    pub(crate) fn start(clock: Clock) -> Self {
        let inner = Arc::new(Inner::new(clock));
        let endpoint = inner.server(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = endpoint.local_addr().unwrap();
        let controller = Self {
            inner,
            address,
            tasks: Mutex::new(Tasks::new()),
        };
        controller.serve(endpoint);
        controller
    }

    /// A join token, `TOKEN@ADDR`.
    pub(crate) fn token(&self) -> String {
        let secret: String = (0..32)
            .map(|_| char::from(rand::random_range(b'a'..=b'z')))
            .collect();
        let mut ca_sha256 = [0; 32];
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.inner.ca);
        ca_sha256.copy_from_slice(digest.as_ref());
        let token = coracle_link::token::JoinToken {
            id: "abc123".to_owned(),
            secret: secret.into(),
            ca_sha256,
        };
        self.inner
            .tokens
            .lock()
            .insert(token.credential().to_string());
        format!("{}@{}", *token.reveal(), self.address)
    }

    pub(crate) fn run_image(&self, reference: &str, wasm: &[u8]) {
        let target = "x86_64-unknown-linux-gnu";
        let target = if cfg!(target_arch = "x86_64") {
            target
        } else {
            "aarch64-unknown-linux-gnu"
        };
        let code = coracle_runtime::compile::compile(wasm, target).unwrap();
        self.inner
            .code
            .lock()
            .insert(reference.to_owned(), code.into());
    }

    pub(crate) fn want(&self, pod: &Pod) {
        self.inner
            .desired
            .lock()
            .insert(pod.uid.clone(), Outgoing::new(pod));
        self.inner.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn unwant(&self, uid: &str) {
        self.inner.desired.lock().remove(uid);
        self.inner.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn route(&self, ports: &[ServicePort]) {
        let ports = ports.iter().map(Into::into).collect();
        *self.inner.routes.lock() = Some(pb::Routes { ports });
        self.inner.changes.send_modify(|count| *count += 1);
    }

    /// Goes away, as a machine that is switched off or a process that is stopped.
    pub(crate) async fn stop(&self) {
        let tasks = self.tasks.lock().clone();
        tasks.shut_down(LIMIT).await;
        self.inner.connection.send_replace(None);
    }

    /// Comes back at the same address, as soon as the old socket is gone.
    pub(crate) async fn restart(&self) {
        *self.tasks.lock() = Tasks::new();
        let bind = async {
            loop {
                match self.inner.server(self.address) {
                    Ok(endpoint) => break endpoint,
                    Err(_taken) => tokio::task::yield_now().await,
                }
            }
        };
        let endpoint = tokio::time::timeout(LIMIT, bind).await;
        self.serve(endpoint.expect("the address is free again"));
    }

    fn serve(&self, endpoint: Endpoint) {
        let (inner, tasks) = (Arc::clone(&self.inner), self.tasks.lock().clone());
        let stop = tasks.stop().clone();
        let spawner = tasks.clone();
        tasks.spawn("accept", OnExit::Ignore, async move {
            loop {
                let incoming = tokio::select! {
                    incoming = endpoint.accept() => incoming.unwrap(),
                    () = stop.cancelled() => break,
                };
                let inner = Arc::clone(&inner);
                let ended = stop.clone();
                spawner.spawn("connection", OnExit::Ignore, async move {
                    let Ok(connection) = incoming.await else {
                        return;
                    };
                    let serving = Box::pin(connected(inner, connection.clone()));
                    tokio::select! { () = serving => {}, () = ended.cancelled() => {} }
                    connection.close(quic::close::SHUTDOWN.into(), b"");
                });
            }
            endpoint.close(quic::close::SHUTDOWN.into(), b"");
            endpoint.wait_idle().await;
        });
    }

    /// The status of a pod once it is as wanted.
    pub(crate) async fn status(&self, uid: &str, is: impl Fn(&PodStatus) -> bool) -> PodStatus {
        let mut statuses = self.inner.statuses.subscribe();
        let found = statuses.wait_for(|all| all.get(uid).is_some_and(&is));
        let found = tokio::time::timeout(LIMIT, found).await.map(Result::unwrap);
        match found {
            Ok(all) => all[uid].clone(),
            Err(_elapsed) => panic!("{uid}: {:#?}", self.inner.statuses.borrow().get(uid)),
        }
    }

    /// The first event of a reason.
    pub(crate) async fn event(&self, reason: &str) -> Event {
        let mut events = self.inner.events.subscribe();
        let is = |event: &&Event| event.reason == reason;
        let found = events.wait_for(|all| all.iter().any(|event| is(&event)));
        match tokio::time::timeout(LIMIT, found).await.map(Result::unwrap) {
            Ok(all) => all.iter().find(is).unwrap().clone(),
            Err(_elapsed) => panic!("no {reason} in {:#?}", *self.inner.events.borrow()),
        }
    }

    pub(crate) async fn connection(&self) -> Connection {
        let mut connection = self.inner.connection.subscribe();
        let up = tokio::time::timeout(LIMIT, connection.wait_for(Option::is_some)).await;
        up.expect("the agent connects").unwrap().clone().unwrap()
    }

    /// Opens a stream to the agent: the reply, and the stream.
    pub(crate) async fn ask(
        &self,
        request: Request,
    ) -> (Reply, SendStream, frame::Reader<RecvStream>) {
        let (mut send, recv) = self.connection().await.open_bi().await.unwrap();
        let request = pb::StreamRequest {
            request: Some(request),
        };
        frame::write(&mut send, &request, frame::HEAD_BYTES_MAX)
            .await
            .unwrap();
        let mut reader = frame::Reader::new(recv, frame::HEAD_BYTES_MAX);
        let reply: pb::StreamReply = reader.next().await.unwrap().unwrap();
        (reply.reply.unwrap(), send, reader)
    }
}

/// A connection: with a certificate it is a session, without one it may enroll.
async fn connected(inner: Arc<Inner>, connection: Connection) {
    if quic::peer_certificate(&connection).is_none() {
        while let Ok((send, recv)) = connection.accept_bi().await {
            answer(&inner, &connection, send, recv).await;
        }
        return;
    }
    let Ok((mut send, recv)) = connection.accept_bi().await else {
        return;
    };
    let mut reader = frame::Reader::new(recv, frame::TO_CONTROLLER_BYTES_MAX);
    let Ok(Some(pb::ToController {
        message: Some(to_controller::Message::Hello(hello)),
    })) = reader.next().await
    else {
        return;
    };
    let refused = *inner.refuse.lock();
    if let Some(reason) = refused {
        let refusal = pb::Refusal {
            reason: reason.into(),
            message: "as the test wants".to_owned(),
        };
        write(&mut send, to_agent::Message::Refusal(refusal)).await;
        let _ended = connection.closed().await;
        return;
    }
    let info = hello.info.map(|info| NodeInfo::try_from(info).unwrap());
    inner.info.send_replace(info);
    let welcome = pb::Welcome {
        pod_cidr: "10.244.9.0/24".to_owned(),
        time_ms: inner.clock.unix_millis(),
    };
    write(&mut send, to_agent::Message::Welcome(welcome)).await;
    inner.connection.send_replace(Some(connection.clone()));
    let streams = async {
        while let Ok((send, recv)) = connection.accept_bi().await {
            answer(&inner, &connection, send, recv).await;
        }
    };
    let control = control(&inner, PodSetSender::new(hello.have), send, reader);
    tokio::select! { () = Box::pin(streams) => {}, () = Box::pin(control) => {} }
}

async fn write(send: &mut SendStream, message: to_agent::Message) {
    let message = pb::ToAgent {
        message: Some(message),
    };
    let _gone = frame::write(send, &message, frame::TO_AGENT_BYTES_MAX).await;
}

async fn control(
    inner: &Inner,
    mut sender: PodSetSender,
    mut send: SendStream,
    mut reader: frame::Reader<RecvStream>,
) {
    let mut changes = inner.changes.subscribe();
    loop {
        changes.borrow_and_update();
        let routes = inner.routes.lock().take();
        if let Some(routes) = routes {
            write(&mut send, to_agent::Message::Routes(routes)).await;
        }
        while sender.may_send() {
            let next = sender.next(&inner.desired.lock());
            let Some(set) = next else { break };
            inner.sent.fetch_add(set.changed.len(), Ordering::SeqCst);
            write(&mut send, to_agent::Message::PodSet(set)).await;
        }
        let message = tokio::select! {
            message = reader.next::<pb::ToController>() => message,
            _ = changes.changed() => continue,
        };
        let Ok(Some(message)) = message else { return };
        match message.message {
            Some(to_controller::Message::Statuses(batch)) => {
                let version = batch.version;
                inner.statuses.send_modify(|all| {
                    for status in batch.statuses {
                        let status = PodStatus::try_from(status).unwrap();
                        all.insert(status.uid.clone(), status);
                    }
                });
                let ack = pb::StatusAck {
                    version,
                    resend: Vec::new(),
                };
                write(&mut send, to_agent::Message::StatusAck(ack)).await;
            }
            Some(to_controller::Message::Events(batch)) => inner.events.send_modify(|all| {
                all.extend(
                    batch
                        .events
                        .into_iter()
                        .map(|event| Event::try_from(event).unwrap()),
                );
            }),
            Some(to_controller::Message::Usage(usage)) => {
                inner.usage.send_replace(Some(usage.into()));
            }
            Some(to_controller::Message::PodSetAck(ack)) => sender.acknowledge(ack.sequence),
            Some(to_controller::Message::Renew(request)) => {
                let (certificate, _) = inner.certificate(request.csr);
                write(&mut send, to_agent::Message::Certificate(certificate)).await;
                inner.renewed.send_modify(|count| *count += 1);
            }
            Some(to_controller::Message::NodeInfo(info)) => {
                inner
                    .info
                    .send_replace(Some(NodeInfo::try_from(info).unwrap()));
            }
            Some(to_controller::Message::Hello(_)) | None => return,
        }
    }
}

async fn answer(inner: &Inner, connection: &Connection, mut send: SendStream, recv: RecvStream) {
    let mut reader = frame::Reader::new(recv, frame::HEAD_BYTES_MAX);
    let Ok(Some(pb::StreamRequest {
        request: Some(request),
    })) = reader.next().await
    else {
        return;
    };
    let (reply, bytes) = match request {
        Request::Enroll(request) => (enrolled(inner, connection, request), Vec::new()),
        Request::ResolveImage(request) => (resolved(inner, &request), Vec::new()),
        Request::FetchArtifact(request) => fetched(inner, &request),
        Request::ConnectService(_) | Request::ReadLog(_) | Request::ConnectPod(_) => {
            (failure("", "not played here"), Vec::new())
        }
    };
    let reply = pb::StreamReply { reply: Some(reply) };
    if frame::write(&mut send, &reply, frame::HEAD_BYTES_MAX)
        .await
        .is_ok()
    {
        let _gone = send.write_all(&bytes).await;
        let _gone = send.shutdown().await;
    }
}

fn failure(reason: &str, message: &str) -> Reply {
    Reply::Failure(pb::Failure {
        reason: reason.to_owned(),
        message: message.to_owned(),
    })
}

fn enrolled(inner: &Inner, connection: &Connection, request: pb::Enroll) -> Reply {
    let refuse = |reason: RefusalReason, message: &str| {
        Reply::Refusal(pb::Refusal {
            reason: reason.into(),
            message: message.to_owned(),
        })
    };
    let (certificate, point) = inner.certificate(request.csr);
    let challenge = enroll::challenge(connection, &request.node_name).unwrap();
    enroll::verify(&challenge, &request.binding, &point).unwrap();
    let known = inner.keys.lock().get(&request.node_name).cloned();
    if request.token.is_empty() {
        if known != Some(point) {
            return refuse(RefusalReason::UnknownNode, "the node does not exist");
        }
        inner.came_home.fetch_add(1, Ordering::SeqCst);
        return Reply::Certificate(certificate);
    }
    if !inner.tokens.lock().remove(&request.token) {
        return refuse(
            RefusalReason::BadToken,
            "the token is not known or was used",
        );
    }
    if known.is_some_and(|known| known != point) {
        return refuse(RefusalReason::NameTaken, "the name is held by another key");
    }
    inner.keys.lock().insert(request.node_name, point);
    Reply::Certificate(certificate)
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, bytes)
        .as_ref()
        .to_vec()
}

fn resolved(inner: &Inner, request: &pb::ResolveImage) -> Reply {
    match inner.code.lock().get(&request.image) {
        Some(code) => Reply::Image(pb::Image {
            image_digest: format!("sha256:{}", "5".repeat(64)),
            artifact_sha256: sha256(code),
            size: code.len() as u64,
        }),
        None => failure("ErrImagePull", "manifest unknown"),
    }
}

fn fetched(inner: &Inner, request: &pb::FetchArtifact) -> (Reply, Vec<u8>) {
    inner.fetched.fetch_add(1, Ordering::SeqCst);
    let code = inner.code.lock();
    let found = code
        .values()
        .find(|code| sha256(code) == request.artifact_sha256);
    let Some(found) = found else {
        return (failure("", "no such code"), Vec::new());
    };
    let rest = &found[usize::try_from(request.offset).unwrap()..];
    let sent = inner
        .cut_fetch
        .lock()
        .take()
        .map_or(rest, |cut| &rest[..cut.min(rest.len())]);
    inner.fetched_bytes.fetch_add(sent.len(), Ordering::SeqCst);
    (Reply::Accepted(pb::Accepted {}), sent.to_vec())
}
