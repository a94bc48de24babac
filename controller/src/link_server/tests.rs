//! A real registry and a real link on loopback; the agent is played by the test.

use super::*;
use crate::{
    images::Program,
    registry::{Context, DeleteOptions},
    store::Embedded,
};
use coracle_api::{Key, kind};
use coracle_link::{
    enroll,
    frame::{self, HEAD_BYTES_MAX, Reader, TO_AGENT_BYTES_MAX, TO_CONTROLLER_BYTES_MAX},
    pb::{
        self, RefusalReason, stream_reply::Reply, stream_request::Request, to_agent, to_controller,
    },
    quic::{Identity, Profile, Trust},
    token::JoinToken,
};
use rand::{SeedableRng as _, rngs::StdRng};
use rcgen::{KeyPair, SigningKey as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

/// For anything that has to happen.
const LIMIT: Duration = Duration::from_secs(20);

struct Cluster {
    _dir: tempfile::TempDir,
    registry: Registry,
    tokens: Tokens,
    pki: Arc<Pki>,
    liveness: Liveness,
    links: Links,
    address: SocketAddr,
    clock: Clock,
    tasks: Tasks,
}

impl Cluster {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual("2026-03-01T00:00:00Z".parse().unwrap());
        let tasks = Tasks::new();
        let store = Arc::new(Embedded::open(&dir.path().join("store")).unwrap());
        let registry = Registry::open(store, clock.clone(), &tasks).unwrap();
        registry.bootstrap().await.unwrap();
        let pki = Arc::new(Pki::open(&dir.path().join("pki"), clock.clone()).unwrap());
        let program = Program {
            path: "/nowhere".into(),
            args: Vec::new(),
        };
        let images = Images::open(&dir.path().join("images"), program, Vec::new()).unwrap();
        let (liveness, tokens) = (Liveness::new(), Tokens::new(registry.clone()));
        let parts = Parts {
            registry: registry.clone(),
            pki: Arc::clone(&pki),
            images,
            liveness: liveness.clone(),
            recorder: Recorder::start(&registry, &tasks),
            tokens: tokens.clone(),
            pod_range: PodRange::default(),
        };
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let (address, links) = super::start(loopback, parts, &tasks).unwrap();
        Self {
            _dir: dir,
            registry,
            tokens,
            pki,
            liveness,
            links,
            address,
            clock,
            tasks,
        }
    }

    /// Everything ends, and soon.
    async fn stop(self) {
        let tasks = self.tasks.clone();
        drop(self);
        assert!(tasks.shut_down(LIMIT).await);
    }

    async fn token(&self) -> JoinToken {
        let ca = self.pki.ca_der().unwrap();
        let token = crate::join::generate(&ca, &mut StdRng::from_os_rng());
        let secret = token.secret.as_bytes();
        self.tokens
            .keep(&token.id, secret, crate::join::TTL_DEFAULT, 1)
            .await
            .unwrap();
        token
    }

    async fn create(&self, kind: coracle_api::KindRef, value: Value) {
        let context = Context::system("test");
        let namespace = if kind.namespaced { "default" } else { "" };
        self.registry
            .create(&context, kind, namespace, value)
            .await
            .unwrap();
    }

    /// Waits until what the cache holds is as wished.
    async fn until(&self, what: &str, wish: impl Fn(&crate::cache::Cache) -> bool) {
        let mut newest = self.registry.cache().newest();
        let reached = newest.wait_for(|_| wish(self.registry.cache()));
        tokio::time::timeout(LIMIT, reached)
            .await
            .unwrap_or_else(|_elapsed| panic!("{what} did not happen"))
            .unwrap();
    }

    async fn until_link(&self, what: &str, wish: impl Fn(&Liveness) -> bool) {
        let mut changes = self.liveness.changes();
        let reached = changes.wait_for(|_| wish(&self.liveness));
        tokio::time::timeout(LIMIT, reached)
            .await
            .unwrap_or_else(|_elapsed| panic!("{what} did not happen"))
            .unwrap();
    }
}

/// A box: its key and what it was given.
struct Device {
    key: KeyPair,
    certificate: Option<CertificateDer<'static>>,
}

fn refusal_of(reply: Option<Reply>) -> Result<pb::Certificate, String> {
    match reply {
        Some(Reply::Certificate(certificate)) => Ok(certificate),
        Some(Reply::Refusal(refusal)) => Err(refusal.reason().as_str_name().to_owned()),
        _ => Err("something else".to_owned()),
    }
}

impl Device {
    fn new() -> Self {
        Self {
            key: KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
            certificate: None,
        }
    }

    fn request(&self) -> Vec<u8> {
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.serialize_request(&self.key).unwrap().der().to_vec()
    }

