//! The body of a request until somebody reads it.
//!
//! A client of HTTP/1.1 sends its body whatever the answer is, and its next request after it: an answer that needs no body (403, 404,
//! 405, 406, 429) must not cut the connection. As Go's server, what is left is read and thrown away, if it is little.

use bytes::Bytes;
use coracle_daemon::{OnExit, Tasks};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use std::time::Duration;

/// Of a body that nobody read, so much is thrown away; more ends the connection.
const LEFT_BYTES_MAX: usize = 256 * 1024;
/// Whatever is thrown away is read for so long.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A body, or none once it was taken.
#[derive(Debug)]
pub(crate) struct Unread {
    body: Option<Incoming>,
    tasks: Tasks,
}

impl Unread {
    pub(crate) fn new(body: Incoming, tasks: Tasks) -> Self {
        Self {
            body: Some(body),
            tasks,
        }
    }

    /// For who reads it.
    pub(crate) fn take(&mut self) -> Option<Incoming> {
        self.body.take()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else {
            return;
        };
        let is_little = body.size_hint().lower() <= LEFT_BYTES_MAX as u64;
        if body.is_end_stream() || !is_little {
            return;
        }
        let rest = drain(body, LEFT_BYTES_MAX);
        self.tasks.spawn("unread body", OnExit::Ignore, rest);
    }
}

/// Reads on without keeping anything. Who sends more than this is cut off.
pub(crate) async fn drain(mut body: Incoming, bytes_max: usize) {
    let read_on = async {
        let mut left = bytes_max;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whatever came of it, the answer is the same.
    let _elapsed = tokio::time::timeout(DRAIN_MAX, read_on).await;
}
