//! How deep brackets nest in a text that may be YAML: asked before its parser is, whose work for each word grows with it.

/// Deeper is refused: far deeper than any object, and a text of the largest size is still read in a moment.
pub(super) const DEPTH_MAX: usize = 512;

/// Whether more brackets are open somewhere than [`DEPTH_MAX`]. Brackets in quoted texts and comments count too, as long as they
/// stand where a list or a map could begin: to tell them apart would be to parse.
pub(super) fn is_too_deep(text: &[u8]) -> bool {
    let mut open = 0_usize;
    let mut before = b' ';
    for &byte in text {
        match byte {
            b'[' | b'{' if begins(before) => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > DEPTH_MAX {
            return true;
        }
        before = byte;
    }
    false
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
        let deep = |text: &str, times: usize| is_too_deep(text.repeat(times).as_bytes());
        for text in ["[", "{", "- [", "{a: ", "[[a],", "\u{85}["] {
            assert!(deep(text, 600), "{text}");
            assert!(!deep(text, 500), "{text}");
        }
        for text in ["a[", "[]", "{{ .Values.a }}\n", "x: [a, b]\n", "\\[", "(["] {
            assert!(!deep(text, 600), "{text}");
        }
    }
}
