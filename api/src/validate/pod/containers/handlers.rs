//! Probes and lifecycle hooks: what is done, and how often.

use crate::{
    status::Cause,
    validate::{rules, text},
};
use serde_json::{Value, json};

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
/// What a probe may do, and what a hook.
const OF_PROBE: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];
const OF_HOOK: [&str; 4] = ["exec", "httpGet", "tcpSocket", "sleep"];
const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";

/// Checks the hooks and probes of a container that stays; `grace` is the seconds it has to end.
pub(super) fn all(container: &Value, grace: Option<i64>, path: &str, causes: &mut Vec<Cause>) {
    for name in ["postStart", "preStop"] {
        let hook = &container["lifecycle"][name];
        if !hook.is_null() {
            let path = format!("{path}.lifecycle.{name}");
            handler(hook, &OF_HOOK, grace, &path, causes);
        }
    }
    for name in PROBES {
        if !container[name].is_null() {
            probe(&container[name], name, grace, path, causes);
        }
    }
}

/// A container that ends before the others begin has none.
pub(super) fn none(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    for name in ["lifecycle"].iter().chain(&PROBES) {
        if !container[*name].is_null() {
            let detail = "may not be set for init containers without restartPolicy=Always";
            causes.push(Cause::forbidden(format!("{path}.{name}"), detail));
        }
    }
}

fn probe(probe: &Value, name: &str, grace: Option<i64>, path: &str, causes: &mut Vec<Cause>) {
    let path = format!("{path}.{name}");
    handler(probe, &OF_PROBE, grace, &path, causes);
    let numbers = [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ];
    rules::not_negative(probe, &numbers, &path, causes);
    let (own, field) = (
        &probe["terminationGracePeriodSeconds"],
        format!("{path}.terminationGracePeriodSeconds"),
    );
    if own.as_i64().is_some_and(|seconds| seconds <= 0) {
        causes.push(Cause::invalid(field.clone(), own, "must be greater than 0"));
    }
    let successes = &probe["successThreshold"];
    if name == "readinessProbe" {
        if !own.is_null() {
            let detail = "must not be set for readinessProbes";
            causes.push(Cause::invalid(field, own, detail));
        }
    } else if successes.as_i64().is_some_and(|number| number != 1) {
        let field = format!("{path}.successThreshold");
        causes.push(Cause::invalid(field, successes, "must be 1"));
    }
}

/// One thing to do, and one only.
fn handler(of: &Value, kinds: &[&str], grace: Option<i64>, path: &str, causes: &mut Vec<Cause>) {
    let mut found = false;
    for kind in kinds {
        let (action, path) = (&of[*kind], format!("{path}.{kind}"));
        if action.is_null() {
            continue;
        }
        if found {
            let detail = "may not specify more than 1 handler type";
            causes.push(Cause::forbidden(path, detail));
            continue;
        }
        found = true;
        match *kind {
            "exec" => {
                if rules::is_absent(&action["command"]) {
                    causes.push(Cause::required(format!("{path}.command"), ""));
                }
            }
            "httpGet" => http_get(action, &path, causes),
            "tcpSocket" => rules::port_or_name(&action["port"], &format!("{path}.port"), causes),
            "grpc" => rules::port(&action["port"], format!("{path}.port"), causes),
            _ => sleep(action, grace, path, causes),
        }
    }
    if !found {
        causes.push(Cause::required(path, "must specify a handler type"));
    }
}

fn http_get(get: &Value, path: &str, causes: &mut Vec<Cause>) {
    rules::required(get, "path", path, causes);
    rules::port_or_name(&get["port"], &format!("{path}.port"), causes);
    rules::one_of(get, "scheme", &["HTTP", "HTTPS"], path, causes);
    for header in get["httpHeaders"].as_array().into_iter().flatten() {
        let name = text(header, "name");
        let is_inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if name.is_empty() || !name.bytes().all(is_inner) {
            let field = format!("{path}.httpHeaders");
            causes.push(Cause::invalid(field, &json!(name), HEADER));
        }
    }
}

fn sleep(sleep: &Value, grace: Option<i64>, path: String, causes: &mut Vec<Cause>) {
    let seconds = sleep["seconds"].as_i64().unwrap_or_default();
    let Some(grace) = grace else {
        return;
    };
    if !(0..=grace).contains(&seconds) {
        let detail =
            format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        causes.push(Cause::invalid(path, &json!(seconds), &detail));
    }
}
