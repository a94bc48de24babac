//! Volumes whose files are made of other objects: ConfigMaps, Secrets, the pod itself.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `validateProjectionSources` and what it calls.

use crate::{
    status::Cause,
    validate::{elements, meta, resource_field, rules, text},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MODE_MAX: i64 = 0o777;
const TOKEN_SECS_MIN: i64 = 600;
const TOKEN_SECS_MAX: i64 = 1 << 32;
/// Fields of a pod that a file may show.
const FILE_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
/// Fields of a pod that can be named, but not in a file.
const OTHER_FIELDS: [&str; 9] = [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

/// A Secret or a ConfigMap, by the field that names it.
pub(super) fn keys(source: &Value, name: &str, path: &str, causes: &mut Vec<Cause>) {
    rules::required(source, name, path, causes);
    mode(source, "defaultMode", path, causes);
    for (path, item) in elements(source, "items", path) {
        key_to_path(item, &path, causes);
    }
}

pub(super) fn downward(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    mode(source, "defaultMode", path, causes);
    // Upstream says of no file which one it is.
    for (_, file) in elements(source, "items", path) {
        downward_file(file, path, causes);
    }
}

pub(super) fn projected(volume: &Value, path: &str, causes: &mut Vec<Cause>) {
    mode(volume, "defaultMode", path, causes);
    let mut paths = BTreeSet::new();
    for (at, source) in elements(volume, "sources", path) {
        for kind in ["secret", "configMap"] {
            named(
                &source[kind],
                (&format!("{at}.{kind}"), path),
                &mut paths,
                causes,
            );
        }
        let own = format!("{at}.downwardAPI");
        for (_, file) in elements(&source["downwardAPI"], "items", &own) {
            downward_file(file, &own, causes);
            let file = text(file, "path");
            taken(file, (file, path), &mut paths, causes);
        }
        let token = &source["serviceAccountToken"];
        if !token.is_null() {
            account_token(token, &format!("{at}.serviceAccountToken"), path, causes);
        }
        let bundle = &source["clusterTrustBundle"];
        if !bundle.is_null() {
            trust_bundle(bundle, &format!("{at}.clusterTrustBundle"), causes);
            let file = text(bundle, "path");
            taken(file, (file, path), &mut paths, causes);
        }
        let kinds = [
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ];
        if kinds
            .iter()
            .filter(|kind| !source[**kind].is_null())
            .count()
            > 1
        {
            let detail = "may not specify more than 1 volume type per source";
            causes.push(Cause::forbidden(at, detail));
        }
    }
}

/// A Secret or a ConfigMap among others.
fn named<'a>(
    source: &'a Value,
    (own, whole): (&str, &str),
    paths: &mut BTreeSet<&'a str>,
    causes: &mut Vec<Cause>,
) {
    if source.is_null() {
        return;
    }
    rules::required(source, "name", own, causes);
    for (at, item) in elements(source, "items", own) {
        key_to_path(item, &at, causes);
        let whose = (text(source, "name"), whole);
        taken(text(item, "path"), whose, paths, causes);
    }
}

/// No two files have one path.
fn taken<'a>(
    file: &'a str,
    (value, path): (&str, &str),
    paths: &mut BTreeSet<&'a str>,
    causes: &mut Vec<Cause>,
) {
    if !file.is_empty() && !paths.insert(file) {
        let detail = "conflicting duplicate paths";
        causes.push(Cause::invalid(path, &json!(value), detail));
    }
}

fn account_token(token: &Value, own: &str, path: &str, causes: &mut Vec<Cause>) {
    let (secs, at) = (
        &token["expirationSeconds"],
        format!("{own}.expirationSeconds"),
    );
    match secs.as_i64() {
        Some(number) if number < TOKEN_SECS_MIN => {
            let detail = "may not specify a duration less than 10 minutes";
            causes.push(Cause::invalid(at, secs, detail));
        }
        Some(number) if number > TOKEN_SECS_MAX => {
            let detail = "may not specify a duration larger than 2^32 seconds";
            causes.push(Cause::invalid(at, secs, detail));
        }
        _ => {}
    }
    let (file, path) = (text(token, "path"), format!("{path}.path"));
    if file.is_empty() {
        causes.push(Cause::required(path, ""));
    } else {
        rules::not_reserved(file, &path, causes);
    }
}

