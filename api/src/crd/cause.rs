//! Causes that only custom resources have, and numbers as Go prints them.

use super::path::Path;
use crate::status::Cause;
use serde_json::Value;

/// Reasons after which rules are not run: what they would look at is not what they were written for.
const BLOCKING: [&str; 5] = [
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
];

pub(super) fn invalid(path: Path<'_>, value: &Value, detail: &str) -> Cause {
    Cause::invalid(path.to_field(), value, detail)
}

/// `Invalid value: DETAIL`: the value is left out.
pub(super) fn invalid_omitted(path: Path<'_>, detail: &str) -> Cause {
    Cause {
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {detail}"),
        field: path.to_field(),
    }
}

pub(super) fn wrong_type(path: Path<'_>, value: &Value, detail: &str) -> Cause {
    Cause {
        reason: "FieldValueTypeInvalid",
        message: format!("Invalid value: {value}: {detail}"),
        field: path.to_field(),
    }
}

pub(super) fn too_many(path: Path<'_>, actual: usize, max: i64) -> Cause {
    let items = if max == 1 { "item" } else { "items" };
    Cause {
        reason: "FieldValueTooMany",
        message: format!("Too many: {actual}: must have at most {max} {items}"),
        field: path.to_field(),
    }
}

pub(super) fn too_long(path: Path<'_>, max: i64) -> Cause {
    let bytes = if max == 1 { "byte" } else { "bytes" };
    Cause {
        reason: "FieldValueTooLong",
        message: format!("Too long: may not be more than {max} {bytes}"),
        field: path.to_field(),
    }
}

/// `Duplicate value` of a list or map element.
pub(super) fn duplicate(path: Path<'_>, value: &Value) -> Cause {
    Cause::duplicate(path.to_field(), value)
}

/// Whether rules are to be left out because of what was found before.
pub(super) fn is_blocking(causes: &[Cause]) -> bool {
    causes.iter().any(|cause| BLOCKING.contains(&cause.reason))
}

/// What upstream says then.
pub(super) fn blocked() -> Cause {
    invalid(
        Path::ROOT,
        &Value::Null,
        "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
    )
}

/// A number with fraction as Go's `%v` prints it: `1.5`, `1e+06`.
pub(super) fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..6).contains(&power) {
        return format!("{value}");
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats() {
        let rows = [
            (0.0, "0"),
            (1.5, "1.5"),
            (100.0, "100"),
            (1e6, "1e+06"),
            (123_456.5, "123456.5"),
            (0.000_01, "1e-05"),
            (-2.5e-7, "-2.5e-07"),
        ];
        for (value, text) in rows {
            assert_eq!(go_float(value), text);
        }
    }
}
