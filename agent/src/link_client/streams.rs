//! Streams beside the control stream: those this agent opens, and the answers to those the controller opens.

use crate::{
    Shared,
    logs::{reader, request::Wanted},
};
use coracle_daemon::OnExit;
use coracle_link::{
    frame, pb,
    pb::{stream_reply::Reply, stream_request::Request},
};
use coracle_runtime::BoxedStream;
use quinn::{Connection, RecvStream, SendStream};
use std::{io::Cursor, sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

/// For an answer that needs no work.
pub(super) const REPLY_LIMIT: Duration = Duration::from_secs(15);
/// For a request that the controller has opened a stream for.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// Why a stream is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no connection to the controller")]
    NotConnected,
    #[error("the controller did not answer in {0:?}")]
    TimedOut(Duration),
    #[error("the stream to the controller broke: {0}")]
    Broken(String),
    #[error("{message}")]
    Failure { reason: String, message: String },
}

/// A stream whose request was accepted.
pub(super) struct Opened {
    pub(super) reply: Reply,
    send: SendStream,
    recv: RecvStream,
    /// What came right after the reply.
    rest: Cursor<bytes::Bytes>,
}

impl Opened {
    /// In both directions.
    pub(super) fn into_stream(self) -> BoxedStream {
        Box::new(tokio::io::join(self.rest.chain(self.recv), self.send))
    }

    /// Towards this agent.
    pub(super) fn into_reader(self) -> impl AsyncRead + Unpin + Send {
        self.rest.chain(self.recv)
    }
}

/// Opens a stream and waits for the reply; a `Failure` is an error.
pub(super) async fn open(
    connection: &Connection,
    request: Request,
    limit: Duration,
) -> Result<Opened, Error> {
    tokio::time::timeout(limit, exchange(connection, request))
        .await
        .map_err(|_elapsed| Error::TimedOut(limit))?
}

async fn exchange(connection: &Connection, request: Request) -> Result<Opened, Error> {
    let broken = |error: &dyn std::error::Error| Error::Broken(crate::events::chain(error));
    let opened = connection.open_bi().await;
    let (mut send, recv) = opened.map_err(|error| broken(&error))?;
    let request = pb::StreamRequest {
        request: Some(request),
    };
    let wrote = frame::write(&mut send, &request, frame::HEAD_BYTES_MAX).await;
    wrote.map_err(|error| broken(&error))?;
    let mut reader = frame::Reader::new(recv, frame::HEAD_BYTES_MAX);
    let reply = reader.next::<pb::StreamReply>().await;
    let reply = reply.map_err(|error| broken(&error))?;
    let (recv, rest) = reader.into_parts();
    match reply.and_then(|reply| reply.reply) {
        Some(Reply::Failure(pb::Failure { reason, message })) => {
            Err(Error::Failure { reason, message })
        }
        Some(reply) => Ok(Opened {
            reply,
            send,
            recv,
            rest: Cursor::new(rest.freeze()),
        }),
        None => Err(Error::Broken("it ended without an answer".to_owned())),
    }
}

/// Answers the streams the controller opens, until the connection ends.
pub(super) async fn accept(
    connection: &Connection,
    shared: &Arc<Shared>,
) -> quinn::ConnectionError {
    loop {
        let (send, recv) = match connection.accept_bi().await {
            Ok(stream) => stream,
            Err(error) => return error,
        };
        // Bounded by the number of streams the controller may have open (`coracle_link::quic`).
        let (shared, stop) = (Arc::clone(shared), shared.tasks.stop().clone());
        let tasks = shared.tasks.clone();
        let workers = shared.workers.clone();
        tasks.spawn("controller stream", OnExit::Ignore, async move {
            let serving = Box::pin(serve(&shared, send, recv));
            tokio::select! {
                () = serving => {}
                // Requests that run when the agent stops get the grace period of their pods.
                () = async { stop.cancelled().await; workers.close(); workers.wait().await } => {}
            }
        });
    }
}

async fn serve(shared: &Arc<Shared>, mut send: SendStream, recv: RecvStream) {
    let mut reader = frame::Reader::new(recv, frame::HEAD_BYTES_MAX);
    let request = tokio::time::timeout(REQUEST_LIMIT, reader.next::<pb::StreamRequest>()).await;
    let Ok(Ok(Some(request))) = request else {
        tracing::debug!("the controller opened a stream and asked nothing");
        return;
    };
    let (recv, rest) = reader.into_parts();
    let rest = Cursor::new(rest.freeze());
    let result = match request.request {
        Some(Request::ReadLog(request)) => read_log(shared, &mut send, request).await,
        Some(Request::ConnectPod(request)) => {
            let port = u16::try_from(request.port).unwrap_or(0);
            // Connected before the answer, so that a refusal is one.
            match shared.network.reach_local(&request.pod_uid, port).await {
                Ok(reached) => {
                    if reply(&mut send, Reply::Accepted(pb::Accepted {})).await {
                        let stream = Box::new(tokio::io::join(rest.chain(recv), send));
                        shared.network.serve(reached, stream).await;
                    }
                    return;
                }
                Err(error) => Err(error.to_string()),
            }
        }
        Some(
            Request::ResolveImage(_)
            | Request::FetchArtifact(_)
            | Request::ConnectService(_)
            | Request::Enroll(_),
        ) => Err("an agent does not answer that".to_owned()),
        None => Err("this agent does not know that request".to_owned()),
    };
    if let Err(message) = result {
        let failure = pb::Failure {
            reason: String::new(),
            message,
        };
        reply(&mut send, Reply::Failure(failure)).await;
    }
    let _peer_left = send.shutdown().await;
}

async fn reply(send: &mut SendStream, reply: Reply) -> bool {
    let reply = pb::StreamReply { reply: Some(reply) };
    match frame::write(send, &reply, frame::HEAD_BYTES_MAX).await {
        Ok(_bytes) => true,
        Err(error) => {
            tracing::debug!(%error, "the controller left before it was answered");
            false
        }
    }
}

async fn read_log(
    shared: &Arc<Shared>,
    send: &mut SendStream,
    request: pb::ReadLog,
) -> Result<(), String> {
    let wanted = wanted(request);
    let run = crate::logs::request::check(&shared.statuses, &wanted);
    let run = run.map_err(|error| error.to_string())?;
    if !reply(send, Reply::Accepted(pb::Accepted {})).await {
        return Ok(());
    }
    let gone = send.stopped();
    let (logs, statuses) = (&shared.logs, &shared.statuses);
    let sending = Box::pin(crate::logs::request::send(
        logs, statuses, &wanted, run, send,
    ));
    tokio::select! {
        sent = sending => {
            if let Err(error) = sent {
                tracing::debug!(uid = %wanted.pod_uid, %error, "a log was not sent to its end");
            }
        }
        // Who follows a quiet log and leaves is noticed at once.
        _reader_left = gone => {}
    }
    Ok(())
}

fn wanted(request: pb::ReadLog) -> Wanted {
    let since = request.since_ms;
    Wanted {
        pod_uid: request.pod_uid,
        container: request.container,
        previous: request.previous,
        options: reader::Options {
            follow: request.follow,
            tail_lines: request.tail_lines,
            since: since.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()),
            timestamps: request.timestamps,
            limit_bytes: request.limit_bytes,
        },
    }
}
