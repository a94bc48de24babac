//! Why a text is no JSON, as `encoding/json` says it. Only asked once a text was refused.
//!
//! Source: Go, `encoding/json/scanner.go`: a byte is refused by what is being read when it comes.

const END: &str = "unexpected end of JSON input";

/// What Go says of this text, if it read no more than so many levels; none where it finds no fault.
#[must_use]
pub fn syntax_error(text: &[u8], depth_max: usize) -> Option<String> {
    let mut scanner = Scanner {
        text,
        at: 0,
        depth_max,
    };
    scanner.whole().err()
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth_max: usize,
}

/// What comes next in a list or an object that is open.
enum Next {
    Value,
    Name,
    /// A value, or the end of what was opened just now.
    FirstValue,
    FirstName,
    /// A comma or the end.
    After,
}

impl Scanner<'_> {
    fn whole(&mut self) -> Result<(), String> {
        // Those that are open: true for an object.
        let mut open: Vec<bool> = Vec::new();
        let mut next = Next::Value;
        loop {
            self.skip_spaces();
            match next {
                Next::FirstValue if self.peek() == Some(b']') => {
                    self.at += 1;
                    open.pop();
                    next = Next::After;
                }
                Next::FirstName if self.peek() == Some(b'}') => {
                    self.at += 1;
                    open.pop();
                    next = Next::After;
                }
                Next::Value | Next::FirstValue => {
                    next = self.value(&mut open)?;
                }
                Next::Name | Next::FirstName => {
                    self.name()?;
                    next = Next::Value;
                }
                Next::After => match open.last() {
                    None => return self.end(),
                    Some(is_object) => {
                        let is_object = *is_object;
                        next = self.after(is_object)?;
                        if matches!(next, Next::After) {
                            open.pop();
                        }
                    }
                },
            }
        }
    }

    fn end(&mut self) -> Result<(), String> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.refuse("after top-level value"),
        }
    }

    fn after(&mut self, is_object: bool) -> Result<Next, String> {
        let (end, what, more) = if is_object {
            (b'}', "after object key:value pair", Next::Name)
        } else {
            (b']', "after array element", Next::Value)
        };
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(more)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(Next::After)
            }
            _ => self.refuse(what),
        }
    }

    fn name(&mut self) -> Result<(), String> {
        match self.peek() {
            Some(b'"') => self.string()?,
            _ => return self.refuse("looking for beginning of object key string"),
        }
        self.skip_spaces();
        match self.peek() {
            Some(b':') => {
                self.at += 1;
                Ok(())
            }
            _ => self.refuse("after object key"),
        }
    }

    fn value(&mut self, open: &mut Vec<bool>) -> Result<Next, String> {
        match self.peek() {
            Some(opening @ (b'{' | b'[')) => {
                self.at += 1;
                open.push(opening == b'{');
                if open.len() > self.depth_max {
                    return Err("exceeded max depth".to_owned());
                }
                return Ok(if opening == b'{' {
                    Next::FirstName
                } else {
                    Next::FirstValue
                });
            }
            Some(b'"') => self.string()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal("true")?,
            Some(b'f') => self.literal("false")?,
            Some(b'n') => self.literal("null")?,
            _ => return self.refuse("looking for beginning of value"),
        }
        Ok(Next::After)
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        self.at += 1;
        for wanted in word.bytes().skip(1) {
            if self.peek() != Some(wanted) {
                let wanted = char::from(wanted);
                return self.refuse(&format!("in literal {word} (expecting '{wanted}')"));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(0x20..) => self.at += 1,
                _ => return self.refuse("in string literal"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.peek() {
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _digit in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.refuse("in \\u hexadecimal character escape");
                    }
                    self.at += 1;
                }
            }
            _ => return self.refuse("in string escape code"),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.refuse("in numeric literal"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if !self.is_digit() {
                return self.refuse("after decimal point in numeric literal");
            }
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !self.is_digit() {
                return self.refuse("in exponent of numeric literal");
            }
            self.digits();
        }
        Ok(())
    }

    fn is_digit(&self) -> bool {
        self.peek().is_some_and(|byte| byte.is_ascii_digit())
    }

    fn digits(&mut self) {
        while self.is_digit() {
            self.at += 1;
        }
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn refuse<T>(&self, what: &str) -> Result<T, String> {
        Err(match self.peek() {
            None => END.to_owned(),
            Some(byte) => format!("invalid character {} {what}", quoted(byte)),
        })
    }
}

/// A byte as Go quotes it: a character of Latin 1.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => "'\\\\'".to_owned(),
        0x07 => "'\\a'".to_owned(),
        0x08 => "'\\b'".to_owned(),
        0x0b => "'\\v'".to_owned(),
        0x0c => "'\\f'".to_owned(),
        b'\n' => "'\\n'".to_owned(),
        b'\r' => "'\\r'".to_owned(),
        b'\t' => "'\\t'".to_owned(),
        0x00..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn says_what_go_says() {
        for (text, said) in [
            ("", END),
            ("{", END),
            ("{\"a\":", END),
            ("\"a", END),
            ("[1,", END),
            ("x", "invalid character 'x' looking for beginning of value"),
            (
                "[1,]",
                "invalid character ']' looking for beginning of value",
            ),
            (
                "{a}",
                "invalid character 'a' looking for beginning of object key string",
            ),
            (
                "{\"a\":1,}",
                "invalid character '}' looking for beginning of object key string",
            ),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            (
                "{\"a\":1 \"b\"}",
                "invalid character '\"' after object key:value pair",
            ),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
            (
                "nul!",
                "invalid character '!' in literal null (expecting 'l')",
            ),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            (
                "\"\\u12g4\"",
                "invalid character 'g' in \\u hexadecimal character escape",
            ),
            ("-a", "invalid character 'a' in numeric literal"),
            ("01", "invalid character '1' after top-level value"),
            (
                "1.x",
                "invalid character 'x' after decimal point in numeric literal",
            ),
            (
                "1ex",
                "invalid character 'x' in exponent of numeric literal",
            ),
            (
                "\u{7f}",
                "invalid character '\\x7f' looking for beginning of value",
            ),
            (
                "'",
                "invalid character '\\'' looking for beginning of value",
            ),
        ] {
            assert_eq!(
                syntax_error(text.as_bytes(), 100).as_deref(),
                Some(said),
                "{text}"
            );
        }
        let deep = "[".repeat(101);
        assert_eq!(
            syntax_error(deep.as_bytes(), 100).unwrap(),
            "exceeded max depth"
        );
    }

    proptest! {
        #[test]
        fn finds_fault_where_a_reader_does(text in "[\\[\\]{},:\"a1.e\\\\untrlse -]{0,24}") {
            let read = serde_json::from_str::<serde_json::Value>(&text);
            // A number too large for anybody is one to Go's scanner, and half a pair of surrogates is a text.
            let knows_more = read.as_ref().is_err_and(|refused| {
                let why = refused.to_string();
                why.contains("out of range") || why.contains("surrogate") || why.contains("hex escape")
            });
            prop_assume!(!knows_more);
            prop_assert_eq!(syntax_error(text.as_bytes(), 100).is_none(), read.is_ok(), "{}", text);
        }
    }
}
