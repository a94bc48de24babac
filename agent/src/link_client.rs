//! The agent's end of the link: how it becomes a node, dials, and comes back.
//!
//! Losing the controller never stops a pod: only a pod set that was received does. A controller that refuses a box that
//! never was a node ends the agent; one that refuses a node it knew is asked again, slowly.

use crate::{
    Config, Shared, checkpoint::Restored, config::Join, device_key::DeviceKey, node_status::Facts,
    sync_loop::Update,
};
use control::Context;
use coracle_daemon::{Backoff, Clock};
use coracle_link::{
    pb::RefusalReason,
    quic::{self, Profile, Trust},
    session::PodSetReceiver,
    token::JoinToken,
};
use coracle_runtime::{Compatibility, Runtime};
use identity::{LinkTime, Membership};
use quinn::{ClientConfig, Connection, ConnectionError, TransportErrorCode};
use rand::{SeedableRng as _, rngs::SmallRng};
use session::Refusal;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, watch};

mod control;
mod enroll;
mod handle;
mod identity;
mod reports;
mod session;
mod streams;

pub(crate) use handle::Link;
pub(crate) use identity::CERTIFICATE;
pub(crate) use streams::Error as StreamError;

/// The first wait after a loss: a controller that restarts is back in a moment.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest wait for a controller that is away.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// After a refusal that people have to do something about.
const REFUSED_RETRY_MIN: Duration = Duration::from_secs(30);
/// The longest such wait.
const REFUSED_RETRY_MAX: Duration = Duration::from_secs(600);
/// For a handshake.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// Of one name; more are no use to a box.
const ADDRESSES_MAX: usize = 8;
/// TLS alerts (RFC 8446, section 6).
const BAD_CERTIFICATE: u8 = 42;
const CERTIFICATE_EXPIRED: u8 = 45;
const UNKNOWN_CA: u8 = 48;

/// Why there is no link, and never will be as things are.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to join with.
    #[error(
        "{0} holds no node yet: give --join TOKEN@ADDR, which `coracle token create` prints on the controller"
    )]
    NotJoined(PathBuf),
    /// A token that is none.
    #[error("cannot join")]
    Token(#[from] coracle_link::token::Malformed),
    /// The folder of another node.
    #[error(
        "{dir} belongs to node \"{known}\", not \"{asked}\": give --node-name {known}, or another --data-dir"
    )]
    OtherNode {
        /// The data directory.
        dir: PathBuf,
        /// Whose it is.
        known: String,
        /// Who was to be started.
        asked: String,
    },
    /// The folder of a node of another cluster.
    #[error(
        "{0} belongs to a node of another cluster than the join token: give another --data-dir"
    )]
    OtherCluster(PathBuf),
    /// Not the controller that made the token.
    #[error("the controller at {0} is not the one the join token is from; nothing was told to it")]
    NotTheController(String),
    /// The controller does not want this node.
    #[error("the controller at {address} refused to let \"{node}\" join: {message}")]
    Refused {
        /// Which controller.
        address: String,
        /// Which node.
        node: String,
        /// Its sentence.
        message: String,
    },
    /// A file of the data directory.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the data directory is not what it was.
    #[error("{0} is damaged: use another --data-dir and join again with a new token")]
    Damaged(PathBuf),
    /// The device key can not do what is asked.
    #[error("cannot use the device key: {0}")]
    Key(String),
    /// The socket or TLS.
    #[error(transparent)]
    Quic(#[from] quic::Error),
}

/// How a connection, or the attempt at one, ended.
#[derive(Debug)]
enum Dialed {
    /// The agent stops.
    Stopped,
    /// The box is a node now.
    Joined,
    /// The network or the controller is away.
    Lost(String),
    /// The controller said no.
    Refused(Refusal),
    /// The controller broke the protocol.
    Violation(String),
    /// The certificate has expired: the device key is what is left.
    Expired,
    /// The other side is of another CA, or says that we are.
    Stranger(String),
    /// Nothing can be done about it.
    Failed(Error),
}

