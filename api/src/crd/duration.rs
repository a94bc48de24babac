//! Durations as Go writes them: `1h30m`, `-1.5s`, `300ms`.

/// Longest text that is read.
const TEXT_BYTES_MAX: usize = 256;

/// Nanoseconds of a Go duration; nothing where the text is none or is too long a time.
pub(crate) fn parse(text: &str) -> Option<i64> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let (negative, mut rest) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let digits_end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits_end);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        sum = sum.checked_add(part(number, unit_nanos(unit)?)?)?;
        rest = tail;
    }
    i64::try_from(if negative { -sum } else { sum }).ok()
}

fn unit_nanos(unit: &str) -> Option<i128> {
    match unit {
        "ns" => Some(1),
        "us" | "µs" | "μs" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        _ => None,
    }
}

fn part(number: &str, nanos: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
        return None;
    }
    let mut sum = whole.parse::<i128>().unwrap_or(0).checked_mul(nanos)?;
    let mut scale = 1;
    let mut digits: i128 = 0;
    for digit in fraction.bytes().take(18) {
        digits = digits * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    sum = sum.checked_add(digits * nanos / scale)?;
    Some(sum)
}

/// The format `duration`: Go's, or numbers with words such as `2 weeks`.
pub(super) fn is_duration(text: &str) -> bool {
    if parse(text).is_some() {
        return true;
    }
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digits = run(&bytes[at..], |b| b.is_ascii_digit());
        at += digits;
        let spaces = run(&bytes[at..], |b| b.is_ascii_whitespace());
        let letters = run(&bytes[at + spaces..], |b| b.is_ascii_alphabetic());
        if digits > 0 && letters > 0 {
            let unit = text[at + spaces..at + spaces + letters].to_ascii_lowercase();
            if is_unit(&unit) {
                return true;
            }
        }
        at += (spaces + letters).max(usize::from(digits == 0));
    }
    false
}

fn run(bytes: &[u8], of: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|b| of(**b)).count()
}

fn is_unit(unit: &str) -> bool {
    const EXACT: [&str; 11] = [
        "ns", "us", "ms", "s", "m", "h", "hr", "d", "w", "wk", "nano",
    ];
    const PREFIXES: [&str; 8] = [
        "nano", "micro", "milli", "sec", "min", "hour", "day", "week",
    ];
    EXACT.contains(&unit) || PREFIXES.iter().any(|prefix| unit.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, nanos: i64) {
        assert_eq!(parse(text), Some(nanos), "{text}");
    }

    #[test]
    fn values() {
        check("1h", 3_600_000_000_000);
        check("-1.5s", -1_500_000_000);
        check("1h30m5s", 5_405_000_000_000);
        check("300ms", 300_000_000);
        check("0", 0);
        check(".5s", 500_000_000);
        check("1µs", 1_000);
        for text in ["", "1", "s", "1x", "1.2.3s", "-", "9999999999h"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,20}") {
            let _any = (parse(&text), is_duration(&text));
        }
    }
}
