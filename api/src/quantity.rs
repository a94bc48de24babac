//! Resource quantities: `500m`, `64Mi`, `1.5`, `1e3`.
//!
//! Source: k8s.io/apimachinery `pkg/api/resource`. Exact in thousand millionths; smaller fractions round away from zero, as
//! upstream's. Values are capped at what fits.

use crate::go::to_json;
use serde_json::Value;
use std::{borrow::Cow, fmt};

/// Longest text; a longer one is refused before it is read.
const TEXT_BYTES_MAX: usize = 64;

/// A parsed quantity. Prints in the canonical form of the family of suffixes that it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

/// Digits that are counted with; so many before the point are more than the largest quantity has in any unit.
const DIGITS_MAX: usize = 38;
/// Digits behind the point that are looked at one by one.
const FRACTION_MAX: usize = 12;
const NANO: i128 = 1_000_000_000;
/// Of a thousandth.
const NANO_OF_MILLI: i128 = NANO / 1000;
/// What is larger counts as this.
const NANO_MAX: i128 = i64::MAX as i128 * NANO;

/// A family of suffixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `Ki`, `Mi`
    Binary,
    /// `k`, `M`
    Decimal,
    /// `e3`, `e6`
    Exponent,
}

/// Not a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not look like one.
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    /// It looks like one, of a unit that nobody knows.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// What a suffix multiplies by: a power of ten, and one of two.
#[derive(Clone, Copy)]
struct Unit {
    ten: i32,
    two: u32,
    format: Format,
}

/// Powers that a suffix may have. Upstream takes larger ones, and makes nothing of them.
const POWERS: std::ops::RangeInclusive<i32> = -18..=28;

fn unit(suffix: &str) -> Option<Unit> {
    let decimal = |ten| Unit {
        ten,
        two: 0,
        format: Format::Decimal,
    };
    let binary = |two| Unit {
        ten: 0,
        two,
        format: Format::Binary,
    };
    Some(match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            Unit {
                ten: Some(power).filter(|power| POWERS.contains(power))?,
                two: 0,
                format: Format::Exponent,
            }
        }
    })
}

/// The parts of a text that looks like a quantity.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    unit: Unit,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, Error> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::Format);
        }
        let (negative, unsigned) = match text.strip_prefix(['+', '-']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        };
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(Error::Format);
        }
        Ok(Self {
            negative,
            whole,
            fraction,
            unit: unit(suffix).ok_or_else(|| unknown_suffix(suffix))?,
        })
    }

    fn nano(&self) -> Option<i128> {
        let room = DIGITS_MAX.checked_sub(self.whole.trim_start_matches('0').len())?;
        let kept = &self.fraction[..self.fraction.len().min(FRACTION_MAX).min(room)];
        let dropped = &self.fraction[kept.len()..];
        let digits: i128 = format!("0{}{kept}", self.whole).parse().ok()?;
        // Whatever is not looked at makes it larger.
        let digits = digits + i128::from(dropped.bytes().any(|digit| digit != b'0'));
        let scale = self.unit.ten + 9 - i32::try_from(kept.len()).ok()?;
        let power = 10i128.checked_pow(scale.unsigned_abs())?;
        let number = digits.checked_mul(1 << self.unit.two)?;
        if scale < 0 {
            return Some(ceil_div(number, power));
        }
        number.checked_mul(power)
    }

    /// Whether upstream keeps the text itself, as it sees at a glance that no other power would do: of `1e3`, but also of
    /// `+1` and `1.500`.
    fn is_canonical(&self) -> bool {
        let whole = self.whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let digits = [whole, self.fraction].concat();
        let is_short = |most: usize| digits.len() <= most;
        if self.unit.format == Format::Binary {
            // So many digits fit beside the power of two.
            let most = 14usize.saturating_sub(self.unit.two as usize * 3 / 10);
            let number = digits.parse::<u64>().unwrap_or(0);
            return self.fraction.is_empty() && is_short(most) && number % 8 != 0;
        }
        let scale = i64::from(self.unit.ten) - i64::try_from(self.fraction.len()).unwrap_or(0);
        is_short(18)
            && scale >= -9
            && scale % 3 == 0
            && !digits.ends_with("000")
            && !digits.starts_with('0')
    }
}

/// Letters of suffixes, and then a power.
fn unknown_suffix(suffix: &str) -> Error {
    let power = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Error::Suffix
    } else {
        Error::Format
    }
}

