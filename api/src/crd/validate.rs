//! A CustomResourceDefinition's own validation, in upstream's words.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/apis/apiextensions/validation`. What an update does not
//! touch of a version is not looked at again. Common metadata is not looked at here.

mod defaults;
mod rules;
mod schema;
mod structure;
mod version;

use super::{
    cause::{invalid, too_many},
    names,
    path::Path,
    pattern::Patterns,
    url::Url,
};
use crate::{status::Cause, validate::is_dns_subdomain};
use serde_json::{Value, json};

/// Versions of one definition; upstream has no limit but that of a request.
pub const VERSIONS_MAX: usize = 100;

const APPROVED: &str = "api-approved.kubernetes.io";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// What is wrong with a new definition, after its defaults.
#[must_use]
pub fn validate_create(crd: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    name(crd, &mut causes);
    spec(crd, None, &mut causes);
    status(crd, &mut causes);
    stored_versions(crd, &mut causes);
    approval(crd, None, &mut causes);
    preserve_unknown_fields(crd, None, &mut causes);
    causes
}

/// What is wrong with `new` as the successor of `old`, after its defaults.
#[must_use]
pub fn validate_update(new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    spec(new, Some(old), &mut causes);
    let established = super::definition::is_condition_true(old, "Established");
    let frozen: &[&[&str]] = if established {
        &[
            &["scope"],
            &["names", "kind"],
            &["group"],
            &["names", "plural"],
        ]
    } else {
        &[&["group"], &["names", "plural"]]
    };
    for path in frozen {
        let at = |crd: &Value| {
            path.iter()
                .fold(crd["spec"].clone(), |v, name| v[*name].clone())
        };
        if at(new) != at(old) {
            let field = format!("spec.{}", path.join("."));
            causes.push(Cause::invalid(field, &at(new), "field is immutable"));
        }
    }
    status(new, &mut causes);
    stored_versions(new, &mut causes);
    approval(new, Some(old), &mut causes);
    preserve_unknown_fields(new, Some(old), &mut causes);
    causes
}

/// What is wrong with a status that is written through `/status`.
#[must_use]
pub fn validate_status_update(new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    status(new, &mut causes);
    causes
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn name(crd: &Value, causes: &mut Vec<Cause>) {
    let name = text(&crd["metadata"], "name");
    let spec = &crd["spec"];
    let wanted = format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group"));
    if !name.is_empty() && name != wanted {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &json!(name), detail));
    }
}

fn spec(crd: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let (spec, path) = (&crd["spec"], Path::at("spec"));
    group(text(spec, "group"), path.field("group"), causes);
    match text(spec, "scope") {
        "" => causes.push(Cause::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => {
            let scopes = &["Cluster", "Namespaced"];
            causes.push(Cause::unsupported("spec.scope", &json!(other), scopes));
        }
    }
    versions(crd, old, causes);
    let names_path = path.field("names");
    for required in ["plural", "singular", "kind", "listKind"] {
        if text(&spec["names"], required).is_empty() {
            causes.push(Cause::required(names_path.field(required).to_field(), ""));
        }
    }
    names::validate(&spec["names"], names_path, causes);
    conversion(spec, causes);
}

fn group(group: &str, path: Path<'_>, causes: &mut Vec<Cause>) {
    if group.is_empty() {
        causes.push(Cause::required(path.to_field(), ""));
    } else if !is_dns_subdomain(group) {
        causes.push(invalid(path, &json!(group), SUBDOMAIN));
    } else if !group.contains('.') {
        let detail = "should be a domain with at least one dot";
        causes.push(invalid(path, &json!(group), detail));
    }
}

fn versions(crd: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &crd["spec"];
    let versions = list(spec, "versions");
    let spec_path = Path::at("spec");
    let path = spec_path.field("versions");
    if versions.len() > VERSIONS_MAX {
        let max = i64::try_from(VERSIONS_MAX).unwrap_or(i64::MAX);
        causes.push(too_many(path, versions.len(), max));
        return;
    }
    let mut patterns = Patterns::default();
    for (index, version) in versions.iter().enumerate() {
        let path = path.index(index);
        if version["schema"]["openAPIV3Schema"].is_null() {
            let schema = path.field("schema");
            causes.push(Cause::required(
                schema.field("openAPIV3Schema").to_field(),
                "",
            ));
        }
        if let Some(detail) = names::dns_1035(text(version, "name")) {
            causes.push(invalid(path.field("name"), &version["name"], &detail));
        }
        let same = |old: &&Value| old["name"] == version["name"];
        let before = old.and_then(|old| list(&old["spec"], "versions").iter().find(same));
        version::validate(version, before, path, (causes, &mut patterns));
    }
    let mut seen: Vec<&str> = versions
        .iter()
        .map(|version| text(version, "name"))
        .collect();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        let detail = "must contain unique version names";
        causes.push(invalid(path, &spec["versions"], detail));
    }
    let stored = versions
        .iter()
        .filter(|version| version["storage"] == json!(true));
    if stored.count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        causes.push(invalid(path, &spec["versions"], detail));
    }
}

