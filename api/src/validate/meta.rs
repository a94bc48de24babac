//! Names, labels and annotations.

use super::text;
use crate::{KindRef, kind, status::Cause};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};

pub(crate) const LABEL_MESSAGE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
pub(crate) const SUBDOMAIN_MESSAGE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
pub(crate) const DNS_1035_MESSAGE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
pub(super) const QUALIFIED_MESSAGE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
pub(super) const VALUE_MESSAGE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["foregroundDeletion", "kubernetes", "orphan"];
/// How often the owners are told that only one of them controls: each time is all of them again.
const CONTROLLERS_TOLD_MAX: usize = 8;
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

/// What is wrong with an object's metadata; of a few things what an older version took is let be.
pub(super) fn validate(
    kind: KindRef,
    object: &Value,
    old: Option<&Value>,
    causes: &mut Vec<Cause>,
) {
    let meta = &object["metadata"];
    let before = old.map_or(&Value::Null, |old| &old["metadata"]);
    if meta["generateName"] != before["generateName"] {
        base(kind, text(meta, "generateName"), causes);
    }
    // Those of before this rule can be written until they are gone.
    if old.is_none() || kind != kind::STATEFUL_SET {
        name(kind, meta, causes);
    }
    labels(&meta["labels"], "metadata.labels", causes);
    annotations(&meta["annotations"], "metadata.annotations", causes);
    owners(&meta["ownerReferences"], causes);
    finalizers(&meta["finalizers"], causes);
    if has_standard_finalizers(kind) {
        standard_finalizers(&meta["finalizers"], &before["finalizers"], causes);
    }
}

/// Keys as those of labels, in letters of any size.
pub(super) fn annotations(annotations: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        size += key.len() + value.as_str().unwrap_or_default().len();
        qualified_name(&key.to_lowercase(), &json!(key), path, causes);
    }
    if size > ANNOTATIONS_BYTES_MAX {
        causes.push(Cause::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
}

fn finalizers(finalizers: &Value, causes: &mut Vec<Cause>) {
    let path = "metadata.finalizers";
    let list = finalizers.as_array().map_or(&[][..], Vec::as_slice);
    for finalizer in list {
        let name = finalizer.as_str().unwrap_or_default();
        qualified_name(name, finalizer, path, causes);
    }
    let has = |name: &str| list.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        causes.push(Cause::invalid(path, finalizers, detail));
    }
}

/// Whether finalizers without a domain have to be known ones. Upstream does not ask it where a kind's own validation
/// leaves metadata to what all kinds share.
fn has_standard_finalizers(kind: KindRef) -> bool {
    !kind.is_custom()
        && kind != kind::CUSTOM_RESOURCE_DEFINITION
        && !matches!(kind.kind, "Event" | "Lease" | "PodDisruptionBudget")
}

/// Source: k8s.io/kubernetes `pkg/apis/core/validation`, `validateKubeFinalizerName`.
fn standard_finalizers(finalizers: &Value, before: &Value, causes: &mut Vec<Cause>) {
    for (index, finalizer) in new_elements(finalizers, before) {
        let path = format!("metadata.finalizers[{index}]");
        standard_finalizer(finalizer, path, causes);
    }
}

/// The elements that were not there before, and their places.
fn new_elements<'a>(
    list: &'a Value,
    before: &'a Value,
) -> impl Iterator<Item = (usize, &'a Value)> {
    let elements = |list: &'a Value| list.as_array().into_iter().flatten();
    let before: HashSet<&Value> = elements(before).collect();
    elements(list)
        .enumerate()
        .filter(move |(_, element)| !before.contains(element))
}

fn standard_finalizer(finalizer: &Value, path: String, causes: &mut Vec<Cause>) {
    let name = finalizer.as_str().unwrap_or_default();
    if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        causes.push(Cause::invalid(path, finalizer, detail));
    }
}

/// What holds a namespace itself. Of a new one upstream does not say which it is.
pub(super) fn namespace_finalizers(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let before = old.map_or(&Value::Null, |old| &old["spec"]["finalizers"]);
    for (index, finalizer) in new_elements(&new["spec"]["finalizers"], before) {
        let path = match old {
            None => "spec.finalizers".to_owned(),
            Some(_) => format!("spec.finalizers[{index}]"),
        };
        let name = finalizer.as_str().unwrap_or_default();
        qualified_name(name, finalizer, &path, causes);
        standard_finalizer(finalizer, path, causes);
    }
}

/// Source: k8s.io/apimachinery `pkg/api/validation`, `ValidateOwnerReferences`.
fn owners(owners: &Value, causes: &mut Vec<Cause>) {
    let path = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    let mut told = 0;
    for owner in owners.as_array().into_iter().flatten() {
        let api_version = text(owner, "apiVersion");
        let version = api_version.rsplit_once('/');
        if version
            .map_or(api_version, |(_, version)| version)
            .is_empty()
        {
            let detail = "version must not be empty";
            causes.push(Cause::invalid(
                format!("{path}.apiVersion"),
                &json!(api_version),
                detail,
            ));
        }
        for field in ["kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                let path = format!("{path}.{field}");
                causes.push(Cause::invalid(path, &json!(""), "must not be empty"));
            }
        }
        if (api_version, text(owner, "kind")) == ("v1", "Event") {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            causes.push(Cause::invalid(path, owner, detail));
        }
        if owner["controller"] != true {
            continue;
        }
        let name = format!("{}/{}", text(owner, "kind"), text(owner, "name"));
        match &controller {
            Some(_) if told == CONTROLLERS_TOLD_MAX => {}
            Some(first) => {
                told += 1;
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                causes.push(Cause::invalid(path, owners, &detail));
            }
            None => controller = Some(name),
        }
    }
}

