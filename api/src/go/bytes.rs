//! Bytes in JSON: base64 as `encoding/base64` reads it. Line breaks are passed over wherever they stand, and bits of the last
//! letter that mean nothing are dropped.

use base64::{
    Engine as _,
    alphabet::STANDARD as LETTERS,
    engine::{
        GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{PAD, STANDARD},
    },
};

/// Without line breaks; stray bits are no matter.
const LENIENT: GeneralPurpose = {
    let config: GeneralPurposeConfig = PAD.with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&LETTERS, config)
};

/// What upstream writes for bytes that were sent like this; none where it is just that.
///
/// # Errors
/// With the sentence of `base64.CorruptInputError`.
pub fn canonical_base64(text: &str) -> Result<Option<String>, String> {
    if STANDARD.decode(text).is_ok() {
        return Ok(None);
    }
    decode_base64(text).map(|bytes| Some(STANDARD.encode(bytes)))
}

/// The bytes, as Go's decoder reads them.
///
/// # Errors
/// With the sentence of `base64.CorruptInputError`.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, String> {
    if let Ok(bytes) = LENIENT.decode(text) {
        return Ok(bytes);
    }
    let corrupt = |at: usize| format!("illegal base64 data at input byte {at}");
    if let Some(at) = fault(text.as_bytes()) {
        return Err(corrupt(at));
    }
    let letters: Vec<u8> = text.bytes().filter(|byte| !is_break(*byte)).collect();
    let bytes = LENIENT.decode(letters);
    bytes.map_err(|_never| corrupt(text.len()))
}

/// Whether it is base64 of some bytes and of nothing else; stray bits are no matter.
pub(crate) fn is_base64_line(text: &str) -> bool {
    !text.is_empty() && LENIENT.decode(text).is_ok()
}

/// Where Go's decoder stops, as it counts: line breaks count, but not those in a last group of four that is cut short.
fn fault(text: &[u8]) -> Option<usize> {
    let mut letters = 0;
    let mut rest = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| !is_break(**byte));
    while let Some((at, byte)) = rest.next() {
        if byte.is_ascii_alphanumeric() || b"+/".contains(byte) {
            letters = (letters + 1) % 4;
            continue;
        }
        if *byte != b'=' || letters < 2 {
            return Some(at);
        }
        if letters == 2 {
            match rest.next() {
                None => return Some(text.len()),
                Some((_, b'=')) => {}
                Some((at, _)) => return Some(at - 1),
            }
        }
        return rest.next().map(|(at, _)| at);
    }
    (letters > 0).then(|| text.len() - letters)
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn line_breaks_and_stray_bits_are_passed_over() {
        for text in ["", "aGVs", "aGVsbG8=", "aGVsbA=="] {
            assert_eq!(canonical_base64(text), Ok(None), "{text}");
        }
        for (text, written) in [
            ("aGVs\nbG8=\n", "aGVsbG8="),
            ("a\r\nGVsbG8\n=\r\n", "aGVsbG8="),
            ("\naGVsbA=\n=\n\n", "aGVsbA=="),
            ("\r\n", ""),
            ("aGVsbG9=", "aGVsbG8="),
            ("aGVsbB==", "aGVsbA=="),
        ] {
            let canonical = canonical_base64(text).unwrap();
            assert_eq!(canonical.as_deref(), Some(written), "{text:?}");
        }
    }

    #[test]
    fn the_rest_is_refused_where_go_stops() {
        for (text, at) in [
            ("a", 0),
            ("aGVsbG8", 4),
            ("aGVs\nbG8\n", 6),
            ("aGVs bG8=", 4),
            ("aGVs\n bG8=", 5),
            ("aGVs-_==", 4),
            ("a\u{e9}", 1),
            ("=", 0),
            ("a=", 1),
            ("aGVs\n=", 5),
            ("aGVsbA=", 7),
            ("aGVsbA=\n", 8),
            ("aGVsbA=x", 6),
            ("aGVsbA=\nx", 7),
            ("aGVsbG8==", 8),
            ("aGVsbG8=\nx", 9),
        ] {
            let why = format!("illegal base64 data at input byte {at}");
            assert_eq!(canonical_base64(text), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_has_no_fault_has_bytes(text in "[aB9+=\n\r -]{0,12}") {
            let letters: String = text.chars().filter(|letter| !"\r\n".contains(*letter)).collect();
            prop_assert_eq!(fault(text.as_bytes()).is_none(), LENIENT.decode(letters).is_ok(), "{:?}", text);
        }
    }
}
