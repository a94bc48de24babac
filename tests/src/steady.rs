//! A load at a fixed rate: what a server's clients see, whatever the server does.
//!
//! A request has its time on the clock, not after the answer before it: one that had to wait for its connection is
//! measured from when it was due, so a server that stalls is not spared (no coordinated omission).

use anyhow::{Context as _, ensure};
use http::{Request, header::HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Connections that share the rate.
const CONNECTIONS: u32 = 32;
/// One answer; longer is a failure.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What the clients saw: the times of all answers, sorted. All had status 200.
#[derive(Debug)]
pub struct Answers {
    times: Vec<Duration>,
}

impl Answers {
    /// The time within which this share of the requests was answered, by the nearest rank.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.times.len() * percent).div_ceil(100).max(1) - 1;
        self.times.get(rank).copied().unwrap_or_default()
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.times.len()
    }
}

/// Asks for `/` with `per_second` requests a second for `seconds`.
///
/// # Errors
/// When a single request is not answered with 200.
#[expect(
    clippy::disallowed_methods,
    reason = "the tasks end with the set that holds them"
)]
pub async fn load(address: SocketAddr, per_second: u32, seconds: u32) -> anyhow::Result<Answers> {
    let total = per_second * seconds;
    let begin = Instant::now() + Duration::from_millis(10);
    let mut clients = JoinSet::new();
    for first in 0..CONNECTIONS {
        let due = (first..total)
            .step_by(CONNECTIONS as usize)
            .map(move |number| begin + Duration::from_secs(1) * number / per_second);
        clients.spawn(client(address, due));
    }
    let mut times = Vec::with_capacity(total as usize);
    while let Some(client) = clients.join_next().await {
        times.extend(client??);
    }
    times.sort_unstable();
    Ok(Answers { times })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tasks end with the set that holds them"
)]
async fn client(
    address: SocketAddr,
    due: impl Iterator<Item = Instant>,
) -> anyhow::Result<Vec<Duration>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let mut times = Vec::new();
    for due in due {
        // A timer's own lateness is not the server's.
        let from = if Instant::now() < due {
            sleep_until(due).await;
            Instant::now()
        } else {
            due
        };
        let request = Request::get("/")
            .header(HOST, address.to_string())
            .body(Empty::<Bytes>::new())?;
        let answer = async {
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            answer.into_body().collect().await?;
            Ok::<_, hyper::Error>(status)
        };
        let status = tokio::time::timeout(ANSWER_LIMIT, answer)
            .await
            .with_context(|| format!("no answer within {ANSWER_LIMIT:?}"))??;
        ensure!(status == 200, "a request was answered with {status}");
        times.push(from.elapsed());
    }
    Ok(times)
}
