//! Waiting for a level, with a limit.

use anyhow::bail;
use std::time::Duration;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(50);

/// Asks until there is an answer, at most `limit`; how long it took. What `ask` says last is part of the error.
///
/// # Errors
/// When the time is over.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> anyhow::Result<Result<T, String>>,
) -> anyhow::Result<(T, Duration)> {
    let started = now();
    loop {
        let last = match ask()? {
            Ok(found) => return Ok((found, started.elapsed())),
            Err(last) => last,
        };
        if started.elapsed() > limit {
            bail!("no {what} within {limit:?}; last seen: {last}");
        }
        pause(PERIOD);
    }
}

/// As [`until`], for a question that is itself waited for.
///
/// # Errors
/// When the time is over.
pub async fn level<T>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Result<T, String>>,
) -> anyhow::Result<T> {
    let started = now();
    loop {
        let last = match ask().await? {
            Ok(found) => return Ok(found),
            Err(last) => last,
        };
        if started.elapsed() > limit {
            bail!("no {what} within {limit:?}; last seen: {last}");
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// The time now, for measuring.
#[expect(
    clippy::disallowed_types,
    reason = "tests of whole processes live in real time"
)]
#[must_use]
pub fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A pause between two looks at a level; never a wait for something to have happened.
#[expect(
    clippy::disallowed_methods,
    reason = "tests of whole processes have no executor to block"
)]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
