//! Messages whose JSON is not an object: quantities, times, int-or-string, JSON in bytes.

use super::{
    Error,
    table::Special,
    wire::{Raw, Reader, put_bytes, put_number, text},
};
use jiff::Timestamp;
use serde_json::Value;

/// The JSON of a special message; null for a time that is not set.
pub(super) fn decode(special: Special, bytes: &[u8]) -> Result<Value, Error> {
    let mut fields = Reader::new(bytes);
    let (mut numbers, mut texts) = ([0i64; 4], [&b""[..]; 4]);
    while let Some((number, value)) = fields.next()? {
        let index = number as usize;
        match value {
            Raw::Varint(value) if index < 4 => numbers[index] = value.cast_signed(),
            Raw::Bytes(value) if index < 4 => texts[index] = value,
            _ => {}
        }
    }
    Ok(match special {
        Special::Quantity if bytes.is_empty() => "0".into(),
        Special::Quantity => text(texts[1])?.into(),
        Special::IntOrString if numbers[1] == 0 => low_32(numbers[2]).into(),
        Special::IntOrString => text(texts[3])?.into(),
        Special::Time | Special::MicroTime if bytes.is_empty() => Value::Null,
        Special::Time | Special::MicroTime => time(special, numbers[1], numbers[2])?,
        Special::RawJson if texts[1].is_empty() => Value::Null,
        Special::RawJson => serde_json::from_slice(texts[1])
            .map_err(|_refused| Error::Malformed("a raw object in it is not JSON"))?,
    })
}

/// Numbers of 32 bits are read as Go reads them: by their low half.
fn low_32(number: i64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "as documented")]
    let low = number as i32;
    i64::from(low)
}

fn time(special: Special, seconds: i64, nanos: i64) -> Result<Value, Error> {
    let out_of_range = Error::Malformed("a time is out of range");
    let nanos = i32::try_from(nanos).map_err(|_large| out_of_range.clone())?;
    let time = Timestamp::new(seconds, nanos).map_err(|_range| out_of_range)?;
    let form = if special == Special::Time {
        "%Y-%m-%dT%H:%M:%SZ"
    } else {
        "%Y-%m-%dT%H:%M:%S.%6fZ"
    };
    Ok(time.strftime(form).to_string().into())
}

/// The message of a value; none when it does not fit.
pub(super) fn encode(special: Special, value: &Value) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::new();
    match special {
        Special::Quantity => match value {
            Value::String(text) => put_bytes(&mut out, 1, text.as_bytes()),
            Value::Number(number) => put_bytes(&mut out, 1, number.to_string().as_bytes()),
            _ => return Err("is no quantity"),
        },
        Special::IntOrString => match value {
            Value::String(text) => {
                put_number(&mut out, 1, 1);
                put_number(&mut out, 2, 0);
                put_bytes(&mut out, 3, text.as_bytes());
            }
            _ => {
                put_number(&mut out, 1, 0);
                put_number(
                    &mut out,
                    2,
                    value.as_i64().ok_or("is neither a number nor text")?,
                );
                put_bytes(&mut out, 3, b"");
            }
        },
        Special::Time | Special::MicroTime => {
            let time: Timestamp = value
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or("is no time of RFC 3339")?;
            put_number(&mut out, 1, time.as_second());
            let nanos = if special == Special::Time {
                0
            } else {
                time.subsec_nanosecond()
            };
            put_number(&mut out, 2, i64::from(nanos));
        }
        Special::RawJson => put_bytes(&mut out, 1, value.to_string().as_bytes()),
    }
    Ok(out)
}