fn trust_bundle(bundle: &Value, path: &str, causes: &mut Vec<Cause>) {
    match (bundle["name"].as_str(), bundle["signerName"].as_str()) {
        (Some(_), Some(_)) => {
            let detail = "only one of name and signerName may be used";
            causes.push(Cause::invalid(path, bundle, detail));
        }
        (Some(""), None) => causes.push(Cause::required(
            format!("{path}.name"),
            "must be a valid object name",
        )),
        (None, Some("")) => causes.push(Cause::required(
            format!("{path}.signerName"),
            "must be a valid signer name",
        )),
        (None, None) => causes.push(Cause::required(
            path,
            "either name or signerName must be specified",
        )),
        _ => {}
    }
    rules::required(bundle, "path", path, causes);
    rules::not_reserved(text(bundle, "path"), &format!("{path}.path"), causes);
}

fn mode(of: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) {
    let value = &of[field];
    if value
        .as_i64()
        .is_some_and(|mode| !(0..=MODE_MAX).contains(&mode))
    {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        causes.push(Cause::invalid(format!("{path}.{field}"), value, detail));
    }
}

fn key_to_path(item: &Value, path: &str, causes: &mut Vec<Cause>) {
    rules::required(item, "key", path, causes);
    rules::required(item, "path", path, causes);
    rules::not_reserved(text(item, "path"), &format!("{path}.path"), causes);
    mode(item, "mode", path, causes);
}

fn downward_file(file: &Value, path: &str, causes: &mut Vec<Cause>) {
    rules::required(file, "path", path, causes);
    rules::not_reserved(text(file, "path"), &format!("{path}.path"), causes);
    let (field, resource) = (&file["fieldRef"], &file["resourceFieldRef"]);
    if !field.is_null() {
        field_of_pod(field, &format!("{path}.fieldRef"), causes);
        if !resource.is_null() {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            causes.push(Cause::invalid(path, &json!("resource"), detail));
        }
    } else if resource.is_null() {
        let detail = "one of fieldRef and resourceFieldRef is required";
        causes.push(Cause::required(path, detail));
    } else {
        resource_of_container(resource, &format!("{path}.resourceFieldRef"), causes);
    }
    mode(file, "mode", path, causes);
}

fn field_of_pod(field: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (version, name) = (text(field, "apiVersion"), text(field, "fieldPath"));
    let at = format!("{path}.fieldPath");
    if name.is_empty() {
        causes.push(Cause::required(at, ""));
        return;
    }
    let mut unknown = |why: &str| {
        let detail = format!("error converting fieldPath: {why}");
        causes.push(Cause::invalid(at.clone(), &json!(name), &detail));
    };
    if !matches!(version, "" | "v1") {
        unknown(&format!("unsupported pod version: {version}"));
        return;
    }
    let subscript = name
        .strip_suffix("']")
        .and_then(|name| name.split_once("['"));
    match subscript {
        Some(("metadata.annotations", key)) => {
            meta::qualified_name(
                &key.to_lowercase(),
                &json!(key.to_lowercase()),
                path,
                causes,
            );
        }
        Some(("metadata.labels", key)) => meta::qualified_name(key, &json!(key), path, causes),
        Some(_) => unknown(&format!("field label does not support subscript: {name}")),
        None if FILE_FIELDS.contains(&name) => {}
        None if OTHER_FIELDS.contains(&name) || name == "spec.host" => {
            let name = if name == "spec.host" {
                "spec.nodeName"
            } else {
                name
            };
            causes.push(Cause::unsupported(at, &json!(name), &FILE_FIELDS));
        }
        None => unknown(&format!("field label not supported: {name}")),
    }
}

fn resource_of_container(field: &Value, path: &str, causes: &mut Vec<Cause>) {
    if rules::required(field, "containerName", path, causes) {
        resource_field::name(field, path, causes);
    }
    resource_field::divisor(field, path, causes);
}