    async fn dial(
        &self,
        cluster: &Cluster,
        with_certificate: bool,
    ) -> Result<quinn::Connection, quinn::ConnectionError> {
        let identity = self.certificate.clone().filter(|_| with_certificate);
        let identity = identity.map(|certificate| Identity {
            chain: vec![certificate],
            key: PrivateKeyDer::try_from(self.key.serialize_der()).unwrap(),
        });
        let time = Arc::new(CertificateTime(cluster.clock.clone()));
        let trust = Trust::Ca(cluster.pki.ca_der().unwrap());
        let config = quic::client_config(&trust, identity, Profile::Default, Some(time)).unwrap();
        let endpoint = quic::client().unwrap();
        endpoint
            .connect_with(config, cluster.address, quic::SERVER_NAME)
            .unwrap()
            .await
    }

    /// Enrolls; the reason when it is refused.
    async fn enroll(&mut self, cluster: &Cluster, name: &str, token: &str) -> Result<(), String> {
        let connection = self.dial(cluster, false).await.unwrap();
        let challenge = enroll::challenge(&connection, name).unwrap();
        let request = Request::Enroll(pb::Enroll {
            node_name: name.to_owned(),
            csr: self.request(),
            token: token.to_owned(),
            binding: self.key.sign(&challenge).unwrap(),
        });
        let (mut send, receive) = connection.open_bi().await.unwrap();
        let head = pb::StreamRequest {
            request: Some(request),
        };
        frame::write(&mut send, &head, HEAD_BYTES_MAX)
            .await
            .unwrap();
        let mut reader = Reader::new(receive, HEAD_BYTES_MAX);
        let reply: pb::StreamReply = reader.next().await.unwrap().unwrap();
        let certificate = refusal_of(reply.reply)?;
        self.certificate = Some(certificate.certificate.into());
        Ok(())
    }

    /// Says hello on a new connection.
    async fn connect(&self, cluster: &Cluster, name: &str) -> Control {
        let connection = self.dial(cluster, true).await.unwrap();
        let (mut send, receive) = connection.open_bi().await.unwrap();
        let hello = to_controller::Message::Hello(pb::Hello {
            node_name: name.to_owned(),
            info: Some(pb::NodeInfo {
                architecture: "amd64".to_owned(),
                target: "x86_64".to_owned(),
                compatibility_hash: "h".to_owned(),
                agent_version: "0.1.0".to_owned(),
                pods_max: 110,
                address: "10.9.8.7".to_owned(),
                ..pb::NodeInfo::default()
            }),
            have: Vec::new(),
        });
        send_message(&mut send, hello).await;
        Control {
            connection,
            send,
            reader: Reader::new(receive, TO_AGENT_BYTES_MAX),
        }
    }
}

async fn send_message(send: &mut quinn::SendStream, message: to_controller::Message) {
    let message = pb::ToController {
        message: Some(message),
    };
    frame::write(send, &message, TO_CONTROLLER_BYTES_MAX)
        .await
        .unwrap();
}

/// The agent's end of a control stream.
struct Control {
    connection: quinn::Connection,
    send: quinn::SendStream,
    reader: Reader<quinn::RecvStream>,
}

impl Control {
    /// The next message that `pick` wants; pod sets on the way are acknowledged.
    async fn next<T>(&mut self, pick: impl Fn(to_agent::Message) -> Option<T>) -> T {
        loop {
            let next = self.reader.next::<pb::ToAgent>();
            let next = tokio::time::timeout(LIMIT, next)
                .await
                .expect("a message in time");
            let message = next.unwrap().expect("the stream goes on").message.unwrap();
            if let to_agent::Message::PodSet(set) = &message {
                let ack = pb::PodSetAck {
                    sequence: set.sequence,
                };
                send_message(&mut self.send, to_controller::Message::PodSetAck(ack)).await;
            }
            if let Some(found) = pick(message) {
                return found;
            }
        }
    }

    async fn pod_set(&mut self) -> pb::PodSet {
        self.next(|message| match message {
            to_agent::Message::PodSet(set) => Some(set),
            _ => None,
        })
        .await
    }

    async fn refusal(&mut self) -> &'static str {
        self.next(|message| match message {
            to_agent::Message::Refusal(refusal) => Some(refusal.reason().as_str_name()),
            _ => None,
        })
        .await
    }
}

async fn joined(cluster: &Cluster, name: &str) -> Device {
    let mut device = Device::new();
    let token = cluster.token().await;
    device
        .enroll(cluster, name, &token.credential())
        .await
        .unwrap();
    device
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "hello:v1",
        "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}]}]}})
}

fn reason(reason: RefusalReason) -> Result<(), String> {
    Err(reason.as_str_name().to_owned())
}

