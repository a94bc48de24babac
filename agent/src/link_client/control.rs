//! The control stream of one connection: hello, then what the controller wants in and what the agent knows out.
//!
//! Reading and writing go on side by side, so that two ends which both have much to say never wait for each other.

use super::{
    Dialed, Membership,
    identity::{self, Certificate},
    reports::{self, Reports, USAGE_CONTAINERS_MAX},
    session::{Effect, Over, Session},
    streams,
};
use crate::{
    Shared, metrics,
    node_status::{self, Facts},
    pod_worker::AGENT_STOP_GRACE,
    sync_loop::Update,
};
use coracle_link::{
    frame, node::NodeInfo, pb, pb::to_controller::Message, quic::Profile, session::PodSetReceiver,
    status::PodStatus,
};
use quinn::{Connection, RecvStream, SendStream};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// For the answer to the hello.
const WELCOME_LIMIT: Duration = Duration::from_secs(15);
/// Pod sets taken whose acknowledgement is not written yet; a controller sends no more than a few unacknowledged.
const ACKS_MAX: usize = 64;
/// Statuses looked at for one batch.
const STATUSES_MAX: usize = 64;
/// Events of one batch.
const EVENTS_MAX: usize = 16;
/// After the pods have stopped: for the last statuses.
const FLUSH: Duration = Duration::from_millis(500);
/// A clock further off than this is told to people.
const SKEW_MS_MAX: i64 = 30_000;

/// What a session needs of its client.
pub(super) struct Context<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) updates: &'a mpsc::Sender<Update>,
    pub(super) key: &'a crate::device_key::DeviceKey,
    pub(super) facts: Facts<'a>,
    pub(super) data_dir: &'a Path,
    pub(super) profile: Profile,
    pub(super) connected: &'a watch::Sender<Option<Connection>>,
}

/// Runs a session to its end; whether it ever began comes with how it ended.
pub(super) async fn run(
    connection: &Connection,
    context: &Context<'_>,
    membership: &mut Membership,
    receiver: &mut PodSetReceiver,
) -> (Dialed, bool) {
    let now_ms = context.shared.clock.unix_millis();
    let info = node_status::info(&context.facts, now_ms);
    let (session, have) = Session::start(receiver);
    let opening = Box::pin(open(connection, &membership.node_name, &info, have));
    let opened = tokio::time::timeout(WELCOME_LIMIT, opening).await;
    let opened = opened.unwrap_or_else(|_elapsed| Err("it takes no streams".to_owned()));
    let (send, reader) = match opened {
        Ok(streams) => streams,
        Err(why) => return (Dialed::broken(connection, why), false),
    };
    let (acks, acked) = mpsc::channel(ACKS_MAX);
    let (certificates, renewed) = watch::channel(membership.certificate.clone());
    let reading = Reading {
        connection,
        context,
        session,
        acks,
        certificates,
        membership,
    };
    let writing = Writing {
        context,
        send,
        acked,
        renewed,
        reports: Reports::new(info, context.profile, Instant::now()),
    };
    context.shared.statuses.restart();
    let end = tokio::select! {
        end = Box::pin(reading.run(reader)) => end,
        why = Box::pin(writing.run()) => Dialed::broken(connection, why),
        error = Box::pin(streams::accept(connection, context.shared)) => Dialed::lost(&error),
        () = stopped(context.shared) => Dialed::Stopped,
    };
    let was_up = context.connected.send_replace(None).is_some();
    (end, was_up)
}

/// The agent stops and its pods have; what is left to say was said.
async fn stopped(shared: &Shared) {
    shared.tasks.stop().cancelled().await;
    shared.workers.close();
    let limit = AGENT_STOP_GRACE + FLUSH;
    let _in_time = tokio::time::timeout(limit, shared.workers.wait()).await;
    let mut changes = shared.statuses.changes();
    let flushed =
        async { while shared.statuses.has_unsent() && changes.changed().await.is_ok() {} };
    let _in_time = tokio::time::timeout(FLUSH, flushed).await;
}

type Control = (SendStream, frame::Reader<RecvStream>);

