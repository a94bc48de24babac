//! As much of DER (X.690) as one certificate needs.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;

/// Letters in a line of PEM.
const PEM_LINE: usize = 64;
/// From then on a certificate's times have four digits of the year.
const FULL_YEARS: Timestamp = Timestamp::constant(2_524_608_000, 0);

/// A value of a tag, made of parts.
pub(super) fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut value = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => value.push(short),
        _ => {
            let bytes = content.len().to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let digits = &bytes[zeros..];
            value.push(0x80 | u8::try_from(digits.len()).unwrap_or(u8::MAX));
            value.extend_from_slice(digits);
        }
    }
    value.extend_from_slice(&content);
    value
}

/// SEQUENCE.
pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(0x30, parts)
}

/// INTEGER; the first byte says the sign.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    tagged(0x02, &[bytes])
}

/// OCTET STRING.
pub(super) fn octets(bytes: &[u8]) -> Vec<u8> {
    tagged(0x04, &[bytes])
}

/// BIT STRING of whole bytes.
pub(super) fn bits(bytes: &[u8]) -> Vec<u8> {
    tagged(0x03, &[&[0], bytes])
}

/// UTCTime, or GeneralizedTime from 2050 on.
pub(super) fn time(at: Timestamp) -> Vec<u8> {
    if at < FULL_YEARS {
        tagged(0x17, &[at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes()])
    } else {
        tagged(0x18, &[at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes()])
    }
}

/// PEM.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(PEM_LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_times() {
        assert_eq!(tagged(0x04, &[&[1], &[2, 3]]), [0x04, 3, 1, 2, 3]);
        assert_eq!(octets(&[7; 127])[..3], [0x04, 127, 7]);
        assert_eq!(octets(&[7; 128])[..4], [0x04, 0x81, 128, 7]);
        assert_eq!(octets(&[7; 300])[..5], [0x04, 0x82, 1, 44, 7]);
        let at = |text: &str| time(text.parse().unwrap());
        assert_eq!(at("2049-12-31T23:59:59Z")[2..], *b"491231235959Z");
        assert_eq!(at("2050-01-01T00:00:00Z")[2..], *b"20500101000000Z");
    }
}
