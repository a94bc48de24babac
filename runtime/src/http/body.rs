//! The body of a response, and the count of requests that are under way.

use crate::{Exit, container::Container};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use wasmtime_wasi_http::{Error, WasiBody};

/// A guest's body, or none. A client that goes away before its end cancels the request.
pub(crate) struct Body(Option<GuestBody>);

struct GuestBody {
    // Declared first: the guest is told that its client is gone before its stream breaks.
    abandon: Option<DropGuard>,
    inner: WasiBody,
    _in_flight: Request,
}

impl Body {
    pub(super) fn empty() -> Self {
        Self(None)
    }

    pub(super) fn guest(inner: WasiBody, in_flight: Request, abandon: DropGuard) -> Self {
        use http_body::Body as _;
        let mut body = GuestBody {
            inner,
            abandon: Some(abandon),
            _in_flight: in_flight,
        };
        if body.inner.is_end_stream() {
            body.finish();
        }
        Self(Some(body))
    }
}

impl GuestBody {
    /// The client has everything; what the guest does after is its own affair.
    fn finish(&mut self) {
        if let Some(abandon) = self.abandon.take() {
            abandon.disarm();
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let frame = std::task::ready!(Pin::new(&mut body.inner).poll_frame(cx));
        if frame.is_none() || body.inner.is_end_stream() {
            body.finish();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|body| body.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |body| body.inner.size_hint())
    }
}

/// Counts requests; ends a draining container when the last one is gone.
pub(crate) struct InFlight {
    count: AtomicUsize,
    container: Arc<Container>,
    draining: CancellationToken,
}

impl InFlight {
    pub(super) fn new(container: Arc<Container>, draining: CancellationToken) -> Self {
        Self {
            count: AtomicUsize::new(0),
            container,
            draining,
        }
    }

    /// Counts one more, unless the container is draining.
    pub(super) fn enter(this: &Arc<Self>) -> Option<Request> {
        this.count.fetch_add(1, Ordering::SeqCst);
        let request = Request(Arc::clone(this));
        (!this.draining.is_cancelled()).then_some(request)
    }

    /// Ends the container if it drains and nothing is under way.
    pub(super) fn look(&self) {
        if self.draining.is_cancelled() && self.count.load(Ordering::SeqCst) == 0 {
            self.container.end(Exit::Code(0));
        }
    }
}

/// One request under way, until this drops.
pub(crate) struct Request(Arc<InFlight>);

impl Drop for Request {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.look();
        }
    }
}
