//! Regular expressions as Go reads them, matched in linear time.
//!
//! The dialects differ in small things: Go's `\d`, `\w`, `\s` and `\b` are ASCII, `[` is a letter
//! inside a class, and a `{` that starts no repetition is a letter too. `translate` rewrites these.
//! A program's size is always bounded, and so is what all of a definition take to compile.

use regex::{Regex, RegexBuilder};
use std::{collections::HashMap, iter::Peekable, str::Chars};

/// Longest pattern.
pub(super) const PATTERN_BYTES_MAX: usize = 8 * 1024;
/// Sizes of programs that are tried in turn, so that a small pattern is charged as small: 4 KiB to 8 MiB.
const PROGRAM_BYTES: [usize; 12] = {
    let mut sizes = [4 << 10; 12];
    let mut at = 1;
    while at < sizes.len() {
        sizes[at] = sizes[at - 1] * 2;
        at += 1;
    }
    sizes
};
/// Those of patterns that rules use: up to 256 KiB.
const SMALL_BYTES: &[usize] = PROGRAM_BYTES.split_at(7).0;
/// All programs of one definition, also those that came to nothing.
const DEFINITION_BYTES_MAX: usize = 32 << 20;
/// The most that the classes of one pattern may weigh.
const WEIGHT_MAX: usize = 2 << 20;
/// What a large class is charged as, such as `\pL`.
const CLASS_BYTES: usize = 1 << 10;
/// The same where case does not matter: up to a million letters are looked at.
const FOLDED_BYTES: usize = 256 << 10;
/// What the matcher may cache of a pattern.
const CACHE_BYTES_MAX: usize = 256 << 10;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    program_bytes: usize,
    /// What compiling it was charged as.
    compiled_bytes: usize,
}

impl Pattern {
    /// A pattern, or why it is none.
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        build(pattern, &PROGRAM_BYTES, |_bytes| Ok(()))
    }

    /// One that a rule may use: its program is small, so that matching it has a price.
    pub(super) fn compile_small(pattern: &str) -> Result<Self, String> {
        build(pattern, SMALL_BYTES, |_bytes| Ok(()))
    }

    /// How many times as long as that of a plain one compiling it takes.
    pub(super) fn dearness(pattern: &str) -> u64 {
        let factor = 1 + weight(&translate(pattern)) / PROGRAM_BYTES[0];
        u64::try_from(factor).unwrap_or(u64::MAX)
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

/// Compiles the patterns of one definition; the same text is compiled once.
///
/// An attempt that comes to nothing is charged at the size it was made with, and a program at its own: time is about as the
/// size.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    known: Known,
    small: Known,
    bytes: usize,
}

type Known = HashMap<String, Result<Pattern, String>>;

impl Patterns {
    /// A pattern, or why it is none.
    pub(super) fn compile(&mut self, pattern: &str) -> Result<Pattern, String> {
        compile(pattern, &PROGRAM_BYTES, &mut self.known, &mut self.bytes)
    }

    /// As [`Pattern::compile_small`].
    pub(super) fn compile_small(&mut self, pattern: &str) -> Result<Pattern, String> {
        compile(pattern, SMALL_BYTES, &mut self.small, &mut self.bytes)
    }
}

fn compile(
    pattern: &str,
    sizes: &[usize],
    known: &mut Known,
    spent: &mut usize,
) -> Result<Pattern, String> {
    if let Some(known) = known.get(pattern) {
        return known.clone();
    }
    let before = *spent;
    let charge = |bytes| {
        *spent = spent.saturating_add(bytes);
        if *spent > DEFINITION_BYTES_MAX {
            return Err("the patterns of the schema are too large together".to_owned());
        }
        Ok(())
    };
    let built = build(pattern, sizes, charge);
    if let Ok(pattern) = &built {
        // The smaller attempts before took less than this one.
        *spent = before.saturating_add(pattern.compiled_bytes);
    }
    known.insert(pattern.to_owned(), built.clone());
    built
}