async fn open(
    connection: &Connection,
    node_name: &str,
    info: &NodeInfo,
    have: Vec<pb::HavePod>,
) -> Result<Control, String> {
    let opened = connection.open_bi().await;
    let (mut send, recv) = opened.map_err(|error| error.to_string())?;
    let hello = Message::Hello(pb::Hello {
        node_name: node_name.to_owned(),
        info: Some(info.into()),
        have,
    });
    write(&mut send, hello).await?;
    Ok((send, frame::Reader::new(recv, frame::TO_AGENT_BYTES_MAX)))
}

async fn write(send: &mut SendStream, message: Message) -> Result<(), String> {
    let message = pb::ToController {
        message: Some(message),
    };
    match frame::write(send, &message, frame::TO_CONTROLLER_BYTES_MAX).await {
        Ok(_bytes) => Ok(()),
        Err(error @ frame::Error::TooLarge { .. }) => {
            // Left out rather than tried for ever.
            tracing::error!(%error, "a message to the controller is too large and was not sent");
            Ok(())
        }
        Err(error) => Err(crate::events::chain(&error)),
    }
}

struct Reading<'a, 'b> {
    connection: &'a Connection,
    context: &'a Context<'b>,
    session: Session<'a>,
    acks: mpsc::Sender<u64>,
    certificates: watch::Sender<Option<Certificate>>,
    membership: &'a mut Membership,
}

impl Reading<'_, '_> {
    async fn run(mut self, mut reader: frame::Reader<RecvStream>) -> Dialed {
        let mut limit = Some(WELCOME_LIMIT);
        loop {
            let next = reader.next::<pb::ToAgent>();
            let read = match limit {
                Some(limit) => match tokio::time::timeout(limit, next).await {
                    Ok(read) => read,
                    Err(_elapsed) => {
                        return Dialed::Lost("the controller did not answer the hello".to_owned());
                    }
                },
                None => next.await,
            };
            let message = match read {
                Ok(Some(message)) => message,
                Ok(None) => {
                    let text = "the controller ended the control stream".to_owned();
                    return Dialed::broken(self.connection, text);
                }
                Err(error) => {
                    return Dialed::broken(self.connection, crate::events::chain(&error));
                }
            };
            let effects = match self.session.take(message) {
                Ok(effects) => effects,
                Err(Over::Refused(refusal)) => return Dialed::Refused(refusal),
                Err(Over::Violation(text)) => return Dialed::Violation(text),
            };
            for effect in effects {
                if let Err(end) = self.obey(effect).await {
                    return end;
                }
            }
            limit = None;
        }
    }

    async fn obey(&mut self, effect: Effect) -> Result<(), Dialed> {
        let shared = self.context.shared;
        match effect {
            Effect::Welcomed { pod_cidr, time_ms } => {
                shared.network.set_pod_cidr(&pod_cidr);
                let skew_ms = time_ms.saturating_sub(shared.clock.unix_millis());
                if skew_ms.saturating_abs() > SKEW_MS_MAX {
                    tracing::warn!(
                        skew_ms,
                        "this machine's clock and the controller's are apart"
                    );
                }
                tracing::info!(node = %self.membership.node_name, address = %self.membership.address, "connected to the controller");
                let connection = Some(self.connection.clone());
                self.context.connected.send_replace(connection);
            }
            Effect::Update { update, sequence } => {
                if self.context.updates.send(update).await.is_err() {
                    return Err(Dialed::Stopped);
                }
                if self.acks.try_send(sequence).is_err() {
                    let text = "the controller sends pod sets faster than they are acknowledged";
                    return Err(Dialed::Violation(text.to_owned()));
                }
            }
            Effect::Routes(routes) => shared.network.set_routes(routes),
            Effect::Arrived { version, resend } => {
                shared.statuses.acknowledge(version);
                if !resend.is_empty() {
                    shared.statuses.resend(&resend);
                }
            }
            Effect::Certificate(der) => self.renew(der),
            Effect::Skipped(what) => {
                tracing::warn!(what, "the controller said something this agent can not use");
            }
        }
        Ok(())
    }

