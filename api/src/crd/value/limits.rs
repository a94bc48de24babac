//! One value against what its schema says of it alone: type, enum, lengths, bounds, pattern, format.

use super::Found;
use crate::{
    crd::{
        cause::{go_float, invalid, too_long, too_many, wrong_type},
        path::Path,
        structural::{Bound, Limits, Node, Type},
    },
    status::Cause,
};
use serde_json::{Value, json};

/// The JSON type of a value, and the format that upstream infers of numbers.
fn type_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(number) if number.is_f64() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

pub(super) fn check_type(node: &Node, value: &Value, path: Path<'_>, found: &mut Found) {
    let (actual, inferred) = type_of(value);
    let whole = value
        .as_f64()
        .is_some_and(|v| v.fract() == 0.0 && v.abs() < 9_007_199_254_740_992.0);
    let fits = match node.kind {
        Type::Any => true,
        Type::IntOrString => actual == "string" || actual == "integer" || whole,
        Type::Integer => actual == "integer" || whole,
        Type::Number => matches!(actual, "integer" | "number"),
        kind => actual == kind.name(),
    };
    let fits = fits || (value.is_null() && node.nullable);
    let format = node
        .limits
        .as_ref()
        .and_then(|limits| limits.format.as_ref());
    let is_text = matches!(value, Value::String(_) | Value::Array(_));
    match format {
        Some(format) if !fits && !is_text && !value.is_null() => {
            let detail = format!(
                "{path} in body must be of type {}: {inferred:?}",
                format.text
            );
            found.push(wrong_type(path, &json!(inferred), &detail));
        }
        _ if !fits => {
            let name = node.kind.name();
            let detail = format!("{path} in body must be of type {name}: {actual:?}");
            found.push(wrong_type(path, &json!(actual), &detail));
        }
        _ => found.matches += 2,
    }
}

pub(super) fn check_enum(
    limits: Option<&Limits>,
    value: &Value,
    path: Path<'_>,
    found: &mut Found,
) {
    let Some(values) = limits.map(|limits| &limits.one_of_values) else {
        return;
    };
    let same = |allowed: &Value| {
        allowed == value || (value.is_number() && allowed.as_f64() == value.as_f64())
    };
    if values.is_empty() || (!value.is_null() && values.iter().any(same)) {
        return;
    }
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let texts: Vec<String> = values.iter().map(text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    found.push(Cause::unsupported(path.to_field(), value, &texts));
}

pub(super) fn check_text(limits: &Limits, text: &str, path: Path<'_>, found: &mut Found) {
    let value = || json!(text);
    let count = text.chars().count();
    if let Some(max) = limits.max_length.filter(|max| is_more(count, *max)) {
        found.push(too_long(path, max));
    } else if let Some(min) = limits.min_length.filter(|min| is_less(count, *min)) {
        let detail = format!("{path} in body should be at least {min} chars long");
        found.push(invalid(path, &value(), &detail));
    } else if let Some((pattern, compiled)) = &limits.pattern
        && !compiled.is_match(text)
    {
        let detail = format!("{path} in body should match '{pattern}'");
        found.push(invalid(path, &value(), &detail));
    }
    if let Some(format) = limits
        .format
        .as_ref()
        .filter(|format| !format.matches(text))
    {
        let detail = format!("{path} in body must be of type {}: {text:?}", format.text);
        found.push(wrong_type(path, &value(), &detail));
    }
}

pub(super) fn check_number(limits: &Limits, value: &Value, path: Path<'_>, found: &mut Found) {
    let Some(number) = value.as_f64() else { return };
    if let Some(factor) = limits.multiple_of {
        check_multiple(factor, value, path, found);
    }
    let bounds = [
        (limits.minimum, -1.0, "greater"),
        (limits.maximum, 1.0, "less"),
    ];
    for (bound, sign, word) in bounds {
        let Some(Bound {
            value: bound,
            exclusive,
        }) = bound
        else {
            continue;
        };
        let beyond = (number - bound) * sign;
        if beyond > 0.0 || (exclusive && beyond == 0.0) {
            let or_equal = if exclusive { "" } else { " or equal to" };
            let whole = !value.is_f64() && bound.fract() == 0.0;
            let bound = if whole {
                format!("{bound:.0}")
            } else {
                go_float(bound)
            };
            let detail = format!("{path} in body should be {word} than{or_equal} {bound}");
            found.push(invalid(path, value, &detail));
        }
    }
}

fn check_multiple(factor: f64, value: &Value, path: Path<'_>, found: &mut Found) {
    let number = value.as_f64().unwrap_or_default();
    if factor <= 0.0 {
        let factor = go_float(factor);
        let detail = format!("factor MultipleOf declared for {path} must be positive: {factor}");
        found.push(invalid(path, value, &detail));
        return;
    }
    let times = if factor < 1.0 {
        1.0 / factor * number
    } else {
        number / factor
    };
    if (times - times.round()).abs() > 1e-9 * times.abs().max(1.0) {
        let detail = format!(
            "{path} in body should be a multiple of {}",
            go_float(factor)
        );
        found.push(invalid(path, value, &detail));
    }
}

pub(super) fn check_field_count(node: &Node, value: &Value, path: Path<'_>, found: &mut Found) {
    let count = value.as_object().map_or(0, serde_json::Map::len);
    let Some(limits) = &node.limits else { return };
    if let Some(min) = limits.min_properties.filter(|min| is_less(count, *min)) {
        let detail = format!("{path} in body should have at least {min} properties");
        found.push(invalid(path, &json!(count), &detail));
    }
    if let Some(max) = limits.max_properties.filter(|max| is_more(count, *max)) {
        found.push(too_many(path, count, max));
    }
}

pub(super) fn is_less(count: usize, min: i64) -> bool {
    i64::try_from(count).is_ok_and(|count| count < min)
}

pub(super) fn is_more(count: usize, max: i64) -> bool {
    i64::try_from(count).is_ok_and(|count| count > max)
}