/// The pod runs, is deleted with grace, and goes once the node has let go of it.
async fn report(cluster: &Cluster, control: &mut Control, told: &pb::Pod) {
    let (key, context) = (Key::new("default", "p"), Context::system("test"));
    let mut status = pb::PodStatus {
        uid: told.uid.clone(),
        namespace: told.namespace.clone(),
        name: told.name.clone(),
        observed_revision: told.revision,
        phase: pb::Phase::Running.into(),
        pod_ip: "10.244.0.2".to_owned(),
        start_time_ms: 1000,
        ..pb::PodStatus::default()
    };
    let batch = |version, status: &pb::PodStatus| {
        to_controller::Message::Statuses(pb::StatusBatch {
            version,
            statuses: vec![status.clone()],
        })
    };
    send_message(&mut control.send, batch(1, &status)).await;
    let ack = control
        .next(|message| match message {
            to_agent::Message::StatusAck(ack) => Some(ack),
            _ => None,
        })
        .await;
    assert_eq!((ack.version, ack.resend.len()), (1, 0));
    let object = cluster
        .registry
        .cache()
        .get(kind::POD, &key)
        .unwrap()
        .value();
    assert_eq!(object["status"]["phase"], "Running");
    assert_eq!(object["status"]["hostIP"], "10.9.8.7");

    // Deleted with grace: told, and gone once the node lets go.
    let deleted = cluster
        .registry
        .delete(&context, kind::POD, &key, DeleteOptions::default())
        .await;
    deleted.unwrap();
    let set = control.pod_set().await;
    let told = set.changed[0].pod.clone().unwrap();
    assert_eq!(told.deletion_grace_secs, Some(30));
    status.released = true;
    status.phase = pb::Phase::Succeeded.into();
    send_message(&mut control.send, batch(2, &status)).await;
    cluster
        .until("the end of the pod", |cache| {
            cache.get(kind::POD, &key).is_none()
        })
        .await;
    assert_eq!(control.pod_set().await.removed, [told.uid]);
}

#[tokio::test]
async fn a_box_joins_gets_its_pods_and_reports() {
    let cluster = Cluster::start().await;
    let device = joined(&cluster, "box").await;
    let mut control = device.connect(&cluster, "box").await;
    let welcome = control
        .next(|message| match message {
            to_agent::Message::Welcome(welcome) => Some(welcome),
            _ => None,
        })
        .await;
    assert_eq!(welcome.pod_cidr, "10.244.0.0/24");
    let first = control.pod_set().await;
    assert!(first.full && first.changed.is_empty());
    let ready = |cache: &crate::cache::Cache| {
        let node = cache.get(kind::NODE, &Key::cluster("box"));
        node.is_some_and(|node| {
            let value = node.value();
            value["status"]["conditions"][3]["status"] == "True"
                && value["metadata"]["labels"]["kubernetes.io/arch"] == "amd64"
        })
    };
    cluster.until("a ready node", ready).await;
    assert!(cluster.links.connected("box"));

    cluster.create(kind::POD, pod("p")).await;
    let key = Key::new("default", "p");
    let context = Context::system("test");
    cluster.registry.bind(&context, &key, "box").await.unwrap();
    let set = control.pod_set().await;
    let told = set.changed[0].pod.clone().unwrap();
    assert_eq!(
        told.containers[0].config_error.as_deref(),
        Some("configmap \"m\" not found")
    );
    // It heals when the object appears.
    let map = json!({"metadata": {"name": "m"}, "data": {"k": "v"}});
    cluster.create(kind::CONFIG_MAP, map).await;
    let set = control.pod_set().await;
    let told = set.changed[0].pod.clone().unwrap();
    assert_eq!(told.containers[0].config_error, None);

    report(&cluster, &mut control, &told).await;
    control.connection.close(close::GOODBYE.into(), b"");
    cluster
        .until_link("a clean leave", |liveness| {
            matches!(
                liveness.get("box"),
                Some(crate::liveness::NodeLink::Left { .. })
            )
        })
        .await;
    cluster.stop().await;
}