impl Quantity {
    /// Parses a quantity.
    ///
    /// # Errors
    /// When the text is none. One that is larger than any machine is the largest there is, as upstream's.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Parts::of(text).map(|parts| Self::of(&parts))
    }

    fn of(parts: &Parts<'_>) -> Self {
        let nano = parts.nano().unwrap_or(NANO_MAX).min(NANO_MAX);
        let format = match parts.unit.format {
            // As upstream, which finds less than one in no power of two.
            Format::Binary if nano < NANO => Format::Decimal,
            format => format,
        };
        Self {
            nano: if parts.negative { -nano } else { nano },
            format,
        }
    }

    /// Of this many thousandths.
    #[must_use]
    pub fn from_milli(milli: i128) -> Self {
        Self {
            nano: milli.saturating_mul(NANO_OF_MILLI),
            format: Format::Decimal,
        }
    }

    /// Of this many bytes, printed with binary suffixes.
    #[must_use]
    pub fn from_bytes(bytes: u64) -> Self {
        Self {
            nano: i128::from(bytes) * NANO,
            format: Format::Binary,
        }
    }

    /// Of a number of things.
    #[must_use]
    pub fn from_count(count: usize) -> Self {
        let count = i128::try_from(count).unwrap_or(i128::MAX);
        Self::from_milli(count.saturating_mul(1000))
    }

    /// Of JSON, where a plain number is one too, and spaces around it do not count.
    ///
    /// # Errors
    /// As [`Quantity::parse`].
    pub fn read(value: &Value) -> Result<Self, Error> {
        Self::parse(text_of(value).trim())
    }

    /// What upstream writes of one that is read of JSON: its own text where that is canonical.
    ///
    /// # Errors
    /// As [`Quantity::parse`].
    pub fn written(value: &Value) -> Result<String, Error> {
        let text = text_of(value);
        let text = text.trim();
        let parts = Parts::of(text)?;
        if parts.is_canonical() {
            return Ok(text.to_owned());
        }
        Ok(Self::of(&parts).to_string())
    }

    /// The sum, in the form of the first that is not zero.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            nano: self.nano.saturating_add(other.nano),
            format: if self.nano == 0 {
                other.format
            } else {
                self.format
            },
        }
    }

    /// The difference, in the form as of [`Quantity::plus`].
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.plus(Self {
            nano: other.nano.saturating_neg(),
            ..other
        })
    }

    /// The next whole number, for what is only counted in whole ones.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        Self {
            nano: self.value().saturating_mul(NANO),
            ..self
        }
    }

    /// The next thousandth away from zero.
    #[must_use]
    pub fn rounded_up_to_milli(self) -> Self {
        Self {
            nano: self.milli_value().saturating_mul(NANO_OF_MILLI),
            ..self
        }
    }

    /// In thousandths, rounded away from zero.
    #[must_use]
    pub fn milli_value(&self) -> i128 {
        let size = ceil_div(self.nano.saturating_abs(), NANO_OF_MILLI);
        size * self.nano.signum()
    }

    /// In units, rounded up.
    #[must_use]
    pub fn value(&self) -> i128 {
        ceil_div(self.milli_value(), 1000)
    }

    /// With the largest power of 1024 that leaves no fraction.
    fn fmt_binary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut rest, mut power) = (self.nano / NANO, 0);
        while rest % 1024 == 0 && power + 1 < BINARY.len() {
            rest /= 1024;
            power += 1;
        }
        write!(f, "{rest}{}", BINARY[power])
    }

    /// With the largest power of 1000 that leaves no fraction.
    fn fmt_decimal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut rest, mut power) = (self.nano, 0);
        while rest % 1000 == 0 && power + 1 < DECIMAL.len() {
            rest /= 1000;
            power += 1;
        }
        let (suffix, ten) = DECIMAL[power];
        match self.format {
            Format::Exponent if ten != 0 => write!(f, "{rest}e{ten}"),
            _ => write!(f, "{rest}{suffix}"),
        }
    }
}

const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// From the smallest on, and the powers of ten that they are.
const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

fn ceil_div(a: i128, b: i128) -> i128 {
    a.div_euclid(b) + i128::from(a.rem_euclid(b) != 0)
}

fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        // As Go writes it, without a power where there need be none.
        other => String::from_utf8_lossy(&to_json(other)).into_owned().into(),
    }
}

impl fmt::Display for Quantity {
    /// The canonical form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        // As upstream: what is small, and what would lose its fraction, is written with powers of ten.
        let is_large = self.nano.saturating_abs() >= 1024 * NANO;
        if self.format == Format::Binary && is_large && self.nano % NANO == 0 {
            return self.fmt_binary(f);
        }
        self.fmt_decimal(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, milli: i128, printed: &str) {
        let quantity = Quantity::parse(text).unwrap();
        assert_eq!(
            (quantity.milli_value(), quantity.to_string().as_str()),
            (milli, printed),
            "{text}"
        );
    }

