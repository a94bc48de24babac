//! Functions of texts. Places are counted in code points.

use super::{Called, count, index, place, print};
use crate::crd::{
    cause::go_float,
    cel::{
        Failure, Meter, Patterns,
        val::{Text, Val},
    },
    pattern::Pattern,
};
use std::rc::Rc;

type Result<T> = std::result::Result<T, Failure>;

pub(super) fn call<'a>(name: &str, args: &[Val<'a>], meter: &mut Meter) -> Called<'a> {
    match args {
        [Val::Text(text)] => one(name, text, meter),
        [Val::Text(text), Val::Text(other)] => two(name, text, other, meter),
        [Val::Text(text), Val::Int(at)] => with_place(name, text, *at, None, meter),
        [Val::Text(text), Val::Int(from), Val::Int(to)] => {
            with_place(name, text, *from, Some(*to), meter)
        }
        [Val::Text(text), Val::Text(other), Val::Int(number)] => match name {
            "indexOf" => Some(find(text, other, *number, meter)),
            "lastIndexOf" => Some(find_last(text, other, Some(*number), meter)),
            "split" => Some(split(text, other, *number, meter)),
            _ => None,
        },
        [Val::Text(text), Val::Text(from), Val::Text(to)] if name == "replace" => {
            Some(replace(text, from, to, usize::MAX, meter))
        }
        [
            Val::Text(text),
            Val::Text(from),
            Val::Text(to),
            Val::Int(times),
        ] if name == "replace" => {
            let times = usize::try_from(*times).unwrap_or(usize::MAX);
            Some(replace(text, from, to, times, meter))
        }
        [Val::Text(format), Val::List(list)] if name == "format" => {
            let args: Vec<Val<'a>> = list.iter().collect();
            Some(fill(format, &args, meter).map(Val::text))
        }
        [Val::List(list), rest @ ..] if name == "join" => {
            let separator = match rest {
                [] => "",
                [Val::Text(separator)] => separator,
                _ => return None,
            };
            Some(join(list.iter().collect(), separator, meter))
        }
        _ => None,
    }
}

fn one<'a>(name: &str, text: &Text<'a>, meter: &mut Meter) -> Called<'a> {
    let made: fn(&str) -> String = match name {
        "lowerAscii" => str::to_ascii_lowercase,
        "upperAscii" => str::to_ascii_uppercase,
        "trim" => |text| text.trim().to_owned(),
        "strings.quote" => |text| format!("{text:?}"),
        _ => return None,
    };
    Some(meter.bytes(text.len()).map(|()| Val::text(made(text))))
}

fn two<'a>(name: &str, text: &Text<'a>, other: &str, meter: &mut Meter) -> Called<'a> {
    let result = match name {
        "contains" | "indexOf" | "lastIndexOf" | "split" => meter.bytes(text.len() + other.len()),
        _ => meter.bytes(other.len()),
    };
    if let Err(failure) = result {
        return Some(Err(failure));
    }
    Some(match name {
        "contains" => Ok(Val::Bool(text.contains(other))),
        "startsWith" => Ok(Val::Bool(text.starts_with(other))),
        "endsWith" => Ok(Val::Bool(text.ends_with(other))),
        "indexOf" => find(text, other, 0, meter),
        "lastIndexOf" => find_last(text, other, None, meter),
        "split" => split(text, other, -1, meter),
        _ => return None,
    })
}

fn with_place<'a>(
    name: &str,
    text: &Text<'a>,
    from: i64,
    to: Option<i64>,
    meter: &mut Meter,
) -> Called<'a> {
    Some(match (name, to) {
        ("charAt", None) => char_at(text, from, meter),
        ("substring", to) => substring(text, from, to, meter),
        _ => return None,
    })
}

fn char_at<'a>(text: &str, at: i64, meter: &mut Meter) -> Result<Val<'a>> {
    meter.bytes(text.len())?;
    let at = index(at)?;
    match text.chars().nth(at) {
        Some(c) => Ok(Val::text(c.to_string())),
        None if text.chars().count() == at => Ok(Val::text("")),
        None => Err(Failure::other(format!("index out of range: {at}"))),
    }
}

fn substring<'a>(text: &str, from: i64, to: Option<i64>, meter: &mut Meter) -> Result<Val<'a>> {
    meter.bytes(text.len())?;
    let size = text.chars().count();
    let from = index(from)?;
    let to = to.map_or(Ok(size), index)?;
    if from > size || to > size {
        let wrong = if from > size { from } else { to };
        return Err(Failure::other(format!("index out of range: {wrong}")));
    }
    if from > to {
        let message = format!("invalid substring range. start: {from}, end: {to}");
        return Err(Failure::other(message));
    }
    let cut: String = text.chars().skip(from).take(to - from).collect();
    Ok(Val::text(cut))
}

