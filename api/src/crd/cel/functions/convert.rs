//! Sizes, types and conversions.

use super::{Called, count};
use crate::crd::{
    cause::go_float,
    cel::{
        Failure, Meter,
        val::{Val, whole_of},
    },
    duration,
};
use jiff::Timestamp;

/// The name of a type as a value.
pub(in crate::crd::cel) fn type_named(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 11] = [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "optional_type",
    ];
    NAMES.into_iter().find(|known| *known == name)
}

pub(super) fn call<'a>(name: &str, args: &[Val<'a>], meter: &mut Meter) -> Called<'a> {
    let [arg] = args else { return None };
    Some(match name {
        "size" => Ok(count(arg.size()?)),
        "type" => Ok(Val::Type(arg.type_name())),
        "dyn" => Ok(arg.clone()),
        "bool" => boolean(arg),
        "int" => int(arg),
        "uint" => uint(arg),
        "double" => double(arg),
        "string" => text(arg, meter),
        "bytes" => match arg {
            Val::Text(text) => meter
                .bytes(text.len())
                .map(|()| Val::Bytes(text.as_bytes().into())),
            Val::Bytes(_) => Ok(arg.clone()),
            _ => return None,
        },
        "duration" => match arg {
            Val::Duration(_) => Ok(arg.clone()),
            Val::Int(seconds) => seconds
                .checked_mul(1_000_000_000)
                .map(Val::Duration)
                .ok_or_else(|| range("duration")),
            Val::Text(text) => duration::parse(text)
                .map(Val::Duration)
                .ok_or_else(|| Failure::other(format!("invalid duration {:?}", &**text))),
            _ => return None,
        },
        "timestamp" => match arg {
            Val::Timestamp(_) => Ok(arg.clone()),
            Val::Int(seconds) => Timestamp::from_second(*seconds)
                .map(Val::Timestamp)
                .map_err(|_range| range("timestamp")),
            Val::Text(text) => text
                .parse()
                .map(Val::Timestamp)
                .map_err(|_not| Failure::other(format!("invalid timestamp {:?}", &**text))),
            _ => return None,
        },
        _ => return None,
    })
}

fn range(what: &str) -> Failure {
    Failure::other(format!("{what} out of range"))
}

fn no_conversion<'a>(arg: &Val<'_>, to: &str) -> Result<Val<'a>, Failure> {
    let from = arg.type_name();
    Err(Failure::other(format!(
        "type conversion error from '{from}' to '{to}'"
    )))
}

fn boolean<'a>(arg: &Val<'a>) -> Result<Val<'a>, Failure> {
    match arg {
        Val::Bool(_) => Ok(arg.clone()),
        Val::Text(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Val::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Val::Bool(false)),
            _ => no_conversion(arg, "bool"),
        },
        _ => Err(Failure::Overload),
    }
}

fn int<'a>(arg: &Val<'a>) -> Result<Val<'a>, Failure> {
    let whole = match arg {
        Val::Int(value) => Some(*value),
        Val::Uint(value) => i64::try_from(*value).ok(),
        Val::Double(value) => whole_of(value.trunc()),
        Val::Timestamp(time) => Some(time.as_second()),
        Val::Text(text) => match text.parse() {
            Ok(value) => Some(value),
            Err(_) => return no_conversion(arg, "int"),
        },
        _ => return Err(Failure::Overload),
    };
    whole.map(Val::Int).ok_or_else(|| range("integer"))
}

fn uint<'a>(arg: &Val<'a>) -> Result<Val<'a>, Failure> {
    let whole = match arg {
        Val::Uint(value) => Some(*value),
        Val::Int(value) => u64::try_from(*value).ok(),
        Val::Double(value) => whole_of(value.trunc()).and_then(|value| u64::try_from(value).ok()),
        Val::Text(text) => match text.parse() {
            Ok(value) => Some(value),
            Err(_) => return no_conversion(arg, "uint"),
        },
        _ => return Err(Failure::Overload),
    };
    whole
        .map(Val::Uint)
        .ok_or_else(|| range("unsigned integer"))
}

fn double<'a>(arg: &Val<'a>) -> Result<Val<'a>, Failure> {
    let number = match arg {
        Val::Double(value) => Some(*value),
        Val::Int(value) => value.to_string().parse().ok(),
        Val::Uint(value) => value.to_string().parse().ok(),
        Val::Text(text) => match text.parse() {
            Ok(value) => Some(value),
            Err(_) => return no_conversion(arg, "double"),
        },
        _ => return Err(Failure::Overload),
    };
    number.map(Val::Double).ok_or_else(|| range("double"))
}

fn text<'a>(arg: &Val<'a>, meter: &mut Meter) -> Result<Val<'a>, Failure> {
    match arg {
        Val::Text(_) => Ok(arg.clone()),
        Val::Bytes(bytes) => {
            meter.bytes(bytes.len())?;
            let text = std::str::from_utf8(bytes);
            let text = text.map_err(|_not| Failure::other("invalid UTF-8 in bytes"))?;
            Ok(Val::text(text))
        }
        other => print(other).map(Val::text).ok_or(Failure::Overload),
    }
}

/// A scalar as text.
pub(in crate::crd::cel) fn print(value: &Val<'_>) -> Option<String> {
    Some(match value {
        Val::Bool(value) => value.to_string(),
        Val::Int(value) => value.to_string(),
        Val::Uint(value) => value.to_string(),
        Val::Double(value) => go_float(*value),
        Val::Text(text) => text.to_string(),
        Val::Duration(nanos) => seconds(*nanos),
        Val::Timestamp(time) => time.to_string(),
        Val::Ip(address) => address.to_string(),
        Val::Cidr(address, bits) => format!("{address}/{bits}"),
        Val::Type(name) => (*name).to_owned(),
        Val::Null => "null".to_owned(),
        _ => return None,
    })
}

/// As the protocol buffer's text: `3600s`, `1.5s`.
fn seconds(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let value = nanos.unsigned_abs();
    let (whole, fraction) = (value / 1_000_000_000, value % 1_000_000_000);
    if fraction == 0 {
        return format!("{sign}{whole}s");
    }
    let digits = format!("{fraction:09}");
    format!("{sign}{whole}.{}s", digits.trim_end_matches('0'))
}
