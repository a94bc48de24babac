//! Frames: a message is its length as four bytes, big-endian, then its bytes.
//!
//! A length is checked against the reader's limit before anything is allocated, and memory grows with what has arrived,
//! never with what was announced.

use bytes::{Buf as _, BytesMut};
use prost::Message;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroize as _;

/// Largest frame towards an agent: a pod with several ConfigMaps and Secrets of upstream's 1 MiB each.
pub const TO_AGENT_BYTES_MAX: usize = 16 << 20;
/// Largest frame towards a controller: a batch of statuses.
pub const TO_CONTROLLER_BYTES_MAX: usize = 1 << 20;
/// Largest request or reply at the head of a stream.
pub const HEAD_BYTES_MAX: usize = 64 << 10;

const LENGTH_BYTES: usize = 4;
/// Read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// Why no message was read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream failed.
    #[error("the stream failed")]
    Stream(#[from] io::Error),
    /// The stream ended in the middle of a frame.
    #[error("the stream ended inside a frame")]
    Cut,
    /// A frame larger than its reader takes.
    #[error("a frame of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// As announced, or as it would be written.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The bytes are no such message.
    #[error("a frame is not a message: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// Writes one message; the number of bytes it took. Not safe to cancel: half a frame may be written.
///
/// # Errors
/// When the message is over `max`, or the stream fails.
pub async fn write<M: Message>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &M,
    max: usize,
) -> Result<usize, Error> {
    let bytes = encode(message, max)?;
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    Ok(bytes.len())
}

/// A message as a frame, zeroed when dropped: it may hold secrets.
///
/// # Errors
/// When the message is over `max`.
pub fn encode<M: Message>(message: &M, max: usize) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
    let length = message.encoded_len();
    let prefix = u32::try_from(length).ok().filter(|_| length <= max);
    let Some(prefix) = prefix else {
        return Err(Error::TooLarge { bytes: length, max });
    };
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(LENGTH_BYTES + length));
    bytes.extend_from_slice(&prefix.to_be_bytes());
    message.encode_raw(&mut *bytes);
    Ok(bytes)
}

/// Reads messages from a stream. [`Reader::next`] may be cancelled and called again: nothing is lost.
#[derive(Debug)]
pub struct Reader<S> {
    stream: S,
    buffer: BytesMut,
    max: usize,
    bytes: u64,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// Frames of at most `max` bytes from `stream`.
    pub fn new(stream: S, max: usize) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            max,
            bytes: 0,
        }
    }

    /// The next message; none when the stream ended after a whole frame.
    ///
    /// # Errors
    /// When the stream fails, ends in a frame, or holds something else.
    pub async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Error> {
        loop {
            if let Some(message) = take(&mut self.buffer, self.max)? {
                return Ok(Some(message));
            }
            self.buffer.reserve(CHUNK_BYTES);
            let read = self.stream.read_buf(&mut self.buffer).await?;
            self.bytes += read as u64;
            if read == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(Error::Cut)
                };
            }
        }
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The stream, and what was read of it beyond the last message.
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.stream, self.buffer)
    }
}

/// Takes a whole frame off the buffer, if there is one.
fn take<M: Message + Default>(buffer: &mut BytesMut, max: usize) -> Result<Option<M>, Error> {
    let Some(prefix) = buffer.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if length > max {
        return Err(Error::TooLarge { bytes: length, max });
    }
    if buffer.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    buffer.advance(LENGTH_BYTES);
    let mut frame = buffer.split_to(length);
    let message = M::decode(&frame[..]);
    // It may have held secrets; the message owns its copy now.
    frame.zeroize();
    if buffer.is_empty() {
        // A large frame's memory is not kept for the quiet hours after it.
        *buffer = BytesMut::new();
    }
    Ok(Some(message?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb;
    use proptest::prelude::*;

    fn ack(version: u64, resend: Vec<String>) -> pb::StatusAck {
        pb::StatusAck { version, resend }
    }

    #[tokio::test]
    async fn messages_survive_any_cut() {
        let sent: Vec<_> = (0..5)
            .map(|n| ack(n, vec!["x".repeat(9000); usize::try_from(n).unwrap()]))
            .collect();
        let (mut a, b) = tokio::io::duplex(7);
        let expected = sent.clone();
        let write = async move {
            for message in &sent {
                write(&mut a, message, TO_CONTROLLER_BYTES_MAX)
                    .await
                    .unwrap();
            }
        };
        let read = async move {
            let mut reader = Reader::new(b, TO_CONTROLLER_BYTES_MAX);
            let mut got = Vec::new();
            while let Some(message) = reader.next::<pb::StatusAck>().await.unwrap() {
                got.push(message);
            }
            got
        };
        let ((), got) = tokio::join!(write, read);
        assert!(got == expected);
    }

    #[tokio::test]
    async fn a_large_length_is_refused_before_memory_is_taken() {
        let bytes: &[u8] = &[0xff, 0xff, 0xff, 0xff, 1];
        let mut reader = Reader::new(bytes, 100);
        let error = reader.next::<pb::StatusAck>().await.err();
        assert!(matches!(error, Some(Error::TooLarge { max: 100, .. })));
        let cut: &[u8] = &[0, 0, 0, 9, 1];
        let error = Reader::new(cut, 100).next::<pb::StatusAck>().await.err();
        assert!(matches!(error, Some(Error::Cut)));
        assert!(encode(&ack(1, vec!["x".repeat(200)]), 100).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take::<pb::ToController>(&mut buffer, 1 << 16) {}
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take::<pb::ToAgent>(&mut buffer, 1 << 16) {}
        }
    }
}
