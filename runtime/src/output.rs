//! The guest's stdout and stderr, handed to the agent as they are written.
//!
//! What a container may write is a rate: a log goes to a disk that wears out. A guest over its
//! budget waits, as a process does whose pipe is full; nothing it wrote is lost.

use crate::{Output, StdStream};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::AsyncWrite,
    time::{Instant, Sleep},
};
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// The most a guest may hand over in one write.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// What a quiet container may write at once: a long report, a stack of backtraces.
const BURST_BYTES: i64 = 4 << 20;
/// What it may go on writing, each second.
const RATE_BYTES: i64 = 1 << 20;

/// What the instances of one container may still write. May be overdrawn by a write of each
/// instance; the debt is paid from the refills.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<Level>);

#[derive(Debug)]
struct Level {
    bytes: i64,
    refilled: Instant,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Level {
            bytes: BURST_BYTES,
            refilled: Instant::now(),
        }))
    }

    fn take(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut level = self.0.lock();
        level.bytes = level.bytes.saturating_sub(bytes);
    }

    /// Until when a writer has to wait.
    fn wait_until(&self, now: Instant) -> Option<Instant> {
        self.0.lock().wait_until(now)
    }
}

impl Level {
    fn wait_until(&mut self, now: Instant) -> Option<Instant> {
        let elapsed = now.saturating_duration_since(self.refilled);
        let millis = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        if millis > 0 {
            let refill = millis.saturating_mul(RATE_BYTES) / 1000;
            self.bytes = self.bytes.saturating_add(refill).min(BURST_BYTES);
            self.refilled = now;
        }
        if self.bytes > 0 {
            return None;
        }
        let missing_millis = self.bytes.unsigned_abs() * 1000 / RATE_BYTES.unsigned_abs() + 1;
        Some(now + Duration::from_millis(missing_millis))
    }
}

/// One of the two streams.
pub(crate) struct GuestStream {
    stream: StdStream,
    output: Arc<dyn Output>,
    budget: Arc<Budget>,
    /// A write has been promised by `ready`; the promise is kept even if others were quicker.
    promised: bool,
    wait: Option<Pin<Box<Sleep>>>,
}

impl GuestStream {
    pub(crate) fn new(stream: StdStream, output: Arc<dyn Output>, budget: Arc<Budget>) -> Self {
        Self {
            stream,
            output,
            budget,
            promised: false,
            wait: None,
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.promised = false;
        self.budget.take(bytes.len());
        self.output.write(self.stream, bytes);
    }

    /// Ready as soon as the budget allows a write.
    fn poll_budget(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(wait) = &mut self.wait {
                std::task::ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            match self.budget.wait_until(Instant::now()) {
                None => return Poll::Ready(()),
                Some(until) => self.wait = Some(Box::pin(tokio::time::sleep_until(until))),
            }
        }
    }
}

impl Clone for GuestStream {
    fn clone(&self) -> Self {
        Self::new(
            self.stream,
            Arc::clone(&self.output),
            Arc::clone(&self.budget),
        )
    }
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {
        if !self.promised {
            std::future::poll_fn(|cx| self.poll_budget(cx)).await;
            self.promised = true;
        }
    }
}

impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.put(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.promised || self.budget.wait_until(Instant::now()).is_none() {
            Ok(WRITE_BYTES_MAX)
        } else {
            Ok(0)
        }
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_budget(cx));
        let taken = &bytes[..bytes.len().min(WRITE_BYTES_MAX)];
        self.put(taken);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_a_burst_and_then_a_rate() {
        let start = Instant::now();
        let mut level = Level {
            bytes: BURST_BYTES,
            refilled: start,
        };
        assert_eq!(level.wait_until(start), None);
        level.bytes -= BURST_BYTES + RATE_BYTES / 2;
        assert_eq!(
            level.wait_until(start),
            Some(start + Duration::from_millis(501))
        );
        let later = start + Duration::from_millis(501);
        assert_eq!(level.wait_until(later), None);
        assert!(level.bytes <= RATE_BYTES / 100);
        // Quiet hours never pile up more than a burst.
        assert_eq!(level.wait_until(start + Duration::from_secs(3600)), None);
        assert_eq!(level.bytes, BURST_BYTES);
    }
}
