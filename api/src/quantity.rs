//! Resource quantities: `500m`, `64Mi`, `1.5`, `1e3`.
//!
//! Source: k8s.io/apimachinery `pkg/api/resource`. Exact in thousandths; smaller fractions round
//! up, as upstream's `MilliValue` does. Values are capped at what fits.

use serde_json::Value;
use std::fmt;

/// Longest text; a longer one is refused before it is read.
const TEXT_BYTES_MAX: usize = 64;

/// A parsed quantity. Prints as it was written, like upstream does for values in canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    milli: i128,
    format: Format,
}

/// Digits before the point: more than the largest quantity has in thousandths.
const DIGITS_MAX: usize = 24;
/// What is larger counts as this; as upstream.
const MILLI_MAX: i128 = i64::MAX as i128 * 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Binary,
    Decimal,
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

/// Suffix to factor in millis: (numerator, denominator).
fn factor(suffix: &str) -> Option<(i128, i128, Format)> {
    let decimal = |power: u32| Some((10i128.pow(power + 3), 1, Format::Decimal));
    let binary = |power: u32| Some((1000 * 1024i128.pow(power), 1, Format::Binary));
    match suffix {
        "n" => Some((1, 1_000_000, Format::Decimal)),
        "u" => Some((1, 1_000, Format::Decimal)),
        "m" => Some((1, 1, Format::Decimal)),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            match power {
                0..=18 => decimal(power.unsigned_abs()),
                -9..0 => Some((1000, 10i128.pow(power.unsigned_abs()), Format::Decimal)),
                _ => None,
            }
        }
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
    /// When the text is none, or is larger than any machine.
    pub fn parse(text: &str) -> Result<Self, Error> {
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
        if (whole.is_empty() && fraction.is_empty())
            || fraction.contains('.')
            || whole.len() > DIGITS_MAX
        {
            return Err(Error::Format);
        }
        let known = factor(suffix);
        let (numerator, denominator, format) = known.ok_or_else(|| unknown_suffix(suffix))?;
        let fraction = &fraction[..fraction.len().min(12)];
        let scale = 10i128.pow(u32::try_from(fraction.len()).map_err(|_long| Error::Format)?);
        let digits: i128 = format!("0{whole}{fraction}")
            .parse()
            .map_err(|_digits| Error::Format)?;
        let product = digits.checked_mul(numerator).ok_or(Error::Format)?;
        let milli = ceil_div(product, denominator * scale).min(MILLI_MAX);
        Ok(Self {
            milli: if negative { -milli } else { milli },
            format,
        })
    }

    /// Of this many thousandths.
    #[must_use]
    pub fn from_milli(milli: i128) -> Self {
        Self {
            milli,
            format: Format::Decimal,
        }
    }

    /// Of this many bytes, printed with binary suffixes.
    #[must_use]
    pub fn from_bytes(bytes: u64) -> Self {
        Self {
            milli: i128::from(bytes) * 1000,
            format: Format::Binary,
        }
    }

    /// Of a number of things.
    #[must_use]
    pub fn from_count(count: usize) -> Self {
        let count = i128::try_from(count).unwrap_or(i128::MAX);
        Self::from_milli(count.saturating_mul(1000))
    }

    /// Of JSON, where a plain number is one too.
    ///
    /// # Errors
    /// As [`Quantity::parse`].
    pub fn read(value: &Value) -> Result<Self, Error> {
        match value.as_str() {
            Some(text) => Self::parse(text),
            None => Self::parse(&value.to_string()),
        }
    }

    /// The sum, in the form of the first that is not zero.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            milli: self.milli.saturating_add(other.milli),
            format: if self.milli == 0 {
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
            milli: other.milli.saturating_neg(),
            ..other
        })
    }

    /// The next whole number, for what is only counted in whole ones.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        Self {
            milli: self.value().saturating_mul(1000),
            ..self
        }
    }

    /// In thousandths, rounded up.
    #[must_use]
    pub fn milli_value(&self) -> i128 {
        self.milli
    }

    /// In units, rounded up.
    #[must_use]
    pub fn value(&self) -> i128 {
        ceil_div(self.milli, 1000)
    }
}

fn ceil_div(a: i128, b: i128) -> i128 {
    a.div_euclid(b) + i128::from(a.rem_euclid(b) != 0)
}

impl fmt::Display for Quantity {
    /// The canonical form: the largest suffix without a fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_whole = self.milli % 1000 == 0;
        let is_large = self.milli.unsigned_abs() >= 1024 * 1000;
        // As upstream: powers of two have no fraction, but for what is less than the first of them.
        let has_fraction = self.format == Format::Decimal || !is_large;
        if !is_whole && has_fraction {
            return write!(f, "{}m", self.milli);
        }
        let value = self.milli / 1000 + if is_whole { 0 } else { self.milli.signum() };
        let (base, suffixes): (i128, [&str; 7]) = match self.format {
            Format::Binary => (1024, ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]),
            Format::Decimal => (1000, ["", "k", "M", "G", "T", "P", "E"]),
        };
        let (mut rest, mut power) = (value, 0);
        while rest != 0 && rest % base == 0 && power + 1 < suffixes.len() {
            rest /= base;
            power += 1;
        }
        write!(f, "{rest}{}", suffixes[power])
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
        check("1.0001Ki", 1_024_103, "1025");
        check("-1.0001Ki", -1_024_103, "-1025");
        check("0.0001Ki", 103, "103m");
        check(
            "-5555566785.656557890M",
            -5_555_566_785_656_557_890,
            "-5555566785656557890m",
        );
        for large in ["99E", "9999999999999999999999"] {
            check(large, MILLI_MAX, "9223372036854775807");
        }
        check("1e3", 1_000_000, "1k");
        check("1n", 1, "1m");
        check("-1", -1000, "-1");
        assert_eq!(Quantity::from_bytes(32 << 20).to_string(), "32Mi");
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
        let read = Quantity::read(&serde_json::json!(2));
        assert_eq!(read.unwrap().to_string(), "2");
    }

    #[test]
    fn refused() {
        for text in [
            "",
            ".",
            "m",
            "1.2.3",
            "1x",
            "1 Mi",
            "--1",
            "1e99",
            "9999999999999999999999999",
        ] {
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
        fn prints_what_it_reads(value in -1_000_000_000i64..1_000_000_000, suffix in "(m|k|M|Ki|Mi|)") {
            let read = Quantity::parse(&format!("{value}{suffix}")).unwrap();
            prop_assert_eq!(Quantity::parse(&read.to_string()).unwrap().milli_value(), read.milli_value());
        }
    }
}