#[tokio::test]
async fn who_is_refused_and_why() {
    let cluster = Cluster::start().await;
    let owner = joined(&cluster, "box").await;
    let mut other = Device::new();
    let token = cluster.token().await;
    let good = token.credential();
    let mut wrong = good.to_string();
    let last = if wrong.ends_with('a') { 'b' } else { 'a' };
    wrong.pop();
    wrong.push(last);
    let bad_token = || reason(RefusalReason::BadToken);
    assert_eq!(other.enroll(&cluster, "n2", &wrong).await, bad_token());
    assert_eq!(other.enroll(&cluster, "n2", "nonsense").await, bad_token());
    // The name is another's; the token is not used up by that.
    let taken = reason(RefusalReason::NameTaken);
    assert_eq!(other.enroll(&cluster, "box", &good).await, taken);
    let malformed = reason(RefusalReason::Malformed);
    assert_eq!(other.enroll(&cluster, "Not A Name", &good).await, malformed);
    assert_eq!(other.enroll(&cluster, "n2", &good).await, Ok(()));
    assert_eq!(
        Device::new().enroll(&cluster, "n3", &good).await,
        bad_token()
    );
    assert!(
        cluster
            .registry
            .cache()
            .get(kind::NODE, &Key::cluster("n3"))
            .is_none()
    );
    // Nobody comes home to a node that is not theirs, or is not there.
    let unknown = reason(RefusalReason::UnknownNode);
    assert_eq!(Device::new().enroll(&cluster, "n3", "").await, unknown);
    assert_eq!(Device::new().enroll(&cluster, "box", "").await, taken);
    // Another name than that of the certificate.
    let mut control = owner.connect(&cluster, "n2").await;
    assert_eq!(control.refusal().await, "REFUSAL_REASON_MALFORMED");
    // A deleted node is refused, also while it is connected.
    let mut control = owner.connect(&cluster, "box").await;
    control.pod_set().await;
    let context = Context::system("test");
    let node = Key::cluster("box");
    let deleted = cluster
        .registry
        .delete(&context, kind::NODE, &node, DeleteOptions::default())
        .await;
    deleted.unwrap();
    assert_eq!(control.refusal().await, "REFUSAL_REASON_UNKNOWN_NODE");
    let mut control = owner.connect(&cluster, "box").await;
    assert_eq!(control.refusal().await, "REFUSAL_REASON_UNKNOWN_NODE");
    cluster.stop().await;
}

#[tokio::test]
async fn an_expired_certificate_comes_home_and_a_foreign_one_does_not() {
    let cluster = Cluster::start().await;
    let mut device = joined(&cluster, "box").await;
    cluster.clock.advance(Duration::from_secs(25 * 3600));
    let refused = match device.dial(&cluster, true).await {
        Err(_) => true,
        Ok(connection) => tokio::time::timeout(LIMIT, connection.closed())
            .await
            .is_ok(),
    };
    assert!(refused, "an expired certificate opens no session");
    assert_eq!(device.enroll(&cluster, "box", "").await, Ok(()));
    let mut control = device.connect(&cluster, "box").await;
    control.pod_set().await;
    // Another CA's certificate of the same name.
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Pki::open(elsewhere.path(), cluster.clock.clone()).unwrap();
    let mut stranger = Device::new();
    let (certificate, _until) = foreign.sign_node("box", &stranger.request()).unwrap();
    stranger.certificate = Some(certificate);
    let refused = match stranger.dial(&cluster, true).await {
        Err(_) => true,
        Ok(connection) => tokio::time::timeout(LIMIT, connection.closed())
            .await
            .is_ok(),
    };
    assert!(refused, "a certificate of another CA opens no session");
    cluster.stop().await;
}

#[tokio::test]
async fn a_newer_connection_replaces_the_older_and_renews() {
    let cluster = Cluster::start().await;
    let device = joined(&cluster, "box").await;
    let mut older = device.connect(&cluster, "box").await;
    older.pod_set().await;
    let mut newer = device.connect(&cluster, "box").await;
    newer.pod_set().await;
    assert_eq!(older.refusal().await, "REFUSAL_REASON_REPLACED");
    drop(older);
    assert!(cluster.links.connected("box"));
    let renew = to_controller::Message::Renew(pb::RenewCertificate {
        csr: device.request(),
    });
    send_message(&mut newer.send, renew).await;
    let certificate = newer
        .next(|message| match message {
            to_agent::Message::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .await;
    let peer = session::Peer::of(&certificate.certificate).unwrap();
    assert_eq!(peer.node, "box");
    // A key that is not the node's gets none.
    let renew = to_controller::Message::Renew(pb::RenewCertificate {
        csr: Device::new().request(),
    });
    send_message(&mut newer.send, renew).await;
    assert_eq!(newer.refusal().await, "REFUSAL_REASON_MALFORMED");
    cluster
        .until_link("a lost link", |liveness| {
            liveness.get("box").is_some_and(|link| !link.is_connected())
        })
        .await;
    cluster.stop().await;
}

#[test]
fn only_certificates_of_nodes_are_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(dir.path(), Clock::system()).unwrap();
    let admin = pki
        .issue_client("kubernetes-admin", &["system:masters"])
        .unwrap();
    use rustls::pki_types::pem::PemObject as _;
    let der = CertificateDer::from_pem_slice(admin.certificate.as_bytes()).unwrap();
    assert!(session::Peer::of(&der).is_none());
    let almost = pki.issue_client("system:node:box", &["people"]).unwrap();
    let der = CertificateDer::from_pem_slice(almost.certificate.as_bytes()).unwrap();
    assert!(session::Peer::of(&der).is_none());
}
