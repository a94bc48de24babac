//! Paths such as `.spec.size` and `.labels['a/b']` that must lead to something a schema knows.

use super::structural::{Additional, Node};

/// A path that leads somewhere.
pub(super) struct Found<'a> {
    /// As errors print it.
    pub(super) text: String,
    /// Its first name.
    pub(super) first: String,
    /// What it leads to.
    pub(super) node: &'a Node,
}

/// Follows a path through a schema.
pub(super) fn follow<'a>(path: &str, node: &'a Node, brackets: bool) -> Result<Found<'a>, String> {
    let mut found = Found {
        text: String::new(),
        first: String::new(),
        node,
    };
    let mut rest = path;
    while !rest.is_empty() {
        let (name, tail) = match rest.strip_prefix('[') {
            Some(_) if !brackets => return Err("array notation is not allowed".to_owned()),
            Some(tail) => quoted(tail)?,
            None => {
                let Some(tail) = rest.strip_prefix('.') else {
                    let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
                    return Err(format!("expected [ or . but got: {}", &rest[..end.max(1)]));
                };
                let end = tail.find(['.', '[', ']']).unwrap_or(tail.len());
                if tail.is_empty() {
                    return Err("unexpected end of JSON path".to_owned());
                }
                (tail[..end].to_owned(), &tail[end..])
            }
        };
        rest = tail;
        found.step(name)?;
    }
    Ok(found)
}

impl Found<'_> {
    fn step(&mut self, name: String) -> Result<(), String> {
        let nowhere = || "does not refer to a valid field".to_owned();
        if !self.node.properties.is_empty() {
            self.node = self.node.properties.get(&name).ok_or_else(nowhere)?;
            if !self.text.is_empty() {
                self.text.push('.');
            }
            self.text.push_str(&name);
        } else if let Additional::Schema(schema) = &self.node.additional {
            self.node = schema;
            self.text.push_str(&format!("[{name}]"));
        } else {
            return Err(nowhere());
        }
        if self.first.is_empty() {
            self.first = name;
        }
        Ok(())
    }
}

/// `'name']` and what follows.
fn quoted(tail: &str) -> Result<(String, &str), String> {
    let Some(body) = tail.strip_prefix('\'') else {
        let end = tail.find(']').unwrap_or(tail.len());
        let got = &tail[..end];
        return Err(format!("expected single quoted string but got {got}"));
    };
    let mut name = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => {
                let rest = &body[at + 1..];
                let rest = rest.strip_prefix(']');
                return match rest {
                    Some(rest) => Ok((name, rest)),
                    None => Err("unexpected end of JSON path".to_owned()),
                };
            }
            '\\' => {
                let escaped = chars.next().map(|(_, c)| c).unwrap_or_default();
                name.push(unescape(escaped)?);
            }
            c => name.push(c),
        }
    }
    Err("unexpected end of JSON path".to_owned())
}

fn unescape(c: char) -> Result<char, String> {
    Ok(match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\'' | '\\' => c,
        other => {
            return Err(format!(
                "invalid string literal: invalid escape char \\{other}"
            ));
        }
    })
}