/// What is wrong with a qualified name, in upstream's parts.
#[must_use]
pub fn qualified_name_problems(key: &str) -> Vec<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((_, rest)) if rest.contains('/') => {
            return vec!["a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')".to_owned()];
        }
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let mut problems = Vec::new();
    match prefix {
        Some("") => problems.push("prefix part must be non-empty".to_owned()),
        Some(prefix) if !is_dns_subdomain(prefix) => {
            problems.push(format!("prefix part {SUBDOMAIN_MESSAGE}"));
        }
        _ => {}
    }
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        problems.push("name part must be no more than 63 bytes".to_owned());
    }
    if !name.get(..name.len().min(63)).is_some_and(is_name_part) {
        problems.push(QUALIFIED_MESSAGE.to_owned());
    }
    problems
}

/// What is wrong with a label's value, in upstream's parts.
#[must_use]
pub fn label_value_problems(value: &str) -> Vec<&'static str> {
    let mut problems = Vec::new();
    if value.len() > 63 {
        problems.push("must be no more than 63 bytes");
    }
    if !value.get(..value.len().min(63)).is_some_and(is_label_value) {
        problems.push(VALUE_MESSAGE);
    }
    problems
}

/// `value` is how the name was written.
pub(super) fn qualified_name(key: &str, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let problems = qualified_name_problems(key);
    causes.extend(problems.iter().map(|why| Cause::invalid(path, value, why)));
}

fn name(kind: KindRef, meta: &Value, causes: &mut Vec<Cause>) {
    let name = text(meta, "name");
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
        return;
    }
    if is_path_segment(kind) {
        for problem in path_segment(name) {
            causes.push(Cause::invalid("metadata.name", &json!(name), problem));
        }
        return;
    }
    if kind.kind == "IPAddress" {
        super::rules::ip(name, "metadata.name".to_owned(), causes);
        return;
    }
    if let Some(message) = misnamed(kind, name) {
        causes.push(Cause::invalid("metadata.name", &json!(name), message));
    }
}

/// What a name is made from: a name with something behind it, so that it may end in a dash.
fn base(kind: KindRef, base: &str, causes: &mut Vec<Cause>) {
    const FIELD: &str = "metadata.generateName";
    if base.is_empty() {
        return;
    }
    if is_path_segment(kind) {
        let problems = path_segment(base).into_iter();
        for problem in problems.filter(|problem| problem.starts_with("may not contain")) {
            causes.push(Cause::invalid(FIELD, &json!(base), problem));
        }
        return;
    }
    if kind.kind == "IPAddress" {
        super::rules::ip(base, FIELD.to_owned(), causes);
        return;
    }
    // As upstream: the dash goes, and the letter before it counts as a good one.
    let masked = match base.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => {
            let end = rest.char_indices().next_back().map_or(0, |(at, _)| at);
            format!("{}a", rest.get(..end).unwrap_or_default())
        }
        _ => base.to_owned(),
    };
    if let Some(message) = misnamed(kind, &masked) {
        causes.push(Cause::invalid(FIELD, &json!(base), message));
    }
}

/// Kinds whose names may be anything that fits into a path.
fn is_path_segment(kind: KindRef) -> bool {
    let is_event = (kind.group, kind.kind) == ("", "Event");
    is_event || matches!(kind.group, kind::RBAC | "certificates.k8s.io")
}

/// What is said of a name that is none of the kind's.
fn misnamed(kind: KindRef, name: &str) -> Option<&'static str> {
    let (valid, message) = match (kind.group, kind.kind) {
        // The names of a StatefulSet's pods are made from its own.
        ("", "Namespace") | ("apps", "StatefulSet") => (is_dns_label(name), LABEL_MESSAGE),
        ("", "Service") => (is_dns_1035(name), DNS_1035_MESSAGE),
        _ => (is_dns_subdomain(name), SUBDOMAIN_MESSAGE),
    };
    (!valid).then_some(message)
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
        qualified_name(key, &json!(key), path, causes);
        let problems = label_value_problems(value.as_str().unwrap_or_default());
        causes.extend(problems.iter().map(|why| Cause::invalid(path, value, why)));
    }
}

pub(super) fn unchanged(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    new_finalizers(&new["metadata"], &old["metadata"], causes);
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

/// An object that goes gets no more to wait for.
fn new_finalizers(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let names = |meta: &Value| -> BTreeSet<String> {
        let all = meta["finalizers"].as_array().into_iter().flatten();
        all.filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect()
    };
    let added: Vec<String> = names(new)
        .difference(&names(old))
        .map(|name| format!("{name:?}"))
        .collect();
    if !old["deletionTimestamp"].is_null() && !added.is_empty() {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        );
        causes.push(Cause::forbidden("metadata.finalizers", &detail));
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
