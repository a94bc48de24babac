//! Regular expressions as Go reads them, matched in linear time.
//!
//! The dialects differ in small things: Go's `\d`, `\w`, `\s` and `\b` are ASCII, `[` is a letter
//! inside a class, and a `{` that starts no repetition is a letter too. `translate` rewrites these.
//! A program's size is always bounded, each and all of a schema together.

use regex::{Regex, RegexBuilder};
use std::{collections::HashMap, iter::Peekable, str::Chars};

/// Longest pattern.
pub(super) const PATTERN_BYTES_MAX: usize = 8 * 1024;
/// Sizes of programs that are tried in turn, so that a small pattern is charged as small.
const PROGRAM_BYTES: [usize; 4] = [4 << 10, 32 << 10, 256 << 10, 2 << 20];
/// All programs of one schema.
const SCHEMA_BYTES_MAX: usize = 32 << 20;
/// What the matcher may cache of a pattern.
const CACHE_BYTES_MAX: usize = 256 << 10;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    program_bytes: usize,
}

impl Pattern {
    /// A pattern, or why it is none.
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        build(pattern, &PROGRAM_BYTES)
    }

    /// One that a rule may use: its program is small, so that matching it has a price.
    pub(super) fn compile_small(pattern: &str) -> Result<Self, String> {
        build(pattern, &PROGRAM_BYTES[..3])
    }

    pub(super) fn regex(&self) -> &Regex {
        &self.regex
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// What matching a text costs at most: time is linear in the text and in the program.
    pub(super) fn price(&self, text_bytes: usize) -> u64 {
        let factor = self.program_bytes / PROGRAM_BYTES[0];
        u64::try_from((text_bytes / 10 + 1).saturating_mul(factor)).unwrap_or(u64::MAX)
    }
}

/// Compiles the patterns of one schema; the same text is compiled once.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    known: HashMap<String, Pattern>,
    bytes: usize,
}

impl Patterns {
    /// A pattern, or why it is none.
    pub(super) fn compile(&mut self, pattern: &str) -> Result<Pattern, String> {
        if let Some(known) = self.known.get(pattern) {
            return Ok(known.clone());
        }
        let compiled = Pattern::compile(pattern)?;
        self.bytes += compiled.program_bytes;
        if self.bytes > SCHEMA_BYTES_MAX {
            return Err("the patterns of the schema are too large together".to_owned());
        }
        self.known.insert(pattern.to_owned(), compiled.clone());
        Ok(compiled)
    }
}

fn build(pattern: &str, sizes: &[usize]) -> Result<Pattern, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("longer than {PATTERN_BYTES_MAX} bytes"));
    }
    let translated = translate(pattern);
    for program_bytes in sizes {
        let built = RegexBuilder::new(&translated)
            .size_limit(*program_bytes)
            .dfa_size_limit(CACHE_BYTES_MAX)
            .build();
        match built {
            Ok(regex) => {
                let program_bytes = *program_bytes;
                return Ok(Pattern {
                    regex,
                    program_bytes,
                });
            }
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(error) => {
                let text = error.to_string();
                let line = text.lines().next_back().unwrap_or_default();
                return Err(line.trim_start_matches("error: ").to_owned());
            }
        }
    }
    Err("expression is too large".to_owned())
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => escape(&mut rest, false, &mut out),
            '[' => class(&mut rest, &mut out),
            '{' if !is_repetition(rest.clone()) => out.push_str("\\{"),
            c => out.push(c),
        }
    }
    out
}

