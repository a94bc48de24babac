//! Startup, readiness and liveness probes: counting is pure, asking goes over an in-process stream.
//!
//! A probe never decides what follows; it says when its verdict changes (see `pod_worker/state.rs`).

use crate::network::Connect;
use coracle_link::pod::{Probe, ProbeAction};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::time::timeout;

/// How much of a failing answer is shown.
const BODY_BYTES_MAX: usize = 512;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Startup,
    Readiness,
    Liveness,
}

impl Kind {
    /// As it begins upstream's messages.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// Counts answers until the verdict changes.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    success_threshold: u32,
    failure_threshold: u32,
    verdict: Option<bool>,
    last: bool,
    in_a_row: u32,
}

impl Counter {
    pub(crate) fn new(probe: &Probe) -> Self {
        Self {
            success_threshold: probe.success_threshold.max(1),
            failure_threshold: probe.failure_threshold.max(1),
            verdict: None,
            last: false,
            in_a_row: 0,
        }
    }

    /// Takes an answer; returns the verdict when it has changed.
    pub(crate) fn count(&mut self, passed: bool) -> Option<bool> {
        self.in_a_row = if self.last == passed {
            self.in_a_row.saturating_add(1)
        } else {
            1
        };
        self.last = passed;
        let threshold = if passed {
            self.success_threshold
        } else {
            self.failure_threshold
        };
        if self.in_a_row < threshold || self.verdict == Some(passed) {
            return None;
        }
        self.verdict = Some(passed);
        self.verdict
    }
}

/// Asks again and again and calls `report` with each failure's message and each new verdict, until that returns false.
pub(crate) async fn watch<F>(probe: Probe, connect: Connect, host: String, mut report: F)
where
    F: AsyncFnMut(Option<bool>, Option<String>) -> bool,
{
    let mut counter = Counter::new(&probe);
    tokio::time::sleep(Duration::from_secs(probe.initial_delay_secs.into())).await;
    let mut period = tokio::time::interval(Duration::from_secs(probe.period_secs.max(1).into()));
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let limit = Duration::from_secs(probe.timeout_secs.max(1).into());
        let answer = match timeout(limit, ask(&probe.action, &connect, &host)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(timed_out(&probe.action, &host)),
        };
        let verdict = counter.count(answer.is_ok());
        let failure = answer.err();
        if (verdict.is_some() || failure.is_some()) && !report(verdict, failure).await {
            return;
        }
    }
}

fn timed_out(action: &ProbeAction, host: &str) -> String {
    match action {
        ProbeAction::HttpGet { port, path, .. } => format!(
            "Get \"http://{host}:{port}{path}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        ),
        ProbeAction::TcpSocket { port } => format!("dial tcp {host}:{port}: i/o timeout"),
    }
}

async fn ask(action: &ProbeAction, connect: &Connect, host: &str) -> Result<(), String> {
    match action {
        ProbeAction::TcpSocket { port } => match connect.probe_tcp(*port).await {
            Ok(()) => Ok(()),
            Err(error) => Err(format!("dial tcp {host}:{port}: connect: {error}")),
        },
        ProbeAction::HttpGet {
            port,
            path,
            headers,
        } => {
            let url = format!("http://{host}:{port}{path}");
            let stream = connect.open(*port).await.map_err(|error| {
                format!("Get \"{url}\": dial tcp {host}:{port}: connect: {error}")
            })?;
            let failed = |error: hyper::Error| format!("Get \"{url}\": {error}");
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(failed)?;
            let request = request(host, *port, path, headers)?;
            let exchange = async {
                let response = sender.send_request(request).await.map_err(failed)?;
                let status = response.status();
                if status.is_success() || status.is_redirection() {
                    return Ok(());
                }
                Err(refused(status, response.into_body()).await)
            };
            tokio::pin!(connection);
            tokio::select! {
                biased;
                answer = exchange => answer,
                ended = &mut connection => Err(match ended {
                    Ok(()) => format!("Get \"{url}\": EOF"),
                    Err(error) => failed(error),
                }),
            }
        }
    }
}

async fn refused(status: StatusCode, mut body: hyper::body::Incoming) -> String {
    let mut shown = Vec::new();
    while shown.len() < BODY_BYTES_MAX
        && let Ok(Some(Ok(frame))) = timeout(Duration::from_millis(10), body.frame()).await
    {
        shown.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    tracing::trace!(body = %String::from_utf8_lossy(&shown), "a probe failed");
    format!("HTTP probe failed with statuscode: {}", status.as_u16())
}

fn request(
    host: &str,
    port: u16,
    path: &str,
    headers: &[(String, String)],
) -> Result<Request<Empty<bytes::Bytes>>, String> {
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let mut request = Request::get(path);
    let named = |name: &str| {
        headers
            .iter()
            .any(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    if !named("host") {
        request = request.header(header::HOST, format!("{host}:{port}"));
    }
    if !named("user-agent") {
        request = request.header(header::USER_AGENT, "kube-probe/1.35");
    }
    if !named("accept") {
        request = request.header(header::ACCEPT, "*/*");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| format!("the probe is not a valid request: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(success_threshold: u32, failure_threshold: u32, answers: &str, expect: &str) {
        let mut counter = Counter::new(&Probe {
            action: ProbeAction::TcpSocket { port: 80 },
            initial_delay_secs: 0,
            period_secs: 1,
            timeout_secs: 1,
            success_threshold,
            failure_threshold,
        });
        let seen: String = answers
            .chars()
            .map(|answer| match counter.count(answer == '+') {
                Some(true) => 'P',
                Some(false) => 'F',
                None => '.',
            })
            .collect();
        assert_eq!(seen, expect);
    }

    #[test]
    fn verdicts_change_at_the_thresholds() {
        check(1, 3, "+++---+--+---", "P....FP.....F");
        check(2, 1, "-+-++", "F...P");
        check(1, 3, "---", "..F");
        check(1, 1, "----", "F...");
    }
}
