//! An expression's words.

use super::{SyntaxError, ast::Literal};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    Ident(String),
    Literal(Literal),
    /// An operator or bracket.
    Sign(&'static str),
    End,
}

/// Longest first: `<=` is no `<`.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "?", ":", "+", "-", "*", "/", "%", "(", ")",
    "[", "]", "{", "}", ",", ".",
];

/// All words with where they start; the last is always [`Word::End`].
pub(super) fn words(text: &str) -> Result<Vec<(usize, Word)>, SyntaxError> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let (word, length) = word(rest).map_err(|message| SyntaxError { at, message })?;
        words.push((at, word));
        at += length;
    }
    words.push((text.len(), Word::End));
    Ok(words)
}

fn word(rest: &str) -> Result<(Word, usize), String> {
    if let Some(found) = quoted(rest)? {
        return Ok(found);
    }
    let mut bytes = rest.bytes();
    let (first, second) = (bytes.next().unwrap_or(0), bytes.next().unwrap_or(0));
    if first.is_ascii_digit() || (first == b'.' && second.is_ascii_digit()) {
        return number(rest);
    }
    if first.is_ascii_alphabetic() || first == b'_' {
        let length = rest
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
            .count();
        let word = match &rest[..length] {
            "true" => Word::Literal(Literal::Bool(true)),
            "false" => Word::Literal(Literal::Bool(false)),
            "null" => Word::Literal(Literal::Null),
            "in" => Word::Sign("in"),
            name => Word::Ident(name.to_owned()),
        };
        return Ok((word, length));
    }
    match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        Some(sign) => Ok((Word::Sign(sign), sign.len())),
        None => {
            let c = rest.chars().next().unwrap_or_default();
            Err(format!("Syntax error: token recognition error at: '{c}'"))
        }
    }
}

fn number(rest: &str) -> Result<(Word, usize), String> {
    let bytes = rest.as_bytes();
    let run = |from: usize, of: fn(u8) -> bool| {
        from + bytes[from..].iter().take_while(|b| of(**b)).count()
    };
    if let Some(digits) = rest.strip_prefix("0x").or(rest.strip_prefix("0X")) {
        let end = run(2, |b| b.is_ascii_hexdigit());
        let value = u64::from_str_radix(&digits[..end - 2], 16);
        return integer(value.ok(), rest, end);
    }
    let whole = run(0, |b| b.is_ascii_digit());
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = run(end + 1, |b| b.is_ascii_digit());
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let digits = run(end + 1 + sign, |b| b.is_ascii_digit());
        if digits > end + 1 + sign {
            end = digits;
        }
    }
    if end == whole {
        return integer(rest[..end].parse().ok(), rest, end);
    }
    let value = rest[..end].parse::<f64>();
    let value = value.map_err(|_not| "invalid double literal".to_owned())?;
    Ok((Word::Literal(Literal::Double(value)), end))
}

fn integer(value: Option<u64>, rest: &str, end: usize) -> Result<(Word, usize), String> {
    if rest[end..].starts_with(['u', 'U']) {
        let value = value.ok_or("invalid uint literal")?;
        return Ok((Word::Literal(Literal::Uint(value)), end + 1));
    }
    let value = value.ok_or("invalid int literal")?;
    // The smallest integer is a minus and a number that is one too large; see the parser.
    match i64::try_from(value) {
        Ok(value) => Ok((Word::Literal(Literal::Int(value)), end)),
        Err(_) if value == 1 << 63 => Ok((Word::Literal(Literal::Int(i64::MIN)), end)),
        Err(_) => Err("invalid int literal".to_owned()),
    }
}

/// A text or bytes with its quotes and prefix, where one starts here.
fn quoted(rest: &str) -> Result<Option<(Word, usize)>, String> {
    let prefix = rest
        .bytes()
        .take(2)
        .take_while(|b| b"rRbB".contains(b))
        .count();
    let (letters, body) = rest.split_at(prefix);
    let Some(quote) = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| body.starts_with(quote))
    else {
        return Ok(None);
    };
    let raw = letters.contains(['r', 'R']);
    let is_bytes = letters.contains(['b', 'B']);
    let inner = &body[quote.len()..];
    let end = closing(inner, quote, raw).ok_or("Syntax error: unterminated string")?;
    let content = &inner[..end];
    let bytes = if raw {
        content.as_bytes().to_vec()
    } else {
        unescape(content, is_bytes)?
    };
    let literal = if is_bytes {
        Literal::Bytes(bytes)
    } else {
        let text = String::from_utf8(bytes);
        Literal::Text(text.map_err(|_not| "invalid unicode in string".to_owned())?)
    };
    let length = prefix + end + 2 * quote.len();
    Ok(Some((Word::Literal(literal), length)))
}

fn closing(inner: &str, quote: &str, raw: bool) -> Option<usize> {
    let mut at = 0;
    while at < inner.len() {
        let rest = inner.get(at..)?;
        if rest.starts_with(quote) {
            return Some(at);
        }
        let c = rest.chars().next()?;
        if c == '\n' && quote.len() == 1 {
            return None;
        }
        at += c.len_utf8();
        if c == '\\' && !raw {
            at += inner.get(at..)?.chars().next()?.len_utf8();
        }
    }
    None
}

fn unescape(content: &str, is_bytes: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let c = rest.chars().next().unwrap_or_default();
        let (digits, radix) = match c {
            'x' | 'X' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='3' => (3, 8),
            _ => {
                out.push(simple(c).ok_or_else(|| format!("unable to unescape sequence: \\{c}"))?);
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        let start = usize::from(radix == 16);
        let number = rest.get(start..start + digits);
        let number = number.and_then(|number| u32::from_str_radix(number, radix).ok());
        let number = number.ok_or("unable to unescape sequence")?;
        match u8::try_from(number) {
            Ok(byte) if is_bytes => out.push(byte),
            _ => {
                let c = char::from_u32(number).ok_or("invalid unicode code point")?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        rest = &rest[start + digits..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

fn simple(c: char) -> Option<u8> {
    Some(match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '\'' => b'\'',
        '"' => b'"',
        '`' => b'`',
        '?' => b'?',
        _ => return None,
    })
}