/// `n}`, `n,}` or `n,m}` follow.
fn is_repetition(rest: Peekable<Chars<'_>>) -> bool {
    let inner: String = rest.take_while(|c| *c != '}').take(12).collect();
    let (low, high) = inner.split_once(',').unwrap_or((&inner, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

fn class(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if rest.peek() == Some(&'^') {
        rest.next();
        out.push('^');
    }
    let mut first = true;
    while let Some(c) = rest.next() {
        match c {
            ']' if first => out.push_str("\\]"),
            ']' => {
                out.push(']');
                return;
            }
            '[' if rest.peek() == Some(&':') => named_class(rest, out),
            '[' => out.push_str("\\["),
            '&' => out.push_str("\\&"),
            '~' => out.push_str("\\~"),
            '\\' => escape(rest, true, out),
            c => out.push(c),
        }
        first = false;
    }
}

/// `[:alpha:]`, or a `[` and a `:`.
fn named_class(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let name: String = rest.clone().skip(1).take_while(|c| *c != ':').collect();
    let is_name = name.len() < 10
        && name
            .trim_start_matches('^')
            .chars()
            .all(|c| c.is_ascii_lowercase());
    let text = format!(":{name}:]");
    if is_name && rest.clone().take(text.len()).eq(text.chars()) {
        out.push('[');
        out.push_str(&text);
        rest.nth(text.len() - 1);
    } else {
        out.push_str("\\[");
    }
}

fn escape(rest: &mut Peekable<Chars<'_>>, in_class: bool, out: &mut String) {
    let Some(c) = rest.next() else {
        out.push('\\');
        return;
    };
    match (c, in_class) {
        ('d', true) => out.push_str("0-9"),
        ('d', false) => out.push_str("[0-9]"),
        ('D', _) => out.push_str("[^0-9]"),
        ('w', true) => out.push_str("0-9A-Za-z_"),
        ('w', false) => out.push_str("[0-9A-Za-z_]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('s', true) => out.push_str("\\t\\n\\f\\r "),
        ('s', false) => out.push_str("[\\t\\n\\f\\r ]"),
        ('S', _) => out.push_str("[^\\t\\n\\f\\r ]"),
        ('b', false) => out.push_str("(?-u:\\b)"),
        ('B', false) => out.push_str("(?-u:\\B)"),
        ('Q', false) => quoted(rest, out),
        ('<' | '>' | '_' | '"' | '\'' | '/' | '%' | '!' | ',' | ':' | ';' | '=' | '@' | '`', _) => {
            out.push(c);
        }
        (c, _) => {
            out.push('\\');
            out.push(c);
        }
    }
}

/// Letters up to `\E`.
fn quoted(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    while let Some(c) = rest.next() {
        if c == '\\' && rest.peek() == Some(&'E') {
            rest.next();
            return;
        }
        out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let compiled = Pattern::compile(pattern).unwrap();
        for text in yes {
            assert!(compiled.is_match(text), "{pattern} on {text}");
        }
        for text in no {
            assert!(!compiled.is_match(text), "{pattern} on {text}");
        }
    }

    #[test]
    fn go_dialect() {
        check(r"^\d+$", &["42"], &["٤٢", "x"]);
        check(r"^[\w.-]+$", &["a_b.c-d"], &["é", "a b"]);
        check(r"^[^\s]+$", &["ab"], &["a b"]);
        check(r"^[[a]$", &["[", "a"], &["b"]);
        check(r"^[[:alpha:]]$", &["x"], &["1"]);
        check(r"^[]a]$", &["]", "a"], &["b"]);
        check(r"^a{,2}$", &["a{,2}"], &["aa"]);
        check(r"^a{1,2}$", &["aa"], &["aaa"]);
        check(r"^\{x\}\/\_$", &["{x}/_"], &["x"]);
        check(r"^\Qa.b\E+$", &["a.bb"], &["axb"]);
        check(r"^[a&&b]$", &["&", "a", "b"], &["c"]);
        check(r"^(?i)ab$", &["AB"], &["A"]);
    }

    #[test]
    fn refused() {
        for pattern in ["(", "[", "(?=a)", r"\1", "(a{1000}){1000}"] {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::compile(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(pattern in "[\\[\\]{}()\\\\a-cdwsQEb:^&~|*+?.,0-9-]{0,24}", text in "[a-c0-9 ]{0,8}") {
            if let Ok(compiled) = Pattern::compile(&pattern) {
                let _any = compiled.is_match(&text);
            }
        }
    }
}