fn byte_place(text: &str, at: usize) -> Option<usize> {
    let mut places = text.char_indices().map(|(place, _)| place);
    places
        .nth(at)
        .or((text.chars().count() == at).then_some(text.len()))
}

fn find<'a>(text: &str, what: &str, from: i64, meter: &mut Meter) -> Result<Val<'a>> {
    meter.bytes(text.len() + what.len())?;
    let from = index(from)?;
    if what.is_empty() {
        return Ok(count(from));
    }
    let Some(start) = byte_place(text, from) else {
        return Ok(Val::Int(-1));
    };
    let found = text[start..].find(what);
    Ok(place(found.map(|at| text[..start + at].chars().count())))
}

fn find_last<'a>(text: &str, what: &str, to: Option<i64>, meter: &mut Meter) -> Result<Val<'a>> {
    meter.bytes(text.len() + what.len())?;
    let end = match to {
        Some(to) => byte_place(text, index(to)?).map_or(text.len(), |at| at + what.len()),
        None => text.len(),
    };
    let mut end = end.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let found = text[..end].rfind(what);
    Ok(place(found.map(|at| text[..at].chars().count())))
}

fn split<'a>(text: &str, by: &str, limit: i64, meter: &mut Meter) -> Result<Val<'a>> {
    // Each part is a value of its own.
    meter.items(text.matches(by).count() + 1)?;
    let part = |part: &str| Val::text(part);
    let limit = match limit {
        0 => return Ok(Val::list(Vec::new())),
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    if by.is_empty() {
        let mut parts: Vec<Val<'a>> = Vec::new();
        for (at, c) in text.char_indices() {
            if parts.len() + 1 == limit {
                parts.push(part(&text[at..]));
                break;
            }
            parts.push(part(c.encode_utf8(&mut [0; 4])));
        }
        return Ok(Val::list(parts));
    }
    Ok(Val::list(text.splitn(limit, by).map(part).collect()))
}

fn replace<'a>(
    text: &str,
    from: &str,
    to: &str,
    times: usize,
    meter: &mut Meter,
) -> Result<Val<'a>> {
    meter.bytes(text.len())?;
    let matches = text.matches(from).count().min(times);
    meter.bytes(matches.saturating_mul(to.len()))?;
    Ok(Val::text(text.replacen(from, to, times)))
}

fn join<'a>(parts: Vec<Val<'a>>, separator: &str, meter: &mut Meter) -> Result<Val<'a>> {
    let mut joined = String::new();
    for (at, part) in parts.iter().enumerate() {
        let Val::Text(part) = part else {
            return Err(Failure::Overload);
        };
        meter.bytes(part.len() + separator.len())?;
        if at > 0 {
            joined.push_str(separator);
        }
        joined.push_str(part);
    }
    Ok(Val::text(joined))
}

/// Largest number of digits after the point.
const PRECISION_MAX: usize = 100;

/// `'%s of %d'.format([a, b])`.
fn fill(format: &str, args: &[Val<'_>], meter: &mut Meter) -> Result<String> {
    meter.bytes(format.len())?;
    let mut out = String::new();
    let mut args = args.iter();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut clause = rest.next();
        let mut precision = None;
        if clause == Some('.') {
            let mut digits = String::new();
            clause = rest.next();
            while let Some(digit) = clause.filter(char::is_ascii_digit) {
                digits.push(digit);
                clause = rest.next();
            }
            precision = digits.parse().ok().filter(|p| *p <= PRECISION_MAX);
        }
        if clause == Some('%') {
            out.push('%');
            continue;
        }
        let missing = || Failure::other("index out of range: not enough arguments for format");
        let arg = args.next().ok_or_else(missing)?;
        let before = out.len();
        clause_of(clause.unwrap_or_default(), precision, arg, &mut out, meter)?;
        meter.bytes(out.len() - before)?;
    }
    Ok(out)
}

