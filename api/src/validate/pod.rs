//! Pod specs.

mod change;
mod scheduling;
mod security;
mod spec;

use super::{elements, rules, text, volume};
use crate::{quantity::Quantity, status::Cause};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A pod itself; `old` is what it was.
pub(super) fn pod(pod: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    spec(&pod["spec"], "spec", causes);
    spec::only_in_pods(pod, old.is_none(), causes);
}

/// What pods are made from.
pub(super) fn template(template: &Value, path: &str, causes: &mut Vec<Cause>) {
    spec(template, path, causes);
    spec::only_in_templates(template, path, causes);
}

/// What may not change of a pod.
pub(super) fn unchanged(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    change::check(new, old, causes);
}

fn spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let containers = elements(spec, "containers", path);
    if containers.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let volumes = volume::list(spec, path, causes);
    let mut names = BTreeSet::new();
    for (path, container) in elements(spec, "initContainers", path)
        .into_iter()
        .chain(containers)
    {
        validate_container(container, &path, &volumes, causes);
        let name = text(container, "name");
        if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
        }
    }
    spec::check(spec, path, causes);
}

/// One source, and one only.
fn value_from(from: &Value, path: &str, causes: &mut Vec<Cause>) {
    let sources = from.as_object().map_or(0, |from| {
        from.values().filter(|source| !source.is_null()).count()
    });
    let why = match sources {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    causes.push(Cause::invalid(path, &json!(""), why));
}

fn validate_container(
    container: &Value,
    path: &str,
    volumes: &BTreeSet<&str>,
    causes: &mut Vec<Cause>,
) {
    let name = text(container, "name");
    if name.is_empty() {
        causes.push(Cause::required(format!("{path}.name"), ""));
    } else {
        rules::label(name, format!("{path}.name"), causes);
    }
    let image = text(container, "image");
    if image.is_empty() {
        causes.push(Cause::required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        causes.push(Cause::invalid(
            format!("{path}.image"),
            &json!(image),
            "must not have leading or trailing whitespace",
        ));
    }
    rules::one_of(
        container,
        "imagePullPolicy",
        &["Always", "IfNotPresent", "Never"],
        path,
        causes,
    );
    for (path, port) in elements(container, "ports", path) {
        let name = text(port, "name");
        if !name.is_empty() {
            rules::port_name(name, &format!("{path}.name"), causes);
        }
        let at = format!("{path}.containerPort");
        rules::required_port(&port["containerPort"], at, causes);
        rules::one_of(port, "protocol", &["SCTP", "TCP", "UDP"], &path, causes);
    }
    for (path, env) in elements(container, "env", path) {
        let name = text(env, "name");
        if name.is_empty() {
            causes.push(Cause::required(format!("{path}.name"), ""));
        } else if name.contains(['=', '\0']) {
            causes.push(Cause::invalid(format!("{path}.name"), &json!(name), "a valid environment variable name must consist only of printable ASCII characters other than '='"));
        }
        let from = &env["valueFrom"];
        if !from.is_null() {
            value_from(from, &format!("{path}.valueFrom"), causes);
        }
        if !text(env, "value").is_empty()
            && env.get("valueFrom").is_some_and(|from| !from.is_null())
        {
            causes.push(Cause::invalid(
                format!("{path}.valueFrom"),
                &json!(""),
                "may not be specified when `value` is not empty",
            ));
        }
    }
    mounts(container, path, volumes, causes);
    resources(
        &container["resources"],
        &format!("{path}.resources"),
        causes,
    );
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        validate_probe(&container[probe], &format!("{path}.{probe}"), causes);
    }
}

fn mounts(container: &Value, path: &str, volumes: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    let mut paths = BTreeSet::new();
    for (path, mount) in elements(container, "volumeMounts", path) {
        let name = text(mount, "name");
        if name.is_empty() {
            causes.push(Cause::required(format!("{path}.name"), ""));
        } else if !volumes.contains(name) {
            causes.push(Cause::not_found(format!("{path}.name"), &json!(name)));
        }
        let at = text(mount, "mountPath");
        if at.is_empty() {
            causes.push(Cause::required(format!("{path}.mountPath"), ""));
        } else if !paths.insert(at) {
            causes.push(Cause::invalid(
                format!("{path}.mountPath"),
                &json!(at),
                "must be unique",
            ));
        }
        let sub_path = text(mount, "subPath");
        if sub_path.starts_with('/') {
            causes.push(Cause::invalid(
                format!("{path}.subPath"),
                &json!(sub_path),
                "must be a relative path",
            ));
        } else if sub_path.split('/').any(|part| part == "..") {
            causes.push(Cause::invalid(
                format!("{path}.subPath"),
                &json!(sub_path),
                "must not contain '..'",
            ));
        }
    }
}

fn resources(resources: &Value, path: &str, causes: &mut Vec<Cause>) {
    let quantity = |list: &str, name: &str| {
        let value = resources.get(list)?.get(name)?;
        Some(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    };
    for list in ["limits", "requests"] {
        for (name, value) in resources[list].as_object().into_iter().flatten() {
            let field = format!("{path}.{list}[{name}]");
            let written = quantity(list, name).unwrap_or_default();
            match Quantity::parse(&written) {
                Err(error) => causes.push(Cause::invalid(field, value, &error.to_string())),
                Ok(parsed) if parsed.milli_value() < 0 => {
                    causes.push(Cause::invalid(
                        field,
                        value,
                        "must be greater than or equal to 0",
                    ));
                }
                Ok(_) => {}
            }
        }
    }
    for (name, value) in resources["requests"].as_object().into_iter().flatten() {
        let pair = (quantity("requests", name), quantity("limits", name));
        let (Some(request), Some(limit)) = pair else {
            continue;
        };
        if let (Ok(request), Ok(limit)) = (Quantity::parse(&request), Quantity::parse(&limit))
            && request.milli_value() > limit.milli_value()
        {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            causes.push(Cause::invalid(format!("{path}.requests"), value, &detail));
        }
    }
}

fn validate_probe(probe: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(fields) = probe.as_object() else {
        return;
    };
    let handlers = ["httpGet", "tcpSocket", "exec", "grpc"]
        .iter()
        .filter(|name| fields.contains_key(**name))
        .count();
    match handlers {
        0 => causes.push(Cause::required(path, "must specify a handler type")),
        1 => {}
        _ => causes.push(Cause::forbidden(
            path,
            "may not specify more than 1 handler type",
        )),
    }
    for (name, min) in [
        ("initialDelaySeconds", 0),
        ("timeoutSeconds", 0),
        ("periodSeconds", 0),
        ("failureThreshold", 0),
    ] {
        if let Some(value) = probe[name].as_i64().filter(|value| *value < min) {
            causes.push(Cause::invalid(
                format!("{path}.{name}"),
                &json!(value),
                "must be greater than or equal to 0",
            ));
        }
    }
    for handler in ["httpGet", "tcpSocket"] {
        let port = &probe[handler]["port"];
        if port.is_number() {
            rules::port(port, format!("{path}.{handler}.port"), causes);
        }
    }
    if !path.ends_with("readinessProbe")
        && probe["successThreshold"]
            .as_i64()
            .is_some_and(|value| value != 1)
    {
        causes.push(Cause::invalid(
            format!("{path}.successThreshold"),
            &probe["successThreshold"],
            "must be 1",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pod: &Value) -> Vec<String> {
        let mut causes = Vec::new();
        spec(pod, "spec", &mut causes);
        causes.into_iter().map(|cause| cause.field).collect()
    }

    #[test]
    fn sizes_and_sources_are_checked() {
        let pod = |volume: Value, env: Value| {
            json!({
                "volumes": [volume],
                "containers": [{"name": "c", "image": "i:v1", "env": [env]}],
            })
        };
        let field = json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
        let volume = |limit: &str| json!({"name": "v", "emptyDir": {"sizeLimit": limit}});
        for (pod, fields) in [
            (pod(volume("1Mi"), field.clone()), vec![]),
            (
                pod(volume("x"), field.clone()),
                vec!["spec.volumes[0].emptyDir.sizeLimit"],
            ),
            (
                pod(volume("-1"), field),
                vec!["spec.volumes[0].emptyDir.sizeLimit"],
            ),
            (
                pod(volume("0"), json!({"name": "A", "valueFrom": {}})),
                vec!["spec.containers[0].env[0].valueFrom"],
            ),
        ] {
            assert_eq!(refused(&pod), fields, "{pod}");
        }
    }
}