/// Only `None` for now: objects of all versions have one form.
fn conversion(spec: &Value, causes: &mut Vec<Cause>) {
    let conversion = &spec["conversion"];
    if conversion.is_null() {
        return;
    }
    let path = Path::at("spec.conversion");
    let strategy = text(conversion, "strategy");
    match strategy {
        "" => causes.push(Cause::required(path.field("strategy").to_field(), "")),
        "None" => {
            if !conversion["webhook"].is_null() {
                let detail = "should not be set when strategy is not set to Webhook";
                causes.push(Cause::forbidden(path.field("webhook").to_field(), detail));
            }
        }
        "Webhook" => {
            let detail = "conversion by webhook is not available yet; only None is";
            causes.push(Cause::forbidden(path.field("strategy").to_field(), detail));
        }
        other => {
            let strategies = &["None", "Webhook"];
            let field = path.field("strategy").to_field();
            causes.push(Cause::unsupported(field, &json!(other), strategies));
        }
    }
}

fn status(crd: &Value, causes: &mut Vec<Cause>) {
    let names = &crd["status"]["acceptedNames"];
    names::validate(names, Path::at("status.acceptedNames"), causes);
}

fn stored_versions(crd: &Value, causes: &mut Vec<Cause>) {
    let path = Path::at("status.storedVersions");
    let stored = list(&crd["status"], "storedVersions");
    if stored.is_empty() {
        let detail = "must have at least one stored version";
        causes.push(invalid(path, &json!([]), detail));
        return;
    }
    let versions = list(&crd["spec"], "versions");
    for version in versions {
        if version["storage"] == json!(true) && !stored.contains(&version["name"]) {
            let detail = format!("must have the storage version {}", text(version, "name"));
            causes.push(invalid(path, &json!(stored), &detail));
        }
    }
    for (index, name) in stored.iter().enumerate() {
        if versions.iter().all(|version| version["name"] != *name) {
            let shown = name.as_str().unwrap_or_default();
            let detail = format!(
                "missing from spec.versions; {shown} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {shown} and removes {shown} from status.storedVersions"
            );
            causes.push(invalid(path.index(index), name, &detail));
        }
    }
}

#[derive(PartialEq, Eq)]
enum Approval {
    Missing,
    Given,
    Bypassed,
    Invalid,
}

fn approval_state(crd: &Value) -> Approval {
    let annotation = text(&crd["metadata"]["annotations"], APPROVED);
    if annotation.is_empty() {
        return Approval::Missing;
    }
    if annotation.starts_with("unapproved") {
        return Approval::Bypassed;
    }
    match Url::parse(annotation) {
        Some(url) if !url.host.is_empty() && !url.scheme.is_empty() => Approval::Given,
        _ => Approval::Invalid,
    }
}

/// Groups of the community need a word of approval.
fn approval(crd: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let group = text(&crd["spec"], "group");
    let protected = ["k8s.io", "kubernetes.io"].iter().any(|domain| {
        let prefix = group.strip_suffix(domain);
        prefix.is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
    });
    let state = approval_state(crd);
    if !protected || old.is_some_and(|old| approval_state(old) == state) {
        return;
    }
    let field = format!("metadata.annotations[{APPROVED}]");
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    let must = format!("protected groups must have approval annotation {APPROVED:?}");
    match state {
        Approval::Given | Approval::Bypassed => {}
        Approval::Missing => causes.push(Cause::required(field, &format!("{must}, {see}"))),
        Approval::Invalid => {
            let value = &crd["metadata"]["annotations"][APPROVED];
            let detail =
                format!("{must} with either a URL or a reason starting with \"unapproved\", {see}");
            causes.push(Cause::invalid(field, value, &detail));
        }
    }
}

fn preserve_unknown_fields(crd: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let set = |crd: &Value| crd["spec"]["preserveUnknownFields"] == json!(true);
    if set(crd) && !old.is_some_and(set) {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        causes.push(Cause::invalid(
            "spec.preserveUnknownFields",
            &json!(true),
            detail,
        ));
    }
}
