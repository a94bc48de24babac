//! Property names as identifiers: `x-y` is `x__dash__y`.
//!
//! Source: k8s.io/apiserver `pkg/cel/escaping.go`.

const RESERVED: [&str; 18] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
];
const PARTS: [(&str, &str); 4] = [
    ("__underscores__", "__"),
    ("__dot__", "."),
    ("__dash__", "-"),
    ("__slash__", "/"),
];

/// The identifier of a property; nothing where its name cannot be one.
pub(super) fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let letter = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    if !name.chars().all(letter) {
        return None;
    }
    let mut escaped = name.replace("__", "__underscores__");
    for (with, what) in &PARTS[1..] {
        escaped = escaped.replace(what, with);
    }
    Some(escaped)
}

/// The property of an identifier.
pub(super) fn unescape(ident: &str) -> String {
    if !ident.contains("__") {
        return ident.to_owned();
    }
    let inner = ident
        .strip_prefix("__")
        .and_then(|rest| rest.strip_suffix("__"));
    if let Some(word) = inner.filter(|word| RESERVED.contains(word)) {
        return word.to_owned();
    }
    let mut out = String::with_capacity(ident.len());
    let mut rest = ident;
    while let Some(c) = rest.chars().next() {
        let part = PARTS.iter().find(|(escaped, _)| rest.starts_with(escaped));
        if let Some((escaped, what)) = part {
            out.push_str(what);
            rest = &rest[escaped.len()..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_documented() {
        let rows = [
            ("x-y", "x__dash__y"),
            ("a.b/c", "a__dot__b__slash__c"),
            ("redact__d", "redact__underscores__d"),
            ("namespace", "__namespace__"),
            ("int", "int"),
        ];
        for (name, ident) in rows {
            assert_eq!(escape(name).as_deref(), Some(ident));
            assert_eq!(unescape(ident), name);
        }
        for name in ["", "1a", "a b", "ä"] {
            assert_eq!(escape(name), None);
        }
    }

    proptest! {
        #[test]
        fn round_trips(name in "[a-c_.-/]{1,8}") {
            if let Some(ident) = escape(&name) {
                prop_assert_eq!(unescape(&ident), name);
            }
        }
    }
}