/// Tries one size after the other, each after it was charged.
fn build(
    pattern: &str,
    sizes: &[usize],
    mut charge: impl FnMut(usize) -> Result<(), String>,
) -> Result<Pattern, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("longer than {PATTERN_BYTES_MAX} bytes"));
    }
    let translated = translate(pattern);
    let weight = weight(&translated);
    if weight > WEIGHT_MAX {
        return Err("expression is too large".to_owned());
    }
    // What is long to read is not read for a small program first.
    for program_bytes in sizes.iter().filter(|bytes| **bytes >= weight) {
        let compiled_bytes = program_bytes + weight;
        charge(compiled_bytes)?;
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
                    compiled_bytes,
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

/// What it takes to read a translated pattern before there is a program, however small that is: large classes have to be
/// made, and gone through letter by letter where case does not matter.
fn weight(translated: &str) -> usize {
    let has_flag = |flag: char| {
        let mut groups = translated.split("(?").skip(1);
        groups.any(|rest| {
            let mut flags = rest
                .chars()
                .take_while(|c| c.is_ascii_alphabetic() || *c == '-');
            flags.any(|c| c == flag)
        })
    };
    // With spaces and remarks in it, nobody knows what is in a class: all counts.
    let verbose = has_flag('x');
    let one = if verbose || has_flag('i') {
        FOLDED_BYTES
    } else {
        CLASS_BYTES
    };
    let (mut large, mut depth, mut before) = (0, 0_usize, ' ');
    let mut rest = translated.chars();
    while let Some(c) = rest.next() {
        // A large range ends with a letter that is not ASCII.
        let ends_range = verbose || (depth > 0 && before == '-');
        let is_large = match c {
            '\\' => match rest.next() {
                Some('p' | 'P') => true,
                Some('x' | 'u' | 'U') => ends_range,
                _ => false,
            },
            '[' => {
                let inside = rest.as_str();
                depth += 1;
                (verbose || depth > 1) && (inside.starts_with('^') || inside.starts_with(":^"))
            }
            ']' => {
                depth = depth.saturating_sub(1);
                false
            }
            c => ends_range && !c.is_ascii(),
        };
        large += usize::from(is_large);
        before = c;
    }
    large * one
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
    // Whether a `-` goes on from what stands before it: a letter that ends no range itself.
    let (mut may_range, mut in_range) = (false, false);
    while let Some(c) = rest.next() {
        let is_range = c == '-' && may_range && !matches!(rest.peek(), None | Some(']'));
        let mut is_letter = true;
        match c {
            ']' if first => out.push_str("\\]"),
            ']' => {
                out.push(']');
                return;
            }
            '-' if is_range => out.push('-'),
            // Two of them would take away what follows.
            '-' => out.push_str("\\-"),
            '[' if rest.peek() == Some(&':') => {
                named_class(rest, out);
                is_letter = false;
            }
            '[' => out.push_str("\\["),
            '&' => out.push_str("\\&"),
            '~' => out.push_str("\\~"),
            '\\' => {
                let is_class = |c: &char| "dDwWsSpP".contains(*c);
                is_letter = !rest.peek().is_some_and(is_class);
                escape(rest, true, out);
            }
            c => out.push(c),
        }
        may_range = is_letter && !is_range && !in_range;
        in_range = is_range;
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
        ('p' | 'P' | 'x', _) => {
            out.push('\\');
            out.push(c);
            braced(rest, out);
        }
        ('0'..='7', _) if c == '0' || matches!(rest.peek(), Some('0'..='7')) => {
            let mut code = c.to_digit(8).unwrap_or_default();
            for _ in 0..2 {
                let Some(digit) = rest.peek().and_then(|c| c.to_digit(8)) else {
                    break;
                };
                code = code * 8 + digit;
                rest.next();
            }
            out.push_str(&format!("\\x{{{code:x}}}"));
        }
        ('<' | '>' | '_' | '"' | '\'' | '/' | '%' | '!' | ',' | ':' | ';' | '=' | '@' | '`', _) => {
            out.push(c);
        }
        (c, _) => {
            out.push('\\');
            out.push(c);
        }
    }
}

/// `{...}`, if that is what follows: the name of a class or the number of a letter.
fn braced(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    if rest.peek() != Some(&'{') {
        return;
    }
    for c in rest.by_ref() {
        out.push(c);
        if c == '}' {
            return;
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
        check(r"^\p{Lu}[\p{L}\p{M}]*$", &["Éa"], &["éa", "1"]);
        check(r"^(\p{Greek}|\P{L}|-)+$", &["λ-1"], &["a"]);
        check(r"^\x{1F600}\x41\pL{2}$", &["\u{1F600}Aéa"], &["A"]);
        check(r"^[\x{41}-\x{43}]$", &["B"], &["x"]);
        check(r"^\0\101[\060-\071]$", &["\0A5"], &["A5"]);
        check(r"^[+--]+$", &["+,-"], &["."]);
        check(r"^[--/]+$", &["-./"], &[","]);
        check(r"^[a-c-e]+$", &["b-e"], &["d"]);
        check(r"^[\w-.]+$", &["a-."], &["/"]);
        check(r"^[-a]+[a-]+$", &["-a-"], &["b"]);
    }

    /// Many of what definitions have.
    #[test]
    fn bounded_ones_are_taken() {
        for pattern in [
            r"^[\p{L}\p{N}]{1,63}$",
            r"^\pL{1,63}$",
            r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$",
            r"^[^\p{C}]{1,63}$",
        ] {
            assert!(Pattern::compile(pattern).is_ok(), "{pattern}");
        }
        type Nth = fn(usize) -> String;
        let many: [(usize, Nth); 3] = [
            (60, |n| format!("^[^/]{{1,{}}}$", 200 + n)),
            (80, |n| format!("^.{{1,{}}}$", 200 + n)),
            (200, |n| {
                format!("^[a-z0-9]([-a-z0-9]{{0,251}}[a-z0-9])?{n}$")
            }),
        ];
        for (count, nth) in many {
            let mut patterns = Patterns::default();
            let taken = (0..count).filter(|n| patterns.compile(&nth(*n)).is_ok());
            assert_eq!(taken.count(), count, "{}", nth(0));
        }
    }

    #[test]
    fn refused() {
        for pattern in ["(", "[", "(?=a)", r"\1", "(a{1000}){1000}"] {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::compile(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_err());
    }

    /// Patterns that are all larger than the largest program, each another text.
    fn large(n: usize) -> String {
        format!(r"(\pL{{100}}){{50}}N{n}")
    }

    const SPENT: &str = "the patterns of the schema are too large together";

    #[test]
    fn what_comes_to_nothing_is_charged_too() {
        let sizes = PROGRAM_BYTES.iter();
        let each: usize = sizes.map(|bytes| bytes + CLASS_BYTES).sum();
        let mut patterns = Patterns::default();
        let told: Vec<String> = (0..300)
            .map(|n| patterns.compile(&large(n)).unwrap_err())
            .collect();
        let tried = DEFINITION_BYTES_MAX / each;
        assert!(
            told[..tried]
                .iter()
                .all(|why| why == "expression is too large")
        );
        assert!(told[tried..].iter().all(|why| why == SPENT));
        assert!(patterns.compile_small("a").is_err());
        // The same text costs nothing, whatever came of it.
        let mut patterns = Patterns::default();
        for _ in 0..100 {
            assert!(patterns.compile("^a$").is_ok() && patterns.compile_small("^a$").is_ok());
            assert!(patterns.compile("(").is_err());
        }
        assert_eq!(patterns.bytes, 3 * PROGRAM_BYTES[0]);
        // Many small ones are many.
        let small = (0..8_000).filter(|n| patterns.compile(&format!("^a{n}$")).is_ok());
        assert_eq!(small.count(), 8_000);
    }

    #[test]
    fn what_is_long_to_read_has_its_price() {
        let large = FOLDED_BYTES;
        for (pattern, wanted) in [
            (r"^(?:[a-z0-9]|é|\(?i)+[à-ÿ]$", large),
            (r"^[a-z]+é(?i:b)\D\W\S[^a-z][a-zé]$", 0),
            (r"(?i)[\x{0}-\x{10ffff}]", large),
            (r"(?i)[\x{0}-\U0010ffff]", large),
            (r"(?is)[\W_][[:^alpha:]][^\D]", 3 * large),
            (r"(?i)\p{any}[\P{Zs}]", 2 * large),
            ("(?ix)[#]\n\\x{1}]", large),
            (r"\pL[\p{Lu}]", 2 * CLASS_BYTES),
        ] {
            assert_eq!(weight(&translate(pattern)), wanted, "{pattern}");
        }
        let dear = r"(?i)[\x{0}-\x{10ffff}]";
        assert!(Pattern::compile(dear).is_ok());
        assert_eq!((Pattern::dearness("^a$"), Pattern::dearness(dear)), (1, 65));
        let many = dear.repeat(WEIGHT_MAX / FOLDED_BYTES + 1);
        let many = Pattern::compile(&many).map(|_compiled| ());
        assert_eq!(many, Err("expression is too large".to_owned()));
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