impl Dialed {
    fn lost(error: &ConnectionError) -> Self {
        let alert = |code: TransportErrorCode, alert| code == TransportErrorCode::crypto(alert);
        match error {
            ConnectionError::TransportError(ours)
                if alert(ours.code, UNKNOWN_CA) || alert(ours.code, BAD_CERTIFICATE) =>
            {
                Self::Stranger("its certificate is of another CA".to_owned())
            }
            ConnectionError::ConnectionClosed(theirs)
                if alert(theirs.error_code, CERTIFICATE_EXPIRED) =>
            {
                Self::Expired
            }
            ConnectionError::ConnectionClosed(theirs)
                if alert(theirs.error_code, UNKNOWN_CA)
                    || alert(theirs.error_code, BAD_CERTIFICATE) =>
            {
                Self::Stranger("it does not know the CA of this node's certificate".to_owned())
            }
            ConnectionError::ApplicationClosed(theirs)
                if theirs.error_code == quic::close::EXPIRED.into() =>
            {
                Self::Expired
            }
            error => Self::Lost(error.to_string()),
        }
    }

    /// A stream failed; mostly because the connection did, and then that is what counts.
    fn broken(connection: &Connection, why: String) -> Self {
        match connection.close_reason() {
            Some(error) => Self::lost(&error),
            None => Self::Lost(why),
        }
    }
}

/// What follows a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The agent ends.
    GiveUp,
    /// With the token, as if it never was a node.
    JoinAgain,
    Soon,
    Slowly,
}

/// `is_node`: it was let in once. `has_token`: one that was not tried yet.
fn verdict(reason: RefusalReason, is_node: bool, has_token: bool) -> Verdict {
    match reason {
        RefusalReason::Busy => Verdict::Soon,
        RefusalReason::UnknownNode if is_node && has_token => Verdict::JoinAgain,
        RefusalReason::Unspecified
        | RefusalReason::BadToken
        | RefusalReason::NameTaken
        | RefusalReason::UnknownNode
        | RefusalReason::Malformed
        | RefusalReason::Replaced => {
            if is_node {
                Verdict::Slowly
            } else {
                Verdict::GiveUp
            }
        }
    }
}

/// Keeps the link.
pub(crate) struct Client {
    data_dir: PathBuf,
    node_name: String,
    labels: Vec<(String, String)>,
    pods_max: u32,
    disk_free_min: Option<u64>,
    clock: Clock,
    profile: Profile,
    compatibility: Compatibility,
    key: Arc<DeviceKey>,
    membership: Option<Membership>,
    /// Until it was used.
    join: Option<(JoinToken, String)>,
    receiver: PodSetReceiver,
    connected: watch::Sender<Option<Connection>>,
    /// Of the certificate in use; sessions are resumed through it.
    dialing: Option<ClientConfig>,
    wants: Wants,
    /// The last connection became a session.
    was_up: bool,
    /// The certificate is newer than the last session: whoever calls it expired has another clock.
    is_fresh: bool,
}

/// What the next connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    /// A session, if there is a good certificate; else what makes one.
    Session,
    /// Another certificate, by the device key.
    Home,
    /// Another certificate, by the token.
    Join,
}

/// What follows the end of a connection.
#[derive(Debug)]
enum Next {
    Stop,
    Now,
    /// After a short wait, with what to say.
    Soon(String),
    /// After a long one.
    Slowly(String),
}

/// Checks what can be checked without a network. `restored` is what the agent still has of its pods.
pub(crate) fn new(
    config: &Config,
    key: Arc<DeviceKey>,
    runtime: &Runtime,
    restored: &[Restored],
) -> Result<(Link, Client), Error> {
    let mut membership = Membership::load(&config.data_dir)?;
    let join = match &config.join {
        Some(Join { token, address }) => Some((token.parse::<JoinToken>()?, address.clone())),
        None => None,
    };
    match (&mut membership, &join) {
        (None, None) => return Err(Error::NotJoined(config.data_dir.clone())),
        (None, Some(_)) => {}
        (Some(known), join) => {
            if known.node_name != config.node_name {
                return Err(Error::OtherNode {
                    dir: config.data_dir.clone(),
                    known: known.node_name.clone(),
                    asked: config.node_name.clone(),
                });
            }
            if let Some((token, address)) = join {
                if identity::sha256(&known.ca) != token.ca_sha256 {
                    return Err(Error::OtherCluster(config.data_dir.clone()));
                }
                known.address.clone_from(address);
            }
        }
    }
    let connected = watch::Sender::new(None);
    let link = Link::new(connected.subscribe());
    let have = restored
        .iter()
        .map(|restored| (restored.pod.uid.clone(), restored.digest));
    let client = Client {
        data_dir: config.data_dir.clone(),
        node_name: config.node_name.clone(),
        labels: config.labels.clone(),
        pods_max: config.pods_max,
        disk_free_min: config.disk_free_min,
        clock: config.clock.clone(),
        profile: if config.metered {
            Profile::Metered
        } else {
            Profile::Default
        },
        compatibility: runtime.compatibility(),
        key,
        membership,
        join,
        receiver: PodSetReceiver::new(have),
        connected,
        dialing: None,
        wants: Wants::Session,
        was_up: false,
        is_fresh: false,
    };
    Ok((link, client))
}

