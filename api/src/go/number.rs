//! Numbers of JSON that no type describes, as upstream reads and writes them.
//!
//! A literal without a point and a power is a whole number of 64 bits; any other is a float, and a float without a fraction
//! is written as a whole number: stored and read again it is one.
//! Source: Go, `encoding/json`, `floatEncoder`; sigs.k8s.io/json, `convertNumber`.

use serde::Serialize as _;
use serde_json::{Number, Serializer, Value, ser::Formatter};
use std::io;

/// What most objects find room in.
const ROOM: usize = 1024;

/// A value as Go writes it: as any JSON, but for floats.
#[must_use]
pub fn to_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(ROOM);
    let mut writer = Serializer::with_formatter(&mut out, Floats);
    // A value's keys are texts, and memory takes every byte: nothing can go wrong.
    let _written = value.serialize(&mut writer);
    out
}

/// Turns floats without a fraction into the whole numbers that upstream reads of its store, and whole numbers that do not
/// fit 64 bits into floats.
pub fn settle_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(settled) = settled(number) {
                *number = settled;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(settle_numbers),
        Value::Object(map) => map.values_mut().for_each(settle_numbers),
        _ => {}
    }
}

fn settled(number: &Number) -> Option<Number> {
    if number.as_i64().is_some() {
        return None;
    }
    let float = number.as_f64()?;
    if float.fract() != 0.0 {
        return None;
    }
    match float_text(float).parse::<i64>() {
        Ok(whole) => Some(whole.into()),
        Err(_large) => Number::from_f64(float),
    }
}

/// A finite float as `encoding/json` writes it.
fn float_text(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        return match text.contains("e-") {
            true => text,
            false => text.replace('e', "e+"),
        };
    }
    value.to_string()
}

struct Floats;

impl Formatter for Floats {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(float_text(value).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn numbers_are_read_and_written_as_by_go() {
        for (literal, written) in [
            ("1.0", "1"),
            ("1e3", "1000"),
            ("-2.50", "-2.5"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("3", "3"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("1.5e300", "1.5e+300"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("-1.25e-9", "-1.25e-9"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9223372036854776000"),
            ("18446744073709551615", "18446744073709552000"),
            ("1152921504606846976.0", "1152921504606847000"),
        ] {
            let mut value: Value = serde_json::from_str(&format!("[{{\"a\":{literal}}}]")).unwrap();
            settle_numbers(&mut value);
            let text = String::from_utf8(to_json(&value)).unwrap();
            assert_eq!(text, format!("[{{\"a\":{written}}}]"), "{literal}");
        }
        let mut value = json!({"a": ["1.0", null, true, 1.0]});
        settle_numbers(&mut value);
        assert_eq!(value, json!({"a": ["1.0", null, true, 1]}));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bits in any::<u64>()) {
            let float = f64::from_bits(bits);
            prop_assume!(float.is_finite());
            let read: f64 = float_text(float).parse().unwrap();
            prop_assert_eq!(read.to_bits(), float.to_bits());
            // What was settled once stays as it is.
            let mut value = json!(float);
            settle_numbers(&mut value);
            let settled: Value = serde_json::from_slice(&to_json(&value)).unwrap();
            let mut again = settled.clone();
            settle_numbers(&mut again);
            prop_assert_eq!(to_json(&again), to_json(&value));
        }
    }
}
