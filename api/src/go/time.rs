//! Times as `time.Parse` reads them and as upstream writes them.
//!
//! Source: Go, `time/format.go`; k8s.io/apimachinery `pkg/apis/meta/v1`, `Time` and `MicroTime`.

use jiff::{civil::DateTime, tz::Offset};

/// The time that Go calls zero: `null` as a field, but no time at all to whoever reads a map of times.
pub(crate) const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `2006-01-02T15:04:05Z07:00`, of `metav1.Time`; a fraction may be there and is dropped.
    Seconds,
    /// `2006-01-02T15:04:05.000000Z07:00`, of `metav1.MicroTime`: six digits, no fewer.
    Micros,
}

/// The elements of a layout, each with what has to stand before it.
const ELEMENTS: [(&str, &str); 6] = [
    ("", "2006"),
    ("-", "01"),
    ("-", "02"),
    ("T", "15"),
    (":", "04"),
    (":", "05"),
];
const FRACTION: &str = ".000000";
const ZONE: &str = "Z07:00";

impl Layout {
    fn text(self) -> &'static str {
        match self {
            Self::Seconds => "2006-01-02T15:04:05Z07:00",
            Self::Micros => "2006-01-02T15:04:05.000000Z07:00",
        }
    }
}

/// A time in the form that upstream answers with: UTC, whole seconds or six digits of them.
///
/// # Errors
/// With the sentence of `time.Parse`.
pub fn read_time(text: &str, layout: Layout) -> Result<String, String> {
    let quote = |part: &str| format!("{part:?}");
    let parsed = Reader { rest: text }.read(layout);
    let (date, offset) = parsed.map_err(|fault| match fault {
        Fault::Element(rest, element) => format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quote(text),
            quote(layout.text()),
            quote(rest),
            quote(element)
        ),
        Fault::Range(what) => format!("parsing time {}: {what} out of range", quote(text)),
        Fault::Extra(rest) => format!("parsing time {}: extra text: {}", quote(text), quote(rest)),
    })?;
    let utc = Offset::from_seconds(offset)
        .and_then(|offset| offset.to_timestamp(date))
        .map_err(|_at_an_end_of_time| format!("parsing time {}: year out of range", quote(text)))?;
    let form = match layout {
        Layout::Seconds => "%Y-%m-%dT%H:%M:%SZ",
        Layout::Micros => "%Y-%m-%dT%H:%M:%S.%6fZ",
    };
    Ok(utc.strftime(form).to_string())
}