impl Client {
    /// Keeps the link until the agent stops, or until it is clear that there will never be one.
    pub(crate) async fn run(
        mut self,
        shared: Arc<Shared>,
        updates: mpsc::Sender<Update>,
        goodbye: Duration,
    ) -> Result<(), Error> {
        let endpoint = quic::client()?;
        let stop = shared.tasks.stop().clone();
        let mut rng = SmallRng::from_os_rng();
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        let mut slow = Backoff::new(REFUSED_RETRY_MIN, REFUSED_RETRY_MAX);
        // Said once, until something else happens.
        let mut said = String::new();
        // An address where nobody is takes seconds to say so: this says what is waited for.
        let (node, address) = (&self.node_name, self.address());
        match self.membership {
            Some(_) => tracing::info!(%node, address, "dialing the controller"),
            None => tracing::info!(%node, address, "dialing the controller to join it"),
        }
        loop {
            let end = Box::pin(self.once(&endpoint, &shared, &updates)).await;
            if std::mem::take(&mut self.was_up) {
                backoff.reset();
                slow.reset();
                said.clear();
            }
            let (sentence, wait) = match self.next(end)? {
                Next::Stop => break,
                Next::Now => continue,
                Next::Soon(sentence) => (sentence, backoff.next(&mut rng)),
                Next::Slowly(sentence) => (sentence, slow.next(&mut rng)),
            };
            if said == sentence {
                tracing::debug!("{sentence}");
            } else {
                tracing::warn!("{sentence}; the pods of this node go on, trying again");
                said = sentence;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => break,
            }
        }
        endpoint.close(quic::close::GOODBYE.into(), b"the agent stops");
        let _told_in_time = tokio::time::timeout(goodbye, endpoint.wait_idle()).await;
        Ok(())
    }

    /// What follows the end of a connection.
    fn next(&mut self, end: Dialed) -> Result<Next, Error> {
        let address = self.address().to_owned();
        Ok(match end {
            Dialed::Stopped => Next::Stop,
            Dialed::Joined => {
                (self.wants, self.is_fresh) = (Wants::Session, true);
                Next::Now
            }
            Dialed::Failed(error) => return Err(error),
            Dialed::Lost(why) => {
                Next::Soon(format!("no link to the controller at {address}: {why}"))
            }
            Dialed::Violation(why) => Next::Slowly(format!(
                "the controller at {address} broke the protocol: {why}"
            )),
            Dialed::Expired if !self.is_fresh => {
                self.wants = Wants::Home;
                Next::Now
            }
            Dialed::Expired => Next::Slowly(format!(
                "the controller at {address} takes this node's new certificate for an expired one: the clocks are apart"
            )),
            Dialed::Stranger(_) if self.membership.is_none() => {
                return Err(Error::NotTheController(address));
            }
            Dialed::Stranger(why) => Next::Slowly(format!(
                "the controller at {address} is not of this node's cluster: {why}"
            )),
            Dialed::Refused(refusal) => return self.refused(&refusal, address),
        })
    }

    fn refused(&mut self, refusal: &Refusal, address: String) -> Result<Next, Error> {
        let is_node = self.membership.is_some();
        let message = refusal.message.clone();
        let sentence = format!(
            "the controller at {address} refuses node \"{}\": {message}",
            self.node_name
        );
        Ok(
            match verdict(refusal.reason, is_node, self.join.is_some()) {
                Verdict::Soon => Next::Soon(sentence),
                Verdict::Slowly => Next::Slowly(sentence),
                Verdict::JoinAgain => {
                    self.wants = Wants::Join;
                    Next::Now
                }
                Verdict::GiveUp => {
                    let node = self.node_name.clone();
                    return Err(Error::Refused {
                        address,
                        node,
                        message,
                    });
                }
            },
        )
    }

