//! What a container may do: users, privileges, profiles.
//!
//! Source: k8s.io/kubernetes `pkg/apis/core/validation`, `ValidateSecurityContext`.

use super::Pod;
use crate::{
    status::Cause,
    validate::{rules, text},
};
use serde_json::{Value, json};

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
/// A path's bytes, as Linux has it.
const PROFILE_BYTES_MAX: usize = 4095;

pub(super) fn context(pod: &Pod<'_>, container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (context, path) = (
        &container["securityContext"],
        format!("{path}.securityContext"),
    );
    if context.is_null() {
        return;
    }
    for id in ["runAsUser", "runAsGroup"] {
        let number = context[id].as_i64();
        if number.is_some_and(|number| !(0..=i64::from(i32::MAX)).contains(&number)) {
            let detail = "must be between 0 and 2147483647, inclusive";
            causes.push(Cause::invalid(format!("{path}.{id}"), &context[id], detail));
        }
    }
    proc_mount(pod, context, &path, causes);
    seccomp(
        &context["seccompProfile"],
        &format!("{path}.seccompProfile"),
        causes,
    );
    if context["allowPrivilegeEscalation"] == false {
        if context["privileged"] == true {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            causes.push(Cause::invalid(path.clone(), context, detail));
        }
        // Upstream knows this one spelling only.
        let added = context["capabilities"]["add"].as_array();
        for _ in added
            .into_iter()
            .flatten()
            .filter(|name| **name == "CAP_SYS_ADMIN")
        {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            causes.push(Cause::invalid(path.clone(), context, detail));
        }
    }
    app_armor(
        &context["appArmorProfile"],
        &format!("{path}.appArmorProfile"),
        causes,
    );
}

fn proc_mount(pod: &Pod<'_>, context: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(mount) = context["procMount"].as_str() else {
        return;
    };
    let (field, kinds) = (format!("{path}.procMount"), ["Default", "Unmasked"]);
    if !kinds.contains(&mount) {
        causes.push(Cause::unsupported(field, &json!(mount), &kinds));
    } else if mount == "Unmasked" && pod.spec["hostUsers"] != false {
        let detail = "`hostUsers` must be false to use `Unmasked`";
        causes.push(Cause::invalid(field, &json!(mount), detail));
    }
}

/// A kind of profile that there is; whether it is one of the node's own.
fn is_local(profile: &Value, path: &str, of: &str, causes: &mut Vec<Cause>) -> bool {
    let (kind, field) = (text(profile, "type"), format!("{path}.type"));
    if kind.is_empty() {
        let detail = format!("type is required when {of} is set");
        causes.push(Cause::required(field, &detail));
    } else if !PROFILES.contains(&kind) {
        causes.push(Cause::unsupported(field, &json!(kind), &PROFILES));
    }
    kind == "Localhost"
}

fn seccomp(profile: &Value, path: &str, causes: &mut Vec<Cause>) {
    if profile.is_null() {
        return;
    }
    let (local, field) = (
        &profile["localhostProfile"],
        format!("{path}.localhostProfile"),
    );
    let is_local = is_local(profile, path, "seccompProfile", causes);
    match local.as_str() {
        None if is_local => {
            let detail = "must be set when seccomp type is Localhost";
            causes.push(Cause::required(field, detail));
        }
        Some(local) if is_local => rules::descending(local, &field, causes),
        Some(_) => {
            let detail = "can only be set when seccomp type is Localhost";
            causes.push(Cause::invalid(field, profile, detail));
        }
        None => {}
    }
}

fn app_armor(profile: &Value, path: &str, causes: &mut Vec<Cause>) {
    if profile.is_null() {
        return;
    }
    let (local, field) = (
        &profile["localhostProfile"],
        format!("{path}.localhostProfile"),
    );
    if is_local(profile, path, "appArmorProfile", causes) {
        let name = local.as_str().unwrap_or_default();
        if name.trim() != name {
            let detail = "must not be padded with whitespace";
            causes.push(Cause::invalid(field.clone(), local, detail));
        } else if name.is_empty() {
            let detail = "must be set when AppArmor type is Localhost";
            causes.push(Cause::required(field.clone(), detail));
        }
        if name.len() > PROFILE_BYTES_MAX {
            causes.push(Cause::too_long(field, PROFILE_BYTES_MAX));
        }
    } else if !local.is_null() && PROFILES.contains(&text(profile, "type")) {
        let detail = "can only be set when AppArmor type is Localhost";
        causes.push(Cause::invalid(field, local, detail));
    }
}
