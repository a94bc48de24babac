//! What Go's library says of bad input: upstream's messages end in its words, and people look for them.
//!
//! Pure. Source: Go's `encoding/base64`, `encoding/json`, `fmt`, `strconv` and `time`.

mod bytes;
mod depth;
mod duration;
mod json;
mod number;
mod time;

pub(crate) use bytes::is_base64_line;
pub use bytes::{canonical_base64, decode_base64};
pub use depth::{DEPTH_MAX, is_deeper};
pub use duration::parse_duration;
pub use json::syntax_error;
pub use number::{settle_numbers, to_json};
pub(crate) use time::ZERO_TIME;
pub use time::{Layout, read_time};

use base64::DecodeError;
use serde_json::Value;

/// A value as `%v` prints it: maps by the order of their keys, and no quotes.
#[must_use]
pub fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(printed).collect();
            format!("[{}]", list.join(" "))
        }
        Value::Object(map) => {
            let fields = map
                .iter()
                .map(|(name, value)| format!("{name}:{}", printed(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// A structure of upstream's internal form as `encoding/json` writes it: its fields have Go's names, in their order.
#[must_use]
pub fn structure(fields: &[(&str, &dyn std::fmt::Display)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// What a value is, as `encoding/json` calls it.
#[must_use]
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What a value is, as Go's types are called where no struct says more.
#[must_use]
pub(crate) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// As [`type_of`], and of a number which one: where a whole number is wanted.
#[must_use]
pub fn found(value: &Value) -> String {
    match value {
        Value::Number(number) => format!("number {number}"),
        other => type_of(other).to_owned(),
    }
}

/// The sentence of `encoding/base64` for a text that is none.
#[must_use]
pub fn base64_error(error: &DecodeError, text: &str) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => *at,
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.len(),
    };
    format!("illegal base64 data at input byte {at}")
}

/// A whole number of 64 bits.
///
/// # Errors
/// With the sentence of `strconv.ParseInt`.
pub fn parse_int(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|refused: std::num::ParseIntError| number_error("ParseInt", text, &refused))
}

/// A whole number of 64 bits without a sign.
///
/// # Errors
/// With the sentence of `strconv.ParseUint`.
pub fn parse_uint(text: &str) -> Result<u64, String> {
    // A sign that Rust takes, and Go does not.
    let digits = if text.starts_with('+') { "" } else { text };
    digits
        .parse()
        .map_err(|refused: std::num::ParseIntError| number_error("ParseUint", text, &refused))
}

fn number_error(function: &str, text: &str, refused: &std::num::ParseIntError) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let why = match refused.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {text:?}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_printed_without_quotes() {
        let value = json!({"b": [1, "x", null], "a": {"c": true}});
        assert_eq!(printed(&value), "map[a:map[c:true] b:[1 x <nil>]]");
    }

    #[test]
    fn structures_keep_the_order_of_their_fields() {
        let inner = structure(&[("Z", &json!("x")), ("A", &Value::Null)]);
        let outer = structure(&[("Type", &json!("t")), ("In", &inner)]);
        assert_eq!(outer, r#"{"Type":"t","In":{"Z":"x","A":null}}"#);
    }

    #[test]
    fn numbers_are_refused_in_the_words_of_strconv() {
        assert_eq!(parse_int("-7"), Ok(-7));
        let syntax = "strconv.ParseInt: parsing \"foo\": invalid syntax";
        assert_eq!(parse_int("foo"), Err(syntax.to_owned()));
        let range = "strconv.ParseUint: parsing \"99999999999999999999\": value out of range";
        assert_eq!(parse_uint("99999999999999999999"), Err(range.to_owned()));
        let sign = "strconv.ParseUint: parsing \"+1\": invalid syntax";
        assert_eq!(parse_uint("+1"), Err(sign.to_owned()));
    }
}