    fn address(&self) -> &str {
        match (&self.membership, &self.join) {
            (Some(known), _) => &known.address,
            (None, Some((_, address))) => address,
            (None, None) => "",
        }
    }

    /// One connection: it makes this box a node, or is a session.
    async fn once(
        &mut self,
        endpoint: &quinn::Endpoint,
        shared: &Arc<Shared>,
        updates: &mpsc::Sender<Update>,
    ) -> Dialed {
        let stop = shared.tasks.stop().clone();
        if self.wants != Wants::Session || !self.has_certificate() {
            return tokio::select! {
                end = Box::pin(self.enroll(endpoint)) => end,
                () = stop.cancelled() => Dialed::Stopped,
            };
        }
        let dialing = async {
            let config = self.dialing()?;
            dial(endpoint, &config, self.address()).await
        };
        let dialed = tokio::select! {
            dialed = dialing => dialed,
            () = stop.cancelled() => Err(Dialed::Stopped),
        };
        let connection = match dialed {
            Ok(connection) => connection,
            Err(end) => return end,
        };
        let end = Box::pin(self.session(&connection, shared, updates)).await;
        let (code, why): (u32, &[u8]) = match &end {
            Dialed::Violation(why) => (quic::close::PROTOCOL, why.as_bytes()),
            _ => (quic::close::GOODBYE, b""),
        };
        connection.close(code.into(), why);
        end
    }

    fn has_certificate(&self) -> bool {
        let known = self.membership.as_ref();
        let certificate = known.and_then(|known| known.certificate.as_ref());
        let now_ms = self.clock.unix_millis();
        certificate.is_some_and(|one| self.is_fresh || !one.validity.is_over(now_ms))
    }

    /// How a node dials; made once for each certificate.
    fn dialing(&mut self) -> Result<ClientConfig, Dialed> {
        if let Some(config) = &self.dialing {
            return Ok(config.clone());
        }
        let known = self.membership.as_ref();
        let known = known.and_then(|known| Some((known, known.certificate.as_ref()?)));
        let (known, certificate) = known.ok_or(Dialed::Expired)?;
        let identity = identity::identity(certificate, &self.key).map_err(Dialed::Failed)?;
        let trust = Trust::Ca(known.ca.clone());
        let config = self.client_config(&trust, Some(identity))?;
        self.dialing = Some(config.clone());
        Ok(config)
    }

    fn client_config(
        &self,
        trust: &Trust,
        identity: Option<quic::Identity>,
    ) -> Result<ClientConfig, Dialed> {
        let known = self.membership.as_ref();
        let certificate = known.and_then(|known| known.certificate.as_ref());
        let time = LinkTime {
            clock: self.clock.clone(),
            not_before_ms: certificate.map_or(0, |certificate| certificate.validity.from_ms),
        };
        quic::client_config(trust, identity, self.profile, Some(Arc::new(time)))
            .map_err(|error| Dialed::Failed(error.into()))
    }

    /// Asks for a certificate, with the token or by the device key alone.
    async fn enroll(&mut self, endpoint: &quinn::Endpoint) -> Dialed {
        match Box::pin(self.try_enroll(endpoint)).await {
            Ok(()) => Dialed::Joined,
            Err(end) => {
                let is_bad =
                    matches!(&end, Dialed::Refused(no) if no.reason == RefusalReason::BadToken);
                if self.membership.is_some() && is_bad {
                    // It was used up when this box joined; the device key is what is left.
                    (self.join, self.wants) = (None, Wants::Session);
                }
                end
            }
        }
    }

    async fn try_enroll(&mut self, endpoint: &quinn::Endpoint) -> Result<(), Dialed> {
        let by_token = self.membership.is_none() || self.wants == Wants::Join;
        let token = self.join.as_ref().filter(|_| by_token);
        let credential = token.map(|(token, _)| token.credential());
        let trust = match (&self.membership, token) {
            (Some(known), _) => Trust::Ca(known.ca.clone()),
            (None, Some((token, _))) => Trust::CaSha256(token.ca_sha256),
            (None, None) => {
                return Err(Dialed::Failed(Error::NotJoined(self.data_dir.clone())));
            }
        };
        let config = self.client_config(&trust, None)?;
        let address = self.address().to_owned();
        let connection = dial(endpoint, &config, &address).await?;
        let application = enroll::Application {
            node_name: &self.node_name,
            token: credential.as_ref().map(|credential| credential.as_str()),
            trust: &trust,
        };
        let admission = enroll::enroll(&connection, &application, &self.key).await?;
        let membership = Membership {
            node_name: self.node_name.clone(),
            address,
            ca: admission.ca,
            certificate: Some(admission.certificate),
        };
        membership.save(&self.data_dir).map_err(Dialed::Failed)?;
        tracing::info!(node = %self.node_name, "the controller gave this node a certificate");
        (self.membership, self.dialing) = (Some(membership), None);
        if by_token {
            self.join = None;
        }
        Ok(())
    }

