//! Durations as `time.ParseDuration` reads them, and what it says of others.

use crate::crd::duration::parse;

/// Nanoseconds.
///
/// # Errors
/// With Go's sentence.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    parse(text).ok_or_else(|| {
        let number = text.trim_start_matches(['+', '-']);
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_number {
            format!("time: missing unit in duration {text:?}")
        } else {
            format!("time: invalid duration {text:?}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_what_is_none() {
        assert_eq!(parse_duration("1m30s"), Ok(90_000_000_000));
        assert_eq!(parse_duration("-1us"), Ok(-1_000));
        assert_eq!(parse_duration("0"), Ok(0));
        for (text, why) in [
            ("5", "time: missing unit in duration \"5\""),
            ("invalid", "time: invalid duration \"invalid\""),
            ("", "time: invalid duration \"\""),
        ] {
            assert_eq!(parse_duration(text), Err(why.to_owned()), "{text}");
        }
    }
}
