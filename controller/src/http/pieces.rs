//! What a stream sends next: small things together, a large one by itself and as it is, for many clients may share it.

use super::{body::held, outbox::Room};
use bytes::Bytes;
use std::sync::Arc;

/// Things are sent together up to about this many bytes; what is larger alone is large.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// Some pieces, in order.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    done: Vec<Bytes>,
    /// Small things, the last piece.
    open: Vec<u8>,
    /// Of all of them.
    len: usize,
    /// What the large ones take.
    room: Option<Arc<Room>>,
}

impl Pieces {
    /// None, with space for so many bytes of small things.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            open: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.open.reserve(bytes);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there is enough to be sent.
    pub(crate) const fn is_full(&self) -> bool {
        self.len >= CHUNK_BYTES
    }

    /// The room of what comes next, held until it was sent.
    pub(crate) fn take_room(&mut self, room: Option<Arc<Room>>) {
        self.room = room;
    }

    /// Adds a few bytes.
    pub(crate) fn text(&mut self, text: &[u8]) {
        self.open.extend_from_slice(text);
        self.len += text.len();
    }

    /// Adds what may be large.
    pub(crate) fn bytes(&mut self, bytes: Bytes) {
        if bytes.len() <= CHUNK_BYTES {
            return self.text(&bytes);
        }
        self.len += bytes.len();
        self.close();
        self.done.push(match &self.room {
            Some(room) => held(bytes, room),
            None => bytes,
        });
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open).into());
        }
    }

    /// One after the other.
    pub(crate) fn finish(mut self) -> std::vec::IntoIter<Bytes> {
        self.close();
        self.done.into_iter()
    }

    /// All in one.
    pub(crate) fn joined(mut self) -> Bytes {
        self.close();
        match self.done.as_slice() {
            [only] => only.clone(),
            several => several.concat().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_is_not_copied() {
        let large = Bytes::from(vec![b'x'; CHUNK_BYTES + 1]);
        let mut pieces = Pieces::default();
        pieces.text(b"a");
        pieces.bytes(Bytes::from_static(b"b"));
        assert!(!pieces.is_full() && !pieces.is_empty());
        pieces.bytes(large.clone());
        pieces.text(b"c");
        assert!(pieces.is_full());
        let sent: Vec<Bytes> = pieces.finish().collect();
        assert_eq!(sent[0], "ab");
        assert_eq!(sent[1].as_ptr(), large.as_ptr());
        assert_eq!(sent[2], "c");
        assert_eq!(sent.len(), 3);
        assert_eq!(Pieces::default().finish().len(), 0);
        assert!(Pieces::default().joined().is_empty());
    }
}