enum Fault<'a> {
    /// What is left is not this element of the layout.
    Element(&'a str, &'static str),
    Range(&'static str),
    Extra(&'a str),
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn read(mut self, layout: Layout) -> Result<(DateTime, i32), Fault<'a>> {
        let mut parts = [0_u16; 6];
        for (index, (before, element)) in ELEMENTS.into_iter().enumerate() {
            if !before.is_empty() {
                self.skip(before)?;
            }
            // A day and an hour may have one digit, as Go has it.
            let digits = match element {
                "2006" => 4..=4,
                "02" | "15" => 1..=2,
                _ => 2..=2,
            };
            parts[index] = self.number(digits, element)?;
            let (range, what) = match element {
                "01" => (1..=12, "month"),
                "15" => (0..=23, "hour"),
                "04" => (0..=59, "minute"),
                "05" => (0..=59, "second"),
                _ => (0..=9999, ""),
            };
            if !range.contains(&parts[index]) {
                return Err(Fault::Range(what));
            }
        }
        let nanos = self.fraction(layout)?;
        let offset = self.zone()?;
        if !self.rest.is_empty() {
            return Err(Fault::Extra(self.rest));
        }
        let small = |part: u16| i8::try_from(part).unwrap_or(i8::MAX);
        let [year, month, day, hour, minute, second] = parts;
        let date = DateTime::new(
            i16::try_from(year).unwrap_or(i16::MAX),
            small(month),
            small(day),
            small(hour),
            small(minute),
            small(second),
            nanos,
        );
        Ok((date.map_err(|_no_such_day| Fault::Range("day"))?, offset))
    }

    fn skip(&mut self, text: &'static str) -> Result<(), Fault<'a>> {
        let left = self.rest.strip_prefix(text);
        self.rest = left.ok_or(Fault::Element(self.rest, text))?;
        Ok(())
    }

    fn number(
        &mut self,
        digits: std::ops::RangeInclusive<usize>,
        element: &'static str,
    ) -> Result<u16, Fault<'a>> {
        let has = self.digits().min(*digits.end());
        if has < *digits.start() {
            return Err(Fault::Element(self.rest, element));
        }
        let (number, rest) = self.rest.split_at(has);
        self.rest = rest;
        Ok(number.parse().unwrap_or(u16::MAX))
    }

    /// How many digits come next.
    fn digits(&self) -> usize {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit);
        digits.count()
    }

    /// Nanoseconds. Without a place in the layout, any number of digits may be there.
    fn fraction(&mut self, layout: Layout) -> Result<i32, Fault<'a>> {
        let whole = self.rest;
        let point = whole.strip_prefix(['.', ',']);
        let digits = point.map_or(0, |rest| Reader { rest }.digits());
        let taken = match layout {
            Layout::Seconds if digits == 0 => return Ok(0),
            Layout::Seconds => digits,
            Layout::Micros if digits < 6 => return Err(Fault::Element(whole, FRACTION)),
            Layout::Micros => 6,
        };
        let fraction = &whole[1..=taken];
        self.rest = &whole[1 + taken..];
        let nanos: String = fraction
            .chars()
            .chain("000000000".chars())
            .take(9)
            .collect();
        Ok(nanos.parse().unwrap_or(0))
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Result<i32, Fault<'a>> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let fault = Fault::Element(self.rest, ZONE);
        let bytes = self.rest.as_bytes();
        let (sign, digits) = match bytes {
            [b'+', h, i, b':', m, n, ..] => (1, [h, i, m, n]),
            [b'-', h, i, b':', m, n, ..] => (-1, [h, i, m, n]),
            _ => return Err(fault),
        };
        if !digits.iter().all(|digit| digit.is_ascii_digit()) {
            return Err(fault);
        }
        let [hours, more_hours, minutes, more_minutes] =
            digits.map(|digit| i32::from(*digit - b'0'));
        let (hours, minutes) = (hours * 10 + more_hours, minutes * 10 + more_minutes);
        if hours > 24 {
            return Err(Fault::Range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(Fault::Range("time zone offset minute"));
        }
        self.rest = &self.rest[6..];
        Ok(sign * (hours * 60 + minutes) * 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_written_as_upstream_writes_them() {
        for (text, layout, written) in [
            (
                "2026-01-02T03:04:05Z",
                Layout::Seconds,
                "2026-01-02T03:04:05Z",
            ),
            (
                "2026-01-02T03:04:05.9Z",
                Layout::Seconds,
                "2026-01-02T03:04:05Z",
            ),
            (
                "2026-01-02T00:04:05+02:00",
                Layout::Seconds,
                "2026-01-01T22:04:05Z",
            ),
            (
                "2026-01-2T3:04:05Z",
                Layout::Seconds,
                "2026-01-02T03:04:05Z",
            ),
            (
                "2026-01-02T03:04:05.678901+00:00",
                Layout::Micros,
                "2026-01-02T03:04:05.678901Z",
            ),
        ] {
            assert_eq!(read_time(text, layout).as_deref(), Ok(written), "{text}");
        }
    }

    #[test]
    fn says_what_go_says() {
        let seconds = "2006-01-02T15:04:05Z07:00";
        for (text, said) in [
            (
                "yesterday",
                format!(" as {seconds:?}: cannot parse \"yesterday\" as \"2006\""),
            ),
            (
                "2026-01-02",
                format!(" as {seconds:?}: cannot parse \"\" as \"T\""),
            ),
            (
                "2026-01-02 03:04:05Z",
                format!(" as {seconds:?}: cannot parse \" 03:04:05Z\" as \"T\""),
            ),
            (
                "2026-1-02T03:04:05Z",
                format!(" as {seconds:?}: cannot parse \"1-02T03:04:05Z\" as \"01\""),
            ),
            (
                "2026-01-02T03:04:05",
                format!(" as {seconds:?}: cannot parse \"\" as \"Z07:00\""),
            ),
            ("2026-13-02T03:04:05Z", ": month out of range".to_owned()),
            ("2026-02-30T03:04:05Z", ": day out of range".to_owned()),
            ("2026-02-03T24:04:05Z", ": hour out of range".to_owned()),
            ("2026-02-03T23:04:05Zx", ": extra text: \"x\"".to_owned()),
            (
                "",
                format!(" as {seconds:?}: cannot parse \"\" as \"2006\""),
            ),
        ] {
            let whole = format!("parsing time {text:?}{said}");
            assert_eq!(read_time(text, Layout::Seconds), Err(whole));
        }
        let micros = read_time("2026-01-02T03:04:05Z", Layout::Micros).unwrap_err();
        assert_eq!(
            micros,
            "parsing time \"2026-01-02T03:04:05Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\""
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9TZ:+.,é-]{0,40}") {
            let _any = (read_time(&text, Layout::Seconds), read_time(&text, Layout::Micros));
        }
        #[test]
        fn reads_what_it_writes(seconds in -62_000_000_000_i64..250_000_000_000) {
            let time = jiff::Timestamp::from_second(seconds).unwrap();
            let text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            prop_assert_eq!(read_time(&text, Layout::Seconds), Ok(text));
        }
    }
}
