//! Environment variables and where their values come from.

use crate::{
    status::Cause,
    validate::{elements, meta, resource_field, rules, text},
};
use serde_json::{Value, json};

const NAME: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";
/// Fields of a pod that a variable may have.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that there are, but only whole or in volumes.
const OTHER_FIELDS: [&str; 6] = [
    "metadata.annotations",
    "metadata.labels",
    "spec.host",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
];

type Check = fn(&Value, &str, &mut Vec<Cause>);

const SOURCES: [(&str, Check); 5] = [
    ("fieldRef", field),
    ("resourceFieldRef", resource),
    ("configMapKeyRef", key),
    ("secretKeyRef", key),
    ("fileKeyRef", file_key),
];

pub(super) fn variables(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (path, variable) in elements(container, "env", path) {
        if rules::required(variable, "name", &path, causes) {
            name(text(variable, "name"), format!("{path}.name"), causes);
        }
        value_from(variable, &format!("{path}.valueFrom"), causes);
    }
}

fn name(name: &str, path: String, causes: &mut Vec<Cause>) {
    let printable = |b: u8| (b' '..=b'~').contains(&b) && b != b'=';
    if !name.bytes().all(printable) {
        causes.push(Cause::invalid(path, &json!(name), NAME));
    }
}

/// One source, and one only.
fn value_from(variable: &Value, path: &str, causes: &mut Vec<Cause>) {
    let from = &variable["valueFrom"];
    if from.is_null() {
        return;
    }
    let mut count = 0;
    for (source, check) in SOURCES {
        if !from[source].is_null() {
            count += 1;
            check(&from[source], &format!("{path}.{source}"), causes);
        }
    }
    let why = match count {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if !text(variable, "value").is_empty() => {
            "may not be specified when `value` is not empty"
        }
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    causes.push(Cause::invalid(path, &json!(""), why));
}

/// A path as `metadata.labels['app']`: what it is of, and the key.
fn subscripted(path: &str) -> Option<(&str, &str)> {
    let (path, key) = path.strip_suffix("']")?.split_once("['")?;
    (!path.is_empty()).then_some((path, key))
}

fn field(reference: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !rules::required(reference, "fieldPath", path, causes) {
        return;
    }
    let (asked, at) = (text(reference, "fieldPath"), format!("{path}.fieldPath"));
    let mut no_such = |why: &str| {
        let detail = format!("error converting fieldPath: {why}");
        causes.push(Cause::invalid(at.clone(), &json!(asked), &detail));
    };
    let version = text(reference, "apiVersion");
    if !matches!(version, "" | "v1") {
        no_such(&format!("unsupported pod version: {version}"));
        return;
    }
    match subscripted(asked) {
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            meta::qualified_name(&key, &json!(key), path, causes);
        }
        Some(("metadata.labels", key)) => meta::qualified_name(key, &json!(key), path, causes),
        Some(_) => no_such(&format!("field label does not support subscript: {asked}")),
        None if FIELDS.contains(&asked) || asked == "spec.host" => {}
        None if OTHER_FIELDS.contains(&asked) => {
            causes.push(Cause::unsupported(at, &json!(asked), &FIELDS));
        }
        None => no_such(&format!("field label not supported: {asked}")),
    }
}

fn resource(reference: &Value, path: &str, causes: &mut Vec<Cause>) {
    resource_field::name(reference, path, causes);
    resource_field::divisor(reference, path, causes);
}

/// A key of a ConfigMap or a Secret.
fn key(reference: &Value, path: &str, causes: &mut Vec<Cause>) {
    let name = text(reference, "name");
    rules::subdomain(name, format!("{path}.name"), causes);
    if rules::required(reference, "key", path, causes) {
        rules::config_key(text(reference, "key"), &format!("{path}.key"), causes);
    }
}

/// A variable in a file of a volume.
fn file_key(reference: &Value, path: &str, causes: &mut Vec<Cause>) {
    if rules::required(reference, "key", path, causes) {
        name(text(reference, "key"), format!("{path}.key"), causes);
    }
    if rules::required(reference, "volumeName", path, causes) {
        let volume = text(reference, "volumeName");
        rules::label(volume, format!("{path}.volumeName"), causes);
    }
    if rules::required(reference, "path", path, causes) {
        rules::descending(text(reference, "path"), &format!("{path}.path"), causes);
    }
}

/// Whole ConfigMaps and Secrets as variables.
pub(super) fn sources(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let list = format!("{path}.envFrom");
    for (path, from) in elements(container, "envFrom", path) {
        name(text(from, "prefix"), format!("{path}.prefix"), causes);
        let mut count = 0;
        for source in ["configMapRef", "secretRef"] {
            let (source, path) = (&from[source], format!("{path}.{source}"));
            if source.is_null() {
                continue;
            }
            count += 1;
            if rules::required(source, "name", &path, causes) {
                source_name(text(source, "name"), format!("{path}.name"), causes);
            }
        }
        let why = match count {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        causes.push(Cause::invalid(list.clone(), &json!(""), why));
    }
}

/// Upstream takes it for the beginning of a name, which may end with a hyphen.
fn source_name(name: &str, path: String, causes: &mut Vec<Cause>) {
    let begun = name.strip_suffix('-').filter(|begun| !begun.is_empty());
    let whole = begun.map_or_else(|| name.to_owned(), |begun| format!("{begun}a"));
    if !crate::validate::is_dns_subdomain(&whole) {
        causes.push(Cause::invalid(path, &json!(name), meta::SUBDOMAIN_MESSAGE));
    }
}
