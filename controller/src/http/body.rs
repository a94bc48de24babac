//! The body of every answer: whole, or a stream.
//!
//! A whole one can still be compressed or printed prettily when it is known to be the answer. Either way no more than a
//! part of it is given away before the client has taken the part before: what is given away is out of our hands.

use super::{fairness::Seat, listen::patience};
use bytes::Bytes;
use futures_util::Stream;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// What is given away at once.
const PART_BYTES: usize = 64 * 1024;

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    inner: Inner,
    /// Held until it was sent, by each part too.
    seat: Option<Arc<Seat>>,
}

#[derive(Debug)]
enum Inner {
    Whole(Option<Bytes>),
    Stream {
        source: UnsyncBoxBody<Bytes, io::Error>,
        /// Of what it gave last.
        rest: Option<Bytes>,
    },
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
        Self::new(Inner::Stream {
            source: body.map_err(io::Error::other).boxed_unsync(),
            rest: None,
        })
    }

    fn new(inner: Inner) -> Self {
        Self { inner, seat: None }
    }

    /// The same, which keeps a seat until it was sent.
    pub(crate) fn held_by(self, seat: Option<Seat>) -> Self {
        Self {
            seat: seat.map(Arc::new),
            ..self
        }
    }

    /// The bytes, when it is whole.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match &self.inner {
            Inner::Whole(bytes) => bytes.as_ref(),
            Inner::Stream { .. } => None,
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
        patience::taken();
        let frame = match &mut self.inner {
            Inner::Whole(bytes) => Poll::Ready(part(bytes).map(|part| Ok(Frame::data(part)))),
            Inner::Stream { source, rest } => match part(rest) {
                Some(part) => Poll::Ready(Some(Ok(Frame::data(part)))),
                None => Pin::new(source).poll_frame(cx).map_ok(|frame| {
                    frame.map_data(|data| {
                        *rest = Some(data);
                        part(rest).unwrap_or_default()
                    })
                }),
            },
        };
        let held = |bytes| match &self.seat {
            Some(seat) => held(bytes, seat),
            None => bytes,
        };
        frame.map_ok(|frame| {
            patience::given();
            frame.map_data(held)
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Whole(bytes) => bytes.is_none(),
            Inner::Stream { source, rest } => rest.is_none() && source.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Inner::Stream { source, rest } => {
                let left = rest.as_ref().map_or(0, |rest| rest.len() as u64);
                let hint = source.size_hint();
                let mut whole = SizeHint::new();
                whole.set_lower(hint.lower() + left);
                if let Some(upper) = hint.upper() {
                    whole.set_upper(upper + left);
                }
                whole
            }
        }
    }
}

/// The next part of a whole body.
fn part(rest: &mut Option<Bytes>) -> Option<Bytes> {
    match rest {
        Some(bytes) if bytes.len() > PART_BYTES => Some(bytes.split_to(PART_BYTES)),
        _ => rest.take(),
    }
}

/// Bytes that keep something until they are gone.
pub(crate) fn held<T: Send + Sync + 'static>(bytes: Bytes, by: &Arc<T>) -> Bytes {
    Bytes::from_owner(Held {
        bytes,
        _by: Arc::clone(by),
    })
}

struct Held<T> {
    bytes: Bytes,
    _by: Arc<T>,
}

impl<T> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fairness::*, *};
    use std::net::IpAddr;

    #[tokio::test]
    async fn a_whole_body_goes_in_parts_that_keep_its_seat() {
        let seats = Seats::new(3);
        let client = || Client::Address(IpAddr::from([127, 0, 0, 1]));
        let seat = seats.take(client(), 1).unwrap();
        let text = vec![b'x'; 3 * PART_BYTES + 1];
        let mut body = Body::whole(text.clone()).held_by(Some(seat));
        let mut parts = Vec::new();
        while let Some(frame) = body.frame().await {
            parts.push(frame.unwrap().into_data().unwrap());
        }
        drop(body);
        assert_eq!(parts.len(), 4);
        assert_eq!(parts.concat(), text);
        // One is held by the parts: two more would be more than is left.
        assert_eq!(seats.take(client(), 2).err(), Some(Refusal::Share));
        drop(parts);
        assert!(seats.take(client(), 2).is_ok());
    }

    #[tokio::test]
    async fn so_does_what_comes_in_large_pieces() {
        let pieces = [10, 3 * PART_BYTES + 1, PART_BYTES].map(|size| Bytes::from(vec![b'x'; size]));
        let chunks = pieces.clone().map(Ok);
        let mut body = Body::stream(futures_util::stream::iter(chunks));
        let mut parts = Vec::new();
        while let Some(frame) = body.frame().await {
            parts.push(frame.unwrap().into_data().unwrap());
        }
        let sizes: Vec<usize> = parts.iter().map(Bytes::len).collect();
        let part = PART_BYTES;
        assert_eq!(sizes, [10, part, part, part, 1, part]);
        assert_eq!(parts.concat(), pieces.concat());
    }
}
