//! Rules that many kinds share: selectors, ranges, percents, addresses, what may not change.

use super::{elements, is_dns_label, is_dns_subdomain, is_label_value, meta, text};
use crate::{quantity::Quantity, selector::LabelSelector, status::Cause};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as types;
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::IpAddr};

pub(super) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(super) const IMMUTABLE: &str = "field is immutable";
const IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

/// The fields of `of` that are numbers are not negative.
pub(super) fn not_negative(of: &Value, fields: &[&str], path: &str, causes: &mut Vec<Cause>) {
    for field in fields {
        if let Some(value) = of[*field].as_i64().filter(|value| *value < 0) {
            let path = format!("{path}.{field}");
            causes.push(Cause::invalid(path, &json!(value), NOT_NEGATIVE));
        }
    }
}

/// A text is one of these, or absent.
pub(super) fn one_of(
    of: &Value,
    field: &str,
    allowed: &[&str],
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let value = text(of, field);
    if !value.is_empty() && !allowed.contains(&value) {
        causes.push(Cause::unsupported(
            join(path, field),
            &json!(value),
            allowed,
        ));
    }
}

pub(super) fn join(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

pub(super) fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Absent and empty are the same.
pub(super) fn immutable(new: &Value, old: &Value, path: &str, causes: &mut Vec<Cause>) {
    let same = new == old || (is_absent(new) && is_absent(old));
    if !same {
        causes.push(Cause::invalid(path, new, IMMUTABLE));
    }
}

/// A field of the object itself that may not change.
pub(super) fn unchanged(new: &Value, old: &Value, field: &str, causes: &mut Vec<Cause>) {
    immutable(&new[field], &old[field], field, causes);
}

pub(super) fn subdomain(value: &str, path: String, causes: &mut Vec<Cause>) {
    if !is_dns_subdomain(value) {
        causes.push(Cause::invalid(path, &json!(value), meta::SUBDOMAIN_MESSAGE));
    }
}

pub(super) fn label(value: &str, path: String, causes: &mut Vec<Cause>) {
    if !is_dns_label(value) {
        causes.push(Cause::invalid(path, &json!(value), meta::LABEL_MESSAGE));
    }
}

/// A port's number; one that is not there is 0, as Go reads it.
pub(super) fn port(value: &Value, path: String, causes: &mut Vec<Cause>) {
    let number = value.as_i64().unwrap_or_default();
    if !(1..=65535).contains(&number) {
        let detail = "must be between 1 and 65535, inclusive";
        causes.push(Cause::invalid(path, &json!(number), detail));
    }
}

/// A port's number where upstream says of 0 that there is none.
pub(super) fn required_port(value: &Value, path: String, causes: &mut Vec<Cause>) {
    match value.as_i64().unwrap_or_default() {
        0 => causes.push(Cause::required(path, "")),
        _ => port(value, path, causes),
    }
}

/// A port by its number or its name.
pub(super) fn port_or_name(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match value.as_str() {
        Some(name) => port_name(name, path, causes),
        None => port(value, path.to_owned(), causes),
    }
}

/// A path that stays below where it begins.
pub(super) fn descending(value: &str, path: &str, causes: &mut Vec<Cause>) {
    if value.starts_with('/') {
        let detail = "must be a relative path";
        causes.push(Cause::invalid(path, &json!(value), detail));
    }
    if value.split('/').any(|part| part == "..") {
        let detail = "must not contain '..'";
        causes.push(Cause::invalid(path, &json!(value), detail));
    }
}

/// A key of a ConfigMap or a Secret.
pub(super) fn config_key(key: &str, path: &str, causes: &mut Vec<Cause>) {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let problems = [
        (key.len() > 253, "must be no more than 253 characters"),
        (key.is_empty() || !key.bytes().all(is_inner), CONFIG_KEY),
        (key == ".", "must not be '.'"),
        (key == "..", "must not be '..'"),
        (
            key.starts_with("..") && key != "..",
            "must not start with '..'",
        ),
    ];
    for (_, problem) in problems.iter().filter(|(is_wrong, _)| *is_wrong) {
        causes.push(Cause::invalid(path, &json!(key), problem));
    }
}

/// A name that only what stands among others needs.
pub(super) fn name_among(many: bool, name: &str, path: String, causes: &mut Vec<Cause>) {
    if many && name.is_empty() {
        causes.push(Cause::required(path, ""));
    } else if !name.is_empty() {
        label(name, path, causes);
    }
}

/// A port's name, as IANA has service names (RFC 6335).
pub(super) fn port_name(name: &str, path: &str, causes: &mut Vec<Cause>) {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let problems = [
        (name.len() > 15, "must be no more than 15 characters"),
        (
            name.is_empty() || !name.chars().all(is_inner),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            !name.contains(|c: char| c.is_ascii_lowercase()),
            "must contain at least one letter (a-z)",
        ),
        (name.contains("--"), "must not contain consecutive hyphens"),
        (
            name.starts_with('-') || name.ends_with('-'),
            "must not begin or end with a hyphen",
        ),
    ];
    for (_, problem) in problems.iter().filter(|(is_wrong, _)| *is_wrong) {
        causes.push(Cause::invalid(path, &json!(name), problem));
    }
}

/// A text that must be there.
pub(super) fn required(of: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) -> bool {
    let there = !text(of, field).is_empty();
    if !there {
        causes.push(Cause::required(join(path, field), ""));
    }
    there
}

/// A label selector's own form.
pub(super) fn selector(selector: &Value, path: &str, causes: &mut Vec<Cause>) {
    let labels = format!("{path}.matchLabels");
    meta::labels(&selector["matchLabels"], &labels, causes);
    for (path, expression) in elements(selector, "matchExpressions", path) {
        if !operator(expression, &path, causes) {
            causes.push(Cause::invalid(
                format!("{path}.operator"),
                &json!(text(expression, "operator")),
                "not a valid selector operator",
            ));
        }
        label_requirement(expression, &path, causes);
    }
}

/// Whether values stand where the operator of a requirement has them; false for an operator that nobody knows.
pub(super) fn operator(requirement: &Value, path: &str, causes: &mut Vec<Cause>) -> bool {
    let values = requirement["values"].as_array().map_or(0, Vec::len);
    match text(requirement, "operator") {
        "In" | "NotIn" if values == 0 => causes.push(Cause::required(
            format!("{path}.values"),
            "must be specified when `operator` is 'In' or 'NotIn'",
        )),
        "Exists" | "DoesNotExist" if values > 0 => causes.push(Cause::forbidden(
            format!("{path}.values"),
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => return false,
    }
    true
}

/// The key and the values of a requirement of labels.
pub(super) fn label_requirement(requirement: &Value, path: &str, causes: &mut Vec<Cause>) {
    let key = text(requirement, "key");
    meta::qualified_name(key, &json!(key), &format!("{path}.key"), causes);
    for (path, value) in elements(requirement, "values", path) {
        if !value.as_str().is_some_and(is_label_value) {
            causes.push(Cause::invalid(path, value, meta::VALUE_MESSAGE));
        }
    }
}

/// Whether a selector of a spec selects these labels; one that cannot be used does not.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let labels: BTreeMap<String, String> = BTreeMap::deserialize(labels).unwrap_or_default();
    types::LabelSelector::deserialize(selector)
        .ok()
        .and_then(|spec| LabelSelector::from_spec(&spec).ok())
        .is_some_and(|selector| selector.matches(&labels))
}

/// The percentage in a text as `25%`.
fn percent(value: &Value) -> Option<i64> {
    let digits = value.as_str()?.strip_suffix('%')?;
    let only_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    only_digits.then(|| digits.parse().unwrap_or(i64::MAX))
}

/// Whether it comes to nothing; a text that is no percentage is the number in it, or nothing.
pub(super) fn is_zero(value: &Value) -> bool {
    match (value, percent(value)) {
        (_, Some(share)) => share == 0,
        (Value::String(text), None) => text.parse().unwrap_or(0_i64) == 0,
        _ => value.as_i64() == Some(0),
    }
}

/// A number that is not negative or a percentage, or absent.
pub(super) fn int_or_percent(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match (value, percent(value)) {
        (Value::String(_), None) => causes.push(Cause::invalid(path, value, PERCENT)),
        (Value::Number(number), _) if number.as_i64().is_some_and(|number| number < 0) => {
            causes.push(Cause::invalid(path, value, NOT_NEGATIVE));
        }
        _ => {}
    }
}

/// As [`int_or_percent`], of something there is no more than all of.
pub(super) fn share(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    int_or_percent(value, path, causes);
    no_more_than_all(value, path, causes);
}

/// A percentage of something there is no more than all of.
pub(super) fn no_more_than_all(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if percent(value).is_some_and(|share| share > 100) {
        causes.push(Cause::invalid(path, value, "must not be greater than 100%"));
    }
}

/// A quantity that can be read and is not negative; its value in thousandths.
pub(super) fn quantity(value: &Value, path: &str, causes: &mut Vec<Cause>) -> Option<i128> {
    let written = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    match Quantity::parse(&written) {
        Err(error) => {
            causes.push(Cause::invalid(path, value, &error.to_string()));
            None
        }
        Ok(quantity) if quantity.milli_value() < 0 => {
            causes.push(Cause::invalid(path, value, NOT_NEGATIVE));
            None
        }
        Ok(quantity) => Some(quantity.milli_value()),
    }
}

pub(super) fn ip(value: &str, path: String, causes: &mut Vec<Cause>) {
    if value.parse::<IpAddr>().is_err() {
        causes.push(Cause::invalid(path, &json!(value), IP));
    }
}

/// An address that something may be reached at from elsewhere.
///
/// Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidateEndpointIP`.
pub(super) fn endpoint_ip(value: &str, path: &str, causes: &mut Vec<Cause>) {
    let mut refuse = |detail: &str| causes.push(Cause::invalid(path, &json!(value), detail));
    let Ok(address) = value.parse::<IpAddr>() else {
        refuse("must be a valid IP address");
        return;
    };
    let address = address.to_canonical();
    let (link_local, multicast) = match address {
        IpAddr::V4(address) => (
            address.is_link_local(),
            address.octets()[..3] == [224, 0, 0],
        ),
        IpAddr::V6(address) => (
            address.is_unicast_link_local(),
            address.segments()[0] & 0xff0f == 0xff02,
        ),
    };
    if address.is_unspecified() {
        refuse(&format!("may not be unspecified ({value})"));
    }
    if address.is_loopback() {
        refuse("may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if link_local {
        refuse("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if multicast {
        refuse("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

/// An address range as `10.0.0.0/8`: its first address and its length.
pub(super) fn cidr(value: &str, path: String, causes: &mut Vec<Cause>) -> Option<(IpAddr, u8)> {
    let parsed = value.split_once('/').and_then(|(address, length)| {
        let address: IpAddr = address.parse().ok()?;
        let length: u8 = length.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (length <= bits).then_some((address, length))
    });
    if parsed.is_none() {
        causes.push(Cause::invalid(path, &json!(value), CIDR));
    }
    parsed
}

/// A path that does not lead up.
pub(super) fn no_backsteps(value: &str, path: &str, causes: &mut Vec<Cause>) {
    if value.split('/').any(|part| part == "..") {
        causes.push(Cause::invalid(path, &json!(value), "must not contain '..'"));
    }
}

/// As [`descending`], and not one that the node makes for itself.
pub(super) fn not_reserved(value: &str, path: &str, causes: &mut Vec<Cause>) {
    descending(value, path, causes);
    // Upstream says both of `..` alone.
    if value.starts_with("..") && !value.starts_with("../") {
        let detail = "must not start with '..'";
        causes.push(Cause::invalid(path, &json!(value), detail));
    }
}

/// A name in a domain, as `example.com/controller`.
pub(super) fn domain_prefixed(value: &str, path: &str, causes: &mut Vec<Cause>) {
    let form = "must be a domain-prefixed path (such as \"acme.io/foo\")";
    match value.split_once('/') {
        _ if value.is_empty() => causes.push(Cause::required(path, "")),
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            subdomain(domain, path.to_owned(), causes);
        }
        _ => causes.push(Cause::invalid(path, &json!(value), form)),
    }
}
