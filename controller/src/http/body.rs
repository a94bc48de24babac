//! The body of every answer: whole, or a stream.
//!
//! A whole one can still be compressed or printed prettily when it is known to be the answer.

use super::fairness::Seat;
use bytes::Bytes;
use futures_util::Stream;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    inner: Inner,
    /// Held until it was sent.
    _seat: Option<Seat>,
}

#[derive(Debug)]
enum Inner {
    Whole(Option<Bytes>),
    Stream(UnsyncBoxBody<Bytes, io::Error>),
}

impl Body {
    /// Nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(Inner::Whole(None))
    }

    /// These bytes.
    #[must_use]
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(Inner::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// Chunks as they come.
    pub fn stream(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        use futures_util::StreamExt as _;
        Self::wrap(StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))))
    }

    /// Another body.
    pub fn wrap<B>(body: B) -> Self
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::new(Inner::Stream(body.map_err(io::Error::other).boxed_unsync()))
    }

    fn new(inner: Inner) -> Self {
        Self { inner, _seat: None }
    }

    /// The same, which keeps a seat until it was sent.
    pub(crate) fn held_by(self, seat: Option<Seat>) -> Self {
        Self {
            _seat: seat,
            ..self
        }
    }

    /// The bytes, when it is whole.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match &self.inner {
            Inner::Whole(bytes) => bytes.as_ref(),
            Inner::Stream(_) => None,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.inner {
            Inner::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Inner::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Whole(bytes) => bytes.is_none(),
            Inner::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Inner::Stream(body) => body.size_hint(),
        }
    }
}
