//! Names, labels and annotations.

use crate::{KindRef, kind, status::Cause};
use serde_json::{Value, json};

pub(super) const LABEL_MESSAGE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
pub(super) const SUBDOMAIN_MESSAGE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
pub(super) const DNS_1035_MESSAGE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
pub(super) const QUALIFIED_MESSAGE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_MESSAGE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/// All annotations together, bytes.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// RFC 1123 label: at most 63 of `[a-z0-9-]`, alphanumeric at both ends.
#[must_use]
pub fn is_dns_label(name: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

/// RFC 1123 subdomain: labels (of any length) with dots between, at most 253.
#[must_use]
pub fn is_dns_subdomain(name: &str) -> bool {
    let part = |part: &str| {
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        edge(part.as_bytes().first())
            && edge(part.as_bytes().last())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(part)
}

pub(super) fn is_dns_1035(name: &str) -> bool {
    is_dns_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase())
}

fn is_name_part(name: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// A label's key: an optional subdomain and `/`, then a name.
#[must_use]
pub fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_name_part(name),
        None => is_name_part(key),
    }
}

/// A label's value: empty, or a name of at most 63.
#[must_use]
pub fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_name_part(value)
}

pub(super) fn validate(kind: KindRef, object: &Value, causes: &mut Vec<Cause>) {
    let meta = &object["metadata"];
    name(kind, meta, causes);
    labels(&meta["labels"], "metadata.labels", causes);
    let mut size = 0;
    for (key, value) in meta["annotations"].as_object().into_iter().flatten() {
        size += key.len() + value.as_str().unwrap_or_default().len();
        if !is_qualified_name(&key.to_lowercase()) {
            causes.push(Cause::invalid(
                "metadata.annotations",
                &json!(key),
                QUALIFIED_MESSAGE,
            ));
        }
    }
    if size > ANNOTATIONS_BYTES_MAX {
        causes.push(Cause::too_long(
            "metadata.annotations",
            ANNOTATIONS_BYTES_MAX,
        ));
    }
    for (index, finalizer) in meta["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        if !finalizer.as_str().is_some_and(is_qualified_name) {
            causes.push(Cause::invalid(
                format!("metadata.finalizers[{index}]"),
                finalizer,
                QUALIFIED_MESSAGE,
            ));
        }
    }
}

fn name(kind: KindRef, meta: &Value, causes: &mut Vec<Cause>) {
    let name = super::text(meta, "name");
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
        return;
    }
    if matches!(kind.group, kind::RBAC | "certificates.k8s.io") {
        for problem in path_segment(name) {
            causes.push(Cause::invalid("metadata.name", &json!(name), problem));
        }
        return;
    }
    if kind.kind == "IPAddress" {
        super::rules::ip(name, "metadata.name".to_owned(), causes);
        return;
    }
    let (valid, message) = match (kind.group, kind.kind) {
        ("", "Namespace") => (is_dns_label(name), LABEL_MESSAGE),
        ("", "Service") => (is_dns_1035(name), DNS_1035_MESSAGE),
        _ => (is_dns_subdomain(name), SUBDOMAIN_MESSAGE),
    };
    if !valid {
        causes.push(Cause::invalid("metadata.name", &json!(name), message));
    }
}

/// What keeps a name from being a segment of a path.
pub(super) fn path_segment(name: &str) -> Vec<&'static str> {
    let problems = [
        (name == ".", "may not be '.'"),
        (name == "..", "may not be '..'"),
        (name.contains('/'), "may not contain '/'"),
        (name.contains('%'), "may not contain '%'"),
    ];
    problems
        .into_iter()
        .filter_map(|(wrong, problem)| wrong.then_some(problem))
        .collect()
}

pub(super) fn labels(labels: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        if !is_qualified_name(key) {
            causes.push(Cause::invalid(path, &json!(key), QUALIFIED_MESSAGE));
        }
        if !value.as_str().is_some_and(is_label_value) {
            causes.push(Cause::invalid(path, value, VALUE_MESSAGE));
        }
    }
}

pub(super) fn unchanged(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        if new["metadata"][field] != old["metadata"][field] {
            causes.push(Cause::invalid(
                format!("metadata.{field}"),
                &new["metadata"][field],
                "field is immutable",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(
            is_dns_label("a-1") && !is_dns_label("A") && !is_dns_label("-a") && !is_dns_label("")
        );
        assert!(
            is_dns_subdomain("a.b-c.1") && !is_dns_subdomain("a..b") && !is_dns_subdomain("a_b")
        );
        assert!(
            is_qualified_name("app.kubernetes.io/name")
                && !is_qualified_name("/a")
                && !is_qualified_name("a/b/c")
        );
        assert!(
            is_label_value("")
                && is_label_value("A_b.c-1")
                && !is_label_value("a b")
                && !is_label_value("-a")
        );
        assert!(!is_dns_label(&"a".repeat(64)));
    }
}