    async fn session(
        &mut self,
        connection: &Connection,
        shared: &Arc<Shared>,
        updates: &mpsc::Sender<Update>,
    ) -> Dialed {
        let Some(membership) = &mut self.membership else {
            return Dialed::Expired;
        };
        let before = membership.clone();
        let context = Context {
            shared,
            updates,
            key: &self.key,
            facts: Facts {
                data_dir: &self.data_dir,
                target: self.compatibility.target.clone(),
                compatibility_hash: self.compatibility.hash.clone(),
                runtime_version: coracle_runtime::ENGINE.to_owned(),
                pods_max: self.pods_max,
                labels: self.labels.clone(),
                address: local_address(connection.remote_address()),
                disk_free_min: self.disk_free_min,
            },
            data_dir: &self.data_dir,
            profile: self.profile,
            connected: &self.connected,
        };
        let receiver = &mut self.receiver;
        let session = control::run(connection, &context, membership, receiver);
        let (end, was_up) = Box::pin(session).await;
        if was_up {
            (self.was_up, self.is_fresh) = (true, false);
        }
        if membership.certificate != before.certificate {
            self.dialing = None;
        }
        end
    }
}

/// Tries the addresses of `HOST:PORT` in turn.
async fn dial(
    endpoint: &quinn::Endpoint,
    config: &ClientConfig,
    address: &str,
) -> Result<Connection, Dialed> {
    let found = tokio::time::timeout(DIAL_LIMIT, tokio::net::lookup_host(address)).await;
    let found: Vec<SocketAddr> = match found {
        Ok(Ok(found)) => found.take(ADDRESSES_MAX).collect(),
        Ok(Err(error)) => {
            return Err(Dialed::Lost(format!("its name has no address: {error}")));
        }
        Err(_elapsed) => return Err(Dialed::Lost("no answer about its name".to_owned())),
    };
    let mut last = Dialed::Lost("its name has no address".to_owned());
    for address in found {
        let connecting = match endpoint.connect_with(config.clone(), address, quic::SERVER_NAME) {
            Ok(connecting) => connecting,
            Err(error) => {
                last = Dialed::Lost(error.to_string());
                continue;
            }
        };
        last = match tokio::time::timeout(DIAL_LIMIT, connecting).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => Dialed::lost(&error),
            Err(_elapsed) => Dialed::Lost("no answer".to_owned()),
        };
        if !matches!(last, Dialed::Lost(_)) {
            break;
        }
    }
    Err(last)
}

/// The address of this machine that the controller's packets come to. Nothing is sent.
fn local_address(remote: SocketAddr) -> Option<IpAddr> {
    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
    let any: IpAddr = if remote.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_refusal() {
        use RefusalReason::{BadToken, Busy, NameTaken, Replaced, UnknownNode};
        use Verdict::{GiveUp, JoinAgain, Slowly, Soon};
        let table = [
            (BadToken, false, true, GiveUp),
            (NameTaken, false, true, GiveUp),
            (Busy, false, true, Soon),
            (Busy, true, false, Soon),
            (UnknownNode, true, true, JoinAgain),
            (UnknownNode, true, false, Slowly),
            (UnknownNode, false, false, GiveUp),
            (BadToken, true, true, Slowly),
            (NameTaken, true, true, Slowly),
            (Replaced, true, false, Slowly),
        ];
        for (reason, is_node, has_token, expect) in table {
            assert_eq!(
                verdict(reason, is_node, has_token),
                expect,
                "{} {is_node}",
                reason.as_str_name()
            );
        }
    }

    #[test]
    fn this_machine_has_an_address_of_its_own() {
        let remote: SocketAddr = "[::ffff:127.0.0.1]:6443".parse().unwrap();
        assert_eq!(local_address(remote), Some([127, 0, 0, 1].into()));
    }
}
