//! How deep brackets nest in a text that may be YAML, and what that may cost: asked before its parser is, whose work for each word
//! grows with the brackets that are open.
//!
//! To tell a bracket from one in a quoted text or a comment would be to parse. So both are counted twice: as they look, and as if
//! none was ever closed, which a text cannot make look smaller than it is.

/// Deeper is refused: far deeper than any object.
const DEPTH_MAX: usize = 512;
/// Steps of the parser, a nanosecond or so each, that a text may come to if no bracket of it is ever closed. A manifest of 1 MB in
/// which 4,000 small lists and maps are written in brackets is let in.
const STEPS_MAX: usize = 500_000_000;

/// Why a text is not given to the parser.
pub(super) fn refusal(text: &[u8]) -> Option<String> {
    let (mut open, mut opened, mut steps) = (0_usize, 0_usize, 0_usize);
    let mut before = b' ';
    for &byte in text {
        match byte {
            b'[' | b'{' if begins(before) => {
                open += 1;
                opened += 1;
            }
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > DEPTH_MAX {
            return Some(format!("exceeded max depth of {DEPTH_MAX}"));
        }
        // The parser's words begin here at the most.
        let is_within = is_inner(byte) && is_inner(before);
        if !is_within && !byte.is_ascii_whitespace() {
            steps = steps.saturating_add(opened);
        }
        if steps > STEPS_MAX {
            return Some("too many lists and maps in brackets; send JSON".to_owned());
        }
        before = byte;
    }
    None
}

/// Two of these in a row are of one word.
fn is_inner(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// What a list or a map may stand behind.
fn begins(before: u8) -> bool {
    before.is_ascii_whitespace() || !before.is_ascii_graphic() || b"[{,:?-\"'&*!".contains(&before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_begin_something_counts() {
        let deep = |text: &str, times: usize| refusal(text.repeat(times).as_bytes()).is_some();
        for text in ["[", "{", "- [", "{a: ", "[[a],", "\u{85}["] {
            assert!(deep(text, 600), "{text}");
            assert!(!deep(text, 500), "{text}");
        }
        for text in ["a[", "[]", "{{ .Values.a }}\n", "x: [a, b]\n", "\\[", "(["] {
            assert!(!deep(text, 600), "{text}");
        }
    }

    /// What closes in a quoted text or a comment closes nothing.
    #[test]
    fn what_only_looks_closed_is_refused_by_its_cost() {
        for text in ["[\"]\",", "{a: ']', b: ", "[ # ]\n", "[x, \"\n]\n\", "] {
            let hidden = text.repeat(100_000);
            let why = refusal(hidden.as_bytes()).unwrap_or_default();
            assert!(
                why.contains("send JSON") || why.contains("max depth"),
                "{text}"
            );
        }
        let line = "    - {name: A, value: \"a text of some length, with [brackets] in it\"}\n";
        assert_eq!(refusal(line.repeat(4_000).as_bytes()), None);
    }
}