    fn renew(&mut self, der: Vec<u8>) {
        let certificate =
            Certificate::parse(der).filter(|certificate| certificate.is_for(self.context.key));
        let Some(certificate) = certificate else {
            tracing::warn!("the controller renewed a certificate that is not this node's");
            return;
        };
        self.membership.certificate = Some(certificate.clone());
        match self.membership.save(self.context.data_dir) {
            Ok(()) => tracing::info!("the node's certificate was renewed"),
            Err(error) => tracing::warn!(
                error = crate::events::chain(&error),
                "cannot keep the renewed certificate; it is asked for again after a restart"
            ),
        }
        self.certificates.send_replace(Some(certificate));
    }
}

struct Writing<'a, 'b> {
    context: &'a Context<'b>,
    send: SendStream,
    acked: mpsc::Receiver<u64>,
    renewed: watch::Receiver<Option<Certificate>>,
    reports: Reports,
}

impl Writing<'_, '_> {
    /// Ends with why nothing can be written any more.
    async fn run(mut self) -> String {
        // Nothing but the hello before the welcome.
        let mut connected = self.context.connected.subscribe();
        if connected.wait_for(Option::is_some).await.is_err() {
            return "the agent stops".to_owned();
        }
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(why) => return why,
            }
        }
    }

    async fn step(&mut self) -> Result<(), String> {
        let shared = Arc::clone(self.context.shared);
        let (mut statuses, mut events) = (shared.statuses.changes(), shared.events.changes());
        statuses.borrow_and_update();
        events.borrow_and_update();
        self.statuses().await?;
        self.events().await?;
        self.reports().await?;
        tokio::select! {
            ack = self.acked.recv() => match ack {
                Some(sequence) => self.write(Message::PodSetAck(pb::PodSetAck { sequence })).await,
                None => Err("the session is over".to_owned()),
            },
            _ = statuses.changed() => Ok(()),
            _ = events.changed() => Ok(()),
            () = tokio::time::sleep_until(self.reports.next()) => Ok(()),
        }
    }

    async fn write(&mut self, message: Message) -> Result<(), String> {
        write(&mut self.send, message).await
    }

    async fn statuses(&mut self) -> Result<(), String> {
        loop {
            let statuses = self.context.shared.statuses.unsent(STATUSES_MAX);
            if statuses.is_empty() {
                return Ok(());
            }
            let plain: Vec<PodStatus> = statuses.iter().map(|(_, status)| status.clone()).collect();
            let (count, batch) = reports::batch(&plain);
            let version = self.context.shared.statuses.sent(&statuses[..count]);
            let batch = pb::StatusBatch {
                version,
                statuses: batch,
            };
            self.write(Message::Statuses(batch)).await?;
        }
    }

    async fn events(&mut self) -> Result<(), String> {
        let queue = &self.context.shared.events;
        loop {
            let events = queue.take(EVENTS_MAX);
            if events.is_empty() {
                return Ok(());
            }
            let batch = pb::EventBatch {
                events: events.iter().map(Into::into).collect(),
            };
            if let Err(why) = write(&mut self.send, Message::Events(batch)).await {
                queue.put_back(events);
                return Err(why);
            }
        }
    }

    async fn reports(&mut self) -> Result<(), String> {
        let shared = self.context.shared;
        let (now, now_ms) = (Instant::now(), shared.clock.unix_millis());
        let certificate = self.renewed.borrow().clone();
        let validity = certificate.map(|certificate| certificate.validity);
        let due = self.reports.due(validity, now, now_ms);
        if due.info {
            let mut info = node_status::info(&self.context.facts, now_ms);
            if self.reports.take_info(&mut info) {
                self.write(Message::NodeInfo((&info).into())).await?;
            }
        }
        if due.usage {
            let mut usage = metrics::usage(shared);
            usage.containers.truncate(USAGE_CONTAINERS_MAX);
            if self.reports.take_usage(&usage, now) {
                self.write(Message::Usage((&usage).into())).await?;
            }
        }
        if due.renew {
            match identity::csr(self.context.shared.network.node(), self.context.key) {
                Ok(csr) => {
                    let request = pb::RenewCertificate { csr };
                    self.write(Message::Renew(request)).await?;
                }
                Err(error) => {
                    tracing::error!(
                        error = crate::events::chain(&error),
                        "cannot ask for a certificate"
                    );
                }
            }
        }
        Ok(())
    }
}
