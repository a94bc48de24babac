//! YAML of answers, for readers of YAML 1.1 and 1.2 alike: what either takes for something else than a text is quoted.
//!
//! Pure. The styles are upstream's: plain where that is safe, quoted else, and lines as a literal block.
//! Source: go.yaml.in/yaml/v2 `encode.go`, `resolve.go`; PyYAML `resolver.py`.

use serde_json::{Map, Value};

/// A longer key is no simple one.
const SIMPLE_KEY_CHARS_MAX: usize = 128;

/// Words that are no texts to one reader or another, in any case of letters.
const WORDS: [&str; 18] = [
    "", "~", "null", "y", "yes", "true", "on", "n", "no", "false", "off", "<<", "=", ".nan",
    ".inf", "+.inf", "-.inf", "...",
];

/// A value as YAML.
pub(crate) fn text(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => fields(&mut out, map, 0),
        Value::Array(list) if !list.is_empty() => items(&mut out, list, 0),
        other => line(&mut out, other, 2),
    }
    out
}

/// The fields of a map that begins where the last line ends.
fn fields(out: &mut String, map: &Map<String, Value>, indent: usize) {
    for (at, (name, value)) in map.iter().enumerate() {
        if at > 0 {
            pad(out, indent);
        }
        key(out, name, indent);
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                pad(out, indent + 2);
                fields(out, map, indent + 2);
            }
            Value::Array(list) if !list.is_empty() => {
                out.push('\n');
                pad(out, indent);
                items(out, list, indent);
            }
            other => {
                out.push(' ');
                line(out, other, indent + 2);
            }
        }
    }
}

fn items(out: &mut String, list: &[Value], indent: usize) {
    for (at, value) in list.iter().enumerate() {
        if at > 0 {
            pad(out, indent);
        }
        out.push_str("- ");
        match value {
            Value::Object(map) if !map.is_empty() => fields(out, map, indent + 2),
            Value::Array(list) if !list.is_empty() => items(out, list, indent + 2),
            other => line(out, other, indent + 2),
        }
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn key(out: &mut String, name: &str, indent: usize) {
    let start = out.len();
    one_line(out, name);
    if out.len() - start > SIMPLE_KEY_CHARS_MAX {
        out.insert_str(start, "? ");
        out.push('\n');
        pad(out, indent);
    }
    out.push(':');
}

/// What has no parts, and the end of its line; further lines of it are indented.
fn line(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(is) => out.push_str(if *is { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&float(number.to_string())),
        Value::String(text) if is_block(text) => return block(out, text, indent),
        Value::String(text) => one_line(out, text),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
    out.push('\n');
}

/// A power of ten as YAML 1.1 writes it, with a point and a sign.
fn float(mut number: String) -> String {
    let Some(at) = number.find(['e', 'E']) else {
        return number;
    };
    if !number[at + 1..].starts_with(['+', '-']) {
        number.insert(at + 1, '+');
    }
    if !number[..at].contains('.') {
        number.insert_str(at, ".0");
    }
    number
}

/// Whether a text of several lines can be shown as such.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.ends_with(' ')
        && !text.contains(" \n")
        && text.chars().all(|c| c == '\n' || is_printable(c))
}

fn block(out: &mut String, text: &str, indent: usize) {
    out.push_str(match text.strip_suffix('\n') {
        None => "|-\n",
        Some(rest) if rest.ends_with('\n') => "|+\n",
        Some(_) => "|\n",
    });
    for line in text.split_inclusive('\n') {
        if line != "\n" {
            pad(out, indent);
        }
        out.push_str(line);
    }
    if !text.ends_with('\n') {
        out.push('\n');
    }
}

fn one_line(out: &mut String, text: &str) {
    if is_other(text) || !text.chars().all(is_printable) {
        double_quoted(out, text);
    } else if is_plain(text) {
        out.push_str(text);
    } else {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    }
}

/// What may stand in a text without an escape, on one line.
fn is_printable(c: char) -> bool {
    match c {
        // Ends of lines in YAML 1.1.
        '\u{2028}' | '\u{2029}' | '\u{feff}' => false,
        ' '..='~' | '\u{a0}'..='\u{fffd}' | '\u{10000}'.. => true,
        _ => false,
    }
}

/// Whether a printable text needs no quotes, apart from what it may be taken for.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let begins = match chars.next() {
        Some('-') => chars.next().is_some_and(|c| c != ' ') && !text.starts_with("---"),
        Some(c) => c.is_alphanumeric() || "_/.($+<^;\\".contains(c),
        None => false,
    };
    let is_broken = text.contains(": ") || text.contains(" #") || text.starts_with("...");
    begins && !is_broken && !text.ends_with([' ', ':'])
}

/// Whether a reader takes a plain text for something else.
fn is_other(text: &str) -> bool {
    if WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return true;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    is_number && (is_whole(unsigned) || is_float(unsigned) || is_clock(unsigned) || is_date(text))
}

fn is_digits(text: &str, base: u32) -> bool {
    !text.is_empty() && text.chars().all(|c| c == '_' || c.is_digit(base))
}

fn is_whole(text: &str) -> bool {
    let based = |letters: [&str; 2], base| {
        let digits = letters.iter().find_map(|start| text.strip_prefix(start));
        digits.is_some_and(|digits| is_digits(digits, base))
    };
    is_digits(text, 10)
        || based(["0x", "0X"], 16)
        || based(["0o", "0O"], 8)
        || based(["0b", "0B"], 2)
}

fn is_float(text: &str) -> bool {
    let (number, power) = match text.split_once(['e', 'E']) {
        Some((number, power)) => (number, Some(power)),
        None => (text, None),
    };
    let is_power =
        power.is_none_or(|power| is_digits(power.strip_prefix(['+', '-']).unwrap_or(power), 10));
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_some = !(whole.is_empty() && part.is_empty());
    let is_part = |text: &str| text.is_empty() || is_digits(text, 10);
    is_power && is_some && is_part(whole) && is_part(part)
}

/// Numbers to the base of sixty, as `1:30`.
fn is_clock(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    whole.contains(':')
        && (part.is_empty() || is_digits(part, 10))
        && whole.split(':').all(|digits| is_digits(digits, 10))
}

/// What begins as `2020-01-01`, with or without a time.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut next = |lens: std::ops::RangeInclusive<usize>| {
        let part = parts.next()?;
        let end = part.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = part.split_at(end.unwrap_or(part.len()));
        lens.contains(&digits.len()).then_some(rest)
    };
    let is_alone = |rest: Option<&str>| rest.is_some_and(str::is_empty);
    is_alone(next(4..=4))
        && is_alone(next(1..=2))
        && next(1..=2)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['T', 't', ' ', '\t']))
}

/// With escapes that every reader knows.
fn double_quoted(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                // Writing to a text does not fail.
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
