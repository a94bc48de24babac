//! Characters that are none: Go's decoder reads U+FFFD for them, where ours refuses the whole text.
//!
//! Source: Go, `encoding/json`: "invalid UTF-8 or invalid UTF-16 surrogate pairs are not treated as an error".

/// What is read instead, as it is and as an escape.
const REPLACEMENT: &str = "\u{fffd}";
const ESCAPED: &[u8] = b"\\ufffd";

/// The text with U+FFFD for each byte that is no character, and for each half of a pair that stands alone; none if
/// there is nothing to mend. At most three times as long.
pub(super) fn characters(text: &[u8]) -> Option<Vec<u8>> {
    let mut mended = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        mended.extend_from_slice(chunk.valid().as_bytes());
        for _byte in chunk.invalid() {
            mended.extend_from_slice(REPLACEMENT.as_bytes());
        }
    }
    let mended = pairs(&mended);
    (mended != text).then_some(mended)
}

fn pairs(text: &[u8]) -> Vec<u8> {
    let mut mended = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        mended.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (taken, is_whole) = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => (12, true),
            (Some(0xd800..0xe000), _) => (6, false),
            (Some(_), _) => (6, true),
            // Any other escape, whatever it is worth.
            (None, _) => (2.min(rest.len()), true),
        };
        let (escape, after) = rest.split_at(taken);
        mended.extend_from_slice(if is_whole { escape } else { ESCAPED });
        rest = after;
    }
    mended.extend_from_slice(rest);
    mended
}

/// The number of a `\u` escape at the beginning.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_character_is_replaced() {
        for (text, mended) in [
            (&b"\"a\xffb\""[..], "\"a\u{fffd}b\""),
            (b"\"\xe2\x82\"", "\"\u{fffd}\u{fffd}\""),
            (br#""\ud800""#, r#""\ufffd""#),
            (br#""\ud800\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (br#""\udc00x""#, r#""\ufffdx""#),
            (br#""\\ud800\ud8""#, r#""\\ud800\ud8""#),
        ] {
            let found = characters(text).unwrap_or_else(|| text.to_vec());
            assert_eq!(String::from_utf8(found).unwrap(), mended);
        }
        assert_eq!(characters("\"ä\\u00e4\"".as_bytes()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_become_text(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mended = characters(&bytes).unwrap_or(bytes);
            prop_assert!(std::str::from_utf8(&mended).is_ok());
        }
        #[test]
        fn any_escapes_become_json(units in proptest::collection::vec(0xd7fe_u16..0xe002, 0..6)) {
            let escapes: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let text = format!("\"{escapes}\"").into_bytes();
            let mended = characters(&text).unwrap_or(text);
            prop_assert!(serde_json::from_slice::<String>(&mended).is_ok());
        }
    }
}
