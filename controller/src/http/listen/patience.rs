//! How long an answer waits for a client to take its next part.
//!
//! Over HTTP/2 a client may leave a stream's window shut and answer pings for ever: no write ever waits then, and the library does
//! not ask for more of the body. The stream is reset, as upstream does at a request's deadline. A watch without news does not wait.

use parking_lot::Mutex;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    task::futures::TaskLocalFuture,
    time::{Instant, Sleep, sleep_until},
};

/// Since when a part waits to be taken, if one does.
type Waiting = Arc<Mutex<Option<Instant>>>;

tokio::task_local! {
    static WAITING: Waiting;
}

/// The client has taken what it was given.
pub(crate) fn taken() {
    set(None);
}

/// The client was given a part of an answer.
pub(crate) fn given() {
    set(Some(Instant::now()));
}

fn set(since: Option<Instant>) {
    // Outside of a stream of HTTP/2 it is the connection that waits (`stall.rs`).
    let _outside = WAITING.try_with(|waiting| *waiting.lock() = since);
}

/// A stream of HTTP/2, ended when a part of its answer has waited for so long.
pub(super) struct Patient<F> {
    stream: Pin<Box<TaskLocalFuture<Waiting, F>>>,
    waiting: Waiting,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Patient<F> {
    pub(super) fn new(stream: F, limit: Duration) -> Self {
        let waiting = Waiting::default();
        Self {
            stream: Box::pin(WAITING.scope(Arc::clone(&waiting), stream)),
            waiting,
            limit,
            timer: None,
        }
    }
}

impl<F: Future<Output = ()>> Future for Patient<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = *self.waiting.lock() else {
            self.timer = None;
            return Poll::Pending;
        };
        let end = since + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if timer.deadline() != end {
            timer.as_mut().reset(end);
        }
        ready!(timer.as_mut().poll(cx));
        tracing::debug!("a client does not read its answer");
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};
    use tokio::time::{sleep, timeout};

    const LIMIT: Duration = Duration::from_secs(60);

    async fn ends_after(stream: impl Future<Output = ()>) -> Option<Duration> {
        let start = Instant::now();
        let ended = timeout(Duration::from_secs(600), Patient::new(stream, LIMIT)).await;
        ended.ok().map(|()| start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up() {
        let stuck = async {
            sleep(Duration::from_secs(10)).await;
            given();
            pending::<()>().await;
        };
        assert_eq!(ends_after(stuck).await, Some(Duration::from_secs(70)));
        let slow = async {
            for _ in 0..20 {
                given();
                sleep(Duration::from_secs(25)).await;
                taken();
            }
        };
        assert_eq!(ends_after(slow).await, Some(Duration::from_secs(500)));
        let silent = async {
            given();
            taken();
            poll_fn(|_| Poll::<()>::Pending).await;
        };
        assert_eq!(ends_after(silent).await, None);
    }
}
