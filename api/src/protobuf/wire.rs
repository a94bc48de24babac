//! Protobuf's wire format, and the two envelopes around an object.

use super::Error;

/// A field on the wire: its number and its value.
pub(super) type Entry<'a> = (u32, Raw<'a>);

/// A value on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// Reads one field after another.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Numbers one after another.
    pub(super) fn packed(bytes: &'a [u8]) -> impl Iterator<Item = Result<u64, Error>> {
        let mut reader = Self(bytes);
        std::iter::from_fn(move || (!reader.0.is_empty()).then(|| reader.varint())).scan(
            false,
            |failed, number| {
                let go_on = !*failed;
                *failed = number.is_err();
                go_on.then_some(number)
            },
        )
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self
                .0
                .split_first()
                .ok_or(Error::Malformed("it ends inside a number"))?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::Malformed("a number has more than 64 bits"))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(Error::Malformed("it ends inside a field"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next field; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry<'a>>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0);
        let number = number.ok_or(Error::Malformed("a field has an impossible number"))?;
        let value = match tag & 7 {
            0 => Raw::Varint(self.varint()?),
            1 => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(self.take(8)?);
                Raw::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                Raw::Bytes(self.take(len)?)
            }
            5 => {
                self.take(4)?;
                Raw::Fixed32
            }
            _ => return Err(Error::Malformed("a field has an unknown wire type")),
        };
        Ok(Some((number, value)))
    }
}

/// Text of a field.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_invalid| Error::Malformed("a text is not UTF-8"))
}

/// `runtime.Unknown`: what an object is, and its bytes.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    pub(super) api_version: &'a str,
    pub(super) kind: &'a str,
    pub(super) raw: &'a [u8],
    pub(super) content_encoding: &'a str,
    pub(super) content_type: &'a str,
}

impl<'a> Envelope<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut envelope = Self::default();
        let mut fields = Reader::new(bytes);
        while let Some((number, value)) = fields.next()? {
            let Raw::Bytes(value) = value else {
                continue;
            };
            match number {
                1 => {
                    let mut meta = Reader::new(value);
                    while let Some((number, value)) = meta.next()? {
                        match (number, value) {
                            (1, Raw::Bytes(value)) => envelope.api_version = text(value)?,
                            (2, Raw::Bytes(value)) => envelope.kind = text(value)?,
                            _ => {}
                        }
                    }
                }
                2 => envelope.raw = value,
                3 => envelope.content_encoding = text(value)?,
                4 => envelope.content_type = text(value)?,
                _ => {}
            }
        }
        Ok(envelope)
    }
}

/// Puts an object's bytes into a `runtime.Unknown`.
pub(super) fn envelope(magic: &[u8], api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut meta = Vec::new();
    put_bytes(&mut meta, 1, api_version.as_bytes());
    put_bytes(&mut meta, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(raw.len() + meta.len() + 32);
    out.extend_from_slice(magic);
    put_bytes(&mut out, 1, &meta);
    put_bytes(&mut out, 2, raw);
    put_bytes(&mut out, 3, b"");
    put_bytes(&mut out, 4, b"");
    out
}

/// A `WatchEvent` with its length in front.
pub(super) fn watch_frame(event: &str, object: &[u8]) -> Vec<u8> {
    let mut extension = Vec::with_capacity(object.len() + 8);
    put_bytes(&mut extension, 1, object);
    let mut message = Vec::with_capacity(extension.len() + 16);
    put_bytes(&mut message, 1, event.as_bytes());
    put_bytes(&mut message, 2, &extension);
    // An object is far below 4 GiB: requests are capped at 3 MiB.
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = len.to_be_bytes().to_vec();
    frame.extend_from_slice(&message);
    frame
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

pub(super) fn put_tag(out: &mut Vec<u8>, number: u32, wire: u32) {
    put_varint(out, u64::from(number << 3 | wire));
}

pub(super) fn put_number(out: &mut Vec<u8>, number: u32, value: i64) {
    put_tag(out, number, 0);
    put_varint(out, value.cast_unsigned());
}

pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