    #[test]
    fn values() {
        check("0", 0, "0");
        check("500m", 500, "500m");
        check("1.5", 1500, "1500m");
        check("2000m", 2000, "2");
        check("64Mi", 64 * 1024 * 1024 * 1000, "64Mi");
        check("1.5Gi", 1536 * 1024 * 1024 * 1000, "1536Mi");
        check("1.0001Ki", 1_024_103, "1024102400u");
        check("-1.0001Ki", -1_024_103, "-1024102400u");
        check("0.0001Ki", 103, "102400u");
        check(
            "-5555566785.656557890M",
            -5_555_566_785_656_557_890,
            "-5555566785656557890m",
        );
        for large in [
            "99E",
            "9999999999999999999999",
            "99999999999999999999999999999999999999999",
            "99999999999999999999999999999999999999e-18",
        ] {
            check(large, NANO_MAX / NANO_OF_MILLI, "9223372036854775807");
        }
        // A thousand millionth of the largest there is has nine digits more than that.
        check(
            "1234567890123456789.1234567890",
            1_234_567_890_123_456_789_124,
            "1234567890123456789123456789n",
        );
        check(
            "1234567890123456789123456789.0000000000000001n",
            1_234_567_890_123_456_789_124,
            "1234567890123456789123456790n",
        );
        check("1e3", 1_000_000, "1e3");
        check("129e6", 129_000_000_000, "129e6");
        check("1.5e3", 1_500_000, "1500");
        check("12e-3", 12, "12e-3");
        check("1n", 1, "1n");
        check("100u", 1, "100u");
        check("1000n", 1, "1u");
        check("0.1n", 1, "1n");
        check("-0.1n", -1, "-1n");
        check("-1", -1000, "-1");
        assert_eq!(Quantity::from_bytes(32 << 20).to_string(), "32Mi");
    }

    #[test]
    fn a_canonical_text_is_written_as_it_is() {
        for (text, written) in [
            ("129e6", "129e6"),
            ("1e9", "1e9"),
            ("1E9", "1E9"),
            ("12e-3", "12e-3"),
            ("1e0", "1e0"),
            ("1e4", "10e3"),
            ("1000e3", "1e6"),
            ("1500n", "1500n"),
            ("2000u", "2m"),
            (" 1", "1"),
            ("1 ", "1"),
            ("+1", "+1"),
            ("007", "007"),
            ("1.500", "1.500"),
            ("1.5", "1500m"),
            ("0m", "0"),
            ("-0", "0"),
            ("99E", "99E"),
            ("1000m", "1"),
            ("12Ki", "12Ki"),
            ("1024Ki", "1Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("512Pi", "512Pi"),
        ] {
            let value = Value::from(text);
            assert_eq!(Quantity::written(&value).as_deref(), Ok(written), "{text}");
        }
        for (number, written) in [
            (serde_json::json!(1000), "1k"),
            (serde_json::json!(1e15), "1P"),
        ] {
            assert_eq!(Quantity::written(&number).as_deref(), Ok(written));
        }
        assert_eq!(Quantity::written(&" ".into()), Err(Error::Format));
    }

    #[test]
    fn sums_keep_their_form() {
        let of = |text: &str| Quantity::parse(text).unwrap();
        let zero = Quantity::from_count(0);
        assert_eq!(zero.plus(of("64Mi")).plus(of("64Mi")).to_string(), "128Mi");
        assert_eq!(of("1500m").minus(of("500m")).to_string(), "1");
        assert_eq!(of("64Mi").minus(of("64Mi")).to_string(), "0");
        assert_eq!(of("1500m").rounded_up().to_string(), "2");
        assert_eq!(Quantity::from_count(3).to_string(), "3");
        assert_eq!(of("1e3").plus(of("500")).to_string(), "1500");
        assert_eq!(of("1e3").plus(of("1e3")).to_string(), "2e3");
        assert_eq!(of("100n").plus(of("900n")).to_string(), "1u");
        let read = Quantity::read(&serde_json::json!(2));
        assert_eq!(read.unwrap().to_string(), "2");
    }

    #[test]
    fn refused() {
        for text in ["", ".", "m", "1.2.3", "1x", "1 Mi", "--1", "1e99"] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
        for text in ["1mi", "1kM", "1e", "1Ki2"] {
            assert_eq!(Quantity::parse(text), Err(Error::Suffix), "{text}");
        }
        assert_eq!(Quantity::parse("1zz"), Err(Error::Format));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,70}") { let _any = Quantity::parse(&text); }
        #[test]
        fn reads_what_it_prints(text in "[+-]?[0-9]{0,30}(\\.[0-9]{0,20})?(n|u|m|k|M|E|Ki|Ei|e-18|e28|)") {
            if let Ok(read) = Quantity::parse(&text) {
                let again = Quantity::parse(&read.to_string()).unwrap();
                prop_assert_eq!(again.nano, read.nano, "{}", text);
            }
        }
        #[test]
        fn prints_what_it_reads(value in -1_000_000_000i64..1_000_000_000, suffix in "(m|k|M|Ki|Mi|)") {
            let read = Quantity::parse(&format!("{value}{suffix}")).unwrap();
            prop_assert_eq!(Quantity::parse(&read.to_string()).unwrap().milli_value(), read.milli_value());
        }
    }
}
