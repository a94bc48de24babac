//! Names that a definition claims: what they may be.

use super::cause::invalid;
use super::path::Path;
use crate::{status::Cause, validate::is_dns_label};
use serde_json::{Value, json};

pub(super) const DNS_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// What is wrong with a name that must be a DNS-1035 label.
pub(super) fn dns_1035(name: &str) -> Option<String> {
    if is_dns_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let mut parts = Vec::new();
    if name.len() > 63 {
        parts.push("must be no more than 63 bytes");
    }
    let cut = name.get(..63).unwrap_or(name);
    let shape = cut.trim_end_matches('-');
    if !(is_dns_label(shape)
        && shape.starts_with(|c: char| c.is_ascii_lowercase())
        && shape == name)
        && (name.len() <= 63 || !is_long_label(name))
    {
        parts.push(DNS_1035);
    }
    Some(parts.join(","))
}

/// A label but for its length.
fn is_long_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// What is wrong with `spec.names` or `status.acceptedNames`.
pub(super) fn validate(names: &Value, path: Path<'_>, causes: &mut Vec<Cause>) {
    let text = |name: &str| names.get(name).and_then(Value::as_str).unwrap_or_default();
    for name in ["plural", "singular"] {
        if let Some(detail) = dns_1035(text(name)).filter(|_| !text(name).is_empty()) {
            causes.push(invalid(path.field(name), &json!(text(name)), &detail));
        }
    }
    for name in ["kind", "listKind"] {
        let lower = text(name).to_lowercase();
        if let Some(detail) = dns_1035(&lower).filter(|_| !lower.is_empty()) {
            let detail = format!("may have mixed case, but should otherwise match: {detail}");
            causes.push(invalid(path.field(name), &json!(text(name)), &detail));
        }
    }
    labels(names, "shortNames", path, causes);
    if !text("kind").is_empty() && text("kind") == text("listKind") {
        let detail = "kind and listKind may not be the same";
        causes.push(invalid(
            path.field("listKind"),
            &json!(text("listKind")),
            detail,
        ));
    }
    labels(names, "categories", path, causes);
}

fn labels(names: &Value, list: &str, path: Path<'_>, causes: &mut Vec<Cause>) {
    let entries = names.get(list).and_then(Value::as_array);
    for (index, entry) in entries.into_iter().flatten().enumerate() {
        if let Some(detail) = dns_1035(entry.as_str().unwrap_or_default()) {
            causes.push(invalid(path.field(list).index(index), entry, &detail));
        }
    }
}