fn clause_of(
    clause: char,
    precision: Option<usize>,
    arg: &Val<'_>,
    out: &mut String,
    meter: &mut Meter,
) -> Result<()> {
    let wrong = || {
        let name = arg.type_name();
        Failure::other(format!(
            "error during formatting: %{clause} clause cannot be used on {name}"
        ))
    };
    let number = match arg {
        Val::Int(value) => i128::from(*value),
        Val::Uint(value) => i128::from(*value),
        Val::Bool(value) => i128::from(*value),
        _ => 0,
    };
    let is_whole = matches!(arg, Val::Int(_) | Val::Uint(_));
    let sign = if number < 0 { "-" } else { "" };
    let size = number.unsigned_abs();
    let text = match (clause, arg) {
        ('s', arg) => {
            shown(arg, false, out, meter)?;
            return Ok(());
        }
        ('d', Val::Double(value)) => go_float(*value),
        ('d', _) if is_whole => number.to_string(),
        ('f', Val::Double(value)) => format!("{value:.*}", precision.unwrap_or(6)),
        ('f', _) if is_whole => format!("{number}.{}", "0".repeat(precision.unwrap_or(6))),
        ('e', Val::Double(value)) => {
            let text = format!("{value:.*e}", precision.unwrap_or(6));
            let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, power) = match power.strip_prefix('-') {
                Some(power) => ('-', power),
                None => ('+', power),
            };
            format!("{digits}e{sign}{power:0>2}")
        }
        ('b', _) if is_whole || matches!(arg, Val::Bool(_)) => format!("{sign}{size:b}"),
        ('o', _) if is_whole => format!("{sign}{size:o}"),
        ('x', _) if is_whole => format!("{sign}{size:x}"),
        ('X', _) if is_whole => format!("{sign}{size:X}"),
        ('x' | 'X', Val::Text(text)) => hex(text.as_bytes(), clause == 'X', meter)?,
        ('x' | 'X', Val::Bytes(bytes)) => hex(bytes, clause == 'X', meter)?,
        _ => return Err(wrong()),
    };
    out.push_str(&text);
    Ok(())
}

fn hex(bytes: &[u8], upper: bool, meter: &mut Meter) -> Result<String> {
    meter.bytes(bytes.len() * 2)?;
    let digit = |byte: &u8| {
        if upper {
            format!("{byte:02X}")
        } else {
            format!("{byte:02x}")
        }
    };
    Ok(bytes.iter().map(digit).collect())
}

/// `%s`: texts in lists and maps are quoted.
fn shown(value: &Val<'_>, inside: bool, out: &mut String, meter: &mut Meter) -> Result<()> {
    meter.charge(1)?;
    match value {
        Val::List(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                shown(&item, true, out, meter)?;
            }
            out.push(']');
        }
        Val::Map(map) => {
            out.push('{');
            for (at, (key, value)) in map.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                shown(&key, true, out, meter)?;
                out.push_str(": ");
                shown(&value, true, out, meter)?;
            }
            out.push('}');
        }
        Val::Text(text) => {
            meter.bytes(text.len())?;
            if inside {
                out.push_str(&format!("{:?}", &**text));
            } else {
                out.push_str(text);
            }
        }
        Val::Bytes(bytes) => {
            meter.bytes(bytes.len())?;
            out.push_str(&String::from_utf8_lossy(bytes));
        }
        other => out.push_str(&print(other).ok_or(Failure::Overload)?),
    }
    Ok(())
}

/// `matches`, `find` and `findAll`: patterns of the rule's text are compiled already, others are
/// dear.
pub(super) fn patterns<'a>(
    name: &str,
    args: &[Val<'a>],
    meter: &mut Meter,
    known: &Patterns,
) -> Called<'a> {
    let (text, pattern, limit) = match args {
        [Val::Text(text), Val::Text(pattern)] => (text, pattern, -1),
        [Val::Text(text), Val::Text(pattern), Val::Int(limit)] if name == "findAll" => {
            (text, pattern, *limit)
        }
        _ => return None,
    };
    if !matches!(name, "matches" | "find" | "findAll") {
        return None;
    }
    Some(search(name, text, pattern, limit, (meter, known)))
}

fn search<'a>(
    name: &str,
    text: &Text<'a>,
    pattern: &str,
    limit: i64,
    (meter, known): (&mut Meter, &Patterns),
) -> Result<Val<'a>> {
    let made;
    let compiled = match known.get(pattern) {
        Some(compiled) => compiled,
        None => {
            meter.charge(Meter::PATTERN.saturating_mul(Pattern::dearness(pattern)))?;
            made = Pattern::compile_small(pattern)
                .map_err(|why| Failure::other(format!("error parsing regexp: {why}")))?;
            &made
        }
    };
    meter.charge(compiled.price(text.len()))?;
    let regex = compiled.regex();
    Ok(match name {
        "matches" => Val::Bool(regex.is_match(text)),
        "find" => Val::text(regex.find(text).map_or("", |found| found.as_str())),
        _ => {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let mut found = Vec::new();
            for part in regex.find_iter(text).take(limit) {
                meter.bytes(part.len())?;
                found.push(Val::Text(Text::Made(Rc::from(part.as_str()))));
            }
            Val::list(found)
        }
    })
}
